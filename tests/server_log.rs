//! THE LOG OF THE SERVER ITSELF: `[log.error]` of a file, seen from whoever reads it: a file, standard error,
//! a daemon's socket.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "support/program.rs"]
mod program;

use std::fs;
use std::os::unix::net::UnixDatagram;

use program::scratch::Scratch;
use program::{Kolk, PATIENCE, command, eventually, run};

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
    assert!(line.contains(" kolk: warn: access log: ") && line.contains("/logs/access "), "{line}");
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
