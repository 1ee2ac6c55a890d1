//! Whether a key is one that its owner alone can sign with: long enough, and a number or a point as its
//! algorithm wants it. RFC 7518 §3.2, §3.3, §6; RFC 8037 §2.
//!
//! | key | what is held |
//! | --- | --- |
//! | a secret | as long as the hash |
//! | RSA | 2048 to 8192 bits; n odd; e odd, from 3 on, of at most 33 bits |
//! | P-256, P-384 | a point of the curve |
//! | Ed25519 | 32 bytes, and no point of low order |
//!
//! Knows no JSON and no token.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};

/// What signatures of RSA are checked with, in bits.
const RSA_BITS_MIN: usize = 2048;
const RSA_BITS_MAX: usize = 8192;

/// The y of the points of Ed25519 whose eightfold is zero, also of those that are written as numbers beyond
/// the field's: 0, 1, p - 1, p, p + 1, and two others. For a key among them whoever likes signs what they
/// like. The last bit is the sign of x, and says nothing of that.
const LOW_ORDER: [[u8; 32]; 7] = [
    y(0x00, 0x00, 0x00),
    y(0x01, 0x00, 0x00),
    y(0xEC, 0xFF, 0x7F),
    y(0xED, 0xFF, 0x7F),
    y(0xEE, 0xFF, 0x7F),
    [
        0x26, 0xE8, 0x95, 0x8F, 0xC2, 0xB2, 0x27, 0xB0, 0x45, 0xC3, 0xF4, 0x89, 0xF2, 0xEF, 0x98, 0xF0, 0xD5,
        0xDF, 0xAC, 0x05, 0xD3, 0xC6, 0x33, 0x39, 0xB1, 0x38, 0x02, 0x88, 0x6D, 0x53, 0xFC, 0x05,
    ],
    [
        0xC7, 0x17, 0x6A, 0x70, 0x3D, 0x4D, 0xD8, 0x4F, 0xBA, 0x3C, 0x0B, 0x76, 0x0D, 0x10, 0x67, 0x0F, 0x2A,
        0x20, 0x53, 0xFA, 0x2C, 0x39, 0xCC, 0xC6, 0x4E, 0xC7, 0xFD, 0x77, 0x92, 0xAC, 0x03, 0x7A,
    ],
];

/// Whether signatures by `algorithm` that this key finds right are its owner's.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(key: &DecodingKey, algorithm: Algorithm) -> Result<(), String> {
    match (algorithm.family(), key.kind()) {
        (AlgorithmFamily::Hmac, DecodingKeyKind::SecretOrDer(secret)) => is_long(secret, algorithm),
        (AlgorithmFamily::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => is_rsa(n, e, algorithm),
        (AlgorithmFamily::Ec, DecodingKeyKind::SecretOrDer(point)) => is_on_curve(point, algorithm),
        (AlgorithmFamily::Ed, DecodingKeyKind::SecretOrDer(point)) => is_of_high_order(point),
        _ => Err(format!("it is no key for {algorithm:?}")),
    }
}

fn is_long(secret: &[u8], algorithm: Algorithm) -> Result<(), String> {
    let bytes_min = match algorithm {
        Algorithm::HS256 => 32,
        Algorithm::HS384 => 48,
        _ => 64,
    };
    match secret.len() {
        bytes if bytes < bytes_min => {
            Err(format!("a key for {algorithm:?} has at least {bytes_min} bytes, this one {bytes}"))
        }
        _ => Ok(()),
    }
}

fn is_rsa(n: &[u8], e: &[u8], algorithm: Algorithm) -> Result<(), String> {
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
        return Err(format!(
            "a key for {algorithm:?} has {RSA_BITS_MIN} to {RSA_BITS_MAX} bits, this one {bits}"
        ));
    }
    // Only what reads a key as DER looks at its numbers.
    let der = RsaPublicKeyComponents { n, e }.as_der().ok();
    let key = der.and_then(|der| ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der.as_ref()).ok());
    let wrong = "its \"n\" and \"e\" are no key: both are odd, and e is at least 3 and has at most 33 bits";
    key.map(|_| ()).ok_or_else(|| wrong.to_owned())
}

fn is_on_curve(point: &[u8], algorithm: Algorithm) -> Result<(), String> {
    let curve: &'static dyn VerificationAlgorithm = match algorithm {
        Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED,
        _ => &ECDSA_P384_SHA384_FIXED,
    };
    let key = ParsedPublicKey::new(curve, point);
    key.map(|_| ()).map_err(|_| "its \"x\" and \"y\" are no point of its curve".to_owned())
}

fn is_of_high_order(point: &[u8]) -> Result<(), String> {
    let Ok(mut y) = <[u8; 32]>::try_from(point) else {
        return Err(format!("a key for EdDSA has 32 bytes, this one {}", point.len()));
    };
    y[31] &= 0x7F;
    match LOW_ORDER.contains(&y) {
        true => Err("its \"x\" is a point of low order: anybody could sign for it".to_owned()),
        false => Ok(()),
    }
}

const fn y(first: u8, others: u8, last: u8) -> [u8; 32] {
    let mut y = [others; 32];
    (y[0], y[31]) = (first, last);
    y
}

#[cfg(test)]
mod tests {
    use base64ct::{Base64UrlUnpadded, Encoding as _};
    use jsonwebtoken::crypto;
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize};

    use super::*;

    /// `R` is the neutral point, and `S` is zero: nobody needs a key to write this.
    const FORGED: [u8; 64] = {
        let mut signature = [0; 64];
        signature[0] = 1;
        signature
    };

    #[test]
    fn a_point_of_low_order_signs_for_everybody() {
        let signature = Base64UrlUnpadded::encode_string(&FORGED);
        let mut forged = 0;
        for (mut point, sign) in LOW_ORDER.into_iter().flat_map(|point| [(point, 0), (point, 0x80)]) {
            point[31] |= sign;
            let key = DecodingKey::from_ed_der(&point);
            assert!(check(&key, Algorithm::EdDSA).unwrap_err().contains("low order"), "{point:?}");
            // Of an order of eight, one message in eight is signed.
            let is_right = |message: u8| crypto::verify(&signature, &[message], &key, Algorithm::EdDSA);
            forged += usize::from((0..=255).any(|message| is_right(message).unwrap_or(false)));
        }
        assert!(forged >= 8, "of the eight points {forged} sign");
        let honest = DecodingKey::from_ed_der(KeyPair::generate_for(&PKCS_ED25519).unwrap().public_key_raw());
        assert_eq!(check(&honest, Algorithm::EdDSA), Ok(()));
        assert_eq!(crypto::verify(&signature, b"0", &honest, Algorithm::EdDSA), Ok(false));
        for length in [0, 3, 31, 33, 44] {
            let key = DecodingKey::from_ed_der(&vec![7; length]);
            let error = format!("a key for EdDSA has 32 bytes, this one {length}");
            assert_eq!(check(&key, Algorithm::EdDSA), Err(error));
        }
    }

    #[test]
    fn a_point_is_one_of_its_curve() {
        let honest = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().public_key_raw().to_vec();
        let checked = |point: &[u8], algorithm| check(&DecodingKey::from_ec_der(point), algorithm).is_ok();
        assert!(checked(&honest, Algorithm::ES256));
        assert!(!checked(&honest, Algorithm::ES384), "of another curve");
        let mut beside = honest.clone();
        beside[40] ^= 1;
        for none in [&beside[..], &honest[..64], &[&honest[..], &[0]].concat(), &[4; 65], &[0], &[]] {
            assert!(!checked(none, Algorithm::ES256), "{none:?}");
        }
        let mut nowhere = vec![0; 65];
        nowhere[0] = 4;
        assert!(!checked(&nowhere, Algorithm::ES256));
    }

    #[test]
    fn rfc_7518_3_3_a_modulus_has_2048_bits_and_the_exponent_is_one() {
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        // A sequence, 4 bytes; an integer, 4 bytes, and the zero before it; another, 2 bytes.
        let der = pair.public_key_raw();
        let (n, e) = (&der[9..265], &der[267..]);
        let checked = |n: &[u8], e: &[u8]| {
            check(&DecodingKey::from_rsa_raw_components(n, e), Algorithm::PS384).err().unwrap_or_default()
        };
        assert_eq!(checked(n, e), "");
        assert_eq!(checked(n, &[3]), "");
        for (length, bits) in [(0, 0), (128, 1024), (255, 2040), (1025, 8200)] {
            let error = format!("a key for PS384 has 2048 to 8192 bits, this one {bits}");
            assert_eq!(checked(&vec![0xFF; length], e), error);
        }
        let mut short = n.to_vec();
        short[0] = 0x7F;
        assert!(checked(&short, e).ends_with("this one 2047"));
        let mut even = n.to_vec();
        even[255] &= 0xFE;
        assert!(checked(&even, e).contains("both are odd"));
        for e in [&[][..], &[1], &[2], &[4], &[1, 0, 0], &[2, 0, 0, 0, 1], &[0xFF; 256]] {
            assert!(checked(n, e).contains("both are odd, and e is at least 3"), "{e:?}");
        }
    }
}
