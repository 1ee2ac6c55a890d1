//! [`Predicate`]: what must hold of a request, besides its path and method, for a route to answer it.
//!
//! | predicate | holds if |
//! | --- | --- |
//! | `header` | the first field line of this name has this value, or there is one, or none |
//! | `query` | the same of the first pair of this name in the query, decoded |
//! | `client` | the client's address is within one of these networks |
//!
//! Of two routes with as many conditions no two may fit one request: see [`Predicate::excludes`].

use std::fmt;
use std::net::IpAddr;

use ::http::{HeaderName, header};
use ipnet::IpNet;

use super::handler::{Handler, left_to_inner};
use super::trust::Asker;
use crate::base::canonical;
use crate::http::{Head, query};

/// What must hold of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Predicate(Kind);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Header(HeaderName, Expected),
    Query(Box<str>, Expected),
    Client(Box<[IpNet]>),
}

/// What is expected of a field, or of a pair in the query.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// It is there, with this value.
    Is(Box<str>),
    /// It is there.
    Present,
    /// It is not there.
    Absent,
}

/// A text that is no name of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError(Box<str>);

impl Predicate {
    /// The first field line `name` has exactly this value.
    ///
    /// # Errors
    /// If `name` is not the name of a field.
    pub fn header(name: &str, value: &str) -> Result<Self, NameError> {
        let name = name.parse().map_err(|_| NameError(name.into()))?;
        Ok(Self::field(name, Expected::Is(value.into())))
    }

    /// The first field line `name` is as expected.
    pub const fn field(name: HeaderName, expected: Expected) -> Self {
        Self(Kind::Header(name, expected))
    }

    /// The first pair `name=…` of the query has exactly this value when both are decoded.
    pub fn query(name: &str, value: &str) -> Self {
        Self::parameter(name, Expected::Is(value.into()))
    }

    /// The first pair `name=…` of the query is as expected.
    pub fn parameter(name: &str, expected: Expected) -> Self {
        Self(Kind::Query(name.into(), expected))
    }

    /// The client's address is within one of these networks. No address is within none: that of a client
    /// behind a socket of the file system, or one that a proxy hides.
    pub fn client(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self(Kind::Client(networks.into_iter().map(canonical).collect()))
    }

    /// Whether it holds of the request with this head, from this client.
    pub(super) fn holds(&self, head: &Head<'_>, asker: Asker<'_>) -> bool {
        match &self.0 {
            Kind::Header(name, expected) => {
                let found = head.field(name.as_str());
                match expected {
                    Expected::Is(value) => found.is_some_and(|found| found == value.as_bytes()),
                    Expected::Present => found.is_some(),
                    Expected::Absent => found.is_none(),
                }
            }
            Kind::Query(name, expected) => {
                let found = head.target().query.and_then(|query| query::value_of(query, name));
                match expected {
                    Expected::Is(value) => found.is_some_and(|found| found == **value),
                    Expected::Present => found.is_some(),
                    Expected::Absent => found.is_none(),
                }
            }
            Kind::Client(networks) => {
                asker.told(head).known().is_some_and(|address| contains(networks, address))
            }
        }
    }

    /// Whether it may hold of the request that a preflight with this head announces. Of its fields only the
    /// names are known, and of them only those that a page may not send unasked: the Fetch standard, §4.8.
    pub(super) fn may_hold(&self, head: &Head<'_>, asker: Asker<'_>) -> bool {
        match &self.0 {
            Kind::Header(name, expected) if announces(head, name) => *expected != Expected::Absent,
            _ => self.holds(head, asker),
        }
    }

    /// Whether both can never hold of one request.
    pub fn excludes(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::Query(name, one), Kind::Query(own, another)) => name == own && one.excludes(another),
            (Kind::Header(name, one), Kind::Header(own, another)) => name == own && one.excludes(another),
            (Kind::Client(networks), Kind::Client(others)) => !networks
                .iter()
                .any(|network| others.iter().any(|other| network.contains(other) || other.contains(network))),
            _ => false,
        }
    }
}

impl Expected {
    /// Whether nothing is as both expect it.
    fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Is(value), Self::Is(other)) => value != other,
            (one, other) => (*one == Self::Absent) != (*other == Self::Absent),
        }
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Header(name, Expected::Is(value)) => write!(f, "header {name}: {value}"),
            Kind::Header(name, Expected::Present) => write!(f, "header {name}"),
            Kind::Header(name, Expected::Absent) => write!(f, "no header {name}"),
            Kind::Query(name, Expected::Is(value)) => write!(f, "query {name}={value}"),
            Kind::Query(name, Expected::Present) => write!(f, "query {name}"),
            Kind::Query(name, Expected::Absent) => write!(f, "no query {name}"),
            Kind::Client(networks) => {
                f.write_str("client in")?;
                networks.iter().try_for_each(|network| write!(f, " {network}"))
            }
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not the name of a field: letters, digits and hyphens", self.0)
    }
}

impl std::error::Error for NameError {}

/// Whether `address` is within one of `networks`. An IPv4 address in IPv6 is an IPv4 address.
pub(super) fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// Whether a preflight with this head announces the field `name`.
fn announces(head: &Head<'_>, name: &HeaderName) -> bool {
    let lists = head.values(header::ACCESS_CONTROL_REQUEST_HEADERS.as_str());
    let mut names = lists.flat_map(|list| list.split(|byte| *byte == b','));
    names.any(|listed| listed.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
}

/// Whether no request meets all of both.
pub(crate) fn are_apart(some: &[Predicate], others: &[Predicate]) -> bool {
    some.iter().any(|one| others.iter().any(|other| one.excludes(other)))
}

/// A handler for some requests only: what [`HandlerExt::when`](super::HandlerExt::when) makes.
#[derive(Debug)]
pub struct When<H> {
    inner: H,
    predicate: Predicate,
}

impl<H> When<H> {
    pub(super) const fn new(inner: H, predicate: Predicate) -> Self {
        Self { inner, predicate }
    }
}

impl<H: Handler> Handler for When<H> {
    left_to_inner!(handle rule fixed layers rewrite place explain);

    fn predicates(&self) -> Vec<Predicate> {
        let mut predicates = self.inner.predicates();
        predicates.push(self.predicate.clone());
        predicates
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{App, HandlerExt, Request};

    fn header(value: &str) -> Predicate {
        Predicate::header("X-Ring", value).unwrap()
    }

    fn named(name: &'static str) -> impl Handler {
        move |_: &Request<'_>| name
    }

    fn get(app: &App, target: &str, ring: Option<&str>) -> String {
        let request = ::http::Request::get(target);
        let request = ring.into_iter().fold(request, |request, ring| request.header("x-ring", ring));
        String::from_utf8(app.oneshot(request.body("").unwrap()).into_body().to_vec()).unwrap()
    }

    #[test]
    fn the_route_with_the_most_predicates_that_hold_answers_in_any_order() {
        let add = |app: App, which: usize| match which {
            0 => app.get("/", named("plain")),
            1 => app.get("/", named("ring").when(header("a"))),
            2 => app.get("/", named("both").when(header("a")).when(Predicate::query("q", "1 2"))),
            3 => {
                app.any("/", named("any").when(Predicate::query("q", "1 2")).when(Predicate::query("r", "")))
            }
            _ => {
                let no_query = Predicate::parameter("q", Expected::Absent);
                app.any("/", named("more").when(header("c")).when(no_query))
            }
        };
        for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 0, 3, 1]] {
            let app = order.into_iter().fold(App::new(), add);
            for (target, ring, answer) in [
                ("/", None, "plain"),
                ("/", Some("b"), "plain"),
                ("/", Some("a"), "ring"),
                ("/?q=1%202&x", Some("a"), "both"),
                ("/?x&q=1+2", Some("a"), "both"),
                ("/?q=1", Some("a"), "ring"),
                // The number of conditions counts, of which the method is one.
                ("/?q=1+2&r", None, "any"),
                ("/?r", Some("c"), "more"),
                ("/?r", Some("a"), "ring"),
            ] {
                assert_eq!(get(&app, target, ring), answer, "{target} {ring:?} {order:?}");
            }
            let post = ::http::Request::post("/?q=1+2&r").body("").unwrap();
            assert_eq!(app.oneshot(post).body(), "any");
        }
    }

    #[test]
    fn what_is_there_or_is_not() {
        let ring = |expected| Predicate::field(HeaderName::from_static("x-ring"), expected);
        let q = |expected| Predicate::parameter("q", expected);
        let app = App::new()
            .get("/", named("ring").when(ring(Expected::Present)))
            .get("/", named("none").when(ring(Expected::Absent)))
            .get("/q", named("q").when(q(Expected::Present)))
            .get("/q", named("none").when(q(Expected::Absent)));
        for (target, ring, answer) in [
            ("/", Some("any"), "ring"),
            ("/", None, "none"),
            ("/q?q", None, "q"),
            ("/q?a=q", None, "none"),
            ("/q", None, "none"),
        ] {
            assert_eq!(get(&app, target, ring), answer, "{target} {ring:?}");
        }
    }

    #[test]
    fn of_two_field_lines_the_first_one_counts() {
        let app = App::new().get("/", named("a").when(header("a"))).get("/", named("b").when(header("b")));
        let get = |rings: [&str; 2]| {
            let request = ::http::Request::get("/");
            let request = rings.into_iter().fold(request, |request, ring| request.header("x-ring", ring));
            app.oneshot(request.body("").unwrap())
        };
        assert_eq!(get(["a", "b"]).body(), "a");
        assert_eq!(get(["b", "a"]).body(), "b");
        assert_eq!(get(["c", "a"]).status(), 404);
    }

    #[test]
    fn where_none_holds_there_is_nothing() {
        let app = App::new().get("/", named("a").when(header("a"))).post("/{*rest}", named("rest"));
        assert!(get(&app, "/", None).contains("route.predicate"));
        let delete = ::http::Request::delete("/").header("x-ring", "a").body("").unwrap();
        assert_eq!(app.oneshot(delete).status(), 405);
        let head = ::http::Request::head("/").header("x-ring", "a").body("").unwrap();
        assert_eq!(app.oneshot(head).status(), 200);
    }

    #[test]
    fn what_may_both_hold_is_a_tie() {
        let networks = |list: &[&str]| Predicate::client(list.iter().map(|text| text.parse().unwrap()));
        let query = |value| Predicate::query("q", value);
        let field = |expected| Predicate::field(HeaderName::from_static("x-ring"), expected);
        for (one, other, is_tie) in [
            (header("a"), header("a"), true),
            (header("a"), header("b"), false),
            (query("a"), query("b"), false),
            (query("a"), query("a"), true),
            (query("a"), Predicate::query("r", "a"), true),
            (header("a"), query("a"), true),
            (header("a"), field(Expected::Present), true),
            (header("a"), field(Expected::Absent), false),
            (query("a"), Predicate::parameter("q", Expected::Absent), false),
            (
                Predicate::parameter("q", Expected::Present),
                Predicate::parameter("q", Expected::Absent),
                false,
            ),
            (networks(&["10.0.0.0/8"]), networks(&["192.168.0.0/16", "fd00::/8"]), false),
            (networks(&["10.0.0.0/8"]), networks(&["fd00::/8", "10.1.0.0/16"]), true),
        ] {
            let app = App::new().get("/", named("one").when(one.clone()));
            let added = app.try_route(::http::Method::GET, "/", named("other").when(other.clone()));
            assert_eq!(added.is_err(), is_tie, "{one} and {other}");
        }
    }

    #[test]
    fn an_address_of_either_family_is_found_in_its_network() {
        let networks: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap()).into();
        for (address, is_within) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("fd12::1", true),
            ("11.0.0.1", false),
            ("::ffff:11.0.0.1", false),
            ("fe80::1", false),
        ] {
            assert_eq!(contains(&networks, address.parse().unwrap()), is_within, "{address}");
        }
    }
}
