//! [`Env`]: what a shard was given; and [`Call`]: what is lent for one call into a dialogue. Neither decides
//! anything.

use std::sync::Arc;
use std::time::Duration;

use crate::app::{Asker, BlockingPool, LogId, Mail, Params, Scope, Visitor};
use crate::base::{Key, Post, Tick};
use crate::http::{Head, Method, Response};
use crate::proto::Preset;
use crate::wire::Output;

use super::access_log::{Record, Rings};
use super::dialogue::{Asked, exchange::Sent};
use super::edition::Edition;
use super::recorder::Recorder;
use super::scratch::{Answered, Blank};
use super::stats::Stats;

/// What a shard was given when it was made.
#[derive(Clone)]
pub struct Env {
    /// What new requests are answered by.
    pub edition: Arc<Edition>,
    /// Counters of this worker.
    pub stats: Arc<Stats>,
    /// The return address of late answers.
    pub post: Post<Mail>,
    /// Where blocking handlers run.
    pub pool: Arc<BlockingPool>,
    /// The worker's number, from 0.
    pub worker: usize,
    /// Where answered requests are remembered.
    pub recorder: Option<Arc<Recorder>>,
    /// Reads the clock within a turn; asked only where stages are measured.
    pub stopwatch: fn() -> Tick,
    /// The wall clock's second and millisecond, for logs; refreshed by the worker.
    pub unix_millis: u64,
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Env")
            .field("worker", &self.worker)
            .field("edition", &self.edition)
            .finish_non_exhaustive()
    }
}

/// What is lent for one call into a dialogue.
pub(crate) struct Call<'c> {
    pub(crate) key: Key,
    pub(crate) now: Tick,
    /// When the bytes at hand were read; [`Tick::ZERO`] if nobody looks.
    pub(crate) received: Tick,
    pub(crate) env: &'c Env,
    /// What the exchange at hand is answered by: that of new requests, or a former one.
    pub(crate) edition: &'c Arc<Edition>,
    pub(crate) output: &'c mut Output,
    pub(crate) response: &'c mut Response,
    pub(crate) params: &'c mut Params,
    pub(crate) path: &'c mut String,
    pub(crate) preset: &'c Preset,
    pub(crate) answered: &'c mut Answered,
    /// How long the readers of this turn's answers may take nothing, if a route says that.
    pub(crate) reader: &'c mut Option<Duration>,
    pub(crate) rings: Option<&'c mut Rings>,
    pub(crate) peer: &'c dyn Visitor,
}

impl<'c> Call<'c> {
    /// A call into the dialogue of connection `key`; nobody has measured when its bytes were read.
    #[inline]
    pub(crate) fn new(
        key: Key,
        env: &'c Env,
        now: Tick,
        blank: &'c mut Blank,
        output: &'c mut Output,
        rings: Option<&'c mut Rings>,
        peer: &'c dyn Visitor,
    ) -> Self {
        let Blank { response, params, path, presets, answered, reader } = blank;
        let (edition, received, preset) = (&env.edition, Tick::ZERO, presets.of(peer));
        Self {
            key,
            now,
            received,
            env,
            edition,
            output,
            response,
            params,
            path,
            preset,
            answered,
            reader,
            rings,
            peer,
        }
    }

    /// The same call for an exchange that began with `edition`.
    #[cold]
    pub(crate) fn within<'s>(&'s mut self, edition: &'s Arc<Edition>) -> Call<'s> {
        Call {
            key: self.key,
            now: self.now,
            received: self.received,
            env: self.env,
            edition,
            output: &mut *self.output,
            response: &mut *self.response,
            params: &mut *self.params,
            path: &mut *self.path,
            preset: self.preset,
            answered: &mut *self.answered,
            reader: &mut *self.reader,
            rings: match (self.rings.as_deref_mut(), &edition.logs) {
                (Some(rings), Some(logs)) => rings.of(logs),
                (rings, _) => rings,
            },
            peer: self.peer,
        }
    }

    /// The edition at hand, if it is not that of new requests.
    #[inline]
    pub(crate) fn former_edition(&self) -> Option<Arc<Edition>> {
        let is_current = Arc::ptr_eq(self.edition, &self.env.edition);
        (!is_current).then(|| Arc::clone(self.edition))
    }

    /// An answer of `scope` is on its way.
    #[inline]
    pub(crate) fn note_answer(&mut self, scope: Option<Scope>) {
        if self.edition.app.has_own_writes() {
            let own = scope.and_then(|scope| self.edition.app.timeouts_of(scope).write);
            self.note_reader(own);
        }
    }

    /// The reader of an answer may take nothing for so long: the most patient one counts for what leaves
    /// together.
    pub(crate) fn note_reader(&mut self, own: Option<Duration>) {
        let wait = own.unwrap_or(self.edition.config.timeouts.write);
        *self.reader = (*self.reader).max(Some(wait));
    }

    /// Who asks.
    #[inline]
    pub(crate) fn asker(&self) -> Asker<'c> {
        Asker { peer: self.peer, trust: self.edition.config.trust.as_deref() }
    }

    /// Whether somebody may want to know what became of requests.
    #[inline]
    pub(crate) const fn records(&self) -> bool {
        self.rings.is_some() || self.env.recorder.is_some()
    }

    /// One line of the log, if there is one that wants it, for the answer to `head`; and what is remembered.
    #[inline(never)]
    pub(crate) fn record(
        &mut self,
        asked: &Asked,
        head: Option<&Head<'_>>,
        scope: Option<Scope>,
        sent: Sent,
    ) {
        let app = &self.edition.app;
        let log = scope.map_or(LogId::MAIN, |scope| app.log_of(scope));
        let ring = self.rings.as_mut().and_then(|rings| rings.wanting(log, sent.sampled_as()));
        let recorder = self.env.recorder.as_deref();
        if ring.is_none() && recorder.is_none() {
            return;
        }
        let site = scope.map_or("", |scope| app.site_name(scope));
        let route = scope.map_or("", |scope| app.pattern_of(scope).text());
        let peer = self.peer.address();
        let trust = self.edition.config.trust.as_deref();
        let asker = Asker { peer: self.peer, trust };
        let told = head.filter(|_| trust.is_some()).map(|head| asker.told(head));
        let is_https = told.and_then(|told| told.is_https).unwrap_or_else(|| self.peer.is_encrypted());
        // What would be its length is told, and not sent: RFC 9110 §9.3.2, §15.3.5, §15.4.5.
        let has_body =
            !matches!(sent.status, 204 | 304) && head.is_none_or(|head| head.method() != Method::Head);
        let (attributes, rate) = (&asked.attributes, asked.attributes.rate());
        let record = Record {
            unix_seconds: self.env.unix_millis / 1000,
            unix_millis: u16::try_from(self.env.unix_millis % 1000).unwrap_or(0),
            peer,
            client: told
                .and_then(|told| told.address)
                .filter(|told| Some(*told) != peer.map(|peer| peer.ip().to_canonical())),
            scheme: if is_https { "https" } else { "http" },
            head,
            status: sent.status,
            body_bytes: if has_body { sent.body_bytes } else { 0 },
            reason: sent.reason,
            site,
            route,
            user: attributes.user().map(|user| &**user),
            rate: rate.as_deref(),
            timeline: &asked.timeline,
            worker: self.env.worker,
            connection: connection_number(self.env.worker, self.key),
            request: asked.number,
            id: attributes.id().map(|id| id.as_str()),
        };
        let is_remembered = recorder.is_some_and(|recorder| recorder.keep(&record, sent.is_cut));
        // What was cut, or has no output, will not become otherwise.
        let until = if sent.is_cut { 0 } else { self.output.end() };
        let is_held = ring.is_some_and(|ring| ring.record_until(&record, until));
        self.answered.note_written(until, recorder.is_some());
        if is_remembered || is_held {
            self.answered.await_leaving();
        }
    }
}

/// The number of a connection, unique for the process's life in practice.
pub(crate) const fn connection_number(worker: usize, key: Key) -> u64 {
    ((worker as u64) << 32) | key.serial() as u64
}
