//! What is written down, where and how: `[log]`, `[log.error]`, `[log.access.NAME]`. Opens nothing.

use std::path::{Path, PathBuf};

use ::http::HeaderName;

use super::key::{Kind, Value, Word, table, words};
use super::node::{Node, Raw};
use super::place::Placed;
use super::read::{FromText, Named, Reader, nearest, quoted, shortened};
use super::template::Template;
use super::value::{self, Fraction};
use crate::sys::syslog::Facility;

words! {
    /// How much the server says about itself.
    pub enum LogLevel {
        /// What keeps it from working.
        Error = "error",
        /// What deserves attention.
        Warn = "warn",
        /// What it does.
        Info = "info",
        /// More.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

words! {
    /// How lines of the error log look.
    pub enum ErrorFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line: `time`, `level`, `target`, `message`.
        Json = "json",
    }
}

table! {
    /// What is written down.
    pub struct Log in "[log]" {
        /// How much the server says about itself.
        level: Placed<LogLevel> = "info",
        /// Where it says that.
        error: Box<ErrorLog> = {},
        /// The logs of requests; sites and routes name them.
        access: Named<AccessLog>,
    }
}

table! {
    /// Where the server writes what it says about itself.
    pub struct ErrorLog in "[log.error]", short "to" {
        /// `"stderr"`, `"stdout"`, `"syslog:"` (facility daemon), `"syslog:local3"` (or another),
        /// `"unix:PATH"` (datagrams) or a file, which USR1 opens anew.
        to: Placed<LogTo> = "stderr",
        /// How its lines look.
        format: Placed<ErrorFormat> = "text",
    }
}

table! {
    /// A log with a line for each request.
    pub struct AccessLog in "[log.access.NAME]", short "to" {
        /// `"stdout"`, `"stderr"`, `"syslog:"` (facility local7), `"syslog:local3"` (or another),
        /// `"unix:PATH"` (datagrams) or a file, which USR1 opens anew.
        to: Placed<LogTo> = "stdout",
        /// `"json"`, `"combined"`, `"pretty"`, or a text with placeholders such as
        /// `"{client} {method} {target} {status}"`.
        format: Placed<LogFormat> = "json",
        /// How many of the requests are written down.
        sample: Box<Sample> = {},
        /// What is not written down: `"client"` (but its network: IPv4 /24, IPv6 /48), `"user"`, `"host"`,
        /// `"referer"`, `"user-agent"`, and `"query:NAME"`. Of other fields nothing is ever written.
        redact: Placed<Vec<Placed<Redacted>>> = ["authorization", "cookie"],
    }
}

table! {
    /// How many of the requests are written down.
    pub struct Sample in "[log.access.NAME.sample]" {
        /// Of those that are answered with a status below 400: from 0.0, none, to 1.0, all.
        ok: Placed<Fraction> = 1.0,
        /// Of the others.
        error: Placed<Fraction> = 1.0,
    }
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTo {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The log of the system, and where that sorts them, if it is said.
    Syslog(Option<Facility>),
    /// Datagrams to this socket.
    Unix(PathBuf),
    /// This file.
    File(PathBuf),
}

impl FromText for LogTo {
    const WHAT: &'static str = "a place for a log";
    const EXAMPLE: &'static str = "/var/log/kolk/access.log";

    fn of(text: &str, folder: &Path) -> Result<Self, String> {
        match text {
            "stdout" => return Ok(Self::Stdout),
            "stderr" => return Ok(Self::Stderr),
            "syslog:" => return Ok(Self::Syslog(None)),
            "unix:" => return Err("the path of a socket must follow: unix:/run/log.sock".to_owned()),
            _ => {}
        }
        if let Some(name) = text.strip_prefix("syslog:") {
            return facility(name).map(|facility| Self::Syslog(Some(facility)));
        }
        if let Some(meant) = misspelt(text) {
            return Err(format!("did you mean `{meant}`? A file of this name is `./{}`", shortened(text)));
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return <PathBuf as FromText>::of(path, folder).and_then(value::socket).map(Self::Unix);
        }
        if let Some(scheme) = scheme(text) {
            return Err(format!(
                "there are `syslog:` and `unix:PATH`, and no `{scheme}:`; a file of this name is `./{}`",
                shortened(text)
            ));
        }
        let path = <PathBuf as FromText>::of(text, folder)?;
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        match above.filter(|above| !above.is_dir()) {
            Some(above) => Err(format!("there is no folder {}", above.display())),
            None if path.is_dir() || text.ends_with('/') => Err("this is a folder".to_owned()),
            None => Ok(Self::File(path)),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Stdout => "stdout".to_owned(),
            Self::Stderr => "stderr".to_owned(),
            Self::Syslog(facility) => format!("syslog:{}", facility.map_or("", Facility::name)),
            Self::Unix(path) => format!("unix:{}", path.display()),
            Self::File(path) => path.display().to_string(),
        }
    }
}

/// The facility of this name, or else the one that is meant.
fn facility(name: &str) -> Result<Facility, String> {
    let names = || Facility::ALL.iter().map(|facility| facility.name());
    Facility::named(name).ok_or_else(|| match nearest(name, names()) {
        Some(meant) => format!("did you mean `syslog:{meant}`?"),
        None => format!("its facilities are {}", names().collect::<Vec<_>>().join(", ")),
    })
}

/// What is meant by a text that is nearly a word, and would be a file beside the configuration.
fn misspelt(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("unix:") {
        return (!text.starts_with("unix:")).then_some("unix:PATH");
    }
    if lower.starts_with("syslog:") {
        return Some("syslog:");
    }
    if lower.contains(['/', '.']) {
        return None;
    }
    match lower.as_str() {
        text if text.starts_with("syslog") => Some("syslog:"),
        text if text.starts_with("std") => nearest(text, ["stdout", "stderr"].into_iter()).or(Some("stdout")),
        _ => None,
    }
}

/// What stands before the first colon, if that may name a way to somewhere else. RFC 3986 §3.1
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let is_one = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-'));
    is_one.then_some(scheme)
}

/// How lines of an access log look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// That of Apache and nginx.
    Combined,
    /// For people.
    Pretty,
    /// This text, with what [`LogFormat::NAMES`] stand for.
    Template(Template),
}

impl LogFormat {
    /// The placeholders of a template: the members of the JSON lines, and the client's address as it is
    /// believed.
    pub const NAMES: [&str; 27] = [
        "time",
        "client",
        "peer",
        "scheme",
        "host",
        "method",
        "target",
        "version",
        "status",
        "bytes",
        "site",
        "route",
        "user",
        "reason",
        "rate",
        "rate_result",
        "referer",
        "user_agent",
        "accept_us",
        "parse_us",
        "handle_us",
        "respond_us",
        "total_us",
        "worker",
        "connection",
        "request",
        "id",
    ];
    const WORDS: &[Word] = &[
        Word { text: "json", doc: "one JSON object a line", is_later: false },
        Word { text: "combined", doc: "the format of Apache and nginx", is_later: false },
        Word { text: "pretty", doc: "for people", is_later: false },
    ];
}

impl Value for LogFormat {
    fn kind() -> Kind {
        let template = Kind::Text("a text with placeholders", "{client} {method} {target} {status}");
        Kind::Any(vec![Kind::Words(Self::WORDS), template])
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.raw {
            Raw::Text(text) if text == "json" => return Some(Self::Json),
            Raw::Text(text) if text == "combined" => return Some(Self::Combined),
            Raw::Text(text) if text == "pretty" => return Some(Self::Pretty),
            Raw::Text(text) if !text.contains('{') => {
                reader.word(node, Self::WORDS);
                return None;
            }
            _ => {}
        }
        let template = Template::read(node, reader)?;
        if let Some(name) = template.unknown(&Self::NAMES) {
            value::unknown_placeholder(&node.origin, reader, name, &Self::NAMES);
            return None;
        }
        Some(Self::Template(template))
    }

    fn show(&self) -> String {
        match self {
            Self::Json => quoted("json"),
            Self::Combined => quoted("combined"),
            Self::Pretty => quoted("pretty"),
            Self::Template(template) => template.show(),
        }
    }
}

/// What a log does not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redacted {
    /// Of the address of the client, and of the peer, all but its network.
    Client,
    /// Who the client has proved to be.
    User,
    /// The value of this field: of `host`, `referer`, `user-agent`, or of `authorization` and `cookie`, which
    /// no line has.
    Field(HeaderName),
    /// The value of this parameter of the query.
    Query(String),
}

/// The fields that a line may have, and two that people want to be sure of.
const FIELDS: [&str; 5] = ["host", "referer", "user-agent", "authorization", "cookie"];

impl FromText for Redacted {
    const WHAT: &'static str = "something that a log can leave out";
    const EXAMPLE: &'static str = "query:token";

    fn of(text: &str, folder: &Path) -> Result<Self, String> {
        match text.strip_prefix("query:") {
            Some("") => Err("the name of a parameter must follow: query:token".to_owned()),
            Some(name) => Ok(Self::Query(name.to_owned())),
            None => match text.to_ascii_lowercase().as_str() {
                "client" => Ok(Self::Client),
                "user" => Ok(Self::User),
                field if FIELDS.contains(&field) => {
                    <HeaderName as FromText>::of(field, folder).map(Self::Field)
                }
                "peer" => Err("`client` leaves it out, too".to_owned()),
                other => Err(match nearest(other, FIELDS.into_iter().chain(["client", "user"])) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => "there are client, user, host, referer, user-agent and query:NAME".to_owned(),
                }),
            },
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Client => "client".to_owned(),
            Self::User => "user".to_owned(),
            Self::Field(name) => name.as_str().to_owned(),
            Self::Query(name) => format!("query:{name}"),
        }
    }
}
