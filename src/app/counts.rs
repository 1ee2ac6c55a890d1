//! [`Counts`]: what an app counts of its clients, by name, so that the app that takes its place goes on with
//! it.
//!
//! ```text
//!  app ── Counts: rates, requests at a time, wrong and right passwords ──┐ the same name, the same limit,
//!   │                and tokens                                           │ the same keys
//!  app that takes its place ◄── Counts::successor ◄──────────────────────┘ what nobody asks for is forgotten
//! ```
//! Whoever was about to use up a limit has no gain from a change of what is served. Names are the maker's:
//! nothing of a client. Knows no request.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::auth::BasicAuth;
#[cfg(feature = "jwt")]
use super::auth::JwtAuth;
use super::limits::{InFlight, Rates};

/// What an app counts.
///
/// ```
/// use kolk::app::Counts;
/// use kolk::{App, HandlerExt, Request, Response};
///
/// let app = |former: &Counts| {
///     let mut counts = former.successor();
///     let seats = counts.in_flight("reports", 1, former);
///     let report = |_: &Request<'_>| Response::text("here it is\n");
///     App::new().get("/report", report.layer(seats)).with_counts(counts)
/// };
/// let first = app(&Counts::default());
/// let former = first.counts().unwrap();
/// let _busy = former.get_in_flight("reports").unwrap().enter();
/// let second = app(former);
/// assert_eq!(second.oneshot(http::Request::get("/report").body("").unwrap()).status(), 503);
/// ```
#[derive(Debug, Default)]
pub struct Counts {
    rates: Arc<Rates>,
    in_flight: BTreeMap<Box<str>, InFlight>,
    passwords: BTreeMap<Box<str>, BasicAuth>,
    #[cfg(feature = "jwt")]
    tokens: BTreeMap<Box<str>, JwtAuth>,
}

impl Counts {
    /// Those of an app that takes the place of one with these: with the same rates, and nothing else before
    /// that is asked for.
    #[must_use]
    pub fn successor(&self) -> Self {
        Self { rates: Arc::clone(&self.rates), ..Self::default() }
    }

    /// How often clients came. A [rate](super::Rate) knows itself by its name.
    pub const fn rates(&self) -> &Arc<Rates> {
        &self.rates
    }

    /// How many requests there are at a time in what has this name: that of `former`, if it has the same
    /// limit there.
    pub fn in_flight(&mut self, name: &str, requests_max: u32, former: &Self) -> InFlight {
        let kept =
            || former.get_in_flight(name).filter(|seats| seats.requests_max() == requests_max).cloned();
        let seats = self.in_flight.entry(name.into());
        seats.or_insert_with(|| kept().unwrap_or_else(|| InFlight::new(requests_max))).clone()
    }

    /// The one of this name that was asked for.
    pub fn get_in_flight(&self, name: &str) -> Option<&InFlight> {
        self.in_flight.get(name)
    }

    /// `auth` as it is, but for what `former` knows of the same name: [which passwords were
    /// right](BasicAuth::knowing_with), and [how many were wrong](BasicAuth::failing_with).
    #[must_use]
    pub fn passwords(&mut self, name: &str, auth: BasicAuth, former: &Self) -> BasicAuth {
        let auth = match former.passwords.get(name) {
            Some(former) => auth.knowing_with(former).failing_with(former),
            None => auth,
        };
        self.passwords.insert(name.into(), auth.clone());
        auth
    }

    /// `auth` as it is, but for what `former` knows of the same name: if the keys and all that is asked of
    /// tokens are the same, [which were right](JwtAuth::knowing_with); and [how many were
    /// wrong](JwtAuth::failing_with).
    #[cfg(feature = "jwt")]
    #[must_use]
    pub fn tokens(&mut self, name: &str, auth: JwtAuth, former: &Self) -> JwtAuth {
        let auth = match former.tokens.get(name) {
            Some(former) => auth.knowing_with(former).failing_with(former),
            None => auth,
        };
        self.tokens.insert(name.into(), auth.clone());
        auth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_the_same_goes_on_and_what_is_not_asked_for_is_forgotten() {
        let mut first = Counts::default();
        let seats = first.in_flight("a", 2, &Counts::default());
        let _hold = seats.enter();
        assert_eq!(first.in_flight("a", 2, &Counts::default()).requests(), 1, "it is one count");
        let mut second = first.successor();
        assert!(Arc::ptr_eq(second.rates(), first.rates()));
        assert_eq!(second.in_flight("a", 2, &first).requests(), 1);
        assert_eq!(second.in_flight("b", 2, &first).requests(), 0);
        let mut third = second.successor();
        assert_eq!(third.in_flight("a", 3, &second).requests(), 0, "another limit");
        let fourth = third.successor();
        assert!(fourth.get_in_flight("a").is_none());
    }
}
