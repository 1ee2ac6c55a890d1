//! MEMORY: what a connection costs while it waits.

use kolk::app::App;
use kolk::base::Tick;
use kolk::reactor::Readiness;
use kolk::{Request, Response, server};

#[path = "memory/lane.rs"]
mod lane;

use lane::{Lane, shard};

/// Two cache lines. Debug builds of mio remember the selector.
const _: () = assert!(server::CONNECTION_BYTES <= if cfg!(debug_assertions) { 144 } else { 128 });

/// `validate` fails if a resting connection owns a buffer, or if more are out than connections own.
#[test]
fn an_idle_connection_owns_no_buffer() {
    let mut shard = shard(App::new().get("/", Response::text("hi")), 1_000);
    let now = Tick::from_millis(1);
    let lanes: Vec<Lane> =
        (0..1_000).map(|_| Lane::new(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")).collect();
    for lane in &lanes {
        lane.refill();
        shard.accept(lane.transport(), now).expect("it stays open");
    }
    assert_eq!((shard.len(), shard.buffers_out()), (1_000, 0));
    shard.validate();
}

#[test]
fn a_connection_in_the_middle_of_a_head_owns_one_buffer() {
    let mut shard = shard(App::new(), 4);
    let now = Tick::from_millis(1);
    let lane = Lane::new(b"GET / HT");
    let key = shard.accept(lane.transport(), now).expect("it stays open");
    lane.refill();
    shard.ready(key, Readiness::READABLE, now);
    assert_eq!(shard.buffers_out(), 1);
    shard.validate();
    shard.stop();
    assert_eq!(shard.buffers_out(), 0);
}

/// To ask is a system call: of a connection it takes one, and another one of the next in its place.
#[test]
fn who_is_at_the_other_end_is_asked_once_for_each_connection() {
    let client = |request: &Request<'_>| {
        assert!(request.peer().is_none() && request.client_address().is_none());
        Response::text("hi")
    };
    let mut shard = shard(App::new().get("/", client), 1);
    let now = Tick::from_millis(1);
    let lane = Lane::new(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for connections in 1..=3 {
        let key = shard.accept(lane.transport(), now).expect("it stays open");
        assert_eq!(lane.asked(), connections - 1, "nobody wants to know before a request");
        for _ in 0..10 {
            lane.refill();
            shard.ready(key, Readiness::READABLE, now);
        }
        assert_eq!(lane.asked(), connections);
        lane.close();
        shard.ready(key, Readiness::READ_CLOSED, now);
        assert!(shard.is_empty());
    }
}
