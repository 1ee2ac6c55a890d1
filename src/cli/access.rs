//! [`Access`]: the flags of `kolk serve` about who may read and who may store, and what they make of an app.
//!
//! ```text
//!  --cors ( --auth ( files, --upload ) )       outermost first: a preflight has no password
//! ```

use std::path::Path;

use clap::Args as ClapArgs;
use clap::builder::BoolishValueParser;
use http::Method;
use kolk::header;
use kolk::units::size;
use kolk::{App, BasicAuth, Cors, Handler, HeaderValue, ListenAddr, Response, StaticDir, StatusCode, Upload};

use super::failure::{Exit, Failure};

/// What browsers show when they ask for a password.
const REALM: &str = "kolk";
/// The pattern of every path.
const EVERYWHERE: &str = "/{*path}";

/// Who may read, and who may store.
#[derive(Clone, Debug, ClapArgs, PartialEq, Eq)]
#[command(next_help_heading = "Access")]
pub(crate) struct Access {
    /// Ask for a user name and a password, whose hash `kolk hash-password` makes; repeatable
    #[arg(long, env = "KOLK_AUTH", value_name = "USER:HASH", value_delimiter = '\n', hide_env_values = true)]
    auth: Vec<String>,

    /// Let pages of other origins read: of every origin, or of https://app.example alone
    #[arg(long, env = "KOLK_CORS", value_name = "ORIGIN", num_args = 0..=1, require_equals = true,
          default_missing_value = "*")]
    cors: Option<String>,

    /// Store what clients PUT, or POST with a form, below the folder
    #[arg(long, env = "KOLK_UPLOAD", value_parser = BoolishValueParser::new())]
    upload: bool,

    /// The largest upload
    #[arg(long, env = "KOLK_UPLOAD_MAX", value_name = "SIZE", default_value = "1GiB", value_parser = size)]
    upload_max: u64,
}

impl Access {
    /// The app that serves `files` of `dir` to who may have them; `listen` is where.
    ///
    /// # Errors
    /// For a user that is none, an origin that is none, and for uploads that everybody could make.
    pub(crate) fn app(&self, files: StaticDir, dir: &Path, listen: &[String]) -> Result<App, Failure> {
        let auth = self.users()?;
        // Without a word about where, the sockets that were passed are listened on.
        let is_public = listen.is_empty() || listen.iter().any(|address| is_public(address));
        if self.upload && auth.is_none() && is_public {
            let sentence = "--upload would let everybody who reaches this address store files: \
                            add --auth USER:HASH, or listen on 127.0.0.1";
            return Err(Failure::new(Exit::Usage, sentence));
        }
        let cors = match self.cors.as_deref() {
            None => None,
            Some("*") => Some(Cors::any()),
            Some(origin) => {
                let cors = Cors::origins(origin.split(','));
                Some(cors.map_err(|error| Failure::new(Exit::Usage, format!("--cors: {error}")))?)
            }
        };
        let doors = Doors { auth, cors };
        let app = doors.lead(App::new(), Method::GET, files.upload_form(self.upload));
        if !self.upload {
            return Ok(doors.preflights(app, &[Method::GET, Method::HEAD]));
        }
        let upload = Upload::open(dir).map_err(|error| Failure::directory(dir, &error))?;
        let upload = upload.bytes_max(self.upload_max);
        let app = doors.lead(app, Method::PUT, upload.clone());
        let app = doors.lead(app, Method::POST, upload);
        Ok(doors.preflights(app, &[Method::GET, Method::HEAD, Method::PUT, Method::POST]))
    }

    /// The users, if there are any.
    fn users(&self) -> Result<Option<BasicAuth>, Failure> {
        let mut auth = None;
        for user in &self.auth {
            let (name, hash) = user.split_once(':').ok_or_else(|| {
                // It may be a password: it is not repeated.
                Failure::new(Exit::Usage, "--auth: write USER:HASH, with a hash from `kolk hash-password`")
            })?;
            let before = auth.take().unwrap_or_else(|| BasicAuth::new(REALM));
            let after = before.user(name, hash);
            auth = Some(after.map_err(|error| Failure::new(Exit::Usage, format!("--auth: {error}")))?);
        }
        Ok(auth)
    }
}

/// What a request passes before a handler.
struct Doors {
    auth: Option<BasicAuth>,
    cors: Option<Cors>,
}

impl Doors {
    /// Routes `method` through them to `handler`, wherever its path leads.
    fn lead(&self, app: App, method: Method, handler: impl Handler) -> App {
        match (&self.auth, &self.cors) {
            (None, None) => app.route(method, EVERYWHERE, handler),
            (Some(auth), None) => app.route(method, EVERYWHERE, auth.guard(handler)),
            (None, Some(cors)) => app.route(method, EVERYWHERE, cors.wrap(handler)),
            (Some(auth), Some(cors)) => app.route(method, EVERYWHERE, cors.wrap(auth.guard(handler))),
        }
    }

    /// Answers pages that ask what they may send.
    fn preflights(&self, app: App, methods: &[Method]) -> App {
        let Some(cors) = &self.cors else { return app };
        let names: Vec<&str> = methods.iter().map(Method::as_str).chain(["OPTIONS"]).collect();
        let allow = HeaderValue::try_from(names.join(", "));
        let plain = Response::new(StatusCode::NO_CONTENT);
        let plain = allow.map(|allow| plain.with_header(header::ALLOW, allow)).unwrap_or_default();
        app.options(EVERYWHERE, cors.clone().methods(methods.iter().cloned()).wrap(plain))
    }
}

/// Whether other machines could reach what is listened on: what was passed may be anything. What is no
/// address is refused elsewhere.
fn is_public(address: &str) -> bool {
    address.starts_with("fd:") || address.parse::<ListenAddr>().is_ok_and(|address| address.is_public())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        access: Access,
    }

    /// Of `Hello world!`.
    const HASH: &str = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";

    fn app(flags: &[&str], listen: &str) -> Result<App, String> {
        let flags =
            Flags::try_parse_from(std::iter::once(&"kolk").chain(flags)).map_err(|e| e.to_string())?;
        let dir = std::env::temp_dir();
        let files = StaticDir::open(&dir).unwrap();
        flags.access.app(files, &dir, &[listen.to_owned()]).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn a_hash_is_asked_for_and_not_a_password() {
        let refused = |user: &str| app(&["--auth", user], ":1").unwrap_err();
        for user in ["ada", "ada:secret", ":x", &format!("a\u{7}:{HASH}")] {
            assert!(refused(user).contains("Usage"), "{user}: {}", refused(user));
        }
        assert!(refused("ada:secret").contains("kolk hash-password"));
        assert!(!refused("adasecret").contains("adasecret"), "it may be a password");
        let users = [format!("ada:{HASH}"), format!("bob:{HASH}")];
        assert!(app(&["--auth", &users[0], "--auth", &users[1]], ":1").is_ok());
        assert!(app(&["--auth", &users[0], "--auth", &users[0]], ":1").unwrap_err().contains("two users"));
    }

    #[test]
    fn uploads_for_everybody_are_refused() {
        let user = format!("ada:{HASH}");
        for public in [":8080", "fd:3", "192.0.2.1:80", "[::]:80", "0.0.0.0:1"] {
            let refusal = app(&["--upload"], public).unwrap_err();
            assert!(refusal.contains("--auth USER:HASH"), "{public}: {refusal}");
            assert!(app(&["--upload", "--auth", &user], public).is_ok(), "{public}");
            assert!(app(&[], public).is_ok(), "{public}");
        }
        for private in ["127.0.0.1:80", "[::1]:80", "localhost:1", "unix:/x"] {
            assert!(app(&["--upload"], private).is_ok(), "{private}");
        }
        assert!(app(&["--upload-max", "1x"], ":1").is_err());
    }

    #[test]
    fn doors_stand_in_their_order() {
        let user = format!("ada:{HASH}");
        let served = app(&["--auth", &user, "--cors=https://app.example", "--upload"], ":1").unwrap();
        let preflight = http::Request::options("/x")
            .header("origin", "https://app.example")
            .header("access-control-request-method", "PUT");
        let answer = served.oneshot(preflight.body("").unwrap());
        assert_eq!(answer.status(), 204);
        assert_eq!(answer.headers()["access-control-allow-methods"], "GET, HEAD, PUT, POST");
        for method in ["GET", "PUT", "POST"] {
            let request =
                http::Request::builder().method(method).uri("/x").header("origin", "https://app.example");
            let answer = served.oneshot(request.body("x").unwrap());
            assert_eq!(answer.status(), 401, "{method}");
            assert_eq!(answer.headers()["access-control-allow-origin"], "https://app.example", "{method}");
        }
        let plain = served.oneshot(http::Request::options("/").body("").unwrap());
        assert_eq!(plain.headers()["allow"], "GET, HEAD, PUT, POST, OPTIONS");
        assert!(app(&["--cors=app.example"], ":1").unwrap_err().contains("no origin"));
    }
}
