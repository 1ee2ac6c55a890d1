//! [`Desk`]: a worker's place without a worker: handlers are called at any moment, and their letters read.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use kolk::app::{Attributes, BlockingPool, Mail, Origin, Params, Progress, Route, Visitor};
use kolk::base::{Certificate, Key, Mailbox, Post, Tick, Wake};
use kolk::http::{ExchangeId, FieldTable, Head, Path, StreamId, Timeline};
use kolk::proto::h1::{Limits, Server};
use kolk::wire::Input;
use kolk::{Outcome, Request, Response};

static LIMITS: Limits = Limits::DEFAULT;

/// A request that was parsed.
pub(crate) struct Asked {
    pub(crate) head: Vec<u8>,
    table: FieldTable,
    path: String,
}

impl Asked {
    /// A GET whose target needs no decoding. `fields` are whole lines.
    pub(crate) fn new(target: &str, fields: &str) -> Self {
        let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").into_bytes();
        let mut table = FieldTable::new();
        let parsed = Server::new(LIMITS).poll(&mut Input::new(&head, false), &mut table).is_ok();
        assert!(parsed, "{target} {fields}");
        let path = target.split('?').next().unwrap_or_default().to_owned();
        Self { head, table, path }
    }
}

/// Where handlers are called.
pub(crate) struct Desk {
    pub(crate) pool: Arc<BlockingPool>,
    mailbox: Mailbox<Mail>,
    post: Post<Mail>,
    letters: Vec<Mail>,
}

/// From an address, in the clear.
struct Stranger;

impl Visitor for Stranger {
    fn address(&self) -> Option<SocketAddr> {
        Some((Ipv4Addr::LOCALHOST, 4242).into())
    }

    fn is_encrypted(&self) -> bool {
        false
    }

    fn certificate(&self) -> Option<Arc<Certificate>> {
        None
    }
}

struct Silent;

impl Wake for Silent {
    fn wake(&self) {}
}

impl Desk {
    pub(crate) fn new(pool: BlockingPool) -> Self {
        let mailbox = Mailbox::new(Arc::new(Silent), 16);
        Self { pool: Arc::new(pool), post: mailbox.post(), mailbox, letters: Vec::new() }
    }

    /// Asks the layers of `route`, and calls its handler if they let the request pass.
    #[inline]
    pub(crate) fn call(&self, route: &Route, asked: &Asked, now: Tick, response: &mut Response) -> Outcome {
        let origin = Origin {
            exchange: ExchangeId { connection: Key::unpack(1 << 32), stream: StreamId(1) },
            post: &self.post,
            pool: &self.pool,
            worker: 0,
            connection_number: 1,
            request_number: 1,
            now,
            // No file is younger.
            unix_seconds: u64::from(u32::MAX),
            timeline: Timeline::default(),
            trust: None,
            peer: &Stranger,
            attributes: &Attributes::default(),
        };
        let (head, params) = (Head::new(&asked.head, &asked.table), Params::new());
        let path = Path::normalised(&asked.path);
        let request = Request::new(head, path, route.shared_pattern(), &params, b"", None, &origin);
        match route.chain().before(0, &request, response) {
            Progress::Passed => route.call(&request, response),
            Progress::Stopped(_, outcome) => outcome,
            Progress::Waits { .. } => panic!("nothing here waits"),
        }
    }

    /// Waits for the next letter, without sleep.
    pub(crate) fn letter(&mut self) -> Mail {
        loop {
            self.mailbox.drain(&mut self.letters);
            match self.letters.pop() {
                Some(letter) => return letter,
                None => std::hint::spin_loop(),
            }
        }
    }
}
