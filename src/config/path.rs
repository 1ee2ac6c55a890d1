//! Paths of routes, and what other servers write that would stand for itself here.
//!
//! | elsewhere | here |
//! | --- | --- |
//! | `/api/*`, `/api/**`, `/*splat` | `/api/{*rest}`, `/{*splat}` |
//! | `/a*`, `/*.php` | `/a{rest}`, `/{name}.php` |
//! | `/:id` | `/{id}` |
//! | `= /x`, `^~ /x` | `/x`, `/x/{*rest}` |
//!
//! A file has no way to name a segment that begins or ends with `*`, or begins with `:`: a parameter takes
//! it, among others. Knows no other routes.

use std::path::Path;

use super::read::{Braces, FromText, shortened};
use crate::app::Pattern;

impl FromText for Pattern {
    const WHAT: &'static str = "a path";
    const EXAMPLE: &'static str = "/users/{id}";
    const BRACES: Braces = Braces::Parameters;

    fn of(text: &str, _: &Path) -> Result<Self, String> {
        if let Some(why) = foreign(text) {
            return Err(why);
        }
        Self::parse(text).map_err(|error| error.reason().to_owned())
    }

    fn text(&self) -> String {
        Self::text(self).to_owned()
    }
}

/// What would be right, if `text` is written as elsewhere.
fn foreign(text: &str) -> Option<String> {
    let did_you_mean = |meant: &str| Some(format!("did you mean `{}`?", shortened(meant)));
    if let Some((modifier, path)) = text.split_once(' ') {
        let path = path.trim_start();
        match modifier {
            "=" => return did_you_mean(path),
            "^~" => return did_you_mean(&format!("{}/{{*rest}}", path.trim_end_matches('/'))),
            "~" | "~*" => return Some("a path is no regular expression: `{name}`, `{*rest}`".to_owned()),
            _ => {}
        }
    }
    let segments: Vec<&str> = text.split('/').collect();
    let meant = segments.iter().enumerate().map(|(at, segment)| here(segment, at + 1 == segments.len()));
    let meant = meant.collect::<Vec<_>>().join("/");
    (meant != text).then(|| did_you_mean(&meant)).flatten()
}

/// A segment as it is written here; the last one may stand for the rest of a path.
fn here(segment: &str, is_last: bool) -> String {
    // With a parameter of its own it is not from elsewhere.
    if segment.contains('{') {
        return segment.to_owned();
    }
    let rest = if is_last { "*" } else { "" };
    if let Some(named) = segment.strip_prefix(':').filter(|named| !named.is_empty()) {
        let (name, behind) = named.split_at(name_bytes(named));
        return match behind {
            "*" | "+" => format!("{{{rest}{}}}", as_name(name)),
            "?" => format!("{{{}}}", as_name(name)),
            _ => format!("{{{}}}{behind}", as_name(name)),
        };
    }
    if !segment.is_empty() && segment.bytes().all(|byte| byte == b'*') {
        return if is_last { "{*rest}".to_owned() } else { "{any}".to_owned() };
    }
    if let Some(named) = segment.strip_prefix('*') {
        return match name_bytes(named) == named.len() {
            true => format!("{{{rest}{}}}", as_name(named)),
            false => format!("{{name}}{named}"),
        };
    }
    match segment.strip_suffix('*') {
        Some(prefix) => format!("{}{{rest}}", prefix.trim_end_matches('*')),
        None => segment.to_owned(),
    }
}

/// How much of `text` others take for a name.
fn name_bytes(text: &str) -> usize {
    text.find(|char: char| !char.is_alphanumeric() && !"_-".contains(char)).unwrap_or(text.len())
}

/// The same as a name of a parameter.
fn as_name(text: &str) -> String {
    text.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_elsewhere_is_said_as_it_is_written_here() {
        for (text, meant) in [
            ("/api/*", "/api/{*rest}"),
            ("/api/**", "/api/{*rest}"),
            ("/*", "/{*rest}"),
            ("/*/x", "/{any}/x"),
            ("/a*", "/a{rest}"),
            ("/a*/x", "/a{rest}/x"),
            ("/*.php", "/{name}.php"),
            ("/files/*path", "/files/{*path}"),
            ("/:id", "/{id}"),
            ("/:user-id/posts/:post", "/{user_id}/posts/{post}"),
            ("/:file.json", "/{file}.json"),
            ("/:rest*", "/{*rest}"),
            ("/:page?", "/{page}"),
            ("= /x", "/x"),
            ("^~ /x/", "/x/{*rest}"),
        ] {
            assert_eq!(foreign(text), Some(format!("did you mean `{meant}`?")), "{text}");
            assert!(Pattern::parse(meant).is_ok(), "{meant}");
        }
        for text in ["~ \\.php$", "~* \\.(gif|jpg)$"] {
            assert!(foreign(text).unwrap().contains("no regular expression"), "{text}");
        }
        for text in ["/", "/a*b", "/a:b", "/a:", "/:", "/{*rest}", "/{id}", "/v{n}*", "/a b", "/{{*", "/=/x"]
        {
            assert_eq!(foreign(text), None, "{text}");
        }
    }
}
