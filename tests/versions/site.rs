//! THE SITE that is asked in every version: handlers that tell all they see, and every kind of answer.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use kolk::app::Compress;
use kolk::http::{Fields, Pull, Pulled, Source};
use kolk::{
    App, BasicAuth, Body, Cors, Handler, HandlerExt, HeaderValue, Layer, Outcome, Passage, Predicate,
    Presence, Reply, Request, Response, Rewrite, RouteTimeouts, Sink, StaticDir, StatusCode, Take, Upload,
    blocking, channel, deferred, header, receiving,
};

use crate::support::dawdle;
use crate::support::scratch::Scratch;

/// Of `password`, and cheap.
const HASH: &str = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
/// What only one version has: the framing of its bodies.
const FRAMING: &str = "transfer-encoding";
pub(crate) const LARGE_BYTES: u32 = 1 << 20;

/// What a layer gives to handlers, and what they give back.
#[derive(Clone, Debug, PartialEq)]
struct Packed(String);
#[derive(Clone, Debug)]
struct Unpacked;

/// Hands something on, and wants to see that it was had.
struct Baggage;

impl Layer for Baggage {
    fn before(&self, request: &Request<'_>, _: &mut Response) -> Passage {
        request.insert_extension(Packed(request.path().to_owned()));
        Passage::Open
    }

    fn after(&self, request: &Request<'_>, response: &mut Response) {
        assert_eq!(request.extension(), Some(Packed(request.path().to_owned())));
        let is_asked = response.status() == StatusCode::OK && request.route() != "/held/fixed";
        assert_eq!(request.extension::<Unpacked>().is_some(), is_asked, "{}", request.route());
    }
}

/// Everything that a handler can see of a request but its version.
fn seen(request: &Request<'_>, body: &[u8]) -> String {
    request.insert_extension(Unpacked);
    let mut text = format!(
        "{} {} {:?}\npath {}\nquery {:?} {:?}\nauthority {:?} host {:?}\nroute {} {:?} {:?}\n",
        request.method(),
        request.method_name(),
        request.target(),
        request.path(),
        request.query(),
        request.query_param("q"),
        request.authority(),
        request.host(),
        request.route(),
        request.param("name"),
        request.param("rest"),
    );
    for (name, value) in request.headers().filter(|(name, _)| !name.eq_ignore_ascii_case(FRAMING)) {
        let _ = writeln!(text, "{}: {:?}", name.to_lowercase(), String::from_utf8_lossy(value));
    }
    for name in ["x-sum", "x-other", "content-length"] {
        let _ = writeln!(text, "trailer {name} {:?}", request.trailer(name));
    }
    let sum = body.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    let begin = String::from_utf8_lossy(&body[..body.len().min(64)]);
    let _ = writeln!(text, "baggage {:?}", request.extension::<Packed>());
    let _ = writeln!(text, "body {} {sum} {begin:?}", body.len());
    text
}

/// Takes a body piece by piece, and tells of it.
struct Listener(Vec<u8>);

impl Sink for Listener {
    fn chunk(&mut self, bytes: &[u8]) -> Take {
        self.0.extend_from_slice(bytes);
        if self.0.starts_with(b"stop") {
            return Take::Answer(Box::new(Response::text("stopped\n").with_status(StatusCode::CONFLICT)));
        }
        Take::More
    }

    fn end(self: Box<Self>, request: &Request<'_>, response: &mut Response) -> Outcome {
        response.replace(seen(request, &self.0).into());
        Outcome::Ready
    }
}

/// Gives what it has, a few bytes at a time.
struct Tape {
    left: usize,
    step: usize,
    length: Option<u64>,
    trailer: Option<&'static str>,
}

impl Source for Tape {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        let count = self.step.min(self.left);
        pull.write(&vec![b'a' + self.left.to_le_bytes()[0] % 23; count]);
        self.left -= count;
        match self.left {
            0 => Pulled::End,
            left if left % 2 == 0 => Pulled::More,
            _ => Pulled::After(Duration::from_millis(1)),
        }
    }

    fn length(&self) -> Option<u64> {
        self.length
    }

    fn trailers(&mut self, fields: &mut Fields) {
        if let Some(value) = self.trailer {
            fields.append(&header::HeaderName::from_static("x-sum"), &HeaderValue::from_static(value));
        }
    }
}

/// A range of a file within a text.
struct Framed(Option<Arc<File>>);

impl Source for Framed {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        if let Some(file) = self.0.take() {
            pull.write(b"begin ");
            pull.file(file, 3, 4);
            return Pulled::More;
        }
        pull.write(b" end");
        Pulled::End
    }
}

/// Decides when it is called for the second time.
struct Again(Arc<AtomicBool>);

impl Handler for Again {
    fn handle(&self, request: &Request<'_>, response: &mut Response) -> Outcome {
        if self.0.swap(false, SeqCst) {
            response.replace(seen(request, request.body()).into());
            return Outcome::Ready;
        }
        let (recall, outcome) = request.suspend();
        let flag = Arc::clone(&self.0);
        thread::spawn(move || {
            flag.store(true, SeqCst);
            recall.call();
        });
        outcome
    }
}

/// Has the client wait for ever.
struct Sleeper;

impl Sink for Sleeper {
    fn chunk(&mut self, _: &[u8]) -> Take {
        Take::Wait
    }

    fn end(self: Box<Self>, _: &Request<'_>, response: &mut Response) -> Outcome {
        response.replace("nothing came\n".into());
        Outcome::Ready
    }
}

/// Who does not answer in time.
fn overdue() -> App {
    let timeouts = RouteTimeouts { handler: Some(Duration::from_millis(20)), ..RouteTimeouts::default() };
    let late = deferred(|_: &Request<'_>, reply: Reply| {
        thread::spawn(move || {
            while reply.client() != Presence::Gone {
                dawdle(Duration::from_millis(1));
            }
            reply.send("nobody reads this");
        });
    });
    App::new()
        .any("/", late.timeouts(timeouts))
        .any("/stream", receiving(|_| Ok(Box::new(Sleeper))).timeouts(timeouts))
}

/// Lets every request wait, and then asks another thread whether it may pass; counts the answers.
struct Porter {
    /// The request that was asked about, once there is an answer.
    asked: Arc<AtomicBool>,
    /// Lets nobody pass.
    bars: bool,
}

impl Layer for Porter {
    fn before(&self, request: &Request<'_>, _: &mut Response) -> Passage {
        if self.asked.swap(false, SeqCst) {
            return Passage::After(Duration::from_millis(2));
        }
        let (recall, outcome) = request.suspend();
        let (asked, bars) = (Arc::clone(&self.asked), self.bars);
        thread::spawn(move || {
            if bars {
                return recall.send(StatusCode::FORBIDDEN);
            }
            asked.store(true, SeqCst);
            recall.call();
        });
        Passage::Closed(outcome)
    }

    fn after(&self, request: &Request<'_>, response: &mut Response) {
        let told = format!("{} {}", request.route(), request.param("name").unwrap_or_default());
        response.append(&header::HeaderName::from_static("x-porter"), &told.parse().unwrap());
    }
}

/// What stands behind a porter.
fn held() -> App {
    let told = |request: &Request<'_>| seen(request, request.body());
    App::new()
        .layer(Baggage)
        .layer(Porter { asked: Arc::default(), bars: false })
        .any("/collect", told)
        .any("/blocking", blocking(move |request: &Request<'_>| seen(request, request.body())))
        .any("/stream", receiving(|_| Ok(Box::new(Listener(Vec::new())))).body_limit(8 << 20))
        .any("/narrow", told.body_limit(10))
        .get("/see/{name}", told)
        .get("/fixed", Response::text("fixed\n"))
        .any("/again", Again(Arc::default()))
        .mount("/barred", App::new().layer(Porter { asked: Arc::default(), bars: true }).any("/", told))
}

/// What is compressed on its way, and what must not be.
fn packed() -> App {
    let text = || "all work and no play\n".repeat(100);
    let large: bytes::Bytes = "all work and no play\n".repeat(50_000).into();
    App::new()
        .layer(Compress::default())
        .any("/short", |_: &Request<'_>| "short")
        .any("/whole", move |_: &Request<'_>| {
            Response::html(text()).with_header(header::ETAG, HeaderValue::from_static("\"a\""))
        })
        .any("/large", move |_: &Request<'_>| Response::typed("text/plain", Body::Shared(large.clone())))
        .any("/stream", |_: &Request<'_>| tape(5_000, 999, false, Some("sum")))
        .any("/known", |_: &Request<'_>| tape(5_000, 1_000, true, None))
        .any("/status/{name}", move |request: &Request<'_>| {
            let code = request.param("name").and_then(|text| text.parse().ok()).unwrap_or(500);
            Response::text(text()).with_status(StatusCode::from_u16(code).unwrap_or_default())
        })
        .any("/kept", move |_: &Request<'_>| {
            Response::text(text())
                .with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-transform"))
        })
}

/// Paths whose more specific routes are for some requests alone.
fn passed() -> App {
    let status = |code: u16| move |_: &Request<'_>| StatusCode::from_u16(code).unwrap();
    let version = |value| Predicate::header("X-Version", value).unwrap();
    let cors = Cors::origins(["https://app.example"]).unwrap();
    App::new()
        .get("/{*rest}", |request: &Request<'_>| seen(request, request.body()))
        .post("/form", status(201))
        .post("/at/{name}", status(202).when(version("1")))
        .any("/at/{name}", cors.wrap(status(203)).when(version("2")))
        .get("/at/{name}", status(206))
}

fn tape(left: usize, step: usize, says_length: bool, trailer: Option<&'static str>) -> Response {
    let length = says_length.then_some(left as u64);
    Response::stream("text/plain", Tape { left, step, length, trailer })
}

/// Files with all that conditions and ranges ask for.
pub(crate) fn files() -> Scratch {
    let folder = Scratch::new("versions");
    folder.put("small.txt", "0123456789");
    folder.put("page.html", "<p>page</p>".repeat(100));
    folder.put("app.js", "let a = 1;\n".repeat(50));
    folder.put("app.js.gz", "not really gzip");
    folder.put("app.js.br", "not really brotli");
    folder.put("large.bin", large());
    folder.put("sub/index.html", "<p>sub</p>");
    for name in ["small.txt", "page.html", "app.js", "app.js.gz", "app.js.br", "large.bin", "sub/index.html"]
    {
        let file = File::options().append(true).open(folder.join(name)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
    }
    folder
}

pub(crate) fn large() -> Vec<u8> {
    (0..LARGE_BYTES / 4).flat_map(|number| number.wrapping_mul(0x9E37_79B9).to_le_bytes()).collect()
}

fn answers(app: App) -> App {
    let large: bytes::Bytes = large().into();
    app.get("/fixed", Response::text("fixed\n"))
        .get("/fixed/empty", Response::new(StatusCode::NO_CONTENT))
        .get("/fixed/large", Response::text(vec![b'f'; 100_000]))
        .get("/large", move |_: &Request<'_>| Response::typed("text/plain", Body::Shared(large.clone())))
        .get("/static", |_: &Request<'_>| Response::typed("text/plain", Body::Static(b"static\n")))
        .get("/closing", |_: &Request<'_>| Response::text("bye\n").with_close())
        .get("/status/{name}", |request: &Request<'_>| {
            let code = request.param("name").and_then(|text| text.parse().ok()).unwrap_or(500);
            Response::text("status\n").with_status(StatusCode::from_u16(code).unwrap_or_default())
        })
        .get("/moved", Response::redirect(StatusCode::FOUND, &HeaderValue::from_static("/fixed?a=b")))
        .get("/fields", |_: &Request<'_>| {
            let cookie = |text| (header::SET_COOKIE, HeaderValue::from_static(text));
            let fields = [cookie("a=1"), cookie("b=2; Secure"), (header::VARY, HeaderValue::from_static(""))];
            let long = HeaderValue::from_str(&"x".repeat(20_000)).unwrap();
            let answer = Response::text("").with_header(header::HeaderName::from_static("x-long"), long);
            fields.into_iter().fold(answer, |answer, (name, value)| answer.with_header(name, value))
        })
        .get("/panic", |_: &Request<'_>| -> Response { panic!("as asked") })
        .get("/source/known", |_: &Request<'_>| tape(60, 7, true, None))
        .get("/source/unknown", |_: &Request<'_>| tape(60, 7, false, None))
        .get("/source/large", |_: &Request<'_>| tape(1 << 20, 10_000, false, None))
        .get("/source/nothing", |_: &Request<'_>| tape(0, 7, false, None))
        .get("/source/zero", |_: &Request<'_>| tape(0, 7, true, None))
        .get("/source/trailer", |_: &Request<'_>| tape(30, 7, false, Some("sum")))
        .get("/source/only-trailer", |_: &Request<'_>| tape(0, 7, false, Some("sum")))
        .get("/source/file", |_: &Request<'_>| {
            Response::stream("text/plain", Framed(Some(Arc::new(File::open("LICENSE-MIT").unwrap()))))
        })
        .get("/channel", |request: &Request<'_>| {
            let (mut body, response) = channel(request, 64);
            thread::spawn(move || {
                (0..100).try_for_each(|number| body.write_blocking(format!("{number}\n").into()))
            });
            response
        })
}

/// The site. What is uploaded goes to `uploads`, which no other version may share.
pub(crate) fn site(files: &Path, uploads: &Path) -> App {
    fs::create_dir_all(uploads).unwrap();
    let auth = BasicAuth::new("x").user("ada", HASH).unwrap();
    let cors = Cors::origins(["https://app.example"]).unwrap();
    let told = |request: &Request<'_>| seen(request, request.body());
    let app = App::new()
        .get("/see/{name}/{*rest}", told)
        .any("/collect", told)
        .any("/stream", receiving(|_| Ok(Box::new(Listener(Vec::new())))).body_limit(8 << 20))
        .any("/refuse", receiving(|_| Err(Response::new(StatusCode::FORBIDDEN))))
        .any("/narrow", told.body_limit(10))
        .any("/wide", told.body_limit(8 << 20))
        .any("/narrow-stream", receiving(|_| Ok(Box::new(Listener(Vec::new())))).body_limit(10))
        .any("/blocking", blocking(move |request: &Request<'_>| seen(request, request.body())))
        .any(
            "/later",
            deferred(|request: &Request<'_>, reply: Reply| {
                let text = seen(request, request.body());
                thread::spawn(move || reply.send(text));
            }),
        )
        .get(
            "/later/stream",
            deferred(|_: &Request<'_>, reply: Reply| {
                thread::spawn(move || reply.send(tape(40, 9, false, Some("late"))));
            }),
        )
        .get("/later/never", deferred(|_: &Request<'_>, _: Reply| {}))
        .any("/again", Again(Arc::default()))
        .mount("/overdue", overdue())
        .get("/private", auth.guard(told))
        .any("/cors", cors.wrap(told))
        .mount("/held", held())
        .mount("/passed", passed())
        .mount("/packed", packed())
        .any("/rewritten/{*rest}", Rewrite::strip_prefix("/rewritten"))
        .any("/round", Rewrite::by(|_| Some("/round".to_owned())))
        // What is compressed by the server itself comes compressed once that is done.
        .get("/files/{*path}", StaticDir::new(files).compressed(false))
        .post("/upload/{*path}", Upload::open(uploads).unwrap())
        .put("/upload/{*path}", Upload::open(uploads).unwrap());
    answers(app)
}
