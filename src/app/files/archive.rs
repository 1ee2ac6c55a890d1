//! [`Archives`]: a folder as `tar.gz`, made while it is sent, by a thread that may block.
//!
//! ```text
//!  File (the folder) ─► walk ─► tar ─► gzip ─► channel (256 KiB) ─► client
//!                        │ one name below an open folder at a time       a slow one makes the walk wait
//!                        └ left out: hidden names, links, special files, what we may not read
//! ```
//! What cannot be told whole (a file changed its length, too much, too deep) cuts the connection: nobody
//! takes half an archive for a whole one. Knows no root and no path: the caller opens the folder.
//! RFC 1952, RFC 6266 §4, RFC 8187 §3.2.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::http::{HeaderValue, StatusCode, header};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::tar::Tar;
use super::tree::is_hidden;
use crate::app::channel::{BodyWriter, channel};
use crate::app::handler::Outcome;
use crate::app::reply::Presence;
use crate::app::request::Request;
use crate::http::{Method, Reason, Response};
use crate::sys::folder::{self, Contents, Entry, Kind};

/// How many archives are made at once: each holds a thread of the pool, which has 32 by default, for as long
/// as its client takes.
const ARCHIVES_MAX: usize = 4;
/// When a client that came too late should ask again, in seconds.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("10");
/// Names in one archive, those that are left out among them. The names of a folder are in memory while it is
/// walked: about 150 bytes each.
const ENTRIES_MAX: usize = 100_000;
/// Folders inside of folders; each holds a descriptor.
const DEPTH_MAX: usize = 64;
/// What waits for the client, in bytes.
const CHANNEL_BYTES_MAX: usize = 256 * 1024;
/// What is handed over at once, in bytes.
const PIECE_BYTES: usize = 32 * 1024;
/// An archive is made for one client and thrown away: speed counts more than the last percent.
const LEVEL: Compression = Compression::new(3);

/// The archives that are being made.
#[derive(Debug, Default)]
pub(super) struct Archives {
    running: Arc<AtomicUsize>,
}

impl Archives {
    /// Answers with an archive of the folder that `open` opens, or with what it answers instead; `name` is
    /// that of the folder, for the file and for the first part of all paths in it.
    ///
    /// `open` is called on a thread that may block. When too many archives are under way the answer is 503
    /// with `Retry-After`.
    pub(super) fn answer(
        &self,
        request: &Request<'_>,
        name: &str,
        open: impl FnOnce() -> Result<File, Response> + Send + 'static,
        response: &mut Response,
    ) -> Outcome {
        let Some(place) = Place::take(&self.running) else {
            response.replace((StatusCode::SERVICE_UNAVAILABLE, "too many archives are being made\n").into());
            response.append(&header::RETRY_AFTER, &RETRY_SECONDS);
            return Outcome::Ready;
        };
        let Ok(seat) = request.pool().reserve() else {
            response.refuse(Reason::PoolFull);
            response.append(&header::RETRY_AFTER, &RETRY_SECONDS);
            return Outcome::Ready;
        };
        let is_head = request.head().method() == Method::Head;
        let name = if name.is_empty() { "files" } else { name }.to_owned();
        let (body, answer) = channel(request, CHANNEL_BYTES_MAX);
        let answer = with_name(answer, &name);
        let mut unfinished = Unfinished { body: Some(body) };
        let (reply, outcome) = request.defer();
        seat.submit(Box::new(move || {
            let _place = place;
            if reply.client() == Presence::Gone {
                return;
            }
            let folder = match open() {
                Ok(folder) => folder,
                Err(refusal) => return reply.send(refusal),
            };
            reply.send(answer);
            if !is_head {
                unfinished.make(folder, &name);
            }
        }));
        outcome
    }
}

/// One of the archives that may be made at once.
struct Place {
    running: Arc<AtomicUsize>,
}

impl Place {
    fn take(running: &Arc<AtomicUsize>) -> Option<Self> {
        let one_more = |taken| (taken < ARCHIVES_MAX).then_some(taken + 1);
        running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Self { running: Arc::clone(running) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An archive that does not look whole until it is.
struct Unfinished {
    body: Option<BodyWriter>,
}

impl Unfinished {
    fn make(&mut self, folder: File, name: &str) {
        let Some(body) = &mut self.body else { return };
        let mut gzip = Gzip { encoder: GzEncoder::new(Vec::new(), LEVEL), body };
        match write_folder(&folder, name.as_bytes(), &mut gzip).and_then(|()| gzip.finish()) {
            Ok(()) => drop(self.body.take()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => log::warn!("the archive of {name:?} was given up: {error}"),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            body.abort();
        }
    }
}

/// Compresses, and hands over what has become a piece.
struct Gzip<'b> {
    encoder: GzEncoder<Vec<u8>>,
    body: &'b mut BodyWriter,
}

impl Gzip<'_> {
    fn finish(self) -> io::Result<()> {
        let rest = self.encoder.finish()?;
        hand_over(self.body, rest)
    }
}

impl Write for Gzip<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.encoder.write(bytes)?;
        let ready = self.encoder.get_mut();
        if ready.len() >= PIECE_BYTES {
            hand_over(self.body, std::mem::take(ready))?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hand_over(body: &mut BodyWriter, piece: Vec<u8>) -> io::Result<()> {
    body.write_blocking(piece.into()).map_err(|gone| io::Error::new(io::ErrorKind::BrokenPipe, gone))
}

/// Writes `folder` and all that is below it as an archive in which every path begins with `name`.
fn write_folder(folder: &File, name: &[u8], out: &mut impl Write) -> io::Result<()> {
    let mut walk = Walk { tar: Tar::new(out), path: Vec::new(), entries_left: ENTRIES_MAX };
    if let Err(error) = walk.enter(folder, name, 1) {
        return Err(io::Error::new(error.kind(), format!("{:?}: {error}", OsStr::from_bytes(&walk.path))));
    }
    walk.tar.finish()?;
    Ok(())
}

struct Walk<W> {
    tar: Tar<W>,
    /// Where the walk is; of a folder with a slash at its end.
    path: Vec<u8>,
    entries_left: usize,
}

impl<W: Write> Walk<W> {
    /// Adds the folder `name`, which is open, and what is in it.
    fn enter(&mut self, folder: &File, name: &[u8], depth: usize) -> io::Result<()> {
        let outer_bytes = self.path.len();
        self.path.extend_from_slice(name);
        self.path.push(b'/');
        if depth > DEPTH_MAX {
            return Err(io::Error::other(format!("more than {DEPTH_MAX} folders deep")));
        }
        self.tar.folder(&self.path, folder.metadata()?.mtime())?;
        let contents = match folder::read(folder, self.entries_left) {
            // It may be read, but not searched: nothing in it can be opened.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Contents::default(),
            contents => contents?,
        };
        if contents.is_cut {
            return Err(io::Error::other(format!("more than {ENTRIES_MAX} entries")));
        }
        let mut entries = contents.entries;
        self.entries_left -= entries.len();
        entries.retain(|entry| !is_hidden(entry.name.as_bytes()));
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        for entry in &entries {
            self.add(folder, entry, depth)?;
        }
        self.path.truncate(outer_bytes);
        Ok(())
    }

    fn add(&mut self, folder: &File, entry: &Entry, depth: usize) -> io::Result<()> {
        if !matches!(entry.kind, Kind::File | Kind::Folder) {
            return Ok(());
        }
        let mut file = match folder::open_below(folder, &entry.name) {
            Ok(file) => file,
            // Alone it would be a 403, or a 404: it has gone meanwhile, or has become a link.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound) =>
            {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        // It may have become something else.
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return self.enter(&file, entry.name.as_bytes(), depth + 1);
        }
        if !metadata.is_file() {
            return Ok(());
        }
        let outer_bytes = self.path.len();
        self.path.extend_from_slice(entry.name.as_bytes());
        self.tar.file(&self.path, metadata.mtime(), metadata.len(), &mut file)?;
        self.path.truncate(outer_bytes);
        Ok(())
    }
}

/// `answer` as a file that is to be kept under `name`.
fn with_name(mut answer: Response, name: &str) -> Response {
    answer.set_content_type("application/gzip");
    let mut value = String::from("attachment; filename=\"");
    value.extend(name.chars().map(|letter| {
        let is_plain = letter.is_ascii_alphanumeric() || " ._-".contains(letter);
        if is_plain { letter } else { '_' }
    }));
    value.push_str(".tar.gz\"; filename*=UTF-8''");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            value.push(char::from(byte));
        } else {
            let _ = write!(value, "%{byte:02X}");
        }
    }
    value.push_str(".tar.gz");
    if let Ok(value) = HeaderValue::from_str(&value) {
        answer.append(&header::CONTENT_DISPOSITION, &value);
    }
    answer.append(&header::X_CONTENT_TYPE_OPTIONS, &HeaderValue::from_static("nosniff"));
    answer
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::{Path, PathBuf};
    use std::time::{Duration, UNIX_EPOCH};

    use flate2::read::GzDecoder;

    use super::*;
    use crate::app::{App, Handler};
    use crate::sys::scratch::Scratch;

    /// A handler that has nothing but archives of one folder.
    struct Folder {
        path: PathBuf,
        archives: Archives,
    }

    impl Handler for Folder {
        fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
            let path = self.path.clone();
            let open = move || File::open(path).map_err(|_| StatusCode::NOT_FOUND.into());
            self.archives.answer(request, "the folder", open, response)
        }
    }

    fn app(path: &Path) -> App {
        App::new().get("/", Folder { path: path.into(), archives: Archives::default() })
    }

    fn archive(path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        write_folder(&File::open(path)?, b"top", &mut bytes)?;
        Ok(bytes)
    }

    /// The names and contents of an archive, read with the rules of the format.
    fn members(mut tar: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let (mut members, mut long) = (Vec::new(), None);
        loop {
            let (header, rest) = tar.split_at(512);
            if header.iter().all(|&byte| byte == 0) {
                assert_eq!(rest, [0; 512]);
                return members;
            }
            let field =
                |at: usize, bytes: usize| header[at..at + bytes].split(|&byte| byte == 0).next().unwrap();
            let length = usize::from_str_radix(std::str::from_utf8(field(124, 12)).unwrap(), 8).unwrap();
            let content = rest[..length].to_vec();
            if header[156] == b'x' {
                let path = content.windows(6).position(|window| window == b" path=").unwrap() + 6;
                long = Some(content[path..content.len() - 1].to_vec());
            } else {
                let mut path = field(345, 155).to_vec();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(field(0, 100));
                members.push((long.take().unwrap_or(path), content));
            }
            tar = &rest[length.next_multiple_of(512)..];
        }
    }

    fn names(tar: &[u8]) -> Vec<String> {
        members(tar).into_iter().map(|(name, _)| String::from_utf8_lossy(&name).into_owned()).collect()
    }

    #[test]
    fn what_is_sent_is_the_folder_without_what_is_not_served() {
        let scratch = Scratch::new("whole");
        let large: Vec<u8> =
            (0..300_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        for (name, content) in [
            ("a b/c.txt", &b"c"[..]),
            ("é.txt", b"accent"),
            ("large.bin", &large),
            (".htpasswd", b"SECRET"),
            (".git/config", b"SECRET"),
            (".well-known/security.txt", b"well known"),
        ] {
            scratch.put(name, content);
        }
        symlink("é.txt", scratch.join("link")).unwrap();
        symlink("/etc", scratch.join("outside")).unwrap();
        let _socket = UnixListener::bind(scratch.join("socket")).unwrap();

        let answer = app(&scratch).oneshot(::http::Request::get("/").body("").unwrap());
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/gzip");
        assert_eq!(
            answer.headers()["content-disposition"],
            "attachment; filename=\"the folder.tar.gz\"; filename*=UTF-8''the%20folder.tar.gz"
        );
        let mut tar = Vec::new();
        GzDecoder::new(&answer.body()[..]).read_to_end(&mut tar).unwrap();
        let expected = [
            ("the folder/", &b""[..]),
            ("the folder/.well-known/", b""),
            ("the folder/.well-known/security.txt", b"well known"),
            ("the folder/a b/", b""),
            ("the folder/a b/c.txt", b"c"),
            ("the folder/large.bin", &large),
            ("the folder/é.txt", b"accent"),
        ];
        let expected = expected.map(|(name, content)| (name.as_bytes().to_vec(), content.to_vec()));
        assert!(members(&tar) == expected, "{:?}", names(&tar));

        let head = app(&scratch).oneshot(::http::Request::head("/").body("").unwrap());
        assert_eq!((head.status().as_u16(), head.body().len()), (200, 0));
    }

    #[test]
    fn odd_names_and_their_times_are_kept() {
        let scratch = Scratch::new("odd");
        let long = format!("{0}/{0}/{0}", "x".repeat(200));
        scratch.put(&long, b"1");
        scratch.put("two\nlines", b"2");
        if cfg!(unix) {
            scratch.put(OsStr::from_bytes(b"\xFF"), b"3");
        }
        let moment = UNIX_EPOCH + Duration::from_secs(784_111_777);
        File::options().write(true).open(scratch.join("two\nlines")).unwrap().set_modified(moment).unwrap();
        let tar = archive(&scratch).unwrap();
        let members = members(&tar);
        for (name, content) in
            [(format!("top/{long}").as_bytes(), b"1"), (b"top/two\nlines", b"2"), (b"top/\xFF", b"3")]
        {
            let found = members.iter().find(|(member, _)| member == name);
            assert_eq!(found.map(|(_, content)| &content[..]), Some(&content[..]));
        }
        let header = tar.chunks(512).find(|block| block.starts_with(b"top/two\nlines\0")).unwrap();
        assert_eq!((&header[100..108], &header[136..147]), (&b"0000644\0"[..], &b"05657114241"[..]));
    }

    #[test]
    fn what_may_not_be_read_is_left_out() {
        let scratch = Scratch::new("closed");
        scratch.put("closed", b"x");
        scratch.put("open", b"x");
        let closed = scratch.join("closed");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        let is_privileged = File::open(&closed).is_ok();
        let found = names(&archive(&scratch).unwrap());
        assert_eq!(found.contains(&"top/closed".to_owned()), is_privileged);
        assert!(found.contains(&"top/open".to_owned()));
    }

    #[test]
    fn too_deep_is_an_error() {
        let scratch = Scratch::new("deep");
        scratch.put(format!("{}x", "d/".repeat(DEPTH_MAX - 1)), b"x");
        assert!(archive(&scratch).is_ok());
        scratch.put(format!("{}x", "d/".repeat(DEPTH_MAX)), b"x");
        let error = archive(&scratch).unwrap_err().to_string();
        assert!(error.starts_with("\"top/d/d/") && error.ends_with("more than 64 folders deep"), "{error}");
        let answer = catch_unwind(AssertUnwindSafe(|| {
            app(&scratch).oneshot(::http::Request::get("/").body("").unwrap())
        }));
        let panic = answer.expect_err("half an archive looks whole");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the source of the body failed"));
    }

    #[test]
    fn so_many_at_once_and_the_next_is_told_when_to_come_back() {
        let scratch = Scratch::new("many");
        let archives = Archives::default();
        let mut places: Vec<_> = (0..ARCHIVES_MAX).map(|_| Place::take(&archives.running).unwrap()).collect();
        assert!(Place::take(&archives.running).is_none());
        let running = Arc::clone(&archives.running);
        let app = App::new().get("/", Folder { path: scratch.to_path_buf(), archives });
        let get = || app.oneshot(::http::Request::get("/").body("").unwrap());
        let answer = get();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["retry-after"]),
            (503, &"10".parse().unwrap())
        );
        places.pop();
        for _ in 0..3 {
            assert_eq!(get().status(), 200);
            // The last bytes leave before the job ends.
            while running.load(Ordering::Relaxed) == ARCHIVES_MAX {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_folder_that_cannot_be_opened_is_not_an_archive() {
        let folder = Folder { path: "/nowhere/at/all".into(), archives: Archives::default() };
        let answer = App::new().get("/", folder).oneshot(::http::Request::get("/").body("").unwrap());
        assert_eq!(answer.status(), 404);
        assert!(!answer.headers().contains_key("content-disposition"));
    }

    #[test]
    fn no_name_breaks_the_header() {
        let answer = with_name(Response::default(), "a\"b\r\nX: y/é\\");
        let block = String::from_utf8(answer.fields().block().to_vec()).unwrap();
        assert_eq!(
            block.lines().next(),
            Some(concat!(
                "Content-Disposition: attachment; filename=\"a_b__X_ y___.tar.gz\"; ",
                "filename*=UTF-8''a%22b%0D%0AX%3A%20y%2F%C3%A9%5C.tar.gz"
            ))
        );
    }
}
