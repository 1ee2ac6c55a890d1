//! [`Key`]: what signatures are checked with, and how long that takes. RFC 7515, RFC 7517, RFC 7518.
//!
//! ```text
//!  JSON ─► to verify with? ─► kty, crv ─► alg, or of those that are listed ─► sound? ─► Key
//!              │ no             │ unknown    │ none                              │ no
//!              └► ForOthers     └► Unknown   └► ForOthers                        └► an error
//! ```
//! A key has its algorithms, whatever a token says: one, or those that the server takes for its kind. `none`
//! is none. RFC 7517 §5: of a set, what is not understood is left out, and the others are used.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, crypto};
use serde_json::Value;
use subtle::ConstantTimeEq as _;

use super::sound;

/// What somebody signs with, as others see it.
pub(super) struct Key {
    id: Option<Box<str>>,
    /// At least one, and all of one family.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// What a key of a set is to a server.
pub(super) enum Found {
    /// What it checks signatures with.
    Key(Key),
    /// It is for something else.
    ForOthers,
    /// This of it is not known.
    Unknown(String),
}

impl Key {
    /// A secret that both sides know.
    ///
    /// # Errors
    /// If the algorithm takes none, or the secret is shorter than its hash. RFC 7518 §3.2.
    pub(super) fn secret(algorithm: &str, secret: &[u8]) -> Result<Self, String> {
        let algorithm = algorithm.parse().ok();
        let algorithm = algorithm.filter(|known: &Algorithm| known.family() == AlgorithmFamily::Hmac);
        let algorithm = algorithm.ok_or("a secret is for HS256, HS384 or HS512")?;
        let key = DecodingKey::from_secret(secret);
        sound::check(&key, algorithm)?;
        Ok(Self { id: None, algorithms: vec![algorithm], key })
    }

    /// The key that is written so, if it is for an algorithm of `listed`. An empty list: whatever it is for.
    ///
    /// # Errors
    /// If it is of a kind that is known and for an algorithm that is taken, and no key all the same.
    pub(super) fn of(value: &Value, listed: &[Algorithm]) -> Result<Found, String> {
        if !is_to_verify(value) {
            return Ok(Found::ForOthers);
        }
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let usual = match (text("kty"), text("crv")) {
            (Some("oct"), _) => None,
            (Some("RSA"), _) => Some(Algorithm::RS256),
            (Some("EC"), Some("P-256")) => Some(Algorithm::ES256),
            (Some("EC"), Some("P-384")) => Some(Algorithm::ES384),
            (Some("OKP"), Some("Ed25519")) => Some(Algorithm::EdDSA),
            (Some("EC" | "OKP"), _) => return Ok(Found::Unknown(format!("crv {}", value["crv"]))),
            _ => return Ok(Found::Unknown(format!("kty {}", value["kty"]))),
        };
        let said = value.get("alg").filter(|said| !said.is_null());
        let own = said.map_or(usual, |said| said.as_str().and_then(|name| name.parse().ok()));
        let algorithms: Vec<_> = match (own, said) {
            // What it does not say, the list does.
            (_, None) if !listed.is_empty() => {
                listed.iter().copied().filter(|listed| is_of(usual, *listed)).collect()
            }
            (own, _) if !listed.is_empty() && !own.is_some_and(|own| listed.contains(&own)) => Vec::new(),
            (Some(own), _) if is_of(usual, own) => vec![own],
            (Some(own), _) => return Err(format!("its \"alg\" {own:?} is not for a key of its kind")),
            (None, Some(said)) => return Ok(Found::Unknown(format!("alg {said}"))),
            (None, None) => return Err("a secret has an \"alg\" that says what it is for".to_owned()),
        };
        let Some(first) = algorithms.first() else { return Ok(Found::ForOthers) };
        let key = read(value, usual)?;
        let checked = sound::check(&key, *first);
        let is_sound = |algorithm: &Algorithm| sound::check(&key, *algorithm).is_ok();
        let algorithms: Vec<_> = algorithms.iter().copied().filter(is_sound).collect();
        if algorithms.is_empty() {
            return checked.map(|()| Found::ForOthers);
        }
        let id = value.get("kid").filter(|id| !id.is_null());
        let id = id.map(|id| id.as_str().map(Into::into).ok_or("its \"kid\" is no text")).transpose()?;
        Ok(Found::Key(Self { id, algorithms, key }))
    }

    /// Its name, `kid`.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether name, algorithms and what is checked with are the same: then what the one has signed, the
    /// other has.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.id == other.id && self.algorithms == other.algorithms && are_same(&self.key, &other.key)
    }

    /// Whether it is used with this algorithm.
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Whether `signature`, in base64url, is its of `message`, by this algorithm.
    pub(super) fn has_signed(&self, algorithm: Algorithm, message: &[u8], signature: &str) -> bool {
        self.is_for(algorithm) && crypto::verify(signature, message, &self.key, algorithm).unwrap_or(false)
    }

    /// About how many microseconds of a processor the check of one signature takes: what a forged request
    /// cost a server more than one with HS256. `benches/auth.rs` times the checks alone.
    pub(super) fn micros(&self) -> u32 {
        match (self.key.family(), length(&self.key)) {
            (AlgorithmFamily::Hmac, _) => 2,
            (AlgorithmFamily::Ed, _) => 65,
            (AlgorithmFamily::Ec, _) if self.is_for(Algorithm::ES256) => 95,
            (AlgorithmFamily::Ec, _) => 360,
            (AlgorithmFamily::Rsa, ..=256) => 40,
            (AlgorithmFamily::Rsa, ..=512) => 115,
            (AlgorithmFamily::Rsa, _) => 450,
        }
    }
}

/// Whether it is one that nobody else should have. RFC 7518 §6.2.2, §6.3.2, §6.4; RFC 8037 §2.
pub(super) fn is_secret(value: &Value) -> bool {
    value["kty"] == "oct" || !value["d"].is_null()
}

/// Whether signatures may be checked with it. RFC 7517 §4.2, §4.3.
fn is_to_verify(value: &Value) -> bool {
    let is = |value: &Value, text: &str| value.as_str() == Some(text);
    let operations =
        |value: &Value| value.as_array().is_some_and(|all| all.iter().any(|one| is(one, "verify")));
    value.get("use").is_none_or(|used| used.is_null() || is(used, "sig"))
        && value.get("key_ops").is_none_or(|used| used.is_null() || operations(used))
}

/// Whether the algorithm is one for a key of the kind whose usual one this is: a secret has none, and on a
/// curve there is but one.
fn is_of(usual: Option<Algorithm>, algorithm: Algorithm) -> bool {
    match usual {
        None => algorithm.family() == AlgorithmFamily::Hmac,
        Some(Algorithm::RS256) => algorithm.family() == AlgorithmFamily::Rsa,
        Some(only) => algorithm == only,
    }
}

/// What stands in it. RFC 7518 §6.2, §6.3, §6.4; RFC 8037 §2.
fn read(value: &Value, usual: Option<Algorithm>) -> Result<DecodingKey, String> {
    let part = |name: &str| {
        let text = value.get(name).and_then(Value::as_str);
        let bytes = text.and_then(|text| Base64UrlUnpadded::decode_vec(text).ok());
        bytes.ok_or_else(|| format!("its {name:?} is missing, or not in base64url"))
    };
    Ok(match usual {
        None => DecodingKey::from_secret(&part("k")?),
        Some(Algorithm::RS256) => {
            let (n, e) = (part("n")?, part("e")?);
            // RFC 7518 §6.3.1.1: some write a zero before the number, which is no part of its length.
            DecodingKey::from_rsa_raw_components(number(&n), number(&e))
        }
        Some(Algorithm::EdDSA) => DecodingKey::from_ed_der(&part("x")?),
        Some(_) => DecodingKey::from_ec_der(&[&[4], &*part("x")?, &*part("y")?].concat()),
    })
}

/// Without the zeros before it.
fn number(bytes: &[u8]) -> &[u8] {
    let first = bytes.iter().position(|byte| *byte != 0);
    &bytes[first.unwrap_or(bytes.len())..]
}

/// In constant time where it is a secret.
fn are_same(one: &DecodingKey, other: &DecodingKey) -> bool {
    let same = |one: &[u8], other: &[u8]| bool::from(one.ct_eq(other));
    one.family() == other.family()
        && match (one.kind(), other.kind()) {
            (DecodingKeyKind::SecretOrDer(one), DecodingKeyKind::SecretOrDer(other)) => same(one, other),
            (
                DecodingKeyKind::RsaModulusExponent { n, e },
                DecodingKeyKind::RsaModulusExponent { n: other_n, e: other_e },
            ) => same(n, other_n) && same(e, other_e),
            _ => false,
        }
}

/// How many bytes it has: of RSA the modulus.
fn length(key: &DecodingKey) -> usize {
    match key.kind() {
        DecodingKeyKind::SecretOrDer(secret) => secret.len(),
        DecodingKeyKind::RsaModulusExponent { n, .. } => n.len(),
    }
}
