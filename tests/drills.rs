//! THE FILE IS READ AGAIN: `kolk serve -c FILE` as a process, HUP, and what clients, metrics and whoever
//! reads standard error see of it.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "support/program.rs"]
mod program;

use std::fs;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use kolk::{App, Server};
use program::scratch::Scratch;

use program::{Client, Kolk, PATIENCE, command, eventually, run};

/// A file with one site, which answers `/` with `text`, and beside it what `more` says.
fn file(folder: &Scratch, text: &str, more: &str) {
    let file = format!(
        "[server]\nworkers = 2\nadmin = \"unix:{}\"\n{more}\n[[listen]]\naddr = \"127.0.0.1:0\"\n\
         [[site]]\nhosts = \"*\"\n[[site.route]]\npath = \"/\"\nrespond = {{ text = \"{text}\" }}\n\
         [[site.route]]\npath = \"/files/{{*file}}\"\nstatic = \".\"\n",
        folder.join("admin.sock").display()
    );
    folder.put("kolk.toml", &file);
}

fn start(folder: &Scratch) -> Kolk {
    let path = folder.join("kolk.toml");
    Kolk::spawn(&mut command(&["serve", "-c", path.to_str().unwrap()]))
}

/// What the admin site says.
fn admin(folder: &Scratch, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::os::unix::net::UnixStream::connect(folder.join("admin.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// The next answer of `client` at `/`.
fn says(client: &mut Client) -> String {
    client.get("/").text().to_owned()
}

#[test]
fn a_file_that_is_right_is_served_from_now_on_on_the_same_connection() {
    let folder = Scratch::new("drills-right");
    file(&folder, "one", "");
    let kolk = start(&folder);
    let mut client = kolk.connect();
    assert_eq!(says(&mut client), "one");
    file(&folder, "two", "");
    kolk.signal("HUP");
    kolk.says("kolk.toml was read again and is served");
    assert!(eventually(|| says(&mut client) == "two"));
    // Files that were opened after the workers have started.
    let answer = client.get("/files/kolk.toml");
    assert_eq!((answer.status(), answer.text().contains("two")), (200, true));
    let metrics = admin(&folder, "/_kolk/metrics");
    assert!(metrics.contains("kolk_reloads_total{result=\"done\"} 1\n"), "{metrics}");
    assert!(metrics.contains("kolk_reloads_total{result=\"refused\"} 0\n"), "{metrics}");
}

#[test]
fn a_file_that_is_wrong_is_told_in_full_and_changes_nothing() {
    let folder = Scratch::new("drills-wrong");
    file(&folder, "one", "");
    let kolk = start(&folder);
    let mut client = kolk.connect();
    file(&folder, "two", "wrkers = 1\nbakclog = 2\n");
    kolk.signal("HUP");
    kolk.says("2 errors in ");
    kolk.says("unknown key `wrkers`");
    kolk.says("unknown key `bakclog`");
    kolk.says("what was served before still is");
    assert_eq!(says(&mut client), "one");
    // What only shows when it is built.
    file(&folder, "two", "");
    let text = fs::read_to_string(folder.join("kolk.toml")).unwrap();
    folder.put("kolk.toml", text + "[[site.route]]\npath = \"/\"\nrespond = 404\n");
    kolk.signal("HUP");
    kolk.says("1 error in ");
    kolk.says("what was served before still is");
    // Nor is what only shows when the address is asked for.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = (taken.local_addr().unwrap().to_string(), taken);
    file(&folder, "two", "");
    let text = fs::read_to_string(folder.join("kolk.toml")).unwrap();
    folder.put("kolk.toml", format!("[[listen]]\naddr = \"{}\"\n{text}", taken.0));
    kolk.signal("HUP");
    kolk.says("1 error in ");
    kolk.says(&format!("cannot listen on http://{}: the address is in use", taken.0));
    kolk.says("kolk.toml:2:8");
    kolk.says("what was served before still is");
    assert_eq!(says(&mut client), "one");
    // Nor does one that was cut off, or that is being written, close every listener.
    folder.put("kolk.toml", "");
    kolk.signal("HUP");
    kolk.says("no [[site]]: nothing would be served");
    kolk.says("what was served before still is");
    assert_eq!(says(&mut client), "one");
    let metrics = admin(&folder, "/_kolk/metrics");
    assert!(metrics.contains("kolk_reloads_total{result=\"refused\"} 4\n"), "{metrics}");
    file(&folder, "three", "");
    kolk.signal("HUP");
    kolk.says("was read again and is served");
    assert!(eventually(|| says(&mut client) == "three"));
}

/// Every file of the golden cases in which something is wrong.
fn broken_files() -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/config");
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for case in text.split("\n## ") {
            let block = |kind: &str| {
                let (_, rest) = case.split_once(&format!("```{kind}\n"))?;
                rest.split_once("```").map(|(block, _)| block.to_owned())
            };
            let (file, says) = (block("toml"), block("says"));
            files.extend(file.filter(|_| says.is_some_and(|says| says.starts_with("error: "))));
        }
    }
    assert!(files.len() >= 200, "{} files", files.len());
    files
}

#[test]
fn no_file_that_is_wrong_disturbs_whoever_is_served() {
    let folder = Scratch::new("drills-broken");
    file(&folder, "one", "");
    let kolk = start(&folder);
    let mut client = kolk.connect();
    let files = broken_files();
    for text in &files {
        folder.put("kolk.toml", text);
        kolk.signal("HUP");
        kolk.says("what was served before still is");
        assert_eq!(says(&mut client), "one", "{text}");
    }
    let metrics = admin(&folder, "/_kolk/metrics");
    let refused = format!("kolk_reloads_total{{result=\"refused\"}} {}\n", files.len());
    assert!(metrics.contains(&refused), "{metrics}");
    assert!(metrics.contains("kolk_reloads_total{result=\"done\"} 0\n"), "{metrics}");
}

#[test]
fn what_a_start_has_to_do_is_named_and_the_rest_is_done() {
    let folder = Scratch::new("drills-fixed");
    file(&folder, "one", "");
    let mut kolk = start(&folder);
    let more = "pin = true\nserver_name = \"whirl\"\nshutdown_delay = \"60s\"\nshutdown_grace = \"90s\"";
    file(&folder, "two", more);
    kolk.signal("HUP");
    kolk.says("kolk.toml:4: `pin` takes effect at the next start");
    kolk.says("was read again and is served");
    let mut client = kolk.connect();
    assert!(eventually(|| client.get("/").field("server") == Some("whirl")));
    assert!(admin(&folder, "/readyz").contains(" 200 "));
    kolk.signal("TERM");
    kolk.says("draining: not ready any more, and in 60 s what is under way has 90 s to finish");
    assert!(eventually(|| admin(&folder, "/readyz").contains(" 503 ")));
    assert!(admin(&folder, "/livez").contains(" 200 "));
    assert_eq!(says(&mut kolk.connect()), "two", "nobody is turned away yet");
    kolk.signal("TERM");
    assert_eq!(kolk.ended(), Some(0));
}

#[test]
fn what_flags_say_waits_for_no_start() {
    let folder = Scratch::new("drills-given");
    file(&folder, "one", "pid_file = \"one.pid\"");
    let (path, pid_file) = (folder.join("kolk.toml"), folder.join("own.pid"));
    let path = path.to_str().unwrap();
    let mut serve = command(&["serve", "--pid-file", pid_file.to_str().unwrap(), "-c", path]);
    let kolk = Kolk::spawn(serve.env("KOLK_WORKERS", "1"));
    assert!(pid_file.exists() && !folder.join("one.pid").exists());
    file(&folder, "two", "pid_file = \"two.pid\"\npin = true");
    let text = fs::read_to_string(path).unwrap();
    folder.put("kolk.toml", text.replace("workers = 2", "workers = 3"));
    let admin = format!("unix:{}", folder.join("admin.sock").display());
    let (code, told, stderr) = reload(&["--admin", &admin]);
    assert_eq!((code, &*stderr), (Some(0), ""));
    let waits: Vec<&str> = told.lines().skip(1).collect();
    assert_eq!(waits, [format!("  {path}:5: `pin` takes effect at the next start")]);
    assert!(eventually(|| says(&mut kolk.connect()) == "two"));
}

// ── kolk reload ─────────────────────────────────────────────────────────────────────────────────────

/// Exit code, standard output and standard error of `kolk reload`.
fn reload(arguments: &[&str]) -> (Option<i32>, String, String) {
    run(command(&["reload"]).args(arguments))
}

#[test]
fn whoever_gives_the_order_is_told_what_became_of_it() {
    let folder = Scratch::new("drills-told");
    file(&folder, "one", "");
    let kolk = start(&folder);
    let mut client = kolk.connect();
    let at = format!("unix:{}", folder.join("admin.sock").display());
    let path = folder.join("kolk.toml");
    let path = path.to_str().unwrap();
    file(&folder, "two", "");
    let (code, told, stderr) = reload(&["--admin", &at]);
    assert_eq!((code, &*stderr), (Some(0), ""));
    assert!(told.starts_with("took effect in ") && told.ends_with(" ms\n"), "{told}");
    assert!(eventually(|| says(&mut client) == "two"));
    // Its file says where it is asked.
    file(&folder, "three", "pin = true\nflight_recorder = \"2MiB\"");
    let (code, told, stderr) = reload(&["-c", path]);
    assert_eq!((code, &*stderr), (Some(0), ""));
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].ends_with(" ms; what needs a restart:"), "{told}");
    let waits = [
        format!("  {path}:4: `pin` takes effect at the next start"),
        format!("  {path}:5: `flight_recorder` takes effect at the next start"),
    ];
    assert_eq!(lines[1..], waits);
    assert!(eventually(|| says(&mut client) == "three"));
}

#[test]
fn an_order_that_is_refused_says_why_as_a_check_does() {
    let folder = Scratch::new("drills-refused");
    file(&folder, "one", "");
    let kolk = start(&folder);
    let at = format!("unix:{}", folder.join("admin.sock").display());
    let path = folder.join("kolk.toml");
    let path = path.to_str().unwrap();
    file(&folder, "two", "wrkers = 1\nbakclog = 2\n");
    let (_, _, checked) = run(&mut command(&["check", "-c", path]));
    let excerpts = checked.rsplit_once("\n\n").unwrap().0;
    let (code, told, stderr) = reload(&["--admin", &at]);
    assert_eq!((code, &*told), (Some(3), ""));
    let end = format!("\n\n2 errors in {path}\n\nkolk: refused: what was served before still is\n");
    assert_eq!(stderr, format!("{excerpts}{end}"));
    assert_eq!(says(&mut kolk.connect()), "one");
    // Whoever is to look into the file for the server sees it before that does.
    let (code, _, stderr) = reload(&["-c", path]);
    assert_eq!(code, Some(3), "{stderr}");
    assert_eq!(stderr, format!("{excerpts}\n\nkolk: 2 errors in {path}: the server was told nothing\n"));
    let metrics = admin(&folder, "/_kolk/metrics");
    assert!(metrics.contains("kolk_reloads_total{result=\"refused\"} 1\n"), "{metrics}");
}

#[test]
fn a_server_that_cannot_be_asked_is_told_by_its_number() {
    let folder = Scratch::new("drills-number");
    let named = format!("pid_file = \"{}\"", folder.join("kolk.pid").display());
    let quiet = |text: &str| {
        file(&folder, text, &named);
        let path = folder.join("kolk.toml");
        let file = fs::read_to_string(&path).unwrap();
        let lines = file.lines().filter(|line| !line.starts_with("admin"));
        folder.put("kolk.toml", lines.collect::<Vec<_>>().join("\n"));
        path
    };
    let path = quiet("one");
    let kolk = start(&folder);
    quiet("two");
    let (code, told, stderr) = reload(&["-c", path.to_str().unwrap()]);
    assert_eq!((code, &*stderr), (Some(0), ""));
    let number = kolk.child.id();
    assert!(told.starts_with(&format!("process {number} was told; its log says")), "{told}");
    kolk.says("was read again and is served");
    quiet("three");
    let pid_file = folder.join("kolk.pid");
    assert_eq!(reload(&["--pid-file", pid_file.to_str().unwrap()]).0, Some(0));
    kolk.says("was read again and is served");
    let mut client = kolk.connect();
    assert!(eventually(|| says(&mut client) == "three"));
}

#[test]
fn nobody_else_is_told() {
    let folder = Scratch::new("drills-nobody");
    let refused = |arguments: &[&str], code: i32, why: &str| {
        let (ended, told, stderr) = reload(arguments);
        assert_eq!((ended, &*told), (Some(code), ""), "{stderr}");
        assert!(stderr.contains(why) && stderr.lines().count() == 1, "{stderr}");
    };
    refused(&[], 2, "whom to tell? --admin HOST:PORT, --pid-file PATH or -c FILE");
    let at = format!("unix:{}", folder.join("admin.sock").display());
    refused(&["--admin", &at], 1, "is it the admin listener of a running kolk?");
    refused(&["--pid-file", folder.join("pid").to_str().unwrap()], 1, "does the server run?");
    file(&folder, "one", "");
    let named = fs::read_to_string(folder.join("kolk.toml")).unwrap();
    let lines = named.lines().filter(|line| !line.starts_with("admin"));
    folder.put("kolk.toml", lines.collect::<Vec<_>>().join("\n"));
    let path = folder.join("kolk.toml");
    refused(&["-c", path.to_str().unwrap()], 2, "has neither `admin` nor `pid_file`");
    // Whoever has changed the file has to say where the server is.
    file(&folder, "one", "");
    let former =
        "says another `admin` or `pid_file` than at the start: --admin or --pid-file with the former";
    refused(&["-c", path.to_str().unwrap()], 1, former);
    // A program that does not expect the signal would die of it: this test.
    let server = Server::new(App::new()).listen("127.0.0.1:0").unwrap().admin(&at).unwrap();
    let server = server.start().unwrap();
    refused(&["--admin", &at], 1, "it answers 404");
    server.stop();
}

#[test]
fn a_server_without_a_file_says_that_it_has_nothing_to_read() {
    let folder = Scratch::new("drills-fileless");
    let at = format!("unix:{}", folder.join("admin.sock").display());
    let _kolk = Kolk::start(&["--admin", &at]);
    let (code, _, stderr) = reload(&["--admin", &at]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.starts_with("nothing to reload: there are no certificates, and no file\n\n"), "{stderr}");
}

// ── What stands in the way ──────────────────────────────────────────────────────────────────────────

/// Nobody writes to it: whoever opened it as any file would wait for ever.
#[test]
fn a_file_that_has_become_a_pipe_is_refused_and_holds_up_neither_later_orders_nor_the_end() {
    let folder = Scratch::new("drills-pipe");
    file(&folder, "one", "");
    let mut kolk = start(&folder);
    let mut client = kolk.connect();
    let at = format!("unix:{}", folder.join("admin.sock").display());
    let path = folder.join("kolk.toml");
    let pipe = || {
        fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    };
    pipe();
    let (code, _, stderr) = reload(&["--admin", &at]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("kolk.toml: this is a named pipe\n"), "{stderr}");
    assert_eq!(says(&mut client), "one");
    fs::remove_file(&path).unwrap();
    file(&folder, "two", "");
    assert_eq!(reload(&["--admin", &at]).0, Some(0));
    assert!(eventually(|| says(&mut client) == "two"));
    pipe();
    kolk.signal("HUP");
    kolk.signal("TERM");
    assert_eq!(kolk.ended(), Some(0));
}

// ── What is kept ────────────────────────────────────────────────────────────────────────────────────

#[test]
fn listeners_come_and_go_with_the_file() {
    let folder = Scratch::new("drills-listeners");
    file(&folder, "one", "");
    let kolk = start(&folder);
    let (mut first, added) = (kolk.connect(), folder.join("added.sock"));
    assert_eq!(says(&mut first), "one");
    let reload = |text: &str, listeners: &str| {
        file(&folder, text, "");
        let file = fs::read_to_string(folder.join("kolk.toml")).unwrap();
        let file = file.replace("[[listen]]\naddr = \"127.0.0.1:0\"\n", listeners);
        folder.put("kolk.toml", file);
        kolk.signal("HUP");
        kolk.says("was read again and is served");
    };
    let socket = format!("[[listen]]\naddr = \"unix:{}\"\n", added.display());
    reload("two", &format!("{socket}[[listen]]\naddr = \"127.0.0.1:0\"\n"));
    assert!(added.exists() && says(&mut kolk.connect()) == "two");
    // One that was asked for first, and that everybody knows, is gone; who came from there stays.
    reload("three", &socket);
    let is_refused = || {
        let refused = std::net::TcpStream::connect(&kolk.address).map_err(|error| error.kind());
        refused.is_err_and(|kind| kind == std::io::ErrorKind::ConnectionRefused)
    };
    assert!(eventually(is_refused));
    assert!(eventually(|| says(&mut first) == "three"));
    reload("four", "[[listen]]\naddr = \"127.0.0.1:0\"\n");
    assert!(!added.exists());
    assert!(eventually(|| says(&mut first) == "four"));
}

/// `-l` counts instead of the file, at the start and ever after.
#[test]
fn where_flags_say_where_to_listen_that_stays() {
    let folder = Scratch::new("drills-flags");
    file(&folder, "one", "");
    let path = folder.join("kolk.toml");
    let kolk = Kolk::start(&["serve", "-c", path.to_str().unwrap()]);
    file(&folder, "two", "");
    let text = fs::read_to_string(&path).unwrap();
    let other = folder.join("other.sock");
    folder.put("kolk.toml", text.replace("127.0.0.1:0", &format!("unix:{}", other.display())));
    kolk.signal("HUP");
    kolk.says("was read again and is served");
    assert!(eventually(|| says(&mut kolk.connect()) == "two"));
    assert!(!other.exists());
}

/// As long as the rate says the same: with another one, everybody begins anew.
#[test]
fn how_often_clients_came_is_not_forgotten() {
    let folder = Scratch::new("drills-rates");
    let rated = |text: &str, rate: &str| {
        file(&folder, text, "");
        let file = fs::read_to_string(folder.join("kolk.toml")).unwrap();
        let file = file.replace("hosts = \"*\"\n", "hosts = \"*\"\nrate = [\"few\"]\n");
        folder.put("kolk.toml", format!("{file}[rate.few]\nrate = \"{rate}\"\nburst = 2\n"));
    };
    let reload = |kolk: &Kolk| {
        kolk.signal("HUP");
        kolk.says("was read again and is served");
    };
    rated("one", "1/h");
    let kolk = start(&folder);
    let mut client = kolk.connect();
    let statuses = |client: &mut Client| [(); 3].map(|()| client.get("/").status());
    assert_eq!(statuses(&mut client), [200, 200, 429]);
    rated("two", "1/h");
    reload(&kolk);
    assert_eq!(statuses(&mut client), [429; 3]);
    // Nor what became of them.
    let metrics = admin(&folder, "/_kolk/metrics");
    for line in [
        "kolk_rate_requests_total{rate=\"few\",result=\"passed\"} 2\n",
        "kolk_rate_requests_total{rate=\"few\",result=\"refused\"} 4\n",
        "kolk_refusals_total{reason=\"limit.rate.few\"} 4\n",
        "kolk_refusals_total{reason=\"limit.rate\"} 0\n",
        "kolk_route_requests_total{site=\"*\",route=\"/\",class=\"4xx\"} 4\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
    rated("three", "2/h");
    reload(&kolk);
    assert!(eventually(|| client.get("/").status() == 200));
}

/// Who is killed tidies nothing up: neither within a reload nor at any other time.
#[test]
fn whoever_is_killed_leaves_nothing_that_the_next_one_stumbles_over() {
    let folder = Scratch::new("drills-killed");
    let more = format!("pid_file = \"{}\"\n", folder.join("kolk.pid").display());
    let write = |text: &str, routes: u32, sockets: &[&str]| {
        file(&folder, text, &more);
        let mut whole = fs::read_to_string(folder.join("kolk.toml")).unwrap();
        for number in 0..routes {
            whole += &format!("[[site.route]]\npath = \"/{number}\"\nrespond = 204\n");
        }
        for socket in sockets {
            whole += &format!("[[listen]]\naddr = \"unix:{}\"\n", folder.join(socket).display());
        }
        folder.put("kolk.toml", whole);
    };
    let killed = |mut kolk: Kolk| {
        kolk.signal("KILL");
        assert_eq!(kolk.ended(), None, "a signal has ended it");
        assert!(folder.join("kolk.pid").exists() && folder.join("one.sock").exists());
    };
    let (_sender, never) = mpsc::channel::<()>();
    for millis in [0, 5, 20, 80] {
        write("one", 0, &["one.sock"]);
        let kolk = start(&folder);
        assert_eq!(says(&mut kolk.connect()), "one");
        // It takes its time to be read, and has a socket more.
        write("two", 2_000, &["one.sock", "two.sock"]);
        kolk.signal("HUP");
        let _ = never.recv_timeout(Duration::from_millis(millis));
        killed(kolk);
        let next = start(&folder);
        assert_eq!(says(&mut next.connect()), "two");
        let number = fs::read_to_string(folder.join("kolk.pid")).unwrap();
        assert_eq!(number, format!("{}\n", next.child.id()));
        assert!(admin(&folder, "/readyz").contains(" 200 "));
        for socket in ["one.sock", "two.sock"] {
            std::os::unix::net::UnixStream::connect(folder.join(socket)).unwrap();
        }
        killed(next);
    }
}

/// Resident memory of a process, in bytes; nothing where the system does not say.
fn resident_bytes(kolk: &Kolk) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", kolk.child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

fn descriptors(kolk: &Kolk) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{}/fd", kolk.child.id())).ok()?.count())
}

/// Each file is looked at, and its folder is open as long as anybody serves it.
#[test]
fn two_hundred_files_later_memory_and_descriptors_are_what_they_were() {
    let folder = Scratch::new("drills-memory");
    folder.put("content", "x".repeat(60_000));
    file(&folder, "0", "");
    let kolk = start(&folder);
    // Some of them are served by either worker.
    let mut clients: Vec<Client> = (0..8).map(|_| kolk.connect()).collect();
    let mut reload = |number: u32| {
        file(&folder, &number.to_string(), "");
        kolk.signal("HUP");
        for client in &mut clients {
            assert!(eventually(|| says(client) == number.to_string()), "{number} is served");
            assert_eq!(client.get("/files/content").body.len(), 60_000);
        }
    };
    (1..=50).for_each(&mut reload);
    let before = (resident_bytes(&kolk), descriptors(&kolk));
    (51..=250).for_each(&mut reload);
    let after = (resident_bytes(&kolk), descriptors(&kolk));
    if let (Some(before), Some(after)) = (before.0, after.0) {
        assert!(after < before + 2 * 1024 * 1024, "{before} bytes became {after}");
    }
    if let (Some(before), Some(after)) = (before.1, after.1) {
        assert!(after <= before + 2, "{before} descriptors became {after}");
    }
    let metrics = admin(&folder, "/_kolk/metrics");
    assert!(metrics.contains("kolk_reloads_total{result=\"done\"} 250\n"), "{metrics}");
}
