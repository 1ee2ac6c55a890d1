//! [`Formatter`]: a record as one line, in one of three formats or by a template. The formats are described
//! in the room's documentation. RFC 8259 (JSON).

use std::net::IpAddr;
use std::time::Duration;

use super::doubt::{Amended, Spot};
use super::held::Held;
use super::redaction::{Redacted, Redaction, Shown};
use super::text::{
    Moment, address, address_and_port, escaped_hex, escaped_json, escaped_json_text, micros, number,
    three_digits,
};
use super::{Format, Record};
use crate::http::{Head, Timeline};
use crate::server::stats::Cause;

/// Formats the records of one worker.
#[derive(Debug)]
pub(super) struct Formatter {
    format: Format,
    moment: Moment,
    redaction: Option<Box<Redaction>>,
    /// Lines say something that is known only once the answer has left.
    shows_end: bool,
    /// Where the last lines would say something else of answers that were cut.
    spots: Vec<Spot>,
}

/// What is known only once the answer has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// The members of JSON.
    Members,
    /// The column of the pretty format.
    Column,
    /// The last stage, in a template.
    Respond,
    /// All of it, in a template.
    Total,
}

/// What is known late: written at once, or left open. And what may turn out to be otherwise.
pub(super) struct Ends<'h> {
    held: Option<&'h mut Held>,
    spots: &'h mut Vec<Spot>,
}

impl Formatter {
    pub(super) fn new(format: Format, redacted: Redacted) -> Self {
        let shows_end = match &format {
            Format::Combined => false,
            Format::Json | Format::Pretty { .. } => true,
            Format::Template(template) => template.shows_end(),
        };
        let redaction = Redaction::new(redacted).map(Box::new);
        Self { format, moment: Moment::new(), redaction, shows_end, spots: Vec::new() }
    }

    /// Whether lines say something that is known only once the answer has left.
    #[inline]
    pub(super) const fn shows_end(&self) -> bool {
        self.shows_end
    }

    /// Appends one line with its line end.
    #[inline]
    pub(super) fn line(&mut self, record: &Record<'_>, line: &mut Vec<u8>) {
        self.write(record, line, None);
    }

    /// The same, but for what is known only once the answer has left: `held` knows where that belongs.
    #[inline]
    pub(super) fn line_with_holes(&mut self, record: &Record<'_>, line: &mut Vec<u8>, held: &mut Held) {
        self.write(record, line, Some(held));
    }

    /// How many spots the lines have so far.
    #[inline]
    pub(super) const fn spots(&self) -> usize {
        self.spots.len()
    }

    /// What was written so far stays as it is.
    #[inline]
    pub(super) fn forget_spots(&mut self) {
        self.spots.clear();
    }

    /// The spots from this one on.
    pub(super) fn take_spots(&mut self, from: usize) -> Vec<Spot> {
        self.spots.split_off(from)
    }

    /// Writes `what` of an answer that was cut after so many bytes of its body.
    pub(super) fn amend(line: &mut Vec<u8>, what: Amended, body_bytes: u64, cause: Cause) {
        match what {
            Amended::Bytes => number(line, body_bytes),
            Amended::Size => size_column(line, body_bytes),
            Amended::Reason => line.extend_from_slice(cause.code().as_bytes()),
            Amended::Member => {
                line.extend_from_slice(b",\"reason\":\"");
                line.extend_from_slice(cause.code().as_bytes());
                line.push(b'"');
            }
            Amended::Remark { colour } => {
                remark(line, colour, |line| line.extend_from_slice(cause.code().as_bytes()));
            }
        }
    }

    #[inline]
    fn write(&mut self, record: &Record<'_>, line: &mut Vec<u8>, held: Option<&mut Held>) {
        let Self { format, moment, redaction, spots, .. } = self;
        let ends = Ends { held, spots };
        moment.set(record.unix_seconds);
        let mut shown = Shown::of(record.head);
        let somebody;
        let mut record = record;
        if let Some(redaction) = redaction {
            somebody = redaction.somebody(record);
            record = &somebody;
            shown = redaction.apply(shown);
        }
        match format {
            Format::Combined => combined(line, moment, record, shown, ends),
            Format::Json => json(line, moment, record, shown, ends),
            Format::Pretty { colour } => pretty(line, (moment, record, shown), *colour, ends),
            Format::Template(template) => template.line(line, (moment, record, shown), ends),
        }
    }
}

impl Late {
    /// Writes what is known of it by now.
    pub(super) fn write(self, line: &mut Vec<u8>, timeline: &Timeline) {
        match self {
            Self::Members => {
                json_micros(line, b",\"respond_us\":", timeline.respond());
                json_micros(line, b",\"total_us\":", timeline.total());
            }
            Self::Column => time_column(line, timeline.respond()),
            Self::Respond => micros_or_dash(line, timeline.respond()),
            Self::Total => micros_or_dash(line, timeline.total()),
        }
    }
}

impl Ends<'_> {
    /// Writes `what` into the line of `record`, or leaves a hole there.
    #[inline]
    pub(super) fn put(&mut self, line: &mut Vec<u8>, what: Late, record: &Record<'_>) {
        match &mut self.held {
            Some(held) => held.leave_open(line.len(), what, record.timeline),
            None => what.write(line, record.timeline),
        }
    }

    /// What stands in the line from `at` on is said otherwise of an answer that was cut.
    #[inline]
    pub(super) fn mark(&mut self, at: usize, line: &[u8], what: Amended) {
        self.spots.push(Spot { at, end: line.len(), what });
    }
}

impl Format {
    /// Whether lines tell how long something took.
    pub(in crate::server) fn shows_times(&self) -> bool {
        match self {
            Self::Combined => false,
            Self::Json | Self::Pretty { .. } => true,
            Self::Template(template) => template.shows_times(),
        }
    }
}

/// `127.0.0.1 - - [22/Nov/2026:15:00:00 +0000] "GET / HTTP/1.1" 200 13 "-" "curl/8"`
fn combined(line: &mut Vec<u8>, moment: &Moment, record: &Record<'_>, shown: Shown<'_>, mut ends: Ends<'_>) {
    match client(record) {
        Some(client) => address(line, client),
        None => line.push(b'-'),
    }
    line.extend_from_slice(b" - ");
    match record.user {
        Some(user) => escaped_hex(line, user.as_bytes(), b' '),
        None => line.push(b'-'),
    }
    line.extend_from_slice(&moment.combined);
    match record.head {
        Some(head) => {
            match head.method().name() {
                "" => escaped_hex(line, head.method_bytes(), b' '),
                known => line.extend_from_slice(known.as_bytes()),
            }
            line.push(b' ');
            escaped_hex(line, shown.target.unwrap_or_default(), b' ');
            line.push(b' ');
            line.extend_from_slice(head.version().name().as_bytes());
        }
        None => line.push(b'-'),
    }
    line.extend_from_slice(b"\" ");
    number(line, u64::from(record.status));
    line.push(b' ');
    let at = line.len();
    number(line, record.body_bytes);
    ends.mark(at, line, Amended::Bytes);
    for text in [shown.referer, shown.user_agent] {
        line.extend_from_slice(b" \"");
        match text {
            Some(text) => escaped_hex(line, text, b'"'),
            None => line.push(b'-'),
        }
        line.push(b'"');
    }
    line.push(b'\n');
}

/// One object. Each literal begins where the member before has ended.
fn json(line: &mut Vec<u8>, moment: &Moment, record: &Record<'_>, shown: Shown<'_>, mut ends: Ends<'_>) {
    line.extend_from_slice(b"{\"time\":\"");
    line.extend_from_slice(&moment.rfc_3339);
    three_digits(line, u64::from(record.unix_millis));
    line.extend_from_slice(b"Z\"");
    let peer = record.peer.map(|peer| {
        line.extend_from_slice(b",\"peer\":\"");
        let address = address_and_port(line, peer);
        line.push(b'"');
        address
    });
    line.extend_from_slice(b",\"client\":\"");
    match (record.client, peer) {
        (Some(client), _) => address(line, client),
        (None, Some(peer)) => line.extend_from_within(peer),
        (None, None) => line.push(b'-'),
    }
    line.extend_from_slice(b"\",\"scheme\":\"");
    line.extend_from_slice(record.scheme.as_bytes());
    line.push(b'"');
    json_text(line, b",\"host\":\"", shown.host(record.head));
    if let Some(head) = record.head {
        json_text(line, b",\"method\":\"", Some(method(head)));
        json_text(line, b",\"target\":\"", shown.target);
        line.extend_from_slice(b",\"version\":\"");
        line.extend_from_slice(head.version().name().as_bytes());
        line.push(b'"');
    }
    json_number(line, b",\"status\":", u64::from(record.status));
    line.extend_from_slice(b",\"bytes\":");
    let at = line.len();
    number(line, record.body_bytes);
    ends.mark(at, line, Amended::Bytes);
    json_name(line, b",\"site\":\"", Some(record.site).filter(|site| !site.is_empty()));
    json_name(line, b",\"route\":\"", Some(record.route).filter(|route| !route.is_empty()));
    json_name(line, b",\"user\":\"", record.user);
    let at = line.len();
    if record.reason.is_some() {
        line.extend_from_slice(b",\"reason\":\"");
        reason(line, record);
        line.push(b'"');
    }
    ends.mark(at, line, Amended::Member);
    if let Some(rate) = record.rate {
        json_text(line, b",\"rate\":\"", Some(rate.name().as_bytes()));
        json_text(line, b",\"rate_result\":\"", Some(rate.verdict().name().as_bytes()));
    }
    json_text(line, b",\"referer\":\"", shown.referer);
    json_text(line, b",\"user_agent\":\"", shown.user_agent);
    json_micros(line, b",\"accept_us\":", record.timeline.accept());
    json_micros(line, b",\"parse_us\":", record.timeline.parse());
    json_micros(line, b",\"handle_us\":", record.timeline.handle());
    ends.put(line, Late::Members, record);
    json_number(line, b",\"worker\":", u64::try_from(record.worker).unwrap_or(u64::MAX));
    json_number(line, b",\"connection\":", record.connection);
    json_number(line, b",\"request\":", u64::from(record.request));
    json_text(line, b",\"id\":\"", record.id.map(str::as_bytes));
    line.extend_from_slice(b"}\n");
}

/// Who has asked, as far as is known.
#[inline]
pub(super) fn client(record: &Record<'_>) -> Option<IpAddr> {
    record.client.or_else(|| record.peer.map(|peer| peer.ip()))
}

fn json_text<const N: usize>(line: &mut Vec<u8>, name: &[u8; N], text: Option<&[u8]>) {
    if let Some(text) = text {
        line.extend_from_slice(name);
        escaped_json(line, text);
        line.push(b'"');
    }
}

fn json_name<const N: usize>(line: &mut Vec<u8>, name: &[u8; N], text: Option<&str>) {
    if let Some(text) = text {
        line.extend_from_slice(name);
        escaped_json_text(line, text);
        line.push(b'"');
    }
}

fn json_number<const N: usize>(line: &mut Vec<u8>, name: &[u8; N], value: u64) {
    line.extend_from_slice(name);
    number(line, value);
}

fn json_micros<const N: usize>(line: &mut Vec<u8>, name: &[u8; N], duration: Option<Duration>) {
    if let Some(duration) = duration {
        line.extend_from_slice(name);
        micros(line, duration);
    }
}

/// `15:00:00.123  127.0.0.1        200    13 B   1.5 us    43 ns   400 us   9.0 us  GET      /hello`, then
/// the reason, if any.
fn pretty(
    line: &mut Vec<u8>,
    (moment, record, shown): (&Moment, &Record<'_>, Shown<'_>),
    colour: bool,
    mut ends: Ends<'_>,
) {
    let paint = |line: &mut Vec<u8>, code: &[u8]| {
        if colour {
            line.extend_from_slice(code);
        }
    };
    paint(line, DIM);
    line.extend_from_slice(moment.clock());
    three_digits(line, u64::from(record.unix_millis));
    line.extend_from_slice(b"  ");
    column(line, Align::Left(15), |line| match client(record) {
        Some(client) => address(line, client),
        None => line.push(b'-'),
    });
    line.extend_from_slice(b"  ");
    paint(line, colour_of(record.status));
    number(line, u64::from(record.status));
    paint(line, PLAIN);
    let at = line.len();
    size_column(line, record.body_bytes);
    ends.mark(at, line, Amended::Size);
    let timeline = record.timeline;
    for stage in [timeline.accept(), timeline.parse(), timeline.handle()] {
        time_column(line, stage);
    }
    ends.put(line, Late::Column, record);
    line.extend_from_slice(b"  ");
    column(line, Align::Left(7), |line| escaped_hex(line, record.head.map_or(b"-", method), b' '));
    line.push(b' ');
    escaped_hex(line, shown.target.unwrap_or(b"-"), b' ');
    let at = line.len();
    if record.reason.is_some() {
        remark(line, colour, |line| reason(line, record));
    }
    ends.mark(at, line, Amended::Remark { colour });
    line.push(b'\n');
}

/// What stands behind all columns.
fn remark(line: &mut Vec<u8>, colour: bool, write: impl FnOnce(&mut Vec<u8>)) {
    line.extend_from_slice(if colour { DIM } else { b"" });
    line.extend_from_slice(b"  ");
    write(line);
    line.extend_from_slice(if colour { PLAIN } else { b"" });
}

fn size_column(line: &mut Vec<u8>, bytes: u64) {
    column(line, Align::Right(9), |line| scaled(line, bytes, &SIZES));
}

const PLAIN: &[u8] = b"\x1b[0m";
const DIM: &[u8] = b"\x1b[2m";

const fn colour_of(status: u16) -> &'static [u8] {
    match status / 100 {
        2 => b"\x1b[0;32m",
        3 => b"\x1b[0;36m",
        4 => b"\x1b[0;33m",
        5 => b"\x1b[0;31m",
        _ => PLAIN,
    }
}

/// A unit and how many of it make one of the next.
type Unit = (&'static [u8], u64);
const SIZES: [Unit; 4] = [(b" B", 1000), (b" kB", 1000), (b" MB", 1000), (b" GB", u64::MAX)];
const TIMES: [Unit; 4] = [(b" ns", 1000), (b" us", 1000), (b" ms", 1000), (b" s", u64::MAX)];

/// A number in the unit that leaves at most three digits, with one decimal when it is a single digit.
fn scaled(line: &mut Vec<u8>, value: u64, units: &[Unit]) {
    let (mut value, mut tenth) = (value, None);
    for (unit, next) in units {
        if value < *next {
            number(line, value);
            if let Some(tenth) = tenth.filter(|_| value < 10) {
                line.push(b'.');
                number(line, tenth);
            }
            line.extend_from_slice(unit);
            return;
        }
        tenth = Some(value % next * 10 / next);
        value /= next;
    }
}

#[derive(Clone, Copy)]
enum Align {
    Left(usize),
    Right(usize),
}

/// A text in a column of at least this width.
fn column(line: &mut Vec<u8>, align: Align, write: impl FnOnce(&mut Vec<u8>)) {
    let start = line.len();
    write(line);
    let length = line.len() - start;
    let (Align::Left(width) | Align::Right(width)) = align;
    let padding = width.saturating_sub(length);
    line.resize(line.len() + padding, b' ');
    if matches!(align, Align::Right(_)) {
        line[start..].rotate_right(padding);
    }
}

/// How long a stage took, in the unit that suits it.
fn time_column(line: &mut Vec<u8>, stage: Option<Duration>) {
    column(line, Align::Right(9), |line| match stage {
        Some(stage) => scaled(line, u64::try_from(stage.as_nanos()).unwrap_or(u64::MAX), &TIMES),
        None => line.push(b'-'),
    });
}

fn micros_or_dash(line: &mut Vec<u8>, duration: Option<Duration>) {
    match duration {
        Some(duration) => micros(line, duration),
        None => line.push(b'-'),
    }
}

/// The code of the reason, if there is one, and the name of the rate that it is about.
pub(super) fn reason(line: &mut Vec<u8>, record: &Record<'_>) {
    let Some(reason) = record.reason else { return };
    line.extend_from_slice(reason.code().as_bytes());
    if let Some(name) = record.refuser() {
        line.push(b'.');
        line.extend_from_slice(name.as_bytes());
    }
}

#[inline]
pub(super) fn method<'h>(head: &Head<'h>) -> &'h [u8] {
    match head.method().name() {
        "" => head.method_bytes(),
        name => name.as_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::base::Tick;
    use crate::http::{FieldTable, Known, Method, Reason, RequestLine, Span, Timeline, Version};
    use crate::server::access_log::Template;
    use crate::server::access_log::text::LINE_BYTES_MAX;
    use crate::server::stats::Cause;

    /// 22 November 2026, 15:00:00 UTC.
    const SECOND: u64 = 1_795_359_600;
    const TIMELINE: Timeline = Timeline {
        accepted: Tick::from_nanos(1_000),
        received: Tick::from_nanos(2_500),
        parsed: Tick::from_nanos(2_543),
        handled: Tick::from_nanos(402_543),
        responded: Tick::from_nanos(411_543),
        finished: Tick::from_nanos(422_500),
    };

    /// A head with a method, a target and some fields, one after the other.
    struct Written {
        bytes: Vec<u8>,
        table: FieldTable,
    }

    impl Written {
        fn new(method: &[u8], target: &[u8], fields: &[(Known, &[u8])]) -> Self {
            let mut bytes = Vec::new();
            let mut put = |part: &[u8]| {
                let start = u16::try_from(bytes.len()).unwrap();
                bytes.extend_from_slice(part);
                Span::new(start, u16::try_from(bytes.len()).unwrap())
            };
            let mut table = FieldTable::new();
            table.set_line(RequestLine {
                method: Method::from_name(method),
                version: Version::Http11,
                method_span: put(method),
                target: put(target),
                is_plain_path: false,
            });
            for (known, value) in fields {
                table.push(put(known.name().as_bytes()), put(value), Some(*known)).unwrap();
            }
            Self { bytes, table }
        }

        fn head(&self) -> Head<'_> {
            Head::new(&self.bytes, &self.table)
        }
    }

    fn record<'r>(head: Option<&'r Head<'r>>) -> Record<'r> {
        Record {
            unix_seconds: SECOND,
            unix_millis: 7,
            peer: Some("127.0.0.1:4242".parse().unwrap()),
            client: None,
            scheme: "https",
            head,
            status: 200,
            body_bytes: 13,
            reason: None,
            site: "*",
            route: "/hello/{name}",
            user: None,
            rate: None,
            timeline: &TIMELINE,
            worker: 1,
            connection: 42,
            request: 2,
            id: None,
        }
    }

    fn line(format: Format, record: &Record<'_>) -> String {
        redacted(format, Redacted::default(), record)
    }

    fn redacted(format: Format, redacted: Redacted, record: &Record<'_>) -> String {
        let mut line = Vec::new();
        Formatter::new(format, redacted).line(record, &mut line);
        String::from_utf8(line).unwrap()
    }

    fn template(text: &str) -> Format {
        Format::Template(Template::parse(text).unwrap())
    }

    fn refused() -> Record<'static> {
        const NONE: Timeline = Timeline {
            accepted: Tick::ZERO,
            received: Tick::ZERO,
            parsed: Tick::ZERO,
            handled: Tick::ZERO,
            responded: Tick::ZERO,
            finished: Tick::ZERO,
        };
        Record {
            peer: None,
            client: None,
            status: 400,
            reason: Some(Reason::BareCr.into()),
            site: "",
            route: "",
            timeline: &NONE,
            ..record(None)
        }
    }

    #[test]
    fn combined_lines_are_those_of_nginx() {
        let written = Written::new(b"GET", b"/hello/you", &[(Known::UserAgent, b"curl/8")]);
        assert_eq!(
            line(Format::Combined, &record(Some(&written.head()))),
            "127.0.0.1 - - [22/Nov/2026:15:00:00 +0000] \"GET /hello/you HTTP/1.1\" 200 13 \"-\" \"curl/8\"\n"
        );
        assert_eq!(
            line(Format::Combined, &refused()),
            "- - - [22/Nov/2026:15:00:00 +0000] \"-\" 400 13 \"-\" \"-\"\n"
        );
        let forged = b"x\" 200 0\n10.0.0.1 - - [";
        let written = Written::new(b"PURGE", b"/\"", &[(Known::Referer, forged)]);
        assert_eq!(
            line(Format::Combined, &record(Some(&written.head()))),
            "127.0.0.1 - - [22/Nov/2026:15:00:00 +0000] \"PURGE /\\x22 HTTP/1.1\" 200 13 \
             \"x\\x22 200 0\\x0a10.0.0.1 - - [\" \"-\"\n"
        );
    }

    #[test]
    fn a_user_is_one_word_of_a_line() {
        let written = Written::new(b"GET", b"/", &[]);
        let head = written.head();
        let named = Record { user: Some("Ada \"L\" [x] \u{e9}\n"), ..record(Some(&head)) };
        let combined = line(Format::Combined, &named);
        assert!(
            combined.starts_with("127.0.0.1 - Ada\\x20\\x22L\\x22\\x20[x]\\x20\\xc3\\xa9\\x0a [22/Nov"),
            "{combined}"
        );
        let json = line(Format::Json, &named);
        assert!(json.contains(r#""route":"/hello/{name}","user":"Ada \u0022L\u0022 [x] "#), "{json}");
        assert!(members(&json).is_some());
    }

    #[test]
    fn who_is_left_out_is_so_in_every_format() {
        let written = Written::new(b"GET", b"/", &[]);
        let head = written.head();
        let told = Record {
            client: Some("2001:db8:1:2:3:4:5:6".parse().unwrap()),
            user: Some("ada"),
            ..record(Some(&head))
        };
        let redacted = || Redacted { client: true, user: true, ..Redacted::default() };
        for format in [
            Format::Json,
            Format::Combined,
            Format::Pretty { colour: false },
            template("{client} {peer} {user} {status}"),
        ] {
            let mut line = Vec::new();
            Formatter::new(format.clone(), redacted()).line(&told, &mut line);
            let line = String::from_utf8(line).unwrap();
            assert!(line.contains("2001:db8:1::") && !line.contains("1:2:3"), "{line}");
            assert!(!line.contains("ada") && !line.contains("127.0.0.1"), "{line}");
            assert!(line.contains("***") || matches!(format, Format::Pretty { .. }), "{line}");
        }
    }

    #[test]
    fn json_lines_have_the_documented_members() {
        let written = Written::new(
            b"GET",
            b"/hello/you",
            &[(Known::UserAgent, b"curl/8"), (Known::Referer, b"\xE9"), (Known::Host, b"a.example:80")],
        );
        assert_eq!(
            line(Format::Json, &record(Some(&written.head()))),
            concat!(
                r#"{"time":"2026-11-22T15:00:00.007Z","peer":"127.0.0.1:4242","client":"127.0.0.1","#,
                r#""scheme":"https","host":"a.example:80","method":"GET","#,
                r#""target":"/hello/you","version":"HTTP/1.1","status":200,"bytes":13,"#,
                r#""site":"*","route":"/hello/{name}","referer":"\u00e9","user_agent":"curl/8","#,
                r#""accept_us":1.500,"parse_us":0.043,"handle_us":400.000,"respond_us":9.000,"#,
                r#""total_us":420.000,"worker":1,"connection":42,"request":2}"#,
                "\n"
            )
        );
        assert_eq!(
            line(Format::Json, &refused()),
            concat!(
                r#"{"time":"2026-11-22T15:00:00.007Z","client":"-","scheme":"https","status":400,"bytes":13,"#,
                r#""reason":"parse.bare_cr","worker":1,"connection":42,"request":2}"#,
                "\n"
            )
        );
    }

    #[test]
    fn pretty_lines_are_aligned() {
        let written = Written::new(b"GET", b"/hello/you", &[]);
        let head = written.head();
        let plain = Format::Pretty { colour: false };
        assert_eq!(
            line(plain.clone(), &record(Some(&head))),
            "15:00:00.007  127.0.0.1        200     13 B   1.5 us    43 ns   400 us   9.0 us  GET     /hello/you\n"
        );
        assert_eq!(
            line(plain.clone(), &refused()),
            "15:00:00.007  -                400     13 B        -        -        -        -  -       -  parse.bare_cr\n"
        );
        let coloured = line(Format::Pretty { colour: true }, &record(Some(&head)));
        assert!(coloured.starts_with("\x1b[2m15:00:00.007  127.0.0.1        \x1b[0;32m200\x1b[0m"));
        assert_eq!(
            coloured.replace("\x1b[0;32m", "").replace(['\x1b'], "").replace("[2m", "").replace("[0m", ""),
            line(plain, &record(Some(&head)))
        );
    }

    #[test]
    fn sizes_and_times_have_at_most_three_digits() {
        for (value, size, time) in [
            (0, "0 B", "0 ns"),
            (999, "999 B", "999 ns"),
            (1_049, "1.0 kB", "1.0 us"),
            (9_999, "9.9 kB", "9.9 us"),
            (10_000, "10 kB", "10 us"),
            (2_500_000, "2.5 MB", "2.5 ms"),
            (7_000_000_000_000, "7000 GB", "7000 s"),
        ] {
            let text = |units| {
                let mut line = Vec::new();
                scaled(&mut line, value, units);
                String::from_utf8(line).unwrap()
            };
            assert_eq!((text(&SIZES).as_str(), text(&TIMES).as_str()), (size, time));
        }
    }

    #[test]
    fn the_longest_line_fits() {
        let long = vec![0x80; 9_000];
        let written = Written::new(
            &long[..],
            &long,
            &[(Known::UserAgent, &long), (Known::Referer, &long), (Known::Host, &long)],
        );
        let route = "\u{80}".repeat(9_000);
        let head = written.head();
        let record = Record {
            peer: Some("[1111:2222:3333:4444:5555:6666:7777:8888]:65535".parse().unwrap()),
            client: None,
            status: u16::MAX,
            body_bytes: u64::MAX,
            reason: Some(Reason::VersionUnsupported.into()),
            site: "*",
            route: &route,
            user: Some(&route),
            worker: usize::MAX,
            connection: u64::MAX,
            request: u32::MAX,
            ..record(Some(&head))
        };
        let every: Vec<_> = Template::NAMES.iter().map(|name| format!("{{{name}}}")).collect();
        let every = template(&every.join(" "));
        for format in [Format::Combined, Format::Json, Format::Pretty { colour: true }, every] {
            let length = line(format.clone(), &record).len();
            assert!(length <= LINE_BYTES_MAX, "{format:?}: {length}");
        }
    }

    #[test]
    fn templates_have_a_word_for_everything() {
        let fields: [(Known, &[u8]); 3] =
            [(Known::UserAgent, b"cu|rl 8"), (Known::Referer, b""), (Known::Host, b"a.example")];
        let written = Written::new(b"GET", b"/a|b", &fields);
        let head = written.head();
        let told =
            Record { client: Some("192.0.2.1".parse().unwrap()), user: Some("Ada L"), ..record(Some(&head)) };
        for (text, expected) in [
            ("{client} {peer} {host}", "192.0.2.1 127.0.0.1:4242 a.example"),
            ("{method}|{target}|{version}", "GET|/a\\x7cb|HTTP/1.1"),
            ("[{time}] {status} {bytes} {route}", "[2026-11-22T15:00:00.007Z] 200 13 /hello/{name}"),
            ("{scheme}://{site} {route}", "https://* /hello/{name}"),
            ("{user}, \"{user_agent}\" {user_agent}", "Ada L, \"cu|rl 8\" cu|rl 8"),
            ("{user_agent} {referer} {reason} {user}", "cu|rl\\x208 - - Ada L"),
            ("{{{parse_us}us {accept_us} {handle_us} {respond_us}}}", "{0.043us 1.500 400.000 9.000}"),
            ("{total_us} of {respond_us}us", "420.000 of 9.000us"),
            ("{worker}/{connection}/{request} \u{e9}", "1/42/2 \u{e9}"),
            ("", ""),
        ] {
            assert_eq!(line(template(text), &told), format!("{expected}\n"), "{text}");
        }
        let refused = line(
            template("{client} {peer} {method} {target} {version} {status} {site} {route} {parse_us}"),
            &refused(),
        );
        assert_eq!(refused, "- - - - - 400 - - -\n");
    }

    #[test]
    fn what_is_redacted_is_in_no_format() {
        let fields: [(Known, &[u8]); 3] = [
            (Known::UserAgent, b"SECRET"),
            (Known::Referer, b"http://a.example/?token=SECRET&x=1"),
            (Known::Host, b"SECRET"),
        ];
        let written = Written::new(b"GET", b"/?token=SECRET&x=1", &fields);
        let head = written.head();
        let redacts = Redacted {
            host: true,
            user_agent: true,
            parameters: vec!["token".to_owned()],
            ..Redacted::default()
        };
        for (format, expected) in [
            (
                Format::Combined,
                "\"GET /?token=***&x=1 HTTP/1.1\" 200 13 \"http://a.example/?token=***&x=1\" \"-\"",
            ),
            (Format::Json, r#""target":"/?token=***&x=1""#),
            (Format::Json, r#""referer":"http://a.example/?token=***&x=1","accept_us""#),
            (Format::Pretty { colour: false }, "GET     /?token=***&x=1"),
            (template("{host} {user_agent} {target}"), "- - /?token=***&x=1"),
        ] {
            let line = redacted(format, redacts.clone(), &record(Some(&head)));
            assert!(line.contains(expected) && !line.contains("SECRET"), "{line}");
        }
        let hidden = Redacted { referer: true, ..Redacted::default() };
        let line = redacted(Format::Combined, hidden, &record(Some(&head)));
        assert!(line.ends_with("\"-\" \"SECRET\"\n"), "{line}");
    }

    #[test]
    fn the_reader_of_the_tests_is_strict() {
        assert!(members("{\"a\":\"\\u0022\",\"b\":0.5}\n").is_some());
        for broken in [
            "{}",
            "{\"a\":1,\"a\":2}\n",
            "{\"a\":01}\n",
            "{\"a\":1.}\n",
            "{\"a\":\"\\x22\"}\n",
            "{\"a\":\"\n\"}\n",
        ] {
            assert_eq!(members(broken), None, "{broken}");
        }
    }

    /// The parts of a combined line, read from the left as a log analyser does.
    fn is_combined(line: &str) -> bool {
        let quoted = |text: &str| !text.contains('"');
        (|| {
            let rest = line.strip_suffix('\n')?;
            let (_, rest) = rest.split_once(" - ")?;
            let (_, rest) = rest.split_once(" [")?;
            let (_, rest) = rest.split_once("] \"")?;
            let (request, rest) = rest.split_once("\" ")?;
            let (status, rest) = rest.split_once(' ')?;
            let (bytes, rest) = rest.split_once(" \"")?;
            let (referer, rest) = rest.split_once("\" \"")?;
            let agent = rest.strip_suffix('"')?;
            let numbers = status.parse::<u16>().is_ok() && bytes.parse::<u64>().is_ok();
            let words = request.split(' ').count() == 3;
            Some(numbers && words && quoted(request) && quoted(referer) && quoted(agent))
        })()
        .unwrap_or(false)
    }

    /// The members of a flat object of strings and numbers, by the grammar of RFC 8259; numbers as they
    /// are written. `None` where a rule is broken or a name stands twice.
    fn members(line: &str) -> Option<BTreeMap<String, String>> {
        let mut members = BTreeMap::new();
        let mut rest = line.strip_suffix("}\n")?.strip_prefix('{')?;
        loop {
            let (name, behind) = string(rest)?;
            let behind = behind.strip_prefix(':')?;
            let (value, behind) = if behind.starts_with('"') { string(behind)? } else { decimal(behind)? };
            if members.insert(name, value).is_some() {
                return None;
            }
            if behind.is_empty() {
                return Some(members);
            }
            rest = behind.strip_prefix(',')?;
        }
    }

    /// RFC 8259 §7, without the short escapes that kolk does not write.
    fn string(text: &str) -> Option<(String, &str)> {
        let mut value = String::new();
        let mut rest = text.strip_prefix('"')?;
        loop {
            let next = rest.chars().next()?;
            rest = &rest[next.len_utf8()..];
            match next {
                '"' => return Some((value, rest)),
                '\\' => {
                    let unit = |rest: &'_ str| {
                        let (code, behind) = rest.strip_prefix('u')?.split_at_checked(4)?;
                        Some((u16::from_str_radix(code, 16).ok()?, behind.len()))
                    };
                    let (first, left) = unit(rest)?;
                    rest = &rest[rest.len() - left..];
                    let mut units = vec![first];
                    if (0xD800..0xDC00).contains(&first) {
                        let (second, left) = unit(rest.strip_prefix('\\')?)?;
                        rest = &rest[rest.len() - left..];
                        units.push(second);
                    }
                    value.push_str(&String::from_utf16(&units).ok()?);
                }
                '\0'..='\x1f' => return None,
                _ => value.push(next),
            }
        }
    }

    /// RFC 8259 §6: no leading zeros, digits on both sides of a point.
    fn decimal(text: &str) -> Option<(String, &str)> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, rest) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let valid = digits(whole) && digits(fraction) && (whole == "0" || !whole.starts_with('0'));
        valid.then(|| (number.to_owned(), rest))
    }

    /// What a JSON line must say of a text: each byte is the character of its number.
    fn latin_1(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| char::from(*byte)).collect()
    }

    proptest! {
        #[test]
        fn any_head_is_exactly_one_valid_line(
            method in proptest::collection::vec(0_u8..0x80, 0..24),
            target in proptest::collection::vec(any::<u8>(), 0..80),
            referer in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..80)),
            agent in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..80)),
            status in 100_u16..600,
            reason in 0..=Reason::ALL.len(),
            user in proptest::option::of(any::<String>()),
        ) {
            let mut fields = Vec::new();
            fields.extend(referer.as_deref().map(|value| (Known::Referer, value)));
            fields.extend(agent.as_deref().map(|value| (Known::UserAgent, value)));
            let written = Written::new(&method, &target, &fields);
            let head = written.head();
            let reason = Reason::ALL.get(reason).map(|reason| Cause::Reason(*reason));
            let record = Record { status, reason, user: user.as_deref(), ..record(Some(&head)) };
            let spaced = template("{client} {user} {method} {target} {referer} {user_agent} {status}");
            let marked = template("<{user}>{method}|{target};'{referer}',{user_agent}~{status}");
            let plain = Format::Pretty { colour: false };
            for format in [&Format::Combined, &Format::Json, &plain, &spaced, &marked] {
                let line = line(format.clone(), &record);
                prop_assert!(line.ends_with('\n'));
                prop_assert!(line[..line.len() - 1].bytes().all(|byte| (0x20..0x7F).contains(&byte)), "{line}");
            }
            let combined = line(Format::Combined, &record);
            prop_assert!(is_combined(&combined), "{combined}");
            let spaced = line(spaced, &record);
            prop_assert_eq!(spaced.split(' ').count(), 7, "{}", spaced);
            let ending = format!(" {status}\n");
            prop_assert!(spaced.ends_with(&ending), "{}", spaced);
            let mut rest = &line(marked, &record)[..];
            for mark in ["<", ">", "|", ";", "'", "',", "~"] {
                // The first that is found is the template's.
                rest = rest.split_once(mark).unwrap().1;
            }
            prop_assert_eq!(rest, format!("{status}\n"));
            let json = line(Format::Json, &record);
            let members = members(&json);
            prop_assert!(members.is_some(), "{json}");
            let members = members.unwrap();
            prop_assert_eq!(&members["method"], &latin_1(&method));
            prop_assert_eq!(&members["target"], &latin_1(&target));
            let (referer, agent) = (referer.as_deref().map(latin_1), agent.as_deref().map(latin_1));
            prop_assert_eq!(members.get("referer"), referer.as_ref());
            prop_assert_eq!(members.get("user_agent"), agent.as_ref());
            prop_assert_eq!(members.get("user"), user.as_ref());
            prop_assert_eq!(&members["status"], &status.to_string());
        }

        /// Whoever knows a template finds in a line what it stands for, whatever was sent.
        #[test]
        fn a_line_of_any_template_can_be_taken_apart(
            parts in proptest::collection::vec((0..Template::NAMES.len(), "[ |;<\"]{1,2}"), 1..8),
            target in proptest::collection::vec(any::<u8>(), 0..40),
            agent in proptest::collection::vec(any::<u8>(), 0..40),
            user in any::<String>(),
        ) {
            let named = |(name, end): &(usize, String)| format!("{{{}}}{end}", Template::NAMES[*name]);
            let format = template(&parts.iter().map(named).collect::<String>());
            let written = Written::new(b"GET", &target, &[(Known::UserAgent, &agent)]);
            let head = written.head();
            let line = line(format, &Record { user: Some(&user), ..record(Some(&head)) });
            let mut rest = &line[..];
            for (name, end) in &parts {
                let (value, behind) = rest.split_once(&**end).unwrap();
                rest = behind;
                let expected: &[u8] = match Template::NAMES[*name] {
                    "target" => &target,
                    "user_agent" => &agent,
                    "user" => user.as_bytes(),
                    "status" => b"200",
                    _ => continue,
                };
                let expected = if expected.is_empty() { b"-" } else { expected };
                prop_assert_eq!(unescaped(value), expected, "{}", line);
            }
            prop_assert_eq!(rest, "\n");
        }
    }

    /// What `\xNN` stand for.
    fn unescaped(text: &str) -> Vec<u8> {
        let mut parts = text.split("\\x");
        let mut bytes = parts.next().unwrap().as_bytes().to_vec();
        for part in parts {
            bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
            bytes.extend_from_slice(&part.as_bytes()[2..]);
        }
        bytes
    }
}
