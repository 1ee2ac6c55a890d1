//! [`Entry`]: what is kept of one request, in a fixed number of bytes, and how it reads: RFC 8259.
//!
//! ```text
//!  numbers │ id │ method │ target │ host │ site │ route │ user │ rate │ fields
//!                                                              "name: value\n", or only "name\n"
//! ```
//! What does not fit is cut; a field that does not fit is left out, and all behind it. Members of the JSON
//! are called what they are called in the access log.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::app::{Numbers, RateNote, RateVerdict, hex};
use crate::base::Tick;
use crate::http::{Head, Timeline, Version};
use crate::server::access_log::text::{
    Moment, address, address_and_port, escaped_json, escaped_json_text, micros, number, three_digits,
};
use crate::server::access_log::{Cut, Record, is_one_of, without};
use crate::server::stats::Cause;

use super::secrets::sounds_secret;

/// Bytes of all texts of an entry.
const TEXT_BYTES: usize = 752;
/// The texts before the fields, and the most bytes that each may have.
const PART_BYTES_MAX: [usize; PARTS] = [128, 24, 200, 64, 64, 64, 48, 64];
const PARTS: usize = 8;

/// One request. Whole cache lines of its own: the next one's are written a request later.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Entry {
    /// How many the worker has kept before.
    sequence: u64,
    unix_seconds: u64,
    unix_millis: u16,
    status: u16,
    request: u32,
    connection: u64,
    worker: usize,
    body_bytes: u64,
    peer: Option<SocketAddr>,
    client: Option<IpAddr>,
    reason: Option<Cause>,
    version: Option<Version>,
    /// What the rate did.
    verdict: Option<RateVerdict>,
    /// And it is the reason.
    has_refuser: bool,
    is_cut: bool,
    timeline: Timeline,
    /// Where each text ends; the fields behind them.
    ends: [u16; PARTS + 1],
    text: [u8; TEXT_BYTES],
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            sequence: 0,
            unix_seconds: 0,
            unix_millis: 0,
            status: 0,
            request: 0,
            connection: 0,
            worker: 0,
            body_bytes: 0,
            peer: None,
            client: None,
            reason: None,
            version: None,
            verdict: None,
            has_refuser: false,
            is_cut: false,
            timeline: Timeline::default(),
            ends: [0; PARTS + 1],
            text: [0; TEXT_BYTES],
        }
    }
}

impl Entry {
    /// Takes over what is known of a request; `parameters`: those of the query whose values are left out.
    pub(super) fn fill(
        &mut self,
        record: &Record<'_>,
        (sequence, is_cut): (u64, bool),
        (parameters, spare): (&[String], &mut Vec<u8>),
    ) {
        self.sequence = sequence;
        (self.unix_seconds, self.unix_millis) = (record.unix_seconds, record.unix_millis);
        (self.status, self.body_bytes, self.reason) = (record.status, record.body_bytes, record.reason);
        (self.worker, self.connection, self.request) = (record.worker, record.connection, record.request);
        (self.peer, self.client, self.is_cut) = (record.peer, record.client, is_cut);
        self.verdict = record.rate.map(RateNote::verdict);
        self.has_refuser = record.refuser().is_some();
        (self.version, self.timeline) = (record.head.map(Head::version), *record.timeline);
        let method = record.head.map_or(&[][..], Head::method_bytes);
        let target = record.head.map_or(&[][..], |head| match head.table().line().is_plain_path {
            true => head.target_bytes(),
            false => {
                let is_secret = |word: &[u8]| sounds_secret(word) || is_one_of(parameters, word);
                without(is_secret, head.target_bytes(), spare)
            }
        });
        let host = record.head.and_then(Head::authority_bytes).unwrap_or_default();
        let texts = [
            record.id.unwrap_or_default().as_bytes(),
            method,
            target,
            host,
            record.site.as_bytes(),
            record.route.as_bytes(),
            record.user.unwrap_or_default().as_bytes(),
            record.rate.map_or("", RateNote::name).as_bytes(),
        ];
        let mut end = 0;
        for ((text, most), place) in texts.into_iter().zip(PART_BYTES_MAX).zip(&mut self.ends) {
            let text = &text[..whole(text, most)];
            self.text[end..end + text.len()].copy_from_slice(text);
            end += text.len();
            *place = short(end);
        }
        if let Some(head) = record.head {
            end = self.fields(head, end);
        }
        self.ends[PARTS] = short(end);
    }

    /// Whether it was taken away, or never was.
    pub(super) const fn is_blank(&self) -> bool {
        self.sequence == 0
    }

    /// How many the worker had kept with it.
    pub(super) const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether it is kept for longer.
    pub(super) const fn is_failure(&self) -> bool {
        self.is_cut || self.status >= 500 || self.reason.is_some()
    }

    /// Its answer ended at `at`, before its end.
    pub(super) fn end(&mut self, at: Tick, cut: Cut) {
        self.is_cut = true;
        // A rate that has refused it is not the reason any more.
        (self.reason, self.has_refuser) = (Some(cut.cause), false);
        self.body_bytes = self.body_bytes.saturating_sub(cut.missing_bytes);
        if self.timeline.handled != Tick::ZERO {
            self.timeline.finished = at;
        }
    }

    /// Its answer has left at `at`, if somebody has looked when it was made.
    pub(super) fn leave(&mut self, at: Tick) {
        if self.timeline.handled != Tick::ZERO && self.timeline.finished == Tick::ZERO {
            self.timeline = self.timeline.left(at);
        }
    }

    /// Takes over the fields, as many as fit; where they end.
    fn fields(&mut self, head: &Head<'_>, mut end: usize) -> usize {
        for (name, value) in head.lines() {
            let pieces =
                if is_harmless(name) { [name, b": ", value, b"\n"] } else { [name, b"", b"", b"\n"] };
            if end + pieces.iter().map(|piece| piece.len()).sum::<usize>() > TEXT_BYTES {
                break;
            }
            for piece in pieces {
                self.text[end..end + piece.len()].copy_from_slice(piece);
                end += piece.len();
            }
        }
        end
    }

    /// Where it belongs among others.
    pub(super) const fn order(&self) -> (u64, u16, usize, u64) {
        (self.unix_seconds, self.unix_millis, self.worker, self.sequence)
    }

    /// Whether `id` means this request. Who was given none is called by a number.
    pub(super) fn is_called(&self, id: &str, numbers: &Numbers) -> bool {
        match self.part(Part::Id) {
            b"" => id.len() == 32 && self.number(numbers) == *id.as_bytes(),
            own => own == id.as_bytes(),
        }
    }

    fn number(&self, numbers: &Numbers) -> [u8; 32] {
        let mut digits = [0; 32];
        // Not by its number on the connection: what could not be read has none of its own.
        hex(numbers.of(self.sequence, u32::try_from(self.worker).unwrap_or(u32::MAX)), &mut digits);
        digits
    }

    fn part(&self, part: Part) -> &[u8] {
        let part = part as usize;
        let start = part.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(usize::from(start)..usize::from(self.ends[part])).unwrap_or_default()
    }

    /// One object.
    pub(super) fn json(&self, numbers: &Numbers, line: &mut Vec<u8>) {
        let number_of = self.number(numbers);
        let id = Some(self.part(Part::Id)).filter(|id| !id.is_empty()).unwrap_or(&number_of);
        member(line, b"{\"id\":\"", id);
        let mut moment = Moment::new();
        moment.set(self.unix_seconds);
        line.extend_from_slice(b",\"time\":\"");
        line.extend_from_slice(&moment.rfc_3339);
        three_digits(line, u64::from(self.unix_millis));
        line.extend_from_slice(b"Z\"");
        if let Some(peer) = self.peer {
            line.extend_from_slice(b",\"peer\":\"");
            address_and_port(line, peer);
            line.push(b'"');
        }
        if let Some(client) = self.client {
            line.extend_from_slice(b",\"client\":\"");
            address(line, client);
            line.push(b'"');
        }
        member(line, b",\"host\":\"", self.part(Part::Host));
        member(line, b",\"method\":\"", self.part(Part::Method));
        member(line, b",\"target\":\"", self.part(Part::Target));
        member(line, b",\"version\":\"", self.version.map_or("", Version::name).as_bytes());
        for (name, value) in
            [(&b",\"status\":"[..], u64::from(self.status)), (b",\"bytes\":", self.body_bytes)]
        {
            line.extend_from_slice(name);
            number(line, value);
        }
        if self.is_cut {
            line.extend_from_slice(b",\"cut\":true");
        }
        self.name(line, b",\"site\":\"", Part::Site);
        self.name(line, b",\"route\":\"", Part::Route);
        self.name(line, b",\"user\":\"", Part::User);
        self.why(line);
        member(line, b",\"detail\":\"", self.reason.map_or("", Cause::sentence).as_bytes());
        member(line, b",\"advice\":\"", self.reason.map_or("", Cause::advice).as_bytes());
        stage(line, b",\"accept_us\":", self.timeline.accept());
        stage(line, b",\"parse_us\":", self.timeline.parse());
        stage(line, b",\"handle_us\":", self.timeline.handle());
        stage(line, b",\"respond_us\":", self.timeline.respond());
        stage(line, b",\"total_us\":", self.timeline.total());
        let worker = u64::try_from(self.worker).unwrap_or(u64::MAX);
        let numbers = [
            (&b",\"worker\":"[..], worker),
            (b",\"connection\":", self.connection),
            (b",\"request\":", u64::from(self.request)),
        ];
        for (name, value) in numbers {
            line.extend_from_slice(name);
            number(line, value);
        }
        self.head(line);
        line.push(b'}');
    }

    /// A member whose characters are known, unless it is empty.
    fn name(&self, line: &mut Vec<u8>, name: &[u8], part: Part) {
        let text = std::str::from_utf8(self.part(part)).unwrap_or_default();
        if !text.is_empty() {
            line.extend_from_slice(name);
            escaped_json_text(line, text);
            line.push(b'"');
        }
    }

    /// The code of the reason, and what a rate had to do with it.
    fn why(&self, line: &mut Vec<u8>) {
        let rate = self.part(Part::Rate);
        if let Some(reason) = self.reason {
            line.extend_from_slice(b",\"reason\":\"");
            line.extend_from_slice(reason.code().as_bytes());
            if self.has_refuser {
                line.push(b'.');
                line.extend_from_slice(rate);
            }
            line.push(b'"');
        }
        member(line, b",\"rate\":\"", rate);
        member(line, b",\"rate_result\":\"", self.verdict.map_or("", RateVerdict::name).as_bytes());
    }

    /// The fields, in their order; those whose values were left out have none.
    fn head(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(b",\"head\":[");
        for (place, field) in self.part(Part::Fields).split_inclusive(|byte| *byte == b'\n').enumerate() {
            let field = field.strip_suffix(b"\n").unwrap_or(field);
            let colon = field.iter().position(|byte| *byte == b':');
            let (name, value) = field.split_at(colon.unwrap_or(field.len()));
            line.extend_from_slice(if place == 0 { b"" } else { b"," });
            line.extend_from_slice(b"{\"name\":\"");
            escaped_json(line, name);
            line.push(b'"');
            if let Some(value) = value.strip_prefix(b": ") {
                line.extend_from_slice(b",\"value\":\"");
                escaped_json(line, value);
                line.push(b'"');
            }
            line.push(b'}');
        }
        line.push(b']');
    }
}

/// A text of an entry, in the order in which they stand.
#[derive(Clone, Copy)]
enum Part {
    Id,
    Method,
    Target,
    Host,
    Site,
    Route,
    User,
    Rate,
    Fields,
}

/// Whether the field's value tells nothing that somebody could want to keep to himself. Asked for each field
/// of each request: hence by length.
fn is_harmless(name: &[u8]) -> bool {
    let harmless: &[&str] = match name.len() {
        2 => &["te"],
        4 => &["date", "host"],
        5 => &["range"],
        6 => &["accept", "expect", "origin", "pragma"],
        7 => &["expires", "trailer", "upgrade"],
        8 => &["if-match", "if-range"],
        10 => &["connection", "user-agent"],
        11 => &["traceparent"],
        12 => &["content-type", "x-request-id"],
        13 => &["cache-control", "if-none-match"],
        14 => &["content-length"],
        15 => &["accept-encoding", "accept-language"],
        16 => &["content-encoding"],
        17 => &["if-modified-since", "transfer-encoding", "x-forwarded-proto"],
        19 => &["if-unmodified-since"],
        _ => &[],
    };
    harmless.iter().any(|harmless| harmless.as_bytes().eq_ignore_ascii_case(name))
}

/// How much of a text is kept: no more than `most` bytes, and no character of which a part would be missing.
fn whole(text: &[u8], most: usize) -> usize {
    let mut end = text.len().min(most);
    while end > 0 && text.get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
        end -= 1;
    }
    end
}

/// All places are below [`TEXT_BYTES`].
fn short(place: usize) -> u16 {
    u16::try_from(place).unwrap_or(0)
}

/// A member, unless it is empty.
fn member(line: &mut Vec<u8>, name: &[u8], text: &[u8]) {
    if !text.is_empty() {
        line.extend_from_slice(name);
        escaped_json(line, text);
        line.push(b'"');
    }
}

fn stage(line: &mut Vec<u8>, name: &[u8], duration: Option<Duration>) {
    if let Some(duration) = duration {
        line.extend_from_slice(name);
        micros(line, duration);
    }
}

const _: () = {
    let (mut sum, mut part) = (0, 0);
    while part < PARTS {
        sum += PART_BYTES_MAX[part];
        part += 1;
    }
    assert!(sum <= TEXT_BYTES, "all texts fit");
    assert!(size_of::<Entry>() <= 1024, "an entry is a KiB");
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{FieldTable, OwnedHead, Span};

    /// A head with these fields and nothing else.
    fn head(fields: &[(&str, &str)]) -> OwnedHead {
        let (mut bytes, mut table) = (Vec::new(), FieldTable::new());
        for (name, value) in fields {
            let mut span = |text: &str| {
                let start = u16::try_from(bytes.len()).unwrap();
                bytes.extend_from_slice(text.as_bytes());
                Span::new(start, u16::try_from(bytes.len()).unwrap())
            };
            table.push(span(name), span(value), None).unwrap();
        }
        OwnedHead::freeze(&Head::new(&bytes, &table))
    }

    fn shown(fields: &[(&str, &str)]) -> String {
        let head = head(fields);
        let mut entry = Entry::default();
        entry.ends[PARTS] = short(entry.fields(&head.head(), 0));
        let mut line = Vec::new();
        entry.head(&mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn of_fields_that_may_be_secret_only_the_name_is_kept() {
        for name in ["Authorization", "cookie", "Proxy-Authorization", "X-Api-Key", "Referer", "X-Anything"] {
            assert_eq!(shown(&[(name, "s3cret")]), format!(",\"head\":[{{\"name\":\"{name}\"}}]"));
        }
        let two = shown(&[("HOST", "a:80"), ("cookie", "x"), ("user-agent", "a: \"b\"")]);
        assert_eq!(
            two,
            r#","head":[{"name":"HOST","value":"a:80"},{"name":"cookie"},{"name":"user-agent","value":"a: \u0022b\u0022"}]"#
        );
    }

    #[test]
    fn no_character_is_cut() {
        for (text, most, expected) in
            [("caf\u{e9}", 9, 5), ("caf\u{e9}", 4, 3), ("\u{4e2d}", 2, 0), ("abc", 2, 2)]
        {
            assert_eq!(whole(text.as_bytes(), most), expected, "{text}");
        }
        assert_eq!(whole(b"\x80\x80", 1), 0, "a client may write anything");
    }

    #[test]
    fn what_does_not_fit_is_left_out_whole() {
        let long = "x".repeat(TEXT_BYTES - 10);
        let text = shown(&[("te", "a"), ("accept", &long), ("te", "b")]);
        assert_eq!(text, r#","head":[{"name":"te","value":"a"}]"#);
    }
}
