//! A frame of HTTP/2 as HTML: its head taken apart, its payload as bytes, and the fields that these say.
//!
//! ```text
//!  00 00 26 │ 01 │ 25 │ 00 00 00 0d      length, type, flags, stream: RFC 9113 §4.1
//!  82 86 41 8a …                         the header block: RFC 7541
//!  :method: GET                          what it means
//! ```
//! Invariant: as in `bytes`.

use std::fmt::Write as _;

use super::bytes::escape;

/// What stands in front of a payload, in bytes.
const HEAD_BYTES: usize = 9;
const BYTES_PER_LINE: usize = 16;

/// The flags of a HEADERS frame: RFC 9113 §6.2.
const FLAGS: [(u8, &str); 4] =
    [(0x01, "END_STREAM"), (0x04, "END_HEADERS"), (0x08, "PADDED"), (0x20, "PRIORITY")];

/// A HEADERS frame, byte by byte.
pub(super) fn frame_lines(frame: &[u8]) -> String {
    let mut out = String::with_capacity(frame.len() * 8);
    let Some((head, payload)) = frame.split_first_chunk::<HEAD_BYTES>() else { return out };
    let [l0, l1, l2, _, flags, s0, s1, s2, s3] = *head;
    let length = u32::from_be_bytes([0, l0, l1, l2]);
    let stream = u32::from_be_bytes([s0 & 0x7F, s1, s2, s3]);
    let names: Vec<_> = FLAGS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
    for (at, class, part, says) in [
        (0, "t", &head[..3], format!("length: {length} bytes follow the head")),
        (3, "m", &head[3..4], "type: HEADERS".to_owned()),
        (4, "v", &head[4..5], format!("flags: {}", names.join(", "))),
        (5, "t", &head[5..], format!("stream: {stream}")),
    ] {
        let _ = write!(out, "<li><b>{at}</b><code><span class=\"{class}\">");
        hex(&mut out, part);
        let _ = writeln!(out, "</span> {says}</code></li>");
    }
    for (index, line) in payload.chunks(BYTES_PER_LINE).enumerate() {
        let _ = write!(out, "<li><b>{}</b><code>", HEAD_BYTES + index * BYTES_PER_LINE);
        hex(&mut out, line);
        out.push_str("</code></li>\n");
    }
    out
}

/// Fields, one a line, their names as HTTP/2 writes them.
pub(super) fn field_lines<'f>(fields: impl Iterator<Item = (&'f str, &'f [u8])>) -> String {
    let mut out = String::new();
    for (name, value) in fields {
        out.push_str("<li><b></b><code><span class=\"n\">");
        escape(&mut out, name.to_ascii_lowercase().as_bytes());
        out.push_str("</span>: ");
        escape(&mut out, value);
        out.push_str("</code></li>\n");
    }
    out
}

fn hex(out: &mut String, bytes: &[u8]) {
    for (index, byte) in bytes.iter().enumerate() {
        let space = if index == 0 { "" } else { " " };
        let _ = write!(out, "{space}{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_told_byte_by_byte() {
        let frame = [0, 0, 3, 1, 0x25, 0, 0, 0, 13, 0x82, 0x86, 0x84];
        let lines = frame_lines(&frame);
        for part in [
            "<span class=\"t\">00 00 03</span> length: 3 bytes",
            "flags: END_STREAM, END_HEADERS, PRIORITY",
            "<span class=\"t\">00 00 00 0d</span> stream: 13",
            "<li><b>9</b><code>82 86 84</code></li>",
        ] {
            assert!(lines.contains(part), "{part} is missing in {lines}");
        }
        assert_eq!(frame_lines(&frame[..8]), "");
    }

    #[test]
    fn fields_cannot_become_markup() {
        let lines = field_lines([("X-A", &b"<script>{{css}}"[..])].into_iter());
        assert!(lines.contains("x-a</span>: &lt;script&gt;&#123;&#123;css}}"), "{lines}");
    }
}
