//! [`JwtAuth`]: a signed token before a handler. RFC 7519, RFC 7515, RFC 7517, RFC 8725; RFC 6750.
//!
//! ```text
//!  token ─► verified before, and not expired ─ yes ─► the handler
//!             │ no
//!             ▼
//!  header ─► key, by kid ─► is alg the key's own? ─► signature ─► exp, nbf, iss, aud, sub ─► the handler
//!                                │ no                  │ wrong      │ wrong
//!                                └─────────────────────┴────────────┴──► 401 error="invalid_token"
//! ```
//! A key has one algorithm, whatever a token says; `none` is none. Signatures are checked on the loop's
//! thread: that takes about a tenth of a millisecond, for ES384 some tenths, and once for each token that is
//! right. Time is the request's.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::listing::{self, ListError, ListProblem};
use super::who::{Challenge, Users};
use crate::app::adapters::IntoHandler;
use crate::app::layer::{Acts, Layer, Layered, Passage};
use crate::app::request::Request;
use crate::http::{Reason, Response};

/// Longer tokens are not looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Verified tokens that are remembered, some 100 bytes each.
const VERIFIED_MAX: usize = 1024;
/// How far clocks may differ.
const LEEWAY: Duration = Duration::from_secs(30);

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
    keys: Arc<Vec<Key>>,
    issuers: Vec<Box<str>>,
    audiences: Vec<Box<str>>,
    leeway: Duration,
    users: Users,
    verified: Arc<Mutex<Verified>>,
}

#[derive(Clone)]
struct Key {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// The digest of a token; until which second it is believed, and who has it.
type Verified = HashMap<[u8; 32], (u64, Arc<str>)>;

impl JwtAuth {
    /// Lets nobody in. `realm` is a name for what is behind.
    ///
    /// # Panics
    /// If the realm has control characters.
    #[track_caller]
    pub fn new(realm: &str) -> Self {
        Self {
            challenge: Challenge::new(realm),
            keys: Arc::default(),
            issuers: Vec::new(),
            audiences: Vec::new(),
            leeway: LEEWAY,
            users: Users::default(),
            verified: Arc::default(),
        }
    }

    /// Also takes tokens that were signed with a key of this set (RFC 7517 §5). A key without `alg` has the
    /// usual one: RS256, or that of its curve. Keys for encryption are left out.
    ///
    /// # Errors
    /// If it is no set of keys, if a key is of an unknown kind or too short, or if two have one `kid`.
    pub fn jwks(mut self, text: &str) -> Result<Self, ListError> {
        let wrong = |what: String| ListError::whole(ListProblem::Keys(what));
        let set: Value = serde_json::from_str(text).map_err(|error| wrong(format!("no JSON: {error}")))?;
        let found = set.get("keys").and_then(Value::as_array);
        let found = found.ok_or_else(|| wrong("a set of keys has an array \"keys\"".into()))?;
        for (index, value) in found.iter().enumerate() {
            let named = value
                .get("kid")
                .and_then(Value::as_str)
                .map_or_else(|| (index + 1).to_string(), |id| format!("{id:?}"));
            let key = Key::of(value).map_err(|what| wrong(format!("key {named}: {what}")))?;
            if let Some(key) = key {
                self.add(key).map_err(wrong)?;
            }
        }
        if self.keys.is_empty() {
            return Err(wrong("there is no key that could sign tokens".into()));
        }
        self.forget();
        Ok(self)
    }

    /// The same from the file `path`, which has at most 1 MiB.
    ///
    /// # Errors
    /// If it cannot be read, too.
    pub fn jwks_file(self, path: impl AsRef<Path>) -> Result<Self, ListError> {
        let path = path.as_ref();
        self.jwks(&listing::read(path)?).map_err(|error| error.of(path))
    }

    /// Also takes tokens that were signed with this secret; `algorithm` is `HS256`, `HS384` or `HS512`.
    ///
    /// # Errors
    /// If the algorithm is another one, or the secret is shorter than its hash (RFC 7518 §3.2).
    pub fn secret(mut self, algorithm: &str, secret: &[u8]) -> Result<Self, ListError> {
        let wrong = |what: String| ListError::whole(ListProblem::Keys(what));
        let algorithm =
            algorithm.parse().ok().filter(|known: &Algorithm| known.family() == AlgorithmFamily::Hmac);
        let algorithm = algorithm.ok_or_else(|| wrong("a secret is for HS256, HS384 or HS512".into()))?;
        let key = Key { id: None, algorithm, key: DecodingKey::from_secret(secret) };
        key.check().and_then(|()| self.add(key)).map_err(wrong)?;
        self.forget();
        Ok(self)
    }

    /// The same from the file `path`: all of it, without the line's end.
    ///
    /// # Errors
    /// If it cannot be read, too.
    pub fn secret_file(self, algorithm: &str, path: impl AsRef<Path>) -> Result<Self, ListError> {
        let path = path.as_ref();
        let text = listing::read(path)?;
        self.secret(algorithm, text.trim_end_matches(['\r', '\n']).as_bytes()).map_err(|error| error.of(path))
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

    /// How far the clock of who signs may be from this one: 30 seconds unless told otherwise.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self.forget();
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

    fn add(&mut self, key: Key) -> Result<(), String> {
        if let Some(id) =
            key.id.as_ref().filter(|id| self.keys.iter().any(|other| other.id.as_ref() == Some(id)))
        {
            return Err(format!("there are two keys of the kid {id:?}: remove one"));
        }
        Arc::make_mut(&mut self.keys).push(key);
        Ok(())
    }

    /// What was right by other rules is not any more; and the clones keep theirs.
    fn forget(&mut self) {
        self.verified = Arc::default();
    }

    /// Whose token it is.
    fn subject_of(&self, token: &[u8], now_seconds: u64) -> Result<Arc<str>, Reason> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Reason::TokenInvalid);
        }
        let digest: [u8; 32] = Sha256::digest(token).into();
        let known = self.verified.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned();
        if let Some((_, subject)) = known.filter(|(until, _)| now_seconds < *until) {
            return Ok(subject);
        }
        let claims = self.claims_of(token).ok_or(Reason::TokenInvalid)?;
        let (until, subject) = self.judge(&claims, now_seconds)?;
        self.keep(digest, until, Arc::clone(&subject), now_seconds);
        Ok(subject)
    }

    /// What stands in a token whose signature is right.
    fn claims_of(&self, token: &[u8]) -> Option<Value> {
        let header = decode_header(token).ok()?;
        // RFC 7515 §4.1.11: extensions that must be understood are not.
        if header.crit.is_some() {
            return None;
        }
        self.keys_for(header.alg, header.kid.as_deref()).into_iter().find_map(|key| {
            let mut validation = Validation::new(key.algorithm);
            validation.required_spec_claims.clear();
            validation.validate_exp = false;
            validation.validate_aud = false;
            decode::<Value>(token, &key.key, &validation).ok().map(|token| token.claims)
        })
    }

    /// The key of this name; else those without one; else, for a token that names none, the only one.
    fn keys_for(&self, algorithm: Algorithm, id: Option<&str>) -> Vec<&Key> {
        let known: Vec<_> = self.keys.iter().filter(|key| key.algorithm == algorithm).collect();
        if let Some(named) = known.iter().find(|key| id.is_some() && key.id.as_deref() == id) {
            return vec![named];
        }
        if id.is_none() && known.len() == 1 {
            return known;
        }
        known.into_iter().filter(|key| key.id.is_none()).collect()
    }

    /// RFC 7519 §4.1: until when it is taken, and who has it.
    fn judge(&self, claims: &Value, now_seconds: u64) -> Result<(u64, Arc<str>), Reason> {
        let leeway = self.leeway.as_secs();
        let until = seconds(claims, "exp")?.ok_or(Reason::TokenInvalid)?.saturating_add(leeway);
        if now_seconds >= until {
            return Err(Reason::TokenExpired);
        }
        if seconds(claims, "nbf")?.is_some_and(|from| now_seconds.saturating_add(leeway) < from) {
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
        Ok((until, subject.ok_or(Reason::TokenInvalid)?.into()))
    }

    fn keep(&self, digest: [u8; 32], until: u64, subject: Arc<str>, now_seconds: u64) {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= VERIFIED_MAX {
            verified.retain(|_, (until, _)| now_seconds < *until);
            let next = verified.iter().min_by_key(|(_, (until, _))| *until).map(|(digest, _)| *digest);
            if let Some(next) = next.filter(|_| verified.len() >= VERIFIED_MAX) {
                verified.remove(&next);
            }
        }
        verified.insert(digest, (until, subject));
    }
}

impl Key {
    /// The key that is written so; `None` if it is not for signatures.
    fn of(value: &Value) -> Result<Option<Self>, String> {
        let jwk: Jwk = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
        if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) {
            return Ok(None);
        }
        let usual = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Some(Algorithm::RS256),
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => Some(Algorithm::ES256),
                EllipticCurve::P384 => Some(Algorithm::ES384),
                _ => None,
            },
            AlgorithmParameters::OctetKeyPair(key) => {
                (key.curve == EllipticCurve::Ed25519).then_some(Algorithm::EdDSA)
            }
            _ => None,
        };
        let said = jwk.common.key_algorithm.map(|said: KeyAlgorithm| Algorithm::try_from(said).ok());
        let algorithm =
            said.unwrap_or(usual).ok_or("it has an unknown \"alg\" or none, or an unknown curve")?;
        let key = DecodingKey::from_jwk(&jwk).map_err(|error| error.to_string())?;
        // On a curve there is but one.
        let is_other =
            usual.is_some_and(|usual| usual.family() != AlgorithmFamily::Rsa && usual != algorithm);
        if key.family() != algorithm.family() || is_other {
            return Err(format!("its \"alg\" {algorithm:?} is not for a key of its kind"));
        }
        let key = Self { id: jwk.common.key_id.map(Into::into), algorithm, key };
        key.check().map(|()| Some(key))
    }

    /// Whether it is long enough. RFC 7518 §3.2, §3.3.
    fn check(&self) -> Result<(), String> {
        let bytes_min = match self.algorithm {
            Algorithm::HS256 => 32,
            Algorithm::HS384 => 48,
            Algorithm::HS512 => 64,
            _ if self.algorithm.family() == AlgorithmFamily::Rsa => 256,
            _ => return Ok(()),
        };
        let bytes = match self.key.kind() {
            jsonwebtoken::DecodingKeyKind::SecretOrDer(secret) => secret.len(),
            jsonwebtoken::DecodingKeyKind::RsaModulusExponent { n, .. } => n.len(),
        };
        if bytes < bytes_min {
            return Err(format!(
                "a key for {:?} has at least {bytes_min} bytes, this one {bytes}",
                self.algorithm
            ));
        }
        Ok(())
    }
}

impl Layer for JwtAuth {
    fn before(&self, request: &Request<'_>, response: &mut Response) -> Passage {
        let token = match self.challenge.token(request, response) {
            Ok(token) => token,
            Err(refused) => return refused,
        };
        match self.subject_of(token, request.unix_seconds()) {
            Ok(subject) => self.users.admit(&subject, request, response),
            Err(reason) => self.challenge.refuse(reason, response),
        }
    }

    fn acts(&self) -> Acts {
        Acts { before: true, after: false }
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
            .finish_non_exhaustive()
    }
}

/// A moment in whole seconds since 1970; `None` if it is not there.
fn seconds(claims: &Value, name: &str) -> Result<Option<u64>, Reason> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match (value.as_u64(), value.as_f64()) {
            (Some(seconds), _) => Ok(Some(seconds)),
            (None, Some(seconds)) if (0.0..1e15).contains(&seconds) => {
                Ok(Some(Duration::from_secs_f64(seconds).as_secs()))
            }
            _ => Err(Reason::TokenInvalid),
        },
    }
}

#[cfg(test)]
mod tests;
