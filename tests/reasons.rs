//! EVERY REASON that kolk answers with itself, and every one for which it closes, is explained in
//! `docs/reasons.md`, as its table in the source has it.
//!
//! `UPDATE=1 cargo test --test reasons` writes the page anew.

use std::fmt::Write as _;
use std::fs;

use kolk::http::Reason;
use kolk::server::stats::{CloseReason, Timeout, TurnedAway};

const PAGE: &str = "docs/reasons.md";
const STAGES: [(&str, &str); 5] = [
    ("parse", "The request, or a frame of HTTP/2, is not well-formed. The connection ends with the answer."),
    ("limit", "Something is larger, or comes more often, than it may."),
    ("timeout", "Something did not come in time."),
    ("route", "There is nobody who answers such a request."),
    ("handler", "Whoever answers has refused, or has failed."),
];

/// A code, what it says, and what to do.
type Row = (&'static str, &'static str, &'static str);

/// The tables of what is no answer, each with the heading of its part of the page. What is a reason for an
/// answer, too, stands there.
fn ends() -> [(&'static str, &'static str, Vec<Row>); 3] {
    let is_answered = |code: &str| Reason::ALL.iter().any(|reason| reason.code() == code);
    let closes = CloseReason::ALL.iter().map(|end| (end.code(), end.sentence(), end.advice()));
    let timeouts = Timeout::ALL.iter().map(|end| (end.code(), end.sentence(), end.advice()));
    let turned_away = TurnedAway::ALL.iter().map(|end| (end.code(), end.sentence(), end.advice()));
    [
        (
            "close",
            "Why a connection ended: `kolk_closes_total`. In the access log and in `kolk why` it is the\n\
             reason of a request that was open then: its answer ends there, or there was none.",
            closes.collect(),
        ),
        (
            "timeout, without an answer",
            "Which patience ended: `kolk_timeouts_total`, which counts those above, too.",
            timeouts.filter(|(code, ..)| !is_answered(code)).collect(),
        ),
        (
            "limit, without an answer",
            "Why a connection was closed as it came: `kolk_turned_away_total`.",
            turned_away.collect(),
        ),
    ]
}

/// The page, from the tables of the source.
fn page() -> String {
    let mut page = String::from(
        "# Reasons\n\n\
         Why kolk made an answer itself, or closed, and what the client or the operator can do. The\n\
         code stands in the answer, in the access log (`reason`), in the metrics, in `kolk top` and in\n\
         `kolk why`, and never gets another meaning. NAME is that of a rate, as in `[rate.NAME]`. Of\n\
         HTTP/2, an error of a frame has no answer: its code stands in GOAWAY and in the metrics.\n",
    );
    for (stage, about) in STAGES {
        let _ = write!(
            page,
            "\n## {stage}\n\n{about}\n\n\
             | code | status | what it says | what to do |\n| --- | --: | --- | --- |\n"
        );
        let prefix = format!("{stage}.");
        for reason in Reason::ALL.iter().filter(|reason| reason.code().starts_with(&prefix)) {
            let status = match reason {
                Reason::Configured => "any".to_owned(),
                _ => reason.status().to_string(),
            };
            let code = shown(*reason);
            let _ = writeln!(page, "| `{code}` | {status} | {} | {} |", reason.sentence(), reason.advice());
        }
    }
    for (heading, about, rows) in ends() {
        let _ = write!(
            page,
            "\n## {heading}\n\n{about}\n\n| code | what it says | what to do |\n| --- | --- | --- |\n"
        );
        for (code, sentence, advice) in rows {
            let _ = writeln!(page, "| `{code}` | {sentence} | {advice} |");
        }
    }
    page
}

/// Its code, and what may stand behind that.
fn shown(reason: Reason) -> String {
    let behind = if reason == Reason::Rate { ".NAME" } else { "" };
    format!("{}{behind}", reason.code())
}

#[test]
fn the_page_has_every_reason() {
    let page = page();
    let reasons = Reason::ALL.iter().map(|reason| shown(*reason));
    let closes = CloseReason::ALL.iter().map(|reason| reason.code().to_owned());
    let timeouts = Timeout::ALL.iter().map(|timeout| timeout.code().to_owned());
    let turned_away = TurnedAway::ALL.iter().map(|reason| reason.code().to_owned());
    for code in reasons.chain(closes).chain(timeouts).chain(turned_away) {
        assert_eq!(page.matches(&format!("| `{code}` |")).count(), 1, "{code}");
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(PAGE, &page).unwrap();
    }
    let written = fs::read_to_string(PAGE).unwrap_or_default();
    assert!(written == page, "{PAGE} is out of date: UPDATE=1 cargo test --test reasons writes it anew");
}
