//! Listening sockets that somebody else has opened: those of a service manager, as sd_listen_fds(3) passes
//! them, or any descriptor by its number.
//!
//! ```text
//!  LISTEN_PID=4711  LISTEN_FDS=2  LISTEN_FDNAMES=web:admin   ──►   3 "web"   4 "admin"
//! ```
//! Such a socket is never shut down: its opener has a copy, and keeps the queue for whoever comes next.

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use socket2::{SockAddr, SockRef, Type};

use super::{check, environment};

/// The first descriptor that is passed: those before it are the standard streams.
const FIRST: RawFd = 3;
/// More sockets than anybody passes; a number beyond is a mistake.
const PASSED_MAX: RawFd = 1024;

/// A socket that was passed.
#[derive(Debug)]
pub struct PassedSocket {
    name: String,
    socket: OwnedFd,
}

impl PassedSocket {
    /// What its opener calls it: `FileDescriptorName=` of a systemd unit, or nothing.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of its descriptor.
    pub fn number(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// A copy of the socket, to listen on.
    ///
    /// # Errors
    /// There is no descriptor left.
    pub fn try_clone(&self) -> io::Result<OwnedFd> {
        self.socket.try_clone()
    }
}

/// Where a passed socket listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On a port. `dual_stack`: of IPv6, and IPv4 connections arrive there too.
    Ip {
        /// Its address.
        at: SocketAddr,
        /// Whether IPv4 connections arrive there too.
        dual_stack: bool,
    },
    /// On a socket file; an abstract name begins with `@`.
    Unix(PathBuf),
}

/// The sockets that were passed to this process, once: a second call finds none. Call it before the program
/// opens anything. From then on no child of this process inherits them, or is told of them.
///
/// # Errors
/// The variables contradict themselves, or a descriptor that they name is not open.
pub fn passed_sockets() -> io::Result<Vec<PassedSocket>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let [pid, count, names, _] =
        ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"].map(environment::take);
    if TAKEN.swap(true, Relaxed) {
        return Ok(Vec::new());
    }
    let names = announced(pid.as_deref(), count.as_deref(), names, std::process::id())?;
    let own = |(number, name)| {
        close_on_exec(number)?;
        // SAFETY: it is open, and by the protocol it is this process's; nobody else here takes it, since this
        // point is reached once.
        let socket = unsafe { OwnedFd::from_raw_fd(number) };
        Ok(PassedSocket { name, socket })
    };
    (FIRST..).zip(names).map(own).collect()
}

/// A copy of descriptor `number`, which stays open. No child of this process inherits either.
///
/// # Errors
/// `InvalidInput` if it is not open, and whatever fcntl(2) reports.
pub fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    close_on_exec(number)?;
    // SAFETY: F_DUPFD_CLOEXEC opens a new number, whatever the old one is.
    let copy = check(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, FIRST) })?;
    // SAFETY: the kernel has just given it to us.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Makes sure that `socket` listens for streams, and that accepting from it never blocks. Where it listens.
///
/// # Errors
/// `InvalidInput` if it is not such a socket, and whatever the system reports.
pub fn adopt(socket: BorrowedFd<'_>) -> io::Result<Place> {
    let refuse = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what.to_owned()));
    let opened = SockRef::from(&socket);
    match opened.r#type() {
        Ok(Type::STREAM) => {}
        Ok(Type::DGRAM) => return refuse("it is a datagram socket: HTTP/1 needs a stream socket"),
        Ok(_) => return refuse("it is a socket of another type: HTTP/1 needs a stream socket"),
        Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => return refuse("it is not a socket"),
        Err(error) => return Err(error),
    }
    if !is_listening(socket)? {
        return refuse("nobody has called listen(2) on it: it is a connection (Accept=yes?) or unused");
    }
    opened.set_nonblocking(true)?;
    let address = opened.local_addr()?;
    if let Some(at) = address.as_socket() {
        return Ok(Place::Ip { at, dual_stack: at.is_ipv6() && !opened.only_v6()? });
    }
    if address.is_unix() {
        return Ok(Place::Unix(name_of(&address)));
    }
    refuse("it is neither an IP socket nor a Unix socket")
}

/// The names of the passed sockets, as many as there are.
fn announced(
    pid: Option<&OsStr>,
    count: Option<&OsStr>,
    names: Option<OsString>,
    own_pid: u32,
) -> io::Result<Vec<String>> {
    let (Some(pid), Some(count)) = (pid, count) else { return Ok(Vec::new()) };
    if number::<u32>(pid) != Some(own_pid) {
        // Meant for a process that started this one.
        return Ok(Vec::new());
    }
    let count = number::<RawFd>(count).filter(|count| (0..=PASSED_MAX).contains(count)).ok_or_else(|| {
        let text = format!("LISTEN_FDS={} is no number of sockets", count.display());
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })?;
    let names = names.unwrap_or_default();
    let names = String::from_utf8_lossy(names.as_bytes());
    let mut names = names.split(':');
    Ok((0..count).map(|_| names.next().unwrap_or_default().to_owned()).collect())
}

fn number<N: std::str::FromStr>(text: &OsStr) -> Option<N> {
    text.to_str()?.parse().ok()
}

fn close_on_exec(number: RawFd) -> io::Result<()> {
    // SAFETY: flags of whatever has this number; nothing, if nothing has.
    let set = check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) });
    match set {
        Err(error) if error.raw_os_error() == Some(libc::EBADF) => {
            let text = format!("descriptor {number} is not open: whoever starts this process must pass it");
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
        set => set.map(drop),
    }
}

fn is_listening(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let mut answer: libc::c_int = 0;
    let mut length: libc::socklen_t = libc::c_int::BITS / 8;
    // SAFETY: the pointers describe `answer` and its length, which outlive the call.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ACCEPTCONN,
            (&raw mut answer).cast(),
            &raw mut length,
        )
    })?;
    Ok(answer != 0)
}

fn name_of(address: &SockAddr) -> PathBuf {
    match (address.as_pathname(), address.as_abstract_namespace()) {
        (Some(path), _) => path.to_owned(),
        (None, Some(name)) => {
            let mut text = OsString::from("@");
            text.push(OsStr::from_bytes(name));
            text.into()
        }
        (None, None) => PathBuf::from("@"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::sys::scratch::Scratch;

    fn names(pid: &str, count: &str, names: Option<&str>) -> Result<Vec<String>, String> {
        announced(Some(pid.as_ref()), Some(count.as_ref()), names.map(Into::into), 7)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn only_what_is_meant_for_this_process_is_taken() {
        assert_eq!(names("7", "2", Some("web:admin")).unwrap(), ["web", "admin"]);
        assert_eq!(names("7", "3", Some("web")).unwrap(), ["web", "", ""]);
        assert_eq!(names("7", "1", None).unwrap(), [""]);
        assert!(names("8", "2", None).unwrap().is_empty(), "inherited from a parent");
        assert!(names("", "2", None).unwrap().is_empty());
        assert!(announced(None, Some("2".as_ref()), None, 7).unwrap().is_empty());
        for wrong in ["-1", "many", "1025", ""] {
            assert!(names("7", wrong, None).unwrap_err().contains("LISTEN_FDS"), "{wrong}");
        }
    }

    #[test]
    fn a_listener_tells_where_it_listens_and_blocks_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let copy = duplicate(listener.as_raw_fd()).unwrap();
        assert_eq!(adopt(copy.as_fd()).unwrap(), Place::Ip { at, dual_stack: false });
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_socket_file_is_named() {
        let scratch = Scratch::new("activation");
        let path = scratch.join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(adopt(listener.as_fd()).unwrap(), Place::Unix(path));
    }

    #[test]
    fn anything_else_is_refused_by_its_name() {
        let refusal = |socket: BorrowedFd<'_>| adopt(socket).unwrap_err().to_string();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(refusal(connection.as_fd()).contains("listen(2)"));
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(refusal(datagrams.as_fd()).contains("datagram"));
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(refusal(file.as_fd()).contains("not a socket"));
        let closed = duplicate(RawFd::MAX).unwrap_err();
        assert!(closed.to_string().contains("is not open"), "{closed}");
    }
}
