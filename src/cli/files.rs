//! [`Files`]: the flags of `kolk serve` about files, and the [`StaticDir`] that they describe.

use std::path::Path;

use clap::builder::BoolishValueParser;
use clap::{Args as ClapArgs, ValueEnum};
use kolk::units::size;
use kolk::{HeaderValue, Links as Library, StaticDir};

use super::failure::Failure;

/// How files are found and sent.
#[derive(Clone, Debug, ClapArgs, PartialEq, Eq)]
#[command(next_help_heading = "Files")]
pub(crate) struct Files {
    /// What a folder is answered with: the first that is there; repeatable [default: index.html]
    #[arg(long, env = "KOLK_INDEX", value_name = "NAME", value_delimiter = ',')]
    index: Vec<String>,

    /// Do not show what is in a folder that has no index
    #[arg(long, env = "KOLK_NO_LISTING", value_parser = BoolishValueParser::new())]
    no_listing: bool,

    /// Answer with this file wherever there is nothing else, for applications that route in the browser
    #[arg(long, env = "KOLK_SPA", value_name = "FILE", num_args = 0..=1, require_equals = true,
          default_missing_value = "index.html")]
    spa: Option<String>,

    /// Find about.html at /about, and send whoever asks for /about.html there
    #[arg(long, env = "KOLK_CLEAN_URLS", value_parser = BoolishValueParser::new())]
    clean_urls: bool,

    /// Send this file with each 404
    #[arg(long, env = "KOLK_NOT_FOUND", value_name = "FILE")]
    not_found: Option<String>,

    /// Where symbolic links may lead
    #[arg(long, env = "KOLK_LINKS", value_name = "WHERE", default_value = "inside")]
    links: Links,

    /// Serve names that begin with a dot, too
    #[arg(long, env = "KOLK_HIDDEN", value_parser = BoolishValueParser::new())]
    hidden: bool,

    /// How long files may be kept: a pattern and the value of Cache-Control, such as
    /// '*.css=public, max-age=3600'; repeatable, the first that matches counts
    #[arg(long, value_name = "GLOB=VALUE", value_parser = rule)]
    cache_control: Vec<(String, String)>,

    /// The media type of files whose names end so, such as 'gmi=text/gemini; charset=utf-8'; repeatable
    #[arg(long, value_name = "EXTENSION=TYPE", value_parser = media_type)]
    media_type: Vec<(String, String)>,

    /// Make the ETag of a file of its content, so that several servers give the same; else of its inode, size
    /// and time
    #[arg(long, env = "KOLK_CONTENT_ETAGS", value_parser = BoolishValueParser::new())]
    content_etags: bool,

    /// Send files as they are, never compressed by kolk; siblings such as app.js.br are still used
    #[arg(long, env = "KOLK_NO_COMPRESS", value_parser = BoolishValueParser::new())]
    no_compress: bool,

    /// Memory for small files that are asked for often, all workers together; 0: none
    #[arg(long, env = "KOLK_FILE_CACHE", value_name = "SIZE", default_value = "64MiB", value_parser = size)]
    file_cache: u64,
}

/// Where symbolic links may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Links {
    /// To what is below the folder
    Inside,
    /// Anywhere
    Follow,
    /// Nowhere
    Refuse,
}

impl Files {
    /// The files of `dir`.
    pub(super) fn of(&self, dir: &Path) -> Result<StaticDir, Failure> {
        let mut files = StaticDir::open(dir)
            .map_err(|error| Failure::directory(dir, &error))?
            .clean_urls(self.clean_urls)
            .hidden(self.hidden)
            .listing(!self.no_listing)
            .archives(!self.no_listing)
            .compressed(!self.no_compress)
            .content_etags(self.content_etags)
            .links(match self.links {
                Links::Inside => Library::Inside,
                Links::Follow => Library::Follow,
                Links::Refuse => Library::Refuse,
            })
            .cache_bytes(usize::try_from(self.file_cache).unwrap_or(usize::MAX));
        if !self.index.is_empty() {
            files = files.index(self.index.iter().cloned());
        }
        if let Some(name) = &self.spa {
            files = files.fallback(name);
        }
        if let Some(name) = &self.not_found {
            files = files.not_found(name);
        }
        for (glob, value) in &self.cache_control {
            files = files.cache_control(glob, value);
        }
        for (extension, media_type) in &self.media_type {
            files = files.media_type(extension, media_type);
        }
        Ok(files)
    }
}

/// `EXTENSION=TYPE`, of which files can be.
fn media_type(text: &str) -> Result<(String, String), String> {
    let (extension, media_type) = text.split_once('=').ok_or("an extension, `=` and a type are expected")?;
    StaticDir::check_media_type(extension, media_type)?;
    Ok((extension.to_owned(), media_type.to_owned()))
}

/// `GLOB=VALUE`, with a value that may stand in a field.
fn rule(text: &str) -> Result<(String, String), String> {
    let (glob, value) = text.split_once('=').ok_or("a pattern, `=` and a value are expected")?;
    if glob.is_empty() || value.is_empty() {
        return Err("a pattern, `=` and a value are expected".to_owned());
    }
    if HeaderValue::from_str(value).is_err() {
        return Err("the value contains what cannot stand in a field".to_owned());
    }
    Ok((glob.to_owned(), value.to_owned()))
}
