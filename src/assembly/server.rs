//! The process, its addresses and its certificates, as a server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::app::{App, ForwardedIn, Trust};
use crate::config::{
    Configuration, Listen, Problem, Protocol, Proxy, ProxyProtocol as Proxies, Redacted, TrustHeader, Workers,
};
use crate::net::ProxyProtocol;
#[cfg(feature = "tls")]
use crate::net::tls::Tls;
use crate::proto::h1;
use crate::server::{FlightRecorder, Limits, ListenOptions, Server, Timeouts, Workers as Count};

use super::log::Logs;
use super::{machine, noted};

/// Where a server listens that is told nothing.
pub(super) const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

#[cfg(not(feature = "tls"))]
const WITHOUT_TLS: &str = "this kolk was built without TLS: build it with the feature `tls`";

/// What it calls itself.
pub(super) fn server_name(configuration: &Configuration) -> Option<&str> {
    configuration.server.server_name.value.0.as_ref().and_then(|name| name.to_str().ok())
}

/// The server for `app`.
pub(super) fn server(configuration: &Configuration, app: App, problems: &mut Vec<Problem>) -> Option<Server> {
    machine::check(configuration, problems);
    let process = &configuration.server;
    let mut server = Server::new(app)
        .workers(match process.workers.value {
            Workers::Auto => Count::Auto,
            Workers::Exactly(count) => Count::Exactly(count.get() as usize),
        })
        .pin(process.pin.value)
        .blocking(process.blocking_threads.value.get() as usize, process.blocking_queue.value as usize)
        .server_name(server_name(configuration))
        .limits(limits(configuration))
        // Where somebody looks.
        .stages(process.admin.is_some() || configuration.site.iter().any(|site| site.server_timing.value))
        .timeouts(timeouts(configuration));
    if let Some(connections) = &process.max_connections {
        server = server.max_connections(connections.value.get() as usize);
    }
    if let Some(trust) = trust(configuration, problems) {
        server = server.trust(trust);
    }
    if let Some(address) = &process.admin {
        server = server.admin_at(address.value.clone());
        if let Some(recorder) = recorder(configuration, problems) {
            server = server.flight_recorder(recorder);
        }
    }
    server = server.logs_of_file(Logs::of(configuration).build(configuration, problems));
    server = encrypted(server, configuration, problems)?;
    for listen in &configuration.listen {
        server = listening(server, configuration, listen, problems)?;
    }
    if configuration.listen.is_empty() {
        server = server.listen(&ADDRESS.to_string()).ok()?;
    }
    Some(server)
}

pub(super) fn limits(configuration: &Configuration) -> Limits {
    let table = &configuration.server.limits;
    let usual = Limits::default();
    // Larger ones were refused when the file was read.
    let bytes = |size: u64| u16::try_from(size).unwrap_or(u16::MAX);
    let fields_max = u16::try_from(table.header_count.value.get()).unwrap_or(u16::MAX);
    let http1 = h1::Limits {
        request_line_bytes_max: bytes(table.request_line.value.0),
        head_bytes_max: bytes(table.headers.value.0),
        fields_max,
        ..*usual.http1
    };
    let mut http2 = usual.http2.with_head_bytes_max(bytes(table.headers.value.0));
    http2.fields_max = fields_max;
    http2.path_bytes_max = bytes(table.request_line.value.0);
    Limits {
        http1: Arc::new(http1),
        http2: Arc::new(http2),
        body_bytes_max: table.body.value.0,
        bodies_bytes_max: table.bodies.value.0,
        connections_per_address_max: configuration
            .server
            .max_connections_per_client
            .as_ref()
            .map(|connections| connections.value.get()),
    }
}

fn timeouts(configuration: &Configuration) -> Timeouts {
    let table = &configuration.server.timeouts;
    Timeouts {
        handshake: table.tls_handshake.value,
        header: table.header.value,
        keepalive: table.keepalive.value,
        body: table.body_idle.value,
        body_rate_bytes_min: table.body_min_rate.value.0,
        write: table.write_stall.value,
        write_rate_bytes_min: table.write_min_rate.value.0,
        linger: table.linger.value,
        ..Timeouts::default()
    }
}

/// What remembers the last requests; what the logs leave out of their queries it leaves out, too.
fn recorder(configuration: &Configuration, problems: &mut Vec<Problem>) -> Option<FlightRecorder> {
    let bytes = &configuration.server.flight_recorder;
    let size = usize::try_from(bytes.value.0).ok().filter(|size| *size <= FlightRecorder::WORKER_BYTES_MAX);
    let Some(size) = size else {
        problems.push(Problem::at(&bytes.origin, "a flight recorder has at most 1GiB"));
        return None;
    };
    let redacted = configuration.log.access.values().flat_map(|log| &log.redact.value);
    let parameters = redacted.filter_map(|redacted| match &redacted.value {
        Redacted::Query(name) => Some(name),
        Redacted::Client | Redacted::User | Redacted::Field(_) => None,
    });
    let recorder = parameters
        .fold(FlightRecorder::new(size), |recorder, parameter| recorder.without_parameter(parameter));
    (size > 0).then_some(recorder)
}

pub(super) fn trust(configuration: &Configuration, problems: &mut Vec<Problem>) -> Option<Trust> {
    let table = &configuration.server.trust;
    if table.proxies.value.is_empty() {
        return None;
    }
    let mut trust = Trust::new(match table.header.value {
        TrustHeader::XForwardedFor => ForwardedIn::XForwardedFor,
        TrustHeader::Forwarded => ForwardedIn::Forwarded,
    });
    for proxy in &table.proxies.value {
        trust = match proxy.value {
            Proxy::Unix => trust.unix_sockets(),
            Proxy::Network(network) => {
                let trusted = trust.network(&network.to_string());
                noted(trusted, proxy, |error| error.to_string(), problems)?
            }
        };
    }
    Some(trust)
}

fn listening(
    server: Server,
    configuration: &Configuration,
    listen: &Listen,
    problems: &mut Vec<Problem>,
) -> Option<Server> {
    let mut options = ListenOptions::default().backlog(listen.backlog.value.get());
    if !listen.tls.value {
        options = options.in_the_clear();
    }
    options = match listen.only() {
        None => options,
        Some(Protocol::H1) => options.http1_only(),
        Some(Protocol::H2) => options.http2_only(),
    };
    let proxies = match listen.proxy_protocol.value {
        Proxies::Off => None,
        Proxies::Optional => Some(ProxyProtocol::optional()),
        Proxies::Required => Some(ProxyProtocol::required()),
    };
    if let Some(mut proxies) = proxies {
        for proxy in &configuration.server.trust.proxies.value {
            proxies = match proxy.value {
                Proxy::Unix => proxies.unix_sockets(),
                Proxy::Network(network) => {
                    let trusted = proxies.network(&network.to_string());
                    noted(trusted, proxy, |error| error.to_string(), problems)?
                }
            };
        }
        options = options.proxy_protocol(proxies);
    }
    let address = listen.addr.value.clone();
    Some(match listen.redirect_to_https.value {
        true => server.redirect_at(address, options),
        false => server.listen_at(address, options),
    })
}

/// With the certificates that are named.
#[cfg(feature = "tls")]
fn encrypted(server: Server, configuration: &Configuration, problems: &mut Vec<Problem>) -> Option<Server> {
    if configuration.tls.cert.is_empty() {
        return Some(server);
    }
    certificates(configuration, problems).map(|tls| server.tls(&tls))
}

/// The certificates that are named, if there are any.
#[cfg(feature = "tls")]
pub(super) fn certificates(configuration: &Configuration, problems: &mut Vec<Problem>) -> Option<Tls> {
    use crate::config::{ClientCertificate, TlsVersion};
    use crate::net::tls::{ClientAuth, TlsError};

    let told = |error: TlsError| error.to_string();
    let mut tls: Option<Tls> = None;
    for pair in &configuration.tls.cert {
        let (chain, key) = (&pair.cert.value.0, &pair.key.value.0);
        let read = match &tls {
            None => Tls::from_files(chain, key),
            Some(tls) => tls.and_files(chain, key),
        };
        let is_of_key = |error: &TlsError| match error {
            TlsError::File(path, _) => path == key && key != chain,
            TlsError::NoKey(_) => true,
            _ => false,
        };
        let placed = if read.as_ref().is_err_and(is_of_key) { &pair.key } else { &pair.cert };
        let mut read = noted(read, placed, told, problems)?;
        if let Some(hosts) = &pair.hosts {
            let named = read.for_hosts(hosts.value.iter().map(|host| super::site::written(&host.value)));
            read = noted(named, hosts, told, problems)?;
        }
        tls = Some(read);
    }
    let mut tls = tls?;
    let oldest = &configuration.tls.min_version;
    if oldest.value == TlsVersion::V13 {
        tls = noted(tls.tls13_only(), oldest, told, problems)?;
    }
    if let Some(authorities) = &configuration.tls.client_ca {
        let auth = match configuration.tls.client_auth.as_ref().map(|auth| auth.value) {
            Some(ClientCertificate::Optional) => ClientAuth::Optional,
            Some(ClientCertificate::Required) | None => ClientAuth::Required,
        };
        let asked = tls.client_auth_file(&authorities.value.0, auth);
        tls = noted(asked, authorities, told, problems)?;
    }
    Some(tls)
}

#[cfg(not(feature = "tls"))]
fn encrypted(server: Server, configuration: &Configuration, problems: &mut Vec<Problem>) -> Option<Server> {
    for pair in &configuration.tls.cert {
        problems.push(Problem::at(&pair.cert.origin, WITHOUT_TLS));
    }
    Some(server)
}
