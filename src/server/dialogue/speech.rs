//! [`Speech`]: the version that is spoken, and the exchanges that are open in it: one at most in HTTP/1, many
//! in HTTP/2.

use crate::http::{Reason, StreamId};
use crate::proto::{Encoding, Protocol, Pumped, h1};
use crate::wire::Output;

use super::exchange::Exchange;
use super::multiplex::Multiplex;

/// A machine and its open exchanges.
#[derive(Debug)]
pub(super) enum Speech {
    Http1 { machine: h1::Server, exchange: Option<Box<Exchange>> },
    Http2(Box<Multiplex>),
}

impl Speech {
    /// The machine, for what is not done with every request.
    pub(super) fn machine(&mut self) -> &mut dyn Protocol {
        match self {
            Self::Http1 { machine, .. } => machine,
            Self::Http2(multiplex) => &mut multiplex.machine,
        }
    }

    /// A request has come on this stream.
    #[inline]
    pub(super) fn hear(&mut self, stream: StreamId) {
        if let Self::Http2(multiplex) = self {
            multiplex.newest = multiplex.newest.max(stream);
        }
    }

    /// An open exchange.
    #[inline]
    pub(super) fn exchange(&mut self, stream: StreamId) -> Option<&mut Exchange> {
        match self {
            Self::Http1 { exchange, .. } => exchange.as_deref_mut().filter(|open| open.stream() == stream),
            Self::Http2(multiplex) => {
                let place = multiplex.place(stream).ok()?;
                multiplex.exchanges.get_mut(place).map(|exchange| &mut **exchange)
            }
        }
    }

    /// All open exchanges.
    pub(super) fn exchanges_mut(&mut self) -> impl Iterator<Item = &mut Exchange> {
        let (only, many) = match self {
            Self::Http1 { exchange, .. } => (exchange.as_mut(), None),
            Self::Http2(multiplex) => (None, Some(&mut multiplex.exchanges)),
        };
        only.into_iter().chain(many.into_iter().flatten()).map(|exchange| &mut **exchange)
    }

    /// The same, no longer kept.
    #[inline]
    pub(super) fn take(&mut self, stream: StreamId) -> Option<Box<Exchange>> {
        match self {
            Self::Http1 { exchange, .. } => exchange.take_if(|open| open.stream() == stream),
            Self::Http2(multiplex) => {
                multiplex.place(stream).ok().map(|place| multiplex.exchanges.remove(place))
            }
        }
    }

    /// Any open exchange, no longer kept.
    #[cold]
    pub(super) fn take_any(&mut self) -> Option<Box<Exchange>> {
        match self {
            Self::Http1 { exchange, .. } => exchange.take(),
            Self::Http2(multiplex) if multiplex.exchanges.is_empty() => None,
            Self::Http2(multiplex) => Some(multiplex.exchanges.remove(0)),
        }
    }

    /// Keeps an exchange that is not over.
    #[inline]
    pub(super) fn keep(&mut self, open: Box<Exchange>) {
        match self {
            Self::Http1 { exchange, .. } => *exchange = Some(open),
            Self::Http2(multiplex) => {
                let place = multiplex.place(open.stream()).unwrap_or_else(|place| place);
                multiplex.exchanges.insert(place, open);
            }
        }
    }

    /// The exchange whose answer has more to send.
    #[inline]
    pub(super) fn due(&self, output: &Output) -> Option<StreamId> {
        match self {
            Self::Http1 { machine, .. } => machine.due(output),
            Self::Http2(multiplex) => multiplex.machine.due(output),
        }
    }

    /// Moves what is due of an answer, and how many bytes of its body that were.
    pub(super) fn pump(&mut self, stream: StreamId, encoding: &mut Encoding<'_>) -> (Pumped, u64) {
        match self {
            Self::Http1 { machine, .. } => machine.pump(stream, encoding),
            Self::Http2(multiplex) => multiplex.machine.pump(stream, encoding),
        }
    }

    /// Ends an answer that nobody keeps any more, or nobody reads: what is due must get on.
    #[cold]
    pub(super) fn give_up(&mut self, stream: StreamId, reason: Reason, output: &mut Output) -> Pumped {
        if let Self::Http2(multiplex) = self {
            multiplex.machine.reset(stream, reason, output);
        }
        Pumped::Nothing
    }

    /// Whether the answer of `stream` has more to send.
    #[inline]
    pub(super) fn is_sending(&mut self, stream: StreamId) -> bool {
        match self {
            Self::Http1 { machine, .. } => machine.is_sending(),
            Self::Http2(multiplex) => multiplex.machine.is_sending(stream),
        }
    }

    /// Whether the request of `stream` is a HEAD, which is answered without content.
    #[cold]
    pub(super) fn is_head(&mut self, stream: StreamId) -> bool {
        match self {
            Self::Http1 { machine, .. } => machine.is_head(),
            Self::Http2(multiplex) => multiplex.machine.is_head(stream),
        }
    }

    /// So many bytes of a body were used.
    #[inline]
    pub(super) fn consume(&mut self, stream: StreamId, bytes: usize, output: &mut Output) {
        if let Self::Http2(multiplex) = self {
            multiplex.machine.consume(stream, bytes, output);
        }
    }
}
