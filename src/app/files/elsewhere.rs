//! What is found at another path: the client is sent there. RFC 9110 §15.4.9. Knows no files.

use std::io;

use ::http::{HeaderValue, StatusCode, header};

use crate::app::request::Request;
use crate::http::{Path, Response};

/// Sends the client to the same path without its last `by` bytes and with `end` behind it.
pub(super) fn redirect(
    request: &Request<'_>,
    by: usize,
    end: &str,
    response: &mut Response,
) -> io::Result<()> {
    let path = request.path();
    let mut path = &path[..path.len().saturating_sub(by)];
    let mut location = String::with_capacity(request.target().len() + 2);
    if is_rewritten(request) {
        // Only the last segment is known to be the client's, too: a reference to its neighbour.
        location.push('.');
        path = &path[path.rfind('/').unwrap_or(0)..];
    }
    Path::normalised(path).escape_into(&mut location);
    location.push_str(end);
    if let Some(query) = request.query() {
        location.push('?');
        location.push_str(query);
    }
    let location = HeaderValue::from_str(&location).map_err(io::Error::other)?;
    response.set_status(StatusCode::PERMANENT_REDIRECT);
    response.append(&header::LOCATION, &location);
    Ok(())
}

/// Whether the path is not the one that the client has sent.
fn is_rewritten(request: &Request<'_>) -> bool {
    let (head, mut scratch) = (request.head(), String::new());
    let sent = Path::of_target(head.method(), head.target_bytes(), &mut scratch);
    sent.is_ok_and(|sent| sent.as_bytes() != request.path_bytes())
}
