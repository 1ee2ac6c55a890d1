//! [`Preset`]: what every answer has, rendered once a second, in the form of each version.
//! RFC 9110 §6.6.1, §10.2.4.

use ::http::StatusCode;

use super::hpack::{BlockWriter, write_literal};
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
    /// `HTTP/1.1 200 OK`, `Server`, `Date`: each with its line end.
    block: Vec<u8>,
    /// Where `Server` and `Date` begin in the block.
    server: usize,
    date: usize,
    /// The same fields as literals of HPACK, and where `date` begins.
    literals: Vec<u8>,
    date_literal: usize,
    line: DateLine,
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";

impl Preset {
    /// The beginning for `second`, counted from 1970; `server: None` leaves the field out, as does a
    /// name that may not stand in a field.
    pub fn new(server: Option<&str>, second: u64) -> Self {
        let mut block = OK.to_vec();
        let mut literals = Vec::new();
        if let Some(name) = server.filter(|name| crate::http::is_field_value(name.as_bytes())) {
            write_literal(&mut literals, b"server", name.as_bytes());
            block.extend_from_slice(b"Server: ");
            block.extend_from_slice(name.as_bytes());
            block.extend_from_slice(b"\r\n");
        }
        let date = block.len();
        let line = DateLine::new(second);
        block.extend_from_slice(line.line());
        let date_literal = literals.len();
        write_literal(&mut literals, b"date", line.value().as_bytes());
        Self { block, server: OK.len(), date, literals, date_literal, line }
    }

    /// Renders `Date` anew if `second` is another one; whether it was.
    #[inline]
    pub fn set_second(&mut self, second: u64) -> bool {
        let changed = self.line.set(second);
        if changed {
            self.block[self.date..].copy_from_slice(self.line.line());
            self.literals.truncate(self.date_literal);
            write_literal(&mut self.literals, b"date", self.line.value().as_bytes());
        }
        changed
    }

    /// Writes the status line, and `Server` and `Date` unless the answer has its own.
    #[inline]
    pub(super) fn write(&self, out: &mut Vec<u8>, status: StatusCode, has_server: bool, has_date: bool) {
        if status == StatusCode::OK && !has_date && !has_server {
            out.extend_from_slice(&self.block);
        } else {
            self.write_unusual(out, status, has_server, has_date);
        }
    }

    /// Writes `server` and `date` into a block, unless the answer has its own.
    #[inline]
    pub(super) fn write_block(&self, block: &mut BlockWriter<'_>, has_server: bool, has_date: bool) {
        let start = if has_server { self.date_literal } else { 0 };
        let end = if has_date { self.date_literal } else { self.literals.len() };
        block.written(&self.literals[start..end]);
    }

    fn write_unusual(&self, out: &mut Vec<u8>, status: StatusCode, has_server: bool, has_date: bool) {
        for part in ["HTTP/1.1 ", status.as_str(), " ", status.canonical_reason().unwrap_or_default(), "\r\n"]
        {
            out.extend_from_slice(part.as_bytes());
        }
        if !has_server {
            out.extend_from_slice(&self.block[self.server..self.date]);
        }
        if !has_date {
            out.extend_from_slice(&self.block[self.date..]);
        }
    }
}
