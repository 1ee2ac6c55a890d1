//! What has to do with each other, across tables: listeners and encryption, names, hosts.
//!
//! The tree is looked at for names alone: a table with a mistake in it has one all the same.

use std::collections::HashMap;

use ::http::header;

use super::look::CHANGES_NOTHING;
use super::node::{Entry, Node};
use super::place::{Origin, Placed};
use super::problem::Problem;
use super::read::{FromText, Reader, enumerated, nearest};
use super::server::{Listen, Proxy, ProxyProtocol, RequestIds, Server, Timeouts, Trust};
use super::site::{Route, Site};
use super::{AuthKind, FieldName, Headers, Host, Limits, LogTo, Name, Root, Size, fixed, routes, ties};
use crate::http::FIELDS_MAX;
use crate::net::ListenAddr;

/// The shortest request line is so long.
const HEAD_BYTES_MIN: u64 = 16;
/// Where nobody is trusted who would have to be.
const PROXIES: &str = "list their networks: `proxies` in [server.trust]";
const SOCKET_FILES: &str = "trust socket files: `\"unix:\"` in `proxies` of [server.trust]";
/// Offsets within a head have 16 bits.
const HEAD_BYTES_MAX: u64 = u16::MAX as u64;

/// Notes everything that is wrong between the tables of `root`, which was read from `tree`.
pub(super) fn check(root: &Root, tree: &Node, reader: &mut Reader<'_>) {
    limits(&root.server.limits, reader);
    timeouts(&root.server.timeouts, reader);
    listeners(root, reader);
    trust(&root.server, reader);
    encryption(root, tree, reader);
    let names = Names { tree, root };
    for site in &root.site {
        names.of_site(site, reader);
        routes::check(site, reader);
        fixed::check(site, &root.headers, reader);
        ties::check(site, reader);
    }
    let hosts = root.site.iter().flat_map(|site| &site.hosts.value);
    twice(hosts, |host| format!("the host `{}`", host.text()), reader);
    guards(root, reader);
    logs(root, reader);
}

fn limits(limits: &Limits, reader: &mut Reader<'_>) {
    let [line, head] = [&limits.request_line, &limits.headers];
    let is_sound = |size: &Placed<Size>| (HEAD_BYTES_MIN..=HEAD_BYTES_MAX).contains(&size.value.0);
    for size in [line, head].into_iter().filter(|size| !is_sound(size)) {
        let message = format!("a head has room for {HEAD_BYTES_MIN} to {HEAD_BYTES_MAX} bytes");
        reader.problems.push(Problem::at(&size.origin, message));
    }
    if line.value > head.value && is_sound(line) && is_sound(head) {
        let (origin, other) = match line.place() {
            Some(_) => (&line.origin, head),
            None => (&head.origin, line),
        };
        let problem = Problem::at(origin, "the first line has more room than the whole head");
        reader.problems.push(problem.other(other.place(), "the other one"));
    }
    if limits.header_count.get() as usize > FIELDS_MAX {
        let message = format!("a head has room for at most {FIELDS_MAX} fields");
        reader.problems.push(Problem::at(&limits.header_count.origin, message));
    }
}

fn timeouts(timeouts: &Timeouts, reader: &mut Reader<'_>) {
    let Timeouts { tls_handshake, header, handler, keepalive, body_idle, write_stall, linger, .. } = timeouts;
    // Whoever gives these no time closes each connection behind its answer, at once.
    let closing = [keepalive, linger].into_iter().filter(|time| !time.is_zero());
    let all = [tls_handshake, header, body_idle, write_stall].into_iter().chain(handler).chain(closing);
    all.for_each(|time| routes::timely(time, reader));
}

fn listeners(root: &Root, reader: &mut Reader<'_>) {
    // Port 0 is another one each time.
    let fixed = |listen: &&Listen| listen.addr.socket_addr().is_none_or(|address| address.port() != 0);
    let own = root.listen.iter().filter(fixed).map(|listen| &listen.addr);
    let all = root.server.admin.iter().chain(own);
    twice(all.clone(), |address| format!("the address `{}`", FromText::text(address)), reader);
    overlapping(&all.collect::<Vec<_>>(), reader);
    for listen in &root.listen {
        filled(&listen.protocols, "this listener speaks nothing", reader);
        twice(listen.protocols.iter(), |version| format!("the version `{}`", version.word()), reader);
        if listen.redirect_to_https.value && listen.only().is_some() {
            let message = "whoever is sent to https comes in either version";
            let problem = Problem::at(&listen.protocols.origin, message);
            reader.problems.push(problem.other(listen.redirect_to_https.place(), "sent from here"));
        }
        announcing(listen, &root.server.trust.proxies, reader);
        if listen.redirect_to_https.value && listen.tls.value {
            let problem = Problem::at(&listen.redirect_to_https.origin, "this listener is encrypted itself");
            reader.problems.push(problem.other(listen.tls.place(), "here"));
        }
    }
    let mut redirects = root.listen.iter().map(|listen| &listen.redirect_to_https);
    if let Some(first) = redirects.find(|redirects| redirects.value) {
        for other in redirects.filter(|redirects| redirects.value) {
            let problem = Problem::at(&other.origin, "one listener alone sends everybody to https");
            let problem = problem.other(first.place(), "this one does");
            reader.problems.push(problem.help("`addr = \":80\"` is every address of this machine"));
        }
    }
}

/// Whether somebody is believed who can come to `listen` with the PROXY protocol.
fn announcing(listen: &Listen, proxies: &[Placed<Proxy>], reader: &mut Reader<'_>) {
    let (here, help) = match &listen.addr.value {
        ListenAddr::Unix(_) => ("none of them comes through a socket file", SOCKET_FILES),
        _ => ("none of them comes from a network", PROXIES),
    };
    let comes = |proxy: &Placed<Proxy>| match &listen.addr.value {
        ListenAddr::Unix(_) => proxy.value == Proxy::Unix,
        ListenAddr::Descriptor(_) => true,
        ListenAddr::Tcp(_) | ListenAddr::Everywhere { .. } => proxy.value != Proxy::Unix,
    };
    if listen.proxy_protocol.value != ProxyProtocol::Off && !proxies.iter().any(comes) {
        let here = if proxies.is_empty() { "there are none" } else { here };
        let message = format!("the PROXY protocol is believed of trusted proxies alone, and {here}");
        reader.problems.push(Problem::at(&listen.proxy_protocol.origin, message).help(help));
    }
}

fn trust(server: &Server, reader: &mut Reader<'_>) {
    let Trust { proxies, header, .. } = &*server.trust;
    let name = |proxy: &Proxy| match proxy {
        Proxy::Network(network) => format!("the network `{network}`"),
        Proxy::Unix => format!("`{proxy}`"),
    };
    twice(proxies.iter(), name, reader);
    if !proxies.is_empty() {
        return;
    }
    let is_said = |origin: &Origin| !matches!(origin, Origin::Default);
    if is_said(&header.origin) && !is_said(&proxies.origin) {
        reader.problems.push(Problem::at(&header.origin, "`header` says nothing without `proxies`"));
    }
    if server.request_ids.value == RequestIds::Trusted {
        let message = "ids of trusted proxies are taken over, and there are none";
        reader.problems.push(Problem::at(&server.request_ids.origin, message).help(PROXIES));
    }
}

/// Notes an address that another one has in it: the system gives a port to one of them.
fn overlapping(addresses: &[&Placed<ListenAddr>], reader: &mut Reader<'_>) {
    let has = |wide: &ListenAddr, other: &ListenAddr| match (wide, other) {
        (ListenAddr::Everywhere { port }, ListenAddr::Tcp(other)) => *port == other.port(),
        // One of IPv6 alone leaves IPv4 to others.
        (ListenAddr::Tcp(wide), ListenAddr::Tcp(other)) => {
            let is_same_kind = wide.port() == other.port() && wide.is_ipv4() == other.is_ipv4();
            is_same_kind && wide.ip().is_unspecified() && !other.ip().is_unspecified()
        }
        _ => false,
    };
    for address in addresses {
        let Some(wide) = addresses.iter().find(|wide| has(wide, address)) else { continue };
        let [all, one] = [&wide.value, &address.value].map(FromText::text);
        let problem = Problem::at(&address.origin, format!("`{all}` has `{one}` in it"));
        let problem = problem.other(wide.place(), "this one");
        reader.problems.push(problem.help("leave one of them out: there is one socket for both"));
    }
}

fn encryption(root: &Root, tree: &Node, reader: &mut Reader<'_>) {
    let encrypted = root.listen.iter().find(|listen| listen.tls.value);
    if let Some(listen) = encrypted {
        if cfg!(not(feature = "tls")) {
            reader.problems.push(Problem::at(&listen.tls.origin, "this kolk was built without TLS"));
        }
        let is_told = tree.find("tls").is_some_and(|entry| entry.node.find("cert").is_some());
        if !is_told && root.tls.cert.is_empty() {
            let problem = Problem::at(&listen.tls.origin, "there is no certificate for this listener");
            reader.problems.push(problem.help("add a [[tls.cert]] with `cert` and `key`"));
        }
    } else {
        let redirects = root.listen.iter().map(|listen| &listen.redirect_to_https);
        let redirects = redirects.filter(|redirects| redirects.value).map(|redirects| &redirects.origin);
        // A proxy may speak TLS, and tell so.
        let is_behind = !root.server.trust.proxies.is_empty();
        let hsts = root.site.iter().filter_map(|site| site.hsts.as_ref()).filter(|_| !is_behind);
        let hsts = hsts.map(|hsts| &hsts.origin);
        let certificates = root.tls.cert.iter().map(|cert| &cert.origin);
        let authorities = root.tls.client_ca.iter().map(|file| &file.origin);
        for origin in certificates.chain(authorities).chain(redirects).chain(hsts) {
            let problem = Problem::at(origin, "this says nothing: no listener is encrypted");
            reader.problems.push(problem.help("add `tls = true` to a [[listen]]"));
        }
    }
    if let Some(auth) = root.tls.client_auth.as_ref().filter(|_| root.tls.client_ca.is_none()) {
        let problem = Problem::at(&auth.origin, "`client_auth` says nothing without `client_ca`");
        reader.problems.push(problem);
    }
    let hosts = root.tls.cert.iter().filter_map(|cert| cert.hosts.as_ref());
    for list in hosts.clone() {
        filled(list, "this certificate is for no host", reader);
    }
    for any in hosts.clone().flat_map(|list| &list.value).filter(|host| host.value == Host::Any) {
        let problem = Problem::at(&any.origin, "a certificate names its hosts");
        reader.problems.push(problem.help("the first [[tls.cert]] is for whoever asks for no known name"));
    }
    let named = hosts.flat_map(|list| &list.value).filter(|host| host.value != Host::Any);
    twice(named, |host| format!("a certificate for `{}`", host.text()), reader);
}

/// What `[auth.NAME]` and `[headers.NAME]` say with other tables, and within themselves.
fn guards(root: &Root, reader: &mut Reader<'_>) {
    for auth in root.auth.values() {
        if auth.kind.value == AuthKind::Mtls && root.tls.client_ca.is_none() {
            let problem = Problem::at(&auth.kind.origin, "clients are not asked for certificates");
            reader.problems.push(problem.help("say who signs them: `client_ca` in [tls]"));
        }
        if let Some(subjects) = &auth.subjects {
            filled(subjects, "nobody passes an empty list", reader);
        }
        if let Some(audience) = &auth.audience {
            filled(audience, "nobody passes an empty list", reader);
        }
        let Some(algorithms) = &auth.algorithms else { continue };
        filled(algorithms, "nobody passes an empty list", reader);
        twice(algorithms.iter(), |algorithm| format!("the algorithm `{}`", algorithm.word()), reader);
        let Some(secret) = &auth.secret else { continue };
        for algorithm in algorithms.iter().filter(|algorithm| !algorithm.is_symmetric()) {
            let message = format!("`{}` is checked with a public key, not with a secret", algorithm.word());
            let problem = Problem::at(&algorithm.origin, message).other(secret.place(), "the secret");
            reader.problems.push(problem.help("say `jwks`, or HS256, HS384, HS512"));
        }
    }
    for headers in root.headers.values() {
        changes(headers, reader);
        fields_of_others(headers, root, reader);
        let removed = headers.remove.iter().flat_map(|list| &list.value);
        let given: Vec<_> = headers.given().collect();
        for name in removed {
            if let Some(first) = given.iter().find(|known| known.value == name.value) {
                let message = format!("`{}` is both given and removed", name.value.text());
                let problem = Problem::at(&name.origin, message);
                reader.problems.push(problem.other(first.place(), "given here"));
            }
        }
    }
}

/// Notes what a `[headers.NAME]` says and does not do.
fn changes(headers: &Headers, reader: &mut Reader<'_>) {
    for (_, values) in headers.add.iter().flat_map(|map| &map.0) {
        filled(values, CHANGES_NOTHING, reader);
    }
    if let Some(names) = &headers.remove {
        filled(names, CHANGES_NOTHING, reader);
        twice(names.iter(), |name| format!("the field `{}`", name.text()), reader);
    }
}

/// Notes the fields that another key decides on, whatever is said here.
fn fields_of_others(headers: &Headers, root: &Root, reader: &mut Reader<'_>) {
    let removed = headers.remove.iter().flat_map(|list| &list.value);
    // RFC 6797 §7.2: in the clear it must not be said.
    for name in headers.given().filter(|name| name.0 == header::STRICT_TRANSPORT_SECURITY) {
        let problem = Problem::at(&name.origin, "`strict-transport-security` is not said in the clear");
        reader.problems.push(problem.help("write `hsts` in the site, which says it over TLS alone"));
    }
    let ids = &root.server.request_ids;
    let is_id = |name: &FieldName| matches!(name.0.as_str(), "x-request-id" | "traceparent");
    for name in headers.given().chain(removed).filter(|name| is_id(name) && ids.value != RequestIds::Off) {
        let message = format!("`{}` is what the request is called in the log", name.value.text());
        let problem = Problem::at(&name.origin, message).other(ids.place(), "it has an id here");
        reader.problems.push(problem.help("`request_ids = \"off\"` in [server], and none is given"));
    }
}

/// Two logs in one file would tear each other's lines when they are opened anew.
fn logs(root: &Root, reader: &mut Reader<'_>) {
    let is_file = |to: &&Placed<LogTo>| matches!(to.value, LogTo::File(_));
    let access = root.log.access.values().map(|log| &log.to).filter(is_file);
    // What flags say instead of the file is one place for all of them, which is opened once.
    let given = access.clone().find(|to| to.place().is_none());
    let of_the_file = access.filter(|to| to.place().is_some());
    let mut files: Vec<_> =
        of_the_file.chain(given).chain(Some(&root.log.error.to).filter(is_file)).collect();
    files.sort_by_key(|to| to.place().map(|place| place.span().start));
    twice(files.into_iter(), |to| format!("the file `{}`", to.text()), reader);
    for log in root.log.access.values() {
        twice(log.redact.iter(), |what| format!("`{}`", what.text()), reader);
    }
}

/// The names that tables have.
struct Names<'n> {
    tree: &'n Node,
    /// Has those of tables that are misspelt, too.
    root: &'n Root,
}

impl Names<'_> {
    fn of_site(&self, site: &Site, reader: &mut Reader<'_>) {
        filled(&site.hosts, "this site has no host", reader);
        self.all("headers", site.headers.as_ref(), reader);
        self.all("rate", site.rate.as_ref(), reader);
        self.one("auth", site.auth.as_ref(), reader);
        self.one("log.access", site.access_log.as_ref(), reader);
        for route in &site.route {
            self.of_route(route, reader);
        }
    }

    fn of_route(&self, route: &Route, reader: &mut Reader<'_>) {
        self.all("headers", route.headers.as_ref(), reader);
        self.all("rate", route.rate.as_ref(), reader);
        for (table, name) in [("auth", &route.auth), ("log.access", &route.access_log)] {
            if let Some((text, origin)) =
                name.as_ref().and_then(|name| Some((name.0.as_ref()?, &name.origin)))
            {
                self.look_up(table, text, origin, reader);
            }
        }
    }

    fn all(&self, table: &str, names: Option<&Placed<Vec<Placed<Name>>>>, reader: &mut Reader<'_>) {
        let names = names.map(|list| &list.value[..]).unwrap_or_default();
        names.iter().for_each(|name| self.look_up(table, &name.0, &name.origin, reader));
        twice(names.iter(), |name| format!("`{}`", name.0), reader);
    }

    fn one(&self, table: &str, name: Option<&Placed<Name>>, reader: &mut Reader<'_>) {
        if let Some(name) = name {
            self.look_up(table, &name.0, &name.origin, reader);
        }
    }

    /// Notes that no table is called so.
    fn look_up(&self, table: &str, name: &str, origin: &Origin, reader: &mut Reader<'_>) {
        let mut node = Some(self.tree);
        for part in table.split('.') {
            node = node.and_then(|node| node.find(part)).map(|entry| &entry.node);
        }
        let entries: &[Entry] = node.map(Node::entries).unwrap_or_default();
        let known: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let is_read = match table {
            "rate" => self.root.rate.contains_key(name),
            "auth" => self.root.auth.contains_key(name),
            "headers" => self.root.headers.contains_key(name),
            _ => self.root.log.access.contains_key(name),
        };
        if is_read || known.contains(&name) {
            return;
        }
        let problem = Problem::at(origin, format!("there is no [{table}.{}]", super::read::shortened(name)));
        if table == "auth" && ["none", "off", "no", "false"].contains(&name) {
            let help = "where everybody may come in, a route says `auth = \"\"`, and a site says nothing";
            reader.problems.push(problem.help(help));
            return;
        }
        reader.problems.push(match nearest(name, known.iter().copied()) {
            Some(near) => problem.label(format!("did you mean `{near}`?")),
            None if known.is_empty() => problem.help(format!("there is no [{table}.NAME] at all")),
            None => problem.help(format!("there is {}", enumerated(&known))),
        });
    }
}

/// Notes that a list is empty.
pub(super) fn filled<T>(list: &Placed<Vec<T>>, message: &str, reader: &mut Reader<'_>) {
    if list.is_empty() {
        reader.problems.push(Problem::at(&list.origin, message));
    }
}

/// Notes what is there twice, by its name.
pub(super) fn twice<'v, T: 'v>(
    values: impl Iterator<Item = &'v Placed<T>>,
    name: impl Fn(&T) -> String,
    reader: &mut Reader<'_>,
) {
    let mut known: HashMap<String, &Placed<T>> = HashMap::new();
    for value in values {
        let name = name(&value.value);
        match known.get(&name) {
            Some(first) => {
                let problem = Problem::at(&value.origin, format!("{name} is there twice"));
                reader.problems.push(problem.other(first.place(), "here, too"));
            }
            None => drop(known.insert(name, value)),
        }
    }
}
