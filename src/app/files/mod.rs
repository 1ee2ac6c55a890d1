//! [`StaticDir`]: the files of a directory. RFC 9110 §8.8.2, §13.1.3, §15.4.9.
//!
//! ```text
//!  /a/b.css ─► no hidden or impossible segment ─► resolve links ─► still below the root? ─► file | directory
//!                        404                          404               404
//! ```
//! Nothing outside the root is ever opened: the root is resolved once, the path of each request is resolved
//! with all its links, and must lie below. Reads the file system on the caller's thread.

#[cfg_attr(not(test), expect(dead_code, reason = "wired into the handler by the next commit"))]
mod coding;
mod compress;
#[cfg_attr(not(test), expect(dead_code, reason = "wired into the handler by the next commit"))]
mod compressions;
#[cfg_attr(not(test), expect(dead_code, reason = "wired into the handler by the next commit"))]
mod media;
#[cfg_attr(not(test), expect(dead_code, reason = "wired into the handler by the next commit"))]
mod variants;

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use ::http::{HeaderValue, StatusCode, header};

use super::handler::{Handler, Outcome};
use super::request::Request;
use crate::http::{Body, DateLine, Known, Method, Reason, Response, parse_date};

/// A file up to this size is read at once, a larger one while it is sent; in bytes.
const READ_BYTES_MAX: u64 = 64 * 1024;
const INDEX: &str = "index.html";
/// The one hidden name that is served: RFC 8615.
const WELL_KNOWN: &str = ".well-known";

/// Serves the files of a directory: the parameter `path` of its route, or else the whole path.
///
/// A directory is answered with its `index.html`; without its trailing slash, with a redirect. Names that
/// begin with a dot are hidden, except `.well-known`. Links are followed as long as they stay inside.
///
/// ```no_run
/// use kolk::{App, StaticDir};
///
/// let app = App::new().get("/assets/{*path}", StaticDir::new("public"));
/// ```
#[derive(Debug)]
pub struct StaticDir {
    root: PathBuf,
}

impl StaticDir {
    /// The files of the directory `root`.
    ///
    /// # Panics
    /// If there is no such directory; [`StaticDir::open`] does not.
    #[track_caller]
    pub fn new(root: impl AsRef<Path>) -> Self {
        let root = root.as_ref();
        Self::open(root).unwrap_or_else(|error| panic!("cannot serve {}: {error}", root.display()))
    }

    /// The files of the directory `root`.
    ///
    /// # Errors
    /// If there is no such directory.
    pub fn open(root: impl AsRef<Path>) -> io::Result<Self> {
        let root = fs::canonicalize(root)?;
        if !fs::metadata(&root)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { root })
    }

    /// The place in the file system that `path`, without a slash before it, names below the root. Links are
    /// resolved.
    fn resolve(&self, path: &str) -> io::Result<PathBuf> {
        let mut place = self.root.clone();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            place.push(file_name(segment).ok_or(io::ErrorKind::NotFound)?);
        }
        // Whatever hinders (a loop, a directory that is closed to us) may lie outside: say no more than this.
        let place = fs::canonicalize(place).map_err(|_| io::ErrorKind::NotFound)?;
        let below = place.strip_prefix(&self.root).map_err(|_| io::ErrorKind::NotFound)?;
        // A link may lead to what is hidden.
        if below.components().any(|part| part.as_os_str().to_str().is_none_or(is_hidden)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(place)
    }

    fn answer(&self, path: &str, request: &Request<'_>, response: &mut Response) -> io::Result<()> {
        let mut place = self.resolve(path)?;
        // Asked before opening: a pipe would block.
        let mut metadata = fs::metadata(&place)?;
        let wants_directory = path.is_empty() || path.ends_with('/');
        if metadata.is_dir() {
            if !wants_directory {
                return redirect_to_directory(request, response);
            }
            place = self.resolve(&format!("{path}{INDEX}"))?;
            metadata = fs::metadata(&place)?;
        } else if wants_directory {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let file = File::open(&place)?;
        let metadata = file.metadata()?;
        if is_unchanged(request, &metadata, response) {
            response.set_status(StatusCode::NOT_MODIFIED);
            return Ok(());
        }
        response.set_content_type(media::type_of(&place.to_string_lossy()));
        response.set_body(body_of(file, metadata.len())?);
        Ok(())
    }
}

impl Handler for StaticDir {
    fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
        if !matches!(request.head().method(), Method::Get | Method::Head) {
            response.refuse(Reason::MethodNotAllowed);
            response.append(&header::ALLOW, &HeaderValue::from_static("GET, HEAD"));
            return Outcome::Ready;
        }
        let path = request.param("path").unwrap_or_else(|| request.path().trim_start_matches('/'));
        if let Err(error) = self.answer(path, request, response) {
            response.reset();
            match error.kind() {
                io::ErrorKind::PermissionDenied => response.set_status(StatusCode::FORBIDDEN),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => response.refuse(Reason::NotFound),
                _ => {
                    log::error!("cannot read {path:?} below {}: {error}", self.root.display());
                    response.set_status(StatusCode::INTERNAL_SERVER_ERROR);
                }
            }
        }
        Outcome::Ready
    }
}

/// The name in the file system that a segment of a normalised path stands for; `None` if it has none, or is
/// hidden.
fn file_name(segment: &str) -> Option<String> {
    // The normalised path keeps two escapes: that of the slash, which no name contains, and that of `%`.
    if segment.contains("%2F") || segment.contains(['/', '\\', '\0']) || is_hidden(segment) {
        return None;
    }
    Some(segment.replace("%25", "%"))
}

/// Also `.` and `..`, which a normalised path does not contain.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.') && name != WELL_KNOWN
}

/// Adds `Last-Modified`; whether the client has this version already. RFC 9110 §13.1.3.
fn is_unchanged(request: &Request<'_>, metadata: &Metadata, response: &mut Response) -> bool {
    let modified = metadata.modified().ok().and_then(|moment| moment.duration_since(UNIX_EPOCH).ok());
    let Some(second) = modified.map(|since| since.as_secs()) else { return false };
    if let Ok(value) = HeaderValue::from_str(DateLine::new(second).value()) {
        response.append(&header::LAST_MODIFIED, &value);
    }
    let head = request.head();
    head.known(Known::IfNoneMatch).is_none()
        && head.known(Known::IfModifiedSince).and_then(parse_date).is_some_and(|since| second <= since)
}

fn body_of(file: File, length: u64) -> io::Result<Body> {
    if length > READ_BYTES_MAX {
        return Ok(Body::File { file: Arc::new(file), offset: 0, length });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(READ_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

/// From the normalised path, which never begins with `//`: the answer cannot lead to another host.
fn redirect_to_directory(request: &Request<'_>, response: &mut Response) -> io::Result<()> {
    let mut location = String::with_capacity(request.target().len() + 1);
    for byte in request.path().bytes() {
        // What may stand in a path (RFC 3986 §3.3), and the escapes that were kept.
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte) {
            location.push(char::from(byte));
        } else {
            location.push('%');
            for digit in [byte >> 4, byte & 15] {
                location.extend(char::from_digit(digit.into(), 16).map(|digit| digit.to_ascii_uppercase()));
            }
        }
    }
    location.push('/');
    if let Some(query) = request.query() {
        location.push('?');
        location.push_str(query);
    }
    let location = HeaderValue::from_str(&location).map_err(io::Error::other)?;
    response.set_status(StatusCode::PERMANENT_REDIRECT);
    response.append(&header::LOCATION, &location);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process;
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::app::App;

    /// A directory that is removed with the test, and a secret beside it.
    struct Site {
        outer: PathBuf,
    }

    impl Site {
        fn new(name: &str) -> Self {
            let outer = std::env::temp_dir().join(format!("kolk-files-{}-{name}", process::id()));
            let public = outer.join("public");
            for directory in ["sub", "empty", ".git", ".well-known", "a b"] {
                fs::create_dir_all(public.join(directory)).unwrap();
            }
            for (path, content) in [
                ("public/index.html", "<p>root"),
                ("public/a.txt", "a"),
                ("public/100%.txt", "percent"),
                ("public/\u{e9}.txt", "accent"),
                ("public/a b/index.html", "space"),
                ("public/sub/index.html", "<p>sub"),
                ("public/sub/code.JS", "1"),
                ("public/.htpasswd", "SECRET"),
                ("public/.git/config", "SECRET"),
                ("public/.well-known/security.txt", "well known"),
                ("secret.txt", "SECRET"),
            ] {
                fs::write(outer.join(path), content).unwrap();
            }
            for (target, link) in [
                ("../secret.txt", "public/out.txt"),
                ("..", "public/up"),
                ("/etc", "public/etc"),
                ("a.txt", "public/in.txt"),
                ("sub", "public/in"),
                (".git", "public/git"),
                ("loop", "public/loop"),
                ("nowhere", "public/dangling"),
                ("../../secret.txt", "public/empty/index.html"),
            ] {
                symlink(target, outer.join(link)).unwrap();
            }
            Self { outer }
        }

        fn app(&self) -> App {
            App::new().get("/{*path}", StaticDir::new(self.outer.join("public")))
        }
    }

    impl Drop for Site {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.outer).unwrap();
        }
    }

    fn get(app: &App, target: &str) -> ::http::Response<Bytes> {
        app.oneshot(::http::Request::get(target).body("").unwrap())
    }

    fn location(app: &App, target: &str) -> String {
        let answer = get(app, target);
        assert_eq!(answer.status(), 308, "{target}");
        answer.headers()["location"].to_str().unwrap().to_owned()
    }

    #[test]
    fn files_are_served_with_their_types() {
        let site = Site::new("types");
        let app = site.app();
        for (target, body, media_type) in [
            ("/", "<p>root", "text/html; charset=utf-8"),
            ("/index.html", "<p>root", "text/html; charset=utf-8"),
            ("/a.txt", "a", "text/plain; charset=utf-8"),
            ("/sub/../%61.txt?x=1", "a", "text/plain; charset=utf-8"),
            ("/in.txt", "a", "text/plain; charset=utf-8"),
            ("/100%25.txt", "percent", "text/plain; charset=utf-8"),
            ("/%C3%A9.txt", "accent", "text/plain; charset=utf-8"),
            ("/sub/", "<p>sub", "text/html; charset=utf-8"),
            ("/in/", "<p>sub", "text/html; charset=utf-8"),
            ("/a%20b/", "space", "text/html; charset=utf-8"),
            ("/sub/code.JS", "1", "text/javascript; charset=utf-8"),
            ("/.well-known/security.txt", "well known", "text/plain; charset=utf-8"),
        ] {
            let answer = get(&app, target);
            assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, body.as_bytes()), "{target}");
            assert_eq!(answer.headers()["content-type"], media_type, "{target}");
        }
        let head = app.oneshot(::http::Request::head("/a.txt").body("").unwrap());
        assert_eq!((&head.headers()["content-length"], head.body().len()), (&"1".parse().unwrap(), 0));
    }

    #[test]
    fn nothing_outside_and_nothing_hidden_is_served() {
        let site = Site::new("outside");
        let app = site.app();
        for target in [
            "/out.txt",
            "/up/secret.txt",
            "/etc/hostname",
            "/etc/passwd",
            "/empty/",
            "/.htpasswd",
            "/.git/config",
            "/%2egit/config",
            "/git/config",
            "/dangling",
            "/loop",
            "/..%2fsecret.txt",
            "/..%2Fsecret.txt",
            "/sub/..%2f..%2fsecret.txt",
            "/..%252fsecret.txt",
            "/%252e%252e/secret.txt",
            "/sub%2Findex.html",
            "/a.txt/",
            "/a.txt/b",
            "/.../secret.txt",
            "/nothing",
        ] {
            let answer = get(&app, target);
            assert_eq!(answer.status(), 404, "{target}");
            assert!(!String::from_utf8_lossy(answer.body()).contains("SECRET"), "{target}");
        }
        for target in
            ["/../secret.txt", "/%2e%2e/secret.txt", "/a.txt%00", "/..%5csecret.txt", "/sub/../../secret.txt"]
        {
            assert_eq!(get(&app, target).status(), 400, "{target}");
        }
        assert_eq!(get(&app, &format!("/{}", "x".repeat(5_000))).status(), 404);
    }

    #[test]
    fn what_the_path_parameter_says_is_checked_again() {
        let site = Site::new("again");
        let files = StaticDir::new(site.outer.join("public"));
        for path in
            ["../secret.txt", "sub/../../secret.txt", "..", ".", "./a.txt", "/../secret.txt", "a\0b", "a\\b"]
        {
            assert_eq!(files.resolve(path).unwrap_err().kind(), io::ErrorKind::NotFound, "{path:?}");
        }
        assert!(files.resolve("a.txt").is_ok());
    }

    #[test]
    fn a_directory_without_its_slash_is_a_redirect_on_this_host() {
        let site = Site::new("redirect");
        let app = App::new().get("/m/{*path}", StaticDir::new(site.outer.join("public"))).merge(site.app());
        assert_eq!(location(&app, "/sub"), "/sub/");
        assert_eq!(location(&app, "/sub?a=b%20c"), "/sub/?a=b%20c");
        assert_eq!(location(&app, "//sub"), "/sub/");
        assert_eq!(location(&app, "/m/sub"), "/m/sub/");
        assert_eq!(location(&app, "/a%20b"), "/a%20b/");
        assert_eq!(get(&app, "/m/").body(), "<p>root");
    }

    #[test]
    fn rfc_9110_13_1_3_an_unchanged_file_is_not_sent_again() {
        let site = Site::new("unchanged");
        let app = site.app();
        let modified = UNIX_EPOCH + Duration::new(784_111_777, 500_000_000);
        File::options()
            .write(true)
            .open(site.outer.join("public/a.txt"))
            .unwrap()
            .set_modified(modified)
            .unwrap();
        assert_eq!(get(&app, "/a.txt").headers()["last-modified"], "Sun, 06 Nov 1994 08:49:37 GMT");
        for (since, etag, status) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", None, 304),
            ("Sun, 06 Nov 1994 08:49:38 GMT", None, 304),
            ("Sun, 06 Nov 1994 08:49:36 GMT", None, 200),
            ("yesterday", None, 200),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some("\"x\""), 200),
        ] {
            let mut request = ::http::Request::get("/a.txt").header("if-modified-since", since);
            if let Some(etag) = etag {
                request = request.header("if-none-match", etag);
            }
            let answer = app.oneshot(request.body("").unwrap());
            assert_eq!(answer.status(), status, "{since} {etag:?}");
            assert_eq!(answer.body().is_empty(), status == 304);
            assert!(answer.headers().contains_key("last-modified"));
        }
    }

    #[test]
    fn small_files_are_read_and_large_ones_are_left_to_the_sender() {
        let site = Site::new("large");
        for (length, is_file) in [(0, false), (READ_BYTES_MAX, false), (READ_BYTES_MAX + 1, true)] {
            let path = site.outer.join("public/x.bin");
            let content = vec![b'x'; usize::try_from(length).unwrap()];
            fs::write(&path, &content).unwrap();
            let body = body_of(File::open(&path).unwrap(), length).unwrap();
            assert_eq!(matches!(body, Body::File { .. }), is_file, "{length}");
            assert_eq!(body.length(0), Some(length));
            assert_eq!(get(&site.app(), "/x.bin").body(), &content);
        }
    }

    #[test]
    fn other_methods_and_other_places() {
        let site = Site::new("other");
        let app = App::new().any("/{*path}", StaticDir::new(site.outer.join("public")));
        let answer = app.oneshot(::http::Request::delete("/a.txt").body("").unwrap());
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["allow"]),
            (405, &"GET, HEAD".parse().unwrap())
        );
        let app = App::new().fallback(StaticDir::new(site.outer.join("public")));
        assert_eq!(get(&app, "/a.txt").body(), "a");
        let app = App::new().get("/a.txt", StaticDir::new(site.outer.join("public")));
        assert_eq!(get(&app, "/a.txt").body(), "a");
        assert!(StaticDir::open(site.outer.join("secret.txt")).is_err());
        assert!(StaticDir::open(site.outer.join("nothing")).is_err());
    }
}
