//! [`Template`]: lines in a form of one's own.
//!
//! ```text
//!  {client} "{method} {target}" {status}   ──►   192.0.2.1 "GET /\x22" 404
//! ```
//! Invariant: whatever a client sends, a line can be taken apart again. In a text of the client the byte
//! that follows its placeholder is escaped, beside all that is escaped in every format: where a blank
//! follows there is no blank in it, where `|` follows no `|`. So something must follow that no escape is
//! made of, behind a number no digit, and no two placeholders may touch. What there is not, or is empty, is
//! `-`.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Record;
use super::doubt::Amended;
use super::format::{Ends, Late, client, method, reason};
use super::redaction::Shown;
use super::text::{
    HEX_BYTES_MAX, LINE_BYTES_MAX, Moment, address, address_and_port, escaped_hex, micros, number,
    three_digits,
};

/// What a placeholder that is no text takes at most: a code with the name of a rate.
const PLAIN_BYTES_MAX: usize = 96;

/// A form of one's own for lines: a text with placeholders, which are [`Template::NAMES`].
///
/// ```
/// use kolk::access_log::Template;
///
/// assert!(Template::parse("{client} \"{method} {target}\" {status} {respond_us}us").is_ok());
/// assert!(Template::parse("{client} {colour}").is_err(), "nothing has this name");
/// assert!(Template::parse("{method}{target}").is_err(), "nobody could tell them apart");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Arc<[Part]>,
}

/// Why a text is no [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// A brace has no other; `{{` and `}}` stand for braces.
    Brace,
    /// There is no such placeholder.
    Unknown(String),
    /// A control character.
    Control,
    /// This placeholder, and behind it one that nobody could tell from it.
    Adjacent(&'static str),
    /// Behind this placeholder stands what may be a part of what it stands for: behind a text a letter, a
    /// digit, a backslash or a dot, of which escapes and the end of what is cut are made, too; behind a
    /// number a digit.
    End(&'static str, char),
    /// A line could become longer than any may.
    TooLong,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<[u8]>),
    /// What stands for this, and the byte behind it.
    Value(Item, u8),
}

/// Generates the placeholders.
macro_rules! items {
    ($($item:ident $name:literal)*) => {
        /// What a placeholder stands for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Item { $($item),* }

        impl Item {
            const ALL: &[(&'static str, Self)] = &[$(($name, Self::$item)),*];

            const fn name(self) -> &'static str {
                match self { $(Self::$item => $name),* }
            }
        }

        impl Template {
            /// All placeholders: the members of the JSON lines.
            pub const NAMES: &[&str] = &[$($name),*];
        }
    };
}

items! {
    Time "time"
    Client "client"
    Peer "peer"
    Scheme "scheme"
    Host "host"
    Method "method"
    Target "target"
    Version "version"
    Status "status"
    Bytes "bytes"
    Site "site"
    Route "route"
    User "user"
    Reason "reason"
    Rate "rate"
    RateResult "rate_result"
    Referer "referer"
    UserAgent "user_agent"
    AcceptUs "accept_us"
    ParseUs "parse_us"
    HandleUs "handle_us"
    RespondUs "respond_us"
    TotalUs "total_us"
    Worker "worker"
    Connection "connection"
    Request "request"
    Id "id"
}

impl Template {
    /// Takes `text` apart.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(TemplateError::Control);
        }
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            literal.extend_from_slice(before.as_bytes());
            if let Some(behind) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
                literal.extend_from_slice(&brace.as_bytes()[..1]);
                rest = behind;
                continue;
            }
            let inside = brace.strip_prefix('{').and_then(|inside| inside.split_once('}'));
            let (name, behind) = inside.ok_or(TemplateError::Brace)?;
            let item = Item::ALL.iter().find(|(known, _)| *known == name);
            let (_, item) = item.ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
            let literal = std::mem::take(&mut literal);
            follow(&mut parts, literal)?;
            parts.push(Part::Value(*item, b'\n'));
            rest = behind;
        }
        literal.extend_from_slice(rest.as_bytes());
        if !literal.is_empty() {
            follow(&mut parts, literal)?;
        }
        let longest: usize = parts.iter().map(Part::bytes_max).sum();
        if longest > LINE_BYTES_MAX { Err(TemplateError::TooLong) } else { Ok(Self { parts: parts.into() }) }
    }

    /// Whether lines tell how long something took.
    pub(super) fn shows_times(&self) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Value(Item::AcceptUs | Item::ParseUs | Item::HandleUs, _) => true,
            part => part.late().is_some(),
        })
    }

    /// Whether lines say something that is known only once the answer has left.
    pub(super) fn shows_end(&self) -> bool {
        self.parts.iter().any(|part| part.late().is_some())
    }

    /// One line with its end.
    pub(super) fn line(
        &self,
        line: &mut Vec<u8>,
        (moment, record, shown): (&Moment, &Record<'_>, Shown<'_>),
        mut ends: Ends<'_>,
    ) {
        for part in &*self.parts {
            if let Some(late) = part.late() {
                ends.put(line, late, record);
                continue;
            }
            match part {
                Part::Text(text) => match **text {
                    // A blank, in most places.
                    [byte] => line.push(byte),
                    _ => line.extend_from_slice(text),
                },
                Part::Value(item, end) => {
                    let start = line.len();
                    item.write(line, (moment, record, shown), *end);
                    if line.len() == start {
                        line.push(b'-');
                    }
                    if let Some(what) = item.amended() {
                        ends.mark(start, line, what);
                    }
                }
            }
        }
        line.push(b'\n');
    }
}

/// Adds `literal`, unless nothing is there and nothing was before it, and tells the placeholder before it.
fn follow(parts: &mut Vec<Part>, literal: Vec<u8>) -> Result<(), TemplateError> {
    if let Some(Part::Value(item, end)) = parts.last_mut() {
        *end = *literal.first().ok_or_else(|| TemplateError::Adjacent(item.name()))?;
        if item.may_go_on_with(*end) {
            return Err(TemplateError::End(item.name(), char::from(*end)));
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Text(literal.into()));
    }
    Ok(())
}

impl Part {
    const fn bytes_max(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Value(item, _) if item.is_text() => HEX_BYTES_MAX,
            Self::Value(..) => PLAIN_BYTES_MAX,
        }
    }

    /// What it stands for, if that is known only once the answer has left.
    #[inline]
    const fn late(&self) -> Option<Late> {
        match self {
            Self::Value(Item::RespondUs, _) => Some(Late::Respond),
            Self::Value(Item::TotalUs, _) => Some(Late::Total),
            _ => None,
        }
    }
}

impl Item {
    /// Whether others choose its bytes.
    const fn is_text(self) -> bool {
        matches!(
            self,
            Self::Host
                | Self::Method
                | Self::Target
                | Self::Site
                | Self::Route
                | Self::User
                | Self::Referer
                | Self::UserAgent
                | Self::Id
        )
    }

    /// Whether `byte` may be the next one of what it stands for, so that nobody could tell where that ends.
    const fn may_go_on_with(self, byte: u8) -> bool {
        match self {
            // Of one length, or none begins as another does.
            Self::Time | Self::Version => false,
            Self::Status | Self::Bytes | Self::Worker | Self::Connection | Self::Request | Self::Peer => {
                byte.is_ascii_digit()
            }
            Self::AcceptUs | Self::ParseUs | Self::HandleUs | Self::RespondUs | Self::TotalUs => {
                byte.is_ascii_digit() || byte == b'.'
            }
            Self::Client => byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'),
            Self::Scheme | Self::Reason | Self::Rate | Self::RateResult => {
                byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
            }
            Self::Host
            | Self::Method
            | Self::Target
            | Self::Site
            | Self::Route
            | Self::User
            | Self::Referer
            | Self::UserAgent
            | Self::Id => byte.is_ascii_alphanumeric() || matches!(byte, b'\\' | b'.'),
        }
    }

    /// Whether it says something else of an answer that was cut.
    #[inline]
    const fn amended(self) -> Option<Amended> {
        match self {
            Self::Bytes => Some(Amended::Bytes),
            Self::Reason => Some(Amended::Reason),
            _ => None,
        }
    }

    /// What it stands for; nothing, if there is nothing.
    fn write(self, line: &mut Vec<u8>, (moment, record, shown): (&Moment, &Record<'_>, Shown<'_>), end: u8) {
        let timeline = record.timeline;
        let text = match self {
            Self::Time => return time(line, moment, record),
            Self::Client => return client(record).into_iter().for_each(|client| address(line, client)),
            Self::Peer => {
                return record.peer.into_iter().for_each(|peer| {
                    address_and_port(line, peer);
                });
            }
            Self::Status => return number(line, u64::from(record.status)),
            Self::Bytes => return number(line, record.body_bytes),
            Self::AcceptUs => return stage(line, timeline.accept()),
            Self::ParseUs => return stage(line, timeline.parse()),
            Self::HandleUs => return stage(line, timeline.handle()),
            Self::RespondUs => return stage(line, timeline.respond()),
            Self::TotalUs => return stage(line, timeline.total()),
            Self::Reason => return reason(line, record),
            Self::Worker => return number(line, u64::try_from(record.worker).unwrap_or(u64::MAX)),
            Self::Connection => return number(line, record.connection),
            Self::Request => return number(line, u64::from(record.request)),
            Self::Version => record.head.map(|head| head.version().name().as_bytes()),
            Self::Rate => record.rate.map(|rate| rate.name().as_bytes()),
            Self::RateResult => record.rate.map(|rate| rate.verdict().name().as_bytes()),
            Self::Method => record.head.map(method),
            Self::Scheme => Some(record.scheme.as_bytes()),
            Self::Site => Some(record.site.as_bytes()),
            Self::Route => Some(record.route.as_bytes()),
            Self::User => record.user.map(str::as_bytes),
            Self::Id => record.id.map(str::as_bytes),
            Self::Host => shown.host(record.head),
            Self::Target => shown.target,
            Self::Referer => shown.referer,
            Self::UserAgent => shown.user_agent,
        };
        escaped_hex(line, text.unwrap_or_default(), end);
    }
}

fn time(line: &mut Vec<u8>, moment: &Moment, record: &Record<'_>) {
    line.extend_from_slice(&moment.rfc_3339);
    three_digits(line, u64::from(record.unix_millis));
    line.push(b'Z');
}

fn stage(line: &mut Vec<u8>, duration: Option<Duration>) {
    if let Some(duration) = duration {
        micros(line, duration);
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Brace => f.write_str("a brace has no other; `{{` and `}}` stand for braces"),
            Self::Unknown(name) => write!(f, "there is no placeholder `{{{name}}}`"),
            Self::Control => f.write_str("control characters may not stand in a line"),
            Self::Adjacent(name) => write!(
                f,
                "something must stand between `{{{name}}}` and the placeholder behind it, or nobody can tell \
                 them apart"
            ),
            Self::End(name, end) => write!(
                f,
                "`{end}` may not stand behind `{{{name}}}`: nobody could tell where that ends; a blank, a \
                 quote or another sign may"
            ),
            Self::TooLong => write!(f, "a line could become longer than {LINE_BYTES_MAX} bytes"),
        }
    }
}

impl Error for TemplateError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_that_nobody_could_read_are_refused() {
        for (text, error) in [
            ("{", TemplateError::Brace),
            ("}", TemplateError::Brace),
            ("{status", TemplateError::Brace),
            ("{}", TemplateError::Unknown(String::new())),
            ("{ip}", TemplateError::Unknown("ip".to_owned())),
            ("{Status}", TemplateError::Unknown("Status".to_owned())),
            ("{status}\n", TemplateError::Control),
            ("\x1b[0m", TemplateError::Control),
            ("{method}{target}", TemplateError::Adjacent("method")),
            ("{status}{bytes}", TemplateError::Adjacent("status")),
            ("{method}x", TemplateError::End("method", 'x')),
            ("{user}0", TemplateError::End("user", '0')),
            ("{target}\\", TemplateError::End("target", '\\')),
            ("{host}.log", TemplateError::End("host", '.')),
            ("{bytes}0{status}", TemplateError::End("bytes", '0')),
            ("{status} {worker}1", TemplateError::End("worker", '1')),
            ("{respond_us}.{total_us}", TemplateError::End("respond_us", '.')),
            ("{client}:{connection}", TemplateError::End("client", ':')),
            ("{peer}0", TemplateError::End("peer", '0')),
            ("{scheme}s", TemplateError::End("scheme", 's')),
            ("{reason}.{status}", TemplateError::End("reason", '.')),
            ("{rate}-{rate_result}", TemplateError::End("rate", '-')),
        ] {
            assert_eq!(Template::parse(text), Err(error.clone()), "{text}");
            assert!(!error.to_string().is_empty());
        }
        for (text, why) in [
            ("{status}ms {handle_us}us", "numbers have no letters"),
            ("{bytes}.{status}-{client}, {peer}: ", "nor have most others everything"),
            ("{time}0{version}.{status}", "these end where they end"),
        ] {
            assert!(Template::parse(text).is_ok(), "{why}: {text}");
        }
        assert_eq!(Template::parse(&"{target} ".repeat(11)), Err(TemplateError::TooLong));
        assert!(Template::parse(&"{target} ".repeat(9)).is_ok());
    }

    #[test]
    fn every_name_is_a_placeholder() {
        for name in Template::NAMES {
            assert!(Template::parse(&format!("{{{name}}}")).is_ok(), "{name}");
        }
    }
}
