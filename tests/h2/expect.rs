//! What a client expects: the preferred outcome of kolk, any that the RFCs allow of others.

use crate::client::{Answer, Peer, SILENCE};
use crate::frame::*;
use crate::target::strict;

impl Peer {
    /// The connection lives: a PING comes back.
    #[track_caller]
    pub(crate) fn is_alive(&mut self) -> &mut Self {
        let payload = self.next_ping();
        self.send(ping(payload));
        self.until("PING's acknowledgement on a living connection", |peer| peer.pongs.contains(&payload))
    }

    /// Nothing was wrong so far: the connection lives and nobody was sent away.
    #[track_caller]
    pub(crate) fn is_content(&mut self) -> &mut Self {
        self.is_alive();
        if !self.goaways.is_empty() {
            self.fail("a connection without GOAWAY");
        }
        self
    }

    /// The whole answer on `stream`.
    #[track_caller]
    pub(crate) fn expect_answer(&mut self, stream: u32) -> &Answer {
        self.until(&format!("a whole answer on stream {stream}"), |peer| {
            peer.answers.get(&stream).is_some_and(|answer| answer.ended)
        });
        self.answer(stream)
    }

    /// A whole answer of this status.
    #[track_caller]
    pub(crate) fn expect_status(&mut self, stream: u32, status: u16) -> &mut Self {
        let came = self.expect_answer(stream).status();
        if came != Some(status) {
            self.fail(&format!("status {status} on stream {stream}; it was {came:?}"));
        }
        self
    }

    /// RFC 9113 §5.4.2. The first code is the preferred one.
    #[track_caller]
    pub(crate) fn expect_stream_error(&mut self, stream: u32, codes: &[u32]) -> &mut Self {
        let what = format!("RST_STREAM of stream {stream} with {codes:?}");
        if strict() {
            self.until(&what, |peer| peer.reset_of(stream) == Some(codes[0]));
            return self.is_content();
        }
        self.until(&what, |peer| {
            peer.reset_of(stream).is_some_and(|code| codes.contains(&code)) || peer.is_sent_away(codes)
        })
    }

    /// RFC 9113 §5.4.1. The first code is the preferred one.
    #[track_caller]
    pub(crate) fn expect_connection_error(&mut self, codes: &[u32]) -> &mut Self {
        let what = format!("GOAWAY with {codes:?}");
        if strict() {
            self.until(&what, |peer| peer.goaways.last().is_some_and(|(_, code)| *code == codes[0]));
        } else {
            self.until(&what, |peer| peer.is_sent_away(codes));
        }
        self.until("the end of the connection behind GOAWAY", |peer| peer.closed)
    }

    /// RFC 9113 §8.1.1: a stream error of PROTOCOL_ERROR; a server may answer before.
    #[track_caller]
    pub(crate) fn expect_malformed(&mut self, stream: u32) -> &mut Self {
        if strict() {
            return self.expect_stream_error(stream, &[PROTOCOL_ERROR]);
        }
        self.expect_refusal(stream)
    }

    /// A stream error of PROTOCOL_ERROR or an answer that says that the request was bad.
    #[track_caller]
    pub(crate) fn expect_refusal(&mut self, stream: u32) -> &mut Self {
        let refused = |answer: &Answer| {
            answer.reset == Some(PROTOCOL_ERROR)
                || (answer.status().is_some_and(|status| (400..=499).contains(&status)) && answer.ended)
        };
        self.until(&format!("a refusal on stream {stream}"), |peer| {
            peer.answers.get(&stream).is_some_and(refused) || peer.is_sent_away(&[PROTOCOL_ERROR])
        });
        if strict() {
            self.is_content();
        }
        self
    }

    /// An answer of any status or a refusal of any kind: stream 1 does not hang.
    #[track_caller]
    pub(crate) fn expect_answers_or_refuses(&mut self) -> &mut Self {
        self.until("an answer or a refusal", |peer| {
            let ended =
                peer.answers.get(&1).is_some_and(|one| one.ended || one.reset == Some(PROTOCOL_ERROR));
            ended || peer.is_sent_away(&[PROTOCOL_ERROR])
        })
    }

    /// A stream error or a connection error, one as good as the other.
    #[track_caller]
    pub(crate) fn expect_either_error(&mut self, stream: u32, codes: &[u32]) -> &mut Self {
        self.until(&format!("RST_STREAM of {stream} or GOAWAY with {codes:?}"), |peer| {
            let reset = peer.reset_of(stream).is_some_and(|code| codes.contains(&code));
            let sent_away = peer.goaways.iter().any(|(_, code)| codes.contains(code));
            reset || sent_away || (peer.closed && !strict())
        })
    }

    /// Nothing comes: no answer on `stream`, no byte of its content.
    #[track_caller]
    pub(crate) fn expect_no_bytes(&mut self, stream: u32) -> &mut Self {
        let before = self.answer(stream).body.len();
        let moved = |peer: &Self| peer.answers[&stream].body.len() != before || peer.answers[&stream].ended;
        if self.comes_true(SILENCE, moved) {
            self.fail("no byte without credit");
        }
        self
    }

    /// Exactly so many bytes of content have come on `stream` when no more do.
    #[track_caller]
    pub(crate) fn expect_bytes(&mut self, stream: u32, count: usize) -> &mut Self {
        self.until(&format!("{count} bytes on stream {stream}"), |peer| {
            peer.answers.get(&stream).is_some_and(|answer| answer.body.len() >= count)
        });
        let came = self.answer(stream).body.len();
        if came != count {
            self.fail(&format!("{count} bytes on stream {stream} and no more; it were {came}"));
        }
        self
    }

    /// A GOAWAY of one of these codes, or, where any outcome will do, the connection's end.
    pub(crate) fn is_sent_away(&self, codes: &[u32]) -> bool {
        self.goaways.iter().any(|(_, code)| codes.contains(code)) || (self.closed && self.goaways.is_empty())
    }
}
