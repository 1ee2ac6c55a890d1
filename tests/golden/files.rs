//! What a client gets of the files of a folder: conditions and ranges. RFC 9110 §13, §14.
//!
//! ```text
//!  ten.txt    0123456789               app.js         app.js.br   app.js.gz     in three forms
//!  empty.txt  nothing                  large.txt      100,000 bytes, which are not kept in memory
//!  old.txt    older than any date      sub/index.html
//! ```
//! All but the old one were modified when RFC 9110 §5.6.7 says, in its three forms. In questions and answers
//! `{etag}` stands for the tag of the file as it is, `{etag-br}` and `{etag-gz}` for those of its other
//! forms, and `{boundary}` for what is random. Each answer has also to keep the rules that hold for all.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use kolk::{App, StaticDir};

use super::cases::{self, Kinds, unescape};
use super::scratch::Scratch;

/// Longer bodies are told by their length.
const BYTES_SHOWN_MAX: usize = 2_048;

/// A question and what there is of its file.
struct Asked {
    request: Request<Bytes>,
    /// What it would be answered without conditions and ranges.
    whole: Response<Bytes>,
    /// Placeholders, and what they stand for.
    names: Vec<(&'static str, String)>,
}

#[test]
fn every_question_about_a_file() {
    let folder = folder();
    let files = StaticDir::new(&*folder).compressed(false).cache_control("*.txt", "max-age=60");
    let app = App::new().any("/{*path}", files);
    let mut statuses = BTreeSet::new();
    let kinds = Kinds { question: "request", answer: "answer" };
    let cases = cases::check("files", &kinds, |title, question| {
        let asked = Asked::read(&app, question);
        let answer = app.oneshot(asked.request.clone());
        statuses.insert(answer.status().as_u16());
        let written = written(&answer, &asked.names);
        keeps_the_rules(&answer, &asked).unwrap_or_else(|rule| panic!("{title}: {rule}\n{written}"));
        written
    });
    assert!(cases >= 150, "{cases} cases");
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [200, 206, 304, 308, 404, 405, 412, 416]);
}

fn folder() -> Scratch {
    let folder = Scratch::new("golden");
    let large: String = (0..10_000).map(|number| format!("{number:09}\n")).collect();
    let then = UNIX_EPOCH + Duration::from_secs(784_111_777);
    for (name, content, modified) in [
        ("ten.txt", "0123456789", then),
        ("empty.txt", "", then),
        ("old.txt", "0123456789", UNIX_EPOCH - Duration::from_secs(1)),
        ("app.js", "as it is", then),
        ("app.js.br", "in Brotli", then),
        ("app.js.gz", "with gzip!", then),
        ("large.txt", &large, then),
        ("sub/index.html", "<p>sub", then),
    ] {
        folder.put(name, content);
        let file = File::options().write(true).open(folder.join(name)).unwrap();
        file.set_modified(modified).unwrap();
    }
    folder
}

impl Asked {
    fn read(app: &App, question: &str) -> Self {
        let mut lines = question.lines();
        let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
        let tags = [("{etag}", "identity"), ("{etag-br}", "br"), ("{etag-gz}", "gzip")];
        let tags = tags.map(|(name, coding)| (name, tag(app, target, coding)));
        let mut names: Vec<(&str, String)> = Vec::new();
        for (name, tag) in tags {
            if !tag.is_empty() && names.iter().all(|(_, known)| *known != tag) {
                names.push((name, tag));
            }
        }
        let mut request = Request::builder().method(method).uri(target);
        let mut plain = Request::get(target);
        for line in lines {
            let (field, value) = line.split_once(':').unwrap();
            let value = names.iter().fold(value.to_owned(), |value, (name, tag)| value.replace(name, tag));
            let value = unescape(value.trim());
            if field == "Accept-Encoding" {
                plain = plain.header(field, &value[..]);
            }
            request = request.header(field, value);
        }
        let whole = app.oneshot(plain.body("").unwrap());
        Self { request: request.body(Bytes::new()).unwrap(), whole, names }
    }
}

fn tag(app: &App, target: &str, coding: &str) -> String {
    let request = Request::get(target).header("accept-encoding", coding).body("").unwrap();
    text(app.oneshot(request).headers(), "etag").to_owned()
}

/// The answer as it stands in its case.
fn written(answer: &Response<Bytes>, names: &[(&str, String)]) -> String {
    let mut written = format!("{}\n", answer.status());
    let mut fields: Vec<_> = answer.headers().iter().collect();
    fields.sort_by_key(|(name, _)| name.as_str());
    for (name, value) in fields {
        let _ = writeln!(written, "{name}: {}", value.to_str().unwrap());
    }
    let body = std::str::from_utf8(answer.body()).unwrap();
    if body.len() > BYTES_SHOWN_MAX {
        let _ = writeln!(written, "\n({} bytes)", body.len());
    } else if !body.is_empty() {
        let _ = writeln!(
            written,
            "\n{}",
            body.replace('\r', "\\r").replace('\n', "\\n\n").trim_end_matches('\n')
        );
    }
    for (name, tag) in names {
        written = written.replace(tag, name);
    }
    match boundary(answer) {
        Some(boundary) => written.replace(boundary, "{boundary}"),
        None => written,
    }
}

fn boundary(answer: &Response<Bytes>) -> Option<&str> {
    text(answer.headers(), "content-type").strip_prefix("multipart/byteranges; boundary=")
}

fn text<'h>(fields: &'h HeaderMap, name: &str) -> &'h str {
    fields.get(name).map_or("", |value| value.to_str().unwrap())
}

/// What is true of every answer, whatever the question; else the rule that is broken.
fn keeps_the_rules(answer: &Response<Bytes>, asked: &Asked) -> Result<(), &'static str> {
    let (fields, whole) = (answer.headers(), &asked.whole);
    let same = |name| fields.get_all(name).iter().eq(whole.headers().get_all(name));
    let rule = |kept: bool, rule| if kept { Ok(()) } else { Err(rule) };
    let has_no_range = !fields.contains_key(header::CONTENT_RANGE);
    let is_get = asked.request.method() == "GET";
    match answer.status().as_u16() {
        200 => {
            rule(fields == whole.headers(), "RFC 9110 §9.3.2: one 200 says what another does")?;
            let content = if is_get { whole.body() } else { &Bytes::new() };
            rule(answer.body() == content, "RFC 9110 §9.3.1: GET sends all there is")
        }
        206 => {
            rule(is_get, "RFC 9110 §14.2: no range for another method")?;
            let owed = [header::CACHE_CONTROL, header::CONTENT_ENCODING, header::ETAG, header::VARY];
            rule(owed.iter().all(same), "RFC 9110 §15.3.7: the fields of a 200")?;
            parts_are_right(answer, whole)
        }
        304 => {
            let owed = [header::CACHE_CONTROL, header::ETAG, header::VARY];
            rule(owed.iter().all(same), "RFC 9110 §15.4.5: what a cache needs")?;
            let spared = [header::CONTENT_ENCODING, header::CONTENT_TYPE, header::ACCEPT_RANGES];
            rule(!spared.iter().any(|name| fields.contains_key(name)), "RFC 9110 §15.4.5: and nothing else")?;
            let has_no_content = answer.body().is_empty() && !fields.contains_key(header::CONTENT_LENGTH);
            rule(has_no_content && has_no_range, "RFC 9110 §6.4.1: no content")
        }
        416 => {
            let expected = format!("bytes */{}", whole.body().len());
            rule(is_get && text(fields, "content-range") == expected, "RFC 9110 §15.5.17: the length")?;
            rule(!fields.contains_key(header::ETAG), "its content is not the file's")
        }
        _ => rule(has_no_range && !fields.contains_key(header::ACCEPT_RANGES), "RFC 9110 §14.4: no range"),
    }
}

/// Whether the bytes of a 206 are those that its `Content-Range` says.
fn parts_are_right(answer: &Response<Bytes>, whole: &Response<Bytes>) -> Result<(), &'static str> {
    let content_type = text(whole.headers(), "content-type");
    let is_part = |content_range: &str, bytes: &[u8]| {
        let (range, length) = content_range.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let part = whole.body().get(first.parse().ok()?..=last.parse().ok()?)?;
        (length == whole.body().len().to_string() && part == bytes).then_some(())
    };
    let Some(boundary) = boundary(answer) else {
        let is_right = is_part(text(answer.headers(), "content-range"), answer.body()).is_some();
        let is_typed = text(answer.headers(), "content-type") == content_type;
        return (is_right && is_typed).then_some(()).ok_or("RFC 9110 §15.3.7.1: one part");
    };
    if answer.headers().contains_key(header::CONTENT_RANGE) {
        return Err("RFC 9110 §15.3.7.2: no Content-Range for several parts");
    }
    let body = std::str::from_utf8(answer.body()).unwrap();
    let (between, closing) = (format!("\r\n--{boundary}\r\n"), format!("\r\n--{boundary}--\r\n"));
    let parts = body.strip_prefix(&between[2..]).and_then(|body| body.strip_suffix(&closing));
    let mut parts = parts.ok_or("RFC 2046 §5.1.1: how parts begin and end")?.split(&between);
    let head = format!("Content-Type: {content_type}\r\nContent-Range: ");
    let are_right = parts.all(|part| {
        let part = part.strip_prefix(&head).and_then(|part| part.split_once("\r\n\r\n"));
        part.and_then(|(range, bytes)| is_part(range, bytes.as_bytes())).is_some()
    });
    are_right.then_some(()).ok_or("RFC 9110 §14.6: several parts")
}
