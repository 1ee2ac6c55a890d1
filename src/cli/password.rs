//! `kolk hash-password`: a password becomes the hash that `--auth` takes; `kolk token`: a new token.
//!
//! ```text
//!  terminal   asked twice on standard error, nothing is shown     ─┐
//!  otherwise  the first line of standard input                    ─┴─► the hash on standard output
//! ```

use std::io::{self, BufRead, IsTerminal as _, Write as _};

use clap::ValueEnum;
use kolk::{HashAlgorithm, PasswordHash, Token, terminal};

use super::failure::{Exit, Failure};

/// Longer passwords are a mistake, in bytes: no browser sends them whole.
const PASSWORD_BYTES_MAX: usize = 512;

/// How the hash is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Algorithm {
    /// argon2id: the best choice
    Argon2,
    /// bcrypt, for passwords of at most 71 bytes
    Bcrypt,
    /// SHA-512-crypt, for what knows nothing else
    Sha512,
}

/// Reads a password; the line to print is its hash.
pub(crate) fn hashed(algorithm: Algorithm) -> Result<String, Failure> {
    let stdin = io::stdin();
    let password = if stdin.is_terminal() { asked(&stdin)? } else { line(&mut stdin.lock())? };
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        let sentence = format!("a password has 1 to {PASSWORD_BYTES_MAX} bytes: nothing is printed");
        return Err(Failure::new(Exit::Usage, sentence));
    }
    if password.chars().any(char::is_control) {
        return Err(Failure::new(
            Exit::Usage,
            "a password has no control characters: no browser could send it",
        ));
    }
    let hash = PasswordHash::of(
        password.as_bytes(),
        match algorithm {
            Algorithm::Argon2 => HashAlgorithm::Argon2,
            Algorithm::Bcrypt => HashAlgorithm::Bcrypt,
            Algorithm::Sha512 => HashAlgorithm::Sha512,
        },
    )
    .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    Ok(format!("{hash}\n"))
}

/// A new token of `name`, and the line that stands for it: both on lines of their own.
pub(crate) fn token(name: &str) -> Result<String, Failure> {
    if name.is_empty() || name.contains(|c: char| c == ':' || c.is_control()) || name.starts_with('#') {
        let sentence = "a token's name is not empty, does not begin with #, and has no colon";
        return Err(Failure::new(Exit::Usage, sentence));
    }
    let token = Token::random().map_err(|error| Failure::new(Exit::Runtime, error.to_string()))?;
    Ok(format!("{}\n{}\n", token.reveal(), token.line(name)))
}

/// What a person types, twice the same.
fn asked(stdin: &io::Stdin) -> Result<String, Failure> {
    let hidden = terminal::hide(stdin).map_err(|error| Failure::cannot("hide what is typed", &error))?;
    let ask = |question: &str| {
        let mut stderr = io::stderr();
        let asked = write!(stderr, "{question}: ").and_then(|()| stderr.flush());
        asked.map_err(|error| Failure::cannot("ask", &error))?;
        line(&mut stdin.lock())
    };
    let (password, again) = (ask("Password")?, ask("Once more")?);
    drop(hidden);
    if password == again {
        Ok(password)
    } else {
        Err(Failure::new(Exit::Usage, "these are two different passwords: nothing is printed"))
    }
}

/// The next line, without its end.
fn line(input: &mut impl BufRead) -> Result<String, Failure> {
    let mut line = Vec::new();
    // Two more for its end.
    let limit = (PASSWORD_BYTES_MAX + 2) as u64;
    io::Read::take(input, limit)
        .read_until(b'\n', &mut line)
        .map_err(|error| Failure::cannot("read the password", &error))?;
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8(line.to_vec())
        .map_err(|_| Failure::new(Exit::Usage, "the password is not UTF-8: nothing is printed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_a_line_that_lets_it_in() {
        let printed = token("ci").unwrap();
        let (secret, line) = printed.trim_end().split_once('\n').unwrap();
        let auth = kolk::BearerAuth::new("x").tokens(line).unwrap();
        let app = kolk::App::new().get("/", auth.guard(kolk::Response::text("in")));
        let request = http::Request::get("/").header("authorization", format!("Bearer {secret}"));
        assert_eq!(app.oneshot(request.body("").unwrap()).body(), "in");
        for name in ["", "a:b", "#a", "a\nb"] {
            assert!(token(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_line_is_a_password_without_its_end() {
        for (text, password) in [
            ("secret\n", "secret"),
            ("secret\r\nmore\n", "secret"),
            ("secret", "secret"),
            (" a b \n", " a b "),
        ] {
            assert_eq!(line(&mut text.as_bytes()).unwrap(), password, "{text:?}");
        }
        assert!(line(&mut &b"\xFF\n"[..]).is_err());
        let long = "x".repeat(10_000);
        assert_eq!(line(&mut long.as_bytes()).unwrap().len(), PASSWORD_BYTES_MAX + 2);
    }
}
