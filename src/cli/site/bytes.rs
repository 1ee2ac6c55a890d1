//! Bytes of a message as HTML: escaped, one line per line, the parts named, the line ends visible.
//!
//! ```text
//!  GET / HTTP/1.1␍␊     ──►  <li><b>0</b><code><span class="m">GET</span>…
//! ```
//! Everything here came from outside. Invariant: no byte of it reaches the page but printable ASCII,
//! and of that none that means something in HTML or in the page's template.

use std::fmt::Write as _;

/// Appends `bytes` so that they stand on the page as they are; what is not printable as `\xNN`.
pub(super) fn escape(out: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        match byte {
            b'<' => out.push_str("&lt;"),
            b'>' => out.push_str("&gt;"),
            b'&' => out.push_str("&amp;"),
            b'"' => out.push_str("&quot;"),
            b'\'' => out.push_str("&#39;"),
            b'{' => out.push_str("&#123;"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "<span class=\"x\">\\x{byte:02X}</span>");
            }
        }
    }
}

/// `bytes`, escaped.
pub(super) fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 16);
    escape(&mut out, bytes);
    out
}

/// The three parts of a start line: the class and the name of each.
pub(super) type StartLine = [(&'static str, &'static str); 3];

/// RFC 9112 §3
pub(super) const REQUEST_LINE: StartLine = [("m", "method"), ("t", "target"), ("v", "version")];
/// RFC 9112 §4
pub(super) const STATUS_LINE: StartLine = [("v", "version"), ("m", "status"), ("m", "reason")];

/// The lines of a message's head as list items, each with its offset and its line end.
pub(super) fn head_lines(head: &[u8], start: &StartLine) -> String {
    let mut out = String::with_capacity(head.len() * 4);
    let mut offset = 0;
    let mut named_field = false;
    for line in head.split_inclusive(|&byte| byte == b'\n') {
        let (content, end) = split_end(line);
        let first = out.is_empty();
        let _ = match (first, content.is_empty(), named_field) {
            (true, ..) | (_, false, false) => {
                write!(out, "<li class=\"named\"><b>{offset}</b><code>")
            }
            (_, true, _) => write!(out, "<li class=\"ends\"><b>{offset}</b><code>"),
            _ => write!(out, "<li><b>{offset}</b><code>"),
        };
        if first {
            start_line(&mut out, content, start);
        } else if !content.is_empty() {
            field_line(&mut out, content, !named_field);
            named_field = true;
        }
        line_end(&mut out, end);
        out.push_str("</code>");
        if content.is_empty() && !first {
            out.insert_str(out.len() - "</code>".len(), "<em>the empty line: here the head ends</em>");
        }
        out.push_str("</li>\n");
        offset += line.len();
    }
    out
}

/// A line and its end: CR LF, LF alone, or nothing.
fn split_end(line: &[u8]) -> (&[u8], &[u8]) {
    let end = match line {
        [.., b'\r', b'\n'] => 2,
        [.., b'\n'] => 1,
        _ => 0,
    };
    line.split_at(line.len() - end)
}

fn line_end(out: &mut String, end: &[u8]) {
    if !end.is_empty() {
        out.push_str("<span class=\"crlf\">");
        for byte in end {
            out.push_str(if *byte == b'\r' { "<s>CR</s>" } else { "<s>LF</s>" });
        }
        out.push_str("</span>");
    }
}

/// Three parts with one space between them; the last may contain spaces (a reason phrase).
fn start_line(out: &mut String, line: &[u8], start: &StartLine) {
    for (index, (part, (class, name))) in line.splitn(3, |&byte| byte == b' ').zip(start).enumerate() {
        if index > 0 {
            out.push_str("<span class=\"sp\"> </span>");
        }
        let _ = write!(out, "<span class=\"{class}\" data-is=\"{name}\">");
        escape(out, part);
        out.push_str("</span>");
    }
}

fn field_line(out: &mut String, line: &[u8], named: bool) {
    let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
    let (name, rest) = line.split_at(colon);
    out.push_str(if named { "<span class=\"n\" data-is=\"name\">" } else { "<span class=\"n\">" });
    escape(out, name);
    out.push_str("</span>");
    let Some((b':', value)) = rest.split_first() else { return };
    let content = value.trim_ascii_start();
    out.push(':');
    escape(out, &value[..value.len() - content.len()]);
    out.push_str(if named { "<span data-is=\"value\">" } else { "<span>" });
    escape(out, content);
    out.push_str("</span>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_html_is_escaped() {
        assert_eq!(
            escaped(b"<script>alert('\"&\")</script>"),
            "&lt;script&gt;alert(&#39;&quot;&amp;&quot;)&lt;/script&gt;"
        );
        assert_eq!(escaped(b"{{css}}"), "&#123;&#123;css}}", "nor in the template");
    }

    #[test]
    fn what_is_not_printable_ascii_shows_its_number() {
        assert_eq!(
            escaped(b"caf\xE9\t\0"),
            concat!(
                "caf<span class=\"x\">\\xE9</span>",
                "<span class=\"x\">\\x09</span><span class=\"x\">\\x00</span>"
            )
        );
    }

    #[test]
    fn a_script_in_any_part_of_a_head_stays_text() {
        let head = b"GET /<script> HTTP/1.1\r\nX<script>: <script>\r\n<script>\r\n\r\n";
        let lines = head_lines(head, &REQUEST_LINE);
        assert!(!lines.contains("<script"), "{lines}");
        assert_eq!(lines.matches("&lt;script&gt;").count(), 4);
    }

    #[test]
    fn each_line_has_its_offset_and_its_end() {
        let lines = head_lines(b"GET / HTTP/1.1\r\nHost: a\r\nB: c\n\r\n", &REQUEST_LINE);
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(
            lines[0].contains("<b>0</b>") && lines[0].contains(r#"<span class="m" data-is="method">GET<"#)
        );
        assert!(lines[1].contains("<b>16</b>") && lines[1].contains(r#"data-is="name">Host</span>: "#));
        assert!(lines[1].contains("<s>CR</s><s>LF</s>"));
        assert!(lines[2].contains("<b>25</b>") && !lines[2].contains("data-is"), "named once");
        assert!(lines[2].contains("<s>LF</s>") && !lines[2].contains("<s>CR</s>"));
        assert!(lines[3].contains("class=\"ends\"") && lines[3].contains("the empty line"));
    }

    #[test]
    fn a_status_line_has_parts_too() {
        let lines = head_lines(b"HTTP/1.1 404 Not Found\r\n\r\n", &STATUS_LINE);
        assert!(lines.contains(r#"<span class="m" data-is="reason">Not Found</span>"#), "{lines}");
    }
}
