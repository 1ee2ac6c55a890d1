//! A small service: one handler of each kind, and layers around them: pages for errors, CORS, a rate, and one
//! of its own. `cargo run --example service`, then see the comments for what to ask it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kolk::{
    App, Cors, ErrorPages, HandlerExt, HeaderValue, Layer, Passage, Policy, Pull, Pulled, Quota, Rate,
    RateKey, RateLimit, Rates, Reply, Request, Response, Server, Sink, Source, StatusCode, Take, blocking,
    deferred, header, receiving,
};

/// What `PUT` has left here.
type Store = Arc<Mutex<HashMap<String, Vec<u8>>>>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::default();
    let (put, get) = (Arc::clone(&store), store);
    let html = HeaderValue::from_static("text/html");
    let pages = ErrorPages::new().page(404, html, "<h1>{status} {title}</h1><p>{detail}</p>\n");
    let cors = Cors::origins(["http://localhost:3000", "https://*.example.com"])?;
    let rate = Rate::new(Quota::per_second(1)?, 3)?;
    let rate = RateLimit::new(&Arc::new(Rates::new()), Policy::new("primes", rate)?, RateKey::Address);
    let app = App::new()
        // curl localhost:8080/nowhere; curl -H 'Accept: application/json' localhost:8080/nowhere
        .layer(pages)
        // curl -i -H 'Origin: http://localhost:3000' localhost:8080/hello/world
        .layer(cors)
        // curl -H 'Accept-Language: de' localhost:8080/hello/Welt
        .layer(Greetings)
        .get("/hello/{name}", |request: &Request<'_>| {
            let Greeting(word) = request.extension().unwrap_or(Greeting("hello"));
            format!("{word}, {}\n", request.param("name").unwrap_or("world"))
        })
        // curl -T file localhost:8080/notes/file; curl localhost:8080/notes/file
        .put("/notes/{name}", (move |request: &Request<'_>| keep(&put, request)).body_limit(1 << 20))
        .get("/notes/{name}", move |request: &Request<'_>| find(&get, request))
        // curl localhost:8080/primes/100000: too long for the loop, so a pool thread counts, once a second
        .get("/primes/{below}", blocking(primes).layer(rate))
        // curl localhost:8080/later: answered from another thread
        .get(
            "/later",
            deferred(|_: &Request<'_>, reply: Reply| {
                std::thread::spawn(move || reply.send("at last\n"));
            }),
        )
        // curl -N localhost:8080/count: made while it is sent, one line a second
        .get("/count", |_: &Request<'_>| Response::stream("text/plain", Count { next: 1 }))
        // curl -T large-file localhost:8080/size: never in memory as a whole
        .put("/size", receiving(|_: &Request<'_>| Ok(Box::new(Size { bytes: 0 }) as Box<dyn Sink>)));
    Ok(Server::new(app).listen("127.0.0.1:8080")?.run()?)
}

/// How somebody is greeted.
#[derive(Clone, Copy)]
struct Greeting(&'static str);

/// Looks at a request before its handler does, and hands on what it has seen.
struct Greetings;

impl Layer for Greetings {
    fn before(&self, request: &Request<'_>, _: &mut Response) -> Passage {
        if request.header(header::ACCEPT_LANGUAGE).is_some_and(|languages| languages.starts_with("de")) {
            request.insert_extension(Greeting("hallo"));
        }
        Passage::Open
    }

    fn after(&self, _: &Request<'_>, response: &mut Response) {
        response.append(&header::VARY, &HeaderValue::from_static("Accept-Language"));
    }
}

fn keep(store: &Store, request: &Request<'_>) -> StatusCode {
    let mut notes = store.lock().unwrap_or_else(PoisonError::into_inner);
    notes.insert(request.param("name").unwrap_or_default().to_owned(), request.body().to_owned());
    StatusCode::NO_CONTENT
}

fn find(store: &Store, request: &Request<'_>) -> Response {
    let notes = store.lock().unwrap_or_else(PoisonError::into_inner);
    match notes.get(request.param("name").unwrap_or_default()) {
        Some(note) => Response::typed("application/octet-stream", note.clone().into()),
        None => (StatusCode::NOT_FOUND, "no such note\n").into(),
    }
}

fn primes(request: &Request<'_>) -> Response {
    match request.param("below").unwrap_or_default().parse::<u32>() {
        Ok(below @ ..=1_000_000) => {
            let is_prime = |n: &u32| (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
            format!("{}\n", (2..below).filter(is_prime).count()).into()
        }
        _ => (StatusCode::BAD_REQUEST, "a number up to 1000000, please\n").into(),
    }
}

/// Counts to ten.
struct Count {
    next: u32,
}

impl Source for Count {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        pull.write(format!("{}\n", self.next).as_bytes());
        self.next += 1;
        if self.next > 10 { Pulled::End } else { Pulled::After(Duration::from_secs(1)) }
    }
}

/// Measures a body.
struct Size {
    bytes: u64,
}

impl Sink for Size {
    fn chunk(&mut self, bytes: &[u8]) -> Take {
        self.bytes += bytes.len() as u64;
        Take::More
    }

    fn end(self: Box<Self>, _: &Request<'_>, response: &mut Response) -> kolk::Outcome {
        response.set_content_type("text/plain");
        response.set_body(format!("{} bytes\n", self.bytes));
        kolk::Outcome::Ready
    }
}
