//! [`BasicAuth`]: a user name and a password before a handler. RFC 7617; RFC 9110 §11.
//!
//! ```text
//!  Authorization ─► Credentials ─► found right not long ago? ─ yes ─► the handler
//!        │ none, malformed                  │ no
//!        ▼                                  ▼
//!       401                    Outcome::Again … Checks … right ─► asked once more: the handler
//!                                                        wrong ─► 401
//! ```
//! A hash is computed on the blocking pool; the handler is always called on the loop's thread, since what it
//! opens belongs to that thread. The decision falls at the head: of a body nothing is read, and none is
//! invited, while the password is being checked.
//!
//! What a clock could tell a stranger: a user that is not known costs what a known one costs, for the hash of
//! another user is computed. What was wrong is not remembered: a second try costs what the first did, and
//! there is no list that strangers could fill. Only who knew the password already gets an answer early.
//! `tests/timing.rs` holds a clock to it.
//!
//! | file | what it is |
//! | --- | --- |
//! | `credentials` | the field's value, taken apart |
//! | `hash` | [`PasswordHash`]: argon2, bcrypt, SHA-crypt |
//! | `checks` | what is being checked, a few at a time |

mod checks;
mod credentials;
mod hash;

use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderValue, header};
use blake2::Blake2sMac256;
use blake2::digest::{KeyInit, Mac};

use self::checks::{Account, Check, Checks, Digest};
use self::credentials::{CREDENTIALS_BYTES_MAX, Credentials};
use super::adapters::IntoHandler;
use super::handler::Outcome;
use super::layer::{Acts, Layer, Layered, Passage};
use super::request::Request;
use crate::http::{Reason, Response};

pub use self::hash::{HashAlgorithm, HashError, PasswordHash};

/// How long a password that was right is not checked again.
const VERIFIED_FOR: Duration = Duration::from_secs(300);

/// Users and their password hashes.
///
/// Clones share what they know and how much they check at a time. Passwords travel in the clear: behind plain
/// HTTP this keeps out who does not know them, not who listens.
///
/// ```
/// use kolk::{App, BasicAuth, Request, Response};
///
/// // Made with `kolk hash-password`.
/// let hash = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";
/// let auth = BasicAuth::new("the archive").user("ada", hash)?;
/// let app = App::new().get("/", auth.guard(Response::text("welcome\n")));
///
/// let answer = app.oneshot(http::Request::get("/").body("").unwrap());
/// assert_eq!(answer.status(), 401);
/// assert_eq!(answer.headers()["www-authenticate"], r#"Basic realm="the archive", charset="UTF-8""#);
///
/// let request = http::Request::get("/").header("authorization", "Basic YWRhOkhlbGxvIHdvcmxkIQ==");
/// assert_eq!(app.oneshot(request.body("").unwrap()).body(), "welcome\n");
/// # Ok::<(), kolk::app::UserError>(())
/// ```
#[derive(Clone)]
pub struct BasicAuth {
    /// Known to this process alone: its digests are worth nothing elsewhere.
    key: [u8; 32],
    /// And so are the numbers of names.
    numbers: RandomState,
    challenge: HeaderValue,
    /// In the order of their names' numbers.
    accounts: Vec<(u64, Arc<Account>)>,
    checks: Arc<Checks>,
}

/// Why there can be no such user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserError {
    /// The name is empty, or has a colon or a control character (RFC 7617 §2).
    Name(String),
    /// There is a user of this name.
    Twice(String),
    /// The hash is none.
    Hash {
        /// Whose it is.
        user: String,
        /// What is wrong with it.
        error: HashError,
    },
}

impl BasicAuth {
    /// Lets nobody in. `realm` is what browsers show when they ask for the password.
    ///
    /// # Panics
    /// If the realm has control characters, or the system gives no random bytes.
    #[track_caller]
    pub fn new(realm: &str) -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the system has random bytes");
        let realm = realm.replace('\\', r"\\").replace('"', r#"\""#);
        let challenge = HeaderValue::from_str(&format!(r#"Basic realm="{realm}", charset="UTF-8""#));
        Self {
            key,
            numbers: RandomState::new(),
            challenge: challenge.expect("a realm has no control characters"),
            accounts: Vec::new(),
            checks: Arc::default(),
        }
    }

    /// Also lets in `name` with the password whose [hash](PasswordHash) is `hash`.
    ///
    /// # Errors
    /// If the name has a colon or control characters or is there already, or the hash is none.
    pub fn user(mut self, name: &str, hash: &str) -> Result<Self, UserError> {
        if name.is_empty() || name.contains(|c: char| c == ':' || c.is_control()) {
            return Err(UserError::Name(name.to_owned()));
        }
        let hash = hash.parse().map_err(|error| UserError::Hash { user: name.to_owned(), error })?;
        let number = self.numbers.hash_one(name);
        match self.accounts.binary_search_by_key(&number, |(number, _)| *number) {
            Ok(_) => return Err(UserError::Twice(name.to_owned())),
            Err(place) => self.accounts.insert(place, (number, Arc::new(Account::new(hash)))),
        }
        Ok(self)
    }

    /// `handler`, for these users alone.
    pub fn guard<H: IntoHandler>(&self, handler: H) -> Layered<H::Handler> {
        Layered::before(handler.into_handler(), self.clone())
    }

    /// Who the request claims to come from.
    fn judge(&self, request: &Request<'_>, response: &mut Response) -> Passage {
        let mut buffer = [0; CREDENTIALS_BYTES_MAX];
        let mut fields = request.headers().filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let (Some((_, value)), None) = (fields.next(), fields.next()) else { return self.refuse(response) };
        let Some(credentials) = Credentials::decode(value, &mut buffer) else { return self.refuse(response) };
        let Some((account, is_known)) = self.account_of(credentials.user) else {
            return self.refuse(response);
        };
        let (digest, now) = (self.digest(&credentials), request.now());
        if account.knows(&digest, now) {
            return Passage::Open;
        }
        let suspended = self.checks.submit(request.pool(), || {
            let (recall, outcome) = request.suspend();
            let check = Check {
                account: Arc::clone(account),
                is_known,
                password: credentials.password.into(),
                digest,
                now,
                until: now.after(VERIFIED_FOR),
                challenge: self.challenge.clone(),
                recall,
            };
            (check, outcome)
        });
        Passage::Closed(suspended.unwrap_or_else(|| {
            response.refuse(Reason::PoolFull);
            response.append(&header::RETRY_AFTER, &HeaderValue::from_static("1"));
            Outcome::Ready
        }))
    }

    /// Whose hash is computed, and whether that is this user. For a name that is not known it is another's:
    /// always the same one, so that time does not tell it from a user's, and another in each process. Both
    /// are found by the same steps, without a look at a name.
    fn account_of(&self, user: &str) -> Option<(&Arc<Account>, bool)> {
        let wanted = self.numbers.hash_one(user);
        let next = self.accounts.partition_point(|(number, _)| *number < wanted);
        let (number, account) = self.accounts.get(next).or_else(|| self.accounts.first())?;
        Some((account, *number == wanted))
    }

    fn refuse(&self, response: &mut Response) -> Passage {
        response.replace(refusal(&self.challenge));
        Passage::answered()
    }

    /// Of the user's name, its length and the password: what stands for them in memory.
    fn digest(&self, credentials: &Credentials<'_>) -> Digest {
        let mut mac = <Blake2sMac256 as KeyInit>::new(&self.key.into());
        mac.update(&(credentials.user.len() as u64).to_le_bytes());
        mac.update(credentials.user.as_bytes());
        mac.update(credentials.password);
        mac.finalize().into_bytes().into()
    }
}

/// A 401 that says how to do better. RFC 9110 §15.5.2.
fn refusal(challenge: &HeaderValue) -> Response {
    Response::refusal(Reason::Unauthorized).with_header(header::WWW_AUTHENTICATE, challenge.clone())
}

impl Layer for BasicAuth {
    fn before(&self, request: &Request<'_>, response: &mut Response) -> Passage {
        self.judge(request, response)
    }

    fn acts(&self) -> Acts {
        Acts { before: true, after: false }
    }

    fn name(&self) -> &'static str {
        "auth"
    }
}

impl fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicAuth")
            .field("challenge", &self.challenge)
            .field("users", &self.accounts.len())
            .field("checks", &self.checks)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => {
                write!(f, "{name:?} is no user name: it is empty, or has a colon or a control character")
            }
            Self::Twice(name) => write!(f, "there are two users of the name {name:?}: remove one"),
            Self::Hash { user, error } => write!(f, "the hash of user {user:?}: {error}"),
        }
    }
}

impl Error for UserError {}

#[cfg(test)]
mod tests;
