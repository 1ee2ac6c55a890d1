//! [`InFlight`]: so many requests of a route at a time.
//!
//! ```text
//!  before ─► enter ─► Hold in the Response ─► kept with the exchange ─► dropped with it, however it ends
//!               └ full ─► 503 limit.in_flight, Retry-After
//! ```
//! Process-wide, and exact: a request is counted before it is let in. Knows nothing of routes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use ::http::{HeaderValue, header};

use crate::app::layer::{Acts, Layer, Passage};
use crate::app::request::Request;
use crate::http::{Hold, Reason, Release, Response};

/// How many requests may be in flight, and how many are. Shared by whoever clones it.
///
/// ```
/// use kolk::InFlight;
///
/// let seats = InFlight::new(1);
/// let hold = seats.enter().expect("nobody is there");
/// assert!(seats.enter().is_none());
/// drop(hold);
/// assert!(seats.enter().is_some());
/// ```
#[derive(Clone, Debug)]
pub struct InFlight(Arc<Seats>);

#[derive(Debug)]
struct Seats {
    requests_max: u32,
    requests: AtomicU32,
    refused: AtomicU64,
}

impl InFlight {
    /// At most so many at a time.
    pub fn new(requests_max: u32) -> Self {
        let (requests, refused) = (AtomicU32::new(0), AtomicU64::new(0));
        Self(Arc::new(Seats { requests_max, requests, refused }))
    }

    /// One more, until the hold is dropped; `None` if there are as many as may be.
    pub fn enter(&self) -> Option<Hold> {
        let seats = &*self.0;
        let next = |requests: u32| (requests < seats.requests_max).then_some(requests + 1);
        if seats.requests.fetch_update(Relaxed, Relaxed, next).is_err() {
            seats.refused.fetch_add(1, Relaxed);
            return None;
        }
        Some(Hold::new(Arc::clone(&self.0) as Arc<dyn Release>))
    }

    /// How many there may be.
    pub fn requests_max(&self) -> u32 {
        self.0.requests_max
    }

    /// How many there are now.
    pub fn requests(&self) -> u32 {
        self.0.requests.load(Relaxed)
    }

    /// How many found no room so far.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Relaxed)
    }
}

impl Release for Seats {
    fn release(&self) {
        self.requests.fetch_sub(1, Relaxed);
    }
}

/// As many requests at a time as may be, of all that pass layers which share this count: one more is answered
/// with 503 and `Retry-After`.
///
/// ```
/// use kolk::{App, HandlerExt, InFlight, Request, Response, blocking};
///
/// let reports = InFlight::new(4);
/// let report = blocking(|_: &Request<'_>| Response::text("slow\n"));
/// let app = App::new().get("/report", report.layer(reports.clone()));
/// assert_eq!(app.oneshot(http::Request::get("/report").body("").unwrap()).status(), 200);
/// assert_eq!(reports.requests(), 0);
/// ```
impl Layer for InFlight {
    fn before(&self, _request: &Request<'_>, response: &mut Response) -> Passage {
        let Some(hold) = self.enter() else {
            response.refuse(Reason::InFlight);
            response.append(&header::RETRY_AFTER, &HeaderValue::from_static("1"));
            return Passage::answered();
        };
        response.hold(hold);
        Passage::Open
    }

    fn acts(&self) -> Acts {
        Acts::REQUESTS
    }

    fn name(&self) -> &'static str {
        "in_flight"
    }

    fn explain(&self) -> String {
        format!("at most {} at a time", self.0.requests_max)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn threads_never_have_more_seats_than_there_are() {
        let seats = InFlight::new(3);
        let entered: u64 = thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    let seats = seats.clone();
                    scope.spawn(move || {
                        let mut entered = 0;
                        for _ in 0..5_000 {
                            let hold = seats.enter();
                            assert!(seats.requests() <= 3);
                            entered += u64::from(hold.is_some());
                        }
                        entered
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((seats.requests(), entered + seats.refused()), (0, 40_000));
    }

    #[test]
    fn a_hold_goes_with_the_response_and_ends_with_it() {
        let (seats, others) = (InFlight::new(2), InFlight::new(1));
        let mut response = Response::text("");
        response.hold(seats.enter().unwrap());
        assert!(response.holds_of(&*seats.0) && !response.holds_of(&*others.0));
        response.replace(Response::text("other"));
        assert_eq!(seats.requests(), 1, "the answer changes, the exchange goes on");
        response.reset();
        assert_eq!((seats.requests(), response.holds_of(&*seats.0)), (0, false));
    }
}
