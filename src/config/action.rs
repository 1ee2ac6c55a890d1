//! The tables of actions: what a route does.

use ::http::{HeaderValue, StatusCode};

use super::key::{table, words};
use super::look;
use super::message::Map;
use super::place::Placed;
use super::read::FromText;
use super::template::Template;
use super::value::{ExistingFile, ExistingFolder, RedirectStatus, Size, Text};

words! {
    /// Where symbolic links may lead.
    pub enum Links {
        /// To what is below the folder.
        Inside = "inside",
        /// Anywhere.
        Follow = "follow",
        /// Nowhere.
        Refuse = "refuse",
    }
}

words! {
    /// What the `ETag` of a file is made of.
    pub enum Etags {
        /// Its inode, size and time.
        Inode = "inode",
        /// Its content: several servers give the same.
        Content = "content",
    }
}

table! {
    /// Answers with the files of a folder: the parameter of the route's path that takes the rest, or else the
    /// whole path, is looked for in it.
    pub struct StaticFiles in "[static]", short "root", look look::files {
        /// The folder.
        root: Placed<ExistingFolder>,
        /// What a folder is answered with: the first of these files that is there.
        index: Placed<Vec<Placed<FileName>>> = ["index.html"],
        /// Answers with this file of the folder wherever there is nothing else.
        spa: Option<Placed<FileName>>,
        /// Sends this file of the folder with each 404.
        not_found: Option<Placed<FileName>>,
        /// Finds `about.html` at `/about`, and sends whoever asks for `/about.html` there.
        clean_urls: Placed<bool> = false,
        /// Sends siblings such as `app.js.br` to who accepts them.
        precompressed: Placed<bool> = true,
        /// Shows what is in a folder that has no index.
        listing: Placed<bool> = false,
        /// Gives a folder as one archive to who asks for it; with `listing`.
        archives: Placed<bool> = false,
        /// Where symbolic links may lead.
        links: Placed<Links> = "inside",
        /// Serves names that begin with a dot, too; `.well-known` is always served.
        hidden: Placed<bool> = false,
        /// What tags are made of.
        etags: Placed<Etags> = "inode",
        /// How long files may be kept: `Cache-Control` by patterns of names; the first that fits counts.
        cache_control: Option<Placed<Map<Glob, HeaderValue>>>,
        /// The media types of files whose names end so.
        media_types: Option<Placed<Map<Extension, HeaderValue>>>,
        /// Memory for small files that are asked for often, all workers together.
        memory: Placed<Size> = "64MiB",
    }
}

/// The name of a file in a folder; without the slash that it may begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName(pub String);

/// A pattern of names: `*.css`, `assets/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(pub String);

/// How a name ends, without the dot: `wasm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension(pub String);

impl FromText for FileName {
    const WHAT: &'static str = "the name of a file";
    const EXAMPLE: &'static str = "index.html";

    fn of(text: &str, _: &std::path::Path) -> Result<Self, String> {
        let name = text.strip_prefix('/').unwrap_or(text);
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
        match name.split('/').all(is_plain) {
            true => Ok(Self(name.to_owned())),
            false => Err("a name below the folder is expected: index.html".to_owned()),
        }
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

impl FromText for Glob {
    const WHAT: &'static str = "a pattern of names";
    const EXAMPLE: &'static str = "*.css";

    fn of(text: &str, _: &std::path::Path) -> Result<Self, String> {
        match text.is_empty() {
            true => Err("it is empty".to_owned()),
            false => Ok(Self(text.to_owned())),
        }
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

impl FromText for Extension {
    const WHAT: &'static str = "an ending of names";
    const EXAMPLE: &'static str = "wasm";

    fn of(text: &str, _: &std::path::Path) -> Result<Self, String> {
        let bare = text.strip_prefix('.').unwrap_or(text);
        crate::app::StaticDir::check_media_type(bare, "text/plain").map(|()| Self(bare.to_owned()))
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

table! {
    /// Answers always the same.
    pub struct Respond in "[respond]", short "status", look look::respond {
        /// The status. An error without `text` and `file` is one of kolk's own, with the reason
        /// `handler.configured`: it gets the error page of the route or the site, or JSON.
        status: Placed<StatusCode> = 200,
        /// What is sent; or `file`.
        text: Option<Placed<String>>,
        /// A file whose content is sent; or `text`. It is read once, when the configuration is: at most 16
        /// MiB.
        file: Option<Placed<ExistingFile>>,
        /// The media type; without it, that of the file's name, or text.
        content_type as "type": Option<Placed<HeaderValue>>,
    }
}

/// What an answer that is always the same sends.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// Nothing; errors have the page that the site has for them, or a sentence.
    Nothing,
    /// This text.
    Text(&'a str),
    /// What is in this file.
    File(&'a std::path::Path),
}

impl Respond {
    /// What it sends.
    pub fn content(&self) -> Content<'_> {
        match (&self.text, &self.file) {
            (Some(text), _) => Content::Text(text),
            (None, Some(file)) => Content::File(&file.value.0),
            (None, None) => Content::Nothing,
        }
    }
}

table! {
    /// Sends the client elsewhere.
    pub struct Redirect in "[redirect]", short "to" {
        /// Where: a path or a URL, with `{uri}`, `{path}`, `{query}`, `{host}`, and with the parameters of
        /// the route's path, which come first where one has such a name. Behind a `?` each is the value of
        /// one parameter, with `&`, `=`, `+` and `;` encoded; `{query}` there goes on with `&`.
        to: Placed<Template>,
        /// How: 301 and 308 for ever, 302, 303 and 307 for now.
        status: Placed<RedirectStatus> = 302,
    }
}

table! {
    /// Asks the routes of the site again, with another path: `strip_prefix`, or `to` with or without `regex`.
    pub struct Rewrite in "[rewrite]", look look::rewrite {
        /// What is taken off the beginning of the path.
        strip_prefix: Option<Placed<Text>>,
        /// What the whole path must look like; its groups are placeholders of `to`: `{1}`, `{name}`. For
        /// another path the route is passed over, as if a condition of it did not hold.
        regex: Option<Placed<Regex>>,
        /// The new path: with `{path}`, `{host}`, and with the parameters of the route's path, which come
        /// first where one has such a name. The query stays.
        to: Option<Placed<Template>>,
    }
}

/// How a path becomes another one.
#[derive(Clone, Copy, Debug)]
pub enum Rewriting<'a> {
    /// This is taken off its beginning; never with a slash at the end.
    Strip(&'a str),
    /// It becomes this.
    Replace {
        /// If it looks like this; otherwise no route is for the request.
        regex: Option<&'a Regex>,
        /// The new path.
        to: &'a Template,
    },
}

impl Rewrite {
    /// How a path becomes another one. A configuration without errors says it for each.
    pub fn rewriting(&self) -> Option<Rewriting<'_>> {
        match (&self.strip_prefix, &self.to) {
            (Some(prefix), _) => Some(Rewriting::Strip(prefix.0.trim_end_matches('/'))),
            (None, Some(to)) => Some(Rewriting::Replace {
                regex: self.regex.as_ref().map(|regex| &regex.value),
                to: &to.value,
            }),
            (None, None) => None,
        }
    }
}

/// What stands around an expression that the whole of a text must look like.
const WHOLE_FROM: &str = r"\A(?:";
const WHOLE_TO: &str = r")\z";

/// A regular expression that the whole of a text must look like, and the names of its groups.
#[derive(Clone, Debug)]
pub struct Regex(pub regex::Regex);

impl Regex {
    /// What its groups are called in a template: by number, and by name.
    pub fn groups(&self) -> Vec<String> {
        let names = self.0.capture_names().flatten().map(str::to_owned);
        (0..self.0.captures_len()).map(|number| number.to_string()).chain(names).collect()
    }
}

impl FromText for Regex {
    const WHAT: &'static str = "a regular expression";
    const EXAMPLE: &'static str = "^/user/([0-9]+)$";

    fn of(text: &str, _: &std::path::Path) -> Result<Self, String> {
        let build = |text: &str| regex::RegexBuilder::new(text).size_limit(1 << 20).build();
        // Alone first: what is wrong is told as it was written.
        let built = build(text).and_then(|_| build(&format!("{WHOLE_FROM}{text}{WHOLE_TO}")));
        built.map(Self).map_err(|error| match error {
            regex::Error::Syntax(long) => {
                let last = long.lines().last().unwrap_or("it cannot be understood");
                last.trim_start_matches("error: ").to_owned()
            }
            other => other.to_string(),
        })
    }

    fn text(&self) -> String {
        let text = self.0.as_str();
        let inside = text.strip_prefix(WHOLE_FROM).and_then(|text| text.strip_suffix(WHOLE_TO));
        inside.unwrap_or(text).to_owned()
    }
}
