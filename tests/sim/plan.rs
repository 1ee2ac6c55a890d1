//! [`Plan`]: what a client of HTTP/2 asks on one stream, and what must come of it.

use std::time::Duration;

use crate::dice::Dice;
use crate::frame::literal;
use crate::script::{Ask, Upload};

/// What is asked, and what must come.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) label: String,
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) has_trailer: bool,
    pub(crate) expects_continue: bool,
    pub(crate) status: u16,
    pub(crate) content: Option<Vec<u8>>,
    /// At most the beginning comes, and then a reset.
    pub(crate) is_cut: bool,
    /// So long after the last answer it is asked.
    pub(crate) think: Duration,
    /// It is given up as soon as an answer begins.
    pub(crate) is_cancelled: bool,
}

impl Plan {
    pub(crate) fn draw(dice: &mut Dice, id: u64, thinks: bool) -> Self {
        let mut think = Duration::ZERO;
        if thinks {
            think = Duration::from_millis(dice.pick(&[0, 5, 900, 20_000]));
        }
        let is_cancelled = dice.chance(60);
        if dice.chance(300) {
            let Upload { path, body, status, content, .. } = Upload::draw(dice, id);
            let expects_continue = dice.chance(300);
            let mut head = request("POST", &path);
            if dice.chance(600) {
                head.extend(literal(b"content-length", body.len().to_string().as_bytes()));
            }
            if expects_continue {
                head.extend(literal(b"expect", b"100-continue"));
            }
            let label = format!("POST {path} {}", body.len());
            let has_trailer = dice.chance(200);
            return Self {
                label,
                head,
                body,
                has_trailer,
                expects_continue,
                status,
                content,
                is_cut: false,
                think,
                is_cancelled,
            };
        }
        let mut ask = Ask::draw(dice, id);
        while ask.path.starts_with("/short") {
            // A file that is shorter than it was ends the connection, with all that is on it.
            ask = Ask::draw(dice, id);
        }
        let is_head = dice.chance(80);
        let method = if is_head { "HEAD" } else { "GET" };
        let mut head = request(method, &ask.path);
        if dice.chance(200) {
            head.extend(literal(b"te", b"trailers"));
            head.extend(literal(b"cookie", "c".repeat(dice.length(600)).as_bytes()));
        }
        if dice.chance(200) {
            head.extend(literal(b"priority", dice.pick(&[&b"u=0"[..], b"u=7", b"i", b"u=1, i"])));
        }
        Self {
            label: format!("{method} {}", ask.path),
            head,
            body: Vec::new(),
            has_trailer: false,
            expects_continue: false,
            status: ask.status,
            content: if is_head { Some(Vec::new()) } else { ask.body },
            is_cut: ask.is_cut && !is_head,
            think,
            is_cancelled,
        }
    }
}

impl Plan {
    /// Whether something follows the head.
    pub(crate) fn has_upload(&self) -> bool {
        !self.body.is_empty() || self.has_trailer
    }
}

/// The head of a request.
fn request(method: &str, path: &str) -> Vec<u8> {
    let fields = [(":method", method), (":scheme", "http"), (":authority", "sim"), (":path", path)];
    fields.iter().flat_map(|(name, value)| literal(name.as_bytes(), value.as_bytes())).collect()
}
