//! [`Coding`]: the content codings of files; [`Accepted`]: which a client takes. RFC 9110 §8.4, §12.5.3.
//!
//! ```text
//!  Accept-Encoding ──► Accepted: a weight for each coding and for identity ──► best of what there is
//!     absent, or empty: identity alone          (eight bytes, no allocation)
//! ```
//! Invariant: identity is refused only where the client says so, by `identity;q=0` or `*;q=0`. Knows no
//! files.

use std::cmp::Reverse;

use ::http::HeaderValue;

use crate::http::{Head, Known};

/// How many elements of the lists are read; later ones count as not written.
const ELEMENTS_MAX: usize = 32;
/// The weight of identity where the client does not name it: acceptable, after everything that it names.
const UNNAMED: u16 = 1;
/// The weight of `q=0.001`. It lies above [`UNNAMED`].
const THOUSANDTH: u16 = 2;

/// A content coding of files, those that make them the smallest first. RFC 9110 §8.4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coding {
    /// RFC 7932
    Brotli,
    /// RFC 8878
    Zstd,
    /// RFC 1952
    Gzip,
}

impl Coding {
    /// All codings, the preferred one first.
    pub(in crate::app) const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// Its name in `Content-Encoding` and `Accept-Encoding`.
    pub(in crate::app) const fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// Its name as the value of `Content-Encoding`.
    pub(in crate::app) const fn value(self) -> &'static HeaderValue {
        static VALUES: [HeaderValue; 3] = [
            HeaderValue::from_static(Coding::Brotli.name()),
            HeaderValue::from_static(Coding::Zstd.name()),
            HeaderValue::from_static(Coding::Gzip.name()),
        ];
        &VALUES[self as usize]
    }

    /// What the name of a file ends in whose content has this coding.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }

    /// What tells the entity tag of this variant from that of the file. RFC 9110 §8.8.3.3.
    pub(super) const fn etag_suffix(self) -> &'static str {
        match self {
            Self::Brotli => "-br",
            Self::Zstd => "-zstd",
            Self::Gzip => "-gzip",
        }
    }
}

/// Which codings a directory would rather send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Preference {
    /// All of them, the most welcome first.
    order: [Coding; 3],
    /// So many of them are made here; the others are sent only where they lie ready.
    made: usize,
}

impl Preference {
    /// All, the smallest first.
    pub(super) const ALL: Self = Self { order: Coding::ALL, made: Coding::ALL.len() };
    /// The same order, and none is made.
    pub(super) const NONE: Self = Self { order: Coding::ALL, made: 0 };

    /// These, the most welcome first; a second mention counts for nothing.
    pub(super) fn new(codings: impl IntoIterator<Item = Coding>) -> Self {
        let (mut order, mut made) = (Coding::ALL, 0);
        for coding in codings {
            if let Some(place) = order[made..].iter().position(|other| *other == coding) {
                order[made..=made + place].rotate_right(1);
                made += 1;
            }
        }
        Self { order, made }
    }

    /// Whether files are compressed so.
    pub(super) fn makes(&self, coding: Coding) -> bool {
        self.order[..self.made].contains(&coding)
    }

    /// Those that are made, the most welcome first.
    pub(super) fn made(&self) -> &[Coding] {
        &self.order[..self.made]
    }

    /// Whether files are compressed at all.
    pub(super) const fn makes_some(&self) -> bool {
        self.made > 0
    }
}

/// The `Accept-Encoding` of a request: how gladly each coding is taken.
///
/// Where the field leaves something open: without the field, identity (all is acceptable by the letter, but
/// clients without it often cannot decode); `*` also stands for identity; an identity that is not named
/// comes after everything that is; a coding that is named twice has its lower weight; an element that is
/// malformed, also by a weight that is none, is as if it were not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) struct Accepted {
    /// 0: refused. By [`Coding`].
    codings: [u16; 3],
    identity: u16,
}

impl Accepted {
    /// Nothing but identity.
    pub(super) const IDENTITY: Self = Self { codings: [0; 3], identity: UNNAMED };

    /// What `head` accepts.
    #[inline]
    pub(in crate::app) fn of(head: &Head<'_>) -> Self {
        match head.known(Known::AcceptEncoding) {
            None => Self::IDENTITY,
            Some(_) if head.table().is_repeated(Known::AcceptEncoding) => {
                Self::of_list(head.values(Known::AcceptEncoding.name()))
            }
            Some(value) => Self::of_value(value),
        }
    }

    /// The values that browsers send are known by sight.
    #[inline]
    fn of_value(value: &[u8]) -> Self {
        const EACH: u16 = 1000 * THOUSANDTH;
        match value {
            b"gzip, deflate, br, zstd" => Self { codings: [EACH; 3], ..Self::IDENTITY },
            b"gzip, deflate, br" => Self { codings: [EACH, 0, EACH], ..Self::IDENTITY },
            b"gzip, deflate" | b"gzip" => Self { codings: [0, 0, EACH], ..Self::IDENTITY },
            _ => Self::of_list([value]),
        }
    }

    fn of_list<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Self {
        let mut named = Named::default();
        let elements = values.into_iter().flat_map(|value| value.split(|byte| *byte == b','));
        for (name, weight) in elements.take(ELEMENTS_MAX).filter_map(element) {
            named.note(name, weight);
        }
        let or_any = |weight: Option<u16>, unnamed| weight.or(named.any).unwrap_or(unnamed);
        Self {
            codings: named.codings.map(|weight| or_any(weight, 0)),
            identity: or_any(named.identity, UNNAMED),
        }
    }

    /// The codings that are sent rather than identity: those that the client would rather have first, and
    /// among them those that we would.
    pub(super) fn ranked(self, preference: &Preference) -> impl Iterator<Item = Coding> {
        let mut codings = preference.order;
        codings.sort_by_key(|coding| Reverse(self.codings[*coding as usize]));
        codings.into_iter().filter(move |coding| self.is_wanted(*coding))
    }

    /// Whether `coding` is accepted, and at least as gladly as identity.
    const fn is_wanted(self, coding: Coding) -> bool {
        let weight = self.codings[coding as usize];
        weight > 0 && weight >= self.identity
    }
}

/// The weights that a list gives by name.
#[derive(Default)]
struct Named {
    codings: [Option<u16>; 3],
    identity: Option<u16>,
    any: Option<u16>,
}

impl Named {
    fn note(&mut self, name: &[u8], weight: u16) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let place = if name == b"*" {
            &mut self.any
        } else if is("identity") {
            &mut self.identity
        } else if is("x-gzip") {
            // RFC 9110 §8.4.1.3: the same as gzip.
            &mut self.codings[Coding::Gzip as usize]
        } else if let Some(coding) = Coding::ALL.into_iter().find(|coding| is(coding.name())) {
            &mut self.codings[coding as usize]
        } else {
            return;
        };
        *place = Some(place.map_or(weight, |before| before.min(weight)));
    }
}

/// The name and the weight of `codings [ weight ]`; `None` if the weight is none.
fn element(element: &[u8]) -> Option<(&[u8], u16)> {
    let Some(semicolon) = element.iter().position(|byte| *byte == b';') else {
        return Some((element.trim_ascii(), 1000 * THOUSANDTH));
    };
    let (name, [_, parameter @ ..]) = element.split_at(semicolon) else { return None };
    let [b'q' | b'Q', b'=', value @ ..] = parameter.trim_ascii() else { return None };
    Some((name.trim_ascii(), weight_of(value)? * THOUSANDTH))
}

/// A `qvalue` in thousandths. RFC 9110 §12.4.2.
fn weight_of(value: &[u8]) -> Option<u16> {
    let (whole, decimals) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let mut thousandths = match whole {
        b'0' => 0,
        b'1' => 1000,
        _ => return None,
    };
    for (digit, unit) in decimals.iter().zip([100, 10, 1]) {
        thousandths += u16::from(digit.checked_sub(b'0').filter(|digit| *digit <= 9)?) * unit;
    }
    (thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::{FieldTable, Span};

    use Choice::{Coded, Identity, NotAcceptable};
    use Coding::{Brotli, Gzip, Zstd};

    /// What a head with these `Accept-Encoding` fields accepts.
    fn accepted(values: &[&[u8]]) -> Accepted {
        let (mut bytes, mut table) = (b"Accept-ENCODING".to_vec(), FieldTable::new());
        for value in values {
            let (start, end) = (bytes.len(), bytes.len() + value.len());
            bytes.extend_from_slice(value);
            let [start, end] = [start, end].map(|place| u16::try_from(place).unwrap());
            table.push(Span::new(0, 15), Span::new(start, end), Some(Known::AcceptEncoding)).unwrap();
        }
        Accepted::of(&Head::new(&bytes, &table))
    }

    /// What is sent if there is so much besides identity.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Choice {
        Coded(Coding),
        Identity,
        /// Nothing is wanted that there is.
        NotAcceptable,
    }

    impl Accepted {
        fn best(self, available: impl IntoIterator<Item = Coding>) -> Choice {
            let available: Vec<Coding> = available.into_iter().collect();
            match self.ranked(&Preference::ALL).find(|coding| available.contains(coding)) {
                Some(coding) => Coded(coding),
                None if self.identity > 0 => Identity,
                None => NotAcceptable,
            }
        }
    }

    fn best(value: &str, available: &[Coding]) -> Choice {
        accepted(&[value.as_bytes()]).best(available.iter().copied())
    }

    #[test]
    fn rfc_9110_12_5_3_the_examples() {
        for (value, all, gzip, none) in [
            ("compress, gzip", Coded(Gzip), Coded(Gzip), Identity),
            ("", Identity, Identity, Identity),
            ("*", Coded(Brotli), Coded(Gzip), Identity),
            ("compress;q=0.5, gzip;q=1.0", Coded(Gzip), Coded(Gzip), Identity),
            ("gzip;q=1.0, identity; q=0.5, *;q=0", Coded(Gzip), Coded(Gzip), Identity),
        ] {
            let choices = [&Coding::ALL[..], &[Gzip], &[]].map(|available| best(value, available));
            assert_eq!(choices, [all, gzip, none], "{value:?}");
        }
    }

    #[test]
    fn rfc_9110_12_5_3_the_rules() {
        // 1. No field: any coding is acceptable. The file as it is is one that every client can read.
        assert_eq!(accepted(&[]).best(Coding::ALL), Identity);
        for (value, choice) in [
            // 2. Identity is acceptable unless excluded, also where it is not named ...
            ("deflate", Identity),
            ("br;q=0", Identity),
            ("br;q=0, zstd;q=0, gzip;q=0", Identity),
            // ... by `identity;q=0`, or by `*;q=0` without a more specific entry.
            ("identity;q=0", NotAcceptable),
            ("*;q=0", NotAcceptable),
            ("*;q=0, deflate", NotAcceptable),
            ("*;q=0, identity", Identity),
            ("identity;q=0.001, *;q=0", Identity),
            ("identity;q=0, *", Coded(Brotli)),
            // 3. A listed coding is acceptable unless its weight is 0.
            ("gzip", Coded(Gzip)),
            ("gzip;q=0", Identity),
            ("gzip;q=0.000", Identity),
            ("gzip;q=0.001", Coded(Gzip)),
            ("*, br;q=0", Coded(Zstd)),
            ("*;q=0.5, br;q=0.4, zstd;q=0.6", Coded(Zstd)),
            // 4. The highest weight is preferred; among equals, we choose.
            ("gzip, zstd, br", Coded(Brotli)),
            ("gzip, zstd, br;q=0.9", Coded(Zstd)),
            ("gzip;q=0.8, zstd;q=0.8, br;q=0.799", Coded(Zstd)),
            ("identity, br;q=0.5", Identity),
            ("identity;q=0.5, br;q=0.5", Coded(Brotli)),
            ("*;q=0.8, br;q=0.1, zstd;q=0.1, gzip;q=0.1", Identity),
            // The same name in another case, and by its old name.
            ("GZip", Coded(Gzip)),
            ("x-gzip", Coded(Gzip)),
            ("BR;Q=1", Coded(Brotli)),
            ("IDENTITY;q=0", NotAcceptable),
            // Named twice: the lower weight.
            ("br;q=0, br, gzip", Coded(Gzip)),
            ("gzip, x-gzip;q=0", Identity),
        ] {
            assert_eq!(best(value, &Coding::ALL), choice, "{value:?}");
        }
    }

    #[test]
    fn rfc_9110_12_4_2_weights() {
        for (value, weight) in [
            ("0", Some(0)),
            ("1", Some(1000)),
            ("0.", Some(0)),
            ("1.", Some(1000)),
            ("0.5", Some(500)),
            ("0.05", Some(50)),
            ("0.123", Some(123)),
            ("1.000", Some(1000)),
            ("1.001", None),
            ("0.1234", None),
            ("1.0000", None),
            ("2", None),
            ("", None),
            (".5", None),
            ("-0", None),
            ("00.5", None),
            ("0,5", None),
            ("0.a", None),
            ("0.5 ", None),
        ] {
            assert_eq!(weight_of(value.as_bytes()), weight, "{value:?}");
        }
    }

    #[test]
    fn malformed_elements_are_as_if_they_were_not_there() {
        for bad in [
            "br;q=2",
            "br;q=x",
            "br;q",
            "br;",
            "br;q =1",
            "br;q=\"1\"",
            "br;level=9",
            "br;q=1;x",
            "b r",
            "*br",
            ";q=1",
            "\u{e9}",
            "identity;q=-1",
            "*;q=0.0000",
            "br=1",
            ";",
            "",
        ] {
            assert_eq!(best(bad, &Coding::ALL), Identity, "{bad:?}");
            assert_eq!(best(&format!("{bad}, ,,\tgzip ; q=0.5\t,"), &Coding::ALL), Coded(Gzip), "{bad:?}");
        }
    }

    #[test]
    fn rfc_9110_5_3_repeated_fields_are_one_list() {
        assert_eq!(accepted(&[b"gzip", b"br"]).best(Coding::ALL), Coded(Brotli));
        assert_eq!(accepted(&[b"br", b"", b"*;q=0, br;q=0"]).best(Coding::ALL), NotAcceptable);
        assert_eq!(accepted(&[b"identity", b"gzip;q=0.5"]).best(Coding::ALL), Identity);
    }

    #[test]
    fn work_is_bounded() {
        let long = |elements: usize| format!("{}br", "x,".repeat(elements));
        assert_eq!(best(&long(ELEMENTS_MAX - 1), &Coding::ALL), Coded(Brotli));
        assert_eq!(best(&long(ELEMENTS_MAX), &Coding::ALL), Identity);
        assert_eq!(best(&long(30_000), &Coding::ALL), Identity);
    }

    #[test]
    fn what_browsers_send_is_known_by_sight_and_means_the_same() {
        for value in ["gzip, deflate, br, zstd", "gzip, deflate, br", "gzip, deflate", "gzip"] {
            assert_eq!(
                Accepted::of_value(value.as_bytes()),
                Accepted::of_list([value.as_bytes()]),
                "{value}"
            );
        }
        assert_eq!(size_of::<Accepted>(), 8, "passed in a register");
    }

    #[test]
    fn those_that_are_wanted_come_in_their_order() {
        let ranked = |value: &str| accepted(&[value.as_bytes()]).ranked(&Preference::ALL).collect::<Vec<_>>();
        assert_eq!(ranked("gzip, deflate, br, zstd"), [Brotli, Zstd, Gzip]);
        assert_eq!(ranked("br;q=0.1, gzip, zstd;q=0.5"), [Gzip, Zstd, Brotli]);
        assert_eq!(ranked("br;q=0.1, gzip, identity;q=0.5"), [Gzip]);
        assert_eq!(ranked("*;q=0"), []);
    }

    #[test]
    fn of_what_a_client_takes_as_gladly_a_directory_sends_what_it_would_rather() {
        let ranked = |value: &str, preference: Preference| {
            accepted(&[value.as_bytes()]).ranked(&preference).collect::<Vec<_>>()
        };
        let (zstd, some) = (Preference::new([Zstd]), Preference::new([Gzip, Gzip, Zstd]));
        assert_eq!(ranked("gzip, deflate, br, zstd", zstd), [Zstd, Brotli, Gzip]);
        assert_eq!(ranked("gzip, deflate, br, zstd", some), [Gzip, Zstd, Brotli]);
        assert_eq!(ranked("gzip;q=0.5, br, zstd", some), [Zstd, Brotli, Gzip]);
        assert_eq!(Coding::ALL.map(|coding| zstd.makes(coding)), [false, true, false]);
        assert_eq!(Coding::ALL.map(|coding| some.makes(coding)), [false, true, true]);
        assert!(!Preference::new([]).makes_some() && Preference::new(Coding::ALL) == Preference::ALL);
    }

    #[test]
    fn names_agree_with_values() {
        for coding in Coding::ALL {
            assert_eq!(coding.value(), coding.name());
            assert_eq!(best(coding.name(), &Coding::ALL), Coded(coding));
            assert!(
                coding.suffix().starts_with('.') && coding.etag_suffix() == format!("-{}", coding.name())
            );
        }
    }

    /// An element that is nearly one.
    fn nearly() -> impl Strategy<Value = String> {
        let name =
            prop_oneof![Just("br"), Just("gzip"), Just("zstd"), Just("identity"), Just("*"), Just("deflate")];
        (name, "(;|; |)(q=|)(0|1|)(\\.|)[0-9]{0,4}").prop_map(|(name, rest)| format!("{name}{rest}"))
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let like_a_list = "[bgiprxz*;,=qQ.01\t -]{0,60}";
        prop_oneof![prop::collection::vec(any::<u8>(), 0..80), like_a_list.prop_map(String::into_bytes)]
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(values in prop::collection::vec(bytes(), 0..4)) {
            let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
            let said = values.iter().any(|value| {
                value.windows(3).any(|three| three.eq_ignore_ascii_case(b"q=0"))
            });
            prop_assert!(said || accepted(&values).best([]) == Identity, "identity is lost by accident");
        }

        #[test]
        fn identity_is_refused_by_its_name_or_by_the_star_alone(
            elements in prop::collection::vec(nearly(), 0..6),
        ) {
            let choice = best(&elements.join(", "), &[]);
            let zero = |name: &str| elements.iter().any(|element| {
                let rest = element.strip_prefix(name).unwrap_or_default();
                rest.trim_start_matches([';', ' ']).starts_with("q=0")
            });
            if !zero("identity") && !zero("*") {
                prop_assert_eq!(choice, Identity);
            }
            prop_assert!(choice == Identity || choice == NotAcceptable);
        }
    }
}
