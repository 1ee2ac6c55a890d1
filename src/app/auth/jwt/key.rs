//! [`Key`]: what signatures are checked with, and how long that takes. RFC 7515, RFC 7517, RFC 7518.
//!
//! A key has one algorithm, whatever a token says; `none` is none.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, crypto};
use serde_json::Value;

/// What somebody signs with, as others see it.
pub(super) struct Key {
    id: Option<Box<str>>,
    algorithm: Algorithm,
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
        let key = Self { id: None, algorithm, key: DecodingKey::from_secret(secret) };
        key.check().map(|()| key)
    }

    /// The key that is written so; `None` if it is not for signatures.
    ///
    /// # Errors
    /// If it is of an unknown kind, or too short.
    pub(super) fn of(value: &Value) -> Result<Option<Self>, String> {
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

    /// Its name, `kid`.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The only algorithm that it is used with.
    pub(super) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature`, in base64url, is its of `message`.
    pub(super) fn has_signed(&self, message: &[u8], signature: &str) -> bool {
        crypto::verify(signature, message, &self.key, self.algorithm).unwrap_or(false)
    }

    /// About how many microseconds of a processor the check of one signature takes: what a forged request
    /// cost a server more than one with HS256. `benches/auth.rs` times the checks alone.
    pub(super) fn micros(&self) -> u32 {
        match (self.algorithm.family(), self.bytes()) {
            (AlgorithmFamily::Hmac, _) => 2,
            (AlgorithmFamily::Ed, _) => 65,
            (AlgorithmFamily::Ec, _) if self.algorithm == Algorithm::ES256 => 95,
            (AlgorithmFamily::Ec, _) => 360,
            (AlgorithmFamily::Rsa, ..=256) => 40,
            (AlgorithmFamily::Rsa, ..=512) => 115,
            (AlgorithmFamily::Rsa, _) => 450,
        }
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
        if self.bytes() < bytes_min {
            return Err(format!(
                "a key for {:?} has at least {bytes_min} bytes, this one {}",
                self.algorithm,
                self.bytes()
            ));
        }
        Ok(())
    }

    /// How long it is: of RSA the modulus.
    fn bytes(&self) -> usize {
        match self.key.kind() {
            DecodingKeyKind::SecretOrDer(secret) => secret.len(),
            DecodingKeyKind::RsaModulusExponent { n, .. } => n.len(),
        }
    }
}
