//! The server under test: the one at `KOLK_H2_TARGET=host:port`, else a kolk in this process.
//!
//! It answers GET and HEAD of `/` with a short text, POST of `/echo` with the request's content, and GET of
//! `/large` with about a megabyte.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::OnceLock;

use kolk::{App, Request, Response, Running, Server, Workers};

/// Whether kolk is held to the preferred outcome where the RFCs leave a choice: a stream error is an
/// RST_STREAM of exactly that code on a connection that lives on, a connection error a GOAWAY of exactly
/// that code and an orderly end. Of another server this is asked if `KOLK_H2_STRICT` is set.
const STRICT: bool = true;

pub(crate) const LARGE_BYTES: usize = 1024 * 1024;

struct Target {
    address: SocketAddr,
    strict: bool,
    /// Kept to the end of the process.
    _server: Option<Running>,
}

/// Where it listens.
pub(crate) fn address() -> SocketAddr {
    target().address
}

/// Whether only the preferred outcome will do.
pub(crate) fn strict() -> bool {
    target().strict
}

fn target() -> &'static Target {
    static TARGET: OnceLock<Target> = OnceLock::new();
    TARGET.get_or_init(|| match std::env::var("KOLK_H2_TARGET") {
        Ok(name) => {
            let address = name.to_socket_addrs().ok().and_then(|mut found| found.next());
            let strict = std::env::var_os("KOLK_H2_STRICT").is_some();
            Target { address: address.expect("KOLK_H2_TARGET is host:port"), strict, _server: None }
        }
        Err(_) => {
            let server = start(Server::new(site()).workers(Workers::Exactly(2)));
            let address = server.addrs()[0].socket_addr().expect("it listens on a port");
            Target { address, strict: STRICT, _server: Some(server) }
        }
    })
}

/// Starts `server` on a port of its own.
pub(crate) fn start(server: Server) -> Running {
    server.listen("127.0.0.1:0").expect("an address").start().expect("the server starts")
}

pub(crate) fn site() -> App {
    App::new()
        .get("/", |_: &Request<'_>| Response::text("hello\n"))
        .get("/large", |_: &Request<'_>| Response::text(vec![b'x'; LARGE_BYTES]))
        .post("/echo", |request: &Request<'_>| String::from_utf8_lossy(request.body()).into_owned())
}
