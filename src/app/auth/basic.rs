//! [`BasicAuth`]: a user name and a password before a handler. RFC 7617; RFC 9110 §11.
//!
//! ```text
//!  Authorization ─► Credentials ─► found right not long ago? ─ yes ─► the handler
//!        │ none, malformed                  │ no
//!        ▼                         too many failures from there? ─ yes ─► 429
//!       401                                 │ no
//!                                           ▼
//!                              Outcome::Again … Checks … right ─► asked once more: the handler
//!                                                        wrong ─► 401, and a failure more
//! ```
//! A hash is computed on the blocking pool; the handler is always called on the loop's thread, since what it
//! opens belongs to that thread. The decision falls at the head: of a body nothing is read, and none is
//! invited, while the password is being checked.
//!
//! What a clock could tell a stranger: a user that is not known costs what a known one costs, for the hash of
//! another user is computed. What was wrong is not remembered: a second try costs what the first did, and
//! there is no list that strangers could fill. Only who knew the password already gets an answer early.
//! Behind an address from which too many failures came, who was found right not long ago still passes: others
//! there may be to blame. But only until ten times as many tries came from it: else what is remembered could
//! be guessed at without a limit. `tests/timing.rs` holds a clock to it.

use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderValue;

use super::account::{Account, Password, refusal};
use super::checks::{Checks, Identity};
use super::credentials::{CREDENTIALS_BYTES_MAX, Credentials};
use super::hash::HashError;
use super::listing::{self, ListError, ListProblem};
use super::seal::Seal;
use super::who::{Users, authorization};
use crate::app::adapters::IntoHandler;
use crate::app::layer::{Acts, Layer, Layered, Passage};
use crate::app::request::Request;
use crate::http::Response;

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
    seal: Seal,
    /// Known to this process alone, too.
    numbers: RandomState,
    challenge: HeaderValue,
    /// In the order of their names' numbers.
    accounts: Vec<(u64, Arc<Account>)>,
    checks: Checks,
    admitted: Users,
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
        let realm = realm.replace('\\', r"\\").replace('"', r#"\""#);
        let challenge = HeaderValue::from_str(&format!(r#"Basic realm="{realm}", charset="UTF-8""#));
        Self {
            seal: Seal::new(),
            numbers: RandomState::new(),
            challenge: challenge.expect("a realm has no control characters"),
            accounts: Vec::new(),
            checks: Checks::new(),
            admitted: Users::default(),
        }
    }

    /// Also lets in `name` with the password whose [hash](super::PasswordHash) is `hash`.
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
            Err(place) => self.accounts.insert(place, (number, Arc::new(Account::new(name, hash)))),
        }
        Ok(self)
    }

    /// Also lets in the users of `text`, which is as `htpasswd` writes it: a name, a colon and a hash in each
    /// line; what stands behind a second colon means nothing. Hashes that are guessed too quickly (MD5,
    /// SHA-1, DES) are refused.
    ///
    /// ```
    /// use kolk::BasicAuth;
    ///
    /// let text = "# made with htpasswd -B\nada:$2y$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i\n";
    /// assert!(BasicAuth::new("the archive").htpasswd(text).is_ok());
    /// let error = BasicAuth::new("the archive").htpasswd("ada:secret").unwrap_err();
    /// assert!(error.to_string().starts_with("line 1: the hash of user \"ada\": this is not a password hash"));
    /// ```
    ///
    /// # Errors
    /// If a line is no user, a name stands twice, or there is nobody.
    pub fn htpasswd(mut self, text: &str) -> Result<Self, ListError> {
        for line in listing::lines(text) {
            let (number, name, rest) = line?;
            let hash = rest.split(':').next().unwrap_or_default();
            let user = self.user(name, hash);
            self = user.map_err(|error| ListError::at(number, ListProblem::User(error)))?;
        }
        if self.accounts.is_empty() {
            return Err(ListError::whole(ListProblem::Nobody));
        }
        Ok(self)
    }

    /// The same from the file `path`, which has at most 1 MiB.
    ///
    /// # Errors
    /// If it cannot be read, too.
    pub fn htpasswd_file(self, path: impl AsRef<Path>) -> Result<Self, ListError> {
        let path = path.as_ref();
        self.htpasswd(&listing::read(path)?).map_err(|error| error.of(path))
    }

    /// After `count` wrong passwords from one address (the /64 of an IPv6 address) within this time, refuses
    /// what comes from it for the rest of the time, with 429 and before a hash is computed. Who was found
    /// right within the last five minutes passes still, until ten times as many tries came from there. 10
    /// within a minute unless told otherwise; a `count` of 0 is no limit. Clients without an address have
    /// none.
    #[must_use]
    pub fn failures(mut self, count: u32, within: Duration) -> Self {
        self.checks = self.checks.limited(count, within);
        self
    }

    /// Counts wrong passwords together with `other`, each up to its own limit, if both have one: for users
    /// that take the place of others, so that whoever guesses does not begin anew.
    #[must_use]
    pub fn failing_with(mut self, other: &Self) -> Self {
        self.checks.failing_with(&other.checks);
        self
    }

    /// Goes on where `other` is: who is there under the same name and hash and was found right not long ago
    /// is believed here, too, and what is being checked there is not checked once more. For users that take
    /// the place of others, so that nobody waits for all passwords at once. Who is added after this is new.
    #[must_use]
    pub fn knowing_with(mut self, other: &Self) -> Self {
        self.seal = other.seal.clone();
        self.numbers = other.numbers.clone();
        self.checks.waiting_with(&other.checks);
        for (number, account) in &mut self.accounts {
            *number = self.numbers.hash_one(&**account.name());
            let place = other.accounts.binary_search_by_key(number, |(number, _)| *number);
            let known = place.ok().and_then(|place| other.accounts.get(place));
            if let Some((_, known)) = known.filter(|(_, known)| known.is_like(account)) {
                *account = Arc::clone(known);
            }
        }
        self.accounts.sort_unstable_by_key(|(number, _)| *number);
        self
    }

    /// Lets in only these of the users; the others are answered with 403.
    ///
    /// ```
    /// use kolk::{App, BasicAuth, Response};
    ///
    /// let hash = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";
    /// let auth = BasicAuth::new("the archive").user("ada", hash)?.user("bob", hash)?;
    /// let app = App::new().get("/", auth.users(["bob"]).guard(Response::text("for bob")));
    /// let request = http::Request::get("/").header("authorization", "Basic YWRhOkhlbGxvIHdvcmxkIQ==");
    /// assert_eq!(app.oneshot(request.body("").unwrap()).status(), 403);
    /// # Ok::<(), kolk::app::UserError>(())
    /// ```
    #[must_use]
    pub fn users<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.admitted = Users::only(names);
        self
    }

    /// `handler`, for these users alone.
    pub fn guard<H: IntoHandler>(&self, handler: H) -> Layered<H::Handler> {
        Layered::before(handler.into_handler(), self.clone())
    }

    /// Who the request claims to come from.
    fn judge(&self, request: &Request<'_>, response: &mut Response) -> Passage {
        let mut buffer = [0; CREDENTIALS_BYTES_MAX];
        let value = match authorization(request) {
            Ok(value) => value.unwrap_or_default(),
            Err(repeated) => {
                response.refuse(repeated);
                return Passage::answered();
            }
        };
        let Some(credentials) = Credentials::decode(value, &mut buffer) else { return self.refuse(response) };
        let Some((account, is_user)) = self.account_of(credentials.user) else {
            return self.refuse(response);
        };
        let digest = self.seal.digest(&[credentials.user.as_bytes(), credentials.password]);
        let now = request.now();
        if self.checks.refuses_guess(request, response, || account.knows(&digest, now)) {
            return Passage::answered();
        }
        if account.knows(&digest, now) {
            return self.admitted.admit(account.name(), request, response);
        }
        if request.is_gone() {
            // Nothing is computed for who cannot hear of it, and could not be counted.
            return self.refuse(response);
        }
        let identity = Identity { digest, judge: Arc::as_ptr(account).addr() };
        self.checks.submit(request, response, identity, || Password {
            account: Arc::clone(account),
            is_user,
            password: credentials.password.into(),
            digest,
            now,
            challenge: self.challenge.clone(),
        })
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
}

impl Layer for BasicAuth {
    fn before(&self, request: &Request<'_>, response: &mut Response) -> Passage {
        self.judge(request, response)
    }

    fn acts(&self) -> Acts {
        Acts::REQUESTS
    }

    fn name(&self) -> &'static str {
        "auth"
    }

    fn explain(&self) -> String {
        let challenge = String::from_utf8_lossy(self.challenge.as_bytes());
        format!("{challenge}; users: {}", self.accounts.len())
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
