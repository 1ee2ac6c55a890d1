//! [`Listener`]: a listening socket that workers share. [`Acceptor`]: one worker's ear on it.
//!
//! ```text
//!  Listener::open(":8080", 2) ──┬── Arc<Listener> ◄── Acceptor of worker 0
//!                               └── Arc<Listener> ◄── Acceptor of worker 1
//! ```
//! Where the system balances, every worker gets a socket of its own; elsewhere, and for a socket file or a
//! socket that somebody else has opened, all get the same one. Any worker may accept from any listener: an
//! empty queue is no error. The socket outlives its listener where another, [on other
//! terms](Listener::on), takes its place.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::tls::{Tls, TlsStream};
use super::{
    AcceptError, Family, Link, ListenAddr, Listening, Proxied, ProxyProtocol, SHORT_READ_DRAINS, Stream,
    TcpOptions, Transport as _, Versions,
};
use crate::sys::accept::accept;
use crate::sys::activation::{self, Place, duplicate};
use crate::sys::socket::{
    REUSEPORT_BALANCES, apply_tcp_options, check_address_is_free, ignore_newcomers, listen_tcp,
    options_are_inherited, set_backlog, stop_listening,
};
use crate::sys::socket_file::{SocketFile, listen_unix};

/// A listening socket, and the terms on which one comes in. Its connections are non-blocking and have their
/// options.
#[derive(Debug)]
pub struct Listener {
    queue: Arc<Queue>,
    terms: Terms,
}

/// What the connections of a listener begin with.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// What they are encrypted with.
    pub tls: Option<Tls>,
    /// Who may announce their clients.
    pub proxies: Option<ProxyProtocol>,
    /// What is spoken on them.
    pub versions: Versions,
    /// Whether whoever comes here is sent to where it is encrypted.
    pub to_https: bool,
}

/// A listener that was given up, seen from outside.
#[derive(Debug)]
pub struct Leaving {
    address: ListenAddr,
    queue: Weak<Queue>,
}

/// The socket.
#[derive(Debug)]
struct Queue {
    // Before the socket: nobody should find a file that nobody answers on.
    file: Mutex<Option<SocketFile>>,
    socket: OwnedFd,
    family: Family,
    address: ListenAddr,
    /// Whoever has opened the socket keeps it, and its queue, for whoever comes next.
    is_borrowed: bool,
    /// Set on every connection, where connections do not inherit them.
    options: Option<TcpOptions>,
}

impl Listener {
    /// Listens on `address` for this many workers: worker `i` should register the `i`th listener.
    /// `options.reuse_port` and `options.dual_stack` are decided here.
    ///
    /// # Errors
    /// What the system refuses, under its kind, in words that say what to do.
    pub fn open(address: &ListenAddr, workers: usize, options: &Listening) -> io::Result<Vec<Arc<Self>>> {
        let opened = match address {
            ListenAddr::Tcp(at) => Self::open_tcp(*at, workers, options, false),
            ListenAddr::Everywhere { port } => Self::open_everywhere(*port, workers, options),
            ListenAddr::Unix(path) => Self::open_unix(path, workers, options),
            ListenAddr::Descriptor(number) => {
                duplicate(*number).and_then(|socket| Self::open_adopted(socket, workers, options))
            }
        };
        opened.map_err(|error| explain(error, address))
    }

    /// Takes over a socket that listens already, for this many workers, who share it: it is not shut down by
    /// [`Listener::stop`]. Of the options its connections get those of TCP.
    ///
    /// # Errors
    /// `InvalidInput` if it is no listening stream socket, and what the system refuses.
    pub fn adopt(socket: OwnedFd, workers: usize, options: &Listening) -> io::Result<Vec<Arc<Self>>> {
        let number = socket.as_raw_fd();
        Self::open_adopted(socket, workers, options)
            .map_err(|error| explain(error, &ListenAddr::Descriptor(number)))
    }

    /// The same socket on other terms: they are those of all connections that are accepted from it.
    #[must_use]
    pub fn on(&self, terms: Terms) -> Arc<Self> {
        Arc::new(Self { queue: Arc::clone(&self.queue), terms })
    }

    /// On which terms one comes in.
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Whether both are the same socket.
    pub fn has_queue_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.queue, &other.queue)
    }

    /// Whether somebody else has opened the socket.
    pub fn is_borrowed(&self) -> bool {
        self.queue.is_borrowed
    }

    /// Changes how many connections may wait; a socket that somebody else has opened stays as it is.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn set_backlog(&self, connections: u32) -> io::Result<()> {
        if self.queue.is_borrowed { Ok(()) } else { set_backlog(self.queue.socket.as_fd(), connections) }
    }

    /// Takes the next connection from the queue.
    ///
    /// # Errors
    /// See [`AcceptError`].
    #[inline]
    pub fn accept(&self) -> Result<Link, AcceptError> {
        let socket = accept(self.queue.socket.as_fd())?;
        if let Some(options) = &self.queue.options {
            // A connection that was reset meanwhile refuses them; its first read will tell.
            let _ = apply_tcp_options(&socket, options);
        }
        let stream = Stream::from_fd(socket, self.queue.family);
        let expect = self.terms.proxies.as_ref().map(|proxies| proxies.expect_of(stream.peer()));
        let Some(tls) = &self.terms.tls else {
            return Ok(match expect {
                None => Link::Plain(stream),
                Some(expect) => Link::Proxied(Box::new(Proxied::plain(stream, expect))),
            });
        };
        match (TlsStream::new(stream, tls, self.terms.versions).map(Box::new), expect) {
            (Ok(stream), None) => Ok(Link::Tls(stream)),
            (Ok(stream), Some(expect)) => Ok(Link::Proxied(Box::new(Proxied::tls(stream, expect)))),
            (Err(error), _) => {
                log::error!("a connection cannot be encrypted: {error}");
                Err(AcceptError::Aborted)
            }
        }
    }

    /// Lets in whoever has come so far, and nobody who comes from now on: the file of a Unix socket goes,
    /// and a port does not hear newcomers, as far as the system can do that. Who is in the queue is still
    /// to be accepted. A socket that somebody else has opened is left to them.
    pub fn leave(&self) -> Leaving {
        let Queue { file, socket, address, is_borrowed, .. } = &*self.queue;
        if !is_borrowed {
            drop(file.lock().unwrap_or_else(PoisonError::into_inner).take());
            ignore_newcomers(socket.as_fd());
        }
        Leaving { address: address.clone(), queue: Arc::downgrade(&self.queue) }
    }

    /// Ends the queue for every copy of the socket, also those in other descriptor tables: whoever comes
    /// now is refused and can go elsewhere. (Where the system does not know this, closing the last copy
    /// does it.) A socket that somebody else has opened is left to them.
    pub fn stop(&self) {
        if !self.queue.is_borrowed {
            stop_listening(self.queue.socket.as_fd());
        }
    }

    /// Where it listens, with the port that the system chose.
    pub fn local_addr(&self) -> &ListenAddr {
        &self.queue.address
    }

    /// Where clients find it: its address, with the scheme that they speak there.
    pub fn url(&self) -> String {
        let address = self.queue.address.to_string();
        match address.strip_prefix("http:") {
            Some(rest) if self.terms.tls.is_some() => format!("https:{rest}"),
            _ => address,
        }
    }

    fn open_everywhere(port: u16, workers: usize, options: &Listening) -> io::Result<Vec<Arc<Self>>> {
        let every_v6 = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port));
        match Self::open_tcp(every_v6, workers, options, true) {
            Err(error)
                if matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) =>
            {
                Err(error)
            }
            // No IPv6 here, or none that takes IPv4 along.
            Err(_) => Self::open_tcp((Ipv4Addr::UNSPECIFIED, port).into(), workers, options, false),
            opened => opened,
        }
    }

    fn open_tcp(
        mut at: SocketAddr,
        workers: usize,
        options: &Listening,
        dual_stack: bool,
    ) -> io::Result<Vec<Arc<Self>>> {
        let sockets = if REUSEPORT_BALANCES { workers.max(1) } else { 1 };
        // Also a single one: another may take over its port.
        let options = Listening { reuse_port: REUSEPORT_BALANCES, dual_stack, ..options.clone() };
        if at.port() != 0 && !options.takes_over {
            check_address_is_free(at, dual_stack)?;
        }
        let mut opened = Vec::with_capacity(workers);
        for _ in 0..sockets {
            let socket = listen_tcp(at, &options)?;
            at = socket.local_addr()?;
            opened.push(Arc::new(Self::tcp(socket, at, &options)));
        }
        Ok(for_all(opened, workers))
    }

    fn tcp(socket: TcpListener, at: SocketAddr, options: &Listening) -> Self {
        let address = match options.dual_stack {
            true => ListenAddr::Everywhere { port: at.port() },
            false => ListenAddr::Tcp(at),
        };
        Self::of(Queue {
            file: Mutex::default(),
            socket: socket.into(),
            family: Family::Ip,
            address,
            is_borrowed: false,
            options: (!options_are_inherited()).then(|| options.tcp.clone()),
        })
    }

    fn open_unix(path: &Path, workers: usize, options: &Listening) -> io::Result<Vec<Arc<Self>>> {
        let socket = listen_unix(path, options.backlog, options.socket_file_mode)?;
        let listener = Self::of(Queue {
            file: Mutex::new(Some(SocketFile::new(path)?)),
            socket: socket.into(),
            family: Family::Unix,
            address: ListenAddr::Unix(path.to_owned()),
            is_borrowed: false,
            options: None,
        });
        Ok(for_all(vec![Arc::new(listener)], workers))
    }

    fn open_adopted(socket: OwnedFd, workers: usize, options: &Listening) -> io::Result<Vec<Arc<Self>>> {
        let (family, address) = match activation::adopt(socket.as_fd())? {
            Place::Ip { at, dual_stack } if dual_stack && at.ip().is_unspecified() => {
                (Family::Ip, ListenAddr::Everywhere { port: at.port() })
            }
            Place::Ip { at, .. } => (Family::Ip, ListenAddr::Tcp(at)),
            Place::Unix(path) => (Family::Unix, ListenAddr::Unix(path)),
        };
        let mut own_options = None;
        if family == Family::Ip {
            apply_tcp_options(&socket, &options.tcp)?;
            own_options = (!options_are_inherited()).then(|| options.tcp.clone());
        }
        let (file, options) = (Mutex::default(), own_options);
        let listener = Self::of(Queue { file, socket, family, address, is_borrowed: true, options });
        Ok(for_all(vec![Arc::new(listener)], workers))
    }

    fn of(queue: Queue) -> Self {
        Self { queue: Arc::new(queue), terms: Terms::default() }
    }
}

impl Terms {
    /// Whether both are the same to a client.
    pub fn are(&self, others: &Self) -> bool {
        let is_same_tls = match (&self.tls, &others.tls) {
            (Some(own), Some(other)) => own.is(other),
            (None, None) => true,
            _ => false,
        };
        is_same_tls
            && self.proxies == others.proxies
            && self.versions == others.versions
            && self.to_https == others.to_https
    }
}

impl Leaving {
    /// Where it has listened.
    pub const fn address(&self) -> &ListenAddr {
        &self.address
    }

    /// Whether the socket is closed.
    pub fn is_over(&self) -> bool {
        self.queue.strong_count() == 0
    }
}

/// As many as there are workers: the last is shared by those for whom there was none.
fn for_all(mut opened: Vec<Arc<Listener>>, workers: usize) -> Vec<Arc<Listener>> {
    if let Some(last) = opened.last().cloned() {
        opened.resize(workers.max(1), last);
    }
    opened
}

/// The error in words for whoever typed the address.
fn explain(error: io::Error, address: &ListenAddr) -> io::Error {
    let port = address.socket_addr().map(|at| at.port());
    let advice = match (error.kind(), port) {
        (io::ErrorKind::AddrInUse, None) => {
            "another server answers there: stop it, or choose another path".into()
        }
        (io::ErrorKind::AddrInUse, Some(_)) => {
            "the address is in use: stop the server that has it, or choose another port".into()
        }
        (io::ErrorKind::PermissionDenied, Some(port @ 1..1024)) => format!(
            "port {port} takes a permission that you do not have: choose one above 1023, or grant it, on Linux \
             with `setcap cap_net_bind_service=+ep` on the program"
        ),
        (io::ErrorKind::AddrNotAvailable, Some(_)) => {
            "this machine has no such address: choose one of its own, or :PORT for all of them".into()
        }
        (io::ErrorKind::NotFound, None) => "its folder does not exist: create it first".into(),
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("cannot listen on {address}: {advice}"))
}

/// One worker's registration for a [`Listener`]. Deregister it before it is dropped: the socket behind it
/// lives on with the other workers.
pub struct Acceptor {
    listener: Arc<Listener>,
    /// mio's `poll` back-end is silent after an event until it is asked again.
    again: Option<(Registry, Token)>,
}

impl Acceptor {
    /// An acceptor that is not registered yet.
    pub const fn new(listener: Arc<Listener>) -> Self {
        Self { listener, again: None }
    }

    /// Accepts on the terms of `listener` from now on, which has the same socket.
    pub fn turn_to(&mut self, listener: Arc<Listener>) {
        debug_assert!(self.listener.has_queue_of(&listener), "another socket has to be registered");
        self.listener = listener;
    }

    /// What it accepts from.
    pub const fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }

    /// Takes the next connection. The next event comes only after [`AcceptError::Empty`].
    ///
    /// # Errors
    /// See [`AcceptError`].
    #[inline]
    pub fn accept(&self) -> Result<Link, AcceptError> {
        let result = self.listener.accept();
        if let (Some((registry, token)), Err(AcceptError::Empty)) = (&self.again, &result) {
            self.source(|mut source| source.reregister(registry, *token, Interest::READABLE))
                .map_err(AcceptError::Fatal)?;
        }
        result
    }

    fn source<T>(&self, then: impl FnOnce(SourceFd<'_>) -> T) -> T {
        then(SourceFd(&self.listener.queue.socket.as_raw_fd()))
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Source for Acceptor {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.source(|mut source| source.register(registry, token, interests))?;
        // The one back-end that is asked again is also the one whose readiness a short read does not drain.
        self.again = if SHORT_READ_DRAINS { None } else { Some((registry.try_clone()?, token)) };
        Ok(())
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.source(|mut source| source.reregister(registry, token, interests))?;
        if let Some((_, known)) = &mut self.again {
            *known = token;
        }
        Ok(())
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.again = None;
        self.source(|mut source| source.deregister(registry))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpStream as Client;
    use std::os::unix::net::UnixStream as UnixClient;

    use super::*;
    use crate::net::{Peer, Transport};
    use crate::sys::scratch::Scratch;
    use crate::wire::Output;

    fn open(text: &str, workers: usize) -> io::Result<Vec<Arc<Listener>>> {
        Listener::open(&text.parse().unwrap(), workers, &Listening::default())
    }

    fn port_of(listener: &Listener) -> u16 {
        listener.local_addr().socket_addr().unwrap().port()
    }

    /// Accepts from whichever listener the system chose.
    fn accept_soon(listeners: &[Arc<Listener>]) -> Link {
        loop {
            for listener in listeners {
                match listener.accept() {
                    Ok(stream) => return stream,
                    Err(AcceptError::Empty) => std::thread::yield_now(),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    #[test]
    fn every_worker_listens_on_the_same_port_and_any_may_accept() {
        let listeners = open("127.0.0.1:0", 3).unwrap();
        assert_eq!(listeners.len(), 3);
        let port = port_of(&listeners[0]);
        assert!(listeners.iter().all(|listener| port_of(listener) == port));
        for _ in 0..20 {
            let mut client = Client::connect(("127.0.0.1", port)).unwrap();
            client.write_all(b"hello").unwrap();
            let mut stream = accept_soon(&listeners);
            assert_eq!(stream.peer(), Peer::Ip(client.local_addr().unwrap()));
            let mut buffer = [0; 8];
            while stream.read(&mut buffer, &mut Output::default()).is_err() {}
            assert_eq!(&buffer[..5], b"hello");
        }
    }

    #[test]
    fn an_address_in_use_is_refused_though_workers_share_it() {
        let listeners = open("127.0.0.1:0", 2).unwrap();
        let address = listeners[0].local_addr().clone();
        let refusal = Listener::open(&address, 2, &Listening::default()).unwrap_err();
        assert_eq!(refusal.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(
            refusal.to_string(),
            format!(
                "cannot listen on {address}: the address is in use: stop the server that has it, or choose another port"
            )
        );
    }

    #[test]
    fn a_drained_listener_is_announced_again() {
        let mut poll = mio::Poll::new().unwrap();
        let mut events = mio::Events::with_capacity(4);
        let listeners = open("127.0.0.1:0", 1).unwrap();
        let mut acceptor = Acceptor::new(Arc::clone(&listeners[0]));
        poll.registry().register(&mut acceptor, Token(5), Interest::READABLE).unwrap();
        for _ in 0..3 {
            let _clients = [(); 2].map(|()| Client::connect(("127.0.0.1", port_of(&listeners[0]))).unwrap());
            let mut accepted = 0;
            while accepted < 2 {
                poll.poll(&mut events, Some(std::time::Duration::from_secs(10))).unwrap();
                assert!(events.iter().any(|event| event.token() == Token(5)));
                while acceptor.accept().is_ok() {
                    accepted += 1;
                }
            }
        }
        poll.registry().deregister(&mut acceptor).unwrap();
    }

    #[test]
    fn everywhere_is_reached_over_ipv4() {
        let listeners = open(":0", 1).unwrap();
        let _client = Client::connect(("127.0.0.1", port_of(&listeners[0]))).unwrap();
        drop(accept_soon(&listeners));
    }

    #[test]
    fn an_address_of_another_machine_is_explained() {
        let refusal = open("192.0.2.1:8080", 1).unwrap_err();
        assert_eq!(refusal.kind(), io::ErrorKind::AddrNotAvailable);
        assert!(refusal.to_string().contains("this machine has no such address"), "{refusal}");
    }

    #[test]
    fn a_port_without_permission_is_explained() {
        let refusal = explain(io::ErrorKind::PermissionDenied.into(), &ListenAddr::Everywhere { port: 80 });
        assert!(refusal.to_string().contains("port 80 takes a permission"), "{refusal}");
    }

    #[test]
    fn a_socket_file_is_shared_and_goes_with_the_last_worker() {
        let scratch = Scratch::new("listener");
        let path = scratch.join("socket");
        let listeners = open(&format!("unix:{}", path.display()), 2).unwrap();
        assert!(listeners[0].has_queue_of(&listeners[1]));
        let _client = UnixClient::connect(&path).unwrap();
        assert_eq!(accept_soon(&listeners).peer(), Peer::Unix);
        let kept = Arc::clone(&listeners[0]);
        drop(listeners);
        assert!(path.exists());
        drop(kept);
        assert!(!path.exists());

        let listeners = open(&format!("unix:{}", path.display()), 2).unwrap();
        let _early = UnixClient::connect(&path).unwrap();
        let leaving = listeners[0].leave();
        assert!(!path.exists() && UnixClient::connect(&path).is_err());
        assert_eq!(accept_soon(&listeners).peer(), Peer::Unix);
        let again = open(&format!("unix:{}", path.display()), 2).unwrap();
        assert!(!leaving.is_over());
        drop(listeners);
        assert!(leaving.is_over() && path.exists(), "the file is another's");
        drop(again);

        let refusal = open("unix:/no/such/folder/kolk.sock", 1).unwrap_err();
        assert!(refusal.to_string().contains("its folder does not exist"), "{refusal}");
    }
}
