//! [`PasswordHash`]: what is kept in place of a password, in the forms that other tools write, too.
//!
//! ```text
//!  $argon2id$v=19$m=19456,t=2,p=1$salt$hash     argon2id, argon2i, argon2d (RFC 9106), as PHC string
//!  $2b$12$salthash                              bcrypt, also $2a$ and $2y$ (htpasswd -B)
//!  $6$rounds=100000$salt$hash                   SHA-512-crypt, and $5$ for SHA-256 (mkpasswd, /etc/shadow)
//! ```
//! Whether a password is right takes milliseconds on purpose: never ask on a loop's thread.

use std::error::Error;
use std::fmt;

use argon2::password_hash::phc;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use sha_crypt::ShaCrypt;

/// Rounds of a new SHA-512 hash: some tens of milliseconds.
const SHA_ROUNDS: u32 = 100_000;
/// Cost of a new bcrypt hash: 2 to the power of it rounds.
const BCRYPT_COST: u32 = 12;
/// bcrypt looks at no more of a password, in bytes.
const BCRYPT_BYTES_MAX: usize = 71;
/// More memory than this is no hash of ours to check, in KiB.
const ARGON2_KIB_MAX: u32 = 1024 * 1024;

/// The hash of a password.
///
/// ```
/// use kolk::{HashAlgorithm, PasswordHash};
///
/// let hash = PasswordHash::of(b"open sesame", HashAlgorithm::Argon2)?;
/// let again: PasswordHash = hash.to_string().parse()?;
/// assert!(again.verify(b"open sesame") && !again.verify(b"close sesame"));
/// # Ok::<(), kolk::app::HashError>(())
/// ```
#[derive(Clone)]
pub struct PasswordHash {
    text: Box<str>,
    kind: Kind,
}

/// How a new hash is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// argon2id with 19 MiB of memory (RFC 9106 §4): the best choice.
    #[default]
    Argon2,
    /// bcrypt: for passwords of at most 71 bytes.
    Bcrypt,
    /// SHA-512-crypt, for systems that have nothing else.
    Sha512,
}

/// Why there is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashError {
    /// The text is no password hash; perhaps it is the password.
    NotAHash,
    /// The text is a hash of this kind, which is computed too quickly: it can be guessed.
    Weak(&'static str),
    /// The text begins like one of this kind, but is not well-formed.
    Malformed(&'static str),
    /// The password is too long for bcrypt.
    TooLong,
    /// The system gave no random bytes, or no memory.
    System,
}

#[derive(Clone)]
enum Kind {
    Argon2(Box<phc::PasswordHash>),
    Bcrypt,
    ShaCrypt,
}

impl PasswordHash {
    /// The hash of `password`, with a new random salt. Takes milliseconds.
    ///
    /// # Errors
    /// If the password is too long for bcrypt, or the system gives no random bytes.
    pub fn of(password: &[u8], algorithm: HashAlgorithm) -> Result<Self, HashError> {
        let text = match algorithm {
            HashAlgorithm::Argon2 => {
                Argon2::default().hash_password(password).map_err(|_| HashError::System)?.to_string()
            }
            HashAlgorithm::Bcrypt if password.len() > BCRYPT_BYTES_MAX => return Err(HashError::TooLong),
            HashAlgorithm::Bcrypt => bcrypt::hash(password, BCRYPT_COST).map_err(|_| HashError::System)?,
            HashAlgorithm::Sha512 => {
                let rounds = sha_crypt::Params::new(SHA_ROUNDS).map_err(|_| HashError::System)?;
                let hasher = ShaCrypt::new(sha_crypt::Algorithm::Sha512Crypt, rounds);
                let salt = salt_of_letters().ok_or(HashError::System)?;
                hasher.hash_password_with_salt(password, &salt).map_err(|_| HashError::System)?.to_string()
            }
        };
        text.parse()
    }

    /// Whether this is the hash of `password`. Takes milliseconds, the same whether it is right or wrong.
    pub fn verify(&self, password: &[u8]) -> bool {
        match &self.kind {
            Kind::Argon2(hash) => Argon2::default().verify_password(password, &**hash).is_ok(),
            Kind::Bcrypt => bcrypt::verify(password, &self.text).unwrap_or(false),
            Kind::ShaCrypt => ShaCrypt::default().verify_password(password, &*self.text).is_ok(),
        }
    }

    /// Whether both are the same text: the same password with the same salt.
    pub(super) fn is_written_like(&self, other: &Self) -> bool {
        self.text == other.text
    }

    /// The form of `text` is that of this kind.
    fn kind_of(text: &str) -> Result<Kind, HashError> {
        let (id, rest) =
            text.strip_prefix('$').and_then(|text| text.split_once('$')).ok_or_else(|| no_hash(text))?;
        match id {
            "argon2id" | "argon2i" | "argon2d" => {
                let hash = phc::PasswordHash::new(text).map_err(|_| HashError::Malformed("argon2"))?;
                let params = argon2::Params::try_from(&hash).map_err(|_| HashError::Malformed("argon2"))?;
                let is_whole = hash.salt.is_some() && hash.hash.is_some();
                if is_whole && params.m_cost() <= ARGON2_KIB_MAX {
                    Ok(Kind::Argon2(Box::new(hash)))
                } else {
                    Err(HashError::Malformed("argon2"))
                }
            }
            "2a" | "2b" | "2y" => {
                let is_well_formed = text.len() == 60
                    && text
                        .parse::<bcrypt::HashParts>()
                        .is_ok_and(|parts| (4..=31).contains(&parts.get_cost()));
                if is_well_formed { Ok(Kind::Bcrypt) } else { Err(HashError::Malformed("bcrypt")) }
            }
            "5" if is_sha_crypt(rest, 43) => Ok(Kind::ShaCrypt),
            "6" if is_sha_crypt(rest, 86) => Ok(Kind::ShaCrypt),
            "5" | "6" => Err(HashError::Malformed("SHA-crypt")),
            _ => Err(no_hash(text)),
        }
    }
}

impl std::str::FromStr for PasswordHash {
    type Err = HashError;

    /// The hash in its usual form.
    fn from_str(text: &str) -> Result<Self, HashError> {
        Ok(Self { kind: Self::kind_of(text)?, text: text.into() })
    }
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Not the hash: it is nearly a password.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Argon2(_) => "PasswordHash(argon2)",
            Kind::Bcrypt => "PasswordHash(bcrypt)",
            Kind::ShaCrypt => "PasswordHash(SHA-crypt)",
        })
    }
}

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAHash => f.write_str(
                "this is not a password hash, which begins with $argon2id$, $2b$, $5$ or $6$: \
                 make one with `kolk hash-password`",
            ),
            Self::Weak(kind) => write!(
                f,
                "this is a hash of the kind {kind}, which is guessed too quickly: make another with \
                 `kolk hash-password`"
            ),
            Self::Malformed(kind) => write!(
                f,
                "this {kind} hash is not well-formed: copy all of it, in single quotes, since a shell \
                 replaces what begins with $"
            ),
            Self::TooLong => {
                write!(f, "bcrypt takes at most {BCRYPT_BYTES_MAX} bytes of a password: use argon2")
            }
            Self::System => f.write_str("the system gave no random bytes or no memory"),
        }
    }
}

impl Error for HashError {}

/// What `text` is instead of a hash that is taken.
fn no_hash(text: &str) -> HashError {
    const WEAK: [(&str, &str); 5] = [
        ("$apr1$", "MD5 (apr1)"),
        ("$1$", "MD5"),
        ("{SHA}", "SHA-1"),
        ("{SSHA}", "salted SHA-1"),
        ("{PLAIN}", "plain text"),
    ];
    let known = WEAK.iter().find(|(start, _)| text.starts_with(start));
    known.map_or(HashError::NotAHash, |(_, kind)| HashError::Weak(kind))
}

/// `[rounds=N$]salt$hash`, where the hash has so many characters.
fn is_sha_crypt(rest: &str, hash_length: usize) -> bool {
    let of_crypt =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte));
    let (rounds, rest) = match rest.split_once('$') {
        Some((rounds, behind)) if rounds.starts_with("rounds=") => (rounds, behind),
        _ => ("", rest),
    };
    let Some((salt, hash)) = rest.split_once('$') else { return false };
    rounds.parse::<sha_crypt::Params>().is_ok()
        && (1..=16).contains(&salt.len())
        && of_crypt(salt)
        && hash.len() == hash_length
        && of_crypt(hash)
}

/// Twelve random bytes: they become the sixteen characters that a salt has.
fn salt_of_letters() -> Option<[u8; 12]> {
    let mut salt = [0; 12];
    getrandom::fill(&mut salt).ok()?;
    Some(salt)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(hash, its password)`, as other programs have made or published them.
    const VECTORS: [(&str, &str); 8] = [
        // The reference implementation of argon2: test.c, version 0x13.
        ("$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8", "password"),
        ("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password"),
        // OpenBSD's vectors; $2y$ is the same for ASCII.
        ("$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe", "a"),
        ("$2y$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i", "abc"),
        // As crypt(3) writes them.
        ("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!"),
        ("$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA", "Hello world!"),
        (
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
            "Hello world!",
        ),
        (
            "$6$rounds=1400$anotherlongsalts$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1",
            "a very much longer text to encrypt.  This one even stretches over morethan one line.",
        ),
    ];

    #[test]
    fn hashes_of_every_kind_know_their_password() {
        for (text, password) in VECTORS {
            let hash: PasswordHash = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(hash.verify(password.as_bytes()), "{text}");
            assert!(!hash.verify(b"wrong"), "{text}");
            assert!(!hash.verify(format!("{password}x").as_bytes()), "{text}");
            assert_eq!(hash.to_string(), text);
            assert!(!format!("{hash:?}").contains('$'), "a hash is not for logs");
        }
    }

    #[test]
    fn a_new_hash_knows_its_password_and_has_a_salt_of_its_own() {
        for algorithm in [HashAlgorithm::Argon2, HashAlgorithm::Sha512] {
            let one = PasswordHash::of(b"secret", algorithm).unwrap();
            let other = PasswordHash::of(b"secret", algorithm).unwrap();
            assert!(one.verify(b"secret") && !one.verify(b"Secret"), "{one}");
            assert_ne!(one.to_string(), other.to_string());
        }
        let long = [b'x'; BCRYPT_BYTES_MAX + 1];
        assert_eq!(PasswordHash::of(&long, HashAlgorithm::Bcrypt).unwrap_err(), HashError::TooLong);
    }

    #[test]
    fn what_is_no_hash_is_refused_with_advice() {
        for text in ["", "secret", "$", "$$", "$2x$06$abc", "argon2id$v=19$m=256", "26YU/aJzzBzX2"] {
            let error = text.parse::<PasswordHash>().unwrap_err();
            assert_eq!(error, HashError::NotAHash, "{text}");
            assert!(error.to_string().contains("kolk hash-password"));
        }
        for text in
            ["$apr1$hz1/8WI9$3Yb7g6ekPnireV2W5sqr0.", "$1$salt$hash", "{SHA}EfatjsUqKYSrqv18O1FlA3hcIHI="]
        {
            let error = text.parse::<PasswordHash>().unwrap_err();
            assert!(matches!(error, HashError::Weak(_)), "{text}");
            assert!(error.to_string().contains("kolk hash-password"));
        }
        for (text, _) in VECTORS {
            let cut = &text[..text.len() - 1];
            let error = cut.parse::<PasswordHash>().map(|hash| hash.to_string());
            assert!(error.is_err() || text.contains("argon2"), "{cut}");
            let extended = format!("{text}$");
            assert!(extended.parse::<PasswordHash>().is_err(), "{extended}");
        }
        for text in [
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ",
            "$argon2id$v=19$m=99999999,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
            "$5$rounds=1$salt$x",
            "$6$$",
            "$2b$12$",
        ] {
            assert!(matches!(text.parse::<PasswordHash>(), Err(HashError::Malformed(_))), "{text}");
        }
    }
}
