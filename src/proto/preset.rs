//! [`Preset`]: what every answer has, rendered once a second, in the form of each version.
//! RFC 9110 §6.6.1, §10.2.4.

use std::time::Duration;

use ::http::StatusCode;

use super::hpack::BlockWriter;
use crate::http::DateLine;

/// What every answer has: `Server` and `Date`, with the most usual status line before them.
///
/// ```
/// use kolk::proto::Preset;
/// let mut preset = Preset::new(Some("kolk"), 784_111_777);
/// assert!(!preset.set_second(784_111_777), "the same second renders nothing");
/// assert!(preset.set_second(784_111_778));
/// ```
#[derive(Clone, Debug)]
pub struct Preset {
    /// `HTTP/1.1 200 OK`, `Strict-Transport-Security`, `Server`, `Date`: each with its line end.
    block: Vec<u8>,
    /// Where `Server` and `Date` begin in the block.
    server: usize,
    date: usize,
    line: DateLine,
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";

impl Preset {
    /// The beginning for `second`, counted from 1970; `server: None` leaves the field out, as does a
    /// name that may not stand in a field.
    pub fn new(server: Option<&str>, second: u64) -> Self {
        let mut block = OK.to_vec();
        if let Some(name) = server.filter(|name| crate::http::is_field_value(name.as_bytes())) {
            block.extend_from_slice(b"Server: ");
            block.extend_from_slice(name.as_bytes());
            block.extend_from_slice(b"\r\n");
        }
        let date = block.len();
        let line = DateLine::new(second);
        block.extend_from_slice(line.line());
        Self { block, server: OK.len(), date, line }
    }

    /// The same, and whoever reads it comes over TLS for so long. RFC 6797 §6.1.
    #[must_use]
    pub fn with_hsts(mut self, time: Option<Duration>) -> Self {
        let line = time.map(|time| format!("Strict-Transport-Security: max-age={}\r\n", time.as_secs()));
        let line = line.unwrap_or_default();
        self.block.splice(OK.len()..self.server, line.bytes());
        self.date = self.date - self.server + OK.len() + line.len();
        self.server = OK.len() + line.len();
        self
    }

    /// Renders `Date` anew if `second` is another one; whether it was.
    #[inline]
    pub fn set_second(&mut self, second: u64) -> bool {
        let changed = self.line.set(second);
        if changed {
            self.block[self.date..].copy_from_slice(self.line.line());
        }
        changed
    }

    /// Writes the status line, and what every answer has; `Server` and `Date` unless it has its own.
    #[inline]
    pub(super) fn write(&self, out: &mut Vec<u8>, status: StatusCode, has_server: bool, has_date: bool) {
        if status == StatusCode::OK && !has_date && !has_server {
            out.extend_from_slice(&self.block);
        } else {
            self.write_unusual(out, status, has_server, has_date);
        }
    }

    /// Writes the same into a block.
    #[inline]
    pub(super) fn write_block(&self, block: &mut BlockWriter<'_>, has_server: bool, has_date: bool) {
        let hsts = &self.block[OK.len()..self.server];
        if !hsts.is_empty() {
            block.field(b"strict-transport-security", value(hsts));
        }
        let server = &self.block[self.server..self.date];
        if !server.is_empty() && !has_server {
            block.field(b"server", value(server));
        }
        if !has_date {
            block.passing(b"date", value(&self.block[self.date..]));
        }
    }

    fn write_unusual(&self, out: &mut Vec<u8>, status: StatusCode, has_server: bool, has_date: bool) {
        for part in ["HTTP/1.1 ", status.as_str(), " ", status.canonical_reason().unwrap_or_default(), "\r\n"]
        {
            out.extend_from_slice(part.as_bytes());
        }
        out.extend_from_slice(&self.block[OK.len()..self.server]);
        if !has_server {
            out.extend_from_slice(&self.block[self.server..self.date]);
        }
        if !has_date {
            out.extend_from_slice(&self.block[self.date..]);
        }
    }
}

/// The value of a line.
#[inline]
fn value(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|&byte| byte == b' ').map_or(0, |space| space + 1);
    line.get(start..line.len() - 2).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::hpack::Encoder;
    use super::*;

    /// What an answer begins with in each version, if it has this of its own.
    fn written(preset: &Preset, has_server: bool, has_date: bool) -> (String, Vec<u8>) {
        let (mut text, mut block) = (Vec::new(), Vec::new());
        preset.write(&mut text, StatusCode::OK, has_server, has_date);
        preset.write_block(&mut Encoder::new(4096).block(&mut block), has_server, has_date);
        (String::from_utf8(text).unwrap(), block)
    }

    #[test]
    fn whatever_an_answer_has_of_its_own_hsts_stands_before_it() {
        let plain = Preset::new(Some("kolk"), 784_111_777);
        let preset = plain.clone().with_hsts(Some(Duration::from_secs(60)));
        let mut literal = Vec::new();
        Encoder::new(4096).block(&mut literal).field(b"strict-transport-security", b"max-age=60");
        for (has_server, has_date) in [(false, false), (true, false), (false, true), (true, true)] {
            let ((text, block), (plain_text, plain_block)) =
                (written(&preset, has_server, has_date), written(&plain, has_server, has_date));
            let line = "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=60\r\n";
            assert_eq!(text, plain_text.replace("HTTP/1.1 200 OK\r\n", line));
            assert_eq!(block, [&literal[..], &plain_block].concat());
        }
        let (mut later, mut again) = (preset.clone(), preset.with_hsts(None));
        assert_eq!(written(&again, false, false), written(&plain, false, false));
        again.set_second(784_111_778);
        later.set_second(784_111_778);
        assert_eq!(written(&later.with_hsts(None), false, false), written(&again, false, false));
    }
}
