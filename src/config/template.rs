//! [`Template`]: a text with placeholders, as in `"https://example.com{uri}"`.
//!
//! | in the text | stands for |
//! | --- | --- |
//! | `{name}` | what is found under this name when a request comes |
//! | `{env:NAME}` | the variable, when the file is read |
//! | `{{`, `}}` | a brace |
//!
//! Knows no request: which names there are depends on the key, and is checked by [`Template::unknown`].

use super::key::{Kind, Value};
use super::node::{Node, Raw};
use super::read::{Braces, Reader, quoted};

/// A text with placeholders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// A part of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As it is.
    Text(String),
    /// What is found under this name: a capture of the route's path first, else one of those that every
    /// request has.
    Placeholder(String),
}

impl Template {
    /// Its parts, in their order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The names of its placeholders.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Placeholder(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text, if there are no placeholders.
    pub fn as_text(&self) -> Option<&str> {
        match &self.parts[..] {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The first placeholder that is none of `known`.
    pub(super) fn unknown<'t>(&'t self, known: &[&str]) -> Option<&'t str> {
        self.names().find(|name| !known.contains(name))
    }

    /// Takes `text` apart.
    ///
    /// # Errors
    /// What is wrong with its braces.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            literal.push_str(before);
            if let Some(behind) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
                literal.push_str(&brace[..1]);
                rest = behind;
                continue;
            }
            let inside =
                brace.strip_prefix('{').ok_or("a `}` has no `{` before it; `}}` stands for a brace")?;
            let (name, behind) =
                inside.split_once('}').ok_or("a `{` has no `}` behind it; `{{` stands for a brace")?;
            if name.is_empty() || !name.chars().all(|char| char.is_alphanumeric() || char == '_') {
                return Err("the name of a placeholder is not made of letters, digits and `_`");
            }
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Placeholder(name.to_owned()));
            rest = behind;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    /// As it would be written.
    pub(crate) fn text(&self) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.replace('{', "{{").replace('}', "}}"),
            Part::Placeholder(name) => format!("{{{name}}}"),
        };
        self.parts.iter().map(part).collect()
    }
}

impl Value for Template {
    fn kind() -> Kind {
        Kind::Text("a text with placeholders", "https://example.com{uri}")
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Raw::Text(text) = &node.raw else {
            reader.expected(node, "a text such as \"https://example.com{uri}\"");
            return None;
        };
        let text = reader.expand(node, text, Braces::Placeholders)?;
        match Self::parse(&text) {
            Ok(template) if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) => {
                drop(template);
                reader.misread(
                    node,
                    &text,
                    "a text with placeholders",
                    "no control characters may stand in it",
                );
                None
            }
            Ok(template) => Some(template),
            Err(why) => {
                reader.misread(node, &text, "a text with placeholders", why);
                None
            }
        }
    }

    fn show(&self) -> String {
        quoted(&self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let text = |text: &str| Part::Text(text.to_owned());
        let placeholder = |name: &str| Part::Placeholder(name.to_owned());
        for (written, parts) in [
            ("", vec![]),
            ("a", vec![text("a")]),
            ("{uri}", vec![placeholder("uri")]),
            ("a{uri}b{{c}}", vec![text("a"), placeholder("uri"), text("b{c}")]),
        ] {
            let template = Template::parse(written).unwrap();
            assert_eq!(template.parts(), parts);
            assert_eq!(template.text(), written);
        }
        for wrong in ["{", "}", "{}", "{a", "a}", "{a-b}", "{a{b}"] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }
}
