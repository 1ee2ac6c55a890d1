//! [`Pattern`]: `/users/{id}/files/{*path}`, taken apart.
//!
//! | segment | matches |
//! | --- | --- |
//! | `users` | itself |
//! | `{id}` | one segment that is not empty |
//! | `v{n}`, `{name}.json` | one segment with this beginning and this end, and something between them |
//! | `{*path}` | the rest, also an empty one; only as the last segment |
//!
//! `{{` and `}}` stand for braces. Patterns are written decoded, as
//! [`Path`] leaves a path. Knows no methods and no handlers.

use std::error::Error;
use std::fmt;

use crate::http::{Method, Path};

/// How many parameters a pattern may have.
pub const PARAMS_MAX: usize = 16;

/// A path pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    names: Vec<String>,
    segments: Vec<Segment>,
}

/// One segment of a pattern. Parameters have no names here: patterns that differ in names alone
/// match the same paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(String),
    /// A parameter between a beginning and an end, one of which is not empty.
    Affixed {
        prefix: String,
        suffix: String,
    },
    Param,
    Rest,
}

impl Pattern {
    /// Takes `text` apart.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let refuse = |why| PatternError { pattern: text.to_owned(), why };
        let rest = text.strip_prefix('/').ok_or_else(|| refuse("it does not begin with `/`"))?;
        let mut pattern = Self { text: text.to_owned(), names: Vec::new(), segments: Vec::new() };
        // The pattern as a path, with `x` for each parameter.
        let mut example = String::new();
        let mut segments = rest.split('/').peekable();
        while let Some(segment) = segments.next() {
            let parsed = parse_segment(segment, &mut pattern.names).map_err(refuse)?;
            if parsed == Segment::Rest && segments.peek().is_some() {
                return Err(refuse("`{*…}` is not its last segment"));
            }
            example.push('/');
            match &parsed {
                Segment::Literal(literal) => example.push_str(literal),
                Segment::Affixed { prefix, suffix } => example.extend([prefix, "x", suffix]),
                Segment::Param | Segment::Rest => example.push('x'),
            }
            pattern.segments.push(parsed);
        }
        if pattern.names.len() > PARAMS_MAX {
            return Err(refuse("it has more than 16 parameters"));
        }
        if example.contains(|c: char| c.is_control() || c == '?')
            || Path::of_target(Method::Get, example.as_bytes(), &mut String::new())
                != Ok(Path::normalised(&example))
        {
            return Err(refuse(
                "it is not a decoded path without empty and dot segments, so nothing would match it",
            ));
        }
        Ok(pattern)
    }

    /// What the fallback is found by: every path. Nobody has written it, so it is not called as if.
    pub(super) fn whatever() -> Self {
        Self { text: "*".to_owned(), names: vec!["path".to_owned()], segments: vec![Segment::Rest] }
    }

    /// That of no route at all.
    pub(super) const fn nothing() -> Self {
        Self { text: String::new(), names: Vec::new(), segments: Vec::new() }
    }

    /// As it was written.
    #[inline]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names of its parameters, in their order.
    #[inline]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What it matches, without the names of its parameters: patterns of one shape match the same paths.
    pub fn shape(&self) -> String {
        let escaped = |literal: &str| literal.replace('{', "{{").replace('}', "}}");
        let segment = |segment: &Segment| match segment {
            Segment::Literal(literal) => format!("/{}", escaped(literal)),
            Segment::Affixed { prefix, suffix } => format!("/{}{{}}{}", escaped(prefix), escaped(suffix)),
            Segment::Param => "/{}".to_owned(),
            Segment::Rest => "/{*}".to_owned(),
        };
        self.segments.iter().map(segment).collect()
    }

    /// Which of its parameters is the rest of a path.
    #[inline]
    pub(super) fn rest_place(&self) -> Option<usize> {
        matches!(self.segments.last(), Some(Segment::Rest)).then(|| self.names.len() - 1)
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The only path it matches, if it has no parameters.
    pub(super) fn literal_path(&self) -> Option<String> {
        let mut path = String::new();
        for segment in &self.segments {
            let Segment::Literal(literal) = segment else { return None };
            path.push('/');
            path.push_str(literal);
        }
        Some(path)
    }
}

/// Takes one segment apart, and appends the name of its parameter to `names`.
fn parse_segment(text: &str, names: &mut Vec<String>) -> Result<Segment, &'static str> {
    // What stands before the parameter, and what stands behind it.
    let mut literals = [String::new(), String::new()];
    let mut param = None;
    let mut rest = text;
    while let Some(place) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(place);
        let literal = &mut literals[usize::from(param.is_some())];
        literal.push_str(before);
        if let Some(behind) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
            literal.push_str(&brace[..1]);
            rest = behind;
            continue;
        }
        let inside = brace.strip_prefix('{').ok_or("a `}` has no `{` before it; `}}` stands for a brace")?;
        let (name, behind) =
            inside.split_once('}').ok_or("a `{` has no `}` behind it; `{{` stands for a brace")?;
        if param.replace(name).is_some() {
            return Err("a segment has two parameters");
        }
        rest = behind;
    }
    literals[usize::from(param.is_some())].push_str(rest);
    let [prefix, suffix] = literals;
    let Some(name) = param else { return Ok(Segment::Literal(prefix)) };
    let affixed = !(prefix.is_empty() && suffix.is_empty());
    let (name, segment) = match name.strip_prefix('*') {
        Some(_) if affixed => return Err("`{*…}` does not fill its segment"),
        Some(name) => (name, Segment::Rest),
        None if affixed => (name, Segment::Affixed { prefix, suffix }),
        None => (name, Segment::Param),
    };
    if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return Err("the name of a parameter is not made of letters, digits and `_`");
    }
    if names.iter().any(|known| known == name) {
        return Err("two parameters have the same name");
    }
    names.push(name.to_owned());
    Ok(segment)
}

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    pattern: String,
    why: &'static str,
}

impl PatternError {
    /// What is wrong, without the pattern.
    pub const fn reason(&self) -> &'static str {
        self.why
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the pattern `{}` cannot be used: {}", self.pattern, self.why)
    }
}

impl Error for PatternError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments() {
        let affixed =
            |prefix: &str, suffix: &str| Segment::Affixed { prefix: prefix.into(), suffix: suffix.into() };
        let literal = |text: &str| Segment::Literal(text.into());
        for (text, segments, names) in [
            ("/", vec![literal("")], vec![]),
            ("/a/", vec![literal("a"), literal("")], vec![]),
            ("/{a}/{*b}", vec![Segment::Param, Segment::Rest], vec!["a", "b"]),
            ("/v{n}/{f}.json", vec![affixed("v", ""), affixed("", ".json")], vec!["n", "f"]),
            ("/{{a}}/{{{a}}}", vec![literal("{a}"), affixed("{", "}")], vec!["a"]),
            ("/\u{e9} b/%2F", vec![literal("\u{e9} b"), literal("%2F")], vec![]),
        ] {
            let pattern = Pattern::parse(text).unwrap();
            assert_eq!(pattern.segments(), segments, "{text}");
            assert_eq!(pattern.names(), names, "{text}");
            assert_eq!(pattern.text(), text);
        }
    }

    #[test]
    fn the_shape_has_no_names() {
        for (text, shape) in [
            ("/", "/"),
            ("/a/{b}/{*c}", "/a/{}/{*}"),
            ("/v{n}/{f}.json", "/v{}/{}.json"),
            ("/{{a}}/{{{a}}}", "/{{a}}/{{{}}}"),
        ] {
            assert_eq!(Pattern::parse(text).unwrap().shape(), shape);
        }
    }

    #[test]
    fn what_cannot_match_or_cannot_be_meant_is_refused() {
        for (text, why) in [
            ("", "begin with"),
            ("a", "begin with"),
            ("/a//b", "decoded path"),
            ("/a/../b", "decoded path"),
            ("/.", "decoded path"),
            ("/%41", "decoded path"),
            ("/a?b", "decoded path"),
            ("/a\n", "decoded path"),
            ("/{*a}/b", "last segment"),
            ("/x{*a}", "fill its segment"),
            ("/{a}{b}", "two parameters"),
            ("/{a}-{b}", "two parameters"),
            ("/{a}/{a}", "same name"),
            ("/{}", "letters"),
            ("/{*}", "letters"),
            ("/{a:[0-9]+}", "letters"),
            ("/{a", "no `}`"),
            ("/a}", "no `{`"),
        ] {
            let error = Pattern::parse(text).expect_err(text).to_string();
            assert!(error.contains(why) && error.contains(&format!("`{text}`")), "{error}");
        }
        let many: String = (0..=PARAMS_MAX).map(|n| format!("/{{p{n}}}")).collect();
        assert!(Pattern::parse(&many).unwrap_err().to_string().contains("more than 16"));
    }
}
