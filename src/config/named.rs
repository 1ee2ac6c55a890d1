//! The tables that others name: `[rate.NAME]`, `[auth.NAME]`, `[headers.NAME]`.

use std::fmt;
use std::num::NonZero;
use std::path::Path;
use std::time::Duration;

use ::http::HeaderValue;

use super::key::{table, words};
use super::look;
use super::message::{FieldName, Map, RateKey};
use super::place::Placed;
use super::read::FromText;
use super::value::{ExistingFile, Rate, Text};
use crate::app::CertificateAuth;

words! {
    /// What happens to a request over the rate.
    pub enum RateMode {
        /// It is answered with 429.
        Refuse = "refuse",
        /// It waits for its turn.
        Delay = "delay",
    }
}

table! {
    /// How many requests there may be: one budget for all workers. Routes and sites name it.
    pub struct RateLimit in "[rate.NAME]", look look::rate {
        /// By what they are counted: `"client_ip"` (IPv6: the /64), `"path"`, `"header:NAME"` or
        /// `"cookie:NAME"`. All spellings of a token (`header:authorization`) and of a host are one.
        /// Requests without the field or the cookie have one budget together.
        key: Placed<RateKey> = "client_ip",
        /// How many, in a second, a minute, an hour or a day: `"50/s"`, `"5/m"`.
        rate: Placed<Rate>,
        /// How many may come at once.
        burst: Placed<NonZero<u32>> = 1,
        /// What happens to the others.
        mode: Placed<RateMode> = "refuse",
        /// With `mode = "delay"`: how long one may wait for its turn; without it, 5 s.
        delay_max: Option<Placed<Duration>>,
        /// Counts and logs, but lets everybody pass.
        dry_run: Placed<bool> = false,
        /// Tells clients with every answer what is left of their budget, not with refusals alone: in
        /// `RateLimit` and `RateLimit-Policy`. Of several rates, that with the least left; never in a dry
        /// run.
        headers: Placed<bool> = false,
        later {
            "store": "one budget for several servers comes in a later version",
            "if_store_down": "one budget for several servers comes in a later version",
        }
    }
}

words! {
    /// How a client shows who it is.
    pub enum AuthKind {
        /// A user's name and a password. RFC 7617.
        Basic = "basic",
        /// A token that is listed in a file. RFC 6750.
        Bearer = "bearer",
        /// A token that somebody has signed. RFC 7519.
        Jwt = "jwt",
        /// A certificate.
        Mtls = "mtls",
    }
}

words! {
    /// How a token is signed.
    pub enum JwtAlgorithm {
        /// HMAC with SHA-256.
        Hs256 = "HS256",
        /// HMAC with SHA-384.
        Hs384 = "HS384",
        /// HMAC with SHA-512.
        Hs512 = "HS512",
        /// RSA, PKCS 1, with SHA-256.
        Rs256 = "RS256",
        /// RSA, PKCS 1, with SHA-384.
        Rs384 = "RS384",
        /// RSA, PKCS 1, with SHA-512.
        Rs512 = "RS512",
        /// RSA, PSS, with SHA-256.
        Ps256 = "PS256",
        /// RSA, PSS, with SHA-384.
        Ps384 = "PS384",
        /// RSA, PSS, with SHA-512.
        Ps512 = "PS512",
        /// ECDSA on P-256.
        Es256 = "ES256",
        /// ECDSA on P-384.
        Es384 = "ES384",
        /// Ed25519.
        EdDsa = "EdDSA",
    }
}

impl JwtAlgorithm {
    /// Whether whoever can check a token can also make one.
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }
}

table! {
    /// Who may come in. Routes and sites name it.
    pub struct Auth in "[auth.NAME]", look look::auth {
        /// How a client shows who it is.
        kind: Placed<AuthKind>,
        /// With `kind = "basic"`: users and hashes, as `kolk hash-password` and htpasswd make them. Read at
        /// the start and when kolk is told to reload, and not when it changes; `tokens`, `jwks` and `secret`
        /// alike.
        file: Option<Placed<ExistingFile>>,
        /// With `kind = "basic"`, `"bearer"` or `"jwt"`: what the client is told that it needs a key for.
        realm: Option<Placed<Realm>>,
        /// With `kind = "basic"` or `"jwt"`: how many wrong passwords or tokens may come from one client,
        /// `"10/m"` without it, or `"off"`; the others are answered with 429 for the rest of the time. Who
        /// was found right before still passes: with a token always, with a password within five minutes and
        /// until ten times as many tries came from there.
        failures: Option<Placed<Failures>>,
        /// With `kind = "bearer"`: a file with a token a line.
        tokens: Option<Placed<ExistingFile>>,
        /// With `kind = "jwt"`: the keys of who signs, a JSON Web Key Set. Of a key whose kind, curve or
        /// algorithm is not known the log warns, and the others are used; a key for which others than its
        /// owner could sign is an error.
        jwks: Option<Placed<ExistingFile>>,
        /// With `kind = "jwt"`: a file with the secret that both sides know: bytes, or a text, to which the end
        /// of its line does not belong.
        secret: Option<Placed<ExistingFile>>,
        /// With `kind = "jwt"`: how tokens may be signed. Keys of `jwks` for anything else are not used, and
        /// one that does not say what it is for is used with those of these that are for its kind.
        algorithms: Option<Placed<Vec<Placed<JwtAlgorithm>>>>,
        /// With `kind = "jwt"`: who must have signed, `iss`.
        issuer: Option<Placed<Text>>,
        /// With `kind = "jwt"`: for whom, `aud`; one of these.
        audience: Option<Placed<Vec<Placed<Text>>>>,
        /// With `kind = "jwt"`: how wrong clocks may be, in whole seconds, rounded up; without it, not at
        /// all.
        leeway: Option<Placed<Duration>>,
        /// With `kind = "mtls"`: whose certificates are accepted: a common name or the name of a host,
        /// `"ada"`; a common name alone, `"cn:ada"`; an address of mail, `"email:ada@example.org"`; or the
        /// SHA-256 of the certificate itself, `"sha256:"` and 64 hexadecimal digits.
        subjects: Option<Placed<Vec<Placed<Subject>>>>,
    }
}

/// How often a client may be wrong; nothing: as often as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failures(pub Option<Rate>);

impl FromText for Failures {
    const WHAT: &'static str = "a rate or `off`";
    const EXAMPLE: &'static str = "10/m";

    fn of(text: &str, folder: &Path) -> Result<Self, String> {
        match text {
            "off" => Ok(Self(None)),
            _ => <Rate as FromText>::of(text, folder).map(|rate| Self(Some(rate))),
        }
    }

    fn text(&self) -> String {
        self.0.as_ref().map_or_else(|| "off".to_owned(), FromText::text)
    }
}

impl Failures {
    /// How many there may be, and within which time; none is no limit.
    pub const fn limit(self) -> (u32, Duration) {
        match self.0 {
            Some(rate) => (rate.count.get(), rate.period),
            None => (0, Duration::ZERO),
        }
    }
}

/// Whose certificate is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Of this common name, or for this host.
    Name(String),
    /// Of this common name.
    CommonName(String),
    /// Of this address of mail.
    Email(String),
    /// The one with this SHA-256, in hexadecimal digits.
    Fingerprint(String),
}

impl FromText for Subject {
    const WHAT: &'static str = "a name in a certificate";
    const EXAMPLE: &'static str = "email:ada@example.org";

    fn of(text: &str, _: &Path) -> Result<Self, String> {
        let (form, rest) = text.split_once(':').unwrap_or(("", text));
        match (form, rest.trim()) {
            (_, "") => Err("a name is expected: ada".to_owned()),
            ("cn", name) => Ok(Self::CommonName(name.to_owned())),
            ("email", address) => match address.split_once('@') {
                Some((user, host)) if !user.is_empty() && !host.is_empty() => {
                    Ok(Self::Email(address.to_owned()))
                }
                _ => Err("an address is expected: email:ada@example.org".to_owned()),
            },
            ("sha256", digits) => match CertificateAuth::new().fingerprint(digits, "") {
                Ok(_) => Ok(Self::Fingerprint(digits.to_owned())),
                Err(error) => Err(error.to_string()),
            },
            ("", name) if name.contains('=') => {
                let mut parts = name.split([',', '/']).filter_map(|part| part.trim().split_once('='));
                let common = parts.rfind(|(key, _)| key.trim().eq_ignore_ascii_case("cn"));
                let name = common.map_or("ada", |(_, name)| name.trim());
                Err(format!("one name is expected, not all of a subject: cn:{name}"))
            }
            ("", name) if name.contains('@') => {
                Err(format!("an address stands in no name of a host: email:{name}, or cn:{name}"))
            }
            ("", name) => Ok(Self::Name(name.to_owned())),
            (form, _) => Err(format!("unknown form `{form}:`: cn:, email: and sha256: are known")),
        }
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

/// As it stands in a file.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::CommonName(name) => write!(f, "cn:{name}"),
            Self::Email(address) => write!(f, "email:{address}"),
            Self::Fingerprint(digits) => write!(f, "sha256:{digits}"),
        }
    }
}

/// How a client shows who it is, with all that is needed to check it.
#[derive(Clone, Copy, Debug)]
pub enum Scheme<'a> {
    /// A user's name and a password.
    Basic {
        /// Users and hashes.
        file: &'a Path,
    },
    /// A token of a list.
    Bearer {
        /// A token a line.
        tokens: &'a Path,
    },
    /// A token that somebody has signed.
    Jwt {
        /// What it is checked with.
        keys: JwtKeys<'a>,
        /// How it may be signed.
        algorithms: &'a [Placed<JwtAlgorithm>],
        /// Who must have signed.
        issuer: Option<&'a str>,
        /// One of these it must be for; nothing: for anybody.
        audience: &'a [Placed<Text>],
        /// How wrong clocks may be.
        leeway: Duration,
    },
    /// A certificate.
    Mtls {
        /// Whose.
        subjects: &'a [Placed<Subject>],
    },
}

/// What signatures of tokens are checked with.
#[derive(Clone, Copy, Debug)]
pub enum JwtKeys<'a> {
    /// A JSON Web Key Set.
    Set(&'a Path),
    /// A secret that both sides know.
    Secret(&'a Path),
}

impl Auth {
    /// How a client shows who it is. A configuration without errors has all that is needed.
    pub fn scheme(&self) -> Option<Scheme<'_>> {
        Some(match self.kind.value {
            AuthKind::Basic => Scheme::Basic { file: self.file.as_ref().map(|file| &*file.value.0)? },
            AuthKind::Bearer => Scheme::Bearer { tokens: self.tokens.as_ref().map(|file| &*file.value.0)? },
            AuthKind::Jwt => {
                let set = self.jwks.as_ref().map(|file| JwtKeys::Set(&file.value.0));
                let secret = self.secret.as_ref().map(|file| JwtKeys::Secret(&file.value.0));
                Scheme::Jwt {
                    keys: set.or(secret)?,
                    algorithms: self.algorithms.as_deref()?,
                    issuer: self.issuer.as_ref().map(|issuer| issuer.0.as_str()),
                    audience: self.audience.as_deref().map(Vec::as_slice).unwrap_or_default(),
                    leeway: self.leeway.as_ref().map(|leeway| leeway.value).unwrap_or_default(),
                }
            }
            AuthKind::Mtls => Scheme::Mtls { subjects: self.subjects.as_deref()? },
        })
    }
}

/// What `WWW-Authenticate` says, without quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm(pub String);

impl FromText for Realm {
    const WHAT: &'static str = "a realm";
    const EXAMPLE: &'static str = "Staff";

    fn of(text: &str, folder: &Path) -> Result<Self, String> {
        match text.contains(['"', '\\']) {
            true => Err("no quotes and backslashes may stand in it".to_owned()),
            false => <HeaderValue as FromText>::of(text, folder).map(|_| Self(text.to_owned())),
        }
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

table! {
    /// Changes of the fields of answers. Routes and sites name it; those of a site come first, then those of
    /// the route, each in the order of its list.
    pub struct Headers in "[headers.NAME]", look look::headers {
        /// Fields that answers have with this value, whatever was there before; `vary` joins what is there.
        set: Option<Placed<Map<FieldName, HeaderValue>>>,
        /// Fields that answers have besides those that are there; a value, or a list of values.
        add: Option<Placed<Map<FieldName, Vec<Placed<HeaderValue>>>>>,
        /// Fields that answers do not have.
        remove: Option<Placed<Vec<Placed<FieldName>>>>,
    }
}

impl Headers {
    /// The fields that it gives answers.
    pub(super) fn given(&self) -> impl Iterator<Item = &Placed<FieldName>> {
        let set = self.set.iter().flat_map(|map| &map.value.0).map(|(name, _)| name);
        set.chain(self.add.iter().flat_map(|map| &map.value.0).map(|(name, _)| name))
    }
}
