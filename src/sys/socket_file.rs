//! Listening Unix sockets, and the file that names them.
//!
//! The file outlives a server that crashed, so a new one may find it: a socket that nobody answers on is
//! stale and replaced, anything else is left alone.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// The longest name of a socket that the system takes, in bytes.
pub const PATH_BYTES_MAX: usize =
    size_of::<libc::sockaddr_un>() - std::mem::offset_of!(libc::sockaddr_un, sun_path) - 1;

/// Opens a listener on the socket file `path`: non-blocking, closed on exec; `backlog` connections may
/// wait. `mode` is who may connect, as in chmod(1); without one the process's umask decides.
///
/// # Errors
/// `AddrInUse` when somebody answers there, `AlreadyExists` when the path is something other than a
/// socket, and whatever the system reports.
pub fn listen_unix(path: &Path, backlog: u32, mode: Option<u32>) -> io::Result<UnixListener> {
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    if let Some(mode) = mode {
        // Before listen(2): until then nobody can connect, whatever the mode.
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    socket.set_nonblocking(true)?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// A socket file that goes when this does, if it is still the same file.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    /// Takes over the file that [`listen_unix`] has made at `path`.
    ///
    /// # Errors
    /// When the file is gone already.
    pub fn new(path: &Path) -> io::Result<Self> {
        // A relative path would mean another file after a change of directory.
        let path = std::path::absolute(path)?;
        let identity = identity(&path)?;
        Ok(Self { path, identity })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // Nothing to be done about a failure; the next server finds the file stale.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The file's device and number on it.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{} exists and is not a socket: remove it, or choose another path", path.display()),
        ));
    }
    if is_answered(path)? {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    fs::remove_file(path)
}

/// Whether somebody listens on this socket file. A full queue is an answer too.
fn is_answered(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        _ => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::sys::eventually;
    use crate::sys::scratch::Scratch;

    #[test]
    fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let scratch = Scratch::new("stale");
        let place = scratch.join("socket");
        drop(listen_unix(&place, 8, None).unwrap());
        assert!(place.exists(), "as a crash leaves it");
        let living = eventually(|| listen_unix(&place, 8, None));
        UnixStream::connect(&place).unwrap();
        let refusal = listen_unix(&place, 8, None).unwrap_err();
        assert_eq!(refusal.kind(), io::ErrorKind::AddrInUse);
        drop(living);
    }

    #[test]
    fn a_full_queue_is_no_sign_of_death() {
        let scratch = Scratch::new("full");
        let place = scratch.join("socket");
        let _busy = listen_unix(&place, 0, None).unwrap();
        let _waiting = UnixStream::connect(&place).unwrap();
        assert!(is_answered(&place).unwrap());
        assert!(is_answered(&place).unwrap());
    }

    #[test]
    fn a_file_is_never_removed() {
        let scratch = Scratch::new("file");
        let place = scratch.join("socket");
        fs::write(&place, "precious").unwrap();
        let refusal = listen_unix(&place, 8, None).unwrap_err();
        assert_eq!(refusal.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&place).unwrap(), "precious");
    }

    #[test]
    fn the_mode_is_as_asked() {
        let scratch = Scratch::new("mode");
        let place = scratch.join("socket");
        let _listener = listen_unix(&place, 8, Some(0o660)).unwrap();
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o660);
    }

    #[test]
    fn a_socket_file_goes_with_its_owner_unless_it_was_replaced() {
        let scratch = Scratch::new("owner");
        let place = scratch.join("socket");
        let first = listen_unix(&place, 8, None).unwrap();
        drop(SocketFile::new(&place).unwrap());
        assert!(!place.exists());

        let second = listen_unix(&place, 8, None).unwrap();
        let file = SocketFile::new(&place).unwrap();
        fs::remove_file(&place).unwrap();
        // Something of another kind, so that the number on the device cannot be the same by chance.
        fs::create_dir(&place).unwrap();
        drop(file);
        assert!(place.exists(), "not ours any more");
        drop((first, second));
    }
}
