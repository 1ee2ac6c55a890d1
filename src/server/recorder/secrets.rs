//! Which parameters of a query are secrets, by how their names sound.
//!
//! ```text
//!  X-Amz-Security-Token ─► xamzsecuritytoken ─► has "token" in it: its value is not kept
//! ```
//! Too much is left out rather than too little. Knows no value.

use crate::http::query;

/// Names in which one of these stands.
const PARTS: [&[u8]; 14] = [
    b"accesskey",
    b"apikey",
    b"assertion",
    b"authoriz",
    b"bearer",
    b"cookie",
    b"credential",
    b"passphrase",
    b"passw",
    b"privatekey",
    b"secret",
    b"sess",
    b"signature",
    b"token",
];

/// Names that are one of these.
const WORDS: [&[u8]; 16] = [
    b"auth",
    b"code",
    b"csrf",
    b"hmac",
    b"jwt",
    b"key",
    b"nonce",
    b"otp",
    b"pass",
    b"pin",
    b"pwd",
    b"samlresponse",
    b"sid",
    b"sig",
    b"state",
    b"xsrf",
];

/// Longer names are secrets, whatever they are.
const NAME_BYTES_MAX: usize = 64;

/// Whether the parameter of this name, as it is written in a query, sounds like a secret: whatever stands
/// between its words, in small or capital letters.
pub(super) fn sounds_secret(written: &[u8]) -> bool {
    let (mut name, mut length, mut rest) = ([0; NAME_BYTES_MAX], 0, written);
    while let Some((byte, behind)) = query::first_byte(rest) {
        rest = behind;
        if !byte.is_ascii_alphanumeric() {
            continue;
        }
        let Some(place) = name.get_mut(length) else { return true };
        *place = byte.to_ascii_lowercase();
        length += 1;
    }
    let name = &name[..length];
    WORDS.contains(&name) || PARTS.iter().any(|part| memchr::memmem::find(name, part).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_sound_like_secrets() {
        for secret in [
            "token",
            "access_token",
            "id-token",
            "X-Amz-Security-Token",
            "X-Amz-Signature",
            "X-Amz-Credential",
            "csrf_token",
            "authenticity_token",
            "api_key",
            "api-key",
            "apiKey",
            "key",
            "KEY",
            "sig",
            "pwd",
            "user[password]",
            "passwd",
            "client_secret",
            "%74oken",
            "t%6Fken",
            "code",
            "state",
            "JSESSIONID",
            "PHPSESSID",
            "SAMLResponse",
            "otp",
            "auth",
            "Authorization",
            "my+token",
        ] {
            assert!(sounds_secret(secret.as_bytes()), "{secret}");
        }
        assert!(sounds_secret(&[b'a'; 65]) && !sounds_secret(&[b'a'; 64]));
        for harmless in [
            "", "q", "page", "id", "name", "keyboard", "encode", "zip-code", "sort", "author", "compass", "-",
        ] {
            assert!(!sounds_secret(harmless.as_bytes()), "{harmless}");
        }
    }
}
