//! [`Key`]: what signatures are checked with, and how long that takes. RFC 7515, RFC 7517, RFC 7518.
//!
//! A key has its algorithms, whatever a token says: one, or those that the server takes for its kind. `none`
//! is none.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, crypto};
use serde_json::Value;
use subtle::ConstantTimeEq as _;

/// What somebody signs with, as others see it.
pub(super) struct Key {
    id: Option<Box<str>>,
    /// At least one, and all of one family.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
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
        check(&key, algorithm)?;
        Ok(Self { id: None, algorithms: vec![algorithm], key })
    }

    /// The key that is written so; `None` if it is not for signatures, or for no algorithm of `listed`. An
    /// empty list: whatever it is for.
    ///
    /// # Errors
    /// If it is of an unknown kind, or too short.
    pub(super) fn of(value: &Value, listed: &[Algorithm]) -> Result<Option<Self>, String> {
        let jwk: Jwk = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
        if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) {
            return Ok(None);
        }
        let key = DecodingKey::from_jwk(&jwk).map_err(|error| error.to_string())?;
        let usual = usual(&jwk.algorithm);
        let said = jwk.common.key_algorithm.map(|said: KeyAlgorithm| Algorithm::try_from(said).ok());
        let algorithms = match said.unwrap_or(usual) {
            // What it does not say, the list does.
            _ if said.is_none() && !listed.is_empty() => {
                listed.iter().copied().filter(|listed| is_of(&key, usual, *listed)).collect()
            }
            own if !listed.is_empty() && !own.is_some_and(|own| listed.contains(&own)) => Vec::new(),
            None => return Err("it has an unknown \"alg\" or none, or an unknown curve".to_owned()),
            Some(own) if !is_of(&key, usual, own) => {
                return Err(format!("its \"alg\" {own:?} is not for a key of its kind"));
            }
            Some(own) => vec![own],
        };
        let Some(first) = algorithms.first() else { return Ok(None) };
        let checked = check(&key, *first);
        let algorithms: Vec<_> = algorithms.into_iter().filter(|one| check(&key, *one).is_ok()).collect();
        match algorithms.is_empty() {
            true => checked.map(|()| None),
            false => Ok(Some(Self { id: jwk.common.key_id.map(Into::into), algorithms, key })),
        }
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

/// The algorithm of a key that names none: on a curve there is but one.
fn usual(key: &AlgorithmParameters) -> Option<Algorithm> {
    match key {
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
    }
}

/// Whether the algorithm is one for such a key.
fn is_of(key: &DecodingKey, usual: Option<Algorithm>, algorithm: Algorithm) -> bool {
    key.family() == algorithm.family()
        && match algorithm.family() {
            AlgorithmFamily::Rsa | AlgorithmFamily::Hmac => true,
            AlgorithmFamily::Ec | AlgorithmFamily::Ed => usual == Some(algorithm),
        }
}

/// Whether it is long enough. RFC 7518 §3.2, §3.3.
fn check(key: &DecodingKey, algorithm: Algorithm) -> Result<(), String> {
    let bytes_min = match algorithm {
        Algorithm::HS256 => 32,
        Algorithm::HS384 => 48,
        Algorithm::HS512 => 64,
        _ if algorithm.family() == AlgorithmFamily::Rsa => 256,
        _ => return Ok(()),
    };
    let bytes = length(key);
    if bytes < bytes_min {
        return Err(format!("a key for {algorithm:?} has at least {bytes_min} bytes, this one {bytes}"));
    }
    Ok(())
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
