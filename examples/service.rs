//! A small service: one handler of each kind. `cargo run --example service`, then see the comments for
//! what to ask it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kolk::{
    App, HandlerExt, Pull, Pulled, Reply, Request, Response, Server, Sink, Source, StatusCode, Take,
    blocking, deferred, receiving,
};

/// What `PUT` has left here.
type Store = Arc<Mutex<HashMap<String, Vec<u8>>>>;

fn main() -> kolk::Result<()> {
    let store = Store::default();
    let (put, get) = (Arc::clone(&store), store);
    let app = App::new()
        // curl localhost:8080/hello/world
        .get("/hello/{name}", |request: &Request<'_>| {
            format!("hello, {}\n", request.param("name").unwrap_or("world"))
        })
        // curl -T file localhost:8080/notes/file; curl localhost:8080/notes/file
        .put("/notes/{name}", (move |request: &Request<'_>| keep(&put, request)).body_limit(1 << 20))
        .get("/notes/{name}", move |request: &Request<'_>| find(&get, request))
        // curl localhost:8080/primes/100000: too long for the loop, so a pool thread counts
        .get("/primes/{below}", blocking(primes))
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
    Server::new(app).listen("127.0.0.1:8080")?.run()
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
