//! THE CONFIGURATION FILE: TOML as a complete and checked description in which everything has its place.
//!
//! ```text
//!  kolk.toml ─► include ─► node ─► read ─► the tables ─► check ─► Configuration
//!               files      TOML     kinds,     │        names,          │
//!               as one              keys     schema,    hosts,        dump
//!                                           reference   ties
//! ```
//! | file | what lives there |
//! | --- | --- |
//! | `place`, `problem` | [`Place`], [`Placed`]; [`Problem`], [`Errors`] |
//! | `include`, `node` | the files as one tree |
//! | `given` | what is said beside the files, and counts instead of them |
//! | `key`, `read`, `look` | how a table is described, read, and which keys go together |
//! | `value`, `message`, `path`, `template`, `units` | the values of keys |
//! | `server`, `named`, `logs`, `site`, `action` | the tables |
//! | `check`, `routes`, `ties` | what has to do with each other, across tables |
//! | `dump`, `schema`, `reference` | what else comes from the description |
//! | `change` | what differs between two files and only a start can make so |
//!
//! Invariant: a [`Configuration`] has no errors, and all errors are told at once. Knows no server: whoever
//! builds one takes the values from here.

mod action;
mod change;
mod check;
mod dump;
mod fixed;
mod given;
mod include;
mod key;
mod logs;
mod look;
mod message;
mod named;
mod node;
mod path;
mod place;
mod problem;
mod read;
mod reference;
mod routes;
mod schema;
mod server;
mod site;
mod template;
mod ties;
pub mod units;
mod value;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use change::Changes;

pub use action::{
    Content, Etags, Extension, FileName, Glob, Links, Redirect, Regex, Respond, Rewrite, Rewriting,
    StaticFiles,
};
pub use given::Given;
use include::Opening;
pub use logs::{AccessLog, ErrorFormat, ErrorLog, Log, LogFormat, LogLevel, LogTo, Redacted, Sample};
pub use message::{Condition, FieldName, Host, Map, PageOrigin, Parameter, RateKey, StatusSet};
pub use named::{
    Auth, AuthKind, Failures, Headers, JwtAlgorithm, JwtKeys, RateLimit, RateMode, Realm, Scheme, Subject,
};
pub use place::{Origin, Place, Placed};
pub use problem::{Errors, Problem};
pub use read::Named;
pub use reference::reference;
pub use schema::schema;
pub use server::{
    Certificate, ClientCertificate, Limits, Listen, Protocol, Proxy, ProxyProtocol, RequestIds, Server,
    ServerName, Timeouts, Tls, TlsVersion, Trust, TrustHeader, User, Workers,
};
pub use site::{Action, Coding, Compress, Cors, Hsts, Maintenance, NameOrNone, Route, RouteTimeouts, Site};
pub use template::{Part, Template};
pub use value::{
    ByteRate, ExistingFile, ExistingFolder, Fraction, Name, Rate, RedirectStatus, SchemaVersion, Size, Text,
    WatchedFile,
};

use key::{Table, table};
use read::Reader;

table! {
    /// The whole file.
    pub struct Root in "the file" {
        /// The version of this description: 1.
        schema: Placed<SchemaVersion> = 1,
        /// Other files, relative to this one; `*` in the last part of a path stands for any text. The order
        /// of files never matters.
        include: Option<Placed<Vec<Placed<String>>>>,
        /// The process: its threads, its rights, its end.
        server: Box<Server> = {},
        /// Where to listen.
        listen: Vec<Listen>,
        /// How connections are encrypted.
        tls: Box<Tls> = {},
        /// How many requests there may be.
        rate: Named<RateLimit>,
        /// Who may come in.
        auth: Named<Auth>,
        /// Changes of the fields of answers.
        headers: Named<Headers>,
        /// What is written down.
        log: Box<Log> = {},
        /// What is served, under which names; at least one.
        site: Vec<Site>,
        later {
            "upstream": "the reverse proxy comes in a later version",
            "cache": "the cache of answers comes in a later version",
        }
    }
}

/// A configuration without errors: all its tables, with defaults filled in.
///
/// ```
/// use kolk::Configuration;
///
/// let text = "[[site]]\nhosts = \"example.com\"\nrespond = { status = 404, text = \"nothing\" }\n";
/// let configuration = Configuration::parse(text, "kolk.toml").unwrap();
/// assert_eq!(configuration.site[0].hosts.origin.to_string(), "kolk.toml:2");
/// assert_eq!(configuration.server.limits.body.origin.to_string(), "default");
///
/// let errors = Configuration::parse("[server]\nwrkers = 2\n", "kolk.toml").unwrap_err();
/// assert!(errors.to_string().contains("did you mean `workers`?"));
/// ```
#[derive(Clone, Debug)]
pub struct Configuration {
    root: Root,
    files: Vec<PathBuf>,
    named_files: Vec<Placed<PathBuf>>,
}

impl Configuration {
    /// Reads the file at `path` and all that it includes.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Errors> {
        Self::load_given(path, &Given::default())
    }

    /// The same, where some of it is said elsewhere.
    ///
    /// # Errors
    /// Everything that is wrong, also with what is given.
    pub fn load_given(path: impl AsRef<Path>, given: &Given) -> Result<Self, Errors> {
        Self::load_from(path.as_ref(), given, Opening::Waiting)
    }

    /// The same for a server that runs, which waits for nobody: the file has to be a regular one, and no
    /// pipe.
    ///
    /// ```
    /// use kolk::{Configuration, Given};
    ///
    /// let errors = Configuration::load_again("/dev/null", &Given::default()).unwrap_err();
    /// assert!(errors.to_string().contains("cannot read /dev/null: this is a device"));
    /// ```
    ///
    /// # Errors
    /// As [`Configuration::load_given`].
    pub fn load_again(path: impl AsRef<Path>, given: &Given) -> Result<Self, Errors> {
        Self::load_from(path.as_ref(), given, Opening::AtOnce)
    }

    fn load_from(path: &Path, given: &Given, opening: Opening) -> Result<Self, Errors> {
        let mut reader = Reader::new(&variable);
        match include::read(path, None, opening, &mut reader) {
            Some(text) => Self::of(&text, given, reader),
            None => Err(Errors::new(reader.problems)),
        }
    }

    /// What `text` says, a file that would be called `name`: paths in it are relative to the folder of that.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn parse(text: &str, name: impl AsRef<Path>) -> Result<Self, Errors> {
        Self::parse_with(text, name, &variable)
    }

    /// The same, where some of it is said elsewhere.
    ///
    /// # Errors
    /// Everything that is wrong, also with what is given.
    pub fn parse_given(text: &str, name: impl AsRef<Path>, given: &Given) -> Result<Self, Errors> {
        Self::of(&place::Text::new(name.as_ref(), text), given, Reader::new(&variable))
    }

    /// The same, with variables of its own.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn parse_with(
        text: &str,
        name: impl AsRef<Path>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Errors> {
        Self::of(&place::Text::new(name.as_ref(), text), &Given::default(), Reader::new(environment))
    }

    fn of(text: &Arc<place::Text>, given: &Given, mut reader: Reader<'_>) -> Result<Self, Errors> {
        let mut sources = include::Sources::default();
        let mut tree = sources.tree(text, &(Root::shape().keys)(), &mut reader);
        if sources.is_broken {
            return Err(Errors::new(reader.problems));
        }
        given.lay_over(&mut tree);
        // A file that is not there might have the names that are missed.
        let is_whole = reader.problems.is_empty();
        reader.problems.append(&mut sources.strays);
        match Root::read(&tree, &mut reader) {
            Some(root) if is_whole => {
                check::check(&root, &tree, &mut reader);
                // Whoever has misspelt it is told that alone.
                if reader.problems.is_empty() && root.site.is_empty() {
                    reader.problems.push(sources.without_site(&tree));
                }
                if reader.problems.is_empty() {
                    return Ok(Self { root, files: sources.files, named_files: reader.named_files });
                }
            }
            Some(_) => {}
            None if reader.problems.is_empty() => reader.refuse(&tree, "this is no configuration"),
            None => {}
        }
        Err(Errors::new(reader.problems))
    }

    /// [`schema()`]
    pub fn schema() -> String {
        schema()
    }

    /// [`reference()`]
    pub fn reference() -> String {
        reference()
    }

    /// The files that were read, the first one first.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The files that values name and that are read with these: certificates, keys, passwords, tokens, pages.
    pub fn named_files(&self) -> &[Placed<PathBuf>] {
        &self.named_files
    }

    /// Every value with its origin: a file that means the same.
    pub fn dump(&self) -> String {
        let mut dump = dump::Dump::default();
        self.root.dump(&mut dump);
        dump.finish()
    }
}

/// The value of a variable of this process.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Deref for Configuration {
    type Target = Root;

    fn deref(&self) -> &Root {
        &self.root
    }
}

/// Reads the file at `path` and all that it includes.
///
/// # Errors
/// Everything that is wrong.
pub fn load(path: impl AsRef<Path>) -> Result<Configuration, Errors> {
    Configuration::load(path)
}

/// What `text` says, a file that would be called `name`.
///
/// # Errors
/// Everything that is wrong.
pub fn parse(text: &str, name: impl AsRef<Path>) -> Result<Configuration, Errors> {
    Configuration::parse(text, name)
}
