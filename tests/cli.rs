//! The program as its users meet it: started as a process, spoken to over real sockets, told to end
//! by signals. Every wait has a deadline.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "support/program.rs"]
mod program;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use program::scratch::Scratch;
use program::{Client, Kolk, PATIENCE, command, eventually, free_address, run, signal};

#[test]
fn plaintext_is_what_load_tests_expect() {
    let kolk = Kolk::start(&[]);
    let answer = kolk.get("/plaintext");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text(), "Hello, World!");
    assert_eq!(answer.field("content-length"), Some("13"));
    assert_eq!(answer.field("content-type"), Some("text/plain"));
    assert_eq!(answer.field("server"), Some("kolk"));
    assert!(answer.field("date").is_some_and(|date| date.ends_with(" GMT")));
}

#[test]
fn every_demo_route_answers() {
    let kolk = Kolk::start(&[]);
    assert_eq!(kolk.get("/json").text(), r#"{"message":"Hello, World!"}"#);
    assert_eq!(kolk.get("/bytes/100").body.len(), 100);
    let large = kolk.get("/bytes/1000000");
    assert_eq!((large.field("content-length"), large.body.len()), (Some("1000000"), 1_000_000));
    let stream = kolk.get("/stream/3");
    assert_eq!(stream.text(), "chunk 1 of 3\nchunk 2 of 3\nchunk 3 of 3\n");
    assert_eq!(stream.chunks, 3);
    assert_eq!(kolk.get("/sleep/5").text(), "slept 5 ms\n");
    assert_eq!(kolk.get("/status/503").status(), 503);
    assert_eq!(kolk.get("/status/204").status(), 204);
    assert_eq!(kolk.get("/favicon.ico").field("content-type"), Some("image/svg+xml"));
    assert_eq!(kolk.get("/bytes/many").status(), 400);
    let missing = kolk.get("/nothing");
    assert_eq!(missing.status(), 404);
    assert!(missing.text().contains("/status/{code}"));
}

#[test]
fn an_echo_returns_what_came() {
    let kolk = Kolk::start(&[]);
    let mut client = kolk.connect();
    for framing in
        ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
    {
        let answer = client.ask(&format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\n{framing}"));
        assert_eq!((answer.text(), answer.field("content-type")), ("hello", Some("a/b")));
    }
}

#[test]
fn events_come_one_by_one() {
    let kolk = Kolk::start(&[]);
    let mut client = kolk.connect();
    client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.head();
    assert!(head.contains("text/event-stream"), "{head}");
    for number in [1, 2] {
        let event = String::from_utf8(client.chunk().unwrap()).unwrap();
        assert!(event.starts_with(&format!("id: {number}\ndata: {{\"count\":{number},")), "{event}");
    }
}

#[test]
fn the_page_shows_the_request_and_the_head_that_is_really_sent() {
    let kolk = Kolk::start(&[]);
    let mut client = kolk.connect();
    let request = "GET /?q=%3Cb%3E HTTP/1.1\r\nHost: test\r\nX-Evil: <script>alert(1)</script>\r\n\r\n";
    let first = client.ask(request);
    assert_eq!(first.chunks, 2, "before and behind the measurement");
    assert!(!first.text().contains("<script"));
    assert_eq!(shown_heads(first.text()), [request, &first.head]);

    let second = client.ask(request);
    let page = second.text();
    assert!(page.contains("same connection, request number 2; accept cost nothing"));
    assert_eq!(shown_heads(page)[1], second.head);
    let measured = page.split("class=\"time\"><b>").skip(1).map(|time| time.split_once('<').unwrap().0);
    let measured: Vec<&str> = measured.collect();
    assert_eq!(measured.len(), 4, "{measured:?}");
    assert_eq!(measured[0], "0 µs");
    assert!(measured[1..].iter().all(|time| time.ends_with('s') && *time != "0 µs"), "{measured:?}");
}

#[test]
fn the_page_is_right_about_connections_that_close() {
    let kolk = Kolk::start(&[]);
    let mut client = kolk.connect();
    let answer = client.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n");
    assert_eq!(shown_heads(answer.text())[1], answer.head);
    assert!(client.is_closed());

    for request in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"] {
        let mut old = kolk.connect();
        old.send(request);
        let head = old.head();
        let mut page = String::new();
        old.reader.read_to_string(&mut page).unwrap();
        assert_eq!(shown_heads(&page)[1], head);
        assert!(page.ends_with("</html>\n"));
    }
}

/// The two message heads on the page, as text.
fn shown_heads(page: &str) -> Vec<String> {
    let boxes = page.split("<ol class=\"wire\">").skip(1).map(|rest| rest.split_once("</ol>").unwrap().0);
    boxes
        .map(|lines| lines.lines().filter(|line| line.starts_with("<li")).map(shown_line).collect())
        .collect()
}

fn shown_line(item: &str) -> String {
    let code = item.split_once("<code>").unwrap().1.replace("<s>CR</s>", "\r").replace("<s>LF</s>", "\n");
    let code = code.split("<em>").next().unwrap();
    let mut text = String::new();
    for piece in code.split('<') {
        text.push_str(piece.split_once('>').map_or(piece, |(_, text)| text));
    }
    for (entity, character) in
        [("&lt;", "<"), ("&gt;", ">"), ("&#39;", "'"), ("&quot;", "\""), ("&#123;", "{"), ("&amp;", "&")]
    {
        text = text.replace(entity, character);
    }
    text
}

#[test]
fn serve_does_what_a_file_says_that_is_named_or_found() {
    let folder = Scratch::new("cli-configured");
    folder.put("www/index.html", "front page");
    let file = |text: &str| folder.put("kolk.toml", text);
    file(
        "[[listen]]\naddr = \"127.0.0.1:0\"\n[[site]]\nhosts = [\"*\"]\n[[site.route]]\npath = \"/{*file}\"\n\
         static = \"www\"\n",
    );
    for arguments in [&["serve", "-c", "kolk.toml"][..], &["serve"]] {
        let kolk = Kolk::spawn(command(arguments).current_dir(&*folder));
        assert_eq!(kolk.get("/").text(), "front page", "{arguments:?}");
    }
    // What flags say of where counts instead.
    let address = free_address();
    let kolk = Kolk::spawn(command(&["serve", "-l", &address]).current_dir(&*folder));
    assert_eq!(kolk.address, address);
    assert_eq!(kolk.get("/").text(), "front page");
    drop(kolk);

    // What the file says is not said twice.
    for flag in
        [&["--keepalive", "1s"][..], &["--admin", ":1"], &["--auth", "u:x"], &["--max-connections", "1"]]
    {
        let (code, _, stderr) = run(command(&["serve"]).args(flag).current_dir(&*folder));
        assert_eq!(code, Some(2), "{flag:?}: {stderr}");
        assert!(stderr.contains(&format!("{} says nothing beside kolk.toml: write ", flag[0])), "{stderr}");
    }
    let mut kolk = command(&["serve"]);
    let kolk = Kolk::spawn(kolk.env("KOLK_ADMIN", &address).env("KOLK_WORKERS", "3").current_dir(&*folder));
    kolk.says("warn: KOLK_ADMIN says nothing beside kolk.toml: write `admin` in [server] there");
    kolk.says("3 workers");
    assert!(TcpStream::connect(&address).is_err());
    drop(kolk);

    file("[[site]]\nhost = [\"*\"]\n");
    let (code, _, stderr) = run(command(&["serve"]).current_dir(&*folder));
    assert_eq!(code, Some(3));
    for said in ["kolk.toml:2:1", "did you mean `hosts`"] {
        assert!(stderr.contains(said), "{stderr}");
    }
}

#[test]
fn serve_serves_a_directory_and_nothing_outside() {
    let dir = Scratch::new("serve");
    dir.put("index.html", "<h1>here</h1>");
    let kolk = Kolk::start(&["serve", dir.to_str().unwrap()]);
    let answer = kolk.get("/");
    assert_eq!((answer.status(), answer.text()), (200, "<h1>here</h1>"));
    assert!(answer.field("content-type").unwrap().starts_with("text/html"));
    assert_ne!(kolk.get("/../../etc/passwd").status(), 200);
    assert_eq!(kolk.get("/absent").status(), 404);
}

#[test]
fn quiet_prints_nothing() {
    let address = free_address();
    let mut command = command(&["-q", "-w", "1", "-l", &address]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let serves = eventually(|| TcpStream::connect(&address).is_ok());
    signal("TERM", child.id());
    if !serves {
        let _ = child.kill();
    }
    let output = child.wait_with_output().unwrap();
    assert!(serves && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_banner_is_for_people_and_one_line_for_scripts() {
    let mut kolk = Kolk::start(&[]);
    kolk.says(&format!("http://{}", kolk.address));
    kolk.says("1 worker");
    kolk.says("/plaintext");
    kolk.signal("TERM");
    assert!(kolk.stdout.recv_timeout(PATIENCE).is_err(), "one line on standard output and no more");
    assert_eq!(kolk.ended(), Some(0));
}

#[test]
fn term_and_quit_drain_and_usr2_does_not() {
    for signal in ["TERM", "QUIT"] {
        let mut kolk = Kolk::start(&[]);
        let mut client = kolk.connect();
        client.send("GET /sleep/300 HTTP/1.1\r\nHost: a\r\n\r\n");
        // When the same worker has answered somebody who came later, the sleeper is asleep.
        kolk.get("/plaintext");
        kolk.signal("USR2");
        kolk.says("USR2 does nothing here: HUP");
        kolk.signal(signal);
        kolk.says("draining");
        let answer = client.answer();
        assert_eq!(answer.text(), "slept 300 ms\n", "what was under way is finished");
        assert_eq!(answer.field("connection"), Some("close"), "{signal}");
        assert_eq!(kolk.ended(), Some(0), "{signal}");
    }
}

#[test]
fn a_second_int_stops_at_once() {
    let mut kolk = Kolk::start(&[]);
    let mut client = kolk.connect();
    client.send("GET /sleep/60000 HTTP/1.1\r\nHost: a\r\n\r\n");
    kolk.get("/plaintext");
    kolk.signal("INT");
    kolk.says("draining");
    kolk.signal("INT");
    kolk.says("stopping at once");
    assert!(client.is_closed());
    assert_eq!(kolk.ended(), Some(0));
}

#[test]
fn hup_has_nothing_to_reload_and_usr1_reopens_the_log() {
    let dir = Scratch::new("log");
    let log = dir.join("access.log");
    let mut kolk = Kolk::start(&["--log", "json", "--log-file", log.to_str().unwrap()]);
    kolk.signal("HUP");
    kolk.says("nothing to reload: there are no certificates");
    std::fs::rename(&log, dir.join("access.log.1")).unwrap();
    kolk.signal("USR1");
    assert!(eventually(|| log.exists()), "it opens the file that was moved away anew");
    kolk.get("/json");
    kolk.signal("TERM");
    assert_eq!(kolk.ended(), Some(0));
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("\"/json\""), "{text}");
}

#[test]
fn metrics_have_a_listener_of_their_own() {
    let admin = free_address();
    let kolk = Kolk::start(&["--admin", &admin]);
    kolk.get("/plaintext");
    let answer = Client::new(&admin).get("/_kolk/metrics");
    assert_eq!(answer.status(), 200);
    assert!(answer.text().contains("kolk_"), "{}", answer.text());
    assert_eq!(kolk.get("/_kolk/metrics").status(), 404, "not for visitors");
}

#[test]
fn every_listener_has_its_line() {
    let dir = Scratch::new("unix");
    let socket = format!("unix:{}", dir.join("k.sock").display());
    let kolk = Kolk::spawn(&mut command(&["-w", "2", "-l", "127.0.0.1:0", "-l", &socket]));
    assert_eq!(kolk.stdout.recv_timeout(PATIENCE).unwrap(), format!("listening {socket}"));
    let mut stream = std::os::unix::net::UnixStream::connect(dir.join("k.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    assert!(page.contains("a Unix socket"), "{page}");
}

#[test]
fn an_address_in_use_ends_with_4_and_advice() {
    let kolk = Kolk::start(&[]);
    let (code, stdout, stderr) = run(&mut command(&["-w", "1", "-l", &kolk.address]));
    assert_eq!((code, &*stdout), (Some(4), ""));
    assert!(stderr.starts_with(&format!("kolk: cannot listen on http://{}: ", kolk.address)), "{stderr}");
    assert!(stderr.contains("ss -ltxnp") && stderr.contains("--listen"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1);
}

#[test]
fn a_file_that_is_no_socket_stays_and_ends_with_4() {
    let dir = Scratch::new("file");
    let path = dir.join("precious");
    std::fs::write(&path, "text").unwrap();
    let (code, _, stderr) = run(&mut command(&["-w", "1", "-l", &format!("unix:{}", path.display())]));
    assert_eq!(code, Some(4), "{stderr}");
    assert!(stderr.contains("not a socket"), "{stderr}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
}

#[test]
fn mistakes_of_usage_end_with_2_and_say_what_would_be_right() {
    for (arguments, says) in [
        (&["--nonsense"][..], "unexpected argument"),
        (&["-l", "8080"], "127.0.0.1:8080"),
        (&["-l", "::1:8080"], "in brackets"),
        (&["-w", "none"], "auto"),
        (&["--keepalive", "10"], "10s"),
        (&["proxy"], "unrecognized subcommand"),
        (&["serve", "/does/not/exist"], "there is no directory /does/not/exist"),
        (&["serve", "/dev/null"], "/dev/null is not a directory"),
    ] {
        let (code, stdout, stderr) = run(&mut command(arguments));
        assert_eq!((code, &*stdout), (Some(2), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(says), "{arguments:?}: {stderr}");
    }
}

#[test]
fn help_and_version_end_with_0() {
    let (code, stdout, _) = run(&mut command(&["--help"]));
    assert_eq!(code, Some(0));
    assert!(stdout.contains("Examples:") && stdout.contains("Exit codes:"));
    let (code, stdout, _) = run(&mut command(&["--version"]));
    assert_eq!(code, Some(0));
    assert!(stdout.starts_with(concat!("kolk ", env!("CARGO_PKG_VERSION"), "\n")), "{stdout}");
}

#[test]
fn the_environment_yields_to_flags() {
    let (code, _, stderr) = run(command(&[]).env("KOLK_LISTEN", "8081").env("PORT", "8083"));
    assert_eq!(code, Some(2));
    assert!(stderr.contains("`8081`"), "{stderr}");
    let (code, _, stderr) = run(command(&["-l", "8082"]).env("KOLK_LISTEN", "8081"));
    assert_eq!(code, Some(2));
    assert!(stderr.contains("`8082`"), "{stderr}");
    let mut kolk = command(&["--log", "off", "-w", "1"]);
    let kolk = Kolk::spawn(
        kolk.env("PORT", "0").env("KOLK_LOG", "json").env("KOLK_WORKERS", "2").env("KOLK_PIN", "yes"),
    );
    kolk.says("1 worker");
    assert!(kolk.address.starts_with("127.0.0.1:") && kolk.address != "127.0.0.1:8080", "{}", kolk.address);
}
