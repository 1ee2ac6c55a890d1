//! Listening TCP sockets, and the options that their connections live with.
//!
//! On Linux an accepted socket inherits its listener's options: set once, no call per connection.
//! [`options_are_inherited`] asks the kernel whether that is so here.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

#[cfg_attr(any(target_os = "linux", target_os = "android"), path = "socket/linux.rs")]
#[cfg_attr(target_os = "freebsd", path = "socket/freebsd.rs")]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android", target_os = "freebsd")),
    path = "socket/fallback.rs"
)]
mod system;

/// Whether the system spreads connections over the listeners that share a port. Where it does not (macOS,
/// OpenBSD, NetBSD), share one listener between the workers instead.
pub const REUSEPORT_BALANCES: bool = system::REUSEPORT_BALANCES;

/// Whether edge-triggered events are epoll's or kqueue's, which announce again whatever arrives after a
/// short read. Elsewhere mio imitates them and wants to hear "would block" first.
pub const EDGES_ARE_THE_KERNELS: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "illumos",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd",
    target_vendor = "apple"
));

/// How to listen.
#[derive(Clone, Debug)]
pub struct Listening {
    /// How many connections may wait to be accepted; the system caps it silently (`net.core.somaxconn`).
    pub backlog: u32,
    /// Whether several listeners may share the port; see [`REUSEPORT_BALANCES`].
    pub reuse_port: bool,
    /// Whether a listener on `[::]` takes IPv4 connections too.
    pub dual_stack: bool,
    /// Whether another listener of this process, which shares the port, is about to be closed: whether
    /// somebody else has it is not looked at.
    pub takes_over: bool,
    /// Who may connect to a socket file, as in chmod(1); without one the process's umask decides.
    pub socket_file_mode: Option<u32>,
    /// For its connections.
    pub tcp: TcpOptions,
}

/// The options of a connection. What a system does not know it goes without.
#[derive(Clone, Debug)]
pub struct TcpOptions {
    /// Send small packets at once.
    pub nodelay: bool,
    /// Probe connections that are silent for hours.
    pub keepalive: bool,
    /// How much may wait unsent in the kernel, in bytes (Linux): what a slow reader can pin. A large file
    /// costs 9 % more CPU at 128 KiB than at 512 KiB, above which nothing is gained.
    pub unsent_bytes_max: Option<u32>,
    /// How long sent bytes may stay unacknowledged (Linux).
    pub unacknowledged_max: Option<Duration>,
    /// Announce a connection only when its first bytes are there, at the latest after this many seconds
    /// (Linux). Belongs to the listener.
    pub defer_accept_seconds: Option<u32>,
}

impl Default for Listening {
    fn default() -> Self {
        Self {
            backlog: 4096,
            reuse_port: false,
            dual_stack: false,
            takes_over: false,
            socket_file_mode: None,
            tcp: TcpOptions::default(),
        }
    }
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            nodelay: true,
            keepalive: true,
            unsent_bytes_max: Some(512 * 1024),
            unacknowledged_max: Some(Duration::from_secs(30)),
            defer_accept_seconds: None,
        }
    }
}

/// Opens a listener on `address`: non-blocking, closed on exec, its address reusable after a restart.
///
/// # Errors
/// Whatever the system reports: `AddrInUse`, `PermissionDenied`, `AddrNotAvailable` and others.
pub fn listen_tcp(address: SocketAddr, options: &Listening) -> io::Result<TcpListener> {
    let socket = bound(address, options.dual_stack, options.reuse_port)?;
    apply_tcp_options(&socket, &options.tcp)?;
    if let Some(seconds) = options.tcp.defer_accept_seconds {
        system::defer_accept(&socket, seconds)?;
    }
    socket.set_nonblocking(true)?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Whether nobody listens on `address`. Asked before the first of several listeners that share a port:
/// sharing would let a second server of the same user in unnoticed.
///
/// # Errors
/// Those of [`listen_tcp`].
pub fn check_address_is_free(address: SocketAddr, dual_stack: bool) -> io::Result<()> {
    // With SO_REUSEADDR only: that admits old connections, but no other listener.
    bound(address, dual_stack, false).map(drop)
}

/// Sets the options on one connection, or on a listener whose connections inherit them.
///
/// # Errors
/// Whatever setsockopt(2) reports; a connection that was reset meanwhile fails so on some systems.
pub fn apply_tcp_options(socket: &impl AsFd, options: &TcpOptions) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(options.nodelay)?;
    socket.set_keepalive(options.keepalive)?;
    system::apply_tcp_options(&socket, options)
}

/// Has the close of `connection` reset it: its peer sees an error in place of a regular end, and what it has
/// not read yet may be lost. Nothing for a Unix socket, which has no such end.
pub fn reset_on_close(connection: BorrowedFd<'_>) {
    // A connection that is gone already needs it no more.
    let _ = SockRef::from(&connection).set_linger(Some(Duration::ZERO));
}

/// Makes a listener refuse whoever comes from now on, whatever copies of its descriptor there are.
pub fn stop_listening(listener: BorrowedFd<'_>) {
    // Where a listener cannot be shut down (it is not connected, say the BSDs), closing it has to do.
    let _ = SockRef::from(&listener).shutdown(Shutdown::Both);
}

/// Has a TCP listener hear no newcomer any more, while it can still be accepted from: whoever has begun to
/// shake hands may finish, and newcomers ask again later, as if their first packet had been lost. Nothing
/// for other sockets, and where the system cannot do this: newcomers then come in until
/// [`stop_listening`].
pub fn ignore_newcomers(listener: BorrowedFd<'_>) {
    let socket = SockRef::from(&listener);
    if socket.local_addr().is_ok_and(|address| address.as_socket().is_some()) {
        // Where filters are forbidden, it is as on systems without.
        let _ = system::ignore_newcomers(&socket);
    }
}

/// Changes how many connections may wait to be accepted.
///
/// # Errors
/// Whatever listen(2) reports.
pub fn set_backlog(listener: BorrowedFd<'_>, connections: u32) -> io::Result<()> {
    SockRef::from(&listener).listen(i32::try_from(connections).unwrap_or(i32::MAX))
}

/// Whether accepted sockets have their listener's options. Tried once, on a loopback pair; `false` also if
/// that could not be tried: options are then set on every connection.
pub fn options_are_inherited() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| inherits().unwrap_or(false))
}

fn bound(address: SocketAddr, dual_stack: bool, reuse_port: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!dual_stack)?;
    }
    socket.set_reuse_address(true)?;
    if reuse_port {
        system::reuse_port(&socket)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn inherits() -> io::Result<bool> {
    let wanted = TcpOptions::default();
    let options = Listening { backlog: 1, tcp: wanted.clone(), ..Listening::default() };
    let listener = listen_tcp((Ipv4Addr::LOCALHOST, 0).into(), &options)?;
    listener.set_nonblocking(false)?;
    // Bounds accept(2), should a filter swallow the connection.
    SockRef::from(&listener).set_read_timeout(Some(Duration::from_secs(1)))?;
    let _client = TcpStream::connect_timeout(&listener.local_addr()?, Duration::from_secs(1))?;
    let (accepted, _) = listener.accept()?;
    let accepted = SockRef::from(&accepted);
    Ok(accepted.tcp_nodelay()? == wanted.nodelay
        && accepted.keepalive()? == wanted.keepalive
        && system::has_tcp_options(&accepted, &wanted)?)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::sys::eventually;

    const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn a_listener_answers_without_blocking() {
        let listener = listen_tcp(LOOPBACK, &Listening::default()).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    }

    #[test]
    fn a_port_is_shared_only_when_all_ask_for_it() {
        let shared = Listening { reuse_port: true, ..Listening::default() };
        let first = listen_tcp(LOOPBACK, &shared).unwrap();
        let address = first.local_addr().unwrap();
        let second = listen_tcp(address, &shared).unwrap();
        assert_eq!(second.local_addr().unwrap(), address);
        let refusal = listen_tcp(address, &Listening::default()).unwrap_err();
        assert_eq!(refusal.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn an_address_is_free_until_somebody_listens_and_after_connections_died() {
        let shared = Listening { reuse_port: true, ..Listening::default() };
        let listener = listen_tcp(LOOPBACK, &shared).unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(check_address_is_free(address, false).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // The side that closes first keeps the pair of addresses in TIME_WAIT.
        let mut client = TcpStream::connect(address).unwrap();
        listener.set_nonblocking(false).unwrap();
        drop(listener.accept().unwrap());
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        drop((client, listener));
        eventually(|| check_address_is_free(address, false));
        listen_tcp(address, &shared).unwrap();
    }

    #[test]
    fn connections_have_the_options_one_way_or_the_other() {
        let listener = listen_tcp(LOOPBACK, &Listening::default()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        if !options_are_inherited() {
            apply_tcp_options(&accepted, &TcpOptions::default()).unwrap();
        }
        let accepted = SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().unwrap() && accepted.keepalive().unwrap());
        assert!(system::has_tcp_options(&accepted, &TcpOptions::default()).unwrap());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_listener_that_ignores_newcomers_still_gives_who_is_in_its_queue() {
        let listener = listen_tcp(LOOPBACK, &Listening::default()).unwrap();
        let address = listener.local_addr().unwrap();
        let mut early = TcpStream::connect(address).unwrap();
        ignore_newcomers(listener.as_fd());
        let late = TcpStream::connect_timeout(&address, Duration::from_millis(100));
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut, "it is not even refused");
        let (mut accepted, _) = listener.accept().unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        accepted.write_all(b"hello").unwrap();
        let mut bytes = [0; 5];
        early.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"hello");
        stop_listening(listener.as_fd());
        let refused = TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_inherits_and_does_what_was_asked() {
        assert!(options_are_inherited());
        let tcp = TcpOptions { defer_accept_seconds: Some(5), nodelay: false, ..TcpOptions::default() };
        let listener = listen_tcp(LOOPBACK, &Listening { tcp, ..Listening::default() }).unwrap();
        let socket = SockRef::from(&listener);
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), 512 * 1024);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(30)));
        assert!(!socket.tcp_nodelay().unwrap());
        assert!(system::deferred_accept(&socket).unwrap() >= 5);
    }

    #[test]
    fn all_addresses_means_both_families_when_asked() {
        let options = Listening { dual_stack: true, ..Listening::default() };
        // Not every machine has IPv6.
        let Ok(listener) = listen_tcp("[::]:0".parse().unwrap(), &options) else { return };
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    }
}
