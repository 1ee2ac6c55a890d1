//! What the check of one signature costs: which of them the loop may do itself.

use std::hint::black_box;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use criterion::Criterion;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize,
    SignatureAlgorithm,
};

/// A token of the usual length, without its signature.
const MESSAGE_BYTES: usize = 400;

/// A key that signs, and the same key as others see it.
fn curve(kind: &'static SignatureAlgorithm, coordinate_bytes: usize) -> (EncodingKey, DecodingKey) {
    let pair = KeyPair::generate_for(kind).expect("a key");
    let (x, y) = pair.public_key_raw()[1..].split_at(coordinate_bytes);
    let [x, y] = [x, y].map(Base64UrlUnpadded::encode_string);
    let key = DecodingKey::from_ec_components(&x, &y).expect("a point");
    (EncodingKey::from_ec_der(&pair.serialize_der()), key)
}

fn edwards() -> (EncodingKey, DecodingKey) {
    let pair = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let key = DecodingKey::from_ed_components(&Base64UrlUnpadded::encode_string(pair.public_key_raw()));
    (EncodingKey::from_ed_der(&pair.serialize_der()), key.expect("a point"))
}

fn rsa(size: RsaKeySize) -> (EncodingKey, DecodingKey) {
    let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size).expect("a key");
    // The key of PKCS #1 within that of PKCS #8.
    let key = EncodingKey::from_rsa_der(&pair.serialize_der()[26..]);
    let jwk = Jwk::from_encoding_key(&key, Algorithm::RS256).expect("its other half");
    let others = DecodingKey::from_jwk(&jwk).expect("its other half");
    (key, others)
}

fn secret(bytes: usize) -> (EncodingKey, DecodingKey) {
    let secret = vec![7; bytes];
    (EncodingKey::from_secret(&secret), DecodingKey::from_secret(&secret))
}

fn bench_signatures(c: &mut Criterion) {
    let message = [b'x'; MESSAGE_BYTES];
    for (name, algorithm, (key, others)) in [
        ("HS256", Algorithm::HS256, secret(32)),
        ("HS512", Algorithm::HS512, secret(64)),
        ("EdDSA", Algorithm::EdDSA, edwards()),
        ("ES256", Algorithm::ES256, curve(&PKCS_ECDSA_P256_SHA256, 32)),
        ("ES384", Algorithm::ES384, curve(&PKCS_ECDSA_P384_SHA384, 48)),
        ("RS256, 2048 bits", Algorithm::RS256, rsa(RsaKeySize::_2048)),
        ("RS256, 3072 bits", Algorithm::RS256, rsa(RsaKeySize::_3072)),
        ("RS256, 4096 bits", Algorithm::RS256, rsa(RsaKeySize::_4096)),
        ("PS256, 2048 bits", Algorithm::PS256, rsa(RsaKeySize::_2048)),
    ] {
        let right = crypto::sign(&message, &key, algorithm).expect("it signs");
        let wrong = crypto::sign(&message[1..], &key, algorithm).expect("it signs");
        for (what, signature, is_right) in [("right", right, true), ("wrong", wrong, false)] {
            let check = || crypto::verify(black_box(&signature), &message, &others, algorithm);
            assert_eq!(check().ok(), Some(is_right), "{name}");
            c.bench_function(&format!("auth/{name}, {what}"), |b| b.iter(check));
        }
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench_signatures(&mut criterion);
    criterion.final_summary();
}
