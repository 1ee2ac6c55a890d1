//! WHO IT IS: layers that let in who can prove a name. RFC 9110 §11.
//!
//! ```text
//!  Authorization: Basic  ─► BasicAuth ──┐              ┌─► the handler, which sees Request::user
//!  Authorization: Bearer ─► BearerAuth ──┤
//!                        ─► JwtAuth ─────┤
//!  certificate of TLS    ─► CertificateAuth ► a name ─►──┼─► 403: known, and not listed
//!                                                      └─► 401: not proved, and how to do better
//! ```
//!
//! | file | what it is |
//! | --- | --- |
//! | `basic`, `account` | [`BasicAuth`]: a user name and a password |
//! | `bearer` | [`BearerAuth`]: a random token |
//! | `certificate` | [`CertificateAuth`]: whom an authority vouches for |
//! | `credentials` | the field's value, taken apart |
//! | `digits` | a SHA-256 as people write it |
//! | `hash` | [`PasswordHash`]: argon2, bcrypt, SHA-crypt |
//! | `checks` | what is being checked, a few at a time |
//! | `failures` | who has guessed too often |
//! | `seal` | what stands for passwords and tokens in memory |
//! | `jwt` | [`JwtAuth`]: a signed token |
//! | `listing` | [`ListError`]: files of users and tokens |
//! | `who` | who of those that are known is let in, and how a token is asked for |

mod account;
mod basic;
mod bearer;
mod certificate;
mod checks;
mod credentials;
mod digits;
mod failures;
mod hash;
#[cfg(feature = "jwt")]
mod jwt;
mod listing;
mod seal;
mod who;

pub use self::basic::{BasicAuth, UserError};
pub use self::bearer::{BearerAuth, NoRandomBytes, Token};
pub use self::certificate::{CertificateAuth, NoFingerprint};
pub use self::hash::{HashAlgorithm, HashError, PasswordHash};
#[cfg(feature = "jwt")]
pub use self::jwt::JwtAuth;
pub use self::listing::{ListError, ListProblem};

#[cfg(test)]
mod tests;
