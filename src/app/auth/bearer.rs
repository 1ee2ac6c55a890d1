//! [`BearerAuth`]: a random token before a handler; [`Token`]: a new one. RFC 6750.
//!
//! ```text
//!  kolk token ci ─► ci:sha256:9F86…   a line of the file
//!               └─► kolk_K3xW…        the token, which nobody keeps but its owner
//!
//!  Authorization: Bearer kolk_K3xW… ─► SHA-256 ─► listed? ─ yes ─► the handler
//!                                                    └ no ─► 401 error="invalid_token"
//! ```
//! A token is 256 random bits: one round of a hash is enough, and who reads the file cannot come in by it.
//! What is looked up is the number that a key of this process makes of the digest, and what is found is
//! compared in constant time. Keeps no list of what was wrong.

use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::basic::UserError;
use super::digits::sha256_of;
use super::listing::{self, ListError, ListProblem};
use super::who::{Challenge, Users};
use crate::app::adapters::IntoHandler;
use crate::app::layer::{Acts, Layer, Layered, Passage};
use crate::app::request::Request;
use crate::http::{Reason, Response};

/// What a line has before the digest.
const KIND: &str = "sha256:";
/// What is wrong with a line that has none.
const NO_HASH: &str = "this is not the hash of a token, which is sha256: and 64 hexadecimal digits: make one \
                       with `kolk token NAME`";
/// What tokens begin with, so that who finds one knows what it is.
const PREFIX: &str = "kolk_";
/// Longer tokens are nobody's, in bytes.
const TOKEN_BYTES_MAX: usize = 512;

/// Names and the SHA-256 of their tokens. Clones share them.
///
/// ```
/// use kolk::{App, BearerAuth, Request};
///
/// // Made with `kolk token ci`; the digest is that of `printf '%s' TOKEN | sha256sum`.
/// let line = "ci:sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
/// let auth = BearerAuth::new("the forge").tokens(line)?;
/// let app = App::new().get("/", auth.guard(|request: &Request<'_>| request.user().unwrap_or("?").to_owned()));
///
/// let get = |token: &str| {
///     let request = http::Request::get("/").header("authorization", format!("Bearer {token}"));
///     app.oneshot(request.body("").unwrap())
/// };
/// assert_eq!(get("abc").body(), "ci");
/// let answer = get("abd");
/// assert_eq!(answer.status(), 401);
/// assert_eq!(answer.headers()["www-authenticate"], r#"Bearer realm="the forge", error="invalid_token""#);
/// # Ok::<(), kolk::app::ListError>(())
/// ```
#[derive(Clone)]
pub struct BearerAuth {
    /// Known to this process alone.
    numbers: RandomState,
    challenge: Challenge,
    /// In the order of their digests' numbers.
    tokens: Arc<Vec<Owner>>,
    users: Users,
}

#[derive(Clone)]
struct Owner {
    number: u64,
    digest: [u8; 32],
    name: Arc<str>,
}

/// A new token and what is kept of it.
#[derive(Clone)]
pub struct Token {
    text: String,
}

/// There are no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRandomBytes;

impl BearerAuth {
    /// Lets nobody in. `realm` is a name for what is behind.
    ///
    /// # Panics
    /// If the realm has control characters.
    #[track_caller]
    pub fn new(realm: &str) -> Self {
        let challenge = Challenge::new(realm);
        Self { numbers: RandomState::new(), challenge, tokens: Arc::default(), users: Users::default() }
    }

    /// Also lets in the owners of the tokens in `text`: a name, a colon, `sha256:` and the SHA-256 of the
    /// token in hexadecimal digits in each line. A name may have several tokens, while one takes the other's
    /// place.
    ///
    /// # Errors
    /// If a line is none of these, a token stands twice, or there is none.
    pub fn tokens(mut self, text: &str) -> Result<Self, ListError> {
        let tokens = Arc::make_mut(&mut self.tokens);
        for line in listing::lines(text) {
            let (number, name, rest) = line?;
            let wrong = |problem| ListError::at(number, problem);
            if name.is_empty() || name.contains(char::is_control) {
                return Err(wrong(ListProblem::User(UserError::Name(name.to_owned()))));
            }
            let digest = rest.strip_prefix(KIND).and_then(|digits| sha256_of(digits.as_bytes()));
            let digest = digest.ok_or_else(|| wrong(ListProblem::Token(NO_HASH)))?;
            let place_of = self.numbers.hash_one(digest);
            match tokens.binary_search_by_key(&place_of, |owner| owner.number) {
                Ok(_) => return Err(wrong(ListProblem::Token("this token stands here twice: remove one"))),
                Err(place) => tokens.insert(place, Owner { number: place_of, digest, name: name.into() }),
            }
        }
        if self.tokens.is_empty() {
            return Err(ListError::whole(ListProblem::Nobody));
        }
        Ok(self)
    }

    /// The same from the file `path`, which has at most 1 MiB.
    ///
    /// # Errors
    /// If it cannot be read, too.
    pub fn token_file(self, path: impl AsRef<Path>) -> Result<Self, ListError> {
        let path = path.as_ref();
        self.tokens(&listing::read(path)?).map_err(|error| error.of(path))
    }

    /// Lets in only these of the tokens' owners; the others are answered with 403.
    #[must_use]
    pub fn users<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.users = Users::only(names);
        self
    }

    /// `handler`, for the owners of these tokens alone.
    pub fn guard<H: IntoHandler>(&self, handler: H) -> Layered<H::Handler> {
        Layered::before(handler.into_handler(), self.clone())
    }

    fn owner_of(&self, token: &[u8]) -> Option<&Arc<str>> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let digest: [u8; 32] = Sha256::digest(token).into();
        let wanted = self.numbers.hash_one(digest);
        let next = self.tokens.partition_point(|owner| owner.number < wanted);
        let owner = self.tokens.get(next)?;
        bool::from(owner.digest.ct_eq(&digest)).then_some(&owner.name)
    }
}

impl Layer for BearerAuth {
    fn before(&self, request: &Request<'_>, response: &mut Response) -> Passage {
        let token = match self.challenge.token(request, response) {
            Ok(token) => token,
            Err(refused) => return refused,
        };
        match self.owner_of(token) {
            Some(name) => self.users.admit(name, request, response),
            None => self.challenge.refuse(Reason::TokenUnknown, response),
        }
    }

    fn acts(&self) -> Acts {
        Acts::REQUESTS
    }

    fn name(&self) -> &'static str {
        "auth"
    }

    fn explain(&self) -> String {
        format!("{}; tokens: {}", self.challenge, self.tokens.len())
    }
}

impl fmt::Debug for BearerAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuth").field("tokens", &self.tokens.len()).finish_non_exhaustive()
    }
}

impl Token {
    /// A new one.
    ///
    /// ```
    /// use kolk::{BearerAuth, Token};
    ///
    /// let token = Token::random().unwrap();
    /// assert!(token.reveal().starts_with("kolk_") && token.reveal().len() == 48);
    /// assert!(BearerAuth::new("the forge").tokens(&token.line("ci")).is_ok());
    /// ```
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub fn random() -> Result<Self, NoRandomBytes> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| NoRandomBytes)?;
        Ok(Self { text: format!("{PREFIX}{}", Base64UrlUnpadded::encode_string(&bytes)) })
    }

    /// The token itself.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// What stands for it in a file, for the owner `name`.
    pub fn line(&self, name: &str) -> String {
        let mut line = format!("{name}:{KIND}");
        for byte in Sha256::digest(self.text.as_bytes()) {
            line.push_str(&format!("{byte:02x}"));
        }
        line
    }
}

/// Not the token.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl fmt::Display for NoRandomBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the system gave no random bytes")
    }
}

impl Error for NoRandomBytes {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;

    fn get(app: &App, credentials: &[&str]) -> (u16, String, String) {
        let mut request = ::http::Request::get("/");
        for value in credentials {
            request = request.header("authorization", *value);
        }
        let answer = app.oneshot(request.body("").unwrap());
        let challenge =
            answer.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
        let body = String::from_utf8(answer.body().to_vec()).unwrap();
        (answer.status().as_u16(), challenge.unwrap_or_default(), body)
    }

    fn who(request: &Request<'_>) -> String {
        request.user().unwrap_or("nobody").to_owned()
    }

    #[test]
    fn rfc_6750_3_each_mistake_has_its_challenge() {
        let (ci, ada) = (Token::random().unwrap(), Token::random().unwrap());
        let auth =
            BearerAuth::new("a \"b\"").tokens(&format!("{}\n{}\n", ci.line("ci"), ada.line("ada"))).unwrap();
        let app = App::new().get("/", auth.guard(who));
        let bearer = |token: &str| format!("Bearer {token}");
        assert_eq!(get(&app, &[&bearer(ci.reveal())]), (200, String::new(), "ci".into()));
        assert_eq!(get(&app, &[&format!("bEARER   {}", ada.reveal())]).2, "ada");

        let plain = r#"Bearer realm="a \"b\"""#;
        for none in [&[][..], &["Basic YTpi"], &["Bearerx"]] {
            let (status, challenge, body) = get(&app, none);
            assert_eq!((status, &*challenge), (401, plain), "{none:?}");
            assert!(body.contains("handler.token_missing"), "{body}");
        }
        let twice = bearer(ci.reveal());
        for (wrong, status, error, code) in [
            (&[&*bearer("x")][..], 401, "invalid_token", "handler.token_unknown"),
            (&[&*bearer(&ci.reveal()[1..])], 401, "invalid_token", "handler.token_unknown"),
            (&[&*bearer(&"x".repeat(600))], 401, "invalid_token", "handler.token_unknown"),
            (&[&*bearer("")], 400, "invalid_request", "handler.token_malformed"),
            (&[&*bearer("a b")], 400, "invalid_request", "handler.token_malformed"),
            (&[&*twice, &*twice], 400, "invalid_request", "handler.credentials_repeated"),
        ] {
            let (got, challenge, body) = get(&app, wrong);
            assert_eq!((got, &*challenge), (status, &*format!("{plain}, error=\"{error}\"")), "{wrong:?}");
            assert!(body.contains(code), "{body}");
        }
        let nobody = App::new().get("/", BearerAuth::new("x").guard(who));
        assert_eq!(get(&nobody, &[&bearer("x")]).0, 401);
    }

    #[test]
    fn who_is_known_and_not_listed_is_forbidden() {
        let (ci, ada) = (Token::random().unwrap(), Token::random().unwrap());
        let auth = BearerAuth::new("x").tokens(&format!("{}\n{}", ci.line("ci"), ada.line("ada"))).unwrap();
        let app = App::new().get("/", auth.users(["ada", "eve"]).guard(who));
        assert_eq!(get(&app, &[&format!("Bearer {}", ada.reveal())]).2, "ada");
        let (status, challenge, body) = get(&app, &[&format!("Bearer {}", ci.reveal())]);
        assert_eq!((status, &*challenge), (403, ""));
        assert!(body.contains("handler.user_not_allowed"), "{body}");
    }

    #[test]
    fn lines_that_are_no_tokens_are_named() {
        let good = Token::random().unwrap().line("ci");
        let refused = |line: &str| {
            let error = BearerAuth::new("x").tokens(&format!("{good}\n{line}\n")).unwrap_err();
            assert_eq!(error.line(), Some(2), "{line}");
            error.to_string()
        };
        for line in [
            "ada:secret",
            "ada:sha256:",
            &good[..good.len() - 1],
            &format!("{good}0"),
            &good.replace("256", "1"),
        ] {
            assert!(refused(line).contains("kolk token NAME"), "{line}");
        }
        assert!(!refused("ada:secret").contains("secret"));
        assert!(refused(&good).contains("twice") && refused(&good.replace("ci:", "ada:")).contains("twice"));
        assert!(refused(&good.replace("ci:", ":")).contains("no user name"));
        let error = BearerAuth::new("x").tokens("# nobody yet\n").unwrap_err().to_string();
        assert_eq!(error, "it names nobody: add a line, or nobody could come in");
        let text =
            format!("{:?} {:?}", Token::random().unwrap(), BearerAuth::new("x").tokens(&good).unwrap());
        assert_eq!(text, "Token BearerAuth { tokens: 1, .. }", "a debug view has no secrets");
    }
}
