//! The request target: its four forms (RFC 9112 §3.2), and the one normalisation of its path.
//!
//! A path is normalised once, before routing, so that router, handler and file system see the same:
//!
//! - escapes are decoded, except `%2F` and `%25`, which stay (in upper case): an encoded slash is never
//!   a separator, and decoding is never ambiguous;
//! - empty segments are merged and dot segments are resolved, *after* decoding; above the root is refused;
//! - control characters, backslashes, broken escapes and invalid UTF-8 are refused.

use super::head::Head;
use super::method::Method;
use super::reason::Reason;

/// Which of the four forms a request target has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/path?query`
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `host:port`, of CONNECT
    Authority,
    /// `*`, of OPTIONS
    Asterisk,
}

/// A request target, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'t> {
    /// Its form.
    pub form: Form,
    /// Host and port of an absolute or authority form; else empty.
    pub authority: &'t str,
    /// The path as it was sent; `/` where an absolute form has none, empty where there can be none.
    pub path: &'t str,
    /// What stands behind the first `?`.
    pub query: Option<&'t str>,
}

impl<'t> Target<'t> {
    /// Takes apart a target of visible ASCII characters that the parser has let through.
    pub fn split(method: Method, bytes: &'t [u8]) -> Self {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        if text.starts_with('/') {
            return Self::with_path(Form::Origin, "", text);
        }
        if method == Method::Connect {
            return Self { form: Form::Authority, authority: text, path: "", query: None };
        }
        if text == "*" {
            return Self { form: Form::Asterisk, authority: "", path: "", query: None };
        }
        let rest = text.split_once("://").map_or("", |(_, rest)| rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        Self::with_path(Form::Absolute, authority, path)
    }

    fn with_path(form: Form, authority: &'t str, text: &'t str) -> Self {
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        Self { form, authority, path: if path.is_empty() { "/" } else { path }, query }
    }
}

/// A normalised path: what router, handler and file system see. Empty for a target without one.
///
/// UTF-8 by construction; it is looked at as text only when somebody asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Path<'p>(&'p [u8]);

impl<'p> Path<'p> {
    /// The normalised path of a request target. Borrowed from `target` where nothing has to change, which
    /// is nearly always; else written to `scratch`.
    ///
    /// # Errors
    /// [`Reason::Path`] for a path that must not be served.
    #[inline]
    pub fn of_head(head: &Head<'p>, scratch: &'p mut String) -> Result<Self, Reason> {
        if head.table().line().is_plain_path {
            return Ok(Self(head.target_bytes()));
        }
        Self::of_target(head.method(), head.target_bytes(), scratch)
    }

    /// The same for a target alone.
    ///
    /// # Errors
    /// [`Reason::Path`] for a path that must not be served.
    pub fn of_target(method: Method, target: &'p [u8], scratch: &'p mut String) -> Result<Self, Reason> {
        match plain_end(target) {
            Some(end) => Ok(Self(&target[..end])),
            None => Self::rewritten(method, target, scratch),
        }
    }

    /// The normalised path of a text that is a path alone, and begins with a slash: there is no query, and
    /// `?` is a character as any other.
    ///
    /// ```
    /// use kolk::http::Path;
    ///
    /// let mut scratch = String::new();
    /// assert_eq!(Path::of_text("/a/../50%25?", &mut scratch).unwrap().as_str(), "/50%25?");
    /// assert!(Path::of_text("/a/../..", &mut scratch).is_err());
    /// ```
    ///
    /// # Errors
    /// [`Reason::Path`] for a path that must not be served.
    pub fn of_text(text: &str, scratch: &'p mut String) -> Result<Self, Reason> {
        if !text.starts_with('/') {
            return Err(Reason::Path);
        }
        rewrite(text.as_bytes(), scratch)?;
        Ok(Self(scratch.as_bytes()))
    }

    /// A path that was normalised before.
    #[inline]
    pub const fn normalised(path: &'p str) -> Self {
        Self(path.as_bytes())
    }

    /// Its bytes.
    #[inline]
    pub const fn as_bytes(self) -> &'p [u8] {
        self.0
    }

    /// The path as text.
    #[inline]
    pub fn as_str(self) -> &'p str {
        std::str::from_utf8(self.0).unwrap_or_default()
    }

    /// Appends it as it stands in a `Location`: what may not stand in a path (RFC 3986 §3.3) is escaped, and
    /// the two escapes that normalisation has kept stay. A reference to the same host, because a normalised
    /// path never begins with `//`.
    ///
    /// ```
    /// use kolk::http::Path;
    ///
    /// let mut location = String::new();
    /// Path::normalised("/50%25 off/é?").escape_into(&mut location);
    /// assert_eq!(location, "/50%25%20off/%C3%A9%3F");
    /// ```
    pub fn escape_into(self, location: &mut String) {
        for &byte in self.0 {
            if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte) {
                location.push(char::from(byte));
            } else {
                location.push('%');
                location.extend(
                    [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])),
                );
            }
        }
    }

    #[cold]
    fn rewritten(method: Method, target: &'p [u8], scratch: &'p mut String) -> Result<Self, Reason> {
        let target = Target::split(method, target);
        match target.form {
            Form::Authority | Form::Asterisk => Ok(Self::default()),
            Form::Origin | Form::Absolute => {
                rewrite(target.path.as_bytes(), scratch)?;
                Ok(Self(scratch.as_bytes()))
            }
        }
    }
}

/// Where the path of an origin-form target ends, if none of the rules applies to it.
#[inline]
fn plain_end(target: &[u8]) -> Option<usize> {
    if target.first() != Some(&b'/') {
        return None;
    }
    // Without a branch for each byte: targets are short, and nearly all are plain.
    let (mut seen, mut pairs, mut before) = (0, 0, 0);
    for &byte in target {
        let class = CLASS[usize::from(byte)];
        seen |= class;
        pairs |= before & (class >> 1);
        before = class;
    }
    if seen & (QUERY | ESCAPE) | pairs & SLASH == 0 {
        return Some(target.len());
    }
    plain_end_before_query(target)
}

/// The same for a target with a query, which no rule applies to.
#[inline(never)]
fn plain_end_before_query(target: &[u8]) -> Option<usize> {
    let end = target.iter().position(|&byte| byte == b'?')?;
    plain_end(&target[..end])
}

/// A separator.
const SLASH: u8 = 1;
/// What changes the path if it stands behind a separator: another, or a dot.
const BEHIND_SLASH: u8 = 2;
/// What has to be decoded or refused.
const ESCAPE: u8 = 4;
/// What ends the path.
const QUERY: u8 = 8;

static CLASS: [u8; 256] = {
    let mut table = [0; 256];
    table[b'/' as usize] = SLASH | BEHIND_SLASH;
    table[b'.' as usize] = BEHIND_SLASH;
    table[b'%' as usize] = ESCAPE;
    table[b'\\' as usize] = ESCAPE;
    table[b'?' as usize] = QUERY;
    table
};

fn rewrite(path: &[u8], scratch: &mut String) -> Result<(), Reason> {
    scratch.clear();
    let decoded = decode(path)?;
    let decoded = std::str::from_utf8(&decoded).map_err(|_| Reason::Path)?;
    let mut segments = decoded.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "" | "." => {
                if last {
                    scratch.push('/');
                }
            }
            ".." => {
                let parent = scratch.rfind('/').ok_or(Reason::Path)?;
                scratch.truncate(parent);
                if last {
                    scratch.push('/');
                }
            }
            segment => {
                scratch.push('/');
                scratch.push_str(segment);
            }
        }
    }
    Ok(())
}

/// Decodes all escapes but those of `/` and `%`.
fn decode(path: &[u8]) -> Result<Vec<u8>, Reason> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [byte, behind @ ..] = rest {
        rest = behind;
        if *byte != b'%' {
            decoded.push(*byte);
        } else {
            let [high, low, behind @ ..] = behind else { return Err(Reason::Path) };
            rest = behind;
            match hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low) {
                Some(b'/') => decoded.extend_from_slice(b"%2F"),
                Some(b'%') => decoded.extend_from_slice(b"%25"),
                Some(byte) => decoded.push(byte),
                None => return Err(Reason::Path),
            }
        }
    }
    let refused = |byte: &u8| *byte < 0x20 || matches!(*byte, 0x7F | b'\\');
    if decoded.iter().any(refused) { Err(Reason::Path) } else { Ok(decoded) }
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(path: &str) -> Result<String, Reason> {
        Path::of_target(Method::Get, path.as_bytes(), &mut String::new()).map(|path| path.as_str().to_owned())
    }

    #[test]
    fn rfc_9112_3_2_forms() {
        let split = |text: &'static str| Target::split(Method::Get, text.as_bytes());
        assert_eq!(
            split("/a?b?c"),
            Target { form: Form::Origin, authority: "", path: "/a", query: Some("b?c") }
        );
        assert_eq!(
            split("http://h:1/a"),
            Target { form: Form::Absolute, authority: "h:1", path: "/a", query: None }
        );
        assert_eq!(
            split("http://h?q"),
            Target { form: Form::Absolute, authority: "h", path: "/", query: Some("q") }
        );
        assert_eq!(split("*").form, Form::Asterisk);
        assert_eq!(Target::split(Method::Connect, b"h:443").authority, "h:443");
    }

    #[test]
    fn normal_paths_are_borrowed() {
        for (target, path) in [
            ("/", "/"),
            ("/a/b.c", "/a/b.c"),
            ("/a.b/c..d?/../%", "/a.b/c..d"),
            ("/~x/-_/", "/~x/-_/"),
            ("/?", "/"),
        ] {
            let mut scratch = String::from("untouched");
            let found = Path::of_target(Method::Get, target.as_bytes(), &mut scratch).map(Path::as_str);
            assert_eq!(found, Ok(path));
            assert_eq!(scratch, "untouched");
        }
    }

    #[test]
    fn targets_of_other_forms() {
        let path = |method, target: &'static str| {
            let mut scratch = String::new();
            Path::of_target(method, target.as_bytes(), &mut scratch).map(|path| path.as_str().to_owned())
        };
        assert_eq!(path(Method::Get, "http://h/a/./b?c").as_deref(), Ok("/a/b"));
        assert_eq!(path(Method::Get, "http://h").as_deref(), Ok("/"));
        assert_eq!(path(Method::Connect, "h:443").as_deref(), Ok(""));
        assert_eq!(path(Method::Options, "*").as_deref(), Ok(""));
    }

    #[test]
    fn paths_are_normalised_once_and_for_all() {
        for (path, expected) in [
            ("//a///b", "/a/b"),
            ("/a/./b/.", "/a/b/"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/%2e%2E/b", "/b"),
            ("/a%2fb%2F", "/a%2Fb%2F"),
            ("/%252e%252e", "/%252e%252e"),
            ("/%41%c3%a9", "/A\u{e9}"),
            ("/..a/...", "/..a/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("/a//", "/a/"),
        ] {
            assert_eq!(normal(path).as_deref(), Ok(expected), "{path}");
            assert_eq!(normal(expected).as_deref(), Ok(expected), "normalising twice changes {path}");
        }
    }

    #[test]
    fn paths_that_must_not_be_served() {
        for path in [
            "/..",
            "/a/../..",
            "/%2e%2e/a",
            "/%00",
            "/a%0d%0a",
            "/a\\b",
            "/%5c",
            "/%",
            "/%4",
            "/%zz",
            "/%ff",
            "/%7f",
        ] {
            assert_eq!(normal(path), Err(Reason::Path), "{path}");
        }
    }
}
