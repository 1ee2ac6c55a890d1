//! What comes to an open exchange when its turn is over: other threads' letters, and the client's leave.
//!
//! ```text
//!  Answer, Abandoned ──► answer ──► respond
//!  Again ──────────────► again ───► the handler, with the frozen request
//!  Wakeup ─────────────► wake ────► its source or sink goes on
//! ```

use crate::app::Presence;
use crate::base::Tick;
use crate::http::{Body, Reason, Response, StreamId};

use super::super::call::Call;
use super::super::exchange::Intake;
use super::Dialogue;

impl Dialogue {
    /// A late answer has come; false if its exchange is over.
    pub(crate) fn answer(&mut self, stream: StreamId, response: Response, call: &mut Call<'_>) -> bool {
        let waits =
            self.exchange.as_ref().is_some_and(|exchange| exchange.stream == stream && !exchange.answered);
        if waits {
            call.response.replace(response);
            for (name, value) in self.exchange.iter().flat_map(|exchange| &exchange.late_fields) {
                call.response.append(name, value);
            }
            if call.env.config.private_descriptors && matches!(call.response.body(), Body::File { .. }) {
                // The number of its descriptor may mean another file here.
                log::error!("a late answer with a file was refused: this worker has its own descriptors");
                call.response.refuse(Reason::HandlerDropped);
            }
            self.respond_open(call);
        }
        waits
    }

    /// Somebody has more for a source, or room for a sink; false if the exchange is over.
    pub(crate) fn wake(&mut self, stream: StreamId, call: &mut Call<'_>) -> bool {
        let Some(exchange) = self.exchange.as_deref_mut().filter(|exchange| exchange.stream == stream) else {
            return false;
        };
        exchange.wake_at = Tick::NEVER;
        if exchange.suspended {
            return true;
        }
        if std::mem::take(&mut exchange.paused) {
            exchange.pace.resume(call.now);
            if exchange.ended {
                self.body_complete(call);
            }
        }
        true
    }

    /// The handler that asked for it is called again; false if the exchange is over.
    pub(crate) fn again(&mut self, stream: StreamId, call: &mut Call<'_>) -> bool {
        let open = self.exchange.as_deref_mut();
        let Some(exchange) = open.filter(|open| open.stream == stream && open.suspended && !open.answered)
        else {
            return false;
        };
        exchange.suspended = false;
        exchange.late_fields.clear();
        if std::mem::take(&mut exchange.paused) {
            exchange.pace.resume(call.now);
        }
        match std::mem::replace(&mut exchange.intake, Intake::Nothing) {
            Intake::Undecided(whole) => self.begin_stream(stream, whole.as_deref(), call),
            // It was called with a complete body.
            intake => {
                exchange.intake = intake;
                self.body_complete(call);
            }
        }
        true
    }

    /// The client has closed its sending side, or is gone.
    pub(crate) fn abandon(&mut self, presence: Presence) {
        if presence == Presence::Gone {
            self.exchange = None;
        } else if let Some(watch) = self.exchange.as_ref().and_then(|exchange| exchange.watch.as_ref()) {
            watch.set(presence);
        }
    }
}
