//! Every frame in every state of a stream, as one table: `golden/h2/states.md`. `UPDATE=1` writes it anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use kolk::proto::h2::Limits;

use super::frames::client::Client;
use super::frames::frame::bytes_of;

const FRONT: &str = "# RFC 9113 §5.1: every frame in every state of a stream

What the machine makes of a frame, where its stream stands as the column says. `tests/golden/states.rs` knows
how each state is brought about; each cell is a connection of its own.

| word | meaning |
| --- | --- |
| request, content, end, trailer, reset | what the caller is told |
| DATA, ACK | the answer goes on; the frame is answered |
| stream CODE | RST_STREAM; the others go on |
| conn CODE | GOAWAY, and nothing more is read |
| – | nothing |

";

/// A name, the stream, and how it gets there.
const STATES: [(&str, u32, &str); 13] = [
    ("connection", 0, ""),
    ("server's", 4, ""),
    ("idle", 5, ""),
    ("in a block", 5, "HEADERS 5 GET=/late"),
    ("open", 5, "HEADERS 5 END_HEADERS POST=/late"),
    ("half closed", 5, "HEADERS 5 END_STREAM END_HEADERS GET=/late"),
    ("answered, open", 5, "SETTINGS INITIAL_WINDOW_SIZE=0 | HEADERS 5 END_HEADERS POST=/early/body/9"),
    (
        "answered, half closed",
        5,
        "SETTINGS INITIAL_WINDOW_SIZE=0 | HEADERS 5 END_STREAM END_HEADERS GET=/body/9",
    ),
    ("closed", 5, "HEADERS 5 END_STREAM END_HEADERS GET=/"),
    ("reset by us", 5, "HEADERS 5 END_HEADERS POST=/early"),
    ("reset by peer", 5, "HEADERS 5 END_HEADERS POST=/ | RST_STREAM 5 CANCEL"),
    ("skipped", 5, "HEADERS 7 END_STREAM END_HEADERS GET=/"),
    ("behind the end", 5, "HEADERS 1 END_STREAM END_HEADERS GET=/late | GOAWAY STREAM=0 NO_ERROR"),
];

/// `N` is the stream.
const EVENTS: [&str; 24] = [
    "DATA N \"abc\"",
    "DATA N END_STREAM \"abc\"",
    "DATA N",
    "DATA N END_STREAM",
    "HEADERS N END_HEADERS GET=/late",
    "HEADERS N END_STREAM END_HEADERS GET=/late",
    "HEADERS N END_STREAM END_HEADERS A=b",
    "HEADERS N END_STREAM END_HEADERS a=b",
    "HEADERS N END_HEADERS a=b",
    "HEADERS N END_STREAM a=b",
    "CONTINUATION N END_HEADERS a=b",
    "CONTINUATION N a=b",
    "PRIORITY N DEPENDS=9",
    "PRIORITY N DEPENDS=N",
    "PRIORITY N \"abc\"",
    "RST_STREAM N CANCEL",
    "WINDOW_UPDATE N +100",
    "WINDOW_UPDATE N +0",
    "WINDOW_UPDATE N +2147483647",
    "PRIORITY_UPDATE STREAM=N \"u=1\"",
    "SETTINGS N",
    "PING N \"12345678\"",
    "GOAWAY N STREAM=0 NO_ERROR",
    "KIND=0x63 N",
];

#[test]
fn every_frame_in_every_state() {
    let mut table = FRONT.to_owned();
    let names: Vec<&str> = STATES.iter().map(|(name, ..)| *name).collect();
    let _ = writeln!(table, "| frame | {} |", names.join(" | "));
    let _ = writeln!(table, "|{}", " --- |".repeat(STATES.len() + 1));
    for event in EVENTS {
        let outcomes = STATES.map(|(_, stream, prelude)| {
            // A place in the words, not a letter of a name.
            let number = stream.to_string();
            let words = event.split(' ').map(|word| match word {
                "N" => number.clone(),
                _ => word.replace("=N", &format!("={number}")),
            });
            outcome(prelude, &words.collect::<Vec<_>>().join(" "))
        });
        let _ = writeln!(table, "| `{event}` | {} |", outcomes.join(" | "));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/h2/states.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &table).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    for (kept, now) in kept.lines().zip(table.lines()) {
        assert_eq!(kept, now, "{}", path.display());
    }
    assert_eq!(kept.len(), table.len(), "{}", path.display());
}

/// What comes of a frame behind a prelude, in a few words.
fn outcome(prelude: &str, frame: &str) -> String {
    let mut client = Client::new(Limits::DEFAULT);
    client.greet();
    if !prelude.is_empty() {
        client.send(&bytes_of(prelude), false);
    }
    assert!(!client.is_broken, "{prelude}: {}", client.trace);
    client.trace.clear();
    client.chunks = 0;
    client.send(&bytes_of(frame), false);
    let mut words = BTreeSet::new();
    if client.chunks > 0 {
        words.insert((0, "content".to_owned()));
    }
    for line in client.trace.lines() {
        let (first, rest) = line.split_once(' ').unwrap();
        match (first, rest.split(' ').next().unwrap()) {
            ("GOAWAY", _) => words.insert((3, format!("conn {}", short(rest.split(' ').nth(1))))),
            ("RST_STREAM", _) => words.insert((3, format!("stream {}", short(rest.split(' ').nth(1))))),
            ("SETTINGS" | "PING", _) => words.insert((3, "ACK".to_owned())),
            ("DATA", _) => words.insert((3, "DATA".to_owned())),
            ("broken:", _) => false,
            (_, "body") => words.insert((1, "end".to_owned())),
            (_, "trailer") => words.insert((2, "trailer".to_owned())),
            (_, word) if word.starts_with("reset") => words.insert((4, "reset".to_owned())),
            (_, "GET") => words.insert((0, "request".to_owned())),
            _ => panic!("what does it mean: {line}"),
        };
    }
    let words: Vec<String> = words.into_iter().map(|(_, word)| word).collect();
    if words.is_empty() { "–".to_owned() } else { words.join(", ") }
}

/// A code without what they all end with.
fn short(code: Option<&str>) -> &str {
    code.filter(|code| *code == "NO_ERROR").unwrap_or_else(|| code.unwrap().trim_end_matches("_ERROR"))
}
