//! WHO IT IS: layers that let in who can prove a name. RFC 9110 §11.
//!
//! ```text
//!  Authorization: Basic  ─► BasicAuth ─┐
//!                                      ├─► the handler, or 401 and how to do better
//! ```
//!
//! | file | what it is |
//! | --- | --- |
//! | `basic` | [`BasicAuth`]: a user name and a password |
//! | `credentials` | the field's value, taken apart |
//! | `hash` | [`PasswordHash`]: argon2, bcrypt, SHA-crypt |
//! | `checks` | what is being checked, a few at a time |
//! | `failures` | who has guessed too often |
//! | `listing` | [`ListError`]: files of users |

mod basic;
mod checks;
mod credentials;
mod failures;
mod hash;
mod listing;

pub use self::basic::{BasicAuth, UserError};
pub use self::hash::{HashAlgorithm, HashError, PasswordHash};
pub use self::listing::{ListError, ListProblem};

#[cfg(test)]
mod tests;
