//! What a [`StaticDir`] is told before it serves: links, hidden names, pages of folders, codings, memory.
//!
//! Knows no requests.

use std::path::Path;
use std::sync::Arc;

use ::http::HeaderValue;

use super::coding::{Coding, Preference};
use super::compressions::Compressions;
use super::digests::Digests;
use super::glob::Glob;
use super::media::MediaTypes;
use super::shelf::Cache;
use super::tree::Tree;
use super::{Links, Site, StaticDir};

impl StaticDir {
    /// Where symbolic links may lead; default: [`Links::Inside`].
    #[must_use]
    pub fn links(self, links: Links) -> Self {
        self.with_tree(|tree| tree.links = links)
    }

    /// Serves names that begin with a dot, too; default: no.
    #[must_use]
    pub fn hidden(self, shows: bool) -> Self {
        self.with_tree(|tree| tree.shows_hidden = shows)
    }

    /// What a folder is answered with: the first of these files that is there; default: `index.html`.
    #[must_use]
    pub fn index<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        self.with_tree(|tree| tree.index = names)
    }

    /// Finds `about.html` at `/about`, and sends whoever asks for `/about.html` there; default: no.
    #[must_use]
    pub fn clean_urls(self, clean: bool) -> Self {
        self.with_tree(|tree| tree.clean = clean)
    }

    /// Answers with the file `name` wherever there is nothing else, for applications that route in the
    /// browser; default: no.
    #[must_use]
    pub fn fallback(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.with_tree(|tree| tree.fallback = Some(name))
    }

    /// Sends the file `name` with each 404; default: a line of text.
    #[must_use]
    pub fn not_found(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.with_site(|site| site.not_found = Some(name))
    }

    /// Answers a folder without an index with what is in it, as a page or as JSON (`Accept`, or
    /// `?format=json`); default: no.
    #[must_use]
    pub fn listing(self, shows: bool) -> Self {
        self.with_site(|site| site.shows_folders = shows)
    }

    /// Gives a folder that is listed as one archive, too: `?download=tar.gz`, made while it is sent;
    /// default: no.
    #[must_use]
    pub fn archives(self, gives: bool) -> Self {
        self.with_site(|site| site.gives_archives = gives)
    }

    /// Shows a form to put files into a folder that is listed; [`Upload`](crate::Upload), routed for POST at
    /// the same paths, stores them. Default: no.
    #[must_use]
    pub fn upload_form(self, shows: bool) -> Self {
        self.with_site(|site| site.takes_files = shows)
    }

    /// Adds a `Cache-Control` for the files that `glob` matches. The first that matches counts.
    ///
    /// `*` stands for anything but a slash, `**` for anything, `?` for one character. A pattern without a
    /// slash is held against the last part of a path, any other against all of it.
    ///
    /// # Panics
    /// If `value` cannot stand in a field.
    #[must_use]
    #[track_caller]
    pub fn cache_control(self, glob: &str, value: &str) -> Self {
        let value = HeaderValue::from_str(value)
            .unwrap_or_else(|_| panic!("{value:?} cannot stand in Cache-Control"));
        let glob = Glob::new(glob);
        self.with_site(|site| site.cache_control.push((glob, value)))
    }

    /// Says that files whose names end with this extension have this media type.
    ///
    /// # Panics
    /// If no name can end so, or if this is no media type.
    #[must_use]
    #[track_caller]
    pub fn media_type(self, extension: &str, media_type: &str) -> Self {
        self.with_site(|site| {
            let types = std::mem::take(&mut site.media_types).with(extension, media_type);
            site.media_types = types.unwrap_or_else(|error| panic!("{error}"));
        })
    }

    /// The media type of files whose name ends as that of `path` does.
    pub fn media_type_of(path: &Path) -> &'static str {
        MediaTypes::default().of(&path.to_string_lossy())
    }

    /// Whether [`StaticDir::media_type`] would take these.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check_media_type(extension: &str, media_type: &str) -> Result<(), String> {
        MediaTypes::default().with(extension, media_type).map(drop).map_err(|error| error.to_string())
    }

    /// Sends `app.js.br`, `app.js.zst` or `app.js.gz` in place of `app.js` to whoever accepts that, if it is
    /// there and not older; default: yes.
    #[must_use]
    pub fn precompressed(self, uses: bool) -> Self {
        self.with_site(|site| site.offers.precompressed = uses)
    }

    /// Compresses what gets smaller by it, once for each version of a file and on the blocking pool; until
    /// then it is sent as it is; what is in a folder, each time. Default: yes.
    #[must_use]
    pub fn compressed(self, compresses: bool) -> Self {
        let codings = if compresses { Preference::ALL } else { Preference::NONE };
        self.with_site(|site| site.offers.codings = codings)
    }

    /// Compresses with these alone; of those that a client takes as gladly the first is sent, also of what
    /// lies ready. Default: Brotli, zstd, gzip, which is the order of their sizes.
    ///
    /// ```no_run
    /// use kolk::app::{Coding, StaticDir};
    ///
    /// let site = StaticDir::new("www").codings([Coding::Zstd, Coding::Gzip]).compressed_from(4096);
    /// ```
    #[must_use]
    pub fn codings(self, codings: impl IntoIterator<Item = Coding>) -> Self {
        let codings = Preference::new(codings);
        self.with_site(|site| site.offers.codings = codings)
    }

    /// Files of fewer bytes are not compressed; default: 1,024, as they travel in one packet in any case.
    #[must_use]
    pub fn compressed_from(self, bytes: u64) -> Self {
        self.with_site(|site| {
            site.bounds.compress_bytes_min = bytes;
            site.compressions = Compressions::new(site.memory_bytes_max, site.bounds);
        })
    }

    /// Makes each `ETag` of the content (BLAKE2b) instead of the inode, size and time, so that it is the same
    /// on several servers, and after a copy. A file of more than 64 KiB is read on the blocking pool for it,
    /// once for each version, and has no tag until then. Default: no.
    #[must_use]
    pub fn content_etags(self, digests: bool) -> Self {
        self.with_site(|site| site.digests = digests.then(Digests::default))
    }

    /// How many bytes all workers together keep of small files, and again as many of what was compressed;
    /// 0: none. Default: 64 MiB.
    #[must_use]
    pub fn cache_bytes(self, bytes_max: usize) -> Self {
        self.with_site(|site| {
            site.cache = Cache::new(bytes_max);
            site.memory_bytes_max = bytes_max;
            site.compressions = Compressions::new(bytes_max, site.bounds);
        })
    }

    fn with_site(mut self, change: impl FnOnce(&mut Site)) -> Self {
        // Nobody else has it before the first request.
        if let Some(site) = Arc::get_mut(&mut self.site) {
            change(site);
        }
        self
    }

    fn with_tree(self, change: impl FnOnce(&mut Tree)) -> Self {
        self.with_site(|site| {
            if let Some(tree) = Arc::get_mut(&mut site.tree) {
                change(tree);
            }
        })
    }
}
