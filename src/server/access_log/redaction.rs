//! [`Shown`]: what lines show of a head; [`Redaction`]: what of it they do not.
//!
//! ```text
//!  /reset?id=7&token=s3cret&x=1   ──►   /reset?id=7&token=***&x=1
//! ```
//! A parameter is found however it is written: with escapes, in small or capital letters, behind `;` or in a
//! fragment. Its value ends at the next `&` and nowhere else: too much is left out rather than too little.
//! The target and `Referer`, in which browsers repeat it, are treated alike, and before they are cut. A host
//! that is left out is so in a target that begins with it, too. Of a client its network stays: what is known
//! of it is what its provider has, and not who it is.
//! Knows no format. RFC 3986 §3.4, RFC 9112 §3.2.

use std::net::{IpAddr, SocketAddr};

use super::Record;
use super::text::TEXT_BYTES_MAX;
use crate::http::{Head, Known, query};

/// What stands in place of a value.
const INSTEAD: &[u8] = b"***";
/// What stands in place of a user.
const SOMEBODY: &str = "***";
/// What stays of the address of a client, in bits.
const IPV4_BITS: u32 = 24;
const IPV6_BITS: u32 = 48;

/// The texts of a head that lines may show.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shown<'s> {
    pub(super) target: Option<&'s [u8]>,
    hides_host: bool,
    pub(super) referer: Option<&'s [u8]>,
    pub(super) user_agent: Option<&'s [u8]>,
}

/// What the lines of one log leave out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Redacted {
    pub(super) host: bool,
    pub(super) referer: bool,
    pub(super) user_agent: bool,
    /// All but its network.
    pub(super) client: bool,
    pub(super) user: bool,
    /// Names of parameters of the query.
    pub(super) parameters: Vec<String>,
}

/// Leaves out what is redacted; for one worker.
#[derive(Debug)]
pub(super) struct Redaction {
    redacted: Redacted,
    target: Vec<u8>,
    without_host: Vec<u8>,
    referer: Vec<u8>,
}

impl<'s> Shown<'s> {
    /// All of them.
    #[inline]
    pub(super) fn of(head: Option<&Head<'s>>) -> Self {
        let Some(head) = head else { return Self::default() };
        Self {
            target: Some(head.target_bytes()),
            hides_host: false,
            referer: head.known(Known::Referer),
            user_agent: head.known(Known::UserAgent),
        }
    }

    /// Host and port that `head` asks for. Few formats want them, so they are looked for here.
    #[inline]
    pub(super) fn host<'h>(&self, head: Option<&Head<'h>>) -> Option<&'h [u8]> {
        head.filter(|_| !self.hides_host)?.authority_bytes()
    }
}

impl Redaction {
    /// `None` where nothing is left out.
    pub(super) fn new(redacted: Redacted) -> Option<Self> {
        let is_some = redacted != Redacted::default();
        let (target, without_host, referer) = (Vec::new(), Vec::new(), Vec::new());
        is_some.then_some(Self { redacted, target, without_host, referer })
    }

    /// What is left of what does not stand in the head.
    pub(super) fn somebody<'r>(&self, record: &Record<'r>) -> Record<'r> {
        let mut record = *record;
        if self.redacted.client {
            record.client = record.client.map(network);
            // The port would tell one from another behind one address.
            record.peer = record.peer.map(|peer| SocketAddr::new(network(peer.ip()), 0));
        }
        if self.redacted.user {
            record.user = record.user.map(|_| SOMEBODY);
        }
        record
    }

    /// What is left of `shown`.
    pub(super) fn apply<'s>(&'s mut self, shown: Shown<'s>) -> Shown<'s> {
        let Self { redacted, target, without_host, referer } = self;
        let names = &redacted.parameters[..];
        let hostless = match redacted.host {
            true => shown.target.map(|text| no_host(text, without_host)),
            false => shown.target,
        };
        Shown {
            target: hostless.map(|text| without_named(names, text, target)),
            hides_host: redacted.host,
            referer: shown
                .referer
                .filter(|_| !redacted.referer)
                .map(|text| without_named(names, text, referer)),
            user_agent: shown.user_agent.filter(|_| !redacted.user_agent),
        }
    }
}

/// The network that an address is in; that of IPv4 also where it is written as one of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4((address.to_bits() & (u32::MAX << (u32::BITS - IPV4_BITS))).into()),
        IpAddr::V6(address) => {
            IpAddr::V6((address.to_bits() & (u128::MAX << (u128::BITS - IPV6_BITS))).into())
        }
    }
}

/// The target without the host that it begins with, if it does: in absolute form, and in that of CONNECT.
fn no_host<'t>(text: &'t [u8], left: &'t mut Vec<u8>) -> &'t [u8] {
    if text.starts_with(b"/") || text == b"*" {
        return text;
    }
    let start = memchr::memmem::find(text, b"://").map_or(0, |at| at + 3);
    let end = text[start..].iter().position(|byte| b"/?#".contains(byte));
    let end = end.map_or(text.len(), |at| start + at);
    left.clear();
    left.extend_from_slice(&text[..start]);
    left.extend_from_slice(INSTEAD);
    left.extend_from_slice(&text[end..]);
    left
}

/// `text` without the values of these parameters.
fn without_named<'t>(names: &[String], text: &'t [u8], left: &'t mut Vec<u8>) -> &'t [u8] {
    if names.is_empty() {
        return text;
    }
    without(|word| is_one_of(names, word), text, left)
}

/// `text` without the values of parameters whose names, as they are written, are secret; as far as a line can
/// show it.
pub(in crate::server) fn without<'t>(
    is_secret: impl Fn(&[u8]) -> bool,
    text: &'t [u8],
    left: &'t mut Vec<u8>,
) -> &'t [u8] {
    let Some(start) = memchr::memchr2(b'?', b'#', text) else { return text };
    left.clear();
    let (before, mut rest) = text.split_at(start + 1);
    left.extend_from_slice(before);
    while !rest.is_empty() && left.len() <= TEXT_BYTES_MAX {
        let end = rest.iter().position(|byte| b"=&;?#".contains(byte)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        left.extend_from_slice(word);
        let Some((delimiter, behind)) = behind.split_first() else { break };
        left.push(*delimiter);
        rest = behind;
        if *delimiter == b'=' && is_secret(word) {
            left.extend_from_slice(INSTEAD);
            rest = memchr::memchr(b'&', rest).map_or(&[], |end| &rest[end..]);
        }
    }
    left
}

/// Whether `word` is a way to write one of `names` in a query.
pub(in crate::server) fn is_one_of(names: &[String], word: &[u8]) -> bool {
    let is_written = |name: &String| {
        let mut rest = word;
        for expected in name.bytes() {
            let Some((byte, behind)) = query::first_byte(rest) else { return false };
            if !byte.eq_ignore_ascii_case(&expected) {
                return false;
            }
            rest = behind;
        }
        rest.is_empty()
    };
    names.iter().any(is_written)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn left(names: &[&str], text: &[u8]) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        without_named(&names, text, &mut Vec::new()).to_vec()
    }

    #[test]
    fn values_are_left_out_however_their_names_are_written() {
        for (text, expected) in [
            ("/", "/"),
            ("/token=1", "/token=1"),
            ("/?token", "/?token"),
            ("/?token=", "/?token=***"),
            ("/?token=s&b=2", "/?token=***&b=2"),
            ("/?a=1&token=s=t;u?v#w&b=2&token=x", "/?a=1&token=***&b=2&token=***"),
            ("/?%74oke%6E=s&TOKEN=s", "/?%74oke%6E=***&TOKEN=***"),
            ("/?tokens=1&xtoken=1&%7=1&%zz=2", "/?tokens=1&xtoken=1&%7=1&%zz=2"),
            ("/?a=1;token=s", "/?a=1;token=***"),
            ("/#token=s", "/#token=***"),
            ("/?a#token=s", "/?a#token=***"),
            ("/??token=s", "/??token=***"),
            ("/?a=token=s", "/?a=token=***"),
            ("/?my+key=s&my%20key=t", "/?my+key=***&my%20key=***"),
            ("http://a/?token=s", "http://a/?token=***"),
        ] {
            let found = left(&["token", "my key"], text.as_bytes());
            assert_eq!(String::from_utf8(found).unwrap(), expected);
        }
    }

    #[test]
    fn a_host_is_left_out_of_a_target_that_begins_with_it() {
        for (text, expected) in [
            ("/", "/"),
            ("*", "*"),
            ("//secret.example/", "//secret.example/"),
            ("http://secret.example", "http://***"),
            ("http://secret.example/a?b=http://c/", "http://***/a?b=http://c/"),
            ("http://user@secret.example:80?b", "http://***?b"),
            ("secret.example:443", "***"),
        ] {
            let found = no_host(text.as_bytes(), &mut Vec::new()).to_vec();
            assert_eq!(String::from_utf8(found).unwrap(), expected);
        }
    }

    #[test]
    fn of_a_client_its_network_stays() {
        for (address, expected) in [
            ("192.0.2.77", "192.0.2.0"),
            ("255.255.255.255", "255.255.255.0"),
            ("::ffff:192.0.2.77", "192.0.2.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
            ("::1", "::"),
        ] {
            assert_eq!(network(address.parse().unwrap()), expected.parse::<IpAddr>().unwrap(), "{address}");
        }
    }

    #[test]
    fn a_value_beyond_the_cut_is_left_out_before_it() {
        let mut text = b"/?a=".to_vec();
        text.resize(TEXT_BYTES_MAX - 12, b'x');
        text.extend_from_slice(b"&token=secret");
        assert!(!String::from_utf8_lossy(&left(&["token"], &text)).contains("secret"));
        text.extend_from_slice(&b"&b=1".repeat(10_000));
        let found = left(&["token"], &text);
        assert!(found.len() > TEXT_BYTES_MAX && found.len() < TEXT_BYTES_MAX + 10, "{}", found.len());
    }

    #[test]
    fn nothing_is_copied_where_nothing_can_be_left_out() {
        assert!(Redaction::new(Redacted::default()).is_none());
        let mut buffer = Vec::new();
        assert_eq!(without_named(&[], b"/?a=1", &mut buffer), b"/?a=1");
        assert_eq!(without_named(&["a".to_owned()], b"/a=1", &mut buffer), b"/a=1");
        assert_eq!(buffer.capacity(), 0);
    }

    proptest! {
        /// Whoever decodes the query finds no value that is to be left out.
        #[test]
        fn no_value_is_left(text in "/[?#&;=%a-c2]{0,40}", escaped in any::<bool>()) {
            let name = if escaped { "%62" } else { "b" };
            let text = format!("{text}?x&{name}=SECRET&y");
            let found = String::from_utf8(left(&["b"], text.as_bytes())).unwrap();
            prop_assert!(!found.contains("SECRET"), "{found}");
            prop_assert!(found.ends_with("&y"), "{found}");
            let query = found.split_once('?').map_or("", |(_, query)| query);
            for pair in query.split('&').filter_map(|pair| pair.split_once('=')) {
                prop_assert!(!is_one_of(&["b".to_owned()], pair.0.as_bytes()) || pair.1 == "***", "{found}");
            }
        }
    }
}
