//! FILES BELOW A FOLDER, and nothing outside, whatever a path says and whatever links there are.
//!
//! ```text
//!  a/b/c ─► openat2: no links, not outside ──────────────────────► file      one call, nearly always
//!              └─ a link, or no such call ─► component by component ─► file
//!                                             ".." leaves one of the folders that were entered,
//!                                             a link's target takes its place in the path
//! ```
//! The kernel holds the first way to it; on the second no component is ever followed blindly: each is opened
//! by itself and without following, so that nobody can put a link there in between. What was opened may still
//! be anything: look at the open file, never at its path. Knows no HTTP.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::{check, uninterrupted};

#[cfg_attr(target_os = "linux", path = "beneath/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "beneath/fallback.rs")]
mod system;

/// Where symbolic links may lead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// To what is below the folder. Absolute ones lead nowhere.
    #[default]
    Inside,
    /// Anywhere.
    Follow,
    /// Nowhere: what is behind a link does not exist.
    Refuse,
}

/// So many links a path may have (Linux has the same limit).
const LINKS_MAX: usize = 40;
/// So deep a path may lead, in folders that are open at the same time.
const DEPTH_MAX: usize = 128;

/// An open folder.
#[derive(Debug)]
pub struct Folder(OwnedFd);

impl Folder {
    /// Opens the folder at `path`, links followed.
    ///
    /// # Errors
    /// Whatever open(2) reports: there is none, it is no folder, or it is not ours to enter.
    pub fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::ffi::OsStrExt as _;
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: a path with its zero; no mode is needed where nothing is made.
        let number = unsafe { libc::open(path.as_ptr(), system::ENTER | libc::O_CLOEXEC) };
        Ok(Self(owned(number)?))
    }

    /// Opens what `path` leads to, for reading. Names are parted by `/`; an empty path is the folder itself.
    /// `is_allowed` is asked for each name that a *link* leads through: what it refuses does not exist.
    ///
    /// Never blocks on a pipe. The caller has made sure that `path` has no `..`; here it would not lead out.
    ///
    /// # Errors
    /// `NotFound`, also for what lies outside; `PermissionDenied`; whatever else open(2) reports.
    pub fn open_below(&self, path: &[u8], links: Links, is_allowed: fn(&[u8]) -> bool) -> io::Result<File> {
        let whole = if path.is_empty() { c".".to_owned() } else { CString::new(path)? };
        let opened = uninterrupted(|| system::open_without_links(self.as_fd(), &whole));
        let error = match opened {
            Ok(file) => return Ok(file.into()),
            Err(error) => error,
        };
        match error.raw_os_error() {
            Some(libc::ELOOP | libc::EXDEV) if links == Links::Refuse => Err(io::ErrorKind::NotFound.into()),
            Some(libc::ELOOP | libc::EXDEV) if links == Links::Follow => {
                match open_at(self.as_fd(), &whole, system::READ) {
                    Ok(file) => Ok(file.into()),
                    // Links that lead to each other.
                    Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
                        Err(io::ErrorKind::NotFound.into())
                    }
                    Err(error) => Err(error),
                }
            }
            Some(libc::ELOOP | libc::EXDEV | libc::ENOSYS | libc::EAGAIN) => {
                Walk::new(self, path).end(links, is_allowed)
            }
            _ => Err(error),
        }
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A way through the tree, one name at a time.
struct Walk<'f> {
    root: &'f Folder,
    /// The folders that were entered, each in the one before.
    entered: Vec<OwnedFd>,
    /// What is left of the path; the next name is the last.
    ahead: Vec<CString>,
    /// Links met so far.
    links: usize,
}

impl<'f> Walk<'f> {
    fn new(root: &'f Folder, path: &[u8]) -> Self {
        let mut walk = Self { root, entered: Vec::new(), ahead: Vec::new(), links: 0 };
        walk.take_up(path);
        walk
    }

    /// Puts the names of `path` before what is left.
    fn take_up(&mut self, path: &[u8]) {
        let names = path.split(|byte| *byte == b'/').rev().filter(|name| !matches!(*name, b"" | b"."));
        self.ahead.extend(names.filter_map(|name| CString::new(name).ok()));
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.entered.last().map_or_else(|| self.root.as_fd(), OwnedFd::as_fd)
    }

    fn end(mut self, links: Links, is_allowed: fn(&[u8]) -> bool) -> io::Result<File> {
        while let Some(name) = self.ahead.pop() {
            if name.as_bytes() == b".." {
                self.entered.pop().ok_or(io::ErrorKind::NotFound)?;
                continue;
            }
            // Whoever asked has looked at the names of the path itself.
            if self.links > 0 && !is_allowed(name.as_bytes()) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let is_last = self.ahead.is_empty();
            let how = if is_last { system::READ } else { system::ENTER };
            match open_at(self.here(), &name, how | libc::O_NOFOLLOW) {
                Ok(file) if is_last => return Ok(file.into()),
                Ok(folder) => {
                    if self.entered.len() == DEPTH_MAX {
                        return Err(io::ErrorKind::NotFound.into());
                    }
                    self.entered.push(folder);
                }
                Err(error) => self.follow(&name, links, error)?,
            }
        }
        open_at(self.here(), c".", system::READ).map(File::from)
    }

    /// Takes the way of a link; if `name` is none, `error` was meant.
    ///
    /// # Errors
    /// `error`, or why nobody can tell whether it is a link.
    fn follow(&mut self, name: &CString, links: Links, error: io::Error) -> io::Result<()> {
        let mut target = [0_u8; libc::PATH_MAX as usize];
        // SAFETY: a name with its zero, and room for as many bytes as are said.
        let length = unsafe {
            libc::readlinkat(self.here().as_raw_fd(), name.as_ptr(), target.as_mut_ptr().cast(), target.len())
        };
        let Ok(length) = usize::try_from(length) else {
            let reason = io::Error::last_os_error();
            return Err(if reason.raw_os_error() == Some(libc::EINVAL) { error } else { reason });
        };
        self.links += 1;
        let target = &target[..length];
        if links == Links::Refuse || self.links > LINKS_MAX || target.starts_with(b"/") {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.take_up(target);
        Ok(())
    }
}

fn open_at(folder: BorrowedFd<'_>, name: &CStr, how: libc::c_int) -> io::Result<OwnedFd> {
    uninterrupted(|| {
        // SAFETY: the folder is open while it is borrowed, and the name has its zero.
        owned(unsafe { libc::openat(folder.as_raw_fd(), name.as_ptr(), how | libc::O_CLOEXEC) })
    })
}

fn owned(number: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: the kernel has just opened this descriptor for nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(check(number)?) })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::sys::scratch::Scratch;

    /// A tree, and a secret beside it.
    struct Tree(Scratch);

    impl Tree {
        fn new(name: &str) -> Self {
            let outer = Scratch::new(name);
            for (path, text) in [
                ("secret", "SECRET"),
                ("top/file", "file"),
                ("top/a/b/deep", "deep"),
                ("top/.hidden/x", "hidden"),
            ] {
                outer.put(path, text);
            }
            for (target, link) in [
                ("../secret", "top/out"),
                ("a/b", "top/in"),
                ("../file", "top/a/up"),
                ("b/../../file", "top/a/around"),
                ("..", "top/parent"),
                ("../..", "top/a/two_up"),
                (".hidden/x", "top/seen"),
                ("loop", "top/loop"),
                ("in", "top/again"),
            ] {
                symlink(target, outer.join(link)).unwrap();
            }
            symlink(outer.join("top/file"), outer.join("top/absolute")).unwrap();
            Self(outer)
        }

        fn root(&self) -> Folder {
            Folder::open(&self.0.join("top")).unwrap()
        }
    }

    fn not_hidden(name: &[u8]) -> bool {
        !name.starts_with(b".")
    }

    /// The text of what is opened, or which error there is: both ways.
    fn read(root: &Folder, path: &str, links: Links) -> Result<String, io::ErrorKind> {
        let text = |file: io::Result<File>| {
            let mut text = String::new();
            file.and_then(|mut file| file.read_to_string(&mut text))
                .map(|_| text)
                .map_err(|error| error.kind())
        };
        let direct = text(root.open_below(path.as_bytes(), links, not_hidden));
        if links != Links::Follow {
            let walked = text(Walk::new(root, path.as_bytes()).end(links, not_hidden));
            assert_eq!(direct, walked, "{path} is the same both ways");
        }
        direct
    }

    #[test]
    fn links_lead_where_they_may() {
        use io::ErrorKind::NotFound;
        let tree = Tree::new("links");
        let root = tree.root();
        for (path, inside, follow) in [
            ("file", Ok("file"), Ok("file")),
            ("a/b/deep", Ok("deep"), Ok("deep")),
            ("in/deep", Ok("deep"), Ok("deep")),
            ("again/deep", Ok("deep"), Ok("deep")),
            ("a/up", Ok("file"), Ok("file")),
            ("a/around", Ok("file"), Ok("file")),
            ("out", Err(NotFound), Ok("SECRET")),
            ("parent/secret", Err(NotFound), Ok("SECRET")),
            ("a/two_up/secret", Err(NotFound), Ok("SECRET")),
            ("a/two_up/top/file", Err(NotFound), Ok("file")),
            ("seen", Err(NotFound), Ok("hidden")),
            ("nothing", Err(NotFound), Err(NotFound)),
        ] {
            assert_eq!(
                read(&root, path, Links::Inside).as_deref(),
                inside.as_ref().map(|text| *text),
                "{path}"
            );
            assert_eq!(
                read(&root, path, Links::Follow).as_deref(),
                follow.as_ref().map(|text| *text),
                "{path}"
            );
        }
        assert_eq!(read(&root, "absolute", Links::Inside), Err(NotFound));
        assert_eq!(read(&root, "absolute", Links::Follow).as_deref(), Ok("file"));
        assert_eq!(read(&root, "loop", Links::Inside), Err(NotFound));
        assert_eq!(read(&root, "loop", Links::Follow), Err(NotFound));
        for path in ["in/deep", "a/up", "out", "absolute", "loop", "parent/top/file"] {
            assert_eq!(read(&root, path, Links::Refuse), Err(NotFound), "{path}");
        }
        assert_eq!(read(&root, "a/b/deep", Links::Refuse).as_deref(), Ok("deep"));
    }

    #[test]
    fn a_path_cannot_lead_out_even_if_nobody_has_looked_at_it() {
        let tree = Tree::new("dots");
        let root = tree.root();
        for path in ["../secret", "a/../../secret", "/secret", "a/b/../../../secret", "./../secret"] {
            for links in [Links::Inside, Links::Refuse] {
                assert!(root.open_below(path.as_bytes(), links, not_hidden).is_err(), "{path}");
            }
        }
        assert!(root.open_below(b"a\0b", Links::Inside, not_hidden).is_err());
    }

    #[test]
    fn a_folder_and_a_pipe_are_opened_at_once() {
        let tree = Tree::new("kinds");
        let pipe = CString::new(tree.0.join("top/pipe").to_str().unwrap()).unwrap();
        // SAFETY: a path with its zero.
        assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
        let root = tree.root();
        for (path, is_folder) in [("", true), ("a/b", true), ("pipe", false)] {
            let file = root.open_below(path.as_bytes(), Links::Inside, not_hidden).unwrap();
            assert_eq!(file.metadata().unwrap().is_dir(), is_folder, "{path:?}");
            assert!(!file.metadata().unwrap().is_file(), "{path:?}");
            let walked = Walk::new(&root, path.as_bytes()).end(Links::Inside, not_hidden).unwrap();
            assert_eq!(walked.metadata().unwrap().is_dir(), is_folder, "{path:?}");
        }
    }

    #[test]
    fn a_link_that_is_put_in_between_is_not_followed() {
        let tree = Tree::new("race");
        let place = tree.0.join("top/swapped");
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (file, link) = (tree.0.join("top/f"), tree.0.join("top/l"));
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    fs::write(&file, "fine").unwrap();
                    fs::rename(&file, &place).unwrap();
                    symlink("../secret", &link).unwrap();
                    fs::rename(&link, &place).unwrap();
                }
            });
            let root = tree.root();
            for _ in 0..20_000 {
                for links in [Links::Inside, Links::Refuse] {
                    let mut text = String::new();
                    if let Ok(mut file) = root.open_below(b"swapped", links, not_hidden) {
                        file.read_to_string(&mut text).unwrap();
                    }
                    assert_ne!(text, "SECRET");
                }
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
}
