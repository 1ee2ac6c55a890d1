//! [`Match`]: who answers a request; [`Scope`]: whose layers, log and names come with it. Knows no request.

use std::sync::{Arc, LazyLock};

use super::app::App;
use super::handler::LogId;
use super::layer::Chain;
use super::pattern::Pattern;
use super::route::RouteId;
use super::site::{Missing, SiteId};
use super::timeouts::RouteTimeouts;

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

impl App {
    /// The layers around an answer.
    #[inline]
    pub fn chain(&self, scope: Scope) -> &Chain {
        match scope {
            Scope::Route(id) | Scope::Preflight(id) => self.route_of(id).chain(),
            Scope::Site(id) => &self.site_at(id).chain,
        }
    }

    /// Which access log has such an answer.
    #[inline]
    pub fn log_of(&self, scope: Scope) -> LogId {
        match scope {
            Scope::Route(id) | Scope::Preflight(id) => self.route_of(id).log(),
            Scope::Site(id) => self.site_at(id).log,
        }
    }

    /// What the route says of time, if there is one.
    #[inline]
    pub fn timeouts_of(&self, scope: Scope) -> RouteTimeouts {
        scope.route().map_or_else(RouteTimeouts::default, |id| self.route_of(id).rule().timeouts)
    }

    /// The pattern of the route, if there is one, else nothing.
    #[inline]
    pub fn pattern_of(&self, scope: Scope) -> &Arc<Pattern> {
        static NONE: LazyLock<Arc<Pattern>> = LazyLock::new(|| Arc::new(Pattern::nothing()));
        match scope {
            Scope::Route(id) | Scope::Preflight(id) => self.route_of(id).shared_pattern(),
            Scope::Site(_) => &NONE,
        }
    }

    /// The name of the site: the first of its hosts, as it was written; `*` for the app's own routes.
    #[inline]
    pub fn site_name(&self, scope: Scope) -> &Arc<str> {
        let site = match scope {
            Scope::Route(id) | Scope::Preflight(id) => self.route_of(id).site(),
            Scope::Site(id) => id,
        };
        &self.site_at(site).name
    }
}
