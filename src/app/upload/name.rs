//! [`Name`]: what an uploaded file may be called: one name that everybody can see and nobody can misread.

/// What file systems take, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// The name of a file: not empty, not hidden, without separators and control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(String);

impl Name {
    /// `text` as it is, if it is a name.
    pub(super) fn new(text: &str) -> Option<Self> {
        let is_name = (1..=NAME_BYTES_MAX).contains(&text.len())
            && !text.starts_with('.')
            && !text.contains(|c: char| matches!(c, '/' | '\\') || c.is_control());
        is_name.then(|| Self(text.to_owned()))
    }

    /// The name that a segment of a normalised path stands for: `%` is escaped there, and `%2F` is a slash,
    /// which no name has.
    pub(super) fn of_segment(segment: &str) -> Option<Self> {
        if segment.contains("%2F") { None } else { Self::new(&segment.replace("%25", "%")) }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The folder that a normalised path stands for, as names parted by `/`.
pub(super) fn folder_of(path: &str) -> Option<String> {
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let names: Option<Vec<Name>> = segments.map(Name::of_segment).collect();
    Some(names?.iter().map(Name::as_str).collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_single_and_visible() {
        for name in ["a", "a.txt", "a b", "\u{e9}", "100%", "a..b", "-rf", "~", &"x".repeat(255)] {
            assert!(Name::new(name).is_some(), "{name}");
        }
        let long = "x".repeat(256);
        for name in [
            "", ".", "..", ".hidden", "...", "a/b", "/a", "a/", "../a", "a\\b", "..\\a", "a\0", "a\nb",
            "\u{7f}", "\u{85}", &long,
        ] {
            assert_eq!(Name::new(name), None, "{name:?}");
        }
    }

    #[test]
    fn segments_are_decoded_once() {
        assert_eq!(Name::of_segment("100%25").unwrap().as_str(), "100%");
        assert_eq!(Name::of_segment("a%252Fb").unwrap().as_str(), "a%2Fb");
        assert_eq!(Name::of_segment("a%2Fb"), None);
        assert_eq!(folder_of("a/b%25/").as_deref(), Some("a/b%"));
        assert_eq!(folder_of("").as_deref(), Some(""));
        for path in ["a/../b", "..", ".git/x", "a/%2F", "a/.b/"] {
            assert_eq!(folder_of(path), None, "{path}");
        }
    }
}
