//! The program as a service manager meets it: sockets that were opened for it, words that it sends back,
//! a watchdog, another user, a file with its number.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "support/program.rs"]
mod program;

use std::fs;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use kolk::service::Pulse;
use kolk::{App, Request, Response, Server, Workers};

use program::scratch::Scratch;
use program::{Client, Kolk, PATIENCE, command, eventually, run};

/// `kolk` as a service manager starts it, with descriptor 3 (and 4, the same socket) and such variables.
fn activated(socket: impl AsFd, count: u32, names: &str, arguments: &[&str]) -> Command {
    activated_by("exec 3<&0 4<&0 </dev/null; LISTEN_PID=$$", socket, count, names, arguments)
}

fn activated_by(script: &str, socket: impl AsFd, count: u32, names: &str, arguments: &[&str]) -> Command {
    let kolk = command(arguments);
    let script = format!("{script}; export LISTEN_PID; exec \"$0\" \"$@\"");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).arg(kolk.get_program()).args(kolk.get_args());
    for (name, value) in kolk.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let socket: OwnedFd = socket.as_fd().try_clone_to_owned().unwrap();
    shell.env("LISTEN_FDS", count.to_string()).env("LISTEN_FDNAMES", names).stdin(Stdio::from(socket));
    shell
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// Where systemd would listen for words.
struct Systemd {
    socket: UnixDatagram,
    path: String,
    _dir: Scratch,
}

impl Systemd {
    fn new(name: &str) -> Self {
        let dir = Scratch::new(name);
        let path = dir.join("notify").to_str().unwrap().to_owned();
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, path, _dir: dir }
    }

    fn hears(&self) -> String {
        let mut buffer = [0; 1024];
        let length = self.socket.recv(&mut buffer).expect("a word of the program");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }
}

#[test]
fn a_socket_that_was_passed_is_served_by_all_workers_and_outlives_them() {
    let (socket, address) = listener();
    let mut kolk = Kolk::spawn(&mut activated(&socket, 1, "web", &["-w", "2"]));
    assert_eq!(kolk.address, address);
    for _ in 0..8 {
        assert_eq!(kolk.get("/plaintext").status(), 200);
    }
    kolk.signal("TERM");
    assert_eq!(kolk.ended(), Some(0));
    // The manager's copy still listens: who comes meanwhile waits for the next.
    let mut early = Client::new(&address);
    early.send("GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n");
    let _next = Kolk::spawn(&mut activated(&socket, 1, "", &["-w", "2"]));
    assert_eq!(early.answer().status(), 200);
}

#[test]
fn a_passed_socket_is_meant_by_number_or_by_name() {
    let (socket, address) = listener();
    for name in ["fd:3", "fd:web"] {
        let kolk = Kolk::spawn(&mut activated(&socket, 2, "web:other", &["-w", "1", "-l", name]));
        assert_eq!(kolk.address, address, "{name}");
        assert_eq!(kolk.get("/plaintext").status(), 200);
    }
    let kolk = Kolk::spawn(&mut activated(&socket, 2, "web:other", &["-w", "1"]));
    assert_eq!(kolk.stdout.recv_timeout(PATIENCE).unwrap(), format!("listening http://{address}"), "both");
    let (code, _, stderr) = run(&mut activated(&socket, 2, "web:other", &["-l", "fd:wbe"]));
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("the passed ones are called web, other"), "{stderr}");
}

#[test]
fn the_admin_may_have_a_passed_socket() {
    let (socket, address) = listener();
    let arguments = ["-w", "1", "-l", "127.0.0.1:0", "--admin", "fd:admin"];
    let _kolk = Kolk::spawn(&mut activated(&socket, 1, "admin", &arguments));
    assert_eq!(Client::new(&address).get("/_kolk/metrics").status(), 200);
}

#[test]
fn what_was_meant_for_a_parent_is_not_taken() {
    let (socket, address) = listener();
    let mut child = activated_by("exec 3<&0 </dev/null; LISTEN_PID=1", &socket, 1, "", &["-w", "1"]);
    let kolk = Kolk::spawn(child.env("PORT", "0"));
    assert_ne!(kolk.address, address);
}

#[test]
fn a_descriptor_that_cannot_be_listened_on_ends_with_4_and_says_why() {
    let null = fs::File::open("/dev/null").unwrap();
    let (code, _, stderr) = run(&mut activated(null, 1, "", &["-w", "1"]));
    assert_eq!(code, Some(4), "{stderr}");
    assert!(stderr.contains("it is not a socket"), "{stderr}");
    let (code, _, stderr) = run(&mut command(&["-w", "1", "-l", "fd:77"]));
    assert_eq!(code, Some(4), "{stderr}");
    assert!(stderr.contains("fd:77: descriptor 77 is not open"), "{stderr}");
}

#[test]
fn the_manager_hears_of_start_and_end() {
    let manager = Systemd::new("notify");
    let mut command = command(&["-w", "1", "-l", "127.0.0.1:0"]);
    let mut kolk = Kolk::spawn(command.env("NOTIFY_SOCKET", &manager.path));
    let ready = manager.hears();
    assert!(ready.starts_with("READY=1\nSTATUS=") && ready.contains("http://127.0.0.1:"), "{ready}");
    assert_eq!(kolk.get("/plaintext").status(), 200);
    kolk.signal("TERM");
    assert!(manager.hears().starts_with("STOPPING=1\n"));
    assert_eq!(kolk.ended(), Some(0));
}

/// `Type=notify-reload`: READY=1 counts for an order if RELOADING=1 was said after it, by the clock of both.
#[test]
fn the_manager_hears_when_a_reload_begins_and_when_it_is_over() {
    let manager = Systemd::new("notify-reload");
    let folder = Scratch::new("notify-file");
    let file = |answer: &str| {
        let site = format!("[[site]]\nhosts = \"*\"\nrespond = {answer}\n");
        folder.put("kolk.toml", format!("[[listen]]\naddr = \"127.0.0.1:0\"\n{site}"));
    };
    file("404");
    let path = folder.join("kolk.toml");
    let mut command = command(&["serve", "-w", "1", "-c", path.to_str().unwrap()]);
    let mut kolk = Kolk::spawn(command.env("NOTIFY_SOCKET", &manager.path));
    let ready = manager.hears();
    assert!(ready.starts_with("READY=1\nSTATUS=serving"), "{ready}");
    let mut last = 0;
    for (answer, end) in [("204", ""), ("nothing", "; the last reload was refused, see the log"), ("404", "")]
    {
        file(answer);
        kolk.signal("HUP");
        let word = manager.hears();
        let rest = word.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{word}"));
        let (micros, status) = rest.split_once('\n').unwrap();
        let micros: u64 = micros.parse().unwrap();
        assert!(micros > last && status.starts_with("STATUS="), "{word}");
        last = micros;
        assert_eq!(manager.hears(), format!("{ready}{end}"));
    }
    kolk.signal("TERM");
    assert!(manager.hears().starts_with("STOPPING=1\n"));
    assert_eq!(kolk.ended(), Some(0));
}

/// By whichever systemd is here; without one there is nobody to ask.
#[test]
fn the_unit_says_nothing_that_systemd_does_not_know() {
    let folder = Scratch::new("unit");
    for name in ["kolk.service", "kolk.socket"] {
        let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name);
        let unit = fs::read_to_string(unit).unwrap();
        folder.put(name, unit.replace("/usr/bin/kolk", env!("CARGO_BIN_EXE_kolk")));
    }
    let verify = Command::new("systemd-analyze").arg("verify").arg(folder.join("kolk.service")).output();
    let Ok(verified) = verify else { return };
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    let here = folder.to_str().unwrap();
    assert!(said.lines().all(|line| !line.contains(here)), "{said}");
}

#[test]
fn the_watchdog_is_fed_while_idle_workers_turn() {
    let manager = Systemd::new("watchdog");
    let mut command = command(&["-w", "2", "-l", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", &manager.path).env("WATCHDOG_USEC", "100000");
    let _kolk = Kolk::spawn(&mut command);
    assert!(manager.hears().starts_with("READY=1"));
    for _ in 0..3 {
        assert_eq!(manager.hears(), "WATCHDOG=1");
    }
}

#[test]
fn a_worker_that_is_stuck_has_no_pulse() {
    let (release, stuck) = mpsc::channel::<()>();
    let (entered, inside) = mpsc::channel();
    let (stuck, entered) = (Mutex::new(stuck), Mutex::new(entered));
    let app = App::new().get("/stuck", move |_: &Request<'_>| {
        entered.lock().unwrap().send(()).unwrap();
        let _ = stuck.lock().unwrap().recv_timeout(PATIENCE);
        Response::text("free\n")
    });
    let server = Server::new(app).workers(Workers::Exactly(2)).listen("127.0.0.1:0").unwrap();
    let server = server.start().unwrap();
    let mut pulse = Pulse::new(server.handle());
    assert!(eventually(|| pulse.beat()), "idle workers turn when they are rung");

    let mut client = Client::new(&server.addrs()[0].socket_addr().unwrap().to_string());
    client.send("GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n");
    inside.recv_timeout(PATIENCE).unwrap();
    // What the turns before it have counted is known after one beat.
    pulse.beat();
    for _ in 0..20 {
        let (_open, never) = mpsc::channel::<()>();
        let _ = never.recv_timeout(Duration::from_millis(2));
        assert!(!pulse.beat(), "one of two is stuck");
    }
    release.send(()).unwrap();
    assert_eq!(client.answer().status(), 200);
    assert!(eventually(|| pulse.beat()));
    server.drain(Duration::ZERO);
    assert!(pulse.beat(), "whoever ends is not dead");
}

#[test]
fn a_manager_that_is_not_there_is_no_reason_to_stay_away() {
    let mut command = command(&["-w", "1", "-l", "127.0.0.1:0"]);
    let kolk = Kolk::spawn(command.env("NOTIFY_SOCKET", "/nobody/listens/here"));
    kolk.says("the service manager cannot be told");
    assert_eq!(kolk.get("/plaintext").status(), 200);
}

#[test]
fn the_pid_file_is_there_as_long_as_the_program() {
    let dir = Scratch::new("pid");
    let path = dir.join("kolk.pid");
    let mut kolk = Kolk::start(&["--pid-file", path.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&path).unwrap().trim_end(), kolk.child.id().to_string());
    kolk.signal("TERM");
    assert_eq!(kolk.ended(), Some(0));
    assert!(!path.exists());
    let (code, _, stderr) = run(&mut command(&["-l", "127.0.0.1:0", "--pid-file", "/no/such/k.pid"]));
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("cannot write /no/such/k.pid"), "{stderr}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_pid_file_is_not_taken_from_a_server_that_runs() {
    let dir = Scratch::new("pid-taken");
    let path = dir.join("kolk.pid");
    let arguments = ["--pid-file", path.to_str().unwrap()];
    let first = Kolk::start(&arguments);
    let (code, _, stderr) = run(command(&arguments).args(["-l", "127.0.0.1:0"]));
    assert_eq!(code, Some(1), "{stderr}");
    let number = first.child.id();
    assert!(stderr.contains(&format!("process {number}, whose number is in it, still runs")), "{stderr}");
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{number}\n"));
    // Killed, it leaves its file behind for the next one: also while nobody has asked how it ended.
    first.signal("KILL");
    let ended = || fs::read_to_string(format!("/proc/{number}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    assert!(eventually(ended));
    let next = Kolk::start(&arguments);
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", next.child.id()));
}

#[test]
fn an_unknown_user_is_a_matter_of_usage() {
    let (code, _, stderr) = run(&mut command(&["--user", "no-such-user"]));
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("there is no user `no-such-user`"), "{stderr}");
}

/// Only root can become somebody else; others see the refusal.
#[test]
fn privileges_are_gone_before_the_first_connection() {
    let arguments = ["-w", "2", "-l", "127.0.0.1:0", "--user", "12345:23456"];
    let is_root = status_of("self", "Uid:").is_some_and(|line| line.starts_with('0'));
    if !is_root {
        let (code, _, stderr) = run(&mut command(&arguments));
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("only root can"), "{stderr}");
        return;
    }
    let kolk = Kolk::spawn(&mut command(&arguments));
    assert_eq!(kolk.get("/plaintext").status(), 200);
    let threads = fs::read_dir(format!("/proc/{}/task", kolk.child.id())).unwrap();
    let mut seen = 0;
    for thread in threads {
        let thread = format!("{}/task/{}", kolk.child.id(), thread.unwrap().file_name().to_str().unwrap());
        let line = |name| status_of(&thread, name).unwrap();
        assert_eq!(line("Uid:"), "12345\t12345\t12345\t12345");
        assert_eq!(line("Gid:"), "23456\t23456\t23456\t23456");
        assert_eq!(line("Groups:"), "23456");
        assert_eq!(line("NoNewPrivs:"), "1");
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
        assert_eq!(line("Seccomp:"), "2", "calls pass a filter");
        assert_eq!(line("CapEff:"), "0000000000000000");
        assert_eq!(line("CapPrm:"), "0000000000000000");
        seen += 1;
    }
    assert!(seen >= 3, "workers and the first thread: {seen}");
}

/// Ports are opened before; whoever wants another one later is told so.
#[test]
fn a_port_below_1024_takes_a_restart_when_root_is_given_up() {
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let is_kept = first.is_ok_and(|first| first.trim().parse::<u16>().is_ok_and(|first| first > 1));
    if !is_kept || !status_of("self", "Uid:").is_some_and(|line| line.starts_with('0')) {
        return;
    }
    let folder = Scratch::new("ports");
    let file = |more: &str| {
        let site = "[[site]]\nhosts = \"*\"\nrespond = 204\n";
        let listen = format!("[[listen]]\naddr = \"127.0.0.1:0\"\n{more}");
        folder.put("kolk.toml", format!("[server]\nuser = \"12345:23456\"\n{listen}{site}"));
    };
    file("");
    let path = folder.join("kolk.toml");
    let kolk = Kolk::spawn(&mut command(&["serve", "-c", path.to_str().unwrap()]));
    file("[[listen]]\naddr = \"127.0.0.1:1\"\n");
    kolk.signal("HUP");
    kolk.says("cannot listen on http://127.0.0.1:1: port 1 takes a permission that you do not have");
    kolk.says("kolk.toml:6:8");
    kolk.says("restart kolk to listen there: it opens its ports before it becomes its `user`");
    kolk.says("what was served before still is");
    assert_eq!(kolk.get("/").status(), 204);
}

fn status_of(process: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(Path::new("/proc").join(process).join("status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().to_owned())
}
