//! The tables that others name: `[rate.NAME]`, `[auth.NAME]`, `[headers.NAME]`, `[log.access.NAME]`; `[log]`.

use std::fmt;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::http::{HeaderName, HeaderValue};

use super::key::{Kind, Value, Word, table, words};
use super::message::{FieldName, Map, RateKey};
use super::node::{Node, Raw};
use super::place::Placed;
use super::read::{FromText, Named, Reader, nearest, quoted, shortened};
use super::template::Template;
use super::value::{ExistingFile, Fraction, Rate, Text};
use super::{look, value};
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
        /// `"cookie:NAME"`.
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
        /// With `kind = "jwt"`: the keys of who signs, a JSON Web Key Set.
        jwks: Option<Placed<ExistingFile>>,
        /// With `kind = "jwt"`: a file with the secret that both sides know.
        secret: Option<Placed<ExistingFile>>,
        /// With `kind = "jwt"`: how tokens may be signed. Keys of `jwks` for anything else are not used, and
        /// one that does not say what it is for is used with those of these that are for its kind.
        algorithms: Option<Placed<Vec<Placed<JwtAlgorithm>>>>,
        /// With `kind = "jwt"`: who must have signed, `iss`.
        issuer: Option<Placed<Text>>,
        /// With `kind = "jwt"`: for whom, `aud`; one of these.
        audience: Option<Placed<Vec<Placed<Text>>>>,
        /// With `kind = "jwt"`: how wrong clocks may be; without it, not at all.
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

words! {
    /// How much the server says about itself.
    pub enum LogLevel {
        /// What keeps it from working.
        Error = "error",
        /// What deserves attention.
        Warn = "warn",
        /// What it does.
        Info = "info",
        /// More.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

words! {
    /// How lines of the error log look.
    pub enum ErrorFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line: `time`, `level`, `target`, `message`.
        Json = "json",
    }
}

table! {
    /// What is written down.
    pub struct Log in "[log]" {
        /// How much the server says about itself.
        level: Placed<LogLevel> = "info",
        /// Where it says that.
        error: Box<ErrorLog> = {},
        /// The logs of requests; sites and routes name them.
        access: Named<AccessLog>,
    }
}

table! {
    /// Where the server writes what it says about itself.
    pub struct ErrorLog in "[log.error]", short "to" {
        /// `"stderr"`, `"stdout"`, `"syslog:"`, `"unix:PATH"` (datagrams) or a file, which USR1 opens anew.
        to: Placed<LogTo> = "stderr",
        /// How its lines look.
        format: Placed<ErrorFormat> = "text",
    }
}

table! {
    /// A log with a line for each request.
    pub struct AccessLog in "[log.access.NAME]", short "to" {
        /// `"stdout"`, `"stderr"`, `"syslog:"`, `"unix:PATH"` (datagrams) or a file, which USR1 opens anew.
        to: Placed<LogTo> = "stdout",
        /// `"json"`, `"combined"`, `"pretty"`, or a text with placeholders such as
        /// `"{client} {method} {target} {status}"`.
        format: Placed<LogFormat> = "json",
        /// How many of the requests are written down.
        sample: Box<Sample> = {},
        /// What is not written down: `"client"` (but its network: IPv4 /24, IPv6 /48), `"user"`, `"host"`,
        /// `"referer"`, `"user-agent"`, and `"query:NAME"`. Of other fields nothing is ever written.
        redact: Placed<Vec<Placed<Redacted>>> = ["authorization", "cookie"],
    }
}

table! {
    /// How many of the requests are written down.
    pub struct Sample in "[log.access.NAME.sample]" {
        /// Of those that are answered with a status below 400: from 0.0, none, to 1.0, all.
        ok: Placed<Fraction> = 1.0,
        /// Of the others.
        error: Placed<Fraction> = 1.0,
    }
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTo {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The log of the system.
    Syslog,
    /// Datagrams to this socket.
    Unix(PathBuf),
    /// This file.
    File(PathBuf),
}

impl FromText for LogTo {
    const WHAT: &'static str = "a place for a log";
    const EXAMPLE: &'static str = "/var/log/kolk/access.log";

    fn of(text: &str, folder: &Path) -> Result<Self, String> {
        match text {
            "stdout" => return Ok(Self::Stdout),
            "stderr" => return Ok(Self::Stderr),
            "syslog:" => return Ok(Self::Syslog),
            "unix:" => return Err("the path of a socket must follow: unix:/run/log.sock".to_owned()),
            _ => {}
        }
        if let Some(meant) = misspelt(text) {
            return Err(format!("did you mean `{meant}`? A file of this name is `./{}`", shortened(text)));
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return <PathBuf as FromText>::of(path, folder).map(Self::Unix);
        }
        let path = <PathBuf as FromText>::of(text, folder)?;
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        match above.filter(|above| !above.is_dir()) {
            Some(above) => Err(format!("there is no folder {}", above.display())),
            None if path.is_dir() => Err("this is a folder".to_owned()),
            None => Ok(Self::File(path)),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Stdout => "stdout".to_owned(),
            Self::Stderr => "stderr".to_owned(),
            Self::Syslog => "syslog:".to_owned(),
            Self::Unix(path) => format!("unix:{}", path.display()),
            Self::File(path) => path.display().to_string(),
        }
    }
}

/// What is meant by a text that is nearly a word, and would be a file beside the configuration.
fn misspelt(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("unix:") {
        return (!text.starts_with("unix:")).then_some("unix:PATH");
    }
    // There is one facility.
    if lower.starts_with("syslog:") {
        return Some("syslog:");
    }
    if lower.contains(['/', '.']) {
        return None;
    }
    match lower.as_str() {
        text if text.starts_with("syslog") => Some("syslog:"),
        text if text.starts_with("std") => nearest(text, ["stdout", "stderr"].into_iter()).or(Some("stdout")),
        _ => None,
    }
}

/// How lines of an access log look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// That of Apache and nginx.
    Combined,
    /// For people.
    Pretty,
    /// This text, with what [`LogFormat::NAMES`] stand for.
    Template(Template),
}

impl LogFormat {
    /// The placeholders of a template: the members of the JSON lines, and the client's address as it is
    /// believed.
    pub const NAMES: [&str; 27] = [
        "time",
        "client",
        "peer",
        "scheme",
        "host",
        "method",
        "target",
        "version",
        "status",
        "bytes",
        "site",
        "route",
        "user",
        "reason",
        "rate",
        "rate_result",
        "referer",
        "user_agent",
        "accept_us",
        "parse_us",
        "handle_us",
        "respond_us",
        "total_us",
        "worker",
        "connection",
        "request",
        "id",
    ];
    const WORDS: &[Word] = &[
        Word { text: "json", doc: "one JSON object a line", is_later: false },
        Word { text: "combined", doc: "the format of Apache and nginx", is_later: false },
        Word { text: "pretty", doc: "for people", is_later: false },
    ];
}

impl Value for LogFormat {
    fn kind() -> Kind {
        let template = Kind::Text("a text with placeholders", "{client} {method} {target} {status}");
        Kind::Any(vec![Kind::Words(Self::WORDS), template])
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.raw {
            Raw::Text(text) if text == "json" => return Some(Self::Json),
            Raw::Text(text) if text == "combined" => return Some(Self::Combined),
            Raw::Text(text) if text == "pretty" => return Some(Self::Pretty),
            Raw::Text(text) if !text.contains('{') => {
                reader.word(node, Self::WORDS);
                return None;
            }
            _ => {}
        }
        let template = Template::read(node, reader)?;
        if let Some(name) = template.unknown(&Self::NAMES) {
            value::unknown_placeholder(&node.origin, reader, name, &Self::NAMES);
            return None;
        }
        Some(Self::Template(template))
    }

    fn show(&self) -> String {
        match self {
            Self::Json => quoted("json"),
            Self::Combined => quoted("combined"),
            Self::Pretty => quoted("pretty"),
            Self::Template(template) => template.show(),
        }
    }
}

/// What a log does not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redacted {
    /// Of the address of the client, and of the peer, all but its network.
    Client,
    /// Who the client has proved to be.
    User,
    /// The value of this field: of `host`, `referer`, `user-agent`, or of `authorization` and `cookie`, which
    /// no line has.
    Field(HeaderName),
    /// The value of this parameter of the query.
    Query(String),
}

/// The fields that a line may have, and two that people want to be sure of.
const FIELDS: [&str; 5] = ["host", "referer", "user-agent", "authorization", "cookie"];

impl FromText for Redacted {
    const WHAT: &'static str = "something that a log can leave out";
    const EXAMPLE: &'static str = "query:token";

    fn of(text: &str, folder: &Path) -> Result<Self, String> {
        match text.strip_prefix("query:") {
            Some("") => Err("the name of a parameter must follow: query:token".to_owned()),
            Some(name) => Ok(Self::Query(name.to_owned())),
            None => match text.to_ascii_lowercase().as_str() {
                "client" => Ok(Self::Client),
                "user" => Ok(Self::User),
                field if FIELDS.contains(&field) => {
                    <HeaderName as FromText>::of(field, folder).map(Self::Field)
                }
                "peer" => Err("`client` leaves it out, too".to_owned()),
                other => Err(match nearest(other, FIELDS.into_iter().chain(["client", "user"])) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => "there are client, user, host, referer, user-agent and query:NAME".to_owned(),
                }),
            },
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Client => "client".to_owned(),
            Self::User => "user".to_owned(),
            Self::Field(name) => name.as_str().to_owned(),
            Self::Query(name) => format!("query:{name}"),
        }
    }
}
