//! [`Users`]: which of the names that a layer can prove it lets in; [`Challenge`]: how a client is asked for
//! a token.
//!
//! ```text
//!  proved name ─► listed, or no list ─► Request::identify ─► the handler
//!                └─ not listed ─► 403
//! ```
//! RFC 9110 §11.6.1, §15.5.2, §15.5.4; RFC 6750 §3.

use std::fmt;
use std::sync::Arc;

use ::http::{HeaderValue, header};

use crate::app::layer::Passage;
use crate::app::request::Request;
use crate::http::{Reason, Response};

/// Which of those who have proved who they are may pass.
#[derive(Clone, Debug, Default)]
pub(super) struct Users(Option<Arc<[Box<str>]>>);

/// How a client is asked for a token.
#[derive(Clone, Debug)]
pub(super) struct Challenge {
    plain: HeaderValue,
    invalid_token: HeaderValue,
    invalid_request: HeaderValue,
}

impl Users {
    /// These alone.
    pub(super) fn only<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Self {
        Self(Some(names.into_iter().map(|name| name.as_ref().into()).collect()))
    }

    /// The client is `user`: lets it pass, or answers with 403.
    pub(super) fn admit(&self, user: &Arc<str>, request: &Request<'_>, response: &mut Response) -> Passage {
        request.identify(user);
        match &self.0 {
            Some(names) if !names.iter().any(|name| **name == **user) => {
                response.refuse(Reason::UserNotAllowed);
                Passage::answered()
            }
            _ => Passage::Open,
        }
    }
}

impl Challenge {
    /// For the realm that is shown to people.
    ///
    /// # Panics
    /// If the realm has control characters.
    #[track_caller]
    pub(super) fn new(realm: &str) -> Self {
        let realm = realm.replace('\\', r"\\").replace('"', r#"\""#);
        let value = |error: &str| {
            let value = HeaderValue::from_str(&format!(r#"Bearer realm="{realm}"{error}"#));
            value.expect("a realm has no control characters")
        };
        Self {
            plain: value(""),
            invalid_token: value(r#", error="invalid_token""#),
            invalid_request: value(r#", error="invalid_request""#),
        }
    }

    /// The token of `request`, or its refusal in `response`: no token is a 401 without an error, two are a
    /// 400.
    pub(super) fn token<'a>(
        &self,
        request: &Request<'a>,
        response: &mut Response,
    ) -> Result<&'a [u8], Passage> {
        let value = authorization(request).and_then(|value| value.ok_or(Reason::TokenMissing));
        let value = value.map_err(|reason| self.refuse(reason, response))?;
        let (scheme, rest) = value.split_at(value.len().min(b"Bearer".len()));
        let token = rest.trim_ascii_start();
        if !scheme.eq_ignore_ascii_case(b"Bearer") || (token.len() == rest.len() && !rest.is_empty()) {
            return Err(self.refuse(Reason::TokenMissing, response));
        }
        if !is_token(token) {
            return Err(self.refuse(Reason::TokenMalformed, response));
        }
        Ok(token)
    }

    /// The refusal for this reason: what its status is decides what the challenge says.
    pub(super) fn refuse(&self, reason: Reason, response: &mut Response) -> Passage {
        let value = match reason {
            Reason::TokenMissing => &self.plain,
            Reason::CredentialsRepeated | Reason::TokenMalformed => &self.invalid_request,
            _ => &self.invalid_token,
        };
        response.refuse(reason);
        response.append(&header::WWW_AUTHENTICATE, value);
        Passage::answered()
    }
}

/// As a client reads it that has sent none.
impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.plain.as_bytes()))
    }
}

/// What the field `Authorization` says, if there is one; or why nobody could say which of several counts. RFC
/// 9110 §11.6.2.
pub(super) fn authorization<'a>(request: &Request<'a>) -> Result<Option<&'a [u8]>, Reason> {
    let mut fields = request.headers().filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    match (fields.next(), fields.next()) {
        (first, None) => Ok(first.map(|(_, value)| value)),
        _ => Err(Reason::CredentialsRepeated),
    }
}

/// RFC 6750 §2.1: `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
fn is_token(text: &[u8]) -> bool {
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    end > 0 && text[..end].iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_6750_2_1_a_token_has_no_blanks_and_ends_with_equals_signs() {
        for token in ["mF_9.B5f-4.1JqM", "a==", "a+/~"] {
            assert!(is_token(token.as_bytes()), "{token}");
        }
        for text in ["", "=", "a=b", "a b", "a,b", "\u{e9}", "a\n"] {
            assert!(!is_token(text.as_bytes()), "{text}");
        }
    }
}
