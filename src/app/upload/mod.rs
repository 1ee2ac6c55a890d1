//! [`Upload`]: files that clients put into a folder. RFC 9110 §9.3.4; RFC 7578.
//!
//! ```text
//!  PUT /sub/name ──────────────► one file    ─┐ temporary file in the same folder,   201, 204
//!  POST /sub/ multipart/… ─────► each `file` ─┘ renamed when it is complete          303
//!             loop's thread: bytes ─► Feed      the writer's thread: files
//! ```
//! A file appears complete or not at all; whatever fails or is left removes what was begun. Opens only
//! folders that are there, below the root, and makes only names that everybody can see.
//!
//! | file | what it is |
//! | --- | --- |
//! | `name` | what a file may be called |
//! | `multipart` | a form's body, taken apart while it arrives |
//! | `writer` | the thread that writes, and the way to it |

mod multipart;
mod name;
mod writer;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use ::http::{HeaderValue, StatusCode, header};

use self::multipart::{Malformed, Multipart, Piece};
use self::name::{Name, folder_of};
use self::writer::{Condition, Desk, Ending, Feed};
use super::handler::{BodyRule, Handler, Outcome, Rule, Sink, Take};
use super::request::Request;
use crate::http::{self, Known, Method, Reason, Response};
use crate::sys::beneath::{Folder, Links};

/// The largest body, unless it is told otherwise, in bytes.
const BYTES_MAX: u64 = 1 << 30;
/// Files in one form.
const FILES_MAX: usize = 100;
/// The form's field whose values are files.
const FIELD: &str = "file";

/// Stores what clients send in a folder: the parameter `path` of its route, or else the whole path, names the
/// file (PUT) or the folder (POST of a form whose field `file` has the files).
///
/// The folder must be there. Files of the same name are replaced, in one step; `If-None-Match: *` and
/// `If-Match: *` are honoured. Names that begin with a dot are refused. Forms that pages of other sites send
/// are refused, too: a browser would send them with the user's password.
///
/// ```no_run
/// use kolk::{App, BasicAuth, StaticDir, Upload};
///
/// let auth = BasicAuth::new("inbox").user("ada", "$2b$12$…")?;
/// let app = App::new()
///     .get("/{*path}", StaticDir::new("inbox"))
///     .any("/{*path}", auth.guard(Upload::open("inbox")?.bytes_max(10 << 20)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Clones share the thread that writes.
#[derive(Clone)]
pub struct Upload {
    office: Arc<Office>,
    bytes_max: u64,
}

/// The way to the writer, which ends with it.
struct Office {
    desk: Desk,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Upload {
    /// Stores below the folder `root`; symbolic links to folders are followed as long as they stay inside.
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// If there is no such folder, or no thread.
    pub fn open(root: impl AsRef<Path>) -> io::Result<Self> {
        let root = Folder::open(root.as_ref())?;
        let is_visible = |name: &[u8]| !name.starts_with(b".");
        Self::into_folders(move |folder| root.open_below(folder.as_bytes(), Links::Inside, is_visible))
    }

    /// Stores in the folders that `open` opens: it is given names parted by `/`, none of which is hidden, and
    /// an empty text for the root. It is called on the thread that writes.
    ///
    /// # Errors
    /// If there is no thread.
    pub fn into_folders(open: impl Fn(&str) -> io::Result<File> + Send + 'static) -> io::Result<Self> {
        let (desk, writer) = Desk::new(Box::new(open));
        let writer = thread::Builder::new().name("kolk-uploads".to_owned()).spawn(move || writer.run())?;
        let office = Office { desk, writer: Mutex::new(Some(writer)) };
        Ok(Self { office: Arc::new(office), bytes_max: BYTES_MAX })
    }

    /// The largest request body, in bytes; a larger one is answered with 413. Default: 1 GiB.
    #[must_use]
    pub const fn bytes_max(mut self, bytes: u64) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// One file.
    fn put(&self, path: &str, request: &Request<'_>) -> Result<Outcome, Response> {
        // RFC 9110 §14.5: a part of a file would take the place of the whole.
        if request.header_bytes("content-range").is_some() {
            return Err((StatusCode::BAD_REQUEST, "a file is stored whole\n").into());
        }
        if request.header_bytes("content-encoding").is_some() {
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "a file is stored as it is, uncoded\n").into());
        }
        let condition = condition_of(request)?;
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let (Some(folder), Some(name)) = (folder_of(folder), Name::of_segment(name)) else {
            return Err(refused_name());
        };
        let ending = Ending::Put { location: location(request.path(), ""), condition };
        let feed = self.begin(folder, request)?;
        feed.file(name);
        Ok(Outcome::Receive(Box::new(Whole { feed, ending })))
    }

    /// The files of a form.
    fn post(&self, path: &str, request: &Request<'_>) -> Result<Outcome, Response> {
        let Some(body) = request.header(header::CONTENT_TYPE).and_then(Multipart::of_type) else {
            let advice = "send multipart/form-data with files in its field \"file\", or PUT one file\n";
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, advice).into());
        };
        if is_from_elsewhere(request) {
            return Err((StatusCode::FORBIDDEN, "this form is on a page of another site\n").into());
        }
        let folder = folder_of(path).ok_or_else(refused_name)?;
        let end = if request.path().ends_with('/') { "" } else { "/" };
        let ending = Ending::Form { location: location(request.path(), end) };
        let feed = self.begin(folder, request)?;
        Ok(Outcome::Receive(Box::new(Form { feed, ending, body, is_file: false, files: 0 })))
    }

    fn begin(&self, folder: String, request: &Request<'_>) -> Result<Feed, Response> {
        self.office.desk.begin(folder, request.wakeup()).ok_or_else(|| {
            Response::refusal(Reason::PoolFull)
                .with_header(header::RETRY_AFTER, HeaderValue::from_static("5"))
        })
    }
}

impl Handler for Upload {
    fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
        let path = request.param("path").unwrap_or_else(|| request.path().trim_start_matches('/'));
        let begun = match request.head().method() {
            Method::Put => self.put(path, request),
            Method::Post => self.post(path, request),
            _ => Err(Response::refusal(Reason::MethodNotAllowed)
                .with_header(header::ALLOW, HeaderValue::from_static("PUT, POST"))),
        };
        begun.unwrap_or_else(|refusal| {
            response.replace(refusal);
            Outcome::Ready
        })
    }

    fn rule(&self) -> Rule {
        Rule { body: BodyRule::Stream, body_bytes_max: Some(self.bytes_max), ..Rule::default() }
    }
}

impl Drop for Office {
    /// Lets the writer remove what is unfinished.
    fn drop(&mut self) {
        self.desk.stop();
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // A writer that panicked has said so.
        let _ended = writer.map(JoinHandle::join);
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

/// The body is the file.
struct Whole {
    feed: Feed,
    ending: Ending,
}

impl Sink for Whole {
    fn chunk(&mut self, bytes: &[u8]) -> Take {
        self.feed.write(bytes);
        self.feed.take()
    }

    fn end(self: Box<Self>, request: &Request<'_>, _: &mut Response) -> Outcome {
        let (reply, outcome) = request.defer();
        self.feed.finish(reply, self.ending);
        outcome
    }
}

/// The body is a form.
struct Form {
    feed: Feed,
    ending: Ending,
    body: Multipart,
    /// The part that arrives is a file.
    is_file: bool,
    files: usize,
}

impl Form {
    fn pass_on(&mut self) -> Result<(), Response> {
        while let Some(piece) = self.body.next().map_err(malformed)? {
            match piece {
                Piece::Data(bytes) if self.is_file => self.feed.write(bytes),
                Piece::Data(_) => {}
                Piece::Head(part) => {
                    // A form in which no file was chosen sends one without a name.
                    let filename = part.filename.filter(|name| part.name == FIELD && !name.is_empty());
                    self.is_file = filename.is_some();
                    if let Some(name) = filename {
                        self.files += 1;
                        if self.files > FILES_MAX {
                            return Err((StatusCode::BAD_REQUEST, "too many files in one form\n").into());
                        }
                        self.feed.file(Name::new(&name).ok_or_else(refused_name)?);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Sink for Form {
    fn chunk(&mut self, bytes: &[u8]) -> Take {
        self.body.feed(bytes);
        match self.pass_on() {
            Ok(()) => self.feed.take(),
            Err(refusal) => Take::Answer(Box::new(refusal)),
        }
    }

    fn end(self: Box<Self>, request: &Request<'_>, response: &mut Response) -> Outcome {
        let refusal = match self.body.end() {
            Err(error) => malformed(error),
            Ok(()) if self.files == 0 => {
                (StatusCode::BAD_REQUEST, "the form has no file in its field \"file\"\n").into()
            }
            Ok(()) => {
                let (reply, outcome) = request.defer();
                self.feed.finish(reply, self.ending);
                return outcome;
            }
        };
        response.replace(refusal);
        Outcome::Ready
    }
}

fn malformed(error: Malformed) -> Response {
    (StatusCode::BAD_REQUEST, format!("this is no form: {}\n", error.0)).into()
}

fn refused_name() -> Response {
    let rule = "a name is not empty, not hidden, and has no separators and no control characters\n";
    (StatusCode::BAD_REQUEST, rule).into()
}

/// What storing depends on. RFC 9110 §13.1: a condition that cannot be judged is not met.
fn condition_of(request: &Request<'_>) -> Result<Condition, Response> {
    let head = request.head();
    let unknown = [Known::IfModifiedSince, Known::IfUnmodifiedSince];
    match (head.known(Known::IfMatch), head.known(Known::IfNoneMatch)) {
        (None, None) if unknown.iter().all(|field| head.known(*field).is_none()) => Ok(Condition::Always),
        (None, Some(b"*")) => Ok(Condition::IfAbsent),
        (Some(b"*"), None) => Ok(Condition::IfPresent),
        _ => Err(Response::refusal(Reason::Precondition)),
    }
}

/// Whether a browser says that the form is on a page of another site: RFC 6454 §7, and
/// <https://www.w3.org/TR/fetch-metadata/>.
fn is_from_elsewhere(request: &Request<'_>) -> bool {
    match (request.header_bytes("sec-fetch-site"), request.head().known(Known::Origin)) {
        (Some(site), _) => !matches!(site, b"same-origin" | b"none"),
        (None, Some(origin)) => {
            let origin = std::str::from_utf8(origin).unwrap_or_default();
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_none() || host != request.authority()
        }
        // No browser, or one that is very old.
        (None, None) => false,
    }
}

/// A normalised path as a `Location`, with `end` behind it.
fn location(path: &str, end: &str) -> HeaderValue {
    let mut location = String::with_capacity(path.len() + end.len());
    http::Path::normalised(path).escape_into(&mut location);
    location.push_str(end);
    HeaderValue::try_from(location).unwrap_or_else(|_| HeaderValue::from_static("/"))
}

#[cfg(test)]
mod tests;
