//! The reactor on real sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream as Client};

use mio::net::TcpStream;

use super::*;
use crate::base::Wake as _;
use crate::sys::descriptors::private_table;

const PATIENCE: Tick = Tick::from_millis(10_000);

struct Scene {
    reactor: Reactor,
    wakes: Vec<Wake>,
}

impl Scene {
    fn new() -> Self {
        Self { reactor: Reactor::new(16).unwrap(), wakes: Vec::new() }
    }

    /// Turns until something happens, and returns all of that turn.
    fn next(&mut self) -> &[Wake] {
        self.reactor.turn(Tick::ZERO, PATIENCE, &mut self.wakes).unwrap();
        assert!(!self.wakes.is_empty(), "nothing happened");
        &self.wakes
    }

    /// Turns until `key` has been announced with all of `wanted`, together or one by one.
    fn until(&mut self, key: Key, wanted: Readiness) {
        let mut seen = Readiness::default();
        while seen | wanted != seen {
            for &wake in self.next() {
                match wake {
                    Wake::Ready(found, readiness) if found == key => seen |= readiness,
                    other => panic!("unexpected {other:?}"),
                }
            }
        }
    }

    fn assert_quiet(&mut self) {
        self.reactor.turn(Tick::ZERO, Tick::ZERO, &mut self.wakes).unwrap();
        assert_eq!(self.wakes, []);
    }
}

fn pair() -> (TcpStream, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, _) = listener.accept().unwrap();
    socket.set_nonblocking(true).unwrap();
    (TcpStream::from_std(socket), client)
}

fn key(serial: u64) -> Key {
    Key::unpack(serial << 32 | 7)
}

#[test]
fn an_idle_connection_is_quiet_and_bytes_wake_it() {
    let mut scene = Scene::new();
    let (mut socket, mut client) = pair();
    scene.reactor.register(&mut socket, key(1), Interest::Read).unwrap();
    scene.assert_quiet();
    client.write_all(b"GET").unwrap();
    assert_eq!(scene.next(), [Wake::Ready(key(1), Readiness::READABLE)]);
    scene.assert_quiet();
}

#[test]
fn bytes_and_the_end_behind_them_are_told_though_they_come_at_once() {
    let mut scene = Scene::new();
    let (mut socket, mut client) = pair();
    client.write_all(b"GET").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    scene.reactor.register(&mut socket, key(1), Interest::Read).unwrap();
    scene.until(key(1), Readiness::READABLE | Readiness::READ_CLOSED);
    // Nothing else will be told, so whoever saw "read closed" reads on.
    let mut buffer = [0; 64];
    assert_eq!(socket.read(&mut buffer).unwrap(), 3);
    scene.assert_quiet();
    assert_eq!(socket.read(&mut buffer).unwrap(), 0);
}

#[test]
fn a_reset_is_broken_and_readable() {
    let mut scene = Scene::new();
    let (mut socket, client) = pair();
    scene.reactor.register(&mut socket, key(1), Interest::Read).unwrap();
    // Unread bytes make a close a reset.
    socket.write_all(b"unread").unwrap();
    while client.peek(&mut [0]).unwrap() == 0 {}
    drop(client);
    scene.until(key(1), Readiness::READ_CLOSED);
    assert!(scene.wakes.iter().all(|wake| matches!(wake, Wake::Ready(_, ready) if ready.is_readable())));
}

#[test]
fn room_to_write_is_told_after_the_upgrade_and_again_after_a_block() {
    let mut scene = Scene::new();
    let (mut socket, mut client) = pair();
    scene.reactor.register(&mut socket, key(1), Interest::Read).unwrap();
    let chunk = [b'x'; 65_536];
    let mut sent = 0;
    while let Ok(count) = socket.write(&chunk) {
        sent += count;
    }
    scene.reactor.reregister(&mut socket, key(1), Interest::ReadWrite).unwrap();
    scene.assert_quiet();
    let mut received = vec![0; sent];
    client.read_exact(&mut received).unwrap();
    scene.until(key(1), Readiness::WRITABLE);

    while socket.write(&chunk).is_ok() {}
    scene.reactor.turn(Tick::ZERO, Tick::ZERO, &mut scene.wakes).unwrap();
    client.read_exact(&mut received).unwrap();
    scene.until(key(1), Readiness::WRITABLE);
}

#[test]
fn a_listener_is_told_from_a_connection() {
    let mut scene = Scene::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let mut listener = mio::net::TcpListener::from_std(listener);
    scene.reactor.register_listener(&mut listener, ListenerId(3)).unwrap();
    for _ in 0..3 {
        let _client = Client::connect(address).unwrap();
        assert_eq!(scene.next(), [Wake::Accept(ListenerId(3))]);
        while listener.accept().is_ok() {}
    }
    scene.reactor.deregister(&mut listener).unwrap();
    let _client = Client::connect(address).unwrap();
    scene.assert_quiet();
}

#[test]
fn another_thread_rings() {
    let mut scene = Scene::new();
    for _ in 0..3 {
        let doorbell = scene.reactor.waker();
        let ringer = std::thread::spawn(move || doorbell.wake());
        assert_eq!(scene.next(), [Wake::Mail]);
        ringer.join().unwrap();
    }
    scene.assert_quiet();
}

#[test]
fn whoever_has_the_doorbell_rings_at_the_poll_that_is_there() {
    let mut scene = Scene::new();
    let doorbell = scene.reactor.waker();
    let (mut socket, mut client) = pair();
    scene.reactor.register(&mut socket, key(1), Interest::Read).unwrap();
    // The first poll hears nothing of this any more.
    doorbell.wake();
    scene.reactor.begin_anew().unwrap();
    assert_eq!(scene.next(), [Wake::Mail], "somebody may have rung in vain");
    client.write_all(b"anybody?").unwrap();
    scene.assert_quiet();
    doorbell.wake();
    assert_eq!(scene.next(), [Wake::Mail]);
    let (mut socket, mut client) = pair();
    scene.reactor.register(&mut socket, key(2), Interest::Read).unwrap();
    client.write_all(b"anybody?").unwrap();
    scene.until(key(2), Readiness::READABLE);
}

#[test]
fn whoever_has_another_descriptor_table_rings_at_the_poll_that_is_there() {
    let mut scene = Scene::new();
    let doorbell = scene.reactor.waker();
    let (tell, told) = std::sync::mpsc::channel();
    let worker = std::thread::spawn(move || {
        private_table().unwrap();
        scene.reactor.begin_anew().unwrap();
        assert_eq!(scene.next(), [Wake::Mail], "somebody may have rung in vain");
        tell.send(()).unwrap();
        assert_eq!(scene.next(), [Wake::Mail]);
        scene.assert_quiet();
    });
    told.recv().unwrap();
    doorbell.wake();
    worker.join().unwrap();
}

#[test]
fn a_deregistered_connection_is_quiet() {
    let mut scene = Scene::new();
    let (mut socket, mut client) = pair();
    scene.reactor.register(&mut socket, key(1), Interest::ReadWrite).unwrap();
    scene.until(key(1), Readiness::WRITABLE);
    scene.reactor.deregister(&mut socket).unwrap();
    client.write_all(b"anybody?").unwrap();
    scene.assert_quiet();
}

#[test]
fn a_reactor_moves_to_its_thread() {
    fn is_send<T: Send>() {}
    is_send::<Reactor>();
    is_send::<Arc<Doorbell>>();
}
