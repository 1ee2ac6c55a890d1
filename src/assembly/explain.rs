//! What becomes of a request under a configuration, and which of its lines say so.
//!
//! ```text
//!  URL ─► the listener that it leads to ─► the parser, with the limits of the file ─► App::explain
//!               accept                            parse                            handle, respond
//! ```
//! The listener is chosen by scheme and port, as a client would; the parser and the app are those that serve.
//! Nothing is bound, and nobody is asked but them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ::http::request::Parts;
use ::http::uri::{Authority, PathAndQuery, Scheme};
use ::http::{Request, header};

use crate::app::{Asker, Explanation, Somebody, Stage, Step, Visitor};
use crate::base::Certificate;
use crate::config::{
    ClientCertificate, Configuration, Errors, Listen, Origin, Protocol, ProxyProtocol, TrustHeader,
};
use crate::http::Reason;
use crate::net::ListenAddr;
use crate::server::{HTTPS_PORT, HttpsPort, to_https};

#[cfg(feature = "tls")]
use super::finish;
use super::line;
use super::log::Logs;
#[cfg(feature = "tls")]
use super::server::certificates;
use super::server::{ADDRESS, limits, server_name, trust};

impl Configuration {
    /// What would become of a request of `client` with this URL, method and these fields, and which lines of
    /// the files say so: listener, limits, site, route and the routes that lost, layers, the answer.
    ///
    /// The size of a body is what `Content-Length` says. Without a scheme and a host, `localhost` is asked in
    /// the clear. A URL whose port nobody listens on is taken to come through the first listener that speaks
    /// its scheme, as through a balancer. The connection is for the host of the URL, whatever `Host` says;
    /// the client speaks HTTP/1.1 and shows no certificate, and rates begin whole.
    ///
    /// ```
    /// use kolk::{Configuration, StatusCode};
    ///
    /// let text = "[[site]]\nhosts = \"*\"\nredirect = \"https://example.com{uri}\"\n";
    /// let configuration = Configuration::parse(text, "kolk.toml")?;
    /// let request = http::Request::get("http://example.org:8080/a").body(()).unwrap();
    /// let explanation = configuration.explain(request, "192.0.2.7".parse().unwrap())?;
    /// assert_eq!(explanation.status(), Some(StatusCode::FOUND));
    /// let action = explanation.steps().iter().find(|step| step.topic() == "action").unwrap();
    /// assert_eq!(action.text(), "redirect with 302 to https://example.com/a");
    /// assert_eq!(action.place(), Some("kolk.toml:3"));
    /// # Ok::<(), kolk::Errors>(())
    /// ```
    ///
    /// # Errors
    /// What only shows when it is built.
    ///
    /// # Panics
    /// If an answer takes longer than 30 seconds.
    pub fn explain(&self, request: Request<()>, client: IpAddr) -> Result<Explanation, Errors> {
        self.explain_to(request, client, None)
    }

    /// The same for a client with this certificate, which is taken to be its own and of an authority that is
    /// believed: [`Certificate::unsigned`] will do.
    ///
    /// # Errors
    /// What only shows when it is built.
    ///
    /// # Panics
    /// If an answer takes longer than 30 seconds.
    pub fn explain_to(
        &self,
        request: Request<()>,
        client: IpAddr,
        certificate: Option<Certificate>,
    ) -> Result<Explanation, Errors> {
        let app = self.app()?;
        let (parts, ()) = request.into_parts();
        let is_encrypted = parts.uri.scheme() == Some(&Scheme::HTTPS);
        let question = format!("{} {} from {client}", parts.method, parts.uri);
        let mut steps = Vec::new();
        let Ok((door, certificate)) = enter(self, &parts, certificate, &mut steps) else {
            return Ok(Explanation::unanswered(question).behind(steps));
        };
        let refusal = match door {
            Door::Refuses(reason) => Some(reason),
            Door::Redirects | Door::Opens => parsed(self, &parts, &mut steps),
        };
        let misdirected = if is_encrypted && refusal.is_none() { misdirected(self, &parts)? } else { None };
        let trust = trust(self, &mut Vec::new());
        let somebody = Somebody { address: client, is_encrypted };
        let client = Client { somebody, certificate, is_astray: misdirected.is_some() };
        let asker = Asker { peer: &client, trust: trust.as_ref() };
        let request = Request::from_parts(parts, "");
        let explanation = match (refusal, door) {
            (Some(reason), _) => app.explain_unread(question, reason, asker),
            (None, Door::Redirects) => {
                let elsewhere = to_https(&self.https_port(), app.request_ids());
                elsewhere.explain_to(request, asker).before(Logs::of(self).first(self))
            }
            (None, _) => app.explain_to(request, asker),
        };
        if explanation.reason() == Some(Reason::Misdirected) {
            steps.extend(misdirected);
        }
        let name = &self.server.server_name;
        Ok(explanation.behind(steps).served_as(server_name(self), &line([&name.origin])))
    }

    /// Where whoever asks in the clear is sent to.
    fn https_port(&self) -> Arc<HttpsPort> {
        let encrypted = self.listen.iter().filter(|listen| listen.tls.value);
        let port = encrypted.filter_map(|listen| port_of(&listen.addr.value)).next();
        HttpsPort::new(port.or(Some(HTTPS_PORT)))
    }
}

/// Who asks.
struct Client {
    somebody: Somebody,
    certificate: Option<Arc<Certificate>>,
    /// The connection is for another host than the request.
    is_astray: bool,
}

impl Visitor for Client {
    fn address(&self) -> Option<SocketAddr> {
        self.somebody.address()
    }

    fn means(&self, _: &str) -> bool {
        !self.is_astray
    }

    fn is_encrypted(&self) -> bool {
        self.somebody.is_encrypted()
    }

    fn certificate(&self) -> Option<Arc<Certificate>> {
        self.certificate.clone()
    }
}

/// What a listener does with a client.
#[derive(Clone, Copy)]
enum Door {
    /// It speaks otherwise.
    Refuses(Reason),
    /// It sends everybody to https.
    Redirects,
    Opens,
}

/// There is no connection.
struct NoAnswer;

/// Who hears a client with this URL, and the certificate that it shows there.
fn enter(
    configuration: &Configuration,
    parts: &Parts,
    certificate: Option<Certificate>,
    steps: &mut Vec<Step>,
) -> Result<(Door, Option<Arc<Certificate>>), NoAnswer> {
    let is_encrypted = parts.uri.scheme() == Some(&Scheme::HTTPS);
    let door = listener(configuration, parts, is_encrypted, steps)?;
    let shown = match door {
        Door::Refuses(_) => None,
        Door::Redirects | Door::Opens => shown(configuration, certificate, is_encrypted, steps)?,
    };
    Ok((door, shown.map(Arc::new)))
}

/// Who hears a client with this URL.
fn listener(
    configuration: &Configuration,
    parts: &Parts,
    is_encrypted: bool,
    steps: &mut Vec<Step>,
) -> Result<Door, NoAnswer> {
    let port = parts.uri.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
    let host = parts.uri.host().unwrap_or_default();
    let host: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    let hears =
        |listen: &&Listen| port_of(&listen.addr.value) == Some(port) && is_at(&listen.addr.value, host);
    let speaks = |listen: &&Listen| listen.tls.value == is_encrypted;
    let serves = |listen: &&Listen| speaks(listen) && !listen.redirect_to_https.value;
    let by_port = configuration.listen.iter().find(hears);
    let chosen = by_port.or_else(|| configuration.listen.iter().find(serves));
    let chosen = chosen.or_else(|| configuration.listen.iter().find(speaks));
    // What a handshake begins with is no request.
    let refused = Door::Refuses(if is_encrypted { Reason::FirstByte } else { Reason::PlainHttp });
    let Some(chosen) = chosen else {
        let is_there = configuration.listen.is_empty() && (!is_encrypted || port == ADDRESS.port());
        if is_there {
            steps.push(told("listener", format!("http://{ADDRESS}"), &Origin::Default));
            return Ok(if is_encrypted { refused } else { Door::Opens });
        }
        let what = if is_encrypted { "with TLS" } else { "in the clear" };
        steps.push(Step::new(Stage::Accept, "listener", format!("none: nobody listens {what}")));
        return Err(NoAnswer);
    };
    let remark = if by_port.is_some() { "" } else { ", though the URL leads elsewhere" };
    steps.push(told("listener", described(chosen) + remark, &chosen.addr.origin));
    for other in configuration.listen.iter().filter(|other| !std::ptr::eq(*other, chosen)) {
        let why = match port_of(&other.addr.value) {
            None => "no URL leads there",
            Some(own) if own != port => "it has another port",
            Some(_) => "it has another address",
        };
        steps.push(told("other listener", format!("{}: {why}", described(other)), &other.addr.origin));
    }
    Ok(match chosen {
        _ if !speaks(&chosen) => refused,
        _ if chosen.redirect_to_https.value => Door::Redirects,
        _ => Door::Opens,
    })
}

/// The certificate of the client, if somebody asks for one.
fn shown(
    configuration: &Configuration,
    certificate: Option<Certificate>,
    is_encrypted: bool,
    steps: &mut Vec<Step>,
) -> Result<Option<Certificate>, NoAnswer> {
    let authorities = configuration.tls.client_ca.as_ref().filter(|_| is_encrypted);
    let Some(authorities) = authorities else {
        let text = "not shown: nobody asks for one here";
        steps.extend(certificate.map(|_| Step::new(Stage::Accept, "certificate", text)));
        return Ok(None);
    };
    let auth = configuration.tls.client_auth.as_ref();
    let is_optional = auth.is_some_and(|auth| auth.value == ClientCertificate::Optional);
    let text = match &certificate {
        Some(certificate) => {
            format!("{}, taken to be of an authority that is believed", certificate.subject())
        }
        None if is_optional => "none, and none is needed".to_owned(),
        None => "none, and one is needed: the handshake fails".to_owned(),
    };
    let origins = [&authorities.origin].into_iter().chain(auth.map(|auth| &auth.origin));
    steps.push(Step::new(Stage::Accept, "certificate", text).at(Some(line(origins))));
    if certificate.is_none() && !is_optional { Err(NoAnswer) } else { Ok(certificate) }
}

/// Why the request is misdirected, if it is: the connection is for the host of the URL, and another host has
/// another certificate.
///
/// # Errors
/// If certificates cannot be read.
#[cfg(feature = "tls")]
fn misdirected(configuration: &Configuration, parts: &Parts) -> Result<Option<Step>, Errors> {
    let field = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = field.and_then(|host| host.parse::<Authority>().ok());
    let (Some(connected), Some(host)) = (parts.uri.host(), &host) else { return Ok(None) };
    if configuration.tls.cert.len() < 2 || host.host().eq_ignore_ascii_case(connected) {
        return Ok(None);
    }
    let mut problems = Vec::new();
    let tls = certificates(configuration, &mut problems);
    let tls = finish(tls, problems)?;
    let text = format!("the connection is for {connected}, and {} has another certificate", host.host());
    Ok((!tls.shows_alike(connected, host.host())).then(|| Step::new(Stage::Handle, "host", text)))
}

#[cfg(not(feature = "tls"))]
fn misdirected(_: &Configuration, _: &Parts) -> Result<Option<Step>, Errors> {
    Ok(None)
}

fn described(listen: &Listen) -> String {
    let address = listen.addr.value.to_string();
    let address = if listen.tls.value { address.replacen("http://", "https://", 1) } else { address };
    let proxies = match listen.proxy_protocol.value {
        ProxyProtocol::Off => "",
        ProxyProtocol::Optional => ", PROXY protocol of trusted proxies",
        ProxyProtocol::Required => ", PROXY protocol required",
    };
    let redirects = if listen.redirect_to_https.value { ", sends everybody to https" } else { "" };
    let versions = match listen.only() {
        None => "",
        Some(Protocol::H1) => ", HTTP/1 only",
        Some(Protocol::H2) => ", HTTP/2 only",
    };
    format!("{address}{versions}{proxies}{redirects}")
}

const fn port_of(address: &ListenAddr) -> Option<u16> {
    match address {
        ListenAddr::Tcp(address) => Some(address.port()),
        ListenAddr::Everywhere { port } => Some(*port),
        ListenAddr::Unix(_) | ListenAddr::Descriptor(_) => None,
    }
}

/// Whether a client that asks for `host`, which may be an address, could get there.
fn is_at(address: &ListenAddr, host: Option<IpAddr>) -> bool {
    match (address, host) {
        (ListenAddr::Tcp(own), Some(host)) => own.ip().is_unspecified() || own.ip() == host,
        _ => true,
    }
}

/// What the parser makes of the head; the reason for which it refuses it, if it does.
fn parsed(configuration: &Configuration, parts: &Parts, steps: &mut Vec<Step>) -> Option<Reason> {
    let table = &configuration.server.limits;
    let head = written(parts);
    let line_bytes = head.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let fields = head.iter().filter(|byte| **byte == b'\n').count() - 2;
    for (topic, is, max, origin) in [
        ("request line", line_bytes as u64, table.request_line.value.0, &table.request_line.origin),
        ("head", head.len() as u64, table.headers.value.0, &table.headers.origin),
        ("fields", fields as u64, u64::from(table.header_count.value.get()), &table.header_count.origin),
    ] {
        let unit = if topic == "fields" { "" } else { " bytes" };
        let text = format!("{is} of at most {max}{unit}");
        steps.push(Step::new(Stage::Parse, topic, text).at(Some(line([origin]))));
    }
    let trust = &configuration.server.trust;
    if !trust.proxies.value.is_empty() {
        let networks: Vec<_> = trust.proxies.value.iter().map(|proxy| proxy.value.to_string()).collect();
        let header = match trust.header.value {
            TrustHeader::XForwardedFor => "x-forwarded-for",
            TrustHeader::Forwarded => "forwarded",
        };
        let text = format!("{} are believed in {header}", networks.join(", "));
        steps.push(Step::new(Stage::Parse, "proxies", text).at(Some(line([&trust.proxies.origin]))));
    }
    limits(configuration).http1.refusal(&head)
}

/// The head as HTTP/1.1 writes it.
fn written(parts: &Parts) -> Vec<u8> {
    let target = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    // A URL may do without a path, and a request may not. RFC 9112 §3.2.1.
    let root = if target.starts_with('?') { "/" } else { "" };
    let mut head = format!("{} {root}{target} HTTP/1.1\r\n", parts.method).into_bytes();
    if !parts.headers.contains_key(header::HOST) {
        let host = parts.uri.authority().map_or("localhost", Authority::as_str);
        head.extend(format!("host: {host}\r\n").bytes());
    }
    for (name, value) in &parts.headers {
        head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    head
}

fn told(topic: &str, text: String, origin: &Origin) -> Step {
    Step::new(Stage::Accept, topic, text).at(Some(line([origin])))
}
