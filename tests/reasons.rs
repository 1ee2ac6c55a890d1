//! EVERY REASON that kolk answers with itself is explained in `docs/reasons.md`, as its table in the source
//! has it.
//!
//! `UPDATE=1 cargo test --test reasons` writes the page anew.

use std::fmt::Write as _;
use std::fs;

use kolk::http::Reason;

const PAGE: &str = "docs/reasons.md";
const STAGES: [(&str, &str); 5] = [
    ("parse", "The request, or a frame of HTTP/2, is not well-formed. The connection ends with the answer."),
    ("limit", "Something is larger, or comes more often, than it may."),
    ("timeout", "Something did not come in time."),
    ("route", "There is nobody who answers such a request."),
    ("handler", "Whoever answers has refused, or has failed."),
];

/// The page, from the table of reasons.
fn page() -> String {
    let mut page = String::from(
        "# Reasons\n\n\
         Why kolk made an answer itself, and what the client or the operator can do. The code stands in\n\
         the answer, in the access log (`reason`), in the metrics and in `kolk why`, and never gets another\n\
         meaning. NAME is that of a rate, as in `[rate.NAME]`; in the metrics it is a label of its own.\n\
         Of HTTP/2, an error of a frame has no answer: its code stands in GOAWAY and in the metrics.\n",
    );
    for (stage, about) in STAGES {
        let _ = write!(
            page,
            "\n## {stage}\n\n{about}\n\n\
             | code | status | what it says | what to do |\n| --- | --: | --- | --- |\n"
        );
        let prefix = format!("{stage}.");
        for reason in Reason::ALL.iter().filter(|reason| reason.code().starts_with(&prefix)) {
            let (code, status) = (shown(*reason), reason.status());
            let _ = writeln!(page, "| `{code}` | {status} | {} | {} |", reason.sentence(), reason.advice());
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
    for reason in Reason::ALL {
        assert_eq!(page.matches(&format!("| `{}` |", shown(*reason))).count(), 1, "{}", reason.code());
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(PAGE, &page).unwrap();
    }
    let written = fs::read_to_string(PAGE).unwrap_or_default();
    assert!(written == page, "{PAGE} is out of date: UPDATE=1 cargo test --test reasons writes it anew");
}
