//! [`JwtAuth`]: a signed token before a handler. RFC 7519, RFC 7515, RFC 7517, RFC 8725; RFC 6750.
//!
//! ```text
//!  token ─► verified before, and not expired ─ yes ─► the handler
//!             │ no
//!             ▼
//!  too many wrong ones from there? ─ yes ─► 429
//!             │ no
//!             ▼
//!  header ─► key, by kid ─► is alg one of the key's? ─► signature ─► exp, nbf, iss, aud, sub ─► the handler
//!                                │ no                     │ wrong       │ wrong
//!                                └────────────────────────┴─────────────┴──► 401 "invalid_token"
//! ```
//! Who has not signed learns nothing of what is wrong besides. Signatures that take long are checked on the
//! blocking pool, as passwords are; what the loop can check in the time of a few requests, it checks itself.
//! Either once for each token that is right, and for an address some times for those that are wrong. Time is
//! the request's.
//!
//! | file | what it is |
//! | --- | --- |
//! | `key` | a key, its algorithm, and how long a check takes |
//! | `sound` | whether a key is one that its owner alone can sign with |
//! | `verified` | tokens that were found right |

mod key;
mod sound;
mod verified;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use jsonwebtoken::Algorithm;
use serde_json::Value;

use super::checks::{Checks, Claim, Identity, Wrong};
use super::listing::{Content, ListError, ListProblem};
use super::seal::{Digest, Seal};
use super::who::{Challenge, Users};
use crate::app::adapters::IntoHandler;
use crate::app::layer::{Acts, Layer, Layered, Passage};
use crate::app::request::Request;
use crate::http::{Reason, Response};

use key::{Found, Key};
use verified::Verified;

/// How far clocks may differ.
const LEEWAY: Duration = Duration::from_secs(30);
/// What the loop checks itself, in microseconds: to leave it and come back takes as long.
const LOOP_MICROS_MAX: u32 = 20;

/// Keys, and what must stand in the tokens that they have signed. Clones share what they remember.
///
/// ```
/// use kolk::{App, JwtAuth, Request};
///
/// let auth = JwtAuth::new("the forge")
///     .secret("HS256", b"no shorter than what the hash gives")?
///     .issuer("https://login.example")
///     .audience("forge");
/// let app = App::new().get("/", auth.guard(|request: &Request<'_>| request.user().unwrap_or("?").to_owned()));
/// let answer = app.oneshot(http::Request::get("/").header("authorization", "Bearer a.b.c").body("").unwrap());
/// assert_eq!(answer.status(), 401);
/// assert_eq!(answer.headers()["www-authenticate"], r#"Bearer realm="the forge", error="invalid_token""#);
/// # Ok::<(), kolk::app::ListError>(())
/// ```
#[derive(Clone)]
pub struct JwtAuth {
    challenge: Challenge,
    keys: Vec<Arc<Key>>,
    /// With which keys may be used that are added; none: whatever they are for.
    algorithms: Vec<Algorithm>,
    issuers: Vec<Box<str>>,
    audiences: Vec<Box<str>>,
    leeway: Duration,
    users: Users,
    seal: Seal,
    verified: Arc<Verified>,
    checks: Checks,
}

/// What stands in a token, in its first two parts.
struct Said {
    algorithm: Algorithm,
    /// The name of the key, `kid`.
    id: Option<Box<str>>,
    /// Whether there are extensions that must be understood. RFC 7515 §4.1.11.
    has_extensions: bool,
    claims: Value,
}

/// What a token says, which its signature has still to prove.
struct Unproved {
    digest: Digest,
    /// Those that could have signed it.
    keys: Vec<Arc<Key>>,
    algorithm: Algorithm,
    /// Until which second it is taken, and who has it; or why it is not, whoever has signed it.
    claims: Result<(u64, Arc<str>), Reason>,
}

/// The same, on its way to another thread.
struct Signature {
    token: Box<[u8]>,
    unproved: Unproved,
    now_seconds: u64,
    verified: Arc<Verified>,
    challenge: Challenge,
}

/// Something else stands in the place of a moment.
struct NoMoment;

impl JwtAuth {
    /// Lets nobody in. `realm` is a name for what is behind.
    ///
    /// # Panics
    /// If the realm has control characters, or the system gives no random bytes.
    #[track_caller]
    pub fn new(realm: &str) -> Self {
        Self {
            challenge: Challenge::new(realm),
            keys: Vec::new(),
            algorithms: Vec::new(),
            issuers: Vec::new(),
            audiences: Vec::new(),
            leeway: LEEWAY,
            users: Users::default(),
            seal: Seal::new(),
            verified: Arc::default(),
            checks: Checks::new(),
        }
    }

    /// Of the keys that are added after this, takes those for one of these algorithms alone: `RS256`,
    /// `ES256`, `EdDSA` and so on. A key that does not say what it is for is used with all of these that are
    /// for its kind. Without this, with whatever a key is for.
    ///
    /// ```
    /// use kolk::JwtAuth;
    ///
    /// let auth = || JwtAuth::new("the forge").algorithms(["ES256", "EdDSA"]);
    /// let secret = r#"{ "keys": [{ "kty": "oct", "alg": "HS256", "k": "c2VjcmV0IHRoYXQgaXMgbG9uZyBlbm91Z2ggZm9yIGl0" }] }"#;
    /// let error = auth()?.jwks(secret).unwrap_err();
    /// assert_eq!(error.to_string(), "none of the keys is for ES256 or EdDSA");
    /// # Ok::<(), kolk::app::ListError>(())
    /// ```
    ///
    /// # Errors
    /// If there is no such algorithm.
    pub fn algorithms<N: AsRef<str>>(
        mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Self, ListError> {
        let known = |name: N| {
            let wrong = |_| wrong(format!("{:?} is no algorithm that tokens are signed with", name.as_ref()));
            name.as_ref().parse::<Algorithm>().map_err(wrong)
        };
        self.algorithms = names.into_iter().map(known).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Also takes tokens that were signed with a key of this set (RFC 7517 §5). A key without `alg` has the
    /// usual one: RS256, or that of its curve. Keys for something else than to verify are left out, and those
    /// for other algorithms than are [taken](Self::algorithms); and, with a warning in the log, those of a
    /// kind, of a curve or for an algorithm that is not known.
    ///
    /// # Errors
    /// If it is no set of keys, if a key is too short or anybody could sign for it, if two have one `kid`, or
    /// if all are left out.
    pub fn jwks(self, text: &str) -> Result<Self, ListError> {
        self.set(&keys_of(text)?, "")
    }

    /// The same from the file `path`, which has at most 1 MiB. If it has a secret or a private key and
    /// everybody on this machine can read it, the log warns of that.
    ///
    /// # Errors
    /// If it cannot be read, too.
    pub fn jwks_file(self, path: impl AsRef<Path>) -> Result<Self, ListError> {
        let path = path.as_ref();
        let content = Content::of(path)?;
        let set = keys_of(content.text()?).map_err(|error| error.of(path))?;
        if set.iter().any(key::is_secret) {
            content.warn_if_open();
        }
        self.set(&set, &format!("{}: ", path.display())).map_err(|error| error.of(path))
    }

    /// Those of `found` that are for signatures; `place` is where they stand.
    fn set(mut self, found: &[Value], place: &str) -> Result<Self, ListError> {
        for (index, value) in found.iter().enumerate() {
            let named = value
                .get("kid")
                .and_then(Value::as_str)
                .map_or_else(|| (index + 1).to_string(), |id| format!("{id:?}"));
            let key = Key::of(value, &self.algorithms);
            match key.map_err(|what| wrong(format!("key {named}: {what}")))? {
                Found::Key(key) => self.add(key).map_err(wrong)?,
                Found::ForOthers => {}
                Found::Unknown(what) => {
                    log::warn!("{place}key {named} is left out: its {what} is not known here");
                }
            }
        }
        if self.keys.is_empty() {
            return Err(wrong(match (&*self.algorithms, found.is_empty()) {
                ([], _) | (_, true) => "there is no key that could sign tokens".into(),
                (listed, false) => format!("none of the keys is for {}", one_of(listed)),
            }));
        }
        self.forget();
        Ok(self)
    }

    /// Also takes tokens that were signed with this secret; `algorithm` is `HS256`, `HS384` or `HS512`.
    ///
    /// # Errors
    /// If the algorithm is another one or not one that is [taken](Self::algorithms), or the secret is shorter
    /// than its hash (RFC 7518 §3.2).
    pub fn secret(mut self, algorithm: &str, secret: &[u8]) -> Result<Self, ListError> {
        let key = Key::secret(algorithm, secret).map_err(wrong)?;
        if !self.algorithms.is_empty() && !self.algorithms.iter().any(|listed| key.is_for(*listed)) {
            return Err(wrong(format!("{algorithm} is not {}", one_of(&self.algorithms))));
        }
        self.add(key).map_err(wrong)?;
        self.forget();
        Ok(self)
    }

    /// The same from the file `path`: all of it; of a text, without the line's end.
    ///
    /// # Errors
    /// If it cannot be read, too.
    pub fn secret_file(self, algorithm: &str, path: impl AsRef<Path>) -> Result<Self, ListError> {
        let path = path.as_ref();
        let content = Content::of(path)?;
        content.warn_if_open();
        // Of random bytes the last ones may look like that.
        let secret = content.text().map(|text| text.trim_end_matches(['\r', '\n']).as_bytes());
        self.secret(algorithm, secret.unwrap_or_else(|_| content.bytes())).map_err(|error| error.of(path))
    }

    /// Takes only tokens of this issuer, or of another that is named so.
    #[must_use]
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.issuers.push(issuer.into());
        self.forget();
        self
    }

    /// Takes only tokens for this audience, or for another that is named so. Without one, a token that says
    /// whom it is for is refused (RFC 7519 §4.1.3).
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        self.audiences.push(audience.into());
        self.forget();
        self
    }

    /// How far the clock of who signs may be from this one, in whole seconds, rounded up: 30 unless told
    /// otherwise.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self.forget();
        self
    }

    /// After `count` tokens that are none, or whose signature is wrong, from one address (the /64 of an IPv6
    /// address) within this time, takes no token from it for the rest of the time but those that were found
    /// right before: the answer is 429, and nothing is checked. 10 within a minute unless told otherwise; a
    /// `count` of 0 is no limit. Clients without an address have none.
    #[must_use]
    pub fn failures(mut self, count: u32, within: Duration) -> Self {
        self.checks = self.checks.limited(count, within);
        self
    }

    /// Goes on where `other` is, if both have the same keys, algorithms, issuers, audiences and leeway: what
    /// was found right there is believed here, too, and what is being checked there is not checked once more.
    /// For keys that take the place of others, so that not all tokens are checked at once. Where anything is
    /// not the same, nothing is taken over: a key that is gone opens nothing. What is told of either after
    /// this is its own.
    #[must_use]
    pub fn knowing_with(mut self, other: &Self) -> Self {
        if self.judges_like(other) {
            self.seal = other.seal.clone();
            self.verified = Arc::clone(&other.verified);
            self.checks.waiting_with(&other.checks);
        }
        self
    }

    /// Counts tokens that are none together with `other`, each up to its own limit, if both have one: for
    /// keys that take the place of others, so that whoever guesses does not begin anew.
    #[must_use]
    pub fn failing_with(mut self, other: &Self) -> Self {
        self.checks.failing_with(&other.checks);
        self
    }

    /// Lets in only these subjects; the others are answered with 403.
    #[must_use]
    pub fn users<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.users = Users::only(names);
        self
    }

    /// `handler`, for who has such a token alone.
    pub fn guard<H: IntoHandler>(&self, handler: H) -> Layered<H::Handler> {
        Layered::before(handler.into_handler(), self.clone())
    }

    /// Whether what is right for the one is for the other.
    fn judges_like(&self, other: &Self) -> bool {
        let keys = self.keys.iter().zip(&other.keys);
        self.keys.len() == other.keys.len()
            && keys.into_iter().all(|(key, other)| key.is_like(other))
            && self.issuers == other.issuers
            && self.audiences == other.audiences
            && self.leeway == other.leeway
    }

    fn add(&mut self, key: Key) -> Result<(), String> {
        if let Some(id) = key.id().filter(|id| self.keys.iter().any(|other| other.id() == Some(id))) {
            return Err(format!("there are two keys of the kid {id:?}: remove one"));
        }
        self.keys.push(Arc::new(key));
        Ok(())
    }

    /// What was right by other rules is not any more; and the clones keep theirs.
    fn forget(&mut self) {
        self.verified = Arc::default();
    }

    /// What there is to prove of what a token says; `None` if nobody can.
    fn weigh(&self, said: &Said, digest: Digest, now_seconds: u64) -> Option<Unproved> {
        let Said { algorithm, claims, .. } = said;
        let keys = self.keys_for(*algorithm, said.id.as_deref());
        // RFC 7519 §4.1.6: it is only looked at whether it is a moment.
        let is_dated = claims.get("iat").is_none_or(Value::is_number);
        (!said.has_extensions && is_dated && !keys.is_empty()).then(|| Unproved {
            digest,
            keys,
            algorithm: *algorithm,
            claims: self.judge(claims, now_seconds),
        })
    }

    /// The key of this name; else those without one; else, for a token that names none, the only one.
    fn keys_for(&self, algorithm: Algorithm, id: Option<&str>) -> Vec<Arc<Key>> {
        let known = || self.keys.iter().filter(|key| key.is_for(algorithm)).map(Arc::clone);
        if let Some(named) = known().find(|key| id.is_some() && key.id() == id) {
            return vec![named];
        }
        if id.is_none() && known().count() == 1 {
            return known().collect();
        }
        known().filter(|key| key.id().is_none()).collect()
    }

    /// Nobody who has a token would send this.
    fn fail(&self, request: &Request<'_>, response: &mut Response) -> Passage {
        self.checks.count_failure(request);
        self.challenge.refuse(Reason::TokenInvalid, response)
    }

    /// RFC 7519 §4.1: until when it is taken, and who has it.
    fn judge(&self, claims: &Value, now_seconds: u64) -> Result<(u64, Arc<str>), Reason> {
        let leeway = self.leeway.as_secs().saturating_add(u64::from(self.leeway.subsec_nanos() > 0));
        let until = seconds(claims, "exp").map_err(|_| Reason::TokenExpiryMissing)?;
        let until = until.ok_or(Reason::TokenExpiryMissing)?.saturating_add(leeway);
        if now_seconds >= until {
            return Err(Reason::TokenExpired);
        }
        let from = seconds(claims, "nbf").map_err(|_| Reason::TokenEarly)?;
        if from.is_some_and(|from| now_seconds.saturating_add(leeway) < from) {
            return Err(Reason::TokenEarly);
        }
        let is_listed = |list: &[Box<str>], value: &Value| {
            value.as_str().is_some_and(|text| list.iter().any(|known| **known == *text))
        };
        let issuer = claims.get("iss").unwrap_or(&Value::Null);
        if !self.issuers.is_empty() && !is_listed(&self.issuers, issuer) {
            return Err(Reason::TokenIssuer);
        }
        let is_for_us = match claims.get("aud") {
            None | Some(Value::Null) => self.audiences.is_empty(),
            Some(Value::Array(several)) => several.iter().any(|one| is_listed(&self.audiences, one)),
            Some(one) => is_listed(&self.audiences, one),
        };
        if !is_for_us {
            return Err(Reason::TokenAudience);
        }
        let subject = claims.get("sub").and_then(Value::as_str).filter(|subject| !subject.is_empty());
        Ok((until, subject.ok_or(Reason::TokenSubjectMissing)?.into()))
    }
}

impl Unproved {
    /// Whether the loop checks it itself.
    fn is_quick(&self) -> bool {
        self.keys.iter().map(|key| key.micros()).sum::<u32>() <= LOOP_MICROS_MAX
    }

    /// Whose token it is, if one of the keys has signed it and nothing else is wrong; then it is remembered.
    fn prove(&self, token: &[u8], verified: &Verified) -> Result<Arc<str>, Wrong> {
        if !self.is_signed(token) {
            return Err(Wrong { reason: Reason::TokenInvalid, is_failure: true });
        }
        let (until, subject) =
            self.claims.as_ref().map_err(|reason| Wrong { reason: *reason, is_failure: false })?;
        verified.keep(self.digest, *until, Arc::clone(subject));
        Ok(Arc::clone(subject))
    }

    fn is_signed(&self, token: &[u8]) -> bool {
        let mut parts = token.rsplitn(2, |byte| *byte == b'.');
        let (Some(signature), Some(message)) = (parts.next(), parts.next()) else { return false };
        let Ok(signature) = str::from_utf8(signature) else { return false };
        self.keys.iter().any(|key| key.has_signed(self.algorithm, message, signature))
    }
}

impl Claim for Signature {
    fn is_known(&self) -> bool {
        self.verified.get(&self.unproved.digest, self.now_seconds).is_some()
    }

    fn check(&self) -> Result<(), Wrong> {
        self.unproved.prove(&self.token, &self.verified).map(|_| ())
    }

    fn refusal(&self, reason: Reason) -> Response {
        let mut response = Response::default();
        self.challenge.refuse(reason, &mut response);
        response
    }
}

impl Layer for JwtAuth {
    fn before(&self, request: &Request<'_>, response: &mut Response) -> Passage {
        let token = match self.challenge.token(request, response) {
            Ok(token) => token,
            Err(refused) => return refused,
        };
        let (digest, now_seconds) = (self.seal.digest(&[token]), request.unix_seconds());
        if let Some(subject) = self.verified.get(&digest, now_seconds) {
            return self.users.admit(&subject, request, response);
        }
        if self.checks.refuses(request, response) {
            return Passage::answered();
        }
        let Some(said) = said_by(token) else { return self.fail(request, response) };
        let Some(unproved) = self.weigh(&said, digest, now_seconds) else {
            return self.challenge.refuse(Reason::TokenInvalid, response);
        };
        if unproved.is_quick() {
            return match unproved.prove(token, &self.verified) {
                Ok(subject) => self.users.admit(&subject, request, response),
                Err(Wrong { is_failure: true, .. }) => self.fail(request, response),
                Err(Wrong { reason, .. }) => self.challenge.refuse(reason, response),
            };
        }
        if request.is_gone() {
            // Nothing is computed for who cannot hear of it, and could not be counted.
            return self.challenge.refuse(Reason::TokenInvalid, response);
        }
        // By other rules the same token may not be as right.
        let identity = Identity { digest, judge: Arc::as_ptr(&self.verified).addr() };
        self.checks.submit(request, response, identity, || Signature {
            token: token.into(),
            unproved,
            now_seconds,
            verified: Arc::clone(&self.verified),
            challenge: self.challenge.clone(),
        })
    }

    fn acts(&self) -> Acts {
        Acts::REQUESTS
    }

    fn name(&self) -> &'static str {
        "auth"
    }

    fn explain(&self) -> String {
        format!("{}; keys: {}", self.challenge, self.keys.len())
    }
}

impl fmt::Debug for JwtAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtAuth")
            .field("keys", &self.keys.len())
            .field("issuers", &self.issuers)
            .field("audiences", &self.audiences)
            .field("checks", &self.checks)
            .finish_non_exhaustive()
    }
}

fn wrong(what: String) -> ListError {
    ListError::whole(ListProblem::Keys(what))
}

/// What stands in a set of keys. RFC 7517 §5.
fn keys_of(text: &str) -> Result<Vec<Value>, ListError> {
    let mut set: Value = serde_json::from_str(text).map_err(|error| wrong(format!("no JSON: {error}")))?;
    match set.get_mut("keys").map(Value::take) {
        Some(Value::Array(keys)) => Ok(keys),
        _ => Err(wrong("a set of keys has an array \"keys\"".into())),
    }
}

/// `RS256, RS384 or RS512`
fn one_of(algorithms: &[Algorithm]) -> String {
    let names: Vec<_> = algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// What stands in `token`, if it has three parts, a header and claims. RFC 7515 §4.1, §7.1.
fn said_by(token: &[u8]) -> Option<Said> {
    let mut parts = str::from_utf8(token).ok()?.split('.');
    let (header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let read = |part: &str| -> Option<Value> {
        serde_json::from_slice(&Base64UrlUnpadded::decode_vec(part).ok()?).ok()
    };
    let header = read(header).filter(|_| parts.next().is_none())?;
    let id = header.get("kid").filter(|id| !id.is_null());
    Some(Said {
        algorithm: header.get("alg")?.as_str()?.parse().ok()?,
        id: id.map(|id| id.as_str().map(Into::into).ok_or(())).transpose().ok()?,
        has_extensions: header.get("crit").is_some(),
        claims: read(claims)?,
    })
}

/// A moment in whole seconds since 1970; `None` if it is not there. RFC 7519 §2.
fn seconds(claims: &Value, name: &str) -> Result<Option<u64>, NoMoment> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match (value.as_u64(), value.as_f64()) {
            (Some(seconds), _) => Ok(Some(seconds)),
            (None, Some(seconds)) if (0.0..1e15).contains(&seconds) => {
                Ok(Some(Duration::from_secs_f64(seconds).as_secs()))
            }
            _ => Err(NoMoment),
        },
    }
}

#[cfg(test)]
mod tests;
