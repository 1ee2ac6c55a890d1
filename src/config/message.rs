//! The values of keys that speak of requests and answers: hosts, fields, conditions.
//!
//! | in the file | here |
//! | --- | --- |
//! | `"example.com"`, `"*.example.com"`, `"*"` | [`Host`] |
//! | `{ "x-frame-options" = "DENY" }` | [`Map`] of [`FieldName`] and `HeaderValue` |
//! | `{ "x-beta" = "1", "cookie" = true }` | [`Map`] of names and [`Condition`]s |
//! | `{ 404 = "/404.html", 5xx = "/50x.html" }` | [`Map`] of [`StatusSet`] and pages |
//! | `"client_ip"`, `"header:authorization"` | [`RateKey`] |

use std::path::Path;

use ::http::HeaderName;

use super::key::{Kind, Value};
use super::node::{Node, Raw};
use super::place::{Origin, Placed};
use super::problem::Problem;
use super::read::{FromText, Reader, quoted, shortened, without_variables};

/// Which hosts are meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// This one, in small letters.
    Exact(String),
    /// Every one below this one: `*.example.com` is `example.com` here.
    Below(String),
    /// Every one that nothing else names.
    Any,
}

/// A table whose keys the file chooses, in the order of the file.
#[derive(Clone, Debug)]
pub struct Map<K, V>(pub Vec<(Placed<K>, Placed<V>)>);

/// The name of a field that a configuration may set: not one that says where a message ends, or that is
/// meant for the next hop alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldName(pub HeaderName);

/// What is expected of a field or of a parameter of the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It is there, with this value.
    Is(String),
    /// It is there.
    Present,
    /// It is not there.
    Absent,
}

/// One status, or a hundred of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusSet {
    /// This one.
    Exactly(u16),
    /// All that begin with this digit: `5xx`.
    Class(u16),
}

/// By what requests are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateKey {
    /// The address of the client; IPv6 by its /64.
    ClientIp,
    /// A field of the request.
    Header(HeaderName),
    /// A cookie.
    Cookie(String),
    /// The path.
    Path,
}

/// An origin that pages come from, or `*` for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageOrigin {
    /// Every one.
    Any,
    /// This one, or those of a pattern: `https://*.example.com`.
    Exact(String),
}

/// A name of a parameter of the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter(pub String);

impl<K: FromText, V: Value> Value for Map<K, V> {
    fn kind() -> Kind {
        Kind::Map(K::WHAT, K::KEY_PATTERN, Box::new(V::kind()))
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Raw::Table(entries) = &node.raw else {
            reader.expected(node, &format!("a table such as {{ {} = … }}", quoted(K::EXAMPLE)));
            return None;
        };
        let mut pairs: Vec<(Placed<K>, Placed<V>)> = Vec::new();
        for entry in entries {
            let name = match K::of(&entry.name, Path::new("")) {
                Ok(name) => Some(name),
                Err(why) => {
                    let message = format!("`{}` is not {}", shortened(&entry.name), K::WHAT);
                    reader.problems.push(Problem::new(entry.place.as_ref(), message).label(why));
                    None
                }
            };
            let value = V::read(&entry.node, reader);
            let (Some(name), Some(value)) = (name, value) else { continue };
            // Two spellings of one name: TOML tells only equal ones.
            if let Some((first, _)) = pairs.iter().find(|(known, _)| known.text() == name.text()) {
                let message = format!("`{}` is there twice", name.text());
                let problem = Problem::new(entry.place.as_ref(), message);
                reader.problems.push(problem.other(first.place(), "here, too"));
                continue;
            }
            let origin = entry.place.clone().map_or(Origin::Default, Origin::File);
            let value = Placed { value, origin: entry.node.whole_origin() };
            pairs.push((Placed { value: name, origin }, value));
        }
        Some(Self(pairs))
    }

    fn show(&self) -> String {
        if self.0.is_empty() {
            return "{}".to_owned();
        }
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("{} = {}", quoted(&name.text()), value.show()))
            .collect();
        format!("{{ {} }}", pairs.join(", "))
    }
}

impl FromText for Host {
    const WHAT: &'static str = "a host";
    const EXAMPLE: &'static str = "example.com";

    fn of(text: &str, _: &Path) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let lower = text.to_ascii_lowercase();
        let lower = lower.strip_suffix('.').unwrap_or(&lower);
        if let Some(address) = lower.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return match address.parse::<std::net::Ipv6Addr>() {
                Ok(address) => Ok(Self::Exact(format!("[{address}]"))),
                Err(_) => Err("only an IPv6 address stands in brackets".to_owned()),
            };
        }
        let (is_wildcard, name) = match lower.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, lower),
        };
        if let Some(why) = wrong_name(name) {
            return Err(why.to_owned());
        }
        Ok(if is_wildcard { Self::Below(name.to_owned()) } else { Self::Exact(name.to_owned()) })
    }

    fn text(&self) -> String {
        match self {
            Self::Exact(name) => name.clone(),
            Self::Below(name) => format!("*.{name}"),
            Self::Any => "*".to_owned(),
        }
    }
}

/// Why no host has this name.
fn wrong_name(name: &str) -> Option<&'static str> {
    if name.contains("://") || name.contains('/') {
        return Some("only the name is meant, without scheme and path");
    }
    if name.contains('*') {
        return Some("a `*` stands for the first label alone: *.example.com");
    }
    if name.contains(':') {
        return Some("only the name is meant, without a port; an IPv6 address stands in brackets");
    }
    if !name.is_ascii() {
        return Some("names are written as they are sent: in ASCII, with xn--");
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let is_name = name.len() <= 253 && name.split('.').all(is_label);
    (!is_name).then_some("labels of letters, digits and `-` are expected, with dots between")
}

impl FromText for FieldName {
    const WHAT: &'static str = "a field that can be set";
    const EXAMPLE: &'static str = "x-frame-options";

    fn of(text: &str, folder: &Path) -> Result<Self, String> {
        let name = <HeaderName as FromText>::of(text, folder)?;
        let ours = match name.as_str() {
            "content-length" | "transfer-encoding" | "trailer" => "it says where a message ends",
            "connection" | "keep-alive" | "upgrade" | "te" | "proxy-connection" => {
                "it is about the connection"
            }
            "date" => "kolk always sends the time",
            _ => return Ok(Self(name)),
        };
        Err(format!("kolk itself sends this one: {ours}"))
    }

    fn text(&self) -> String {
        self.0.as_str().to_owned()
    }
}

impl Value for Condition {
    fn kind() -> Kind {
        Kind::Any(vec![Kind::Text("a text", "1"), Kind::Boolean])
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match node.raw {
            Raw::Boolean(true) => Some(Self::Present),
            Raw::Boolean(false) => Some(Self::Absent),
            _ => {
                let what = "a text, true (it is there) or false (it is not)";
                reader.text(node, what).map(Self::Is)
            }
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Is(text) => quoted(&without_variables(text)),
            Self::Present => "true".to_owned(),
            Self::Absent => "false".to_owned(),
        }
    }
}

impl StatusSet {
    /// Whether `status` is meant.
    pub const fn contains(self, status: u16) -> bool {
        match self {
            Self::Exactly(one) => one == status,
            Self::Class(digit) => status / 100 == digit,
        }
    }
}

impl FromText for StatusSet {
    const WHAT: &'static str = "a status of an error";
    const EXAMPLE: &'static str = "404";
    const KEY_PATTERN: Option<&'static str> = Some("^([45][0-9][0-9]|4xx|5xx)$");

    fn of(text: &str, _: &Path) -> Result<Self, String> {
        match (text, text.parse()) {
            ("4xx", _) => Ok(Self::Class(4)),
            ("5xx", _) => Ok(Self::Class(5)),
            (_, Ok(status @ 400..=599)) if text.len() == 3 => Ok(Self::Exactly(status)),
            _ => Err("400 to 599, 4xx or 5xx are expected".to_owned()),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Exactly(status) => status.to_string(),
            Self::Class(digit) => format!("{digit}xx"),
        }
    }
}

impl FromText for RateKey {
    const WHAT: &'static str = "what requests are counted by";
    const EXAMPLE: &'static str = "client_ip";

    fn of(text: &str, folder: &Path) -> Result<Self, String> {
        match (text, text.split_once(':')) {
            ("client_ip", _) => Ok(Self::ClientIp),
            ("path", _) => Ok(Self::Path),
            (_, Some(("header", name))) => <HeaderName as FromText>::of(name, folder).map(Self::Header),
            (_, Some(("cookie", name))) if HeaderName::from_bytes(name.as_bytes()).is_ok() => {
                Ok(Self::Cookie(name.to_owned()))
            }
            _ => Err("expected client_ip, path, header:NAME or cookie:NAME".to_owned()),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::ClientIp => "client_ip".to_owned(),
            Self::Header(name) => format!("header:{name}"),
            Self::Cookie(name) => format!("cookie:{name}"),
            Self::Path => "path".to_owned(),
        }
    }
}

impl FromText for PageOrigin {
    const WHAT: &'static str = "an origin";
    const EXAMPLE: &'static str = "https://app.example";

    fn of(text: &str, _: &Path) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        match crate::app::Cors::origins([text]) {
            Ok(_) => Ok(Self::Exact(text.to_owned())),
            Err(_) => Err(
                "scheme, host and port are expected: https://app.example:8443, https://*.example.com, or *"
                    .to_owned(),
            ),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Any => "*".to_owned(),
            Self::Exact(origin) => origin.clone(),
        }
    }
}

impl FromText for Parameter {
    const WHAT: &'static str = "a parameter of the query";
    const EXAMPLE: &'static str = "version";

    fn of(text: &str, _: &Path) -> Result<Self, String> {
        match text.is_empty() || text.contains(['&', '=', '#', '?']) {
            true => Err("a decoded name is expected".to_owned()),
            false => Ok(Self(text.to_owned())),
        }
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}
