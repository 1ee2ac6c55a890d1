//! What a client sends, and what it must get: [`Script`]s, drawn from the dice.

use crate::dice::Dice;
use crate::site::{digest, file, fill};

/// What must come for a request.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// This status, this body (`None`: whatever kolk says); whether the connection ends (`None`: perhaps).
    Full { status: u16, body: Option<Vec<u8>>, closes: Option<bool> },
    /// At most the beginning of this body; then the connection ends.
    Cut { body: Vec<u8> },
}

/// A client waits for this before it sends what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Nothing,
    /// All earlier requests are answered, and so many milliseconds have passed.
    Answers(u64),
    /// `100 Continue`, or an answer, or a second.
    Continue,
}

/// A piece of what is sent.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Which request it belongs to.
    pub(crate) request: usize,
    pub(crate) wait: Wait,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) label: String,
    pub(crate) is_head: bool,
    pub(crate) expects_continue: bool,
    pub(crate) expected: Expected,
}

/// A conversation from the client's side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) parts: Vec<Part>,
    pub(crate) requests: Vec<Planned>,
}

/// How a request's body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Length,
    Chunked,
    Expect,
    ExpectChunked,
}

impl Script {
    /// Up to `count` requests of client `client`. The first that ends the connection is the last, unless
    /// the client is `rude`.
    pub(crate) fn draw(dice: &mut Dice, client: usize, count: usize, rude: bool) -> Self {
        let mut script = Self::default();
        let pipelines = dice.chance(400);
        let thinks = dice.chance(300);
        for number in 0..count {
            let wait = match number {
                // The first request's time runs from the accept.
                0 => Wait::Answers(0),
                _ if pipelines => Wait::Nothing,
                _ if thinks => Wait::Answers(dice.pick(&[0, 5, 900, 20_000, 70_000])),
                _ => Wait::Answers(0),
            };
            let ends = script.request(dice, client as u64 * 1000 + number as u64, wait);
            if ends && !rude {
                break;
            }
        }
        script
    }

    /// Whether the body of the last answer cannot be completed.
    pub(crate) fn ends_in_a_cut(&self) -> bool {
        self.requests.last().is_some_and(|request| matches!(request.expected, Expected::Cut { .. }))
    }

    /// Adds a request; whether it ends the connection.
    fn request(&mut self, dice: &mut Dice, id: u64, wait: Wait) -> bool {
        match dice.below(20) {
            0 => self.broken(dice, wait),
            1..=13 => self.plain(dice, id, wait),
            _ => self.with_body(dice, id, wait),
        }
        match &self.requests[self.requests.len() - 1].expected {
            Expected::Cut { .. } => true,
            Expected::Full { closes, .. } => *closes != Some(false),
        }
    }

    fn push(&mut self, planned: Planned, wait: Wait, bytes: Vec<u8>) {
        self.parts.push(Part { request: self.requests.len(), wait, bytes });
        self.requests.push(planned);
    }

    /// A request without a body.
    fn plain(&mut self, dice: &mut Dice, id: u64, wait: Wait) {
        let ask = Ask::draw(dice, id);
        let is_head = dice.chance(80);
        let breaks = ask.is_cut && !is_head;
        let old = dice.chance(100);
        let keeps = old && dice.chance(500);
        let says_close = dice.chance(60);
        let closes = ask.closes || says_close || (old && !keeps) || (old && ask.is_unsized && !is_head);
        let method = if is_head { "HEAD" } else { "GET" };
        let version = if old { "1.0" } else { "1.1" };
        let eol = if dice.chance(100) { "\n" } else { "\r\n" };
        let path = ask.path;
        let mut head = format!("{method} {path} HTTP/{version}{eol}Host: sim{eol}");
        if says_close {
            head += &format!("Connection: close{eol}");
        } else if keeps {
            head += &format!("Connection: keep-alive{eol}");
        }
        if dice.chance(200) {
            head += &format!("TE: trailers{eol}Cookie: {}{eol}", "c".repeat(dice.length(600)));
        }
        head += eol;
        let body = ask.body.map(|body| if is_head { Vec::new() } else { body });
        let expected = if breaks {
            Expected::Cut { body: body.unwrap_or_default() }
        } else {
            Expected::Full { status: ask.status, body, closes: Some(closes) }
        };
        let label = format!("{method} {path} {version}");
        self.push(Planned { label, is_head, expects_continue: false, expected }, wait, head.into_bytes());
    }

    /// A request with a body.
    fn with_body(&mut self, dice: &mut Dice, id: u64, wait: Wait) {
        let sending = dice.pick(&[
            Sending::Length,
            Sending::Length,
            Sending::Chunked,
            Sending::Expect,
            Sending::ExpectChunked,
        ]);
        let Upload { path, body, status, content, is_early } = Upload::draw(dice, id);
        let n = body.len();
        let mut head = format!("POST {path} HTTP/1.1\r\nHost: sim\r\n");
        let chunked = matches!(sending, Sending::Chunked | Sending::ExpectChunked);
        let expects_continue = matches!(sending, Sending::Expect | Sending::ExpectChunked);
        head += &if chunked {
            "Transfer-Encoding: chunked\r\n".into()
        } else {
            format!("Content-Length: {n}\r\n")
        };
        if expects_continue {
            head += "Expect: 100-continue\r\n";
        }
        head += "\r\n";
        // An answer that does not wait for the body may end the connection: it depends on what is here.
        let closes = if is_early { None } else { Some(false) };
        let expected = Expected::Full { status, body: content, closes };
        let label = format!("POST {path} {sending:?} {n}");
        let request = self.requests.len();
        let planned = Planned { label, is_head: false, expects_continue, expected };
        self.push(planned, wait, head.into_bytes());
        let bytes = if chunked { in_chunks(dice, &body) } else { body };
        let wait = if expects_continue { Wait::Continue } else { Wait::Nothing };
        self.parts.push(Part { request, wait, bytes });
    }

    /// A request that must be refused.
    fn broken(&mut self, dice: &mut Dice, wait: Wait) {
        let long = "x".repeat(40_000);
        let (status, text): (u16, String) = dice.draw(vec![
            (400, "\u{16}\u{3}\u{1}\u{2}".into()),
            (400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n".into()),
            (400, "GET / HTTP/1.1\r\n\r\n".into()),
            (400, "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n".into()),
            (400, "GET /%ff HTTP/1.1\r\nHost: a\r\n\r\n".into()),
            (400, "GET /../.. HTTP/1.1\r\nHost: a\r\n\r\n".into()),
            (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n".into()),
            (501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n".into()),
            (417, "POST /echo/1 HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 1\r\n\r\n".into()),
            (400, "POST /echo/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".into()),
            (400, "POST /echo/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n".into()),
            (400, "POST /sink/1/more HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n".into()),
            (400, "POST /early/1/5/60000/send HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n".into()),
            (400, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n".into()),
            (414, format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
            (431, format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n")),
            (413, format!("POST /small/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n{long}{long}")),
        ]);
        let label = format!("broken {}", text.chars().take(60).collect::<String>().escape_debug());
        let expected = Expected::Full { status, body: None, closes: Some(true) };
        self.push(
            Planned { label, is_head: false, expects_continue: false, expected },
            wait,
            text.into_bytes(),
        );
    }
}

/// A question without a body, whatever the version, and its answer.
pub(crate) struct Ask {
    pub(crate) path: String,
    pub(crate) status: u16,
    /// None: whatever kolk says.
    pub(crate) body: Option<Vec<u8>>,
    /// The answer says that it is the last.
    pub(crate) closes: bool,
    /// At most the beginning of the body comes.
    pub(crate) is_cut: bool,
    /// The answer does not say how long it is.
    is_unsized: bool,
}

impl Ask {
    pub(crate) fn draw(dice: &mut Dice, id: u64) -> Self {
        let n = dice.pick(&[0, 1, 50, 3_000, 8_192, 8_193, 60_000, 190_000]);
        let delay = dice.pick(&[0, 1, 40, 2_000]);
        let how = dice.pick(&["more", "known", "after", "wait", "fail", "less", "much", "panic"]);
        let late = dice.pick(&["send", "send", "drop", "stream"]);
        // A streamed body that takes its time stays short.
        let streamed = if matches!(how, "after" | "wait") { n.min(3_000) / 20 } else { n };
        let cut = matches!(how, "fail" | "less" | "much" | "panic");
        let all = |body: Vec<u8>| (200, Some(body), false);
        let mut is_cut = false;
        let (path, (status, body, closes)) = match dice.below(16) {
            0..=2 => ("/fixed".into(), all(b"fixed\n".to_vec())),
            3..=4 => (format!("/text/{id}/{n}"), all(fill(id, n))),
            5 => (format!("/arena/{id}/{n}"), all(fill(id, n))),
            6 => (format!("/close/{id}/{n}"), (200, Some(fill(id, n)), true)),
            7 => (format!("/empty/{id}"), (204, Some(Vec::new()), false)),
            8 => (format!("/same/{id}?x=%20"), (304, Some(Vec::new()), false)),
            9 => (format!("/timed/{id}"), all(b"timed\n".to_vec())),
            10 => (format!("/panic/{id}"), (500, None, false)),
            11 if late == "stream" => (format!("/slices/{id}/{how}"), all(file().1)),
            11 => (format!("/file/{id}"), all(file().1)),
            12 if late == "drop" => (format!("/defer/{id}/{n}/{delay}/drop"), (500, None, false)),
            12 | 13 => (format!("/defer/{id}/{n}/{delay}/{late}"), all(fill(id, n))),
            14 => {
                is_cut = cut && (streamed > 0 || matches!(how, "fail" | "much" | "panic"));
                (format!("/stream/{id}/{streamed}/{how}"), all(fill(id, streamed)))
            }
            _ if dice.chance(300) => {
                is_cut = true;
                (format!("/short/{id}"), all(file().1))
            }
            _ => (format!("/nowhere/{id}"), (404, None, false)),
        };
        // A dropped reply is a 500 although the path says how long its answer were.
        let late_drop = path.starts_with("/defer") && path.ends_with("drop");
        let (status, body) = if late_drop { (500, None) } else { (status, body) };
        let is_unsized = (path.contains("/stream/") && !matches!(how, "known" | "less" | "much"))
            || (path.contains("/slices/") && how != "known")
            || path.ends_with("/stream");
        Self { path, status, body, closes, is_cut, is_unsized }
    }
}

/// A question with a body, whatever the version, and its answer.
pub(crate) struct Upload {
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) content: Option<Vec<u8>>,
    /// The answer may come before the body is here.
    is_early: bool,
}

impl Upload {
    pub(crate) fn draw(dice: &mut Dice, id: u64) -> Self {
        let n = dice.pick(&[0, 1, 99, 101, 5_000, 66_000, 150_000]);
        let body = fill(id ^ 0xB0D7, n);
        let how = dice.pick(&["more", "wait", "answer", "panic", "late", "endpanic"]);
        let answer = dice.pick(&[10, 20_000]);
        let delay = dice.pick(&[0, 30, 900]);
        let twice = dice.below(2) == 0;
        let (path, status, content) = match dice.below(8) {
            0 | 1 if twice => (format!("/twice/echo/{id}/{delay}"), 200, Some(body.clone())),
            0 | 1 => (format!("/echo/{id}"), 200, Some(body.clone())),
            2 if n > 100 => (format!("/small/{id}"), 413, None),
            2 => (format!("/small/{id}"), 200, Some(digest(&body).into_bytes())),
            3 => (format!("/later/{id}/{answer}/{delay}/send"), 200, Some(fill(id, answer))),
            4 => (format!("/early/{id}/{answer}/{delay}/send"), 200, Some(fill(id, answer))),
            5 => (format!("/no/{id}"), 403, Some(Vec::new())),
            6 if n == 0 && how == "endpanic" || n > 0 && matches!(how, "panic" | "endpanic") => {
                (format!("/sink/{id}/{how}"), 500, None)
            }
            6 if how == "answer" && n >= 100 => {
                (format!("/sink/{id}/{how}"), 200, Some(b"enough\n".to_vec()))
            }
            6 if twice => (format!("/twice/sink/{id}/{how}/{delay}"), 200, Some(digest(&body).into_bytes())),
            6 => (format!("/sink/{id}/{how}"), 200, Some(digest(&body).into_bytes())),
            _ => (format!("/fixed?{id}"), 405, None),
        };
        let is_early =
            path.starts_with("/early") || path.starts_with("/no") || status != 200 || how == "answer";
        Self { path, body, status, content, is_early }
    }
}

/// `body` in chunks of any size, some with an extension, and with or without a trailer.
fn in_chunks(dice: &mut Dice, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        // Thousands of tiny chunks teach nothing new.
        let least = if body.len() > 5_000 { 500 } else { 1 };
        let count = dice.pick(&[1, 7, 1_000, 40_000]).max(least).min(rest.len());
        let (chunk, behind) = rest.split_at(count);
        let extension = if dice.chance(100) { ";a=b" } else { "" };
        bytes.extend_from_slice(format!("{count:x}{extension}\r\n").as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        rest = behind;
    }
    bytes.extend_from_slice(if dice.chance(300) { b"0\r\nX-T: v\r\n\r\n" } else { b"0\r\n\r\n" });
    bytes
}
