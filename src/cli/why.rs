//! `kolk why`: what became of a request, as the server that has answered it remembers it.
//!
//! ```text
//!  --admin ──► /_kolk/why/ID  ──► JSON ──► for people
//!         └──► /_kolk/recent  ──► a line for each
//! ```
//! What is printed has come from strangers: control characters are shown as escapes.

use std::fmt::Write as _;
use std::time::Duration;

use kolk::RequestIds;
use serde_json::Value;

use super::clock;
use super::failure::{Exit, Failure};
use super::question::Question;

/// What is asked for where nobody says it.
pub(crate) const WHOM: &str = "whom to ask? --admin HOST:PORT, that of the server, or -c FILE, which has it";
/// For one answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The members that have their own place in the text.
const STAGES: [(&str, &str); 5] = [
    ("accept_us", "until the bytes of the head were there"),
    ("parse_us", "until the head was read"),
    ("handle_us", "until the answer was decided"),
    ("respond_us", "until the kernel had its head"),
    ("total_us", "from the head's last bytes to the answer's"),
];
/// What is told of a request, and what it is called.
const FACTS: [(&str, &str); 15] = [
    ("id", "id"),
    ("time", "when"),
    ("peer", "peer"),
    ("client", "client"),
    ("user", "user"),
    ("host", "host"),
    ("site", "site"),
    ("route", "route"),
    ("rate", "rate"),
    ("rate_result", "rate result"),
    ("bytes", "bytes"),
    ("cut", "cut short"),
    ("worker", "worker"),
    ("connection", "connection"),
    ("request", "request"),
];

/// What the server whose admin listener is at `admin` remembers of the request `id`; without one, of the last
/// requests.
pub(crate) fn why(id: Option<&str>, admin: &str, json: bool) -> Result<String, Failure> {
    let question = Question::parse(admin)?;
    if let Some(id) = id.filter(|id| !RequestIds::is_id(id)) {
        return Err(Failure::new(Exit::Usage, format!("{id:?} is no id of a request")));
    }
    let path = id.map_or_else(|| "/_kolk/recent".to_owned(), |id| format!("/_kolk/why/{id}"));
    let question = question.for_path(&path);
    let until = clock::now() + PATIENCE;
    let page = question.page(until).map_err(|error| match (question.status(until), id) {
        (Ok(404), Some(id)) => Failure::new(
            Exit::Runtime,
            format!(
                "no request {id} is remembered: it is too long ago, or the server has no flight recorder"
            ),
        ),
        (Ok(404), None) => Failure::new(Exit::Runtime, "the server has no flight recorder"),
        _ => {
            let why = format!("cannot ask {question}: {error}: is it an admin listener (--admin)?");
            Failure::new(Exit::Runtime, why)
        }
    })?;
    if json {
        return Ok(page);
    }
    let no_json = |_| Failure::new(Exit::Runtime, format!("{question} does not answer as kolk does"));
    let entries = page.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>();
    let entries = entries.map_err(no_json)?;
    Ok(entries.iter().map(if id.is_some() { story } else { line }).collect())
}

/// All that is known of a request.
fn story(entry: &Value) -> String {
    let mut text = format!("{}\n{}", asked(entry), of(entry, "status"));
    if entry.get("reason").is_some() {
        let _ = write!(text, " {}: {}", of(entry, "reason"), of(entry, "detail"));
    }
    if entry.get("advice").is_some() {
        let _ = write!(text, "\nwhat to do: {}", of(entry, "advice"));
    }
    text += "\n\n";
    for (member, name) in FACTS {
        if entry.get(member).is_some() {
            let _ = writeln!(text, "  {name:<11} {}", of(entry, member));
        }
    }
    for (member, what) in STAGES {
        if entry.get(member).is_some() {
            let stage = member.trim_end_matches("_us");
            let _ = writeln!(text, "  {stage:<11} {:>12} us  {what}", of(entry, member));
        }
    }
    let fields = entry.get("head").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if !fields.is_empty() {
        text += "\n";
    }
    for field in fields {
        let value = if field.get("value").is_some() { of(field, "value") } else { "(not kept)".to_owned() };
        let _ = writeln!(text, "  {}: {value}", of(field, "name"));
    }
    text
}

/// The most important of it.
fn line(entry: &Value) -> String {
    let [time, status, id] = ["time", "status", "id"].map(|member| of(entry, member));
    let reason = entry.get("reason").map_or_else(String::new, |_| format!("  {}", of(entry, "reason")));
    format!("{time}  {status}  {id}  {}{reason}\n", asked(entry))
}

fn asked(entry: &Value) -> String {
    match entry.get("method") {
        Some(_) => ["method", "target", "version"].map(|member| of(entry, member)).join(" "),
        None => "a head that could not be read".to_owned(),
    }
}

/// A member as text that a terminal shows as it is.
fn of(entry: &Value, member: &str) -> String {
    let text = match entry.get(member) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(value) => value.to_string(),
        None => "-".to_owned(),
    };
    let shown = |sign: char| if sign.is_control() { sign.escape_default().to_string() } else { sign.into() };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_with_what_went_wrong_first() {
        let entry = serde_json::json!({
            "id": "order-17", "time": "1994-11-06T08:49:37.007Z", "peer": "192.0.2.1:4242", "method": "GET",
            "target": "/a?token=***", "version": "HTTP/1.1", "status": 500, "bytes": 12, "cut": true,
            "reason": "handler.panic", "detail": "the handler panicked", "advice": "look at the log",
            "handle_us": 12.345,
            "head": [{"name": "Host", "value": "a\u{1b}[0m"}, {"name": "Cookie"}],
        });
        assert_eq!(
            story(&entry),
            "GET /a?token=*** HTTP/1.1\n500 handler.panic: the handler panicked\n\
             what to do: look at the log\n\n  \
             id          order-17\n  when        1994-11-06T08:49:37.007Z\n  peer        192.0.2.1:4242\n  \
             bytes       12\n  cut short   yes\n  \
             handle            12.345 us  until the answer was decided\n\n  \
             Host: a\\u{1b}[0m\n  Cookie: (not kept)\n"
        );
        assert_eq!(
            line(&entry),
            "1994-11-06T08:49:37.007Z  500  order-17  GET /a?token=*** HTTP/1.1  handler.panic\n"
        );
        let unread = line(&serde_json::json!({ "status": 400 }));
        assert_eq!(unread, "-  400  -  a head that could not be read\n");
    }

    #[test]
    fn what_is_no_id_is_not_asked_for() {
        for id in ["a b", "a\r\nX: y", "%2e", "a?b", "\u{e9}"] {
            let refused = why(Some(id), "127.0.0.1:1", false).unwrap_err();
            assert!(format!("{refused:?}").contains("is no id"), "{id}");
        }
    }
}
