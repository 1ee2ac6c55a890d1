//! [`StaticDir`]: the files of a folder. RFC 9110 §9.3.1, §9.3.2, §12.5.3, §15.4.9.
//!
//! ```text
//!  path ─► shelf ─ fresh ───────────────────────────────────► rendered answer    no system call
//!            └── stale or unknown ─► tree ─► file ─ in memory ─► representation ─► answer
//!                                      │       └─── on disk ──► pool ───────────► answer
//!                                      ├─► folder ─► listing, on the pool
//!                                      └─► elsewhere ─► 308
//! ```
//! | file | question |
//! | --- | --- |
//! | `tree`, `elsewhere` | what does a path name? |
//! | `representation`, `conditions`, `ranges`, `parts` | what is answered about a file? |
//! | `version`, `digests` | how does a client know it again? |
//! | `forms`, `coding`, `variants`, `compress`, `compressed`, `compressions` | in which forms is it sent? |
//! | `options` | what is it told before it serves? |
//! | `shelf` | what is known already? |
//! | `transfer` | how does a large file leave? |
//! | `media`, `glob` | what is it, and how long may it be kept? |
//! | `listing`, `archive`, `tar` | what is in a folder? |
//! | `complaints` | what of that which goes wrong is said? |
//!
//! Nothing outside the root is ever opened, and nothing is read from a disk on the loop's thread, as far as
//! the system can tell. Knows no wire.

mod archive;
mod coding;
mod complaints;
mod compress;
mod compressed;
mod compressions;
mod conditions;
mod digests;
mod elsewhere;
mod forms;
mod glob;
mod listing;
mod media;
mod options;
mod parts;
mod ranges;
mod representation;
mod shelf;
mod tar;
mod transfer;
mod tree;
mod variants;
mod version;

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use ::http::{HeaderValue, header};

use self::archive::Archives;
use self::coding::Preference;
use self::complaints::Complaints;
use self::compress::Bounds;
use self::compressions::Compressions;
use self::digests::Digests;
use self::elsewhere::redirect;
use self::forms::{Kept, Makers, Reading, SMALL_BYTES_MAX, read};
use self::glob::Glob;
pub(crate) use self::listing::push_json;
use self::listing::{Listing, Query};
use self::media::MediaTypes;
use self::representation::Memory;
use self::shelf::{Cache, Look, Shelf};
use self::transfer::Cold;
use self::tree::{Found, Open, Stamp, Tree};
use self::variants::Offers;
use super::adapters::blocking;
use super::compress::Compress;
use super::explain::{Stage, Step};
use super::handler::{Handler, Outcome};
use super::layer::Layer as _;
use super::request::Request;
use crate::http::{Known, Method, Reason, Response};
use crate::sys::folder;

pub(super) use self::coding::Accepted;
pub use self::coding::Coding;
pub(super) use self::compress::{is_compressible, is_worth_it};
pub use self::compressed::{Compressed, Compression};
pub use crate::sys::beneath::Links;

/// So many entries of a folder are shown.
const ENTRIES_MAX: usize = 10_000;
/// The cache of all workers together, unless it is told otherwise; in bytes.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

thread_local! {
    /// What this thread keeps of each folder that it serves.
    static SHELVES: RefCell<Vec<Shelf<Kept>>> = const { RefCell::new(Vec::new()) };
}

/// Serves the files of a folder: what `{*…}` in the pattern of its route has matched, or else the whole path.
///
/// A folder is answered with its `index.html`; without its trailing slash, with a redirect. Names that begin
/// with a dot are hidden, except `.well-known`. Links are followed as long as they stay inside.
///
/// Answers have a strong `ETag` and `Last-Modified`; conditional and range requests are understood.
///
/// ```no_run
/// use kolk::{App, StaticDir};
///
/// let assets = StaticDir::new("public").cache_control("*.css", "public, max-age=3600");
/// let app = App::new().get("/assets/{*path}", assets);
/// ```
pub struct StaticDir {
    site: Arc<Site>,
}

/// What is shared with the threads of the pool.
struct Site {
    tree: Arc<Tree>,
    cache: Cache,
    /// The first that fits counts.
    cache_control: Vec<(Glob, HeaderValue)>,
    /// The file that is sent with a 404.
    not_found: Option<String>,
    /// Whether a folder without an index is answered with what is in it.
    shows_folders: bool,
    /// Whether a folder can be had as one archive.
    gives_archives: bool,
    /// Whether somebody else stores what is put into a folder.
    takes_files: bool,
    archives: Archives,
    media_types: MediaTypes,
    /// What is sent besides the files as they are.
    offers: Offers,
    /// Of what is compressed, and of what is kept.
    bounds: Bounds,
    memory_bytes_max: usize,
    compressions: Compressions<Stamp>,
    /// Compresses what is made for one request.
    made: Compress,
    /// Where tags are made of the content.
    digests: Option<Digests>,
    /// Of files that cannot be read, and of the one that is sent with a 404.
    unreadable: Complaints,
    no_page: Complaints,
}

impl StaticDir {
    /// The files of the folder `root`.
    ///
    /// # Panics
    /// If there is no such folder; [`StaticDir::open`] does not.
    #[track_caller]
    pub fn new(root: impl AsRef<Path>) -> Self {
        let root = root.as_ref();
        Self::open(root).unwrap_or_else(|error| panic!("cannot serve {}: {error}", root.display()))
    }

    /// The files of the folder `root`.
    ///
    /// # Errors
    /// If there is no such folder, or if it is not ours to enter.
    pub fn open(root: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self {
            site: Arc::new(Site {
                tree: Arc::new(Tree::open(root.as_ref())?),
                cache: Cache::new(CACHE_BYTES),
                cache_control: Vec::new(),
                not_found: None,
                shows_folders: false,
                gives_archives: false,
                takes_files: false,
                archives: Archives::default(),
                media_types: MediaTypes::default(),
                offers: Offers { precompressed: true, codings: Preference::ALL },
                bounds: Bounds::default(),
                memory_bytes_max: CACHE_BYTES,
                compressions: Compressions::new(CACHE_BYTES, Bounds::default()),
                made: Compress::default(),
                digests: None,
                unreadable: Complaints::default(),
                no_page: Complaints::default(),
            }),
        })
    }

    /// Answers from memory, if what is asked for is there; else what is to be done.
    fn serve(&self, path: &[u8], request: &Request<'_>, response: &mut Response) -> io::Result<Outcome> {
        let (site, now) = (&self.site, request.now());
        SHELVES.with(|shelves| {
            site.cache.with(shelves, |shelf| {
                let before = match shelf.look(path, now) {
                    Look::Fresh(kept) => {
                        let (outcome, more) = site.answer_again(kept, request, response);
                        shelf.grow(path, more);
                        return Ok(outcome);
                    }
                    Look::Missing => return Err(io::ErrorKind::NotFound.into()),
                    Look::Stale(stamp) => Some(stamp),
                    Look::Unknown => None,
                };
                let found = site.tree.find(text(path));
                let open = match found {
                    Ok(Found::File(open)) => open,
                    Ok(other) => return self.elsewhere(other, request, response),
                    Err(error) => {
                        if error.kind() == io::ErrorKind::NotFound {
                            shelf.note_missing(path, now);
                        }
                        return Err(error);
                    }
                };
                let stamp = Stamp::of(&open.metadata);
                if before == Some(stamp)
                    && let Some(kept) = shelf.refresh(path, now)
                    && !kept.is_due(request.unix_seconds())
                {
                    let (outcome, more) = site.answer_again(kept, request, response);
                    shelf.grow(path, more);
                    return Ok(outcome);
                }
                match site.load(open, request, Reading::InMemory) {
                    Ok(mut kept) => {
                        let outcome = site.answer(&mut kept, request, response);
                        let bytes = kept.bytes();
                        shelf.keep(path, kept, stamp, bytes, now);
                        Ok(outcome)
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        Ok(self.on_the_pool(request, response, Site::answer_from_disk))
                    }
                    Err(error) => Err(error),
                }
            })
        })
    }

    /// What is no file.
    fn elsewhere(&self, found: Found, request: &Request<'_>, response: &mut Response) -> io::Result<Outcome> {
        match found {
            Found::Slash => redirect(request, 0, "/", response)?,
            Found::Shorter(by) => redirect(request, by, "", response)?,
            Found::Folder(name) => return self.folder(name, request, response),
            Found::File(_) => return Err(io::ErrorKind::NotFound.into()),
        }
        Ok(Outcome::Ready)
    }

    /// A folder without an index.
    fn folder(&self, name: String, request: &Request<'_>, response: &mut Response) -> io::Result<Outcome> {
        let site = &self.site;
        if !site.shows_folders {
            return Err(io::ErrorKind::NotFound.into());
        }
        if !site.gives_archives || !Query::parse(request.query()).wants_archive() {
            return Ok(self.on_the_pool(request, response, Site::list));
        }
        let last = name.rsplit('/').next().unwrap_or_default().to_owned();
        let (owned, path) = (Arc::clone(site), request.path().to_owned());
        let open = move || {
            owned.tree.folder(&name).map_err(|error| {
                let mut refusal = Response::default();
                owned.refuse(&error, &path, &mut refusal);
                refusal
            })
        };
        Ok(site.archives.answer(request, &last, open, response))
    }

    /// Has a thread answer that may wait for a disk.
    fn on_the_pool(
        &self,
        request: &Request<'_>,
        response: &mut Response,
        answer: fn(&Arc<Site>, &Request<'_>, &mut Response) -> io::Result<()>,
    ) -> Outcome {
        let site = Arc::clone(&self.site);
        let job = move |request: &Request<'_>| {
            let mut response = Response::default();
            if let Err(error) = answer(&site, request, &mut response) {
                site.refuse(&error, request.path(), &mut response);
            }
            response
        };
        blocking(job).handle(request, response)
    }
}

impl Handler for StaticDir {
    fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
        if !matches!(request.head().method(), Method::Get | Method::Head) {
            response.refuse(Reason::MethodNotAllowed);
            response.append(&header::ALLOW, &HeaderValue::from_static("GET, HEAD"));
            return Outcome::Ready;
        }
        match self.serve(path_below(request), request, response) {
            Ok(outcome) => outcome,
            Err(error) => {
                self.site.refuse(&error, request.path(), response);
                Outcome::Ready
            }
        }
    }

    fn explain(&self, request: &Request<'_>) -> Vec<Step> {
        let found = tree::told(&self.site.tree.find(text(path_below(request))), self.site.shows_folders);
        // As whoever asks would write it, so that it is the same on other machines.
        let here = std::env::current_dir().unwrap_or_default();
        let place = self.site.tree.place.strip_prefix(here).unwrap_or(&self.site.tree.place).display();
        vec![Step::new(Stage::Handle, "action", format!("static: {found}, in {place}"))]
    }
}

impl fmt::Debug for StaticDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cached_bytes, cached_bytes_max) = self.site.cache.bytes();
        f.debug_struct("StaticDir")
            .field("root", &self.site.tree.place)
            .field("cached_bytes", &cached_bytes)
            .field("cached_bytes_max", &cached_bytes_max)
            .finish_non_exhaustive()
    }
}

impl Site {
    /// The answer of a file that is kept, and how many more bytes are kept of it now: those of other codings.
    fn answer_again(
        &self,
        kept: &mut Kept,
        request: &Request<'_>,
        response: &mut Response,
    ) -> (Outcome, usize) {
        let before = kept.bytes();
        let outcome = self.answer(kept, request, response);
        (outcome, kept.bytes().saturating_sub(before))
    }

    /// The answer of a file that is known.
    fn answer(&self, kept: &mut Kept, request: &Request<'_>, response: &mut Response) -> Outcome {
        let (head, now) = (request.head(), request.now());
        let (form, name) = kept.form(Accepted::of(head), &self.makers(request));
        if let Some(whole) = &form.whole
            && !head.table().has_any([
                Known::IfMatch,
                Known::IfModifiedSince,
                Known::IfNoneMatch,
                Known::IfRange,
                Known::IfUnmodifiedSince,
                Known::Range,
            ])
        {
            return Outcome::Rendered(Arc::clone(whole));
        }
        let is_resident = form.is_resident(now);
        form.representation.answer(head, response, || Memory {
            is_resident,
            cold: Cold {
                tree: Arc::clone(&self.tree),
                name: name.to_owned(),
                pool: Arc::clone(request.pool()),
                wakeup: request.wakeup(),
            },
        });
        Outcome::Ready
    }

    fn makers<'m>(&'m self, request: &'m Request<'_>) -> Makers<'m> {
        Makers {
            tree: &self.tree,
            compressions: &self.compressions,
            codings: self.offers.codings,
            uses_siblings: self.offers.precompressed,
            digests: self.digests.as_ref(),
            pool: request.pool(),
            now: request.now(),
            unix_seconds: request.unix_seconds(),
        }
    }

    /// The same for a file that has to be read first.
    fn answer_from_disk(self: &Arc<Self>, request: &Request<'_>, response: &mut Response) -> io::Result<()> {
        let Found::File(open) = self.tree.find(text(path_below(request)))? else {
            // It was a file a moment ago.
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut kept = self.load(open, request, Reading::Waiting)?;
        if let Outcome::Rendered(whole) = self.answer(&mut kept, request, response) {
            whole.fill(response);
        }
        Ok(())
    }

    /// What is in a folder.
    fn list(self: &Arc<Self>, request: &Request<'_>, response: &mut Response) -> io::Result<()> {
        let path = text(path_below(request));
        let Found::Folder(name) = self.tree.find(path)? else {
            // It had no index a moment ago.
            return Err(io::ErrorKind::NotFound.into());
        };
        let query = Query::parse(request.query());
        let listing = Listing {
            root: request.host().unwrap_or("/"),
            path,
            contents: &folder::read(&self.tree.folder(&name)?, ENTRIES_MAX)?,
            query,
            shows_hidden: self.tree.shows_hidden,
            can_download: self.gives_archives,
            can_upload: self.takes_files,
        };
        response.replace(listing.answer(query.format(request.header(header::ACCEPT))));
        self.made.with(Compression::of(self.offers.codings, self.bounds)).after(request, response);
        Ok(())
    }

    /// What is kept of an open file.
    ///
    /// # Errors
    /// `WouldBlock` if it would have to be read from a disk and may not.
    fn load(&self, open: Open, request: &Request<'_>, reading: Reading) -> io::Result<Kept> {
        let content_type = self.media_types.of(&open.name);
        let rule = self.cache_control.iter().find(|(glob, _)| glob.matches(&open.name));
        let fields = rule.map(|(_, value)| (header::CACHE_CONTROL, value.clone())).into_iter().collect();
        let varies = self.offers.owe_vary(&open.name, content_type);
        Kept::load(open, content_type, fields, varies, &self.makers(request), reading)
    }

    /// Fills `response` with what hindered at `path`.
    fn refuse(&self, error: &io::Error, path: &str, response: &mut Response) {
        response.reset();
        match error.kind() {
            io::ErrorKind::PermissionDenied => response.refuse(Reason::Forbidden),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                response.refuse(Reason::NotFound);
                self.fill_not_found(response);
            }
            _ => {
                if let Some(times) = self.unreadable.add() {
                    let place = self.tree.place.display();
                    log::error!("cannot read {path:?} below {place}: {error}{times}");
                }
                response.refuse(Reason::FileUnreadable);
            }
        }
    }

    /// The operator's own page. It is small, and in memory as soon as it was asked for once.
    fn fill_not_found(&self, response: &mut Response) {
        let Some(name) = &self.not_found else { return };
        let read = |open: Open| read(&open.file, open.metadata.len().min(SMALL_BYTES_MAX), Reading::Waiting);
        match self.tree.file(name).and_then(read) {
            Ok(page) => {
                response.append(&header::CONTENT_TYPE, &HeaderValue::from_static(self.media_types.of(name)));
                response.set_body(page);
            }
            Err(error) => {
                if let Some(times) = self.no_page.add() {
                    log::warn!("cannot read {name:?}, which is to be sent with a 404: {error}{times}");
                }
            }
        }
    }
}

/// The path below the folder: without the slash before it.
#[inline]
fn path_below<'r>(request: &Request<'r>) -> &'r [u8] {
    request.rest_bytes().unwrap_or_else(|| {
        let path = request.path_bytes();
        path.strip_prefix(b"/").unwrap_or(path)
    })
}

/// Normalised paths are UTF-8.
fn text(path: &[u8]) -> &str {
    std::str::from_utf8(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use bytes::Bytes;

    use super::shelf::FRESH_FOR;
    use super::*;
    use crate::app::App;
    use crate::sys::scratch::Scratch;

    /// A directory, and a secret beside it.
    struct Site {
        outer: Scratch,
    }

    impl Site {
        fn new(name: &str) -> Self {
            let outer = Scratch::new(name);
            fs::create_dir_all(outer.join("public/empty")).unwrap();
            for (path, content) in [
                ("public/index.html", "<p>root"),
                ("public/a.txt", "a"),
                ("public/100%.txt", "percent"),
                ("public/\u{e9}.txt", "accent"),
                ("public/a b/index.html", "space"),
                ("public/sub/index.html", "<p>sub"),
                ("public/sub/code.JS", "1"),
                ("public/.htpasswd", "SECRET"),
                ("public/.git/config", "SECRET"),
                ("public/.well-known/security.txt", "well known"),
                ("secret.txt", "SECRET"),
            ] {
                outer.put(path, content);
            }
            for (target, link) in [
                ("../secret.txt", "public/out.txt"),
                ("..", "public/up"),
                ("/etc", "public/etc"),
                ("a.txt", "public/in.txt"),
                ("sub", "public/in"),
                (".git", "public/git"),
                ("loop", "public/loop"),
                ("nowhere", "public/dangling"),
                ("../../secret.txt", "public/empty/index.html"),
            ] {
                symlink(target, outer.join(link)).unwrap();
            }
            Self { outer }
        }

        fn app(&self) -> App {
            App::new().get("/{*path}", StaticDir::new(self.outer.join("public")))
        }
    }

    fn get(app: &App, target: &str) -> ::http::Response<Bytes> {
        app.oneshot(::http::Request::get(target).body("").unwrap())
    }

    fn location(app: &App, target: &str) -> String {
        let answer = get(app, target);
        assert_eq!(answer.status(), 308, "{target}");
        answer.headers()["location"].to_str().unwrap().to_owned()
    }

    #[test]
    fn files_are_served_with_their_types() {
        let site = Site::new("types");
        let app = site.app();
        for (target, body, media_type) in [
            ("/", "<p>root", "text/html; charset=utf-8"),
            ("/index.html", "<p>root", "text/html; charset=utf-8"),
            ("/a.txt", "a", "text/plain; charset=utf-8"),
            ("/sub/../%61.txt?x=1", "a", "text/plain; charset=utf-8"),
            ("/in.txt", "a", "text/plain; charset=utf-8"),
            ("/100%25.txt", "percent", "text/plain; charset=utf-8"),
            ("/%C3%A9.txt", "accent", "text/plain; charset=utf-8"),
            ("/sub/", "<p>sub", "text/html; charset=utf-8"),
            ("/in/", "<p>sub", "text/html; charset=utf-8"),
            ("/a%20b/", "space", "text/html; charset=utf-8"),
            ("/sub/code.JS", "1", "text/javascript; charset=utf-8"),
            ("/.well-known/security.txt", "well known", "text/plain; charset=utf-8"),
        ] {
            let answer = get(&app, target);
            assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, body.as_bytes()), "{target}");
            assert_eq!(answer.headers()["content-type"], media_type, "{target}");
        }
        let head = app.oneshot(::http::Request::head("/a.txt").body("").unwrap());
        assert_eq!((&head.headers()["content-length"], head.body().len()), (&"1".parse().unwrap(), 0));
    }

    #[test]
    fn nothing_outside_and_nothing_hidden_is_served() {
        let site = Site::new("outside");
        let app = site.app();
        for target in [
            "/out.txt",
            "/up/secret.txt",
            "/etc/hostname",
            "/etc/passwd",
            "/empty/",
            "/.htpasswd",
            "/.git/config",
            "/%2egit/config",
            "/git/config",
            "/dangling",
            "/loop",
            "/..%2fsecret.txt",
            "/..%2Fsecret.txt",
            "/sub/..%2f..%2fsecret.txt",
            "/..%252fsecret.txt",
            "/%252e%252e/secret.txt",
            "/sub%2Findex.html",
            "/a.txt/",
            "/a.txt/b",
            "/.../secret.txt",
            "/nothing",
        ] {
            let answer = get(&app, target);
            assert_eq!(answer.status(), 404, "{target}");
            assert!(!String::from_utf8_lossy(answer.body()).contains("SECRET"), "{target}");
        }
        for target in
            ["/../secret.txt", "/%2e%2e/secret.txt", "/a.txt%00", "/..%5csecret.txt", "/sub/../../secret.txt"]
        {
            assert_eq!(get(&app, target).status(), 400, "{target}");
        }
        assert_eq!(get(&app, &format!("/{}", "x".repeat(5_000))).status(), 404);
    }

    #[test]
    fn what_the_path_parameter_says_is_checked_again() {
        let site = Site::new("again");
        let files = StaticDir::new(site.outer.join("public"));
        for path in
            ["../secret.txt", "sub/../../secret.txt", "..", ".", "./a.txt", "/../secret.txt", "a\0b", "a\\b"]
        {
            let error = files.site.tree.find(path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{path:?}");
        }
        assert!(files.site.tree.find("a.txt").is_ok());
    }

    #[test]
    fn a_directory_without_its_slash_is_a_redirect_on_this_host() {
        let site = Site::new("redirect");
        let app = App::new().get("/m/{*path}", StaticDir::new(site.outer.join("public"))).merge(site.app());
        assert_eq!(location(&app, "/sub"), "/sub/");
        assert_eq!(location(&app, "/sub?a=b%20c"), "/sub/?a=b%20c");
        assert_eq!(location(&app, "//sub"), "/sub/");
        assert_eq!(location(&app, "/m/sub"), "/m/sub/");
        assert_eq!(location(&app, "/a%20b"), "/a%20b/");
        assert_eq!(get(&app, "/m/").body(), "<p>root");
    }

    #[test]
    fn rfc_9110_13_1_3_an_unchanged_file_is_not_sent_again() {
        let site = Site::new("unchanged");
        let app = site.app();
        let modified = UNIX_EPOCH + Duration::new(784_111_777, 500_000_000);
        File::options()
            .write(true)
            .open(site.outer.join("public/a.txt"))
            .unwrap()
            .set_modified(modified)
            .unwrap();
        assert_eq!(get(&app, "/a.txt").headers()["last-modified"], "Sun, 06 Nov 1994 08:49:37 GMT");
        for (since, etag, status) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", None, 304),
            ("Sun, 06 Nov 1994 08:49:38 GMT", None, 304),
            ("Sun, 06 Nov 1994 08:49:36 GMT", None, 200),
            ("yesterday", None, 200),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some("\"x\""), 200),
        ] {
            let mut request = ::http::Request::get("/a.txt").header("if-modified-since", since);
            if let Some(etag) = etag {
                request = request.header("if-none-match", etag);
            }
            let answer = app.oneshot(request.body("").unwrap());
            assert_eq!(answer.status(), status, "{since} {etag:?}");
            assert_eq!(answer.body().is_empty(), status == 304);
            assert!(answer.headers().contains_key("last-modified"));
        }
    }

    #[test]
    fn small_files_are_read_and_large_ones_are_left_to_the_sender() {
        let site = Site::new("large");
        for (length, is_file) in [(0, false), (SMALL_BYTES_MAX, false), (4 * SMALL_BYTES_MAX, true)] {
            let path = site.outer.join("public/x.bin");
            let content = vec![b'x'; usize::try_from(length).unwrap()];
            fs::write(&path, &content).unwrap();
            let files = StaticDir::new(site.outer.join("public"));
            let shared = Arc::downgrade(&files.site);
            let app = App::new().get("/{*path}", files);
            assert_eq!(get(&app, "/x.bin").body(), &content);
            let kept = shared.upgrade().unwrap().cache.bytes().0;
            assert_eq!(kept < content.len(), is_file, "{length}");
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "there is no worker that has looked at the clock")]
    fn rfc_9110_8_8_2_1_a_file_from_the_future_is_as_old_as_the_answer() {
        let site = Site::new("future");
        let file = File::create(site.outer.join("public/x.txt")).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(250_000_000_000)).unwrap();
        let second = |answer: &::http::Response<Bytes>| {
            crate::http::parse_date(answer.headers()["last-modified"].as_bytes()).unwrap()
        };
        let app = site.app();
        let first = second(&get(&app, "/x.txt"));
        assert!(first < 250_000_000_000, "{first}");
        let since =
            ::http::Request::get("/x.txt").header("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(app.oneshot(since.body("").unwrap()).status(), 200);
        // Time catches up with it.
        let soon = UNIX_EPOCH + Duration::from_secs(first + 1);
        file.set_modified(soon).unwrap();
        while SystemTime::now() < soon {
            assert!(second(&get(&app, "/x.txt")) <= first + 1);
        }
        assert_eq!(second(&get(&app, "/x.txt")), first + 1);
    }

    #[test]
    fn other_methods_and_other_places() {
        let site = Site::new("other");
        let app = App::new().any("/{*path}", StaticDir::new(site.outer.join("public")));
        let answer = app.oneshot(::http::Request::delete("/a.txt").body("").unwrap());
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["allow"]),
            (405, &"GET, HEAD".parse().unwrap())
        );
        let app = App::new().fallback(StaticDir::new(site.outer.join("public")));
        assert_eq!(get(&app, "/a.txt").body(), "a");
        let app = App::new().get("/a.txt", StaticDir::new(site.outer.join("public")));
        assert_eq!(get(&app, "/a.txt").body(), "a");
        assert!(StaticDir::open(site.outer.join("secret.txt")).is_err());
        assert!(StaticDir::open(site.outer.join("nothing")).is_err());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "what is kept is looked at again only after a while")]
    fn what_joins_a_file_that_is_looked_at_again_is_counted() {
        let site = Site::new("counted");
        fs::write(site.outer.join("public/a.js"), "plain").unwrap();
        let files = StaticDir::new(site.outer.join("public"));
        let shared = Arc::downgrade(&files.site);
        let app = App::new().get("/{*path}", files);
        let kept = || shared.upgrade().unwrap().cache.bytes().0;
        assert_eq!(get(&app, "/a.js").body(), "plain");
        let before = kept();
        fs::write(site.outer.join("public/a.js.br"), vec![b'x'; 3_000]).unwrap();
        std::thread::sleep(FRESH_FOR);
        let coded = ::http::Request::get("/a.js").header("accept-encoding", "br").body("").unwrap();
        assert_eq!(app.oneshot(coded).body().len(), 3_000);
        assert!(kept() >= before + 3_000, "{} of {before}", kept());
    }
}
