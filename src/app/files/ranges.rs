//! RANGES: which bytes of a representation a client asks for. RFC 9110 §14.
//!
//! ```text
//!  bytes=900-, 0-99, 50-149, -10   of 1000 bytes
//!        │     └──┬───┘      └─ in 900-
//!        └───┐  ┌─┘
//!    900-999, 0-149      with a gap between any two: never more bytes than there are
//! ```
//! Pure arithmetic that cannot overflow, in one pass over the value. Knows no file, no method, no condition.

use ::http::HeaderValue;

/// How many ranges one request may ask for. One that asks for more gets the whole representation, which
/// RFC 9110 §14.2 allows: a player or a reader wants a few, and each costs a part head.
const RANGES_MAX: usize = 16;

/// Some bytes of a representation, at least one. Invariant: `offset + length` is a number of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ByteSpan {
    offset: u64,
    length: u64,
}

impl ByteSpan {
    /// From the byte `first` up to the byte `last`, which is one of them: as ranges are written.
    fn inclusive(first: u64, last: u64) -> Self {
        debug_assert!(first <= last && last < u64::MAX);
        Self { offset: first, length: last - first + 1 }
    }

    /// How many bytes stand before it.
    pub(super) const fn offset(self) -> u64 {
        self.offset
    }

    /// How many bytes it has, never zero.
    pub(super) const fn length(self) -> u64 {
        self.length
    }

    /// How many bytes there are up to its last.
    const fn end(self) -> u64 {
        self.offset + self.length
    }

    /// What `Content-Range` says of it, within `complete_length` bytes. RFC 9110 §14.4.
    pub(super) fn content_range(self, complete_length: u64) -> HeaderValue {
        let value = format!("bytes {}-{}/{complete_length}", self.offset, self.end() - 1);
        HeaderValue::try_from(value).expect("digits are a field value")
    }
}

/// What is sent of a representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ranges {
    /// All of it, as if nobody had asked for a range (200).
    Whole,
    /// One run of bytes (206 with `Content-Range`).
    One(ByteSpan),
    /// Several with a gap between any two, in the order of the request (206 with `multipart/byteranges`).
    Many(Vec<ByteSpan>),
    /// Nothing: there is no such byte (416 with [`unsatisfied`]).
    Unsatisfiable,
}

/// What the value of `Range`, if there is one to be honoured, means for a representation of `length` bytes.
///
/// Another unit, a malformed set, and one of more than 16 ranges are ignored: [`Ranges::Whole`]. Ranges that
/// overlap or touch are merged, whatever their order, so that no set makes more bytes than there are. They
/// are sent in the order in which they were asked for (RFC 9110 §15.3.7.2): who asks for a later part first
/// needs it first (§14.2).
pub(super) fn resolve(value: Option<&[u8]>, length: u64) -> Ranges {
    match value.and_then(byte_range_set) {
        None => Ranges::Whole,
        // RFC 9110 §14.1.2: the end of nothing is all of it, which no `Content-Range` can name.
        Some(specs) if length == 0 && specs.iter().any(Spec::is_end) => Ranges::Whole,
        Some(specs) => merge(specs.iter().filter_map(|spec| spec.within(length)).collect()),
    }
}

/// The value of `Content-Range` of a 416. RFC 9110 §15.5.17.
pub(super) fn unsatisfied(complete_length: u64) -> HeaderValue {
    HeaderValue::try_from(format!("bytes */{complete_length}")).expect("digits are a field value")
}

/// What one range asks for. Numbers that need more than 64 bits are the largest that there is, which no
/// representation reaches.
#[derive(Clone, Copy, Debug)]
enum Spec {
    /// `first-last`, `first-`
    From { first: u64, last: u64 },
    /// `-length`
    End { length: u64 },
}

impl Spec {
    /// RFC 9110 §14.1.1: `None`, if it is malformed.
    fn parse(text: &[u8]) -> Option<Self> {
        let dash = text.iter().position(|byte| *byte == b'-')?;
        let (first, last) = (&text[..dash], &text[dash + 1..]);
        if first.is_empty() {
            return Some(Self::End { length: number(digits(last)?) });
        }
        let first = digits(first)?;
        if last.is_empty() {
            return Some(Self::From { first: number(first), last: u64::MAX });
        }
        let last = digits(last)?;
        // Without leading zeros, numbers of any size compare by length and then by digit.
        let is_reversed = (first.len(), first) > (last.len(), last);
        (!is_reversed).then(|| Self::From { first: number(first), last: number(last) })
    }

    /// The bytes that there are of it; `None` if there is none.
    fn within(&self, complete_length: u64) -> Option<ByteSpan> {
        let final_byte = complete_length.checked_sub(1)?;
        match *self {
            Self::From { first, last } => {
                (first <= final_byte).then(|| ByteSpan::inclusive(first, last.min(final_byte)))
            }
            Self::End { length: 0 } => None,
            Self::End { length } => {
                Some(ByteSpan::inclusive(complete_length.saturating_sub(length), final_byte))
            }
        }
    }

    /// Whether it asks for the end of whatever there is.
    const fn is_end(&self) -> bool {
        matches!(self, Self::End { length: 1.. })
    }
}

/// The ranges of a `Range` in bytes; `None` if it is another one, malformed, or too much.
fn byte_range_set(value: &[u8]) -> Option<Vec<Spec>> {
    let equals = value.iter().position(|byte| *byte == b'=')?;
    let (unit, set) = (&value[..equals], &value[equals + 1..]);
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut specs = Vec::new();
    // RFC 9110 §5.6.1: white space and empty elements are allowed.
    for element in set.split(|byte| *byte == b',').map(without_space).filter(|element| !element.is_empty()) {
        if specs.len() == RANGES_MAX {
            return None;
        }
        specs.push(Spec::parse(element)?);
    }
    (!specs.is_empty()).then_some(specs)
}

fn without_space(text: &[u8]) -> &[u8] {
    let is_content = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = text.iter().position(is_content).unwrap_or(text.len());
    let end = text.iter().rposition(is_content).map_or(start, |last| last + 1);
    &text[start..end]
}

/// The digits of a number without the zeros before it; `None` if it is none.
fn digits(text: &[u8]) -> Option<&[u8]> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let zeros = text.iter().take_while(|byte| **byte == b'0').count();
    is_number.then_some(&text[zeros..])
}

fn number(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
}

/// Joins spans without a gap between them. What was joined stands where the first of its spans did.
fn merge(spans: Vec<ByteSpan>) -> Ranges {
    let mut placed: Vec<(usize, ByteSpan)> = spans.into_iter().enumerate().collect();
    placed.sort_unstable_by_key(|(_, span)| span.offset);
    placed.dedup_by(|(next_place, next), (place, span)| {
        let is_joined = next.offset <= span.end();
        if is_joined {
            span.length = span.end().max(next.end()) - span.offset;
            *place = (*place).min(*next_place);
        }
        is_joined
    });
    placed.sort_unstable_by_key(|(place, _)| *place);
    let spans: Vec<_> = placed.into_iter().map(|(_, span)| span).collect();
    match spans[..] {
        [] => Ranges::Unsatisfiable,
        [span] => Ranges::One(span),
        _ => Ranges::Many(spans),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TWO_63: u64 = 1 << 63;

    /// The ranges as `Content-Range` would name them, or the verdict.
    fn resolved(value: &str, length: u64) -> String {
        match resolve(Some(value.as_bytes()), length) {
            Ranges::Whole => "whole".to_owned(),
            Ranges::Unsatisfiable => "none".to_owned(),
            Ranges::One(span) => named(&[span]),
            Ranges::Many(spans) => {
                assert!(spans.len() > 1, "{spans:?}");
                named(&spans)
            }
        }
    }

    fn named(spans: &[ByteSpan]) -> String {
        let names: Vec<_> = spans.iter().map(|span| format!("{}-{}", span.offset, span.end() - 1)).collect();
        names.join(" ")
    }

    #[test]
    fn rfc_9110_14_1_2_byte_ranges() {
        for (value, length, expected) in [
            // The examples of the standard.
            ("bytes=0-499", 10_000, "0-499"),
            ("bytes=500-999", 10_000, "500-999"),
            ("bytes=-500", 10_000, "9500-9999"),
            ("bytes=9500-", 10_000, "9500-9999"),
            ("bytes=0-0,-1", 10_000, "0-0 9999-9999"),
            ("bytes= 0-0, -1", 10_000, "0-0 9999-9999"),
            ("bytes= 0-999, 4500-5499, -1000", 10_000, "0-999 4500-5499 9000-9999"),
            ("bytes=500-600,601-999", 10_000, "500-999"),
            ("bytes=500-700,601-999", 10_000, "500-999"),
            // At the end of the representation, and beyond.
            ("bytes=0-", 10, "0-9"),
            ("bytes=0-9", 10, "0-9"),
            ("bytes=0-10", 10, "0-9"),
            ("bytes=9-9", 10, "9-9"),
            ("bytes=9-", 10, "9-9"),
            ("bytes=-10", 10, "0-9"),
            ("bytes=-11", 10, "0-9"),
            ("bytes=007-0008", 10, "7-8"),
            ("bytes=0-0", 1, "0-0"),
        ] {
            assert_eq!(resolved(value, length), expected, "{value} of {length}");
        }
    }

    #[test]
    fn rfc_9110_14_2_unsatisfiable() {
        for (value, length) in [
            ("bytes=10-", 10),
            ("bytes=10-20", 10),
            ("bytes=-0", 10),
            ("bytes=-000", 10),
            ("bytes=10-,20-30,-0", 10),
            ("bytes=0-", 0),
            ("bytes=0-0", 0),
            ("bytes=-0", 0),
            ("bytes=99999999999999999999-", 10),
            ("bytes=18446744073709551615-", u64::MAX),
        ] {
            assert_eq!(resolved(value, length), "none", "{value} of {length}");
        }
        assert_eq!(resolved("bytes=10-, 3-4 ,-0", 10), "3-4", "one that is satisfiable is enough");
        assert_eq!(resolved("bytes=-5", 0), "whole", "the end of nothing is all of it");
        assert_eq!(resolved("bytes=0-,-5", 0), "whole");
        assert_eq!(unsatisfied(0), "bytes */0");
        assert_eq!(unsatisfied(u64::MAX), "bytes */18446744073709551615");
    }

    #[test]
    fn rfc_9110_14_1_1_what_is_malformed_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes= , ,\t",
            "bytes=-",
            "bytes=5",
            "bytes=a-",
            "bytes=-a",
            "bytes=0-a",
            "bytes=5-4",
            "bytes=0-1,5-4",
            "bytes=0-1,x",
            "bytes=0--1",
            "bytes=--1",
            "bytes=+0-1",
            "bytes=0 -1",
            "bytes=0- 1",
            "bytes=- 1",
            "bytes=0-1 2-3",
            "bytes=0-1;2-3",
            "bytes=0x0-0x1",
            "bytes=0-1-2",
            "bytes=1.0-2",
            "bytes:0-1",
            "bytes =0-1",
            " bytes=0-1",
            "byte=0-1",
            "bytes=bytes=0-1",
            "lines=0-1",
            "items=0-1",
            "none=0-1",
            "=0-1",
            "bytes=\u{664}-",
            "bytes=0-1\r",
            "bytes=0-1,\0",
            // More than 64 bits, and still the wrong way round.
            "bytes=100000000000000000000-99999999999999999999",
        ] {
            assert_eq!(resolved(value, 10), "whole", "{value:?}");
        }
        assert_eq!(resolve(None, 10), Ranges::Whole);
        for value in
            ["BYTES=0-1", "Bytes=0-1", "bytes=,0-1", "bytes=0-1,", "bytes=\t,, 0-1\t, ,", "bytes= 0-1"]
        {
            assert_eq!(resolved(value, 10), "0-1", "{value:?}");
        }
    }

    #[test]
    fn rfc_9110_14_2_overlapping_and_adjacent_ranges_are_merged() {
        for (value, expected) in [
            ("bytes=0-1,2-3", "0-3"),
            ("bytes=2-3,0-1", "0-3"),
            ("bytes=0-1,3-4", "0-1 3-4"),
            ("bytes=8-9,4-5,0-1", "8-9 4-5 0-1"),
            ("bytes=6-7,0-1,7-9", "6-9 0-1"),
            ("bytes=8-9,0-2,4-6,3-3", "8-9 0-6"),
            ("bytes=0-9,3-4", "0-9"),
            ("bytes=3-4,0-9", "0-9"),
            ("bytes=1-8,2-3,5-6", "1-8"),
            ("bytes=0-1,0-1,0-1", "0-1"),
            ("bytes=0-,1-,2-,-9,-1", "0-9"),
            ("bytes=0-4,-5", "0-9"),
            ("bytes=0-3,-5", "0-3 5-9"),
        ] {
            assert_eq!(resolved(value, 10), expected, "{value}");
        }
    }

    #[test]
    fn sixteen_ranges_are_taken_and_no_more() {
        let set = |count: u64| {
            let ranges: Vec<_> = (0..count).map(|n| format!("{}-{}", 10 * n, 10 * n)).collect();
            format!("bytes={}", ranges.join(","))
        };
        assert!(matches!(resolve(Some(set(16).as_bytes()), 1_000), Ranges::Many(spans) if spans.len() == 16));
        assert_eq!(resolved(&set(17), 1_000), "whole");
        assert_eq!(resolved(&set(17), 1), "whole", "though sixteen of them were unsatisfiable");
        assert_eq!(resolved(&format!("{}{}", set(16), ",".repeat(60_000)), 1), "0-0");
    }

    /// Apache's killer: 1,301 ranges that overlap, each of which was one more copy in memory.
    #[test]
    fn cve_2011_3192_many_overlapping_ranges() {
        let set = |last: u64| {
            let ranges: Vec<_> = (0..=last).map(|n| format!("5-{n}")).collect();
            format!("bytes=0-,{}", ranges.join(","))
        };
        assert_eq!(resolved(&set(1_299), 100_000), "whole", "5-0 is malformed, and they are too many");
        assert_eq!(resolved("bytes=0-,5-5,5-6,5-7,5-8,5-9,5-10,5-11", 100_000), "0-99999");
        let most: Vec<_> = (0..16).map(|n| format!("{n}-")).collect();
        assert_eq!(resolved(&format!("bytes={}", most.join(",")), 100_000), "0-99999");
    }

    /// nginx summed up the lengths of suffixes in 64 bits with a sign, and served what stands before a file.
    #[test]
    fn cve_2017_7529_suffixes_that_overflow() {
        for value in [
            "bytes=-17208,-9223372036854758792",
            "bytes=-1624,-9223372036854774184",
            "bytes=-9223372036854775807",
            "bytes=-9223372036854775808",
            "bytes=-18446744073709551615,-18446744073709551615",
            "bytes=-18446744073709551616",
            "bytes=-99999999999999999999999999999999999999",
        ] {
            assert_eq!(resolved(value, 1_000), "0-999", "{value}");
        }
        assert_eq!(resolved("bytes=-623,-9223372036854775185,0-0", 1_000), "0-999");
    }

    #[test]
    fn numbers_near_the_end_of_63_and_64_bits() {
        let max = u64::MAX;
        for (value, length, expected) in [
            (format!("bytes={}-{TWO_63}", TWO_63 - 1), TWO_63, format!("{0}-{0}", TWO_63 - 1)),
            (format!("bytes={TWO_63}-"), TWO_63, "none".into()),
            (format!("bytes={TWO_63}-"), TWO_63 + 1, format!("{TWO_63}-{TWO_63}")),
            (format!("bytes=-{TWO_63}"), TWO_63 + 1, format!("1-{TWO_63}")),
            (format!("bytes=0-{max}"), max, format!("0-{}", max - 1)),
            (format!("bytes={}-{max}", max - 1), max, format!("{0}-{0}", max - 1)),
            (format!("bytes=-{max}"), max, format!("0-{}", max - 1)),
            ("bytes=0-18446744073709551616".into(), max, format!("0-{}", max - 1)),
            ("bytes=-18446744073709551616".into(), max, format!("0-{}", max - 1)),
            ("bytes=0-0,18446744073709551614-".into(), max, format!("0-0 {0}-{0}", max - 1)),
            (format!("bytes=0-{},{TWO_63}-", TWO_63 - 1), max, format!("0-{}", max - 1)),
            (format!("bytes={}1-2", "0".repeat(10_000)), 10, "1-2".into()),
            (format!("bytes=1-{}", "9".repeat(10_000)), 10, "1-9".into()),
        ] {
            assert_eq!(resolved(&value, length), expected, "{value} of {length}");
        }
    }

    #[test]
    fn rfc_9110_14_4_content_range() {
        let Ranges::One(span) = resolve(Some(b"bytes=42-1233"), 1_234) else { panic!("one range") };
        assert_eq!((span.offset(), span.length()), (42, 1_192));
        assert_eq!(span.content_range(1_234), "bytes 42-1233/1234");
        let Ranges::One(span) = resolve(Some(b"bytes=0-"), u64::MAX) else { panic!("one range") };
        assert_eq!(span.content_range(u64::MAX), "bytes 0-18446744073709551614/18446744073709551615");
    }

    /// A range as it is written, and in 128 bits.
    #[derive(Clone, Debug)]
    enum Written {
        Closed(u64, u64),
        Open(u64),
        Suffix(u64),
    }

    impl Written {
        fn text(&self) -> String {
            match self {
                Self::Closed(first, last) => format!("{first}-{last}"),
                Self::Open(first) => format!("{first}-"),
                Self::Suffix(length) => format!("-{length}"),
            }
        }

        /// Whether it asks for the byte `place` of `length`.
        fn has(&self, place: u64, length: u64) -> bool {
            let (place, length) = (u128::from(place), u128::from(length));
            place < length
                && match *self {
                    Self::Closed(first, last) => (u128::from(first)..=u128::from(last)).contains(&place),
                    Self::Open(first) => place >= u128::from(first),
                    Self::Suffix(suffix) => place + u128::from(suffix) >= length,
                }
        }

        /// The first byte of `length` that it asks for, if it asks for one.
        fn start(&self, length: u64) -> u64 {
            match *self {
                Self::Closed(first, _) | Self::Open(first) => first,
                Self::Suffix(suffix) => length.saturating_sub(suffix),
            }
        }

        fn numbers(&self) -> Vec<u64> {
            match *self {
                Self::Closed(first, last) => vec![first, last],
                Self::Open(number) | Self::Suffix(number) => vec![number],
            }
        }
    }

    fn written(number: impl Strategy<Value = u64> + Clone) -> impl Strategy<Value = Written> {
        prop_oneof![
            (number.clone(), number.clone()).prop_map(|(a, b)| Written::Closed(a.min(b), a.max(b))),
            number.clone().prop_map(Written::Open),
            number.prop_map(Written::Suffix),
        ]
    }

    fn near_a_limit() -> impl Strategy<Value = u64> + Clone {
        prop_oneof![
            0_u64..20,
            (TWO_63 - 20)..(TWO_63 + 20),
            (u64::MAX - 20)..=u64::MAX,
            Just(u64::from(u32::MAX)),
        ]
    }

    /// Checks `ranges` against what was asked for, byte by byte at `places`.
    fn agrees(
        asked: &[Written],
        length: u64,
        places: impl Iterator<Item = u64>,
    ) -> Result<(), TestCaseError> {
        let texts: Vec<_> = asked.iter().map(Written::text).collect();
        let ranges = resolve(Some(format!("bytes={}", texts.join(",")).as_bytes()), length);
        let spans = match ranges {
            Ranges::Whole => {
                prop_assert!(length == 0 && asked.iter().any(|range| matches!(range, Written::Suffix(1..))));
                return Ok(());
            }
            Ranges::Unsatisfiable => Vec::new(),
            Ranges::One(span) => vec![span],
            Ranges::Many(spans) => spans,
        };
        for span in &spans {
            prop_assert!(span.length > 0);
            prop_assert!(span.offset.checked_add(span.length).is_some_and(|end| end <= length));
        }
        let mut ascending = spans.clone();
        ascending.sort_by_key(|span| span.offset);
        for pair in ascending.windows(2) {
            prop_assert!(pair[0].end() < pair[1].offset, "{:?} have gaps", spans);
        }
        let asked_first = |span: &ByteSpan| {
            asked.iter().position(|range| (span.offset..span.end()).contains(&range.start(length)))
        };
        prop_assert!(spans.iter().is_sorted_by_key(asked_first), "{:?} in the order of {:?}", spans, texts);
        let is_sent = |place| spans.iter().any(|span| (span.offset..span.end()).contains(&place));
        for place in places {
            let is_asked = asked.iter().any(|range| range.has(place, length));
            prop_assert_eq!(is_sent(place), is_asked, "byte {} of {}: {:?}", place, length, texts);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn any_bytes_resolve(value in prop::collection::vec(any::<u8>(), 0..40), length in any::<u64>()) {
            resolve(Some(&value), length);
            resolve(Some(&[b"bytes=", &value[..]].concat()), length);
        }

        #[test]
        fn nearly_well_formed_sets_resolve(set in "[0-9, \t-]{0,40}", length in near_a_limit()) {
            resolve(Some(format!("bytes={set}").as_bytes()), length);
        }

        #[test]
        fn every_byte_that_is_asked_for_is_sent_and_no_other(
            asked in prop::collection::vec(written(0_u64..40), 1..=RANGES_MAX),
            length in 0_u64..32,
        ) {
            agrees(&asked, length, 0..length)?;
        }

        #[test]
        fn the_same_near_the_end_of_63_and_64_bits(
            asked in prop::collection::vec(written(near_a_limit()), 1..=RANGES_MAX),
            length in near_a_limit(),
        ) {
            let edges: Vec<_> = asked
                .iter()
                .flat_map(Written::numbers)
                .flat_map(|number| [number, length.saturating_sub(number)])
                .chain([0, length])
                .flat_map(|edge| [edge.saturating_sub(1), edge, edge.saturating_add(1)])
                .collect();
            agrees(&asked, length, edges.into_iter())?;
        }
    }
}
