//! The values of keys: sizes, times, rates, networks, paths of this machine.
//!
//! | in the file | here |
//! | --- | --- |
//! | `"16MiB"`, `4096` | [`Size`] |
//! | `"500ms"`, `"75s"`, `"2m"` | [`Duration`] |
//! | `"1KiB/s"` | [`ByteRate`] |
//! | `"5/m"`, `"50/s"` | [`Rate`] |
//! | `"10.0.0.0/8"`, `"::1"` | [`IpNet`] |
//! | `"www"` | [`ExistingFile`], [`WatchedFile`], [`ExistingFolder`], [`PathBuf`] |

use std::io::ErrorKind;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, Method, StatusCode};
use ipnet::IpNet;

use super::key::{Kind, Value};
use super::node::{Node, Raw};
use super::place::Origin;
use super::problem::Problem;
use super::read::{FromText, Reader, enumerated, nearest, quoted, without_variables};
use super::units::{duration, duration_text, size, size_before, size_text};
use crate::base::canonical;
use crate::net::ListenAddr;
use crate::sys::regular;
use crate::sys::socket_file::PATH_BYTES_MAX;

/// Why a file is of no use, and what makes it: whom the process has become reads it again.
pub(super) const MAY_NOT_BE_READ: &str =
    "may not be read by this user: let a group of that user read it, or give it an ACL";

/// So many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// So many bytes a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteRate(pub u64);

/// So many in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least one.
    pub count: NonZero<u32>,
    /// In how long: a second, a minute, an hour or a day.
    pub period: Duration,
}

/// A number from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fraction(pub f64);

/// A file that is there; relative to the file that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingFile(pub PathBuf);

/// A file that is watched, relative to the file that names it. Whoever reads it tells whether it may be read:
/// one that was read before may still be good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedFile(pub PathBuf);

/// A folder that is there; relative to the file that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingFolder(pub PathBuf);

/// What the statuses of redirects are.
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// A status of a redirect: 301, 302, 303, 307 or 308.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedirectStatus(pub StatusCode);

/// A name of something in this configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(pub String);

/// The version of the description that a file follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaVersion;

/// A text that is not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub String);

impl Value for bool {
    fn kind() -> Kind {
        Kind::Boolean
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match node.raw {
            Raw::Boolean(value) => Some(value),
            _ => {
                reader.expected(node, "true or false");
                None
            }
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// Any text, also none.
impl Value for String {
    fn kind() -> Kind {
        Kind::Text("a text", "a text")
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        reader.text(node, "a text")
    }

    fn show(&self) -> String {
        quoted(&without_variables(self))
    }
}

macro_rules! integer {
    ($type:ty, $min:expr, $max:expr) => {
        impl Value for $type {
            fn kind() -> Kind {
                Kind::Integer($min, $max)
            }

            fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                Self::try_from(reader.integer(node, $min, $max)?).ok()
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    };
}

integer!(u32, 0, u32::MAX as u64);
integer!(u64, 0, u64::MAX);

impl Value for NonZero<u32> {
    fn kind() -> Kind {
        Kind::Integer(1, u64::from(u32::MAX))
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let number = reader.integer(node, 1, u64::from(u32::MAX))?;
        u32::try_from(number).ok().and_then(Self::new)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Fraction {
    fn kind() -> Kind {
        Kind::Fraction
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let number = match &node.raw {
            Raw::Number(number) => *number,
            Raw::Integer(digits) => digits.parse().unwrap_or(f64::NAN),
            _ => {
                reader.expected(node, "a number from 0.0 to 1.0");
                return None;
            }
        };
        if !(0.0..=1.0).contains(&number) {
            reader.refuse(node, "expected a number from 0.0 to 1.0");
            return None;
        }
        Some(Self(number))
    }

    fn show(&self) -> String {
        format!("{:?}", self.0)
    }
}

impl Value for SchemaVersion {
    fn kind() -> Kind {
        Kind::Integer(1, 1)
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.raw {
            Raw::Integer(digits) if digits == "1" => Some(Self),
            Raw::Integer(digits) => {
                reader.refuse(node, format!("this kolk knows schema 1, and the file is of schema {digits}"));
                None
            }
            _ => {
                reader.expected(node, "1");
                None
            }
        }
    }

    fn show(&self) -> String {
        "1".to_owned()
    }
}

/// The status that `node` is, if it passes.
fn status(node: &Node, reader: &mut Reader<'_>, what: &str, passes: fn(u16) -> bool) -> Option<StatusCode> {
    let Raw::Integer(digits) = &node.raw else {
        reader.expected(node, what);
        return None;
    };
    let status = digits.parse().ok().filter(|status| passes(*status)).map(StatusCode::from_u16);
    let Some(Ok(status)) = status else {
        reader.refuse(node, format!("expected {what}, found {digits}"));
        return None;
    };
    Some(status)
}

impl Value for StatusCode {
    fn kind() -> Kind {
        Kind::Integer(200, 599)
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        status(node, reader, "a status from 200 to 599", |status| (200..=599).contains(&status))
    }

    fn show(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Value for RedirectStatus {
    fn kind() -> Kind {
        Kind::Numbers(&REDIRECTS)
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let what = "a status of a redirect (301, 302, 303, 307 or 308)";
        status(node, reader, what, |status| REDIRECTS.contains(&status)).map(Self)
    }

    fn show(&self) -> String {
        self.0.as_str().to_owned()
    }
}

/// Also a number of bytes without quotes.
impl Value for Size {
    fn kind() -> Kind {
        Kind::Any(vec![Kind::Text("a size", "16MiB"), Kind::Integer(0, u64::MAX)])
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if let Raw::Integer(_) = node.raw {
            return reader.integer(node, 0, u64::MAX).map(Self);
        }
        let text = reader.text(node, "a size such as \"16MiB\"")?;
        match size(&text) {
            Ok(bytes) => Some(Self(bytes)),
            Err(why) => {
                reader.misread(node, &text, "a size", &why.to_string());
                None
            }
        }
    }

    fn show(&self) -> String {
        quoted(&size_text(self.0))
    }
}

impl FromText for Duration {
    const WHAT: &'static str = "a time";
    const EXAMPLE: &'static str = "30s";

    fn of(text: &str, _: &Path) -> Result<Self, String> {
        duration(text).map_err(|error| error.to_string())
    }

    fn text(&self) -> String {
        duration_text(*self)
    }
}

impl FromText for ByteRate {
    const WHAT: &'static str = "a rate of bytes";
    const EXAMPLE: &'static str = "1KiB/s";

    fn of(text: &str, _: &Path) -> Result<Self, String> {
        let (bytes, _) = text.split_once('/').filter(|(_, unit)| *unit == "s").ok_or_else(|| {
            format!("bytes a second are expected: {}/s", text.split('/').next().unwrap_or("1KiB"))
        })?;
        size_before(bytes, "/s").map(Self).map_err(|error| error.to_string())
    }

    fn text(&self) -> String {
        format!("{}/s", size_text(self.0))
    }
}

impl FromText for Rate {
    const WHAT: &'static str = "a rate";
    const EXAMPLE: &'static str = "5/m";

    fn of(text: &str, _: &Path) -> Result<Self, String> {
        let (count, unit) = text.split_once('/').ok_or("a number and a unit are expected: 5/m")?;
        let number = Some(count).filter(|count| is_digits(count)).and_then(|count| count.parse().ok());
        let count = number.ok_or_else(|| format!("`{count}` is no number from 1 up"))?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "sec" | "second" => return Err(format!("the unit is written s: {count}/s")),
            "min" | "minute" => return Err(format!("the unit is written m: {count}/m")),
            "hr" | "hour" => return Err(format!("the unit is written h: {count}/h")),
            "day" => return Err(format!("the unit is written d: {count}/d")),
            _ => return Err(format!("unknown unit `{unit}`: s, m, h and d are known")),
        };
        Ok(Self { count, period: Duration::from_secs(seconds) })
    }

    fn text(&self) -> String {
        let unit = match self.period.as_secs() {
            1 => "s",
            60 => "m",
            3_600 => "h",
            _ => "d",
        };
        format!("{}/{unit}", self.count)
    }
}

/// An address stands for itself alone. What is written as IPv6 and means IPv4 is told as IPv4.
impl FromText for IpNet {
    const WHAT: &'static str = "a network";
    const EXAMPLE: &'static str = "10.0.0.0/8";

    fn of(text: &str, _: &Path) -> Result<Self, String> {
        if let Ok(address) = text.parse::<std::net::IpAddr>() {
            return Ok(canonical(address.into()));
        }
        let net: Self = text
            .parse()
            .map_err(|_| "an address and the bits of its prefix are expected: 10.0.0.0/8".to_owned())?;
        match net.trunc() == net {
            true => Ok(canonical(net)),
            false => Err(format!("bits are set behind the prefix: {} is the network", net.trunc())),
        }
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

/// Whether `text` is a number as it is written here: without a sign.
pub(super) fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The path of a socket, if the system takes one as long.
pub(super) fn socket(path: PathBuf) -> Result<PathBuf, String> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let length = bytes.strip_prefix(b"@").unwrap_or(bytes).len();
    match length > PATH_BYTES_MAX {
        true => Err(format!("the path of a socket has at most {PATH_BYTES_MAX} bytes, this one {length}")),
        false => Ok(path),
    }
}

impl FromText for ListenAddr {
    const WHAT: &'static str = "an address to listen on";
    const EXAMPLE: &'static str = ":443";

    fn of(text: &str, folder: &Path) -> Result<Self, String> {
        let address: Self =
            text.parse().map_err(|error: crate::net::AddressError| error.reason().to_owned())?;
        Ok(match address {
            // A name that begins with `@` has no file.
            Self::Unix(path) if !path.as_os_str().as_encoded_bytes().starts_with(b"@") => {
                Self::Unix(socket(folder.join(path))?)
            }
            Self::Unix(path) => Self::Unix(socket(path)?),
            address => address,
        })
    }

    fn text(&self) -> String {
        match self {
            Self::Everywhere { port } => format!(":{port}"),
            address => address.to_string().trim_start_matches("http://").to_owned(),
        }
    }
}

impl FromText for Method {
    const WHAT: &'static str = "a method";
    const EXAMPLE: &'static str = "GET";

    fn of(text: &str, _: &Path) -> Result<Self, String> {
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        match known.iter().find(|method| method.eq_ignore_ascii_case(text)) {
            Some(method) if *method == text => Self::from_bytes(text.as_bytes()).map_err(|e| e.to_string()),
            Some(method) => Err(format!("methods are written in capitals: {method}")),
            None => Err(format!("it is one of {}", known.join(", "))),
        }
    }

    fn text(&self) -> String {
        self.as_str().to_owned()
    }
}

impl FromText for HeaderName {
    const WHAT: &'static str = "the name of a field";
    const EXAMPLE: &'static str = "x-frame-options";

    fn of(text: &str, _: &Path) -> Result<Self, String> {
        Self::from_bytes(text.as_bytes())
            .map_err(|_| "letters, digits and a few signs such as `-` are expected".to_owned())
    }

    fn text(&self) -> String {
        self.as_str().to_owned()
    }
}

impl FromText for HeaderValue {
    const WHAT: &'static str = "a value of a field";
    const EXAMPLE: &'static str = "nosniff";

    fn of(text: &str, _: &Path) -> Result<Self, String> {
        match text.trim() == text && text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
            true => Self::from_str(text).map_err(|error| error.to_string()),
            false => Err("only visible ASCII may stand in it, with spaces between: no line ends".to_owned()),
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.as_bytes()).into_owned()
    }
}

impl FromText for PathBuf {
    const WHAT: &'static str = "a path of this machine";
    const EXAMPLE: &'static str = "/run/kolk.pid";

    fn of(text: &str, folder: &Path) -> Result<Self, String> {
        match text {
            "" => Err("it is empty".to_owned()),
            text if text.contains('\0') => Err("no NUL may stand in it".to_owned()),
            text => Ok(folder.join(text)),
        }
    }

    fn text(&self) -> String {
        self.display().to_string()
    }
}

impl FromText for ExistingFile {
    const WHAT: &'static str = "a file";
    const EXAMPLE: &'static str = "/etc/kolk/key.pem";

    fn of(text: &str, folder: &Path) -> Result<Self, String> {
        let path = PathBuf::of(text, folder)?;
        // Opened, so that one that may not be read is told, too.
        match regular::open(&path) {
            Ok(_) => Ok(Self(path)),
            Err(error) => Err(unusable(&path, &error)),
        }
    }

    fn text(&self) -> String {
        self.0.display().to_string()
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.0)
    }
}

impl FromText for WatchedFile {
    const WHAT: &'static str = ExistingFile::WHAT;
    const EXAMPLE: &'static str = ExistingFile::EXAMPLE;

    fn of(text: &str, folder: &Path) -> Result<Self, String> {
        let path = PathBuf::of(text, folder)?;
        match std::fs::metadata(&path).and_then(|found| regular::check(&found)) {
            // It may be in a folder that only root may look into.
            Err(error) if error.kind() != ErrorKind::PermissionDenied => Err(unusable(&path, &error)),
            _ => Ok(Self(path)),
        }
    }

    fn text(&self) -> String {
        self.0.display().to_string()
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.0)
    }
}

impl FromText for ExistingFolder {
    const WHAT: &'static str = "a folder";
    const EXAMPLE: &'static str = "/srv/www";

    fn of(text: &str, folder: &Path) -> Result<Self, String> {
        let path = PathBuf::of(text, folder)?;
        match std::fs::metadata(&path) {
            Ok(kind) if kind.is_dir() => Ok(Self(path)),
            Ok(_) => Err("this is no folder".to_owned()),
            Err(error) => Err(unusable(&path, &error)),
        }
    }

    fn text(&self) -> String {
        self.0.display().to_string()
    }
}

impl FromText for Name {
    const WHAT: &'static str = "a name";
    const EXAMPLE: &'static str = "main";

    fn of(text: &str, _: &Path) -> Result<Self, String> {
        match text.is_empty() {
            true => Err("it is empty".to_owned()),
            false => Ok(Self(text.to_owned())),
        }
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

impl FromText for Text {
    const WHAT: &'static str = "a text";
    const EXAMPLE: &'static str = "a text";

    fn of(text: &str, _: &Path) -> Result<Self, String> {
        match text.trim().is_empty() {
            true => Err("it is empty".to_owned()),
            false => Ok(Self(text.to_owned())),
        }
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

/// Notes that a placeholder stands for nothing.
pub(super) fn unknown_placeholder(origin: &Origin, reader: &mut Reader<'_>, name: &str, known: &[&str]) {
    let place = origin.place().map(|place| place.narrowed(&format!("{{{name}}}")));
    let message = format!("the placeholder `{{{name}}}` stands for nothing here");
    let problem = Problem::new(place.as_ref(), message);
    reader.problems.push(match nearest(name, known.iter().copied()) {
        Some(known) => problem.label(format!("did you mean `{{{known}}}`?")),
        None => problem.help(format!("there are {}", enumerated(known))),
    });
}

/// Why a file is of no use.
pub(super) fn unusable(path: &Path, error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => format!("{} does not exist", path.display()),
        ErrorKind::PermissionDenied => format!("{} {}", path.display(), MAY_NOT_BE_READ),
        // What it is, and no file.
        ErrorKind::IsADirectory | ErrorKind::InvalidInput => error.to_string(),
        _ => format!("{}: {error}", path.display()),
    }
}
