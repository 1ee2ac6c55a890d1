//! THE STAGES of requests: measured for each request where somebody looks, and for none elsewhere.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "frames/frame.rs"]
mod frame;
mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use kolk::access_log::{Destination, Format, Template};
use kolk::server::stats::Stage;
use kolk::{App, Body, FlightRecorder, Reply, Request, Response, Running, ServerTiming, deferred};
use serde_json::Value;

use frame::{DATA, END_STREAM, Frame, HEAD_BYTES, bytes_of};
use support::scratch::Scratch;
use support::{Client, PATIENCE, address, alone, dawdle, start, until};

const PAUSE: Duration = Duration::from_millis(20);

/// A fixed answer, one that is made, one from a file, and one that comes late.
fn site(files: &Scratch) -> App {
    files.put("content", vec![b'x'; 200_000]);
    let content = files.join("content");
    let late = |_: &Request<'_>, reply: Reply| {
        thread::spawn(move || {
            dawdle(PAUSE);
            reply.send(Response::text("late"));
        });
    };
    App::new()
        .layer(ServerTiming)
        .get("/fixed", Response::text("fixed"))
        .get("/made/{name}", |request: &Request<'_>| request.param("name").unwrap().to_owned())
        .get("/late", deferred(late))
        .get("/file", move |_: &Request<'_>| {
            let file = Arc::new(File::open(&content).unwrap());
            Response::text(Body::File { file, offset: 0, length: 200_000 })
        })
}

/// How many requests were measured.
fn counts(server: &Running) -> [u64; 4] {
    let stages = server.snapshot().stages;
    [Stage::Accept, Stage::Parse, Stage::Handle, Stage::Respond]
        .map(|stage| stages[stage.index()].counts.iter().sum())
}

/// What `Server-Timing` says of a stage, in milliseconds.
fn told(field: &str, stage: &str) -> Option<f64> {
    let entry = field.split(", ").find_map(|entry| entry.strip_prefix(stage)?.strip_prefix(";dur="));
    entry.map(|time| time.parse().unwrap())
}

/// Asks for each of these with HTTP/2, all at once, and waits for the answers.
fn ask_at_once(server: &Running, paths: &[&str]) {
    let mut stream = TcpStream::connect(address(server)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = bytes_of("PREFACE | SETTINGS INITIAL_WINDOW_SIZE=1000000 | WINDOW_UPDATE 0 1000000");
    for (at, path) in paths.iter().enumerate() {
        bytes.extend(bytes_of(&format!("HEADERS {} END_STREAM END_HEADERS GET={path}", 2 * at + 1)));
    }
    stream.write_all(&bytes).unwrap();
    let (mut unread, mut ended) = (Vec::new(), 0);
    while ended < paths.len() {
        let mut piece = [0; 16_384];
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "the connection ended");
        unread.extend_from_slice(&piece[..count]);
        while let Some(frame) = Frame::parse(&unread) {
            unread.drain(..HEAD_BYTES + frame.payload.len());
            ended += usize::from(frame.kind == DATA && frame.flags & END_STREAM != 0);
        }
    }
}

#[test]
fn each_line_and_each_memory_has_all_four() {
    const PATHS: [&str; 4] = ["/fixed", "/made/it", "/late", "/file"];
    let files = Scratch::new("stages-lines");
    let log = files.join("log");
    // A log that shows times has them measured.
    let server = alone(site(&files)).admin("127.0.0.1:0").unwrap();
    let server = server.flight_recorder(FlightRecorder::new(1024 * 1024));
    let server = start(server.access_log(Format::Json, Destination::File(log.clone())));
    let mut client = Client::at(address(&server));
    for path in PATHS {
        client.get(path);
    }
    // Several that leave together.
    client.send("GET /fixed HTTP/1.1\r\nHost: a\r\n\r\n".repeat(8));
    (0..8).for_each(|_| assert_eq!(client.answer().text(), "fixed"));
    drop(client);
    ask_at_once(&server, &PATHS);
    let mut remembered = String::new();
    until("the last request is remembered", || {
        remembered = server.handle().recent(100);
        remembered.lines().filter(|line| line.contains("total_us")).count() == 16
    });
    server.drain(PATIENCE);
    server.join().unwrap();
    let lines = std::fs::read_to_string(log).unwrap();
    for (lines, from) in [(&lines, "the log"), (&remembered, "the recorder")] {
        assert_eq!(lines.lines().count(), 16, "{from}: {lines}");
        let mut accepted = 0;
        for line in lines.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let [parse, handle, respond, total] =
                ["parse_us", "handle_us", "respond_us", "total_us"].map(|name| line[name].as_f64());
            accepted += usize::from(line["accept_us"].is_number());
            let sum = parse.zip(handle).map(|(parse, handle)| parse + handle);
            let sum = sum.zip(respond).map(|(sum, respond)| sum + respond);
            let sum = sum.unwrap_or_else(|| panic!("{from}: {line}"));
            // The head of a long answer leaves before its end.
            assert!(respond.is_some_and(|time| time > 0.0), "{from}: {line}");
            assert!(total.is_some_and(|total| total > sum - 0.01), "{from}: {line}");
        }
        assert_eq!(accepted, 2, "the first of each connection: {lines}");
    }
}

#[test]
fn the_template_of_the_page_shows_how_long_each_answer_took_to_leave() {
    let page = std::fs::read_to_string("docs/access-log.md").unwrap();
    let template = page.split("format = '").nth(1).unwrap().split('\'').next().unwrap();
    assert!(template.ends_with(" {respond_us}us"), "{template}");
    let files = Scratch::new("stages-template");
    let log = files.join("log");
    let format = Format::Template(Template::parse(template).unwrap());
    let server = start(alone(site(&files)).access_log(format, Destination::File(log.clone())));
    let mut client = Client::at(address(&server));
    for path in ["/fixed", "/made/it", "/late"] {
        client.get(path);
    }
    drop(client);
    server.drain(PATIENCE);
    server.join().unwrap();
    let lines = std::fs::read_to_string(log).unwrap();
    assert_eq!(lines.lines().count(), 3, "{lines}");
    for line in lines.lines() {
        let time = line.rsplit(' ').next().and_then(|time| time.strip_suffix("us")).unwrap();
        assert!(time.parse::<f64>().is_ok_and(|time| time > 0.0), "{line}");
    }
}

#[test]
fn each_request_of_http_1_is_measured_and_told() {
    let files = Scratch::new("stages-h1");
    let server = start(alone(site(&files)).stages(true));
    let mut client = Client::at(address(&server));
    for (number, path) in ["/fixed", "/made/it", "/late", "/file", "/nowhere"].into_iter().enumerate() {
        let answer = client.get(path);
        let field = answer.field("server-timing").unwrap().to_owned();
        assert_eq!(told(&field, "accept").is_some(), number == 0, "{path}: {field}");
        assert!(told(&field, "parse").is_some_and(|time| (0.0..1_000.0).contains(&time)), "{path}: {field}");
        let handled = told(&field, "handle").unwrap();
        assert_eq!(handled >= 20.0, path == "/late", "{path}: {field}");
    }
    until("all stages of five requests", || counts(&server) == [1, 5, 5, 5]);
    // Several in one turn leave together.
    client.send("GET /fixed HTTP/1.1\r\nHost: a\r\n\r\n".repeat(8));
    (0..8).for_each(|_| assert_eq!(client.answer().text(), "fixed"));
    until("all stages of eight more", || counts(&server) == [1, 13, 13, 13]);
    let late = server.snapshot().stages[Stage::Handle.index()].sum;
    assert!(late >= PAUSE, "{late:?}");
}

#[test]
fn each_request_of_http_2_is_measured() {
    let files = Scratch::new("stages-h2");
    let server = start(alone(site(&files)).stages(true));
    ask_at_once(&server, &["/fixed", "/made/it", "/late", "/file"]);
    until("all stages of four requests", || counts(&server) == [1, 4, 4, 4]);
}

#[test]
fn where_nobody_looks_nothing_is_measured() {
    let files = Scratch::new("stages-none");
    let server = start(alone(site(&files)));
    let mut client = Client::at(address(&server));
    client.get("/fixed");
    assert_eq!(client.get("/made/it").field("server-timing"), None);
    assert_eq!(counts(&server), [0; 4]);
}
