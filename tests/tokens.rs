//! Signed tokens on real sockets: which signatures leave the loop, how often each is checked, and for whom no
//! more. What a token must say, the unit tests of `src/app/auth/jwt/` ask.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

mod support;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use kolk::{App, JwtAuth, Request, Response, Running};
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384};
use serde_json::json;

use support::{Client, alone, start};

const SECRET: &[u8] = b"thirty-two bytes are what it has";

/// Somebody who signs with ES384, and the set of keys that says so.
fn signer() -> (EncodingKey, String) {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let (x, y) = pair.public_key_raw()[1..].split_at(48);
    let [x, y] = [x, y].map(Base64UrlUnpadded::encode_string);
    let keys = json!({ "keys": [{ "kty": "EC", "crv": "P-384", "x": x, "y": y }] });
    (EncodingKey::from_ec_der(&pair.serialize_der()), keys.to_string())
}

/// A token for `subject` that is good for some thousand years.
fn token(algorithm: Algorithm, key: &EncodingKey, subject: &str) -> String {
    let claims = json!({ "sub": subject, "exp": 99_999_999_999_u64 });
    encode(&Header::new(algorithm), &claims, key).unwrap()
}

/// The same with a signature that is not its own.
fn forged(token: &str, number: usize) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = Base64UrlUnpadded::encode_string(&number.to_le_bytes());
    format!("{signed}.{}{other}", &signature[..signature.len() - other.len()])
}

fn serve(auth: &JwtAuth) -> Running {
    let who = |request: &Request<'_>| request.user().unwrap_or("nobody").to_owned();
    start(alone(App::new().get("/", auth.guard(who)).get("/open", Response::text("open"))))
}

fn ask(client: &mut Client, token: &str) -> (u16, String) {
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n"));
    let answer = client.answer();
    (answer.status, answer.text().to_owned())
}

/// How many signatures another thread has checked.
fn computed(auth: &JwtAuth) -> u64 {
    let text = format!("{auth:?}");
    text.split("computed: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_slow_signature_leaves_the_loop_once_and_a_quick_one_never() {
    let (key, keys) = signer();
    let auth = JwtAuth::new("x").jwks(&keys).unwrap().secret("HS256", SECRET).unwrap();
    let server = serve(&auth);
    let mut client = Client::to(&server);
    let slow = token(Algorithm::ES384, &key, "ada");
    for _ in 0..3 {
        assert_eq!(ask(&mut client, &slow), (200, "ada".to_owned()));
        assert_eq!(computed(&auth), 1);
    }
    let quick = token(Algorithm::HS256, &EncodingKey::from_secret(SECRET), "bob");
    assert_eq!(ask(&mut client, &quick), (200, "bob".to_owned()));
    assert_eq!(computed(&auth), 1);
    // Only who has signed it is told what is wrong with what it says.
    let late = encode(&Header::new(Algorithm::ES384), &json!({ "sub": "ada", "exp": 1 }), &key).unwrap();
    let (status, text) = ask(&mut client, &late);
    assert!(status == 401 && text.contains("handler.token_expired"), "{text}");
    assert_eq!(computed(&auth), 2);
}

#[test]
fn who_forges_too_often_has_no_further_signature_checked() {
    let (key, keys) = signer();
    let auth = JwtAuth::new("x").jwks(&keys).unwrap().secret("HS256", SECRET).unwrap();
    let server = serve(&auth);
    let mut client = Client::to(&server);
    let good = token(Algorithm::ES384, &key, "ada");
    let quick = token(Algorithm::HS256, &EncodingKey::from_secret(SECRET), "bob");
    assert_eq!(ask(&mut client, &good).0, 200);
    let wrong: Vec<String> = (0..4)
        .map(|number| forged(&good, number))
        .chain((0..3).map(|number| forged(&quick, number)))
        .chain(["a.b.c", "x", "e30.e30.e30"].map(str::to_owned))
        .collect();
    for token in &wrong {
        let (status, text) = ask(&mut client, token);
        assert!(status == 401 && text.contains("handler.token_invalid"), "{token}: {text}");
    }
    assert_eq!(computed(&auth), 1 + 4, "what is wrong is not remembered");
    for token in [&forged(&good, 9), &forged(&good, 0), &quick, "x"] {
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n"));
        let answer = client.answer();
        assert_eq!(answer.status, 429, "{token}");
        assert!(answer.field("retry-after").is_some() && answer.text().contains("limit.auth"));
    }
    assert_eq!(computed(&auth), 5, "nothing was checked");
    assert_eq!(ask(&mut client, &good), (200, "ada".to_owned()), "what was right before still is");
    assert_eq!(client.get("/open").text(), "open");
}
