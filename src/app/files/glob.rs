//! [`Glob`]: a pattern for names of files.
//!
//! ```text
//!  ?  one character, no slash     *  any number of them     **  any number, slashes too
//! ```
//! Linear in the name for each star: there is no way back but to the last star.

/// A pattern.
#[derive(Clone, Debug)]
pub(super) struct Glob {
    pattern: Box<[u8]>,
    /// It is held against the last part of a name.
    is_of_last_part: bool,
}

impl Glob {
    pub(super) fn new(pattern: &str) -> Self {
        let pattern = pattern.trim_start_matches('/');
        Self { pattern: pattern.as_bytes().into(), is_of_last_part: !pattern.contains('/') }
    }

    /// Whether it matches a name below the root.
    pub(super) fn matches(&self, name: &str) -> bool {
        let name = match name.rsplit_once('/') {
            Some((_, last)) if self.is_of_last_part => last,
            _ => name,
        };
        matches(&self.pattern, name.as_bytes())
    }
}

/// What stands behind a star: where in the pattern, and from where in the name.
type Behind = (usize, usize);

fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut place) = (0, 0);
    // The last star of each kind takes more when nothing else fits.
    let (mut star, mut stars): (Option<Behind>, Option<Behind>) = (None, None);
    // `**/` stands for whole folders, also for none: it ends where a part begins.
    let mut takes_folders = false;
    loop {
        if pattern[at..].starts_with(b"**") {
            takes_folders = pattern[at..].starts_with(b"**/");
            at += if takes_folders { 3 } else { 2 };
            (star, stars) = (None, Some((at, place)));
        } else if pattern.get(at) == Some(&b'*') {
            at += 1;
            star = Some((at, place));
        } else if place == name.len() && at == pattern.len() {
            return true;
        } else if place < name.len()
            && (pattern.get(at) == Some(&name[place])
                || (pattern.get(at) == Some(&b'?') && name[place] != b'/'))
        {
            at += 1;
            place += 1;
        } else if let Some((behind, from)) =
            star.filter(|(_, from)| name.get(*from).is_some_and(|b| *b != b'/'))
        {
            star = Some((behind, from + 1));
            (at, place) = (behind, from + 1);
        } else if let Some((behind, from)) = stars.filter(|(_, from)| *from < name.len()) {
            let next =
                if takes_folders { name[from..].iter().position(|&byte| byte == b'/') } else { Some(0) };
            let Some(skipped) = next else { return false };
            let from = from + skipped + 1;
            (star, stars) = (None, Some((behind, from)));
            (at, place) = (behind, from);
        } else {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_parts_of_names() {
        for (pattern, name, expected) in [
            ("*.css", "a.css", true),
            ("*.css", "sub/deep/a.css", true),
            ("*.css", "a.css.map", false),
            ("/assets/*", "assets/a.js", true),
            ("assets/*", "assets/sub/a.js", false),
            ("assets/**", "assets/sub/a.js", true),
            ("**/a.js", "a.js", true),
            ("**/a.js", "x/y/a.js", true),
            ("**/a.js", "x/ya.js", false),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("x/**/z*.?s", "x/1/2/zoo.js", true),
            ("x/**/z*.?s", "x/zoo.css", false),
            ("*-????????.js", "app-0123abcd.js", true),
            ("*a*b*c", "xxaxxbxxc", true),
            ("*a*b*c", "xxaxxcxxb", false),
            ("**", "anything/at/all", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(name), expected, "{pattern} and {name}");
        }
    }

    #[test]
    fn many_stars_take_no_long_time() {
        let name = "a".repeat(10_000);
        assert!(!Glob::new(&("*a".repeat(50) + "b")).matches(&name));
        assert!(!Glob::new(&("**a".repeat(50) + "b")).matches(&name));
    }
}
