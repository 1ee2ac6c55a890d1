//! THE REQUEST LINE: method, one space, target, one space, version. RFC 9112 §3.

use super::parse::{Ends, Stop, line_end, offset};
use crate::http::{FieldTable, Method, Reason, RequestLine, Span, Version, is_token};
use crate::proto::authority;
use crate::proto::scan;

/// The longest method, in bytes.
const METHOD_BYTES_MAX: usize = 24;

/// Parses the request line at the beginning of `bytes` into `table`: how it ends, and where the next
/// line begins.
#[inline(always)]
pub(super) fn parse(
    bytes: &[u8],
    table: &mut FieldTable,
    refuse_bare_lf: bool,
) -> Result<(Ends, usize), Stop> {
    let (method, method_bytes) = method(bytes)?;
    let start = method_bytes + 1;
    let (end, is_plain_path) = match plain_path(bytes, start) {
        Some(end) => (end, true),
        None => (any_target(bytes, start)?, false),
    };
    let (version, ends, next) = version(bytes, end + 1, refuse_bare_lf)?;
    let target = &bytes[start..end];
    if target[0] != b'/' || method == Method::Connect {
        other_form(method, target).map_err(Stop::Broken)?;
    }
    table.clear();
    table.set_line(RequestLine {
        method,
        version,
        method_span: Span::new(0, offset(method_bytes)),
        target: Span::new(offset(start), offset(end)),
        is_plain_path,
    });
    Ok((ends, next))
}

/// The end of the target at `start`, if it is short and of the kind that normalising cannot change: one
/// segment of letters, digits, `-` and `.` that does not begin with a dot.
#[inline(always)]
fn plain_path(bytes: &[u8], start: usize) -> Option<usize> {
    let window: &[u8; scan::BLOCK + 2] = bytes.get(start..)?.first_chunk()?;
    let [b'/', segment @ .., _] = window else { return None };
    let length = 1 + scan::plain_length(segment);
    (window[length] == b' ' && segment[0] != b'.').then_some(start + length)
}

/// The end of whatever target is at `start`: a space follows it.
#[inline]
fn any_target(bytes: &[u8], start: usize) -> Result<usize, Stop> {
    let end = scan::target_end(bytes, start);
    if end > start && bytes.get(end) == Some(&b' ') { Ok(end) } else { Err(bad_target(bytes, end)) }
}

/// The method and its length. RFC 9110 §9.1.
#[inline]
fn method(bytes: &[u8]) -> Result<(Method, usize), Stop> {
    // Compared as one word; a pattern would be compared byte by byte.
    if bytes.first_chunk::<4>().is_some_and(|start| start == b"GET ") {
        return Ok((Method::Get, 3));
    }
    other_method(bytes)
}

fn other_method(bytes: &[u8]) -> Result<(Method, usize), Stop> {
    let place = bytes.iter().take(METHOD_BYTES_MAX + 1).position(|byte| !is_token(&[*byte]));
    let Some(end) = place else {
        let too_long = bytes.len() > METHOD_BYTES_MAX;
        return Err(if too_long { Stop::Broken(Reason::MethodToken) } else { Stop::Partial });
    };
    match bytes[end] {
        b' ' => Ok((Method::from_name(&bytes[..end]), end)),
        0 => Err(Stop::Broken(Reason::Nul)),
        b'\t' | b'\n' => Err(Stop::Broken(Reason::RequestLine)),
        b'\r' => Err(lonely_cr(bytes, end).unwrap_or(Stop::Broken(Reason::RequestLine))),
        _ => Err(Stop::Broken(Reason::MethodToken)),
    }
}

/// What a CR at `at` means unless LF follows it.
fn lonely_cr(bytes: &[u8], at: usize) -> Option<Stop> {
    match bytes.get(at + 1) {
        Some(b'\n') => None,
        Some(_) => Some(Stop::Broken(Reason::BareCr)),
        None => Some(Stop::Partial),
    }
}

/// Why no space follows the target that ends at `end`.
#[cold]
fn bad_target(bytes: &[u8], end: usize) -> Stop {
    match bytes.get(end) {
        None => Stop::Partial,
        Some(0) => Stop::Broken(Reason::Nul),
        Some(b'\r') => lonely_cr(bytes, end).unwrap_or(Stop::Broken(Reason::RequestLine)),
        // RFC 9112 §3: exactly one space; a line without a version is HTTP/0.9.
        Some(b' ' | b'\t' | b'\n') => Stop::Broken(Reason::RequestLine),
        Some(_) => Stop::Broken(Reason::Target),
    }
}

/// The version at `at`, how its line ends, and where the next begins. RFC 9112 §2.3.
#[inline]
fn version(bytes: &[u8], at: usize, refuse_bare_lf: bool) -> Result<(Version, Ends, usize), Stop> {
    let usual = bytes.get(at..).and_then(<[u8]>::first_chunk::<10>);
    if usual.is_some_and(|usual| usual == b"HTTP/1.1\r\n") {
        return Ok((Version::Http11, Ends::Crlf, at + 10));
    }
    other_version(bytes, at, refuse_bare_lf)
}

fn other_version(bytes: &[u8], at: usize, refuse_bare_lf: bool) -> Result<(Version, Ends, usize), Stop> {
    let end = bytes[at..].iter().position(|byte| matches!(byte, 0..=b' ' | 0x7F)).map(|place| at + place);
    let end = end.ok_or(Stop::Partial)?;
    if matches!(bytes[end], b' ' | b'\t') {
        return Err(Stop::Broken(Reason::RequestLine));
    }
    let version = match &bytes[at..end] {
        b"HTTP/1.0" => Version::Http10,
        // RFC 9110 §2.5: a higher minor version is understood as the highest one that we know.
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9'] => Version::Http11,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            return Err(Stop::Broken(Reason::VersionUnsupported));
        }
        [] if bytes[end] == b'\n' || bytes[end] == b'\r' => return Err(Stop::Broken(Reason::RequestLine)),
        _ if bytes[end] == 0 => return Err(Stop::Broken(Reason::Nul)),
        _ => return Err(Stop::Broken(Reason::VersionSyntax)),
    };
    let ends = if bytes[end] == b'\n' && !refuse_bare_lf { Ends::Lf } else { Ends::Crlf };
    Ok((version, ends, line_end(bytes, end, ends, Reason::VersionSyntax)?))
}

/// Checks a target that is not in origin form, or not allowed to be. RFC 9112 §3.2.2–3.2.4.
fn other_form(method: Method, target: &[u8]) -> Result<(), Reason> {
    let valid = if method == Method::Connect {
        authority::has_port(target) && authority::is_valid(target)
    } else if target == b"*" {
        method == Method::Options
    } else {
        authority::of_absolute(target).is_some_and(|host| !host.is_empty() && authority::is_valid(host))
    };
    if valid { Ok(()) } else { Err(Reason::Target) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Head, Path};

    #[test]
    fn a_plain_path_is_its_own_normal_form() {
        for (target, plain) in [
            ("/", true),
            ("/plaintext", true),
            ("/a.b-c9", true),
            ("/sixteen-bytes-16", true),
            ("/seventeen-bytes-1", false),
            ("/.a", false),
            ("/a/b", false),
            ("/a?b", false),
            ("/%41", false),
            ("*", false),
        ] {
            let line = format!("OPTIONS {target} HTTP/1.1\r\nHost: example.org\r\n\r\n");
            let mut table = FieldTable::new();
            assert!(parse(line.as_bytes(), &mut table, false).is_ok(), "{target}");
            assert_eq!(table.line().is_plain_path, plain, "{target}");
            let (mut one, mut other) = (String::new(), String::new());
            let head = Head::new(line.as_bytes(), &table);
            let whole = Path::of_target(head.method(), head.target_bytes(), &mut one);
            assert_eq!(Path::of_head(&head, &mut other), whole, "{target}");
        }
    }
}
