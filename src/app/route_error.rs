//! [`RouteError`]: why a route, or a site, cannot be added to an app.

use std::error::Error;
use std::fmt;

use super::hosts::HostError;
use super::pattern::PatternError;

/// A route that cannot be added.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteError {
    /// The pattern is malformed.
    Pattern(PatternError),
    /// Two patterns match the same paths, for the same method.
    Conflict {
        /// The method, or `any method`.
        method: Box<str>,
        /// The pattern that was to be added.
        pattern: Box<str>,
        /// The pattern that is there.
        other: Box<str>,
    },
    /// CONNECT and TRACE are not routed.
    Method(::http::Method),
    /// There can be one fallback, and it belongs to the outermost app.
    Fallback,
    /// A host is malformed, or has a site already.
    Host(HostError),
    /// Sites belong to the outermost app, which can have 65,535.
    Sites,
    /// The route of this pattern rewrites, and has layers, which would not be asked.
    Rewrite(Box<str>),
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(error) => error.fmt(f),
            Self::Conflict { method, pattern, other } if pattern == other => {
                write!(f, "the route {method} `{pattern}` is there already")
            }
            Self::Conflict { method, pattern, other } => {
                write!(f, "the routes {method} `{pattern}` and {method} `{other}` match the same paths")
            }
            Self::Method(method) => write!(f, "{method} cannot be routed"),
            Self::Fallback => f.write_str("there can be one fallback, and it belongs to the outermost app"),
            Self::Host(error) => error.fmt(f),
            Self::Sites => f.write_str("sites belong to the outermost app, which can have 65,535"),
            Self::Rewrite(pattern) => write!(
                f,
                "the route `{pattern}` rewrites: its layers would not be asked; put them around what answers"
            ),
        }
    }
}

impl Error for RouteError {}

impl From<HostError> for RouteError {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

impl From<PatternError> for RouteError {
    fn from(error: PatternError) -> Self {
        Self::Pattern(error)
    }
}
