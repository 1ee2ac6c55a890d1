//! [`Scratch`]: a folder for one test. Shared by the unit tests of the library and of the program, by the
//! tests beside this file and by the benches.
#![allow(dead_code, reason = "each of them uses its part of this")]

use std::fs::{self, File};
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A folder that nobody else has: empty at first, and gone with this value.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// `name` is for who finds the folder left behind. Short: there may be a socket in it.
    pub(crate) fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Relaxed);
            let path = std::env::temp_dir().join(format!("kolk-{name}-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Self(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }

    /// Writes a file, and makes the folders above it.
    pub(crate) fn put(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.join(name);
        fs::create_dir_all(path.parent().expect("it is below the folder")).expect("folders can be made");
        fs::write(path, content).expect("files can be written");
    }
}

impl Deref for Scratch {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind, it harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An open file with this content and without a name.
pub(crate) fn file_of(content: &[u8]) -> File {
    let scratch = Scratch::new("file");
    scratch.put("x", content);
    File::open(scratch.join("x")).expect("it was just written")
}
