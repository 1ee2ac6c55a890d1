//! What comes to an open exchange when its turn is over: the letters of other threads.
//!
//! ```text
//!  Answer, Abandoned ──► answer ──► respond
//!  Again ──────────────► again ───► the layer that holds it, or the handler, with the frozen request
//!  Wakeup ─────────────► wake ────► its source or sink goes on
//!  nothing, for too long ► answer_overdue: a 504, and whoever works on the answer learns that it is too late
//! ```

use std::sync::Arc;

use crate::app::Watch;
use crate::base::Tick;
use crate::http::{Body, Reason, Response, StreamId};

use super::Dialogue;
use super::exchange::Intake;
use crate::server::call::Call;
use crate::server::stats::Timeout;

impl Dialogue {
    /// A late answer has come; false if its exchange is over.
    pub(crate) fn answer(&mut self, stream: StreamId, response: Response, call: &mut Call<'_>) -> bool {
        let open = self.speech.exchange(stream).filter(|exchange| !exchange.answered);
        let waits = open.is_some();
        if waits {
            call.response.replace(response);
            if call.edition.config.private_descriptors && matches!(call.response.body(), Body::File { .. }) {
                // The number of its descriptor may mean another file here.
                log::error!("a late answer with a file was refused: this worker has its own descriptors");
                call.response.refuse(Reason::HandlerDropped);
            }
            self.respond_open(stream, call);
        }
        waits
    }

    /// When the first of the open exchanges must be answered.
    pub(crate) fn answer_by(&mut self) -> Tick {
        self.speech.exchanges_mut().map(|open| open.answer_by()).min().unwrap_or(Tick::NEVER)
    }

    /// Answers in the place of all who have not done so in time.
    #[cold]
    pub(crate) fn answer_overdue(&mut self, call: &mut Call<'_>) {
        while let Some((stream, watch)) = self.overdue(call.now) {
            call.env.stats.timed_out(Timeout::Handler);
            self.refuse_open(stream, Reason::HandlerTimeout, call);
            if let Some((watch, multiplex)) = watch.zip(self.multiplexed()) {
                multiplex.haunt(watch);
            }
        }
    }

    /// An exchange that should have been answered by `now`, and who works on it.
    fn overdue(&mut self, now: Tick) -> Option<(StreamId, Option<Arc<Watch>>)> {
        let open = self.speech.exchanges_mut().find(|open| now >= open.answer_by())?;
        Some((open.stream(), open.watch.clone()))
    }

    /// Somebody has more for a source, or room for a sink; false if the exchange is over.
    pub(crate) fn wake(&mut self, stream: StreamId, call: &mut Call<'_>) -> bool {
        let Some(exchange) = self.speech.exchange(stream) else { return false };
        if let Some(own) = exchange.edition_beside(call.edition) {
            return self.wake(stream, &mut call.within(&own));
        }
        exchange.wake_at = Tick::NEVER;
        if exchange.paused && !exchange.suspended {
            self.resume(stream, call);
        }
        self.speech.machine().wake(stream);
        true
    }

    /// The handler that asked for it is called again; false if the exchange is over.
    pub(crate) fn again(&mut self, stream: StreamId, call: &mut Call<'_>) -> bool {
        let Some(exchange) = self.speech.exchange(stream).filter(|open| open.suspended && !open.answered)
        else {
            return false;
        };
        if let Some(own) = exchange.edition_beside(call.edition) {
            return self.again(stream, &mut call.within(&own));
        }
        exchange.suspended = false;
        if let Some(layer) = exchange.held_at {
            self.go_on(stream, layer, call);
            return true;
        }
        match std::mem::replace(&mut exchange.intake, Intake::Nothing) {
            Intake::Undecided(whole) => {
                self.begin_stream(stream, whole.as_deref(), call);
                if self.speech.exchange(stream).is_some_and(|open| open.paused && !open.suspended) {
                    self.resume(stream, call);
                }
            }
            // It was called with a complete body.
            intake => {
                exchange.intake = intake;
                exchange.paused = false;
                self.body_complete(stream, call);
            }
        }
        true
    }
}
