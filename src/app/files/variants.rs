//! Precompressed siblings: `app.js.br`, `app.js.zst`, `app.js.gz` beside `app.js`. RFC 9110 §8.4, §12.5.5.
//!
//! ```text
//!  Accepted ─► best coding first ─► is there a sibling? ─► a regular file? ─► not older? ─► send it
//!                    ▲                   no │                   no │             no │
//!                    └──────────────────────┴──────────────────────┴────────────────┘  none left: identity
//! ```
//! Opens nothing: the caller says how to look, and so decides what may be seen.

use std::fs::Metadata;
use std::time::{SystemTime, UNIX_EPOCH};

use super::coding::{Coding, Preference};
use super::compress::is_compressible;

/// A file beside another, as whoever looked has found it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sibling {
    is_file: bool,
    modified: Option<SystemTime>,
}

impl Sibling {
    /// What the file system says of it.
    pub(super) fn new(metadata: &Metadata) -> Self {
        Self { is_file: metadata.is_file(), modified: metadata.modified().ok() }
    }

    /// Whether it may stand for the original that was `modified` then: a regular file that is not older.
    ///
    /// A sibling that is older than the file was made from an earlier one, and is not sent. Times are
    /// compared as finely as the file system keeps them, but in whole seconds where the sibling's is one:
    /// some compressors cut the time that they copy. Without both times nothing is known, nothing is sent.
    pub(super) fn stands_for(&self, original: Option<SystemTime>) -> bool {
        self.is_file && self.modified.zip(original).is_some_and(|(own, original)| !is_older(own, original))
    }
}

/// The name of the sibling in `coding` of the file `name`, with or without its directories.
pub(super) fn sibling_name(name: &str, coding: Coding) -> String {
    [name, coding.suffix()].concat()
}

/// Whether a file of this name is a sibling itself by its name. It is sent as what it is, and has none.
pub(super) fn is_sibling_name(name: &str) -> bool {
    Coding::ALL.into_iter().any(|coding| {
        let suffix = coding.suffix().as_bytes();
        name.as_bytes()
            .last_chunk::<4>()
            .is_some_and(|end| end[4 - suffix.len()..].eq_ignore_ascii_case(suffix))
    })
}

/// What a directory sends besides its files as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offers {
    /// Precompressed siblings, where there are some.
    pub(super) precompressed: bool,
    /// What is compressed here, and what is sent rather.
    pub(super) codings: Preference,
}

impl Offers {
    /// Whether every answer for this file, also a 304 and the file as it is, owes `Vary: Accept-Encoding`
    /// (RFC 9110 §12.5.5): there *could* be a variant. A cache keeps an answer longer than today's files
    /// are there, so neither today's siblings nor today's size count.
    pub(super) fn owe_vary(self, name: &str, media_type: &str) -> bool {
        !is_sibling_name(name)
            && (self.precompressed || (self.codings.makes_some() && is_compressible(media_type)))
    }
}

fn is_older(sibling: SystemTime, original: SystemTime) -> bool {
    if sibling >= original {
        return false;
    }
    let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (sibling, original) = (since(sibling), since(original));
    sibling.subsec_nanos() != 0 || sibling.as_secs() < original.as_secs()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::app::files::coding::Accepted;
    use crate::http::{FieldTable, Head, Known, Span};
    use crate::sys::scratch::Scratch;

    use Coding::{Brotli, Gzip, Zstd};

    fn accepted(value: &str) -> Accepted {
        let mut table = FieldTable::new();
        let end = u16::try_from(value.len()).unwrap();
        table.push(Span::new(0, 0), Span::new(0, end), Some(Known::AcceptEncoding)).unwrap();
        Accepted::of(&Head::new(value.as_bytes(), &table))
    }

    fn at(seconds: u64, nanoseconds: u32) -> Option<SystemTime> {
        Some(UNIX_EPOCH + Duration::new(seconds, nanoseconds))
    }

    fn file(modified: Option<SystemTime>) -> Sibling {
        Sibling { is_file: true, modified }
    }

    /// The coding that is sent, and those that were looked for.
    fn sent(value: &str, siblings: &[(Coding, Sibling)]) -> (Option<Coding>, Vec<Coding>) {
        let mut looked = Vec::new();
        let found = accepted(value).ranked(&Preference::ALL).find(|coding| {
            looked.push(*coding);
            let sibling = siblings.iter().find(|(known, _)| known == coding);
            sibling.is_some_and(|(_, sibling)| sibling.stands_for(at(100, 500)))
        });
        (found, looked)
    }

    #[test]
    fn the_best_sibling_that_there_is_is_sent() {
        let new = file(at(100, 500));
        let all = Coding::ALL.map(|coding| (coding, new));
        for (value, siblings, coding, looked) in [
            ("gzip, deflate, br, zstd", &all[..], Some(Brotli), &[Brotli][..]),
            ("gzip, deflate, br, zstd", &all[2..], Some(Gzip), &[Brotli, Zstd, Gzip]),
            ("gzip, br;q=0.5", &all, Some(Gzip), &[Gzip]),
            ("gzip;q=0.5, br", &all[1..], Some(Gzip), &[Brotli, Gzip]),
            ("gzip;q=0.5, identity", &all, None, &[]),
            ("", &all, None, &[]),
            ("br", &[], None, &[Brotli]),
        ] {
            assert_eq!(sent(value, siblings), (coding, looked.to_vec()), "{value:?}");
        }
    }

    #[test]
    fn a_sibling_is_a_regular_file_that_is_not_older() {
        let directory = Sibling { is_file: false, ..file(at(100, 500)) };
        for (sibling, is_sent) in [
            (file(at(100, 500)), true),
            (file(at(101, 0)), true),
            (file(at(100, 499)), false),
            (file(at(100, 0)), true),
            (file(at(99, 999)), false),
            (file(at(99, 0)), false),
            (file(None), false),
            (directory, false),
        ] {
            let coding = is_sent.then_some(Brotli).or(Some(Gzip));
            let siblings = [(Brotli, sibling), (Gzip, file(at(100, 500)))];
            assert_eq!(sent("br, gzip", &siblings).0, coding, "{sibling:?}");
        }
        assert!(!file(at(100, 0)).stands_for(None), "nothing is known");
    }

    #[test]
    fn a_sibling_is_what_the_file_system_says() {
        let scratch = Scratch::new("variants");
        scratch.put("x", "x");
        let place = scratch.join("x");
        let modified = fs::metadata(&place).unwrap().modified().ok();
        let file = Sibling::new(&fs::metadata(&place).unwrap());
        let directory = Sibling::new(&fs::metadata(&*scratch).unwrap());
        assert!(file.stands_for(modified));
        assert!(!directory.stands_for(at(0, 0)));
    }

    #[test]
    fn names() {
        assert_eq!(
            Coding::ALL.map(|coding| sibling_name("a/b.js", coding)),
            ["a/b.js.br", "a/b.js.zst", "a/b.js.gz"]
        );
        for (name, is_sibling) in [
            ("a.js.br", true),
            ("a.tar.GZ", true),
            ("a.zst", true),
            ("a.js", false),
            ("abr", false),
            ("gz", false),
        ] {
            assert_eq!(is_sibling_name(name), is_sibling, "{name}");
        }
    }

    #[test]
    fn rfc_9110_12_5_5_vary_is_owed_where_there_could_be_a_variant() {
        let none = Offers { precompressed: false, codings: Preference::NONE };
        let precompressed = Offers { precompressed: true, ..none };
        let compressed = Offers { codings: Preference::ALL, ..none };
        for (offers, name, media_type, owed) in [
            (none, "a.js", "text/javascript", false),
            (precompressed, "a.js", "text/javascript", true),
            (precompressed, "a.bin", "application/octet-stream", true),
            (precompressed, "a.js.br", "application/x-brotli", false),
            (compressed, "a.js", "text/javascript; charset=utf-8", true),
            (compressed, "a.png", "image/png", false),
            (compressed, "a.txt.gz", "text/plain", false),
        ] {
            assert_eq!(offers.owe_vary(name, media_type), owed, "{offers:?} {name}");
        }
    }
}
