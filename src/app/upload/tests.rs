//! What is stored, under which names, and what is left behind when something fails: nothing.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;

use super::*;
use crate::app::App;
use crate::sys::names::create_below;
use crate::sys::scratch::Scratch;

/// A folder, and a place beside it where nothing may appear.
struct Inbox(Scratch);

impl Inbox {
    fn new(name: &str) -> Self {
        let outer = Scratch::new(name);
        for folder in ["in/sub/deep", "in/.hidden", "outside"] {
            fs::create_dir_all(outer.join(folder)).unwrap();
        }
        std::os::unix::fs::symlink("../outside", outer.join("in/out")).unwrap();
        std::os::unix::fs::symlink("sub", outer.join("in/link")).unwrap();
        fs::write(outer.join("in/file"), "old").unwrap();
        Self(outer)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn upload(&self) -> Upload {
        Upload::open(self.path("in")).unwrap().bytes_max(1 << 20)
    }

    fn app(&self) -> App {
        App::new().any("/{*path}", self.upload())
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path("in").join(name)).ok()
    }

    /// Every file below, by name.
    fn files(&self) -> Vec<String> {
        let (mut found, mut folders) = (Vec::new(), vec![self.0.to_path_buf()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else if entry.file_type().unwrap().is_file() {
                    let name = entry.path().strip_prefix(&*self.0).unwrap().to_string_lossy().into_owned();
                    found.push(name);
                }
            }
        }
        found.sort();
        found
    }
}

type Answer = ::http::Response<Bytes>;

fn put(app: &App, target: &str, body: impl Into<Bytes>) -> Answer {
    app.oneshot(::http::Request::put(target).body(body.into()).unwrap())
}

fn put_with(app: &App, target: &str, field: (&str, &str)) -> u16 {
    app.oneshot(::http::Request::put(target).header(field.0, field.1).body("new").unwrap()).status().as_u16()
}

const FORM: &str = "multipart/form-data; boundary=b";

fn part(disposition: &str, data: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{data}\r\n")
}

fn form(files: &[(&str, &str)]) -> String {
    let part = |(name, data): &(&str, &str)| part(&format!("name=\"file\"; filename=\"{name}\""), data);
    files.iter().map(part).collect::<String>() + "--b--\r\n"
}

fn post(app: &App, target: &str, content_type: &str, body: String) -> Answer {
    app.oneshot(::http::Request::post(target).header("content-type", content_type).body(body).unwrap())
}

#[test]
fn rfc_9110_9_3_4_a_file_is_created_and_then_replaced() {
    let inbox = Inbox::new("put");
    let app = inbox.app();
    let answer = put(&app, "/sub/a%20%C3%A9.txt", "first");
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()),
        (201, "/sub/a%20%C3%A9.txt")
    );
    assert_eq!(inbox.read("sub/a \u{e9}.txt").as_deref(), Some("first"));
    assert_eq!(put(&app, "/sub/a%20%C3%A9.txt", "second").status(), 204);
    assert_eq!(inbox.read("sub/a \u{e9}.txt").as_deref(), Some("second"));
    assert_eq!(put(&app, "/empty", "").status(), 201);
    assert_eq!(put(&app, "/100%25", "percent").headers()["location"], "/100%25");
    assert_eq!(inbox.read("100%").as_deref(), Some("percent"));
    assert_eq!(put(&app, "/link/through", "link").status(), 201);
    assert_eq!(inbox.read("sub/through").as_deref(), Some("link"));

    // More than may wait at a time.
    let large: Bytes = (0..1 << 20).map(|n: u32| n.to_le_bytes()[1]).collect::<Vec<u8>>().into();
    assert_eq!(put(&app, "/large", large.clone()).status(), 201);
    assert_eq!(fs::read(inbox.path("in/large")).unwrap(), large);
    assert_eq!(put(&app, "/larger", vec![0; (1 << 20) + 1]).status(), 413);
    assert!(inbox.read("larger").is_none());
}

#[test]
fn nothing_is_stored_outside_or_out_of_sight() {
    let inbox = Inbox::new("names");
    let app = inbox.app();
    let before = inbox.files();
    for (target, status) in [
        ("/", 400),
        ("/sub/", 400),
        ("/.htaccess", 400),
        ("/sub/.x", 400),
        ("/.hidden/x", 400),
        ("/..%2Fx", 400),
        ("/..%2f..%2fetc", 400),
        ("/%2e%2e/x", 400),
        ("/../x", 400),
        ("/a%5Cb", 400),
        ("/a%00b", 400),
        ("/a%0Ab", 400),
        ("/out/x", 404),
        ("/nowhere/x", 404),
        ("/file/x", 404),
        ("/sub", 409),
        ("/out/../../x", 400),
    ] {
        assert_eq!(put(&app, target, "x").status(), status, "{target}");
    }
    assert_eq!(put(&app, &format!("/{}", "x".repeat(256)), "x").status(), 400);
    for name in ["", "..", ".", ".ssh", "../x", "/etc/x", "a/b", "C:\\x", "a\u{1}"] {
        let status = post(&app, "/", FORM, form(&[("fine", "1"), (name, "2")])).status();
        // A file without a name was not chosen.
        assert_eq!(status, if name.is_empty() { 303 } else { 400 }, "{name:?}");
    }
    fs::remove_file(inbox.path("in/fine")).unwrap();
    drop(app);
    assert_eq!(inbox.files(), before);
    // A link that has the name is replaced, not followed.
    let app = inbox.app();
    fs::write(inbox.path("outside/target"), "precious").unwrap();
    std::os::unix::fs::symlink("../outside/target", inbox.path("in/alias")).unwrap();
    assert_eq!(put(&app, "/alias", "mine").status(), 204);
    assert_eq!(fs::read_to_string(inbox.path("outside/target")).unwrap(), "precious");
    assert_eq!(inbox.read("alias").as_deref(), Some("mine"));
}

#[test]
fn rfc_9110_13_1_conditions_are_met_or_the_file_stays() {
    let inbox = Inbox::new("conditions");
    let app = inbox.app();
    assert_eq!(put_with(&app, "/file", ("if-none-match", "*")), 412);
    assert_eq!(put_with(&app, "/other", ("if-match", "*")), 412);
    // What cannot be judged is not met.
    for field in [("if-match", "\"1\""), ("if-none-match", "\"1\""), ("if-unmodified-since", "x")] {
        assert_eq!(put_with(&app, "/file", field), 412, "{field:?}");
    }
    assert_eq!(put_with(&app, "/file", ("content-range", "bytes 0-2/10")), 400);
    assert_eq!(put_with(&app, "/file", ("content-encoding", "gzip")), 415);
    assert_eq!(inbox.read("file").as_deref(), Some("old"));
    assert_eq!(put_with(&app, "/fresh", ("if-none-match", "*")), 201);
    assert_eq!(put_with(&app, "/file", ("if-match", "*")), 204);
    drop(app);
    assert_eq!(inbox.files(), ["in/file", "in/fresh"]);
    assert_eq!(inbox.read("file").as_deref(), Some("new"));
}

#[test]
fn rfc_7578_a_form_brings_several_files() {
    let inbox = Inbox::new("form");
    let app = inbox.app();
    let body = part("name=\"comment\"", "not a file")
        + &part("name=\"other\"; filename=\"other.txt\"", "not the field")
        + &form(&[("a.txt", "one\r\n--c"), ("file", "two"), ("", "")]);
    let answer = post(&app, "/sub?x", FORM, body.clone());
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (303, "/sub/"));
    assert_eq!(post(&app, "/", FORM, body).headers()["location"], "/");
    for folder in ["", "sub/"] {
        assert_eq!(inbox.read(&format!("{folder}a.txt")).as_deref(), Some("one\r\n--c"));
        assert_eq!(inbox.read(&format!("{folder}file")).as_deref(), Some("two"));
        assert!(inbox.read(&format!("{folder}other.txt")).is_none());
    }
    let before = inbox.files();
    assert_eq!(post(&app, "/", FORM, form(&[])).status(), 400, "no file");
    assert_eq!(post(&app, "/", FORM, form(&[("x", "1")]).replace("--b--", "")).status(), 400, "cut off");
    assert_eq!(post(&app, "/", "text/plain", form(&[("x", "1")])).status(), 415);
    assert_eq!(post(&app, "/nowhere/", FORM, form(&[("x", "1")])).status(), 404);
    assert_eq!(post(&app, "/", FORM, form(&[("x", "1"), ("sub", "2")])).status(), 409, "all or nothing");
    let names: Vec<String> = (0..=FILES_MAX).map(|n| format!("n{n}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    assert_eq!(post(&app, "/", FORM, form(&many)).status(), 400, "too many");
    let delete = app.oneshot(::http::Request::delete("/file").body("").unwrap());
    assert_eq!((delete.status().as_u16(), delete.headers()["allow"].to_str().unwrap()), (405, "PUT, POST"));
    drop(app);
    assert_eq!(inbox.files(), before);
}

#[test]
fn a_form_on_a_page_of_another_site_is_refused() {
    let inbox = Inbox::new("sites");
    let app = inbox.app();
    let send = |fields: &[(&str, &str)]| {
        let request = ::http::Request::post("/").header("content-type", FORM).header("host", "a:80");
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        app.oneshot(request.body(form(&[("x", "1")])).unwrap()).status().as_u16()
    };
    for fields in [
        &[("origin", "http://evil")][..],
        &[("origin", "null")],
        &[("origin", "http://a:81")],
        &[("sec-fetch-site", "cross-site"), ("origin", "http://a:80")],
        &[("sec-fetch-site", "same-site")],
    ] {
        assert_eq!(send(fields), 403, "{fields:?}");
    }
    assert!(inbox.read("x").is_none());
    for fields in [
        &[][..],
        &[("origin", "http://a:80")],
        &[("sec-fetch-site", "same-origin"), ("origin", "https://front")],
        &[("sec-fetch-site", "none")],
    ] {
        assert_eq!(send(fields), 303, "{fields:?}");
    }
}

/// Like [`Inbox::app`], but no file takes a byte.
fn on_a_full_disk(inbox: &Inbox) -> App {
    let root = inbox.path("in");
    let (desk, mut writer) = Desk::new(Box::new(move |folder| File::open(root.join(folder))));
    writer.set_create(|folder, name| {
        create_below(folder, name)?;
        File::options().write(true).open("/dev/full")
    });
    let writer = Mutex::new(Some(thread::spawn(move || writer.run())));
    App::new().any("/{*path}", Upload { office: Arc::new(Office { desk, writer }), bytes_max: BYTES_MAX })
}

#[test]
fn a_full_disk_is_a_507_and_leaves_nothing_behind() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let inbox = Inbox::new("full");
    let before = inbox.files();
    let app = on_a_full_disk(&inbox);
    // At the end, and while the body arrives.
    for length in [1, 4 << 20] {
        let answer = put(&app, "/file", vec![0; length]);
        assert_eq!(answer.status(), 507);
        assert!(answer.body().ends_with(b"(handler.storage_full)\n"), "{:?}", answer.body());
        assert_eq!(post(&app, "/", FORM, form(&[("x", "1"), ("y", "2")])).status(), 507);
    }
    assert_eq!(inbox.files(), before, "removed before the answer");
    assert_eq!(inbox.read("file").as_deref(), Some("old"));
}

#[test]
fn who_leaves_leaves_nothing_behind() {
    let inbox = Inbox::new("leaves");
    let before = inbox.files();
    let upload = inbox.upload();
    let mailbox = crate::base::Mailbox::new(Arc::new(Silent), 8);
    let id = http::ExchangeId { connection: crate::base::Key::unpack(1 << 32), stream: http::StreamId(1) };
    let begin = |name: &str| {
        let feed = upload.office.desk.begin(String::new(), crate::app::Wakeup::new(id, mailbox.post()))?;
        feed.file(Name::new(name).unwrap());
        feed.write(b"some");
        Some(feed)
    };
    let feeds: Vec<Feed> = (0..64).map(|n| begin(&format!("n{n}")).unwrap()).collect();
    assert!(begin("one too many").is_none());
    while inbox.files().len() < before.len() + 64 {
        thread::yield_now();
    }
    drop(feeds);
    let last = begin("stays unfinished").unwrap();
    drop(upload);
    assert_eq!(inbox.files(), before, "the writer has ended");
    last.write(b"nobody takes this");
}

struct Silent;

impl crate::base::Wake for Silent {
    fn wake(&self) {}
}
