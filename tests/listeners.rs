//! LISTENERS COME AND GO WHILE THE SERVER RUNS: nobody who has connected is lost, and what stays is not
//! touched.
//!
//! ```text
//!  in the kernel's queue ──── leave ────► let in and answered ──► the socket is closed
//!  let in before               │     ───► lives on
//!  newcomers                   └─ ─ ─ ──► refused
//! ```

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "tls/identity.rs"]
mod identity;
mod support;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use kolk::{
    App, ClientAuth, ListenAddr, ListenOptions, ProxyProtocol, Request, Response, Running, Server, Tls,
    Workers,
};
use rustls::HandshakeKind;
use rustls::version::TLS13;

use identity::{Authority, Encrypted, Identity};
use support::scratch::Scratch;
use support::{Client, Gate, GateKeeper, PATIENCE, address, alone, dawdle, get, start, until};

fn says(text: &'static str) -> App {
    App::new().get("/", move |_: &Request<'_>| Response::text(text))
}

/// What `GET /gate` holds up the worker with.
struct Hold {
    gate: Gate,
    _keeper: GateKeeper,
    is_held: Arc<AtomicBool>,
}

impl Hold {
    fn new() -> (Self, App) {
        let (gate, _keeper) = Gate::new();
        let is_held = Arc::new(AtomicBool::new(false));
        let (passing, held) = (gate.clone(), Arc::clone(&is_held));
        let app = says("hello\n").get("/gate", move |_: &Request<'_>| {
            held.store(true, SeqCst);
            passing.pass();
            Response::text("passed\n")
        });
        (Self { gate, _keeper, is_held }, app)
    }

    /// The client that holds up the only worker at `place`.
    fn up(&self, place: SocketAddr) -> Client {
        let mut client = Client::at(place);
        client.send(get("/gate"));
        until("the worker is held up", || self.is_held.load(SeqCst));
        client
    }
}

fn at(address: &ListenAddr) -> SocketAddr {
    address.socket_addr().unwrap()
}

/// Whether nobody listens there any more.
fn is_closed(address: &ListenAddr) -> bool {
    let refused = TcpStream::connect_timeout(&at(address), PATIENCE);
    refused.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn a_listener_that_is_added_is_heard_and_one_that_is_given_up_is_closed() {
    let server = start(alone(says("hello\n")).workers(Workers::Exactly(2)));
    let handle = server.handle();
    let mut first = Client::to(&server);
    assert_eq!(first.get("/").text(), "hello\n");
    let added = handle.listen("127.0.0.1:0").unwrap();
    assert_eq!(handle.addrs(), [server.addrs()[0].clone(), added.clone()]);
    // The kernel spreads them over both workers.
    let mut clients: Vec<Client> = (0..32).map(|_| Client::at(at(&added))).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "hello\n");
    }
    assert_eq!((server.snapshot().accepts, server.snapshot().replacements), (33, 0));
    assert!(handle.leave(&added).unwrap());
    assert_eq!(handle.addrs(), server.addrs());
    until("it is closed", || is_closed(&added));
    for client in clients.iter_mut().chain([&mut first]) {
        assert_eq!(client.get("/").text(), "hello\n", "who has come in stays");
    }
    assert!(!handle.leave(&added).unwrap(), "it is none any more");
}

#[test]
fn who_is_in_the_queue_of_a_listener_that_is_given_up_is_served() {
    let (hold, app) = Hold::new();
    let server = start(alone(app));
    let handle = server.handle();
    let added = handle.listen("127.0.0.1:0").unwrap();
    let mut before = Client::at(at(&added));
    assert_eq!(before.get("/").text(), "hello\n");
    let mut busy = hold.up(address(&server));
    // Nobody accepts them: the kernel has let them in.
    let mut waiting: Vec<Client> = (0..50).map(|_| Client::at(at(&added))).collect();
    waiting.iter_mut().for_each(|client| client.send(get("/")));
    assert!(handle.leave(&added).unwrap());
    hold.gate.open();
    for client in &mut waiting {
        assert_eq!(client.answer().text(), "hello\n");
    }
    assert_eq!(busy.answer().text(), "passed\n");
    assert_eq!(server.snapshot().accepts, 52);
    until("it is closed", || is_closed(&added));
    assert_eq!(before.get("/").text(), "hello\n");
}

/// Ends what goes on until then, however a test ends.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Twenty listeners one after the other, each with clients that come and ask as fast as they can until nobody
/// listens any more, beside some that never leave. A connection that was made is answered, whenever it was.
#[cfg(target_os = "linux")]
#[test]
fn twenty_listeners_under_load_come_and_go_and_lose_nobody() {
    let server = start(alone(says("hello\n")).workers(Workers::Exactly(2)).max_connections(4_096));
    let (handle, home, ended) = (server.handle(), address(&server), AtomicBool::new(false));
    let asked = AtomicU64::new(0);
    let ask = |client: &mut Client| {
        assert_eq!(client.get("/").text(), "hello\n");
        asked.fetch_add(1, SeqCst);
    };
    let come_and_go = |place: SocketAddr, mut kept: Client| {
        let end = loop {
            let stream = match TcpStream::connect_timeout(&place, PATIENCE) {
                Ok(stream) => stream,
                Err(error) => break error.kind(),
            };
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            ask(&mut Client::over(stream));
            ask(&mut kept);
        };
        assert_eq!(end, ErrorKind::ConnectionRefused);
        ask(&mut kept);
    };
    thread::scope(|scope| {
        let _end = Ending(&ended);
        for _ in 0..2 {
            scope.spawn(|| {
                let mut client = Client::at(home);
                while !ended.load(SeqCst) {
                    ask(&mut client);
                }
            });
        }
        let visitors: Vec<_> = (0..20)
            .flat_map(|_| {
                let added = handle.listen("127.0.0.1:0").unwrap();
                let place = at(&added);
                let visitors = [(); 3].map(|()| Client::at(place));
                let visitors = visitors.map(|kept| scope.spawn(move || come_and_go(place, kept)));
                let before = asked.load(SeqCst);
                until("they ask", || asked.load(SeqCst) > before + 20);
                assert!(handle.leave(&added).unwrap());
                visitors
            })
            .collect();
        for visitor in visitors {
            visitor.join().unwrap();
        }
    });
    assert_eq!(server.snapshot().requests(), asked.load(SeqCst), "each of them was answered once");
    assert_eq!(handle.addrs(), server.addrs());
}

#[test]
fn a_port_that_was_given_up_can_be_had_again() {
    let server = start(alone(says("hello\n")).workers(Workers::Exactly(2)));
    let handle = server.handle();
    let added = handle.listen("127.0.0.1:0").unwrap();
    for _ in 0..2 {
        let mut client = Client::at(at(&added));
        assert_eq!(client.get("/").text(), "hello\n");
        assert!(handle.leave(&added).unwrap());
        // Which waits for the sockets to be closed.
        assert_eq!(handle.listen(&at(&added).to_string()).unwrap(), added);
        assert_eq!(client.get("/").text(), "hello\n");
    }
    assert_eq!(Client::at(at(&added)).get("/").text(), "hello\n");
}

#[test]
fn the_file_of_a_socket_goes_at_once_and_who_is_in_its_queue_does_not() {
    let (hold, app) = Hold::new();
    let server = start(alone(app));
    let scratch = Scratch::new("listeners");
    let (handle, path) = (server.handle(), scratch.join("socket"));
    let place = format!("unix:{}", path.display());
    let added = handle.listen(&place).unwrap();
    let _busy = hold.up(address(&server));
    let mut waiting = Client::over(UnixStream::connect(&path).unwrap());
    waiting.send(get("/"));
    assert!(handle.leave(&added).unwrap());
    assert!(!path.exists());
    // Another one of the same name has nothing to do with it.
    handle.listen(&place).unwrap();
    let mut later = Client::over(UnixStream::connect(&path).unwrap());
    later.send(get("/"));
    hold.gate.open();
    assert_eq!(waiting.answer().text(), "hello\n");
    assert_eq!(later.answer().text(), "hello\n");
    dawdle(Duration::from_secs(1));
    assert!(path.exists(), "the end of the first one leaves it alone");
    assert_eq!(Client::over(UnixStream::connect(&path).unwrap()).get("/").text(), "hello\n");
}

#[test]
fn a_socket_of_somebody_else_is_left_to_them() {
    let opened = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = opened.local_addr().unwrap();
    let (hold, app) = Hold::new();
    let server = start(alone(app).listen_fd(opened.try_clone().unwrap().into()));
    let handle = server.handle();
    assert_eq!(Client::at(place).get("/").text(), "hello\n");
    let mut busy = hold.up(at(&handle.addrs()[1]));
    assert!(handle.leave(&ListenAddr::Tcp(place)).unwrap());
    let waiting = Client::at(place);
    hold.gate.open();
    assert_eq!(busy.answer().text(), "passed\n");
    assert_eq!(busy.get("/").text(), "hello\n");
    opened.set_nonblocking(false).unwrap();
    let (_accepted, from) = opened.accept().unwrap();
    assert_eq!(from, waiting.stream.local_addr().unwrap(), "it waits for whoever serves it next");
}

// ── As a whole ──────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_server_becomes_another_one_and_what_stays_is_not_touched() {
    let server = start(alone(says("one\n")));
    let handle = server.handle();
    let gone = handle.listen("127.0.0.1:0").unwrap();
    let mut kept = Client::to(&server);
    assert_eq!(kept.get("/").text(), "one\n");
    // Both were asked for so.
    let two = Server::new(says("two\n")).listen("127.0.0.1:0").unwrap().listen("127.0.0.1:0").unwrap();
    let stay = handle.renew(two.workers(Workers::Exactly(7))).unwrap();
    assert_eq!(stay, ["workers", "connections_max"]);
    assert_eq!(handle.addrs(), [server.addrs()[0].clone(), gone.clone()]);
    until("the new app answers", || kept.get("/").text() == "two\n");
    // One by where it is, and another one.
    let three = Server::new(says("three\n")).listen(&address(&server).to_string()).unwrap();
    let scratch = Scratch::new("renewed");
    let file = format!("unix:{}", scratch.join("socket").display());
    handle.renew(three.listen(&file).unwrap()).unwrap();
    assert_eq!(handle.addrs(), [server.addrs()[0].clone(), file.parse().unwrap()]);
    let mut added = Client::over(UnixStream::connect(scratch.join("socket")).unwrap());
    assert_eq!(added.get("/").text(), "three\n", "from the first on");
    until("it is closed", || is_closed(&gone));
    assert_eq!(kept.get("/").text(), "three\n");
    // Who says nothing of where to listen changes nothing there.
    let here = handle.addrs();
    handle.renew(Server::new(says("four\n"))).unwrap();
    assert_eq!(handle.addrs(), here);
    until("the new app answers", || Client::to(&server).get("/").text() == "four\n");
    assert_eq!(server.snapshot().replacements, 3);
}

#[test]
fn all_of_it_or_nothing() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    let scratch = Scratch::new("all-or-nothing");
    let server = start(alone(says("one\n")));
    let handle = server.handle();
    let mut client = Client::to(&server);
    let file = format!("unix:{}", scratch.join("socket").display());
    let two = Server::new(says("two\n")).listen(&file).unwrap().listen(&taken).unwrap();
    let error = handle.renew(two).unwrap_err().to_string();
    let expected = format!("cannot listen on http://{taken}: the address is in use: stop the server");
    assert!(error.starts_with(&expected), "{error}");
    assert!(!scratch.join("socket").exists(), "what could be had is given back");
    assert_eq!(handle.addrs(), server.addrs());
    assert_eq!(client.get("/").text(), "one\n");
    assert_eq!(Client::to(&server).get("/").text(), "one\n");
    // This server's own is named.
    let port = address(&server).port();
    let error = handle.listen(&format!(":{port}")).unwrap_err().to_string();
    assert!(error.ends_with(&format!("this server listens on {}", server.addrs()[0])), "{error}");
    let error = handle.listen("fd:0").unwrap_err().to_string();
    assert!(error.contains("only a start takes a socket by its number"), "{error}");
    assert_eq!(server.snapshot().replacements, 0);
}

/// From one address of the machine to all of them: nobody is refused meanwhile.
#[cfg(target_os = "linux")]
#[test]
fn a_port_is_taken_over_by_another_listener_of_the_same_server() {
    for workers in [1, 2] {
        let server = start(alone(says("one\n")).workers(Workers::Exactly(workers)));
        let (handle, place, ended) = (server.handle(), address(&server), AtomicBool::new(false));
        thread::scope(|scope| {
            let end = Ending(&ended);
            let visitor = scope.spawn(|| {
                let mut heard = Vec::new();
                while !ended.load(SeqCst) {
                    heard.push(Client::at(place).get("/").text().to_owned());
                }
                heard.dedup();
                heard
            });
            until("somebody comes", || server.snapshot().accepts > 10);
            let everywhere = format!(":{}", place.port());
            handle.renew(Server::new(says("two\n")).listen(&everywhere).unwrap()).unwrap();
            assert_eq!(handle.addrs(), [everywhere.parse().unwrap()]);
            let before = server.snapshot().accepts;
            until("others come", || server.snapshot().accepts > before + 100);
            drop(end);
            assert_eq!(visitor.join().unwrap().last().unwrap(), "two\n");
        });
        assert_eq!(
            handle.listen(&place.to_string()).unwrap_err().to_string(),
            format!("cannot listen on http://{place}: this server listens on {}", handle.addrs()[0])
        );
    }
}

#[test]
fn other_ways_count_for_new_connections_of_the_same_socket() {
    let server = start(alone(
        App::new().get("/", |request: &Request<'_>| Response::text(format!("{:?}\n", request.peer()))),
    ));
    let handle = server.handle();
    let place = address(&server).to_string();
    let mut before = Client::to(&server);
    let own = before.get("/").text().to_owned();
    let proxies = ProxyProtocol::required().network("127.0.0.0/8").unwrap();
    let proxied = ListenOptions::default().proxy_protocol(proxies).backlog(16);
    let app =
        || App::new().get("/", |request: &Request<'_>| Response::text(format!("{:?}\n", request.peer())));
    handle.renew(Server::new(app()).listen_with(&place, proxied).unwrap()).unwrap();
    let announced = "PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n";
    until("a header is asked for", || {
        let mut client = Client::to(&server);
        let sent = client.try_send(format!("{announced}{}", get("/")));
        sent && client.answer().text().contains("203.0.113.7:56324")
    });
    assert_eq!(before.get("/").text(), own, "who has come in before is who it was");
    handle.renew(Server::new(app()).listen(&place).unwrap()).unwrap();
    until("none is asked for any more", || {
        let mut client = Client::to(&server);
        client.try_send(get("/")) && client.is_served()
    });
    assert_eq!(handle.addrs(), server.addrs());
}

#[test]
fn who_cannot_change_where_it_listens_says_so() {
    let server = start(alone(says("hello\n")).private_descriptors(true));
    let error = server.handle().listen("127.0.0.1:0").unwrap_err().to_string();
    assert!(error.starts_with("cannot replace the listeners: each worker has a descriptor table"), "{error}");
    let another = Server::new(says("two\n")).listen("127.0.0.1:0").unwrap();
    assert_eq!(server.handle().renew(another).unwrap_err().to_string(), error);
    assert!(server.handle().leave(&server.addrs()[0]).is_err());
    assert_eq!(Client::to(&server).get("/").text(), "hello\n");

    let server = start(alone(says("hello\n")));
    let handle = server.handle();
    server.drain(PATIENCE);
    let error = handle.listen("127.0.0.1:0").unwrap_err().to_string();
    assert_eq!(error, "cannot replace the listeners: the server is about to end");
    server.join().unwrap();
    assert_eq!(handle.addrs(), []);
    handle.listen("127.0.0.1:0").unwrap_err();
}

/// What is left of a listener when the server ends: nothing.
#[test]
fn a_drain_closes_what_was_added_and_what_was_given_up() {
    let server = start(alone(says("hello\n")).workers(Workers::Exactly(2)));
    let handle = server.handle();
    let added = handle.listen("127.0.0.1:0").unwrap();
    let gone = handle.listen("127.0.0.1:0").unwrap();
    let mut waiting = Client::at(at(&gone));
    handle.leave(&gone).unwrap();
    waiting.send(get("/"));
    assert_eq!(waiting.answer().text(), "hello\n");
    server.drain(PATIENCE);
    server.join().unwrap();
    assert!(is_closed(&added) && is_closed(&gone));
    // The sockets are closed, though somebody still has a handle.
    TcpListener::bind(at(&added)).unwrap();
    assert!(handle.is_ending());
}

// ── Certificates ────────────────────────────────────────────────────────────────────────────────────

fn tls(identity: &Identity) -> Tls {
    Tls::from_pem(identity.chain.as_bytes(), identity.key.as_bytes()).unwrap()
}

fn encrypted(server: &Running, config: &Arc<rustls::ClientConfig>) -> Client<Encrypted> {
    Client::over(identity::connect(address(server), config, "localhost", usize::MAX))
}

#[test]
fn new_handshakes_have_the_new_certificates() {
    let [one, two] = [(); 2].map(|()| Identity::new(&["localhost"]));
    let server = start(alone(says("one\n")).tls(&tls(&one)));
    let handle = server.handle();
    let place = address(&server).to_string();
    let (old, new) = (one.trusted_by(&[&TLS13]), two.trusted_by(&[&TLS13]));
    let mut kept = encrypted(&server, &old);
    assert_eq!(kept.get("/").text(), "one\n");
    handle.renew(Server::new(says("two\n")).listen(&place).unwrap().tls(&tls(&two))).unwrap();
    until("they are shown", || {
        let mut client = encrypted(&server, &new);
        client.try_send(get("/")) && client.answer().text() == "two\n"
    });
    assert_eq!(kept.get("/").text(), "two\n");
    assert!(
        handle.identity().unwrap().certificates()[0].fingerprint()
            != tls(&one).certificates()[0].fingerprint()
    );
    // And without any.
    handle.renew(Server::new(says("three\n")).listen(&place).unwrap()).unwrap();
    until("it is in the clear", || {
        let mut client = Client::to(&server);
        client.try_send(get("/")) && client.answer().status == 200
    });
    assert!(handle.identity().is_none());
    assert_eq!(kept.get("/").text(), "three\n", "this one is encrypted still");
}

#[test]
fn who_has_been_there_comes_back_to_another_certificate_but_not_past_another_authority() {
    let [one, two] = [(); 2].map(|()| Identity::new(&["localhost"]));
    let [known, other] = ["known", "other"].map(Authority::new);
    let server = start(alone(says("hello\n")).tls(&tls(&one)));
    let (handle, place) = (server.handle(), address(&server).to_string());
    let turn_into = |tls: &Tls| {
        let tls = tls.after(&handle.identity().unwrap());
        handle.renew(Server::new(says("hello\n")).listen(&place).unwrap().tls(&tls)).unwrap();
    };
    let is_let_in = |config: &Arc<rustls::ClientConfig>| {
        let mut client = encrypted(&server, config);
        client.try_send(get("/")) && client.is_served()
    };
    let kind = |config: &Arc<rustls::ClientConfig>| {
        let mut client = encrypted(&server, config);
        assert_eq!(client.get("/").text(), "hello\n");
        client.stream.conn.handshake_kind().unwrap()
    };
    let stranger = one.trusted_by(&[&TLS13]);
    assert_eq!([kind(&stranger), kind(&stranger)], [HandshakeKind::Full, HandshakeKind::Resumed]);
    turn_into(&tls(&two));
    until("it is another one", || is_let_in(&two.trusted_by(&[&TLS13])));
    assert_eq!(kind(&stranger), HandshakeKind::Resumed, "with the ticket that it has");

    // From now on clients have to show who they are: a ticket is not enough.
    let asks = |authority: &Authority| {
        tls(&two).client_auth(authority.pem.as_bytes(), ClientAuth::Required).unwrap()
    };
    turn_into(&asks(&known));
    until("no stranger is let in", || !is_let_in(&stranger));
    let ada = two.trusted_by_client(&[&TLS13], Some(&known.admit("ada")));
    assert_eq!([kind(&ada), kind(&ada)], [HandshakeKind::Full, HandshakeKind::Resumed]);
    turn_into(&asks(&other));
    until("nor is whoever another authority let in", || !is_let_in(&ada));
    assert!(is_let_in(&two.trusted_by_client(&[&TLS13], Some(&other.admit("ada")))));
}

#[test]
fn whoever_sends_to_https_follows() {
    let identity = Identity::new(&["localhost"]);
    let tls = tls(&identity);
    let server = alone(says("one\n")).tls(&tls).redirect_to_https("127.0.0.1:0").unwrap();
    let server = start(server);
    let handle = server.handle();
    let mut sent = Client::at(at(server.redirect_addr().unwrap()));
    let sent_to = |client: &mut Client| {
        let answer = client.get("/");
        assert_eq!(answer.status, 308);
        answer.field("location").unwrap().to_owned()
    };
    assert_eq!(sent_to(&mut sent), format!("https://test:{}/", address(&server).port()));
    // Another port for the one, and for the other.
    let [https, http] = [(); 2]
        .map(|()| TcpListener::bind("127.0.0.1:0").unwrap())
        .map(|free| free.local_addr().unwrap().port());
    let two = || Server::new(says("two\n")).tls(&tls).listen(&format!("127.0.0.1:{https}")).unwrap();
    handle.renew(two().redirect_to_https(&format!("127.0.0.1:{http}")).unwrap()).unwrap();
    let there = SocketAddr::from(([127, 0, 0, 1], http));
    until("it sends there", || sent_to(&mut Client::at(there)) == format!("https://test:{https}/"));
    until("who came before, too", || sent_to(&mut sent) == format!("https://test:{https}/"));
    until("the old one is closed", || is_closed(server.redirect_addr().unwrap()));
    // Nowhere any more.
    handle.renew(two()).unwrap();
    until("that one is closed", || is_closed(&ListenAddr::Tcp(there)));
    assert_eq!(handle.redirect_addr(), None);
    assert_eq!(sent_to(&mut sent), format!("https://test:{https}/"), "who has come in stays");
    // A certificate is needed for it.
    let plain = Server::new(says("two\n")).redirect_to_https("127.0.0.1:0").unwrap();
    assert!(handle.renew(plain).unwrap_err().to_string().contains("has no certificate"));
}

#[test]
fn sending_to_https_begins_while_the_server_runs_also_with_its_first_certificate() {
    let tls = tls(&Identity::new(&["localhost"]));
    let server = start(alone(says("one\n")).workers(Workers::Exactly(2)));
    let (handle, clear) = (server.handle(), address(&server));
    let mut before = Client::at(clear);
    assert_eq!(before.get("/").text(), "one\n");
    let in_the_clear = ListenOptions::default().in_the_clear();
    let two = || {
        let two = Server::new(says("two\n")).tls(&tls);
        two.listen_with(&clear.to_string(), in_the_clear.clone()).unwrap().listen("127.0.0.1:0").unwrap()
    };
    // All of it or nothing.
    let refused = Server::new(says("two\n")).tls(&tls).redirect_to_https("127.0.0.1:0").unwrap();
    let refused = refused.listen_with(&clear.to_string(), in_the_clear.clone()).unwrap();
    let error = handle.renew(refused).unwrap_err().to_string();
    assert!(error.ends_with("no listener is encrypted"), "{error}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = taken.local_addr().unwrap().to_string();
    let error = handle.renew(two().redirect_to_https(&place).unwrap()).unwrap_err().to_string();
    assert!(error.contains(&format!("cannot listen on http://{place}")), "{error}");
    assert_eq!((handle.redirect_addr(), handle.addrs().len()), (None, 1));
    assert_eq!(Client::at(clear).get("/").text(), "one\n");

    handle.renew(two().redirect_to_https("127.0.0.1:0").unwrap()).unwrap();
    let https = handle.addrs().iter().map(at).find(|place| *place != clear).unwrap().port();
    let there = at(&handle.redirect_addr().unwrap());
    for _ in 0..16 {
        // The kernel spreads them over both workers.
        let answer = Client::at(there).get("/a");
        assert_eq!(answer.field("location"), Some(&*format!("https://test:{https}/a")));
    }
    until("the new app answers", || before.get("/").text() == "two\n");
    assert_eq!(Client::at(clear).get("/").text(), "two\n");
}

/// A port of the app becomes one that sends to https, and the other way round: it is the same socket, and
/// whoever waits in its queue is answered as whoever comes later.
#[test]
fn a_port_is_handed_over_between_the_app_and_the_way_to_https() {
    let tls = tls(&Identity::new(&["localhost"]));
    let in_the_clear = || ListenOptions::default().in_the_clear();
    for is_sent_at_last in [true, false] {
        let (hold, app) = Hold::new();
        let server = alone(app).tls(&tls).listen("127.0.0.1:0").unwrap();
        let server = server.listen_with("127.0.0.1:0", in_the_clear()).unwrap();
        let server = match is_sent_at_last {
            true => server.listen_with("127.0.0.1:0", in_the_clear()).unwrap(),
            false => server.redirect_to_https("127.0.0.1:0").unwrap(),
        };
        let server = server.start().unwrap();
        let handle = server.handle();
        let (https, held) = (at(&server.addrs()[0]), at(&server.addrs()[1]));
        let moved = server.addrs().get(2).or_else(|| server.redirect_addr()).map(at).unwrap();
        let is_answered = |client: &mut Client, is_sent: bool| {
            let answer = client.answer();
            let place = format!("https://test:{}/", https.port());
            let expected = if is_sent { (308, Some(&*place)) } else { (200, None) };
            assert_eq!((answer.status, answer.field("location")), expected, "at last: {is_sent_at_last}");
        };
        let mut before = Client::at(moved);
        before.send(get("/"));
        is_answered(&mut before, !is_sent_at_last);
        let mut busy = hold.up(held);
        let mut waiting: Vec<Client> = (0..50).map(|_| Client::at(moved)).collect();
        waiting.iter_mut().for_each(|client| client.send(get("/")));
        let next = Server::new(says("two\n")).tls(&tls).listen(&https.to_string()).unwrap();
        let next = next.listen_with(&held.to_string(), in_the_clear()).unwrap();
        let next = match is_sent_at_last {
            true => next.redirect_to_https(&moved.to_string()).unwrap(),
            false => next.listen_with(&moved.to_string(), in_the_clear()).unwrap(),
        };
        handle.renew(next).unwrap();
        assert_eq!(handle.redirect_addr(), is_sent_at_last.then_some(ListenAddr::Tcp(moved)));
        hold.gate.open();
        assert_eq!(busy.answer().text(), "passed\n");
        for client in &mut waiting {
            is_answered(client, is_sent_at_last);
        }
        let mut later = Client::at(moved);
        later.send(get("/"));
        is_answered(&mut later, is_sent_at_last);
        before.send(get("/"));
        is_answered(&mut before, !is_sent_at_last);
        assert_eq!(server.snapshot().accepts, 53);
    }
}
