//! [`CertificateAuth`]: whom an authority vouches for, before a handler. RFC 8446 §4.3.2; RFC 5280 §4.2.1.6.
//!
//! ```text
//!  Request::client_certificate ─► a name that is listed ─ yes ─► the handler
//!           │ none                       │ no
//!           └────────────────────────────┴──► 403
//! ```
//! Never a 401: that asks for an `Authorization` field (RFC 9110 §15.5.2), and none would help; the client
//! has to connect anew with another certificate. That the certificate is of a trusted authority and the
//! client's own was found out by TLS before the first request: this layer reads names.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::digits::sha256_of;
use crate::app::adapters::IntoHandler;
use crate::app::layer::{Acts, Layer, Layered, Passage};
use crate::app::request::Request;
use crate::base::{Certificate, Fingerprint};
use crate::http::{Reason, Response};

/// Names that certificates of clients have.
///
/// [`Request::user`] is the name by which a client was let in.
///
/// ```
/// use kolk::{App, CertificateAuth, Request};
///
/// let auth = CertificateAuth::new().common_name("Ada").dns_name("backup.example").email("bob@example.org");
/// let app = App::new().get("/", auth.guard(|request: &Request<'_>| request.user().unwrap_or("?").to_owned()));
/// // Without TLS there is no certificate.
/// assert_eq!(app.oneshot(http::Request::get("/").body("").unwrap()).status(), 403);
/// ```
#[derive(Clone, Debug, Default)]
pub struct CertificateAuth {
    listed: Vec<Listed>,
}

#[derive(Clone, Debug)]
enum Listed {
    CommonName(Arc<str>),
    DnsName(Arc<str>),
    Email(Arc<str>),
    Fingerprint(Fingerprint, Arc<str>),
}

/// This is not the SHA-256 of a certificate, which has 64 hexadecimal digits, with or without colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoFingerprint;

impl CertificateAuth {
    /// Lets nobody in.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also lets in whose subject's last common name is this.
    #[must_use]
    pub fn common_name(self, name: &str) -> Self {
        self.and(Listed::CommonName(name.into()))
    }

    /// Also lets in whose certificate is for this DNS name, in any case; `*` is no wildcard.
    #[must_use]
    pub fn dns_name(self, name: &str) -> Self {
        self.and(Listed::DnsName(name.into()))
    }

    /// Also lets in whose certificate is for this address; the case of its host means nothing
    /// (RFC 5280 §7.5).
    #[must_use]
    pub fn email(self, address: &str) -> Self {
        self.and(Listed::Email(address.into()))
    }

    /// Also lets in the certificate with this SHA-256, and calls its owner `user`.
    ///
    /// ```
    /// use kolk::CertificateAuth;
    ///
    /// // As `openssl x509 -noout -fingerprint -sha256` prints it.
    /// let digits = "AB:".repeat(31) + "AB";
    /// assert!(CertificateAuth::new().fingerprint(&digits, "ada").is_ok());
    /// assert!(CertificateAuth::new().fingerprint("AB:CD", "ada").is_err());
    /// ```
    ///
    /// # Errors
    /// If it is none.
    pub fn fingerprint(self, sha256: &str, user: &str) -> Result<Self, NoFingerprint> {
        let digits: Vec<u8> = sha256.bytes().filter(|byte| *byte != b':').collect();
        let bytes = sha256_of(&digits).ok_or(NoFingerprint)?;
        Ok(self.and(Listed::Fingerprint(Fingerprint(bytes), user.into())))
    }

    /// `handler`, for these clients alone.
    pub fn guard<H: IntoHandler>(&self, handler: H) -> Layered<H::Handler> {
        Layered::before(handler.into_handler(), self.clone())
    }

    fn and(mut self, listed: Listed) -> Self {
        self.listed.push(listed);
        self
    }

    /// The first listed name that the certificate has.
    fn name_of(&self, certificate: &Certificate) -> Option<&Arc<str>> {
        let common = certificate.common_name();
        let names = certificate.alternative_names();
        self.listed.iter().find_map(|listed| match listed {
            Listed::CommonName(name) => (common.as_deref() == Some(name)).then_some(name),
            Listed::DnsName(name) => {
                names.dns.iter().any(|dns| dns.eq_ignore_ascii_case(name)).then_some(name)
            }
            Listed::Email(name) => {
                names.email.iter().any(|email| is_same_address(email, name)).then_some(name)
            }
            Listed::Fingerprint(known, name) => (certificate.fingerprint() == *known).then_some(name),
        })
    }
}

impl Layer for CertificateAuth {
    fn before(&self, request: &Request<'_>, response: &mut Response) -> Passage {
        let Some(certificate) = request.client_certificate() else {
            response.refuse(Reason::CertificateMissing);
            return Passage::answered();
        };
        let Some(name) = self.name_of(&certificate) else {
            response.refuse(Reason::CertificateUnknown);
            return Passage::answered();
        };
        request.identify(name);
        Passage::Open
    }

    fn acts(&self) -> Acts {
        Acts::REQUESTS
    }

    fn name(&self) -> &'static str {
        "auth"
    }

    fn explain(&self) -> String {
        let names = self.listed.iter().map(|listed| match listed {
            Listed::CommonName(name)
            | Listed::DnsName(name)
            | Listed::Email(name)
            | Listed::Fingerprint(_, name) => name,
        });
        // One may be listed as a common name and as that of a host.
        format!("certificates; names: {}", names.collect::<BTreeSet<_>>().len())
    }
}

impl fmt::Display for NoFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the SHA-256 of a certificate has 64 hexadecimal digits, with or without colons")
    }
}

impl Error for NoFingerprint {}

fn is_same_address(one: &str, other: &str) -> bool {
    match (one.rsplit_once('@'), other.rsplit_once('@')) {
        (Some((one, at)), Some((other, host))) => one == other && at.eq_ignore_ascii_case(host),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(names: Vec<SanType>) -> Certificate {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Ada");
        params.subject_alt_names = names;
        let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Certificate::new(signed.der(), [0xAB; 32])
    }

    #[test]
    fn a_client_is_let_in_by_each_of_its_names() {
        let ada = certificate(vec![
            SanType::DnsName("Ada.Example".try_into().unwrap()),
            SanType::Rfc822Name("Ada@Example.org".try_into().unwrap()),
            SanType::URI("urn:ada".try_into().unwrap()),
        ]);
        let name = |auth: CertificateAuth| auth.name_of(&ada).map(ToString::to_string);
        let new = CertificateAuth::new;
        assert_eq!(name(new()), None);
        assert_eq!(name(new().common_name("Eve").common_name("Ada")).as_deref(), Some("Ada"));
        assert_eq!(name(new().dns_name("ada.example")).as_deref(), Some("ada.example"));
        assert_eq!(name(new().email("Ada@example.ORG")).as_deref(), Some("Ada@example.ORG"));
        let digits = "ab".repeat(32);
        assert_eq!(name(new().fingerprint(&digits, "ada").unwrap()).as_deref(), Some("ada"));
        for other in [
            new().common_name("ada"),
            new().dns_name("Ada"),
            new().dns_name("*.example").dns_name("Ada@Example.org").dns_name("urn:ada"),
            new().email("ada@Example.org").email("Ada.Example").email(""),
            new().fingerprint(&"ac".repeat(32), "ada").unwrap(),
        ] {
            assert_eq!(name(other.clone()), None, "{other:?}");
        }
        assert_eq!(new().dns_name("Ada").name_of(&certificate(Vec::new())), None, "a common name is no host");
        for wrong in ["", "ab", &"ag".repeat(32), &"ab".repeat(33)] {
            assert_eq!(new().fingerprint(wrong, "x").unwrap_err(), NoFingerprint, "{wrong}");
        }
    }
}
