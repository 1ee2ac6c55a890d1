//! Which tokens are taken, with every kind of key, and which mistakes and tricks are refused.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, Header, encode};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize,
};
use serde_json::json;

use super::*;
use crate::app::{App, Counts};
use crate::sys::scratch::Scratch;

const NOW: u64 = 1_795_000_000;
const SECRET: &[u8] = b"thirty-two bytes are what it has";

fn secret() -> JwtAuth {
    JwtAuth::new("x").secret("HS256", SECRET).unwrap()
}

fn good() -> Value {
    json!({ "sub": "ada", "exp": NOW + 60 })
}

fn signed(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    encode(header, claims, key).unwrap()
}

fn by_secret(claims: &Value) -> String {
    signed(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET))
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(bytes.as_ref())
}

/// Who is let in, or why not.
fn judged(auth: &JwtAuth, token: &str) -> Result<String, Reason> {
    judged_at(auth, token, NOW)
}

fn judged_at(auth: &JwtAuth, token: &str, now_seconds: u64) -> Result<String, Reason> {
    let digest = auth.seal.digest(&[token.as_bytes()]);
    if let Some(subject) = auth.verified.get(&digest, now_seconds) {
        return Ok(subject.to_string());
    }
    let said = said_by(token.as_bytes()).ok_or(Reason::TokenInvalid)?;
    let unproved = auth.weigh(&said, digest, now_seconds).ok_or(Reason::TokenInvalid)?;
    let proved = unproved.prove(token.as_bytes(), &auth.verified);
    proved.map(|subject| subject.to_string()).map_err(|wrong| {
        assert_eq!(wrong.is_failure, wrong.reason == Reason::TokenInvalid, "{wrong:?}");
        wrong.reason
    })
}

/// An algorithm, a key that signs, and the same key as others see it.
fn pairs() -> Vec<(Algorithm, EncodingKey, Value)> {
    let pkcs8 = |kind| KeyPair::generate_for(kind).unwrap();
    let mut pairs = Vec::new();
    for (algorithm, kind, curve) in [
        (Algorithm::ES256, &PKCS_ECDSA_P256_SHA256, "P-256"),
        (Algorithm::ES384, &PKCS_ECDSA_P384_SHA384, "P-384"),
    ] {
        let pair = pkcs8(kind);
        let (x, y) = pair.public_key_raw()[1..].split_at((pair.public_key_raw().len() - 1) / 2);
        let jwk = json!({ "kty": "EC", "crv": curve, "x": base64(x), "y": base64(y) });
        pairs.push((algorithm, EncodingKey::from_ec_der(&pair.serialize_der()), jwk));
    }
    let pair = pkcs8(&PKCS_ED25519);
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": base64(pair.public_key_raw()) });
    pairs.push((Algorithm::EdDSA, EncodingKey::from_ed_der(&pair.serialize_der()), jwk));
    let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    // The key of PKCS #1 within that of PKCS #8.
    let rsa = EncodingKey::from_rsa_der(&pair.serialize_der()[26..]);
    for algorithm in [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
        let jwk = serde_json::to_value(Jwk::from_encoding_key(&rsa, algorithm).unwrap()).unwrap();
        pairs.push((algorithm, rsa.clone(), jwk));
    }
    for (algorithm, length) in [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)] {
        let secret = vec![7; length];
        let jwk = json!({ "kty": "oct", "k": base64(&secret), "alg": format!("{algorithm:?}") });
        pairs.push((algorithm, EncodingKey::from_secret(&secret), jwk));
    }
    pairs
}

#[test]
fn tokens_of_every_algorithm_are_taken_by_their_own_key_alone() {
    let pairs = pairs();
    let auths: Vec<_> = pairs
        .iter()
        .map(|(_, _, jwk)| JwtAuth::new("x").jwks(&json!({ "keys": [jwk] }).to_string()).unwrap())
        .collect();
    for (index, (algorithm, key, _)) in pairs.iter().enumerate() {
        let token = signed(&Header::new(*algorithm), &good(), key);
        for (other, auth) in auths.iter().enumerate() {
            let expected = if other == index { Ok("ada".into()) } else { Err(Reason::TokenInvalid) };
            assert_eq!(judged(auth, &token), expected, "{algorithm:?} {other}");
        }
        // Whatever is changed in it.
        for at in [token.find('.').unwrap() + 5, token.len() - 10] {
            let mut other = token.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            assert_eq!(judged(&auths[index], &other), Err(Reason::TokenInvalid), "{algorithm:?}");
        }
    }
}

#[test]
fn rfc_8725_2_1_the_algorithm_is_the_keys() {
    let claims = base64(good().to_string());
    for alg in ["none", "None", "NONE", "", "HS1"] {
        let header = base64(json!({ "alg": alg, "typ": "JWT" }).to_string());
        for signature in ["", "AA"] {
            let token = format!("{header}.{claims}.{signature}");
            assert_eq!(judged(&secret(), &token), Err(Reason::TokenInvalid), "{alg}");
        }
    }
    // The public key of RSA taken for a secret, in both its forms.
    let (_, _, rsa) = pairs().into_iter().find(|(algorithm, ..)| *algorithm == Algorithm::RS256).unwrap();
    let auth = JwtAuth::new("x").jwks(&json!({ "keys": [rsa] }).to_string()).unwrap();
    let modulus = Base64UrlUnpadded::decode_vec(rsa["n"].as_str().unwrap()).unwrap();
    for secret in [modulus, rsa["n"].as_str().unwrap().into()] {
        let token = signed(&Header::new(Algorithm::HS256), &good(), &EncodingKey::from_secret(&secret));
        assert_eq!(judged(&auth, &token), Err(Reason::TokenInvalid));
    }
    // A stronger hash with the same secret is another algorithm, too.
    let token = signed(&Header::new(Algorithm::HS512), &good(), &EncodingKey::from_secret(SECRET));
    assert_eq!(judged(&secret(), &token), Err(Reason::TokenInvalid));
}

#[test]
fn of_a_set_those_keys_are_taken_that_are_for_an_algorithm_of_the_list() {
    let pairs = pairs();
    let (mut named, mut bare) = (Vec::new(), Vec::new());
    for (algorithm, _, jwk) in &pairs {
        let mut jwk = jwk.clone();
        jwk["kid"] = format!("{algorithm:?}").into();
        named.push(jwk.clone());
        jwk.as_object_mut().unwrap().remove("alg");
        // The four keys of RSA are one.
        if !bare.iter().any(|other: &Value| jwk["n"].is_string() && other["n"] == jwk["n"]) {
            bare.push(jwk);
        }
    }
    let set = |keys: &[Value]| json!({ "keys": keys }).to_string();
    let taken = |auth: &JwtAuth| {
        let is_taken = |(algorithm, key, _): &&(Algorithm, EncodingKey, Value)| {
            let name = format!("{algorithm:?}");
            let is_known = auth.keys.iter().any(|key| key.id() == Some(&*name));
            let kid = if is_known { name } else { "RS256".to_owned() };
            let header = Header { kid: Some(kid), ..Header::new(*algorithm) };
            judged(auth, &signed(&header, &good(), key)).is_ok()
        };
        pairs.iter().filter(is_taken).map(|(algorithm, ..)| *algorithm).collect::<Vec<_>>()
    };
    use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, RS256, RS384};
    for (list, by_name, by_kind) in [
        (&["ES256"][..], vec![ES256], vec![ES256]),
        (&["RS256"], vec![RS256], vec![RS256]),
        (&["RS384"], vec![RS384], vec![RS384]),
        (&["RS384", "PS256"], vec![RS384, PS256], vec![RS384, PS256]),
        (&["EdDSA", "ES384"], vec![ES384, EdDSA], vec![ES384, EdDSA]),
        // Of a list, that for which the secret is long enough.
        (&["HS256", "HS512"], vec![HS256, HS512], vec![HS256, HS512]),
        (&["HS256", "HS384"], vec![HS256, HS384], vec![HS256, HS384]),
    ] {
        let with = |keys: &[Value]| JwtAuth::new("x").algorithms(list).unwrap().jwks(&set(keys)).unwrap();
        assert_eq!(taken(&with(&named)), by_name, "{list:?}");
        assert_eq!(taken(&with(&bare)), by_kind, "{list:?}");
    }
    let refused = |list: &[&str], keys: &[Value]| {
        JwtAuth::new("x").algorithms(list).unwrap().jwks(&set(keys)).unwrap_err().to_string()
    };
    assert_eq!(refused(&["PS512"], &named), "none of the keys is for PS512");
    assert_eq!(refused(&["HS256", "RS256"], &named[..1]), "none of the keys is for HS256 or RS256");
    assert_eq!(refused(&["HS256"], &[]), "there is no key that could sign tokens");
    let short = json!({ "kty": "oct", "k": base64([1; 31]) });
    assert_eq!(refused(&["HS256"], &[short]), "key 1: a key for HS256 has at least 32 bytes, this one 31");
    for name in ["none", "HS1", ""] {
        let error = JwtAuth::new("x").algorithms([name]).unwrap_err().to_string();
        assert_eq!(error, format!("{name:?} is no algorithm that tokens are signed with"));
    }
    let error = JwtAuth::new("x").algorithms(["RS256"]).unwrap().secret("HS256", SECRET).unwrap_err();
    assert_eq!(error.to_string(), "HS256 is not RS256");
}

#[test]
fn keys_are_found_by_their_kid() {
    let oct =
        |kid: &str, byte: u8| json!({ "kty": "oct", "kid": kid, "alg": "HS256", "k": base64([byte; 32]) });
    let auth = JwtAuth::new("x").jwks(&json!({ "keys": [oct("a", 1), oct("b", 2)] }).to_string()).unwrap();
    let token = |kid: Option<&str>, byte: u8| {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::HS256) };
        signed(&header, &good(), &EncodingKey::from_secret(&[byte; 32]))
    };
    assert_eq!(judged(&auth, &token(Some("a"), 1)).as_deref(), Ok("ada"));
    assert_eq!(judged(&auth, &token(Some("b"), 2)).as_deref(), Ok("ada"));
    for (kid, byte) in [(Some("a"), 2), (Some("c"), 1), (None, 1)] {
        assert_eq!(judged(&auth, &token(kid, byte)), Err(Reason::TokenInvalid), "{kid:?}");
    }
    let one = JwtAuth::new("x").jwks(&json!({ "keys": [oct("a", 1)] }).to_string()).unwrap();
    assert_eq!(judged(&one, &token(None, 1)).as_deref(), Ok("ada"), "of the only key");
    // A new secret beside the old one, and beside keys with names.
    let both = auth.secret("HS256", &[3; 32]).unwrap().secret("HS256", &[4; 32]).unwrap();
    for (kid, byte) in [(None, 3), (None, 4), (Some("c"), 3), (Some("c"), 4), (Some("a"), 1)] {
        assert_eq!(judged(&both, &token(kid, byte)).as_deref(), Ok("ada"), "{kid:?} {byte}");
    }
    assert_eq!(judged(&both, &token(Some("a"), 3)), Err(Reason::TokenInvalid));
}

#[test]
fn rfc_7515_4_1_11_extensions_that_must_be_understood_are_not() {
    // Whatever the header is, its signature is right.
    let judged_with = |header: Value| {
        let said = format!("{}.{}", base64(header.to_string()), base64(good().to_string()));
        let key = EncodingKey::from_secret(SECRET);
        let signature = jsonwebtoken::crypto::sign(said.as_bytes(), &key, Algorithm::HS256).unwrap();
        judged(&secret(), &format!("{said}.{signature}")).map(|_| ())
    };
    for fine in [json!({}), json!({ "kid": null, "typ": "at+jwt" }), json!({ "kid": "a", "x5t": 5 })] {
        let mut header = json!({ "alg": "HS256" });
        header.as_object_mut().unwrap().extend(fine.as_object().unwrap().clone());
        assert_eq!(judged_with(header.clone()), Ok(()), "{header}");
    }
    for crit in [json!(["b64"]), json!([]), json!(null), json!("exp")] {
        let header = json!({ "alg": "HS256", "crit": crit });
        assert_eq!(judged_with(header.clone()), Err(Reason::TokenInvalid), "{header}");
    }
    for none in [json!({ "alg": null }), json!({ "alg": "HS256", "kid": 5 }), json!([]), json!("HS256")] {
        assert_eq!(judged_with(none.clone()), Err(Reason::TokenInvalid), "{none}");
    }
}

#[test]
fn rfc_7519_4_1_claims_are_judged_with_the_clock_of_the_request() {
    let auth = secret().issuer("us").issuer("them").audience("forge");
    let with = |change: Value| {
        let mut claims = json!({ "sub": "ada", "exp": NOW, "iss": "us", "aud": "forge" });
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        judged(&auth, &by_secret(&claims)).map(|_| ())
    };
    for fine in [
        json!({}),
        json!({ "exp": NOW - 29, "nbf": NOW + 30 }),
        json!({ "exp": NOW as f64 + 0.5, "iss": "them" }),
        json!({ "aud": ["elsewhere", "forge"] }),
        json!({ "iat": NOW as f64 - 0.5 }),
    ] {
        assert_eq!(with(fine.clone()), Ok(()), "{fine}");
    }
    for (wrong, reason) in [
        (json!({ "exp": NOW - 30 }), Reason::TokenExpired),
        (json!({ "exp": 0 }), Reason::TokenExpired),
        (json!({ "exp": null }), Reason::TokenExpiryMissing),
        (json!({ "exp": "9999999999" }), Reason::TokenExpiryMissing),
        (json!({ "exp": -1 }), Reason::TokenExpiryMissing),
        (json!({ "exp": 1e300 }), Reason::TokenExpiryMissing),
        (json!({ "nbf": NOW + 31 }), Reason::TokenEarly),
        (json!({ "nbf": "0" }), Reason::TokenEarly),
        (json!({ "nbf": null }), Reason::TokenEarly),
        (json!({ "iat": "0" }), Reason::TokenInvalid),
        (json!({ "iat": null }), Reason::TokenInvalid),
        (json!({ "iss": "US" }), Reason::TokenIssuer),
        (json!({ "iss": null }), Reason::TokenIssuer),
        (json!({ "iss": ["us"] }), Reason::TokenIssuer),
        (json!({ "aud": "elsewhere" }), Reason::TokenAudience),
        (json!({ "aud": null }), Reason::TokenAudience),
        (json!({ "aud": [] }), Reason::TokenAudience),
        (json!({ "sub": "" }), Reason::TokenSubjectMissing),
        (json!({ "sub": 1 }), Reason::TokenSubjectMissing),
        (json!({ "sub": null }), Reason::TokenSubjectMissing),
    ] {
        assert_eq!(with(wrong.clone()), Err(reason), "{wrong}");
        // Who has not signed learns nothing of that.
        let forged = signed(&Header::new(Algorithm::HS256), &wrong, &EncodingKey::from_secret(&[0; 32]));
        assert_eq!(judged(&auth, &forged), Err(Reason::TokenInvalid), "{wrong}");
    }
    let for_others = by_secret(&json!({ "sub": "ada", "exp": NOW, "aud": "forge" }));
    assert_eq!(judged(&secret(), &for_others), Err(Reason::TokenAudience), "no audience is ours");
}

#[test]
fn a_clock_may_be_wrong_by_whole_seconds_rounded_up() {
    for (leeway_millis, late_seconds) in [(0, 0), (1, 1), (500, 1), (1_000, 1), (1_001, 2)] {
        let auth = secret().leeway(Duration::from_millis(leeway_millis));
        let ended = |ago: u64| judged(&auth, &by_secret(&json!({ "sub": "ada", "exp": NOW + 1 - ago })));
        assert_eq!(ended(late_seconds).as_deref(), Ok("ada"), "{leeway_millis}");
        assert_eq!(ended(late_seconds + 1), Err(Reason::TokenExpired), "{leeway_millis}");
        let begins = |later: u64| {
            judged(&auth, &by_secret(&json!({ "sub": "ada", "exp": NOW + 60, "nbf": NOW + later })))
        };
        assert_eq!(begins(late_seconds).as_deref(), Ok("ada"), "{leeway_millis}");
        assert_eq!(begins(late_seconds + 1), Err(Reason::TokenEarly), "{leeway_millis}");
    }
    assert!(judged(&secret().leeway(Duration::MAX), &by_secret(&good())).is_ok());
}

#[test]
fn what_was_verified_is_remembered_until_it_expires_and_by_these_rules_alone() {
    let auth = secret();
    let token = by_secret(&good());
    assert_eq!(judged(&auth, &token).as_deref(), Ok("ada"));
    assert_eq!((judged(&auth, &token).as_deref(), auth.verified.len()), (Ok("ada"), 1));
    let until = NOW + 60 + LEEWAY.as_secs();
    assert!(judged_at(&auth, &token, until - 1).is_ok());
    assert_eq!(judged_at(&auth, &token, until), Err(Reason::TokenExpired));
    assert_eq!(judged(&auth.clone().issuer("us"), &token), Err(Reason::TokenIssuer));
    assert!(judged(&auth, &format!("{token}x")).is_err());
    assert_eq!(auth.verified.len(), 1, "what is wrong is not kept");
    for wrong in ["", ".", "..", "...", "a.b", "a.b.c.d", "e30.e30.e30"] {
        assert_eq!(judged(&auth, wrong), Err(Reason::TokenInvalid), "{wrong}");
    }
}

#[test]
fn keys_that_take_the_place_of_others_believe_what_these_did_only_if_nothing_is_different() {
    let oct =
        |kid: &str, byte: u8| json!({ "kty": "oct", "kid": kid, "alg": "HS256", "k": base64([byte; 32]) });
    let with = |keys: &[Value]| JwtAuth::new("x").jwks(&json!({ "keys": keys }).to_string()).unwrap();
    let token = |kid: &str, byte: u8| {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
        signed(&header, &good(), &EncodingKey::from_secret(&[byte; 32]))
    };
    let mut counts = Counts::default();
    let first = counts.tokens("api", with(&[oct("a", 1), oct("b", 2)]), &Counts::default());
    for (kid, byte) in [("a", 1), ("b", 2)] {
        assert_eq!(judged(&first, &token(kid, byte)).as_deref(), Ok("ada"));
    }
    let after = |auth: JwtAuth, name: &str| counts.successor().tokens(name, auth, &counts);
    // The realm and who is let in change nothing of what is right.
    let same = || with(&[oct("a", 1), oct("b", 2)]);
    assert_eq!(after(same(), "api").verified.len(), 2);
    assert_eq!(after(same().users(["eve"]).failures(3, LEEWAY), "api").verified.len(), 2);
    let later = after(same(), "api").issuer("us");
    assert_eq!((later.verified.len(), first.verified.len()), (0, 2), "what is told afterwards is its own");
    for (other, why) in [
        (after(same(), "other"), "another name"),
        (after(with(&[oct("a", 1)]), "api"), "a key less"),
        (after(with(&[oct("a", 1), oct("c", 2)]), "api"), "another kid"),
        (after(with(&[oct("a", 1), oct("b", 3)]), "api"), "another secret"),
        (after(with(&[oct("a", 1), oct("b", 2), oct("c", 3)]), "api"), "a key more"),
        (after(same().issuer("us"), "api"), "an issuer"),
        (after(same().audience("us"), "api"), "an audience"),
        (after(same().leeway(Duration::from_secs(1)), "api"), "another leeway"),
    ] {
        assert_eq!(other.verified.len(), 0, "{why}");
    }
    let less = after(with(&[oct("a", 1)]), "api");
    assert_eq!(judged(&less, &token("b", 2)), Err(Reason::TokenInvalid), "its key is gone");
    assert_eq!(judged(&less, &token("a", 1)).as_deref(), Ok("ada"));
    assert_eq!(judged(&after(same().issuer("us"), "api"), &token("a", 1)), Err(Reason::TokenIssuer));
    // Public keys, too.
    let keys: Vec<_> = pairs().into_iter().map(|(_, _, jwk)| jwk).collect();
    let of = |jwk: &Value| with(std::slice::from_ref(jwk));
    for jwk in &keys {
        let alike: Vec<_> = keys.iter().filter(|other| of(jwk).judges_like(&of(other))).collect();
        assert_eq!(alike, [jwk]);
    }
}

#[test]
fn who_guesses_does_not_begin_anew_where_other_keys_take_the_place() {
    let other_key =
        |count| JwtAuth::new("x").secret("HS256", &[1; 32]).unwrap().failures(count, Duration::from_secs(60));
    let mut counts = Counts::default();
    let first = counts.tokens("api", secret().failures(2, Duration::from_secs(60)), &Counts::default());
    let shares =
        |auth: JwtAuth| counts.successor().tokens("api", auth, &counts).checks.shares_failures(&first.checks);
    assert!(shares(other_key(2)));
    assert!(shares(other_key(3)), "up to another limit");
    assert!(!shares(other_key(0)), "without a limit nothing is counted");
}

#[test]
fn keys_that_are_none_are_named() {
    let refused = |keys: Value| JwtAuth::new("x").jwks(&keys.to_string()).unwrap_err().to_string();
    let oct = |length: usize, alg: &str| json!({ "kty": "oct", "kid": "a", "alg": alg, "k": base64(vec![1; length]) });
    assert!(JwtAuth::new("x").jwks("{").unwrap_err().to_string().starts_with("no JSON"));
    assert!(refused(json!([])).contains("an array \"keys\""));
    assert!(refused(json!({ "keys": [] })).contains("no key"));
    assert!(
        refused(json!({ "keys": [oct(31, "HS256")] }))
            .starts_with("key \"a\": a key for HS256 has at least 32")
    );
    assert!(refused(json!({ "keys": [oct(32, "RS256")] })).contains("not for a key of its kind"));
    let nameless = json!({ "kty": "oct", "k": base64([1; 32]) });
    assert!(refused(json!({ "keys": [nameless] })).starts_with("key 1: a secret has an \"alg\""));
    assert!(refused(json!({ "keys": [oct(32, "HS256"), oct(32, "HS256")] })).contains("two keys"));
    let (_, _, mut curve) = pairs().swap_remove(0);
    curve["alg"] = "ES384".into();
    assert!(refused(json!({ "keys": [curve] })).contains("not for a key"));
    for (algorithm, length) in [("HS256", 31), ("HS512", 63), ("RS256", 300), ("none", 64)] {
        assert!(JwtAuth::new("x").secret(algorithm, &vec![1; length]).is_err(), "{algorithm}");
    }
    assert!(!format!("{:?}", secret()).contains("thirty"), "a debug view has no secrets");
}

#[test]
fn rfc_7517_5_of_a_set_what_is_not_known_is_left_out() {
    let (_, key, good_one) = pairs().swap_remove(3);
    let token = signed(&Header::new(Algorithm::RS256), &good(), &key);
    let with = |auth: JwtAuth, keys: Value| auth.jwks(&json!({ "keys": keys }).to_string());
    let any = || JwtAuth::new("x");
    let listed = || any().algorithms(["RS256"]).unwrap();
    for unknown in [
        json!({ "kty": "AKP", "kid": "pq", "alg": "ML-DSA-44", "pub": "AAAA", "x5c": 7 }),
        json!({ "kty": "EC", "crv": "secp256k1", "alg": "ES256K", "x": "AAAA", "y": "AAAA" }),
        json!({ "kty": "EC", "crv": "P-521", "x": "AAAA", "y": "AAAA" }),
        json!({ "kty": "EC", "x": "AAAA", "y": "AAAA" }),
        json!({ "kty": "OKP", "crv": "Ed448", "alg": "EdDSA", "x": "AAAA" }),
        json!({ "kty": "OKP", "crv": "X25519", "x": "AAAA" }),
        json!({ "kty": "RSA", "alg": "RSA-OAEP-512", "n": "AAAA", "e": "AQAB" }),
        json!({ "kty": "oct", "alg": "A256KW", "k": base64([1; 32]) }),
        json!({ "kty": 5 }),
        json!({}),
        json!("a key"),
    ] {
        for auth in [any(), listed()] {
            let auth = with(auth, json!([unknown, good_one])).unwrap();
            assert_eq!(judged(&auth, &token).as_deref(), Ok("ada"), "{unknown}");
        }
        let alone = with(any(), json!([unknown])).unwrap_err().to_string();
        assert_eq!(alone, "there is no key that could sign tokens", "{unknown}");
        let alone = with(listed(), json!([unknown])).unwrap_err().to_string();
        assert_eq!(alone, "none of the keys is for RS256", "{unknown}");
    }
    // Whatever is wrong with a key for something else.
    let other = json!({ "kty": "RSA", "alg": "RS512", "n": "!" });
    assert!(with(listed(), json!([other, good_one])).is_ok());
    assert!(with(any(), json!([other, good_one])).is_err());
}

#[test]
fn rfc_7517_4_2_4_3_a_key_for_something_else_checks_no_signature() {
    let used = |name: &str, value: Value| {
        let mut jwk = json!({ "kty": "oct", "alg": "HS256", "k": base64(SECRET) });
        jwk[name] = value;
        JwtAuth::new("x").jwks(&json!({ "keys": [jwk] }).to_string())
    };
    for (name, value) in [
        ("use", json!("sig")),
        ("use", json!(null)),
        ("key_ops", json!(["verify"])),
        ("key_ops", json!(["sign", "verify"])),
    ] {
        let auth = used(name, value.clone()).unwrap();
        assert_eq!(judged(&auth, &by_secret(&good())).as_deref(), Ok("ada"), "{name}: {value}");
    }
    for (name, value) in [
        ("use", json!("enc")),
        ("use", json!("foo")),
        ("use", json!("SIG")),
        ("use", json!(["sig"])),
        ("key_ops", json!(["encrypt", "wrapKey"])),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!([])),
        ("key_ops", json!("verify")),
    ] {
        let error = used(name, value.clone()).unwrap_err().to_string();
        assert_eq!(error, "there is no key that could sign tokens", "{name}: {value}");
    }
}

#[test]
fn keys_for_which_others_could_sign_are_refused() {
    let refused = |key: Value| {
        let error = JwtAuth::new("x").jwks(&json!({ "keys": [key] }).to_string()).unwrap_err().to_string();
        error.strip_prefix("key 1: ").unwrap().to_owned()
    };
    let point = |x: Vec<u8>| json!({ "kty": "OKP", "crv": "Ed25519", "x": base64(x) });
    assert_eq!(refused(point(vec![1; 3])), "a key for EdDSA has 32 bytes, this one 3");
    let neutral = [vec![1], vec![0; 31]].concat();
    assert!(
        refused(point(vec![0; 32])).contains("low order") && refused(point(neutral)).contains("low order")
    );
    let pairs = pairs();
    let changed = |index: usize, name: &str, value: &[u8]| {
        let (_, _, mut jwk) = pairs[index].clone();
        jwk[name] = base64(value).into();
        jwk
    };
    assert_eq!(refused(changed(0, "y", &[7; 32])), "its \"x\" and \"y\" are no point of its curve");
    assert_eq!(refused(changed(1, "x", &[])), "its \"x\" and \"y\" are no point of its curve");
    for e in [&[][..], &[0], &[1], &[0, 1], &[1, 0, 0]] {
        assert!(refused(changed(3, "e", e)).contains("both are odd"), "{e:?}");
    }
    let short = [vec![0; 128], vec![0xFF; 128]].concat();
    for (n, bits) in [(&vec![0; 256], 0), (&short, 1024)] {
        let error = format!("a key for RS256 has 2048 to 8192 bits, this one {bits}");
        assert_eq!(refused(changed(3, "n", n)), error);
    }
    for (index, name) in [(0, "x"), (2, "x"), (3, "n"), (3, "e"), (7, "k")] {
        for nothing in [json!(null), json!(1), json!("A"), json!("AA==")] {
            let (_, _, mut jwk) = pairs[index].clone();
            jwk[name] = nothing;
            assert_eq!(refused(jwk), format!("its {name:?} is missing, or not in base64url"));
        }
    }
    let (_, _, mut nameless) = pairs[0].clone();
    nameless["kid"] = 7.into();
    assert_eq!(refused(nameless), "its \"kid\" is no text");
    // RFC 7518 §6.3.1.1: the zero that some libraries write before a modulus.
    let (algorithm, key, jwk) = &pairs[3];
    let modulus = Base64UrlUnpadded::decode_vec(jwk["n"].as_str().unwrap()).unwrap();
    let padded = changed(3, "n", &[vec![0], modulus].concat());
    let auth = JwtAuth::new("x").jwks(&json!({ "keys": [padded] }).to_string()).unwrap();
    assert_eq!(judged(&auth, &signed(&Header::new(*algorithm), &good(), key)).as_deref(), Ok("ada"));
}

#[test]
fn rfc_7518_3_2_a_secret_is_bytes_and_that_of_a_text_ends_with_its_line() {
    let folder = Scratch::new("secrets");
    let path = folder.join("secret");
    let random = [&[0xFF; 31][..], b"\n"].concat();
    for (content, secret) in [(SECRET, SECRET), (&[SECRET, b"\r\n"].concat(), SECRET), (&*random, &*random)] {
        std::fs::write(&path, content).unwrap();
        let auth = JwtAuth::new("x").secret_file("HS256", &path).unwrap();
        let token = signed(&Header::new(Algorithm::HS256), &good(), &EncodingKey::from_secret(secret));
        assert_eq!(judged(&auth, &token).as_deref(), Ok("ada"), "{content:?}");
    }
    std::fs::write(&path, [SECRET, b"\n"].concat().split_off(1)).unwrap();
    let error = JwtAuth::new("x").secret_file("HS256", &path).unwrap_err().to_string();
    assert!(error.ends_with("secret: a key for HS256 has at least 32 bytes, this one 31"), "{error}");
}

#[test]
fn handlers_see_the_subject_and_clients_the_reason() {
    let auth = secret().users(["ada"]);
    let who = |request: &Request<'_>| request.user().unwrap_or("nobody").to_owned();
    let app = App::new().get("/", auth.guard(who));
    let get = |token: &str| {
        let request = ::http::Request::get("/").header("authorization", format!("Bearer {token}"));
        app.oneshot(request.body("").unwrap())
    };
    let far = 99_999_999_999_u64;
    let long = by_secret(&json!({ "sub": "ada", "exp": far, "more": "x".repeat(16 * 1024) }));
    assert_eq!(get(&long).body(), "ada", "how long it is, is a matter of the head");
    assert_eq!(get(&by_secret(&json!({ "sub": "ada", "exp": far }))).body(), "ada");
    let answer = get(&by_secret(&json!({ "sub": "eve", "exp": far })));
    assert_eq!(answer.status(), 403);
    assert!(!answer.headers().contains_key("www-authenticate"));
    let answer = get(&by_secret(&json!({ "sub": "ada", "exp": 1 })));
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["www-authenticate"], r#"Bearer realm="x", error="invalid_token""#);
    assert!(answer.body().ends_with(b"(handler.token_expired)\n"));
}
