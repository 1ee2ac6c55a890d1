//! THE LOG OF THE SERVER ITSELF: `[log.error]` of a file, seen from whoever reads it: a file, standard error,
//! a daemon's socket.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "support/program.rs"]
mod program;

use std::fs;
use std::io::{self, BufRead as _, BufReader, PipeReader, Read as _, Write as _};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use program::scratch::Scratch;
use program::{Client, Kolk, PATIENCE, command, eventually, run};

/// A file with one site, and with this log.
fn configure(folder: &Scratch, log: &str) {
    let text = format!(
        "[server]\nworkers = 1\n{log}\n[log.access.main]\nto = \"logs/access\"\n\
         [[listen]]\naddr = \"127.0.0.1:0\"\n\
         [[site]]\nhosts = \"*\"\naccess_log = \"main\"\nrespond = 200\n"
    );
    fs::create_dir_all(folder.join("logs")).unwrap();
    folder.put("kolk.toml", &text);
}

fn start(folder: &Scratch) -> Kolk {
    Kolk::spawn(&mut command(&["serve", "-c", folder.join("kolk.toml").to_str().unwrap()]))
}

/// Waits for a line of the file that contains `text`; the line.
fn written(folder: &Scratch, name: &str, text: &str) -> String {
    let mut line = None;
    let is_there = eventually(|| {
        let log = fs::read_to_string(folder.join(name)).unwrap_or_default();
        line = log.lines().find(|line| line.contains(text)).map(str::to_owned);
        line.is_some()
    });
    assert!(is_there, "{text:?} is not in {name}: {:?}", fs::read_to_string(folder.join(name)));
    line.unwrap()
}

#[test]
fn a_file_has_what_happens_and_is_opened_anew() {
    let folder = Scratch::new("server-log-file");
    configure(&folder, "[log]\nerror = \"own.log\"");
    let mut kolk = start(&folder);
    let line = written(&folder, "own.log", "serving what ");
    let (time, line) = line.split_once(' ').unwrap();
    assert!(time.len() == 24 && time.ends_with('Z') && &time[10..11] == "T", "{time}");
    assert!(line.starts_with("kolk: info: serving what "), "{line}");
    assert!(line.ends_with(&format!("http://{}", kolk.address)), "{line}");

    kolk.signal("HUP");
    kolk.says("was read again and is served");
    written(&folder, "own.log", "was read again and is served");

    fs::rename(folder.join("own.log"), folder.join("own.log.1")).unwrap();
    fs::rename(folder.join("logs"), folder.join("elsewhere")).unwrap();
    kolk.signal("USR1");
    // The library's own words: the folder of the access log is gone.
    let line = written(&folder, "own.log", "stays as it was");
    let told = " kolk: warn: the access log stays as it was: ";
    assert!(line.contains(told) && line.contains("/logs/access: "), "{line}");
    written(&folder, "own.log.1", "serving what ");

    fs::create_dir(folder.join("logs")).unwrap();
    folder.put("kolk.toml", "[[site]]\nhosts = 7\n");
    kolk.signal("HUP");
    kolk.says("what was served before still is");
    let line = written(&folder, "own.log", "what was served before still is");
    assert!(line.contains(" kolk: error: ") && line.contains("kolk.toml:2: "), "{line}");
    kolk.signal("TERM");
    assert_eq!(kolk.ended(), Some(0));
    written(&folder, "own.log", "kolk: info: draining");
}

#[test]
fn standard_error_in_json_has_nothing_else() {
    let folder = Scratch::new("server-log-json");
    configure(&folder, "[log.error]\nformat = \"json\"");
    let mut kolk = start(&folder);
    kolk.signal("HUP");
    let mut lines = Vec::new();
    while !lines.iter().any(|line: &String| line.contains("was read again")) {
        lines.push(kolk.stderr.recv_timeout(PATIENCE).unwrap());
    }
    kolk.signal("TERM");
    while let Ok(line) = kolk.stderr.recv_timeout(PATIENCE) {
        lines.push(line);
    }
    assert_eq!(kolk.ended(), Some(0));
    for line in &lines {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let mut members: Vec<_> = line.as_object().unwrap().keys().collect();
        members.sort();
        assert_eq!(members, ["level", "message", "target", "time"]);
        assert_eq!((&line["level"], &line["target"]), (&"info".into(), &"kolk".into()));
    }
    assert!(lines[0].contains("serving what ") && lines.last().unwrap().contains("draining"), "{lines:?}");
}

#[test]
fn a_daemon_has_a_datagram_for_each_line() {
    let folder = Scratch::new("server-log-socket");
    let daemon = UnixDatagram::bind(folder.join("daemon")).unwrap();
    daemon.set_read_timeout(Some(PATIENCE)).unwrap();
    configure(&folder, "[log.error]\nto = \"unix:daemon\"\nformat = \"json\"");
    let kolk = start(&folder);
    let mut datagram = [0; 1000];
    let length = daemon.recv(&mut datagram).unwrap();
    let line: serde_json::Value = serde_json::from_slice(&datagram[..length]).unwrap();
    let message = line["message"].as_str().unwrap();
    assert!(message.ends_with(&format!("http://{}", kolk.address)), "{message}");
    // Nobody reads it any more: what is said then is said on standard error.
    drop(daemon);
    fs::remove_dir_all(folder.join("logs")).unwrap();
    kolk.signal("USR1");
    kolk.says("(the log of the server does not take it: ");
}

#[test]
fn a_log_that_cannot_be_written_is_told_at_the_start() {
    let folder = Scratch::new("server-log-nowhere");
    for log in ["to = \"unix:nobody\"", "to = \"closed\""] {
        configure(&folder, &format!("[log.error]\n{log}"));
        // A file that nobody, not even root, can append to: it is a loop.
        let _ = std::os::unix::fs::symlink("closed", folder.join("closed"));
        let (code, _, stderr) = run(command(&["serve", "-c", "kolk.toml"]).current_dir(&*folder));
        assert_eq!(code, Some(3), "{stderr}");
        assert!(stderr.contains("cannot write the log of the server (kolk.toml:4): "), "{stderr}");
    }
}

#[test]
fn an_access_log_that_cannot_be_opened_is_told_at_its_line() {
    let folder = Scratch::new("server-log-access");
    drop(UnixDatagram::bind(folder.join("gone")).unwrap());
    std::os::unix::fs::symlink("closed", folder.join("closed")).unwrap();
    pipe(&folder, "pipe");
    for (place, why) in [
        ("unix:nobody", "nobody: No such file"),
        ("unix:gone", "gone: Connection refused"),
        ("closed", "closed: Too many levels"),
        ("pipe", "pipe: nobody reads this pipe"),
    ] {
        configure(&folder, "");
        let text = fs::read_to_string(folder.join("kolk.toml")).unwrap();
        folder.put("kolk.toml", text.replace("logs/access", place));
        let (code, _, stderr) = run(command(&["serve", "-c", "kolk.toml"]).current_dir(&*folder));
        assert_eq!(code, Some(3), "{stderr}");
        assert!(stderr.contains("cannot open the access log: ") && stderr.contains(why), "{stderr}");
        assert!(stderr.contains("kolk.toml:5:6\n") && stderr.contains("1 error in kolk.toml"), "{stderr}");
        // Where flags say another place, that of the file is not opened.
        let flags = ["serve", "-c", "kolk.toml", "--log", "json", "--log-file", "nowhere/log"];
        let (code, _, stderr) = run(command(&flags).current_dir(&*folder));
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("nowhere/log: No such file") && !stderr.contains("toml"), "{stderr}");
    }
}

/// Two sites that write to one file, which they call differently, while somebody moves it away.
#[test]
fn a_file_that_is_moved_away_under_load_loses_no_line_and_mixes_none() {
    let folder = Scratch::new("server-log-load");
    fs::create_dir(folder.join("logs")).unwrap();
    let site = |name: &str| {
        format!("[[site]]\nhosts = \"{name}.example\"\naccess_log = \"{name}\"\nrespond = 200\n")
    };
    let log = |to: &str| format!("{{ to = \"{to}\", format = \"{{target}} {{user_agent}}\" }}\n");
    folder.put(
        "kolk.toml",
        format!(
            "[server]\nworkers = 2\n[log.access]\na = {}b = {}[[listen]]\naddr = \"127.0.0.1:0\"\n{}{}",
            log("logs/access"),
            log("logs/../logs/access"),
            site("a"),
            site("b")
        ),
    );
    let mut kolk = start(&folder);
    let agent = "x".repeat(500);
    let ask = |client: &mut Client, name: char, number: u32| {
        let request =
            format!("GET /{name}/{number} HTTP/1.1\r\nHost: {name}.example\r\nUser-Agent: {agent}\r\n\r\n");
        assert_eq!(client.ask(&request).status(), 200);
    };
    let path = folder.join("logs/access");
    let is_over = AtomicBool::new(false);
    let moved: Vec<String> = (0..6).map(|number| format!("logs/access.{number}")).collect();
    let mut expected = thread::scope(|scope| {
        let load = |name: char| {
            let mut client = kolk.connect();
            let (ask, is_over) = (&ask, &is_over);
            scope.spawn(move || {
                let asked = (0..).take_while(|_| !is_over.load(Relaxed));
                asked.map(|number| ask(&mut client, name, number)).count()
            })
        };
        let loads = [('a', load('a')), ('b', load('b'))];
        for name in &moved[1..] {
            fs::rename(&path, folder.join(name)).unwrap();
            kolk.signal("USR1");
            assert!(eventually(|| path.exists()), "it is opened anew");
        }
        is_over.store(true, Relaxed);
        let asked = loads.into_iter().map(|(name, load)| (name, load.join().unwrap()));
        asked.flat_map(|(name, count)| (0..count).map(move |number| (name, number))).collect::<Vec<_>>()
    });
    // A folder in its place: what was written to before still is.
    fs::rename(&path, folder.join(&moved[0])).unwrap();
    fs::create_dir(&path).unwrap();
    kolk.signal("USR1");
    kolk.says("the access log stays as it was: ");
    let last = expected.iter().filter(|(name, _)| *name == 'a').count();
    ask(&mut kolk.connect(), 'a', last.try_into().unwrap());
    expected.push(('a', last));
    kolk.signal("TERM");
    assert_eq!(kolk.ended(), Some(0));
    let text: String = moved.iter().map(|name| fs::read_to_string(folder.join(name)).unwrap()).collect();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let mut expected: Vec<String> =
        expected.iter().map(|(name, number)| format!("/{name}/{number} {agent}")).collect();
    expected.sort_unstable();
    assert!(lines == expected, "{} lines of {} requests", lines.len(), expected.len());
}

/// A named pipe.
fn pipe(folder: &Scratch, name: &str) {
    assert!(Command::new("mkfifo").arg(folder.join(name)).status().unwrap().success());
}

/// Opens a pipe for reading without waiting for a writer.
fn reader(folder: &Scratch, name: &str) -> fs::File {
    fs::File::options().read(true).write(true).open(folder.join(name)).unwrap()
}

/// The next line of a pipe, which is closed then.
fn heard(pipe: fs::File) -> String {
    let (sender, line) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        BufReader::new(pipe).read_line(&mut line).unwrap();
        sender.send(line)
    });
    line.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_no_start() {
    for (log, name) in [("", "logs/access"), ("[log]\nerror = \"own\"", "own")] {
        let folder = Scratch::new("server-log-pipe-start");
        configure(&folder, log);
        pipe(&folder, name);
        let (code, stdout, stderr) =
            run(&mut command(&["serve", "-c", folder.join("kolk.toml").to_str().unwrap()]));
        assert!(code.is_some_and(|code| code != 0), "{name}: {code:?} {stdout} {stderr}");
        let told = format!("/{name}: nobody reads this pipe: start its reader first");
        assert!(stderr.contains(&told), "{stderr}");
    }
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_neither_reload_nor_end() {
    let folder = Scratch::new("server-log-pipe-reload");
    configure(&folder, "[log]\nerror = \"own\"");
    let mut kolk = start(&folder);
    pipe(&folder, "pipe");
    let text = fs::read_to_string(folder.join("kolk.toml")).unwrap();
    folder.put("kolk.toml", text.replace("logs/access", "pipe"));
    kolk.signal("HUP");
    kolk.says("/pipe: nobody reads this pipe");
    kolk.says("what was served before still is");

    for name in ["logs/access", "own"] {
        fs::remove_file(folder.join(name)).unwrap();
        pipe(&folder, name);
    }
    // The server's own log stays the file without a name, where nobody sees the rest.
    let own = reader(&folder, "own");
    kolk.signal("USR1");
    let line = heard(own);
    assert!(line.contains("the access log stays as it was: ") && line.contains("nobody reads"), "{line}");
    assert_eq!(kolk.get("/").status(), 200);
    kolk.signal("TERM");
    assert_eq!(kolk.ended(), Some(0));
}

#[test]
fn a_pipe_loses_lines_while_nobody_reads_it_and_holds_up_nobody() {
    let folder = Scratch::new("server-log-pipe");
    configure(&folder, "");
    pipe(&folder, "logs/access");
    let first = reader(&folder, "logs/access");
    let mut kolk = start(&folder);
    assert_eq!(kolk.get("/one").status(), 200);
    let line = heard(first);
    assert!(line.contains("/one") && line.ends_with('\n'), "{line}");
    assert!(eventually(|| {
        assert_eq!(kolk.get("/lost").status(), 200);
        kolk.stderr.try_iter().any(|line| line.contains("access log: lines are lost"))
    }));
    // It comes back, and whole lines are all that it sees.
    let second = reader(&folder, "logs/access");
    assert_eq!(kolk.get("/two").status(), 200);
    let line = heard(second);
    assert!(line.starts_with('{') && line.ends_with("}\n"), "{line}");
    kolk.signal("TERM");
    assert_eq!(kolk.ended(), Some(0));
}

// ── Standard error and standard output that nobody reads ────────────────────────────────────────────

/// What stands in a pipe before anybody else writes to it.
const FILLING: &str = "filling";

/// A pipe that is full until somebody reads it.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, writer) = io::pipe().unwrap();
    let mut filler = writer.try_clone().unwrap();
    let (sender, filled) = mpsc::channel();
    thread::spawn(move || {
        // More than a pipe has room for, on any system: it waits here for the reader.
        let line = format!("{FILLING}{}\n", "x".repeat(1_000));
        while filler.write_all(line.as_bytes()).is_ok() && sender.send(()).is_ok() {}
    });
    // It is full when no more goes into it; if that seems so too early, it is so a moment later.
    while filled.recv_timeout(Duration::from_millis(100)).is_ok() {}
    (reader, writer.into())
}

/// The lines that somebody else has written to such a pipe; the filler ends with the first that it writes.
fn others(reader: PipeReader) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let lines = BufReader::new(reader).lines().map_while(Result::ok);
        for line in lines.filter(|line| !line.starts_with(FILLING)) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

fn next(lines: &mpsc::Receiver<String>, text: &str) -> String {
    loop {
        let line = lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it did not say: {text}"));
        if line.contains(text) {
            return line;
        }
    }
}

/// A file with a folder, whose page for a 404 is gone as soon as it is served, and an answer that waits.
fn configure_complaints(folder: &Scratch) {
    fs::create_dir_all(folder.join("www")).unwrap();
    folder.put("www/404.html", "not here");
    folder.put(
        "kolk.toml",
        format!(
            "[server]\nworkers = 1\nadmin = \"unix:{}\"\nshutdown_delay = \"1h\"\n\
             [[listen]]\naddr = \"127.0.0.1:0\"\n[[site]]\nhosts = \"*\"\n\
             [[site.route]]\npath = \"/{{*path}}\"\n\
             static = {{ root = \"www\", not_found = \"404.html\" }}\n",
            folder.join("admin.sock").display()
        ),
    );
}

fn serve(folder: &Scratch) -> Command {
    command(&["serve", "-c", folder.join("kolk.toml").to_str().unwrap()])
}

fn reload(folder: &Scratch) -> (Option<i32>, String, String) {
    run(&mut command(&["reload", "--admin", &format!("unix:{}", folder.join("admin.sock").display())]))
}

#[test]
fn standard_error_that_nobody_reads_holds_up_neither_workers_nor_orders_nor_the_end() {
    let folder = Scratch::new("server-log-unread");
    configure_complaints(&folder);
    let (reader, stderr) = full_pipe();
    let mut kolk = Kolk::spawn_to(&mut serve(&folder), Stdio::piped(), stderr);
    assert_eq!(reload(&folder).0, Some(0));
    fs::remove_file(folder.join("www/404.html")).unwrap();
    for _ in 0..20 {
        assert_eq!(kolk.get("/nope").status(), 404);
    }
    assert_eq!(reload(&folder).0, Some(3), "its page is gone");
    kolk.signal("USR2");
    kolk.signal("TERM");
    let is_ending = || {
        let mut stream = UnixStream::connect(folder.join("admin.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.contains(" 503 ")
    };
    assert!(eventually(is_ending));
    assert_eq!(kolk.get("/nope").status(), 404, "within the delay everybody is served");
    kolk.signal("TERM");
    assert_eq!(kolk.ended(), Some(0));
    drop(reader);
}

#[test]
fn what_found_no_room_is_told_when_somebody_reads_again() {
    let folder = Scratch::new("server-log-loss");
    configure_complaints(&folder);
    let (reader, stderr) = full_pipe();
    let kolk = Kolk::spawn_to(&mut serve(&folder), Stdio::piped(), stderr);
    let text = fs::read_to_string(folder.join("kolk.toml")).unwrap();
    let wrong: String = (0..1_500).map(|number| format!("nothing_is_called_so_{number} = 1\n")).collect();
    folder.put("kolk.toml", format!("{wrong}{text}"));
    for _ in 0..3 {
        assert_eq!(reload(&folder).0, Some(3));
    }
    let said = others(reader);
    next(&said, "nothing_is_called_so_1499");
    let line = next(&said, "lost here");
    let (count, rest) = line.strip_prefix("kolk: warn: ").unwrap().split_once(' ').unwrap();
    assert!(count.parse::<u32>().unwrap() > 1_000, "{line}");
    assert_eq!(rest, "lines were lost here: nobody read standard error");
    // Nothing else is missing then.
    folder.put("kolk.toml", &text);
    kolk.signal("HUP");
    next(&said, "was read again and is served");
}

#[test]
fn standard_output_that_nobody_reads_holds_up_nobody() {
    let folder = Scratch::new("server-log-unread-stdout");
    configure(&folder, "[log.error]\nto = \"stdout\"\nformat = \"json\"");
    let (reader, stdout) = full_pipe();
    let mut kolk = Kolk::spawn_to(&mut serve(&folder), stdout, Stdio::piped());
    kolk.signal("HUP");
    kolk.says("was read again and is served");
    assert_eq!(kolk.get("/").status(), 200);
    kolk.signal("TERM");
    kolk.says("draining: ");
    assert_eq!(kolk.ended(), Some(0));
    drop(reader);
}

#[test]
fn a_log_on_standard_output_is_all_that_is_there() {
    let is_json =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok_and(|line| line.is_object());
    let folder = Scratch::new("server-log-stdout");
    for (log, stderr) in [("to = \"stdout\"\nformat = \"json\"", "text"), ("format = \"json\"", "json")] {
        configure(&folder, &format!("[log.error]\n{log}"));
        let text = fs::read_to_string(folder.join("kolk.toml")).unwrap();
        if stderr == "json" {
            // Where it listens is in the log.
            folder.put("kolk.toml", text.replace("logs/access", "stdout").replace("127.0.0.1:0", "unix:own"));
            let mut child = serve(&folder);
            let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let lines = program::lines(child.stderr.take().unwrap());
            let line = lines.recv_timeout(PATIENCE).unwrap();
            assert!(is_json(&line) && line.contains("serving what "), "{line}");
            program::signal("TERM", child.id());
            assert!(program::lines(child.stdout.take().unwrap()).recv_timeout(PATIENCE).is_err());
            assert!(lines.iter().all(|line| is_json(&line)));
            assert_eq!(child.wait().unwrap().code(), Some(0));
            continue;
        }
        for to in ["logs/access", "stdout"] {
            folder.put("kolk.toml", text.replace("logs/access", to));
            let mut kolk = start(&folder);
            assert_eq!(kolk.get("/").status(), 200);
            kolk.signal("TERM");
            let lines: Vec<String> = kolk.stdout.iter().collect();
            assert!(lines.len() >= 2 && lines.iter().all(|line| is_json(line)), "{lines:?}");
            assert_eq!(kolk.ended(), Some(0));
        }
    }
    let mut kolk = Kolk::start(&["--log", "json"]);
    assert_eq!(kolk.get("/plaintext").status(), 200);
    kolk.signal("TERM");
    let lines: Vec<String> = kolk.stdout.iter().collect();
    assert!(lines.len() == 1 && is_json(&lines[0]), "{lines:?}");
    assert_eq!(kolk.ended(), Some(0));
}

/// Whoever asks on and on fills no log.
#[test]
fn what_each_request_could_bring_about_is_said_ever_more_rarely() {
    let folder = Scratch::new("server-log-rarely");
    configure_complaints(&folder);
    let mut kolk = Kolk::spawn(&mut serve(&folder));
    fs::remove_file(folder.join("www/404.html")).unwrap();
    let mut client = kolk.connect();
    for _ in 0..100 {
        assert_eq!(client.get("/nope").status(), 404);
    }
    kolk.signal("TERM");
    kolk.signal("INT");
    let said = kolk.stderr.iter().filter(|line| line.contains("404.html")).collect::<Vec<_>>();
    assert_eq!(said.len(), 7, "{said:?}");
    assert!(said[6].ends_with("(and such for 64 requests so far)"), "{said:?}");
    assert_eq!(kolk.ended(), Some(0));
}

#[test]
fn no_line_is_glued_to_one_that_an_earlier_process_has_not_ended() {
    let folder = Scratch::new("server-log-cut");
    configure(&folder, "[log]\nerror = \"own.log\"");
    for name in ["own.log", "logs/access"] {
        folder.put(name, "whole\nha");
    }
    let mut kolk = start(&folder);
    assert_eq!(kolk.get("/").status(), 200);
    kolk.signal("TERM");
    assert_eq!(kolk.ended(), Some(0));
    for (name, begins) in [("own.log", "20"), ("logs/access", "{")] {
        let log = fs::read_to_string(folder.join(name)).unwrap();
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(lines[..2], ["whole", "ha"]);
        assert!(lines.len() > 2 && lines[2..].iter().all(|line| line.starts_with(begins)), "{log}");
    }
}
