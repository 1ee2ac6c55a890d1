//! CONDITIONAL REQUESTS: whether a client wants what there is. RFC 9110 §13.
//!
//! ```text
//!  If-Match ─────────────┐ true                            ┌ matches: 304 (GET, HEAD), else 412
//!  else If-Unmodified-   ├────► If-None-Match ─────────────┤
//!       Since            │      else If-Modified-Since ────┤ unmodified: 304 (GET, HEAD only)
//!  └ false: 412          │                                 └ else ──► Range (GET) ──► If-Range ──► ranges?
//! ```
//! The order is that of RFC 9110 §13.2.2. Pure: knows no file and no clock. Linear in the length of the head.

use super::version::{Version, is_tag_byte};
use crate::http::{Head, Known, Method, parse_date};

/// What the conditions of a request lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Do what the method says.
    Serve {
        /// There is one `Range`, and it is to be honoured.
        ranges: bool,
    },
    /// 304: the client has this version.
    NotModified,
    /// 412: the client thinks of another version.
    Failed,
}

/// How two entity tags are compared. RFC 9110 §8.8.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    /// Both must be strong.
    Strong,
    /// Only what stands between the quotes counts.
    Weak,
}

/// Judges a request for a representation that exists, in this version. For GET and HEAD, and for methods
/// that change it (which are never answered with 304 and have no ranges).
///
/// A date in `If-Range` must be that of `Last-Modified`, to the second (RFC 9110 §13.1.5). A file that
/// changed twice within it is not noticed then: a client that has the entity tag should send that.
pub(super) fn judge(head: &Head<'_>, version: &Version) -> Verdict {
    const ASKED: [Known; 5] =
        [Known::IfMatch, Known::IfUnmodifiedSince, Known::IfNoneMatch, Known::IfModifiedSince, Known::Range];
    if !head.table().has_any(ASKED) {
        return Verdict::Serve { ranges: false };
    }
    let is_expected = names(head, Known::IfMatch, version, Comparison::Strong)
        .or_else(|| Some(version.modified()? <= date(head, Known::IfUnmodifiedSince)?));
    if is_expected == Some(false) {
        return Verdict::Failed;
    }
    let is_read = matches!(head.method(), Method::Get | Method::Head);
    let is_known = names(head, Known::IfNoneMatch, version, Comparison::Weak).or_else(|| {
        let since = date(head, Known::IfModifiedSince).filter(|_| is_read)?;
        Some(version.modified()? <= since)
    });
    match is_known {
        Some(true) if is_read => Verdict::NotModified,
        Some(true) => Verdict::Failed,
        _ => Verdict::Serve { ranges: may_have_ranges(head, version) },
    }
}

/// Whether there is a `Range`, for this method (RFC 9110 §14.2: GET alone), and `If-Range` has nothing
/// against it.
fn may_have_ranges(head: &Head<'_>, version: &Version) -> bool {
    // Neither field is a list: two of them are none that can be understood.
    if head.method() != Method::Get || only(head, Known::Range).is_none() {
        return false;
    }
    match (head.known(Known::IfRange), only(head, Known::IfRange)) {
        (None, _) => true,
        (_, Some(value)) if value.starts_with(b"\"") => value == version.tag(),
        // A weak tag is no date, and so never good enough.
        (_, Some(value)) => version.modified().is_some() && version.modified() == parse_date(value),
        (Some(_), None) => false,
    }
}

/// The value of a field that stands there once.
fn only<'h>(head: &Head<'h>, name: Known) -> Option<&'h [u8]> {
    head.known(name).filter(|_| !head.table().is_repeated(name))
}

/// The date of a field; `None` also if it is none, or one of several: RFC 9110 §13.1.3 and §13.1.4 ignore
/// the field then.
fn date(head: &Head<'_>, name: Known) -> Option<u64> {
    only(head, name).and_then(parse_date)
}

/// Whether the field, all its lines together, names this version; `None` if there is no such field.
fn names(head: &Head<'_>, name: Known, version: &Version, comparison: Comparison) -> Option<bool> {
    let first = head.known(name)?;
    if !head.table().is_repeated(name) {
        return Some(first == b"*" || lists(first, version.tag(), comparison) == Some(true));
    }
    let mut is_named = false;
    for value in head.values(name.name()) {
        // RFC 9110 §5.3: one list, which is malformed if one of its lines is.
        match lists(value, version.tag(), comparison) {
            Some(found) => is_named |= found,
            None => return Some(false),
        }
    }
    Some(is_named)
}

/// Whether `tag` is in a list of entity tags; `None` if that is malformed. RFC 9110 §5.6.1, §8.8.3.
fn lists(list: &[u8], tag: &[u8], comparison: Comparison) -> Option<bool> {
    let (mut is_listed, mut rest) = (false, list);
    loop {
        // Empty elements are allowed.
        rest = skip(rest, |byte| matches!(byte, b' ' | b'\t' | b','));
        if rest.is_empty() {
            return Some(is_listed);
        }
        let (strong, is_weak) = match rest.strip_prefix(b"W/") {
            Some(strong) => (strong, true),
            None => (rest, false),
        };
        let length = quoted_length(strong)?;
        let (listed, behind) = strong.split_at(length);
        is_listed |= listed == tag && !(is_weak && comparison == Comparison::Strong);
        rest = skip(behind, |byte| matches!(byte, b' ' | b'\t'));
        if !matches!(rest.first(), None | Some(b',')) {
            return None;
        }
    }
}

/// The length of the opaque tag that `bytes` begin with, its quotes included.
fn quoted_length(bytes: &[u8]) -> Option<usize> {
    let opaque = bytes.strip_prefix(b"\"")?;
    let length = opaque.iter().position(|byte| !is_tag_byte(*byte))?;
    (opaque[length] == b'"').then_some(length + 2)
}

fn skip(bytes: &[u8], is_skipped: impl Fn(u8) -> bool) -> &[u8] {
    let count = bytes.iter().take_while(|byte| is_skipped(**byte)).count();
    &bytes[count..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::{FieldTable, RequestLine, Span};

    /// Before, at and after the modification of [`version`], which is Sun, 06 Nov 1994 08:49:37 GMT.
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const NO_DATES: [&str; 5] =
        ["yesterday", "", "Sun, 06 Nov 1994 08:49:37 CET", "784111777", "Sun, 31 Feb 1994 08:49:37 GMT"];

    const SERVE: Verdict = Verdict::Serve { ranges: false };
    const RANGES: Verdict = Verdict::Serve { ranges: true };

    fn version() -> Version {
        Version::new(Some("v1"), Some(784_111_777))
    }

    /// Calls with a head of these fields.
    fn with_head<T>(method: Method, fields: &[(&str, &[u8])], call: impl FnOnce(&Head<'_>) -> T) -> T {
        let (mut bytes, mut table) = (Vec::new(), FieldTable::new());
        table.set_line(RequestLine { method, ..RequestLine::default() });
        let mut place = |part: &[u8]| {
            let start = u16::try_from(bytes.len()).unwrap();
            bytes.extend_from_slice(part);
            Span::new(start, u16::try_from(bytes.len()).unwrap())
        };
        for (name, value) in fields {
            let known = Known::classify(name.as_bytes());
            table.push(place(name.as_bytes()), place(value), known).unwrap();
        }
        call(&Head::new(&bytes, &table))
    }

    fn judged(method: Method, fields: &[(&str, &str)], version: &Version) -> Verdict {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        with_head(method, &fields, |head| judge(head, version))
    }

    /// The verdict for GET.
    fn get(fields: &[(&str, &str)]) -> Verdict {
        judged(Method::Get, fields, &version())
    }

    #[test]
    fn a_request_without_conditions_is_served() {
        assert_eq!(get(&[]), SERVE);
        assert_eq!(
            get(&[("accept", "*/*"), ("if-range", "\"v1\"")]),
            SERVE,
            "§13.1.5: no Range, no If-Range"
        );
        assert_eq!(get(&[("range", "bytes=0-1")]), RANGES);
    }

    #[test]
    fn rfc_9110_13_1_1_if_match() {
        for (value, expected) in [
            ("*", SERVE),
            ("\"v1\"", SERVE),
            ("\"v0\", \"v1\"", SERVE),
            ("\"v1\",\"v0\"", SERVE),
            (" ,, \"v0\"\t,\t,\"v1\",", SERVE),
            ("\"v0\"", Verdict::Failed),
            ("\"V1\"", Verdict::Failed),
            ("\"v1", Verdict::Failed),
            ("v1", Verdict::Failed),
            ("W/\"v1\"", Verdict::Failed),
            ("W/\"v1\", \"v1\"", SERVE),
            ("", Verdict::Failed),
            (",", Verdict::Failed),
        ] {
            for method in [Method::Get, Method::Head, Method::Put, Method::Delete] {
                assert_eq!(
                    judged(method, &[("if-match", value)], &version()),
                    expected,
                    "{method:?} {value}"
                );
            }
        }
    }

    #[test]
    fn rfc_9110_13_1_2_if_none_match() {
        for (value, is_known) in [
            ("*", true),
            ("\"v1\"", true),
            ("W/\"v1\"", true),
            ("\"v0\", W/\"v1\" , \"v2\"", true),
            (",\"v1\",,", true),
            ("\"v0\"", false),
            ("\"v0\",\"v2\"", false),
            ("\"v1-br\"", false),
            ("\"v0,v1\"", false),
            ("", false),
        ] {
            let field = [("if-none-match", value)];
            let expected = if is_known { Verdict::NotModified } else { SERVE };
            for method in [Method::Get, Method::Head] {
                assert_eq!(judged(method, &field, &version()), expected, "{method:?} {value}");
            }
            let expected = if is_known { Verdict::Failed } else { SERVE };
            assert_eq!(judged(Method::Put, &field, &version()), expected, "PUT {value}");
        }
    }

    #[test]
    fn rfc_9110_8_8_3_a_malformed_list_matches_nothing() {
        for value in [
            "\"v1\" \"v0\"",
            "\"v1\"\"v0\"",
            "\"v1\", v0",
            "\"v1\", *",
            "*, \"v1\"",
            "**",
            "w/\"v1\"",
            "W/ \"v1\"",
            "W/W/\"v1\"",
            "\"v1\", W/",
            "\"v1\", W",
            "\"v1\", \"",
            "\"v1\", \"a b\"",
            "\"v1\", \"\u{7f}\"",
            "\"v1\"; q=1",
            "'v1'",
            "\"v1\\\"\"",
        ] {
            assert_eq!(get(&[("if-none-match", value)]), SERVE, "{value}");
            assert_eq!(get(&[("if-match", value)]), Verdict::Failed, "{value}");
        }
        let comma = Version::new(Some("a,b"), None);
        let field = [("if-none-match", "\"x\", \"a,b\"")];
        assert_eq!(judged(Method::Get, &field, &comma), Verdict::NotModified, "a comma may stand in a tag");
    }

    #[test]
    fn rfc_9110_5_3_repeated_fields_are_one_list() {
        for (first, second, is_listed) in [
            ("\"v0\"", "\"v1\"", true),
            ("\"v1\"", "\"v0\"", true),
            ("\"v1\"", "", true),
            ("\"v0\"", "\"v2\"", false),
            ("\"v1\"", "broken", false),
            ("broken", "\"v1\"", false),
            ("\"v1\"", "*", false),
            ("*", "*", false),
            ("\"a", "b\"", false),
        ] {
            let expected = if is_listed { Verdict::NotModified } else { SERVE };
            assert_eq!(
                get(&[("If-None-Match", first), ("x", "y"), ("if-none-match", second)]),
                expected,
                "{first} {second}"
            );
            let expected = if is_listed { SERVE } else { Verdict::Failed };
            assert_eq!(get(&[("if-match", first), ("IF-MATCH", second)]), expected, "{first} {second}");
        }
    }

    #[test]
    fn rfc_9110_13_1_3_if_modified_since() {
        for (value, expected) in [
            (BEFORE, SERVE),
            (AT, Verdict::NotModified),
            (AFTER, Verdict::NotModified),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Verdict::NotModified),
            ("Sunday, 06-Nov-94 08:49:36 GMT", SERVE),
            ("Sun Nov  6 08:49:37 1994", Verdict::NotModified),
            ("Sun Nov  6 08:49:36 1994", SERVE),
        ] {
            let field = [("if-modified-since", value)];
            assert_eq!(get(&field), expected, "{value}");
            assert_eq!(judged(Method::Head, &field, &version()), expected, "{value}");
            assert_eq!(judged(Method::Put, &field, &version()), SERVE, "ignored for other methods");
            let undated = Version::new(Some("v1"), None);
            assert_eq!(judged(Method::Get, &field, &undated), SERVE, "ignored without a date of our own");
            let tagged = [("if-none-match", "\"v0\""), ("if-modified-since", value)];
            assert_eq!(get(&tagged), SERVE, "ignored beside If-None-Match");
            let broken = [("if-none-match", "v1"), ("if-modified-since", value)];
            assert_eq!(get(&broken), SERVE, "and also beside one that is malformed");
        }
        for value in NO_DATES {
            assert_eq!(get(&[("if-modified-since", value)]), SERVE, "{value}");
        }
        assert_eq!(get(&[("if-modified-since", AFTER), ("if-modified-since", AFTER)]), SERVE, "a list");
    }

    #[test]
    fn rfc_9110_13_1_4_if_unmodified_since() {
        for (value, expected) in [
            (BEFORE, Verdict::Failed),
            (AT, SERVE),
            (AFTER, SERVE),
            ("Sunday, 06-Nov-94 08:49:36 GMT", Verdict::Failed),
            ("Sun Nov  6 08:49:36 1994", Verdict::Failed),
        ] {
            let field = [("if-unmodified-since", value)];
            for method in [Method::Get, Method::Head, Method::Put, Method::Delete] {
                assert_eq!(judged(method, &field, &version()), expected, "{method:?} {value}");
            }
            let undated = Version::new(Some("v1"), None);
            assert_eq!(judged(Method::Get, &field, &undated), SERVE, "ignored without a date of our own");
            let tagged = [("if-match", "\"v1\""), ("if-unmodified-since", value)];
            assert_eq!(get(&tagged), SERVE, "ignored beside If-Match");
        }
        for value in NO_DATES {
            assert_eq!(get(&[("if-unmodified-since", value)]), SERVE, "{value}");
        }
        let twice = [("if-unmodified-since", BEFORE), ("if-unmodified-since", BEFORE)];
        assert_eq!(get(&twice), SERVE, "a list");
    }

    #[test]
    fn rfc_9110_13_1_5_if_range() {
        let range = ("range", "bytes=0-1");
        for (value, expected) in [
            ("\"v1\"", RANGES),
            (AT, RANGES),
            ("Sunday, 06-Nov-94 08:49:37 GMT", RANGES),
            ("W/\"v1\"", SERVE),
            ("\"v0\"", SERVE),
            ("\"v1\", \"v0\"", SERVE),
            ("\"v1", SERVE),
            ("*", SERVE),
            ("", SERVE),
            (BEFORE, SERVE),
            (AFTER, SERVE),
        ] {
            assert_eq!(get(&[range, ("if-range", value)]), expected, "{value}");
        }
        for value in NO_DATES {
            assert_eq!(get(&[range, ("if-range", value)]), SERVE, "{value}");
            let undated = Version::new(Some("v1"), None);
            assert_eq!(judged(Method::Get, &[range, ("if-range", value)], &undated), SERVE, "{value}");
        }
        let twice = [range, ("if-range", "\"v1\""), ("if-range", "\"v1\"")];
        assert_eq!(get(&twice), SERVE, "it is no list");
    }

    #[test]
    fn rfc_9110_14_2_ranges_are_for_get_and_for_one_field() {
        let range = ("range", "bytes=0-1");
        assert_eq!(judged(Method::Head, &[range], &version()), SERVE);
        assert_eq!(judged(Method::Put, &[range], &version()), SERVE);
        assert_eq!(get(&[range, range]), SERVE);
    }

    /// Every combination of outcomes, against RFC 9110 §13.2.2 as it is written there.
    #[test]
    fn rfc_9110_13_2_2_precedence() {
        let tags = [None, Some("\"v1\""), Some("\"v0\"")];
        let dates = [None, Some(BEFORE), Some(AFTER)];
        let if_ranges = [None, Some("\"v1\""), Some("\"v0\"")];
        for method in [Method::Get, Method::Head, Method::Put] {
            for case in 0..243_usize {
                let pick = |place: u32| case / 3_usize.pow(place) % 3;
                let (matched, unmodified) = (tags[pick(0)], dates[pick(1)]);
                let (none, modified) = (tags[pick(2)], dates[pick(3)]);
                let if_range = if_ranges[pick(4)];
                let fields = [
                    ("range", Some("bytes=0-1")),
                    ("if-range", if_range),
                    ("if-modified-since", modified),
                    ("if-none-match", none),
                    ("if-unmodified-since", unmodified),
                    ("if-match", matched),
                ];
                let fields: Vec<_> =
                    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
                let is_read = method != Method::Put;
                let step_1_fails = matched == Some("\"v0\"");
                let step_2_fails = matched.is_none() && unmodified == Some(BEFORE);
                let step_3_fails = none == Some("\"v1\"");
                let step_4_fails = is_read && none.is_none() && modified == Some(AFTER);
                let step_5_holds = method == Method::Get && if_range != Some("\"v0\"");
                let expected = match (step_1_fails || step_2_fails, step_3_fails, step_4_fails) {
                    (true, ..) => Verdict::Failed,
                    (_, true, _) if !is_read => Verdict::Failed,
                    (_, true, _) | (_, _, true) => Verdict::NotModified,
                    _ => Verdict::Serve { ranges: step_5_holds },
                };
                assert_eq!(judged(method, &fields, &version()), expected, "{method:?} {fields:?}");
            }
        }
    }

    #[test]
    fn a_long_list_is_read_once() {
        let list = "\"v0\",".repeat(9_000);
        assert_eq!(get(&[("if-none-match", &format!("{list}\"v1\""))]), Verdict::NotModified);
        assert_eq!(get(&[("if-none-match", &format!("{list}\"v1"))]), SERVE);
        assert_eq!(get(&[("if-none-match", &format!("\"{list}"))]), SERVE);
        assert_eq!(get(&[("if-none-match", &",".repeat(60_000))]), SERVE);
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(
            values in prop::collection::vec(("[\"Wv1/*, \t]{0,12}", prop::num::u8::ANY, 0_usize..6), 0..6),
        ) {
            let names =
                ["if-match", "if-none-match", "if-range", "if-modified-since", "if-unmodified-since", "range"];
            let values: Vec<_> = values
                .into_iter()
                .map(|(text, byte, name)| (names[name], [text.as_bytes(), &[byte]].concat()))
                .collect();
            let fields: Vec<_> = values.iter().map(|(name, value)| (*name, &value[..])).collect();
            for method in [Method::Get, Method::Put] {
                let verdict = with_head(method, &fields, |head| judge(head, &version()));
                prop_assert!(method == Method::Get || verdict != Verdict::NotModified);
            }
        }

        /// The list as a reader of the grammar would take it apart.
        #[test]
        fn a_list_of_tags_is_what_was_written(
            tags in prop::collection::vec((any::<bool>(), "[v1,]{0,3}"), 0..8),
            separator in "[ \t]{0,2},[ ,\t]{0,2}",
        ) {
            let written: Vec<_> =
                tags.iter().map(|(weak, tag)| format!("{}\"{tag}\"", if *weak { "W/" } else { "" })).collect();
            let list = written.join(&separator);
            let has = |strong_only: bool| tags.iter().any(|(weak, tag)| tag == "v1" && !(*weak && strong_only));
            prop_assert_eq!(lists(list.as_bytes(), b"\"v1\"", Comparison::Weak), Some(has(false)));
            prop_assert_eq!(lists(list.as_bytes(), b"\"v1\"", Comparison::Strong), Some(has(true)));
        }
    }
}
