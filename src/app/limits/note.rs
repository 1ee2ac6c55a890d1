//! [`RateNote`]: which rate has not simply let a request pass, for whoever writes that down. Knows no
//! request.

use super::counts::RateVerdict;
use crate::http::Reason;

/// What a rate did with a request that it did not simply let pass. It stands in the access log.
#[derive(Debug)]
pub struct RateNote {
    name: Box<str>,
    verdict: RateVerdict,
}

impl RateNote {
    pub(crate) fn new(name: &str, verdict: RateVerdict) -> Self {
        Self { name: name.into(), verdict }
    }

    /// The name of the rate's [`Policy`](super::Policy).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it did.
    pub const fn verdict(&self) -> RateVerdict {
        self.verdict
    }

    /// The name, if it stands behind the code of `reason`: that of the rate which has refused the request.
    pub fn refuser(&self, reason: Reason) -> Option<&str> {
        (reason == Reason::Rate && self.verdict == RateVerdict::Refused).then_some(&*self.name)
    }

    /// Whether this is what to remember of a request of which `other` is known.
    pub(in crate::app) const fn outweighs(&self, other: &Self) -> bool {
        self.weight() > other.weight()
    }

    const fn weight(&self) -> u8 {
        match self.verdict {
            RateVerdict::Passed => 0,
            RateVerdict::WouldRefuse => 1,
            RateVerdict::Delayed => 2,
            RateVerdict::Refused => 3,
        }
    }
}
