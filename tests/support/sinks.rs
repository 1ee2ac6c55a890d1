//! Sinks that tests have in common.

use kolk::{Outcome, Request, Response, Sink, Take};

/// Says how many bytes have come.
#[derive(Default)]
pub(crate) struct Counted(usize);

impl Sink for Counted {
    fn chunk(&mut self, bytes: &[u8]) -> Take {
        self.0 += bytes.len();
        Take::More
    }

    fn end(self: Box<Self>, _: &Request<'_>, response: &mut Response) -> Outcome {
        response.replace(self.0.to_string().into());
        Outcome::Ready
    }
}

/// Fails with the first bytes that come.
pub(crate) struct Failing;

impl Sink for Failing {
    fn chunk(&mut self, _: &[u8]) -> Take {
        panic!("a sink fails")
    }

    fn end(self: Box<Self>, _: &Request<'_>, _: &mut Response) -> Outcome {
        Outcome::Ready
    }
}
