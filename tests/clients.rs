//! Mutual TLS on real sockets: who is let in by a certificate, and what handlers see of it.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "tls/identity.rs"]
mod identity;
mod support;

use std::io::Read;
use std::sync::Arc;

use kolk::net::Alert;
use kolk::{App, CertificateAuth, ClientAuth, Reply, Request, Response, Running, Tls, deferred};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind};

use identity::{Authority, Encrypted, Identity, connect};
use support::scratch::Scratch;
use support::{Client, address, alone, start, until};

fn tls(identity: &Identity) -> Tls {
    Tls::from_pem(identity.chain.as_bytes(), identity.key.as_bytes()).unwrap()
}

fn whoami(request: &Request<'_>) -> String {
    let who = request.client_certificate().map_or_else(
        || "nobody".to_owned(),
        |certificate| {
            assert_eq!(certificate.fingerprint().to_string().len(), 95);
            format!("{} {}", certificate.common_name().unwrap(), certificate.subject())
        },
    );
    format!("{} {who}", request.scheme())
}

fn app() -> App {
    App::new().get("/", |request: &Request<'_>| Response::text(whoami(request))).get(
        "/later",
        deferred(|request: &Request<'_>, reply: Reply| {
            let request = request.to_owned_request();
            std::thread::spawn(move || reply.send(whoami(&request.request())));
        }),
    )
}

fn client_of(server: &Running, config: &Arc<ClientConfig>) -> Client<Encrypted> {
    Client::over(connect(address(server), config, "localhost", usize::MAX))
}

/// Whether a client gets an answer.
fn is_let_in(server: &Running, config: &Arc<ClientConfig>) -> bool {
    let mut client = client_of(server, config);
    // A client of TLS 1.3 is done before it is refused.
    client.try_send(support::get("/")) && client.stream.read(&mut [0; 8]).is_ok_and(|count| count > 0)
}

#[test]
fn who_has_a_listed_certificate_is_let_in_and_named() {
    let (identity, authority) = (Identity::new(&["localhost"]), Authority::new("Root"));
    let (ada, eve) = (authority.admit("Ada"), authority.admit("Eve"));
    let tls = tls(&identity).client_auth(authority.pem.as_bytes(), ClientAuth::Optional).unwrap();
    let user = |request: &Request<'_>| request.user().unwrap_or("nobody").to_owned();
    let app = App::new().get("/", CertificateAuth::new().common_name("Ada").guard(user)).get("/open", user);
    let server = start(alone(app).tls(&tls));
    for (member, status, text) in [
        (Some(&ada), 200, "Ada"),
        (Some(&eve), 403, "handler.certificate_unknown"),
        (None, 403, "handler.certificate_missing"),
    ] {
        let mut client = client_of(&server, &identity.trusted_by_client(&[&TLS13], member));
        let answer = client.get("/");
        assert!(answer.status == status && answer.text().contains(text), "{}", answer.text());
        assert_eq!(answer.field("www-authenticate"), None);
        assert_eq!(client.get("/open").text(), "nobody", "of this request alone");
    }
}

#[test]
fn handlers_see_who_asks_also_when_a_session_is_resumed() {
    let (identity, authority) = (Identity::new(&["localhost"]), Authority::new("Root"));
    let ada = authority.admit("Ada");
    let tls = tls(&identity).client_auth(authority.pem.as_bytes(), ClientAuth::Optional).unwrap();
    let server = start(alone(app()).tls(&tls));
    for version in [&TLS12, &TLS13] {
        let config = identity.trusted_by_client(&[version], Some(&ada));
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
            let mut client = client_of(&server, &config);
            for path in ["/", "/later", "/"] {
                let answer = client.get(path);
                assert_eq!(answer.text(), "https Ada CN=Ada,O=Example\\, Inc.", "{version:?} {kind:?}");
            }
            assert_eq!(client.stream.conn.handshake_kind(), Some(kind));
        }
        let mut nobody = client_of(&server, &identity.trusted_by(&[version]));
        assert_eq!(nobody.get("/").text(), "https nobody");
    }
}

#[test]
fn in_the_clear_there_is_nobody_to_see() {
    let server = start(alone(app()));
    assert_eq!(Client::to(&server).get("/").text(), "http nobody");
    assert_eq!(Client::to(&server).get("/later").text(), "http nobody");
}

#[test]
fn who_has_none_or_that_of_a_stranger_is_not_let_in() {
    let (identity, authority) = (Identity::new(&["localhost"]), Authority::new("Root"));
    let (ada, eve) = (authority.admit("Ada"), Authority::new("Other").admit("Ada"));
    for (auth, without) in [(ClientAuth::Required, false), (ClientAuth::Optional, true)] {
        let tls = tls(&identity).client_auth(authority.pem.as_bytes(), auth).unwrap();
        let server = start(alone(app()).tls(&tls));
        for version in [&TLS12, &TLS13] {
            assert!(is_let_in(&server, &identity.trusted_by_client(&[version], Some(&ada))));
            assert_eq!(is_let_in(&server, &identity.trusted_by(&[version])), without, "{auth:?}");
            // rustls offers a certificate only to authorities that it comes from.
            let stranger = identity.trusted_by_client(&[version], Some(&eve));
            assert!(!is_let_in(&server, &stranger), "{auth:?} {version:?}");
        }
        let told = |alert: Alert| server.snapshot().alerts_sent[alert.index()];
        until("the strangers are told", || told(Alert::UnknownCa) == 2);
        assert_eq!(told(Alert::CertificateRequired), if without { 0 } else { 2 });
    }
}

#[test]
fn an_authority_that_is_gone_lets_nobody_in_again() {
    let (identity, [old, new]) = (Identity::new(&["localhost"]), ["Old", "New"].map(Authority::new));
    let folder = Scratch::new("authorities");
    folder.put("ca.pem", &old.pem);
    let tls = tls(&identity).client_auth_file(folder.join("ca.pem"), ClientAuth::Required).unwrap();
    let server = start(alone(app()).tls(&tls));
    let ada = old.admit("Ada");
    for version in [&TLS12, &TLS13] {
        folder.put("ca.pem", &old.pem);
        tls.reload().unwrap();
        let config = identity.trusted_by_client(&[version], Some(&ada));
        let mut kept = client_of(&server, &config);
        assert_eq!(kept.get("/").status, 200);
        assert!(is_let_in(&server, &config));
        folder.put("ca.pem", "nothing");
        assert!(tls.reload().unwrap_err().to_string().ends_with(
            "ca.pem: no certificate: PEM begins with \
            -----BEGIN CERTIFICATE-----"
        ));
        assert!(is_let_in(&server, &config), "a bad file changes nothing");
        folder.put("ca.pem", &new.pem);
        tls.reload().unwrap();
        assert!(!is_let_in(&server, &config), "{version:?}: not even by its ticket");
        assert_eq!(kept.get("/").status, 200, "who is connected stays");
    }
}
