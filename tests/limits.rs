//! LIMITS on real sockets: how often clients come, how many at a time, and from where they seem to come.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[cfg(feature = "tls")]
#[path = "tls/identity.rs"]
mod identity;
mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use kolk::app::{Decision, RateVerdict};
use kolk::http::{Pull, Pulled, Source};
use kolk::server::Limits;
use kolk::server::access_log::{Destination, Format};
use kolk::server::stats::{CloseReason, Timeout};
use kolk::{
    App, Config, ForwardedIn, Handler, HandlerExt, InFlight, ListenOptions, Maintenance, Networks, Outcome,
    Policy, Predicate, ProxyProtocol, Quota, Rate, RateKey, RateLimit, Rates, Reply, Request, RequestIds,
    Response, Running, Server, Trust, Workers, deferred,
};
use socket2::{Domain, SockRef, Socket, Type};

use support::scratch::Scratch;
use support::{Answer, Client, Gate, PATIENCE, address, alone, dawdle, get, quick, start, until};

fn hello() -> App {
    App::new().get("/", |_: &Request<'_>| Response::text("hello\n"))
}

/// A client of another address of this machine's own network.
fn client_of(host: [u8; 4], server: &Running) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((host, 0)).into()).unwrap();
    socket.connect(&address(server).into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Client::over(stream)
}

fn two_connections_each(server: Server) -> Server {
    server.limits(Limits { connections_per_address_max: Some(2), ..Limits::default() })
}

// ── Rates ───────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn two_workers_have_one_budget_and_say_what_is_left() {
    let rates = Rates::new();
    let quota = Quota::per_minute(6).unwrap();
    let policy = Policy::new("api", Rate::new(quota, 20).unwrap()).unwrap();
    let app = App::new().get("/", move |request: &Request<'_>| {
        let key = RateKey::Address.hash(&rates, request);
        let decision = rates.check(0, policy.rate(), key, request.now());
        let mut response = Response::text("hello\n");
        match decision {
            Decision::Refused { .. } => policy.refuse(decision, &mut response),
            _ => policy.tell(decision, &mut response),
        }
        response
    });
    let server = start(Server::new(app).workers(Workers::Exactly(2)).max_connections(256));
    let answers: Vec<_> = (0..30).map(|_| Client::to(&server).get("/")).collect();
    let admitted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(admitted, 20, "within the ten seconds that the next one takes");
    assert!(answers[0].field("ratelimit").unwrap().starts_with("\"api\";r=19;t="));
    let last = &answers[29];
    assert_eq!((last.status, last.field("ratelimit-policy")), (429, Some("\"api\";q=6;w=60")));
    let retry_after: u64 = last.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&retry_after), "{retry_after}");
    assert!(last.text().contains("limit.rate"));
    let other = client_of([127, 0, 0, 2], &server).get("/");
    assert_eq!(other.status, 200, "another client has a budget of its own");
}

/// What so many clients come to who all begin at once.
fn at_once<T: Send>(clients: usize, client: impl Fn() -> T + Sync) -> Vec<T> {
    let line = Barrier::new(clients);
    let one = || {
        line.wait();
        client()
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(one)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

/// Four workers.
fn four(app: App) -> Server {
    Server::new(app).workers(Workers::Exactly(4)).max_connections(256)
}

/// The name of its worker.
fn worker(_: &Request<'_>) -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

/// Within one part in a hundred. A dry run counts as exactly, and refuses nobody.
#[test]
fn four_workers_have_one_budget_however_many_ask_at_once() {
    const BUDGET: u32 = 1_000;
    const CLIENTS: usize = 8;
    const EACH: u32 = 250;
    let rates = Arc::new(Rates::new());
    let limit = |name, dry_run| {
        let rate = Rate::new(Quota::new(1, Duration::from_secs(3600)).unwrap(), BUDGET).unwrap();
        RateLimit::new(&rates, Policy::new(name, rate.dry_run(dry_run)).unwrap(), RateKey::Address)
    };
    let app =
        App::new().get("/", worker.layer(limit("api", false))).get("/dry", worker.layer(limit("dry", true)));
    let server = start(four(app).admin("127.0.0.1:0").unwrap());
    let all = |target: &str| {
        let answers = at_once(CLIENTS, || {
            let mut client = Client::to(&server);
            (0..EACH).map(|_| client.get(target)).collect::<Vec<_>>()
        });
        answers.into_iter().flatten().collect::<Vec<_>>()
    };
    let is_right = |count: u64| count.abs_diff(BUDGET.into()) <= u64::from(BUDGET / 100);
    let (admitted, refused): (Vec<_>, Vec<_>) = all("/").into_iter().partition(|answer| answer.status == 200);
    assert!(is_right(admitted.len() as u64), "{} were admitted", admitted.len());
    assert!(refused.iter().all(|answer| answer.status == 429));
    let workers: BTreeSet<&str> = admitted.iter().map(Answer::text).collect();
    assert!(workers.len() > 1, "all came to {workers:?}");

    assert!(all("/dry").iter().all(|answer| answer.status == 200));
    let snapshot = server.snapshot();
    for (name, verdict) in [("api", RateVerdict::Refused), ("dry", RateVerdict::WouldRefuse)] {
        let rate = snapshot.rates.iter().find(|rate| &*rate.name == name).unwrap();
        let [passed, beyond] = [RateVerdict::Passed, verdict].map(|of| rate.requests[of.index()]);
        assert!(
            is_right(passed) && passed + beyond == CLIENTS as u64 * u64::from(EACH),
            "{name}: {passed}, then {beyond}"
        );
    }
}

#[test]
fn clients_that_ask_too_often_take_nothing_from_a_budget_that_all_share() {
    const EACH: u32 = 100;
    const CLIENTS: u32 = 8;
    let rates = Arc::new(Rates::new());
    let limit = |name, burst, key| {
        let rate = Rate::new(Quota::new(1, Duration::from_secs(3_600)).unwrap(), burst).unwrap();
        RateLimit::new(&rates, Policy::new(name, rate).unwrap(), key)
    };
    let own = limit("own", EACH, RateKey::Header("x-client".parse().unwrap()));
    let app = App::new().layer(limit("shared", EACH * CLIENTS, RateKey::Path)).get("/", worker.layer(own));
    let server = start(four(app));
    let number = AtomicU32::new(0);
    let outcomes = at_once(CLIENTS as usize, || {
        let number = number.fetch_add(1, SeqCst);
        let mut client = Client::to(&server);
        // Every other one asks for five times as much as it may.
        let times = if number.is_multiple_of(2) { EACH } else { 5 * EACH };
        let statuses = (0..times).map(|_| {
            client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Client: {number}\r\n\r\n"));
            client.answer().status
        });
        statuses.filter(|status| *status == 200).count()
    });
    assert_eq!(outcomes, [EACH as usize; CLIENTS as usize]);
    let answer = Client::to(&server).get("/");
    assert!(answer.status == 429 && answer.text().contains("limit.rate.shared"), "now all of it is used");
}

// ── Requests in flight ──────────────────────────────────────────────────────────────────────────────

#[test]
fn one_more_than_may_be_in_flight_is_told_so() {
    let (gate, keeper) = Gate::new();
    let seats = InFlight::new(2);
    let handler = deferred(move |_: &Request<'_>, reply: Reply| {
        let gate = gate.clone();
        thread::spawn(move || {
            gate.pass();
            reply.send("at last\n");
        });
    });
    let app = hello().get("/slow", handler.layer(seats.clone()));
    let server = start(alone(app).admin("127.0.0.1:0").unwrap());
    let mut clients: Vec<_> = (0..2).map(|_| Client::to(&server)).collect();
    clients.iter_mut().for_each(|client| client.send(get("/slow")));
    until("both are in flight", || seats.requests() == 2);

    let mut third = Client::to(&server);
    let refused = third.get("/slow");
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
    assert!(refused.text().contains("limit.in_flight"));
    assert_eq!(third.get("/").status, 200, "the connection lives on, and so do the other routes");
    until("it is counted where it was refused", || {
        let routes = server.snapshot().routes.into_iter();
        routes.map(|share| (share.route.to_string(), share.in_flight_refusals)).collect::<Vec<_>>()
            == [("/".to_owned(), 0), ("/slow".to_owned(), 1)]
    });

    // One is reset: its seat is free, whoever still works for it.
    let reset = clients.pop().unwrap();
    SockRef::from(&reset.stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(reset);
    until("a seat is free", || seats.requests() == 1);
    third.send(get("/slow"));
    until("it is taken", || seats.requests() == 2);
    drop(keeper);
    assert_eq!((clients[0].answer().text(), third.answer().text()), ("at last\n", "at last\n"));
    until("all seats are free", || seats.requests() == 0);
}

#[test]
fn four_workers_have_the_same_seats_however_many_ask_at_once() {
    assert!((0..50).any(|_| seats_of_four_workers() > 1), "each time all came to one of them");
}

/// How many workers have had some of them.
fn seats_of_four_workers() -> usize {
    const SEATS: u32 = 5;
    const CLIENTS: usize = 16;
    let (hand_in, replies) = mpsc::channel();
    let seats = InFlight::new(SEATS);
    let late = deferred(move |request: &Request<'_>, reply: Reply| {
        hand_in.send((worker(request), reply)).unwrap();
    });
    let server = start(four(App::new().get("/", late.layer(seats.clone()))));
    let workers = thread::scope(|scope| {
        let answers = scope.spawn(|| at_once(CLIENTS, || Client::to(&server).get("/").status));
        until("all others are refused", || seats.refused() == CLIENTS as u64 - u64::from(SEATS));
        let (workers, held): (BTreeSet<_>, Vec<_>) = replies.try_iter().unzip();
        assert_eq!((seats.requests(), held.len()), (SEATS, SEATS as usize));
        held.into_iter().for_each(|reply| reply.send("at last"));
        let mut statuses = answers.join().unwrap();
        statuses.sort_unstable();
        assert_eq!(statuses, [[200; SEATS as usize].as_slice(), &[503; CLIENTS - SEATS as usize]].concat());
        workers.len()
    });
    until("all seats are free", || seats.requests() == 0);
    workers
}

/// A body that never ends.
struct Endless;

impl Source for Endless {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        pull.write(&[b'x'; 1024]);
        Pulled::More
    }
}

#[test]
fn a_body_that_is_still_sent_has_its_seat() {
    let seats = InFlight::new(1);
    let endless = (|_: &Request<'_>| Response::stream("text/plain", Endless)).layer(seats.clone());
    let server = start(alone(App::new().get("/endless", endless)));
    let mut reader = Client::to(&server);
    reader.send(get("/endless"));
    assert_eq!(reader.head().status, 200);
    assert_eq!(seats.requests(), 1);
    assert_eq!(Client::to(&server).get("/endless").status, 503);
    drop(reader);
    until("the seat is free", || seats.requests() == 0);
}

#[test]
fn a_handler_that_is_called_again_has_its_seat_still() {
    struct Twice(AtomicU32);
    impl Handler for Twice {
        fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
            if self.0.fetch_add(1, SeqCst) == 1 {
                response.replace(Response::text("twice\n"));
                return Outcome::Ready;
            }
            let (recall, outcome) = request.suspend();
            thread::spawn(move || recall.call());
            outcome
        }
    }
    let seats = InFlight::new(1);
    let server = start(alone(App::new().any("/", Twice(AtomicU32::new(0)).layer(seats.clone()))));
    let mut client = Client::to(&server);
    assert_eq!(client.get("/").text(), "twice\n");
    assert_eq!((seats.requests(), seats.refused()), (0, 0));
}

// ── Where clients are ───────────────────────────────────────────────────────────────────────────────

#[test]
fn networks_keep_out_also_fixed_answers_and_unknown_paths() {
    let layer = Networks::new().deny(["127.0.0.2/32".parse().unwrap()]);
    let app =
        App::new().layer(layer).get("/", |_: &Request<'_>| "made").get("/fixed", Response::text("kept"));
    let server = start(alone(app));
    for (path, status) in [("/", 200), ("/fixed", 200), ("/nowhere", 404)] {
        assert_eq!(client_of([127, 0, 0, 1], &server).get(path).status, status, "{path}");
        let answer = client_of([127, 0, 0, 2], &server).get(path);
        assert_eq!((answer.status, answer.text().contains("limit.network")), (403, true), "{path}");
    }
}

#[test]
fn who_leaves_at_once_is_kept_out_all_the_same() {
    let open = ["10.0.0.0/8".parse().unwrap()];
    let shut = ["127.0.0.0/8".parse().unwrap()];
    for networks in [Networks::new().allow(open), Networks::new().deny(shut)] {
        let runs = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&runs);
        let handler = move |_: &Request<'_>| counted.fetch_add(1, SeqCst).to_string();
        let server = start(alone(App::new().get("/", handler.layer(networks))));
        for _ in 0..10 {
            let mut client = Client::to(&server);
            client.send(get("/"));
            SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).unwrap();
            drop(client);
        }
        until("all are gone", || server.snapshot().connections() == 0);
        assert_eq!(Client::to(&server).get("/").status, 403);
        assert_eq!(runs.load(SeqCst), 0);
    }
}

#[test]
fn maintenance_is_not_for_everybody() {
    let works = Maintenance::new().except(["127.0.0.2/32".parse().unwrap()]);
    let server = start(alone(hello().layer(works.clone())));
    let status = |host| client_of(host, &server).get("/").status;
    assert_eq!((status([127, 0, 0, 1]), status([127, 0, 0, 2])), (503, 200));
    works.switch(false);
    assert_eq!(status([127, 0, 0, 1]), 200);
}

// ── Connections of one client ───────────────────────────────────────────────────────────────────────

#[test]
fn the_third_connection_of_a_client_is_closed_at_once() {
    let server = Server::new(hello()).workers(Workers::Exactly(2)).max_connections(64);
    let server = start(two_connections_each(server));
    let mut first = Client::to(&server);
    let mut second = Client::to(&server);
    assert_eq!((first.get("/").status, second.get("/").status), (200, 200));
    for refused in 1..=3 {
        assert_eq!(Client::to(&server).is_cut(), b"", "nothing is said");
        assert_eq!(server.snapshot().address_refusals, refused);
    }
    assert_eq!(client_of([127, 0, 0, 2], &server).get("/").status, 200, "another client is welcome");
    drop(first);
    until("there is a seat again", || {
        let mut next = Client::to(&server);
        next.try_send(get("/")) && next.is_served()
    });
    assert_eq!(second.get("/").status, 200);
}

#[test]
fn four_workers_count_the_connections_of_a_client_however_many_come_at_once() {
    assert!((0..50).any(|_| connections_of_four_workers() > 1), "each time all came to one of them");
}

/// How many workers have had some of them.
fn connections_of_four_workers() -> usize {
    const EACH: u32 = 5;
    const CLIENTS: usize = 16;
    let limits = Limits { connections_per_address_max: Some(EACH), ..Limits::default() };
    let server = start(four(App::new().get("/", worker)).limits(limits));
    let came = at_once(CLIENTS, || {
        let mut client = Client::to(&server);
        let is_served = client.try_send(get("/")) && client.is_served();
        (is_served, client)
    });
    let (served, refused): (Vec<_>, Vec<_>) = came.into_iter().partition(|(is_served, _)| *is_served);
    assert_eq!((served.len(), refused.len()), (EACH as usize, CLIENTS - EACH as usize));
    assert_eq!(server.snapshot().address_refusals, refused.len() as u64);
    server.snapshot().workers.iter().filter(|worker| worker.connections > 0).count()
}

#[test]
fn another_number_of_connections_counts_for_those_that_come_from_then_on() {
    let says = |text: &'static str| App::new().get("/", move |_: &Request<'_>| Response::text(text));
    let server = start(alone(says("any number")));
    // Who was there before it was limited is not counted.
    let mut before = [(); 3].map(|()| Client::to(&server));
    assert!(before.iter_mut().all(|client| client.get("/").text() == "any number"));
    let mut become_one_of = |text: &'static str, most: Option<u32>| {
        let config = Config {
            workers: Workers::Exactly(1),
            connections_max: Some(256),
            limits: Limits { connections_per_address_max: most, ..Limits::default() },
            ..Config::default()
        };
        assert!(server.handle().replace_with(says(text), config).unwrap().is_empty());
        until("it is so", || before[0].get("/").text() == text);
    };
    become_one_of("one", Some(1));
    let mut first = Client::to(&server);
    assert_eq!(first.get("/").text(), "one");
    assert_eq!(Client::to(&server).is_cut(), b"");
    become_one_of("two", Some(2));
    let mut second = Client::to(&server);
    assert_eq!(second.get("/").text(), "two", "the first is counted still");
    assert_eq!(Client::to(&server).is_cut(), b"");
    // Whoever has more keeps them.
    become_one_of("one again", Some(1));
    assert_eq!((first.get("/").text(), second.get("/").text()), ("one again", "one again"));
    assert_eq!(Client::to(&server).is_cut(), b"");
    assert_eq!(client_of([127, 0, 0, 2], &server).get("/").text(), "one again");
    become_one_of("any number again", None);
    assert_eq!(Client::to(&server).get("/").text(), "any number again");
    assert_eq!(server.snapshot().address_refusals, 3);
}

#[test]
fn connections_through_a_socket_file_are_not_counted() {
    let folder = Scratch::new("connections-per-address");
    let path = folder.join("site.sock");
    let server = two_connections_each(alone(hello()));
    let server = server.listen(&format!("unix:{}", path.display())).unwrap().start().unwrap();
    let mut clients: Vec<_> = (0..5).map(|_| Client::over(UnixStream::connect(&path).unwrap())).collect();
    assert!(clients.iter_mut().all(|client| client.get("/").status == 200));
    drop(server);
}

#[test]
fn connections_of_proxies_that_are_believed_are_not_counted() {
    let trust = Trust::new(ForwardedIn::XForwardedFor).network("127.0.0.1").unwrap();
    let server = start(two_connections_each(alone(who()).trust(trust)));
    let mut proxies: Vec<_> = (0..5).map(|_| Client::to(&server)).collect();
    for (number, proxy) in proxies.iter_mut().enumerate() {
        let field = format!("X-Forwarded-For: 203.0.113.{number}\r\n");
        assert_eq!(asks(proxy, "/", &field), format!("203.0.113.{number} http"));
    }
    let mut strangers = [(); 2].map(|()| client_of([127, 0, 0, 2], &server));
    assert!(strangers.iter_mut().all(|stranger| stranger.get("/").status == 200));
    assert_eq!(client_of([127, 0, 0, 2], &server).is_cut(), b"");
    assert_eq!(server.snapshot().address_refusals, 1);
}

#[cfg(feature = "tls")]
#[test]
fn a_client_is_counted_before_it_says_hello() {
    let identity = identity::Identity::new(&["localhost"]);
    let tls = kolk::Tls::from_pem(identity.chain.as_bytes(), identity.key.as_bytes()).unwrap();
    let server = start(two_connections_each(alone(hello()).tls(&tls)));
    let silent = (Client::to(&server), Client::to(&server));
    until("both are in", || server.snapshot().accepts == 2);
    assert_eq!(Client::to(&server).is_cut(), b"");
    drop(silent);
    let config = identity.trusted_by(&[&rustls::version::TLS13]);
    until("they are gone", || server.snapshot().connections() == 0);
    let mut client = Client::over(identity::connect(address(&server), &config, "localhost", usize::MAX));
    assert_eq!(client.get("/").text(), "hello\n");
}

// ── Behind proxies ──────────────────────────────────────────────────────────────────────────────────

/// Says who has asked, once at once and once from another thread.
fn who() -> App {
    let say = |request: &Request<'_>| {
        let client =
            request.client_address().map_or_else(|| "nobody".to_owned(), |client| client.to_string());
        format!("{client} {}", request.scheme())
    };
    let later = deferred(move |request: &Request<'_>, reply: Reply| {
        let request = request.to_owned_request();
        thread::spawn(move || reply.send(say(&request.request())));
    });
    App::new().get("/", say).get("/later", later)
}

fn asks(client: &mut Client<impl Read + Write>, target: &str, fields: &str) -> String {
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    client.answer().text().to_owned()
}

#[test]
fn only_trusted_proxies_tell_who_the_client_is() {
    let trust = Trust::new(ForwardedIn::XForwardedFor).network("127.0.0.0/30").unwrap();
    let server = start(alone(who()).trust(trust));
    let forwarded = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.7, 127.0.0.2\r\n\
                     X-Forwarded-Proto: https\r\nForwarded: for=9.9.9.9\r\n";
    let mut proxy = Client::to(&server);
    for target in ["/", "/later"] {
        assert_eq!(asks(&mut proxy, target, forwarded), "203.0.113.7 https");
        assert_eq!(asks(&mut proxy, target, ""), "127.0.0.1 http");
        let mut stranger = client_of([127, 0, 0, 9], &server);
        assert_eq!(asks(&mut stranger, target, forwarded), "127.0.0.9 http");
    }
    let nobody = start(alone(who()));
    assert_eq!(asks(&mut Client::to(&nobody), "/", forwarded), "127.0.0.1 http");
}

#[test]
fn a_proxy_behind_a_socket_file_is_trusted_if_that_was_said() {
    let folder = Scratch::new("trusted-socket-file");
    for (name, expected) in [("trusted", "203.0.113.7 http"), ("stranger", "nobody http")] {
        let path = folder.join(format!("{name}.sock"));
        let mut trust = Trust::new(ForwardedIn::Forwarded);
        if name == "trusted" {
            trust = trust.unix_sockets();
        }
        let server = alone(who()).trust(trust).listen(&format!("unix:{}", path.display())).unwrap();
        let _running = server.start().unwrap();
        let mut client = Client::over(UnixStream::connect(&path).unwrap());
        assert_eq!(asks(&mut client, "/", "Forwarded: for=203.0.113.7\r\n"), expected);
        assert_eq!(asks(&mut client, "/later", "Forwarded: for=203.0.113.7\r\n"), expected);
    }
}

#[test]
fn whom_a_proxy_hides_is_let_in_nowhere_where_some_are() {
    let ours = || ["127.0.0.0/8".parse().unwrap()];
    let open = |_: &Request<'_>| "in\n";
    let site = || {
        App::new()
            .get("/some", open.layer(Networks::new().allow(ours())))
            .get(
                "/some-but",
                open.layer(Networks::new().allow(ours()).deny(["127.0.0.1/32".parse().unwrap()])),
            )
            .get("/all-but", open.layer(Networks::new().deny(["10.0.0.0/8".parse().unwrap()])))
            .get("/not-ours", open.layer(Networks::new().deny(ours())))
            .get("/works", open.layer(Maintenance::new().except(ours())))
            .get("/choice", open.when(Predicate::client(ours())))
            .get("/who", |request: &Request<'_>| {
                format!("{:?} {}", request.client_address(), request.is_client_hidden())
            })
    };
    for (header, hidden, unreadable) in [
        (
            ForwardedIn::Forwarded,
            ["for=unknown", "for=_hid", "by=10.0.0.1"],
            ["for=\"evil, for=10.1.1.1", "for=\"10.1.1.1:+80\"", "10.1.1.1"],
        ),
        (
            ForwardedIn::XForwardedFor,
            ["unknown", "10.1.1.1, _hid", "_a"],
            ["10.1.1.1:", "\"10.1.1.1\"", "10.1.1.1:+80"],
        ),
    ] {
        let name = if header == ForwardedIn::Forwarded { "Forwarded" } else { "X-Forwarded-For" };
        let trust = Trust::new(header).network("127.0.0.1").unwrap();
        let server = start(alone(site()).trust(trust));
        let mut proxy = Client::to(&server);
        let mut said = |target: &str, field: &str| {
            proxy.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{field}\r\n"));
            let answer = proxy.answer();
            let reason = answer.text().rsplit(['(', ')']).nth(1).unwrap_or_default().to_owned();
            (answer.status, if answer.status == 200 { answer.text().to_owned() } else { reason })
        };
        let refused = |status, reason: &str| (status, reason.to_owned());
        for value in hidden.iter().chain(&unreadable) {
            let field = format!("{name}: {value}\r\n");
            let mut said = |target| said(target, &field);
            assert_eq!(said("/some"), refused(403, "limit.client_unknown"), "{value}");
            assert_eq!(said("/some-but"), refused(403, "limit.network"), "{value}");
            // A client may have seen to it itself that nobody finds it in what its proxy says.
            let others = match unreadable.contains(value) {
                true => refused(403, "limit.client_unknown"),
                false => (200, "in\n".to_owned()),
            };
            assert_eq!(said("/all-but"), others, "{value}");
            assert_eq!(said("/not-ours"), refused(403, "limit.network"), "{value}");
            assert_eq!(said("/works").0, 503, "{value}");
            assert_eq!(said("/choice").0, 404, "{value}");
            assert_eq!(said("/who").1, "Some(127.0.0.1) true", "{value}");
        }
        // Who says nothing asks for itself.
        for target in ["/some", "/all-but", "/works", "/choice"] {
            assert_eq!(said(target, "").0, 200, "{target}");
        }
        assert_eq!(said("/who", "").1, "Some(127.0.0.1) false");
    }
}

#[test]
fn who_has_no_address_is_let_in_nowhere_where_some_are() {
    let folder = Scratch::new("networks-socket-file");
    let path = folder.join("site.sock");
    let all = ["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()];
    let open = |_: &Request<'_>| "in\n";
    let site = App::new()
        .get("/some", open.layer(Networks::new().allow(all)))
        .get("/all-but", open.layer(Networks::new().deny(all)));
    let _running = alone(site).listen(&format!("unix:{}", path.display())).unwrap().start().unwrap();
    let mut client = Client::over(UnixStream::connect(&path).unwrap());
    let answer = client.get("/some");
    assert_eq!((answer.status, answer.text().contains("limit.client_unknown")), (403, true));
    assert_eq!(client.get("/all-but").status, 200, "it is in none of these");
}

#[test]
fn the_log_and_the_rates_go_by_the_client_that_was_told() {
    let folder = Scratch::new("told-log");
    let (combined, json) = (folder.join("combined.log"), folder.join("json.log"));
    for (format, path) in [(Format::Combined, &combined), (Format::Json, &json)] {
        let rates = Rates::new();
        let rate = Rate::new(Quota::per_minute(1).unwrap(), 1).unwrap();
        let app = App::new().get("/", move |request: &Request<'_>| {
            let key = RateKey::Address.hash(&rates, request);
            format!("{:?}", matches!(rates.check(0, &rate, key, request.now()), Decision::Admitted { .. }))
        });
        let trust = Trust::new(ForwardedIn::XForwardedFor).network("127.0.0.1").unwrap();
        let server = alone(app).trust(trust).access_log(format, Destination::File(path.clone()));
        let server = start(server);
        let mut proxy = Client::to(&server);
        let mut taken = |client: &str| asks(&mut proxy, "/", &format!("X-Forwarded-For: {client}\r\n"));
        let answers =
            [taken("203.0.113.7"), taken("2001:db8::1"), taken("203.0.113.7"), taken("2001:db8::2")];
        assert_eq!(answers, ["true", "true", "false", "false"]);
        server.stop();
        server.join().unwrap();
    }
    let lines = std::fs::read_to_string(combined).unwrap();
    let clients: Vec<_> = lines.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(clients, ["203.0.113.7", "2001:db8::1", "203.0.113.7", "2001:db8::2"]);
    let lines = std::fs::read_to_string(json).unwrap();
    assert!(lines.lines().all(|line| line.contains(r#""peer":"127.0.0.1:"#)), "{lines}");
    let told = r#","client":"203.0.113.7","scheme":"http","host":"a","method":"GET""#;
    assert!(lines.lines().next().unwrap().contains(told), "{lines}");
}

// ── The PROXY protocol ──────────────────────────────────────────────────────────────────────────────

const LINE: &str = "PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n";
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0C\xCB\x00\x71\x07\xC0\x00\x02\x01\xDC\x04\x01\xBB";

/// Says who is at the other end, and over what.
fn peers() -> App {
    let peer = |request: &Request<'_>| {
        let peer = request.peer().map_or_else(|| "nobody".to_owned(), |peer| peer.to_string());
        format!("{peer} {}", request.scheme())
    };
    App::new().get("/", peer)
}

fn behind(server: Server, proxies: ProxyProtocol) -> Running {
    let options = ListenOptions::default().proxy_protocol(proxies);
    server.listen_with("127.0.0.1:0", options).unwrap().start().unwrap()
}

/// Loopback addresses that are proxies here.
fn balancers(proxies: ProxyProtocol) -> ProxyProtocol {
    proxies.network("127.0.0.0/30").unwrap()
}

fn refused(server: &Running) -> u64 {
    server.snapshot().closes[CloseReason::ProxyRefused.index()]
}

#[test]
fn a_proxy_announces_its_client_in_either_version_however_it_is_split() {
    let server = behind(alone(peers()), balancers(ProxyProtocol::required()));
    for header in [LINE.as_bytes(), BINARY] {
        for bytes_max in [1, 5, 13, 1_000] {
            let mut client = Client::to(&server);
            for piece in header.chunks(bytes_max) {
                client.send(piece);
                if bytes_max < 1_000 {
                    dawdle(Duration::from_millis(1));
                }
            }
            client.send(get("/").repeat(2));
            assert_eq!(client.answer().text(), "203.0.113.7:56324 http", "by {bytes_max}");
            assert_eq!(client.answer().text(), "203.0.113.7:56324 http", "by {bytes_max}");
        }
        let mut at_once = Client::to(&server);
        at_once.send([header, get("/").as_bytes()].concat());
        assert_eq!(at_once.answer().text(), "203.0.113.7:56324 http");
    }
    let mut own = Client::to(&server);
    own.send(b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00");
    assert!(own.get("/").text().starts_with("127.0.0.1:"), "a proxy that looks whether we are alive");
    assert_eq!(refused(&server), 0);
}

#[test]
fn networks_of_proxies_may_be_written_as_ipv6() {
    for network in ["::ffff:127.0.0.1", "::ffff:127.0.0.0/104"] {
        let server = behind(alone(peers()), ProxyProtocol::required().network(network).unwrap());
        let mut client = Client::to(&server);
        client.send(LINE);
        assert_eq!(client.get("/").text(), "203.0.113.7:56324 http", "{network}");
    }
}

#[test]
fn a_header_longer_than_one_look() {
    let values: Vec<u8> = [&[0xEE, 0x07, 0x80][..], &[b'v'; 0x0780]].concat();
    let mut header = BINARY.to_vec();
    header[14..16].copy_from_slice(&u16::try_from(12 + values.len()).unwrap().to_be_bytes());
    header.extend(values);
    let server = behind(alone(peers()), balancers(ProxyProtocol::required()));
    for bytes_max in [100, 600, 10_000] {
        let mut client = Client::to(&server);
        for piece in header.chunks(bytes_max) {
            client.send(piece);
            dawdle(Duration::from_millis(1));
        }
        assert_eq!(client.get("/").text(), "203.0.113.7:56324 http");
    }
}

#[test]
fn where_a_header_is_required_nobody_comes_in_without() {
    let server = behind(alone(peers()), balancers(ProxyProtocol::required()));
    for (host, bytes) in [
        (1, get("/")),
        (1, "PROPFIND / HTTP/1.1\r\n\r\n".to_owned()),
        (1, "PROXY TCP5 203.0.113.7 192.0.2.1 56324 443\r\n".to_owned() + &get("/")),
        (1, "PROXY ".to_owned() + &"x".repeat(200)),
        (9, LINE.to_owned() + &get("/")),
        (9, get("/")),
    ] {
        let mut client = client_of([127, 0, 0, host], &server);
        let _ = client.try_send(&bytes);
        assert_eq!(client.is_cut(), b"", "{host}: {bytes}");
    }
    until("all were counted", || refused(&server) == 6);
}

#[test]
fn where_a_header_is_optional_only_proxies_are_believed() {
    let server = behind(alone(peers()), balancers(ProxyProtocol::optional()));
    let mut proxy = Client::to(&server);
    proxy.send(LINE);
    assert_eq!(proxy.get("/").text(), "203.0.113.7:56324 http");
    assert!(Client::to(&server).get("/").text().starts_with("127.0.0.1:"), "it need not say anything");
    let mut slow = client_of([127, 0, 0, 9], &server);
    for piece in ["P", "RO", "PFIND / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        slow.send(piece);
        dawdle(Duration::from_millis(5));
    }
    assert_eq!(slow.answer().status, 501, "what looked like a header was a request");
    let mut liar = client_of([127, 0, 0, 9], &server);
    assert!(liar.get("/").text().starts_with("127.0.0.9:"));
    for header in [LINE.as_bytes(), BINARY] {
        let mut liar = client_of([127, 0, 0, 9], &server);
        let _ = liar.try_send(header);
        assert_eq!(liar.is_cut(), b"");
    }
    until("both were counted", || refused(&server) == 2);
}

#[test]
fn a_proxy_that_says_nothing_runs_out_of_time() {
    let server = alone(peers()).timeouts(quick());
    let server = behind(server, balancers(ProxyProtocol::required()));
    for beginning in ["", "PRO", "PROXY TCP4 "] {
        let mut silent = Client::to(&server);
        silent.send(beginning);
        assert_eq!(silent.is_cut(), b"");
    }
    assert_eq!(server.snapshot().timeouts[Timeout::Header.index()], 3);
    let mut gone = Client::to(&server);
    gone.send("PROXY TCP4 ");
    gone.finish();
    gone.ends();
}

#[test]
fn trust_goes_by_the_peer_that_was_announced() {
    let trust = Trust::new(ForwardedIn::XForwardedFor).network("203.0.113.0/24").unwrap();
    let server = behind(alone(who()).trust(trust), balancers(ProxyProtocol::required()));
    let mut client = Client::to(&server);
    client.send(LINE);
    assert_eq!(asks(&mut client, "/", "X-Forwarded-For: 198.51.100.3\r\n"), "198.51.100.3 http");
}

#[test]
fn a_proxy_that_does_not_know_its_client_is_not_taken_for_it() {
    let [all, ten] = ["127.0.0.0/8", "10.0.0.0/8"].map(|network| [network.parse().unwrap()]);
    let open = |_: &Request<'_>| "in\n";
    let app = who()
        .get("/office", open.layer(Networks::new().allow(all)))
        .get("/ten", open.layer(Networks::new().allow(ten)))
        .get("/all-but", open.layer(Networks::new().deny(ten)))
        .get("/not-ours", open.layer(Networks::new().deny(all)))
        .layer(RequestIds::new());
    let trust = Trust::new(ForwardedIn::XForwardedFor).network("127.0.0.0/30").unwrap();
    let server = behind(alone(app).trust(trust), balancers(ProxyProtocol::required()));
    let binary = |command: u8, family: u8, length: u8| {
        let fixed = [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family, 0, length]].concat();
        [fixed, vec![b'/'; length.into()]].concat()
    };
    let statuses = |header: &[u8], fields: &str| {
        let mut client = Client::to(&server);
        client.send(header);
        ["/office", "/ten", "/all-but", "/not-ours"].map(|target| {
            client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
            client.answer().status
        })
    };
    let told = |header: &[u8]| {
        let mut client = Client::to(&server);
        client.send(header);
        client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.9.9.9\r\nX-Request-Id: mine\r\n\r\n");
        let answer = client.answer();
        (answer.text().to_owned(), answer.field("x-request-id") == Some("mine"))
    };
    let (unknown, unspec, unix) = (b"PROXY UNKNOWN\r\n", binary(0x21, 0, 0), binary(0x21, 0x31, 216));
    for header in [&unknown[..], &unspec, &unix] {
        assert_eq!(statuses(header, ""), [403, 403, 200, 403], "{}", header.escape_ascii());
        assert_eq!(statuses(header, "X-Forwarded-For: 10.9.9.9\r\n"), [403, 403, 200, 403]);
        assert_eq!(told(header), ("127.0.0.1 http".to_owned(), false), "and it passes on what clients say");
    }
    // Who looks whether we are alive speaks for itself.
    let own = binary(0x20, 0, 0);
    assert_eq!(statuses(&own, ""), [200, 403, 200, 403]);
    assert_eq!(statuses(&own, "X-Forwarded-For: 10.9.9.9\r\n"), [403, 200, 403, 200]);
    assert_eq!(told(&own), ("10.9.9.9 http".to_owned(), true));
}

#[test]
fn connections_are_counted_for_the_client_that_was_announced() {
    let server = behind(two_connections_each(alone(peers())), balancers(ProxyProtocol::required()));
    let come = |host: u8| {
        let mut client = Client::to(&server);
        client.send(format!("PROXY TCP4 203.0.113.{host} 192.0.2.1 56324 443\r\n"));
        client.try_send(get("/"));
        client
    };
    let mut welcome: Vec<_> = [1, 1, 2, 2].map(come).into_iter().collect();
    assert!(welcome.iter_mut().all(|client| client.answer().status == 200));
    assert_eq!(come(1).is_cut(), b"");
    assert_eq!(server.snapshot().address_refusals, 1);
    assert_eq!(server.snapshot().closes[CloseReason::Crowded.index()], 1);
    drop(welcome.remove(0));
    until("there is a seat again", || come(1).is_served());
}

#[cfg(feature = "tls")]
#[test]
fn a_header_comes_before_tls() {
    let identity = identity::Identity::new(&["localhost"]);
    let tls = kolk::Tls::from_pem(identity.chain.as_bytes(), identity.key.as_bytes()).unwrap();
    let server = behind(alone(peers()).tls(&tls), balancers(ProxyProtocol::required()));
    let config = identity.trusted_by(&[&rustls::version::TLS12, &rustls::version::TLS13]);
    for header in [LINE.as_bytes(), BINARY] {
        let mut stream = TcpStream::connect(address(&server)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(header).unwrap();
        let name = "localhost".try_into().unwrap();
        let tls = rustls::ClientConnection::new(Arc::clone(&config), name).unwrap();
        let mut client = Client::over(rustls::StreamOwned::new(tls, stream));
        assert_eq!(client.get("/").text(), "203.0.113.7:56324 https");
    }
    let mut hasty = Client::to(&server);
    let _ = hasty.try_send(b"\x16\x03\x01\x02\x00\x01\x00");
    assert_eq!(hasty.is_cut(), b"");
    until("it was counted", || refused(&server) == 1);
}

#[test]
fn a_proxy_may_come_through_a_socket_file() {
    let folder = Scratch::new("proxied-socket-file");
    let path = folder.join("site.sock");
    let options = ListenOptions::default().proxy_protocol(ProxyProtocol::required().unix_sockets());
    let server = alone(peers()).listen_with(&format!("unix:{}", path.display()), options).unwrap();
    let _running = server.start().unwrap();
    let mut client = Client::over(UnixStream::connect(&path).unwrap());
    client.send(LINE);
    assert_eq!(client.get("/").text(), "203.0.113.7:56324 http");
}
