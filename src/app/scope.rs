//! [`Match`]: who answers a request; [`Scope`]: whose layers, log and names come with it. Knows no request.

use super::route::RouteId;
use super::site::{Missing, SiteId};

/// Who answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// This route's handler.
    Route(RouteId),
    /// Nobody, or kolk itself, on this site.
    Missing(SiteId, Missing),
}

/// Whose layers stand around an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A route's.
    Route(RouteId),
    /// A route's, whose handler is not asked: a preflight is about it.
    Preflight(RouteId),
    /// A site's: no route was found.
    Site(SiteId),
}

impl Match {
    /// Whose layers stand around the answer.
    #[inline]
    pub const fn scope(self) -> Scope {
        match self {
            Self::Route(route) => Scope::Route(route),
            Self::Missing(_, Missing::Preflight(_, route)) => Scope::Preflight(route),
            Self::Missing(site, _) => Scope::Site(site),
        }
    }
}

impl Scope {
    /// The route whose handler answers, if there is one.
    #[inline]
    pub const fn route(self) -> Option<RouteId> {
        match self {
            Self::Route(route) => Some(route),
            Self::Preflight(_) | Self::Site(_) => None,
        }
    }

    /// The route whose layers they are, if they are one's.
    #[inline]
    pub(super) const fn layers_of(self) -> Option<RouteId> {
        match self {
            Self::Route(route) | Self::Preflight(route) => Some(route),
            Self::Site(_) => None,
        }
    }
}
