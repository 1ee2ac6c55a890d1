//! The tables of sites: `[[site]]`, `[[site.route]]`, and what decides who is let in and how answers look.

use std::num::NonZero;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, Method};
use ipnet::IpNet;

use super::action::{Redirect, Respond, Rewrite, StaticFiles};
use super::key::{Value as _, table, words};
use super::look;
use super::message::{Condition, Host, Map, PageOrigin, Parameter, StatusSet};
use super::place::Placed;
use super::value::{ByteRate, ExistingFile, Name, Size, Text};
use crate::app::{Expected, Pattern, Predicate};

table! {
    /// What is served under some names.
    pub struct Site in "[[site]]", look look::site {
        /// The hosts: `"example.com"`, `"*.example.com"` (every name below it), `"*"` (all that no other site
        /// has). The most precise counts, wherever it stands.
        hosts: Placed<Vec<Placed<Host>>>,
        /// Changes of the fields of answers: names of `[headers.NAME]`.
        headers: Option<Placed<Vec<Placed<Name>>>>,
        /// Where requests are written down: the name of a `[log.access.NAME]`.
        access_log: Option<Placed<Name>>,
        /// How answers are compressed.
        compress: Box<Compress> = {},
        /// What is sent with errors: paths of this site, for a status, `4xx` or `5xx`. A page is read once,
        /// when the configuration is, and has to be answered with 200 then. Wherever `{status}`, `{title}`,
        /// `{reason}`, `{detail}` and `{id}` stand in it, they are what is known of the error; `{{status}}`
        /// is `{status}`. Who prefers JSON, by `Accept`, gets `application/problem+json` in its place, also
        /// for an error without a page; with an empty table that alone. What a handler answers stays.
        error_pages: Option<Placed<Map<StatusSet, Text>>>,
        /// Who may come in: the name of an `[auth.NAME]`.
        auth: Option<Placed<Name>>,
        /// The only networks that are let in; a client whose address nobody tells is in none of them.
        allow: Option<Placed<Vec<Placed<IpNet>>>>,
        /// Networks that are not let in; of two that fit, here and in `allow`, the smaller one counts.
        deny: Option<Placed<Vec<Placed<IpNet>>>>,
        /// How many requests there may be: names of `[rate.NAME]`; each counts. A request
        /// that one refuses, here or of the route, costs nothing at the others.
        rate: Option<Placed<Vec<Placed<Name>>>>,
        /// Which pages of other origins may read answers.
        cors: Option<Box<Cors>>,
        /// Has browsers come over TLS for so long, once they have.
        hsts: Option<Box<Hsts>>,
        /// Answers everything with 503.
        maintenance: Option<Box<Maintenance>>,
        /// Shows clients in `Server-Timing` how long accept, parse and handle took; the fourth stage has only
        /// begun then.
        server_timing: Placed<bool> = false,
        /// Requests at the same time; more are answered with 503.
        in_flight_max: Option<Placed<NonZero<u32>>>,
        /// The body of a request; without it, that of `[server.limits]`.
        body_limit: Option<Placed<Size>>,
        /// Redirects what no route fits.
        redirect: Option<Box<Redirect>>,
        /// Answers what no route fits.
        respond: Option<Box<Respond>>,
        /// The routes; the most specific one that fits counts, wherever it stands.
        route: Vec<Route>,
        later {
            "tls": "certificates from an authority on the web come in a later version; write [[tls.cert]]",
            "proxy": "the reverse proxy comes in a later version",
            "cache": "the cache of answers comes in a later version",
        }
    }
}

table! {
    /// What is done with some requests of a site: conditions, then one of `static`, `respond`, `redirect` and
    /// `rewrite`.
    pub struct Route in "[[site.route]]", look look::route {
        /// The path: `/about`, `/users/{id}`, `/files/{*path}`; the braces take one segment, or the rest.
        /// A `*` at an end of a segment and a `:` before it are refused: elsewhere they mean something.
        path: Placed<Pattern>,
        /// The methods; without them, all. GET also means HEAD.
        methods: Option<Placed<Vec<Placed<Method>>>>,
        /// Fields that the request has, by name: the value of the first line of this name, `true` (any value)
        /// or `false` (it has none).
        header: Option<Placed<Map<HeaderName, Condition>>>,
        /// Parameters of the query, by name: a value, `true` (any value) or `false` (there is none).
        query: Option<Placed<Map<Parameter, Condition>>>,
        /// The networks that the client is in one of.
        client: Option<Placed<Vec<Placed<IpNet>>>>,
        /// Answers with the files of a folder.
        files as "static": Option<Box<StaticFiles>>,
        /// Answers always the same.
        respond: Option<Box<Respond>>,
        /// Sends the client elsewhere.
        redirect: Option<Box<Redirect>>,
        /// Asks the routes of the site again, with another path.
        rewrite: Option<Box<Rewrite>>,
        /// Changes of the fields of answers, after those of the site: names of `[headers.NAME]`.
        headers: Option<Placed<Vec<Placed<Name>>>>,
        /// The field `Cache-Control` of answers that have none: of good ones, redirects and 304; of errors,
        /// too, if it says `no-store`, `no-cache` or `private`.
        cache_control: Option<Placed<HeaderValue>>,
        /// Which pages of other origins may read answers, instead of those of the site; an empty list for
        /// none.
        cors: Option<Box<Cors>>,
        /// Who may come in, instead of those that the site says: the name of an `[auth.NAME]`; an empty text
        /// for everybody.
        auth: Option<Placed<NameOrNone>>,
        /// The only networks that are let in, besides what the site says.
        allow: Option<Placed<Vec<Placed<IpNet>>>>,
        /// Networks that are not let in, besides what the site says.
        deny: Option<Placed<Vec<Placed<IpNet>>>>,
        /// How many requests there may be, besides what the site says: names of `[rate.NAME]`.
        rate: Option<Placed<Vec<Placed<Name>>>>,
        /// The body of a request: 413. Instead of what the site says.
        body_limit: Option<Placed<Size>>,
        /// How long to wait; what is not said here, `[server.timeouts]` say.
        timeouts: Option<Box<RouteTimeouts>>,
        /// How answers are compressed, instead of what the site says.
        compress: Option<Box<Compress>>,
        /// What is sent with errors, before what the site says.
        error_pages: Option<Placed<Map<StatusSet, Text>>>,
        /// Answers everything with 503, or `false`: does not, whatever the site says.
        maintenance: Option<Box<Maintenance>>,
        /// Requests at the same time; more are answered with 503.
        in_flight_max: Option<Placed<NonZero<u32>>>,
        /// Where requests are written down, instead of where the site says: the name of a
        /// `[log.access.NAME]`; an empty text for nowhere.
        access_log: Option<Placed<NameOrNone>>,
        later {
            "proxy": "the reverse proxy comes in a later version",
            "cache": "the cache of answers comes in a later version",
        }
    }
}

/// A name of something in this configuration, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameOrNone(pub Option<String>);

impl super::read::FromText for NameOrNone {
    const WHAT: &'static str = "a name";
    const EXAMPLE: &'static str = "main";

    fn of(text: &str, _: &std::path::Path) -> Result<Self, String> {
        Ok(Self(Some(text.to_owned()).filter(|text| !text.is_empty())))
    }

    fn text(&self) -> String {
        self.0.clone().unwrap_or_default()
    }
}

/// What a route does.
#[derive(Clone, Copy, Debug)]
pub enum Action<'r> {
    /// Answers with files.
    Static(&'r StaticFiles),
    /// Answers always the same.
    Respond(&'r Respond),
    /// Sends the client elsewhere.
    Redirect(&'r Redirect),
    /// Asks the routes again.
    Rewrite(&'r Rewrite),
}

impl Route {
    /// What it does. A configuration without errors has one for each route.
    pub fn action(&self) -> Option<Action<'_>> {
        let files = self.files.as_deref().map(Action::Static);
        let respond = self.respond.as_deref().map(Action::Respond);
        let redirect = self.redirect.as_deref().map(Action::Redirect);
        files.or(respond).or(redirect).or_else(|| self.rewrite.as_deref().map(Action::Rewrite))
    }

    /// How many conditions it has besides its path: of two routes with the same path that fit a request, the
    /// one with more answers.
    pub fn conditions(&self) -> usize {
        usize::from(self.methods.is_some()) + self.predicates().len()
    }

    /// Its conditions besides path and methods.
    pub(crate) fn predicates(&self) -> Vec<Predicate> {
        let fields = self.header.iter().flat_map(|map| &map.value.0);
        let fields =
            fields.map(|(name, condition)| Predicate::field(name.value.clone(), expected(&condition.value)));
        let parameters = self.query.iter().flat_map(|map| &map.value.0);
        let parameters = parameters
            .map(|(name, condition)| Predicate::parameter(&name.value.0, expected(&condition.value)));
        let networks = self.client.iter();
        let networks = networks.map(|list| Predicate::client(list.value.iter().map(|network| network.value)));
        fields.chain(parameters).chain(networks).collect()
    }

    /// Which requests of the site it is for, as a file would say it: of two routes no two say the same.
    pub(crate) fn chosen_by(&self) -> String {
        let conditions = [
            self.methods.as_ref().map(|methods| methods.value.show()),
            self.header.as_ref().map(|fields| fields.value.show()),
            self.query.as_ref().map(|parameters| parameters.value.show()),
            self.client.as_ref().map(|networks| networks.value.show()),
        ];
        [vec![self.path.value.show()], conditions.map(Option::unwrap_or_default).into()].concat().join("\n")
    }
}

fn expected(condition: &Condition) -> Expected {
    match condition {
        Condition::Is(value) => Expected::Is(value.as_str().into()),
        Condition::Present => Expected::Present,
        Condition::Absent => Expected::Absent,
    }
}

impl Site {
    /// Which requests it is for, as a file would say it.
    pub(crate) fn chosen_by(&self) -> String {
        self.hosts.value.show()
    }

    /// What it does where no route fits a request, if anything.
    pub fn action(&self) -> Option<Action<'_>> {
        let respond = self.respond.as_deref().map(Action::Respond);
        respond.or_else(|| self.redirect.as_deref().map(Action::Redirect))
    }
}

words! {
    /// A coding of content.
    pub enum Coding {
        /// Zstandard.
        Zstd = "zstd",
        /// Brotli.
        Br = "br",
        /// Gzip.
        Gzip = "gzip",
    }
}

table! {
    /// How the files of `static`, the content of `respond` and the pages for errors are compressed, of types
    /// that get smaller by it. What `respond` sends is compressed when the configuration is read; a file once
    /// for each of its versions, beside the requests: the first ones get it as it is, the later ones
    /// compressed; such a page, or one of what is in a folder, each time.
    pub struct Compress in "[compress]", short "codings" {
        /// The codings, the most welcome first; an empty list for none.
        codings: Placed<Vec<Placed<Coding>>> = ["br", "zstd", "gzip"],
        /// Smaller answers are left as they are.
        min: Placed<Size> = "1KiB",
    }
}

table! {
    /// Which pages of other origins may read answers.
    pub struct Cors in "[cors]", short "origins", look look::cors {
        /// The origins: `"https://app.example"`, `"https://*.example.com"` (every host below it), or `"*"` for
        /// all.
        origins: Placed<Vec<Placed<PageOrigin>>>,
        /// Also requests with cookies and passwords; not with `"*"`.
        credentials: Placed<bool> = false,
        /// The methods that pages may use.
        methods: Placed<Vec<Placed<Method>>> = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        /// The fields of answers that pages may read, besides those that they always may.
        expose_headers: Placed<Vec<Placed<HeaderName>>> = [],
        /// How long browsers may remember what they were told; they have limits of their own.
        max_age: Placed<Duration> = "2h",
    }
}

table! {
    /// `Strict-Transport-Security`. RFC 6797.
    pub struct Hsts in "[hsts]", short "max_age" {
        /// How long browsers remember it; `"0s"` takes it back.
        max_age: Placed<Duration>,
        /// Also for the names below this one.
        include_subdomains: Placed<bool> = false,
        /// May be put into the lists that browsers come with.
        preload: Placed<bool> = false,
    }
}

table! {
    /// Answers everything with 503, while somebody works.
    pub struct Maintenance in "[maintenance]", short "on" {
        /// Whether it is so.
        on: Placed<bool> = true,
        /// When clients should come again.
        retry_after: Option<Placed<Duration>>,
        /// What is sent: read once, when the configuration is; at most 16 MiB.
        file: Option<Placed<ExistingFile>>,
        /// Networks that are served all the same.
        except: Placed<Vec<Placed<IpNet>>> = [],
    }
}

table! {
    /// How long to wait in a route.
    pub struct RouteTimeouts in "[timeouts]", look look::timeouts {
        /// For the answer of a handler, and of those who are asked before it, once nothing more of the
        /// request is awaited: 504.
        handler: Option<Placed<Duration>>,
        /// For the next byte of a body: 408.
        body_idle: Option<Placed<Duration>>,
        /// The least rate of a body: 408.
        body_min_rate: Option<Placed<ByteRate>>,
        /// For a reader that takes nothing.
        write_stall: Option<Placed<Duration>>,
    }
}
