//! Uploads on real sockets: slow clients, clients that leave, more than memory should hold, and a password
//! before all that.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

mod support;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use kolk::{App, BasicAuth, Limits, Request, Upload};

use support::scratch::Scratch;
use support::{Client, alone, dawdle, start, until};

/// Of `password`, and cheap.
const HASH: &str = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
const RIGHT: &str = "Authorization: Basic YWRhOnBhc3N3b3Jk\r\n";

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn put(name: &str, fields: &str, length: usize) -> String {
    format!("PUT /{name} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {length}\r\n\r\n")
}

#[test]
fn large_files_arrive_whole_and_many_at_a_time() {
    let folder = Scratch::new("uploads-large");
    let app = App::new().put("/{*path}", Upload::open(&*folder).unwrap());
    // Workers have descriptor tables of their own: no file may pass between threads.
    let server = start(alone(app).private_descriptors(true));
    let address = support::address(&server);
    const LENGTH: usize = 9 << 20;
    let clients: Vec<_> = (0..4_u8)
        .map(|number| {
            thread::spawn(move || {
                let mut client = Client::at(address);
                let content: Vec<u8> = (0..LENGTH).map(|at| (at >> 8).to_le_bytes()[0] ^ number).collect();
                client.send(put(&format!("n{number}"), "", LENGTH));
                client.send(&content);
                assert_eq!(client.answer().status, 201);
                content
            })
        })
        .collect();
    for (number, client) in clients.into_iter().enumerate() {
        let content = client.join().unwrap();
        assert!(fs::read(folder.join(format!("n{number}"))).unwrap() == content, "n{number}");
    }
    assert_eq!(names(&folder).len(), 4);
}

#[test]
fn who_leaves_in_between_leaves_nothing_behind() {
    let folder = Scratch::new("uploads-leave");
    let app = App::new().put("/{*path}", Upload::open(&*folder).unwrap());
    let server = start(alone(app));
    let mut client = Client::to(&server);
    client.send(put("x", "", 100) + "some of it");
    until("it is being written", || names(&folder).len() == 1);
    assert!(names(&folder)[0].starts_with(".kolk-upload-"), "not to be seen yet");
    drop(client);
    until("it is gone", || names(&folder).is_empty());
    // So does a server that ends.
    let mut client = Client::to(&server);
    client.send(put("x", "", 100) + "some of it");
    until("it is being written", || names(&folder).len() == 1);
    server.stop();
    server.join().unwrap();
    assert!(names(&folder).is_empty());
}

#[test]
fn a_guarded_upload_is_not_begun_for_strangers() {
    let folder = Scratch::new("uploads-guarded");
    let auth = BasicAuth::new("x").user("ada", HASH).unwrap();
    let upload = auth.guard(Upload::open(&*folder).unwrap().bytes_max(1 << 20));
    let server = start(alone(App::new().put("/{*path}", upload)));
    let mut client = Client::to(&server);
    client.send(put("x", "Expect: 100-continue\r\n", 10));
    assert_eq!(client.answer().status, 401);
    let mut client = Client::to(&server);
    client.send(put("x", &format!("Expect: 100-continue\r\n{RIGHT}"), 10));
    assert_eq!(client.head().status, 100);
    for byte in b"0123456789" {
        dawdle(Duration::from_millis(1));
        client.send([*byte]);
    }
    assert_eq!(client.answer().status, 201);
    assert_eq!(fs::read_to_string(folder.join("x")).unwrap(), "0123456789");
    client.send(put("x", RIGHT, 2 << 20));
    assert_eq!(client.answer().status, 413);
    assert_eq!(names(&folder), ["x"]);
}

/// Two bodies of 6 bytes where all together may come to 10, and one to 6.
#[test]
fn all_bodies_in_memory_are_bounded_together() {
    let app = App::new().post("/", |request: &Request<'_>| request.body().len().to_string());
    let limits = Limits { body_bytes_max: 6, bodies_bytes_max: 10, ..Limits::default() };
    let server = start(alone(app).limits(limits));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n";
    let [mut first, mut second, mut third] = [(); 3].map(|()| Client::to(&server));
    first.send(format!("{head}12345"));
    until("five bytes are kept", || server.snapshot().body_bytes == 5);
    second.send(format!("{head}12345"));
    until("ten bytes are kept", || server.snapshot().body_bytes == 10);
    third.send(format!("{head}1"));
    let answer = third.answer();
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("limit.bodies"), "{}", answer.text());
    drop(second);
    until("one has gone", || server.snapshot().body_bytes == 5);
    first.send("6");
    assert_eq!(first.answer().text(), "6");
    until("nothing is kept", || server.snapshot().body_bytes == 0);
}
