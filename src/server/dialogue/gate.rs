//! THE LAYERS: what stands before a handler, and behind every answer.
//!
//! ```text
//!  head ─► find ─► before ─┬─ passed ──► the handler
//!                          ├─ answered ─► respond
//!                          └─ waits, or is asked again ─► kept as an Exchange ─► (mail, time) ─► before
//! ```
//! While a request is held here nothing of its body is read, and none is invited.

use std::sync::Arc;

use crate::app::{Layer as _, Match, Outcome, Pattern, Progress, Request, Scope, SiteId};
use crate::base::Tick;
use crate::http::{Arrival, FieldTable, Head, Path, StreamId};

use super::Dialogue;
use super::exchange::{Intake, Pace};
use super::respond::Asked;
use crate::server::call::Call;

impl Dialogue {
    /// Lets the layers look at a request that has just come; whether it passes.
    #[inline(never)]
    pub(super) fn passes(
        &mut self,
        asked: &mut Asked,
        (head, path, body): (&Head<'_>, Path<'_>, Arrival<'_>),
        scope: Scope,
        call: &mut Call<'_>,
    ) -> bool {
        call.response.reset();
        let app = &call.edition.app;
        let origin = Self::origin(asked, call);
        let pattern = app.pattern_of(scope);
        let request = Request::new(*head, path, pattern, call.params, &[], None, &origin);
        let progress = app.chain(scope).before(0, &request, call.response);
        match progress {
            Progress::Passed => return true,
            Progress::Stopped(_, Outcome::Ready) => self.respond(asked, Some(head), Some(scope), call),
            Progress::Stopped(_, Outcome::Rendered(text)) => {
                text.fill(call.response);
                self.respond(asked, Some(head), Some(scope), call);
            }
            progress => {
                self.freeze(asked, head, (scope, path.as_str().to_owned()), call);
                self.admit_body(asked.stream, body, call);
                if let Some(exchange) = self.speech.exchange(asked.stream) {
                    let whole = if let Arrival::Whole(bytes) = body { Some(bytes.to_vec()) } else { None };
                    exchange.intake = Intake::Undecided(whole);
                    exchange.paused = true;
                }
                self.hold(asked.stream, progress, call);
            }
        }
        false
    }

    /// Lets the layers from number `from` look at a request that was held.
    pub(super) fn go_on(&mut self, stream: StreamId, from: usize, call: &mut Call<'_>) {
        let Some(exchange) = self.speech.exchange(stream) else { return };
        let (Some(head), Some(scope)) = (&exchange.head, exchange.scope) else { return };
        call.response.reset();
        call.response.give_holds(std::mem::take(&mut exchange.holds));
        let app = &call.edition.app;
        let origin = Self::origin(&exchange.asked, call);
        let path = Path::normalised(&exchange.path);
        let pattern = app.pattern_of(scope);
        let request = Request::new(head.head(), path, pattern, &exchange.params, &[], None, &origin);
        let progress = app.chain(scope).before(from, &request, call.response);
        exchange.holds = call.response.take_holds();
        match progress {
            Progress::Passed => self.enter(stream, scope, call),
            progress => self.hold(stream, progress, call),
        }
    }

    /// The request whose time to wait is over, if there is one.
    pub(crate) fn has_waited(&mut self, now: Tick) -> Option<StreamId> {
        let exchange = self.speech.exchanges_mut().find(|open| open.suspended && now >= open.wake_at)?;
        exchange.wake_at = Tick::NEVER;
        Some(exchange.stream())
    }

    /// What is known of the body of a request that is kept.
    pub(super) fn admit_body(&mut self, stream: StreamId, body: Arrival<'_>, call: &Call<'_>) {
        let Some(exchange) = self.speech.exchange(stream) else { return };
        let bytes_max = exchange.body_bytes_max(call.edition);
        exchange.ended = matches!(body, Arrival::Empty);
        exchange.declared_bytes = match body {
            Arrival::Empty => Some(0),
            Arrival::Whole(bytes) => Some(bytes.len() as u64),
            Arrival::Follows { length, .. } => length,
        };
        let usual = &call.edition.config.timeouts;
        let timeouts = exchange.term.as_ref().map_or(usual, |term| term.timeouts());
        exchange.pace = Pace::new(bytes_max, timeouts, call.now);
    }

    /// Some layer does not let the request pass now.
    fn hold(&mut self, stream: StreamId, progress: Progress, call: &mut Call<'_>) {
        let Some(exchange) = self.speech.exchange(stream) else { return };
        match progress {
            Progress::Passed => {}
            Progress::Waits { next, wait, .. } => {
                exchange.held_at = Some(next);
                exchange.suspended = true;
                exchange.wake_at = call.now.after(wait);
                if let Some(term) = &mut exchange.term {
                    // That time is not the handler's.
                    term.begin(exchange.wake_at);
                }
            }
            Progress::Stopped(layer, outcome) => {
                exchange.held_at = Some(layer);
                self.conclude(stream, outcome, call);
            }
        }
    }

    /// A request that was held has passed.
    fn enter(&mut self, stream: StreamId, scope: Scope, call: &mut Call<'_>) {
        let Some(exchange) = self.speech.exchange(stream) else { return };
        exchange.held_at = None;
        let intake = std::mem::replace(&mut exchange.intake, Intake::Nothing);
        let whole = if let Intake::Undecided(whole) = intake { whole } else { None };
        let Scope::Route(id) = scope else { return self.answer_missing_late(stream, call) };
        // Of a body that has come meanwhile something may be kept.
        exchange.paused = exchange.declared_bytes != Some(0);
        self.receive(stream, id, whole.as_deref(), call);
        if self.speech.exchange(stream).is_some_and(|open| open.paused && !open.suspended) {
            self.resume(stream, call);
        }
    }

    /// The same where there is no route: why not is found out once more.
    fn answer_missing_late(&mut self, stream: StreamId, call: &mut Call<'_>) {
        let Some(exchange) = self.speech.exchange(stream) else { return };
        let Some(head) = &exchange.head else { return };
        let head = head.head();
        call.response.reset();
        let mut scratch = String::new();
        // From the beginning: a path that a rewrite has made does not tell why nothing was found.
        let path = Path::of_head(&head, &mut scratch).unwrap_or(Path::normalised(""));
        let app = &call.edition.app;
        let mut found = app.find(&head, path, call.params, call.asker());
        if app.rewrites(found) {
            (found, _) = Self::follow(&mut exchange.asked, found, (&head, path), call);
        }
        if let Match::Missing(_, missing) = found {
            call.edition.app.answer_without_route(missing, call.peer.is_encrypted(), call.response);
        }
        self.respond_open(stream, call);
    }

    /// Gives the answer at hand an id where no layers look at it, and the request one, if there are any.
    #[cold]
    pub(super) fn identify(asked: &Asked, head: Option<&Head<'_>>, call: &mut Call<'_>) {
        let app = &call.edition.app;
        let Some(ids) = app.request_ids() else { return };
        let origin = Self::origin(asked, call);
        let nothing = FieldTable::new();
        let head = head.copied().unwrap_or_else(|| Head::new(&[], &nothing));
        let (path, pattern) = (Path::normalised(""), app.pattern_of(Scope::Site(SiteId::MAIN)));
        let request = Request::new(head, path, pattern, call.params, &[], None, &origin);
        // It lets everybody pass.
        let _ = ids.before(&request, call.response);
        ids.after(&request, call.response);
    }

    /// Lets the layers change the answer at hand.
    #[inline(never)]
    pub(super) fn dress(&self, asked: &Asked, head: &Head<'_>, scope: Scope, call: &mut Call<'_>) {
        let app = &call.edition.app;
        let origin = Self::origin(asked, call);
        // Refused for its path: there is none that a layer could look at.
        let path = match &asked.rewritten {
            Some(path) => Path::normalised(path),
            None => Path::of_head(head, &mut *call.path).unwrap_or(Path::normalised("")),
        };
        let pattern: &Arc<Pattern> = app.pattern_of(scope);
        let request = Request::new(*head, path, pattern, call.params, &[], None, &origin);
        app.chain(scope).after(&request, call.response);
    }
}
