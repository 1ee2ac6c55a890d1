//! LIMITS: how much of the server one client, one key or one route may have. Process-wide: all workers share
//! one budget.
//!
//! ```text
//!  Request ─► RateKey ─hash─► Rates ─► Decision ─► Retry-After, RateLimit, RateLimit-Policy
//!                              ▲ Rate: Quota, burst, mode
//! ```
//!
//! | file | what lives there |
//! | --- | --- |
//! | `rate` | [`Quota`], [`Rate`], [`Decision`]: the arithmetic of one key |
//! | `rates` | [`Rates`]: the table of all keys |
//! | `key` | [`RateKey`], [`AddressKey`]: whose budget a request is paid from |
//! | `in_flight` | [`InFlight`]: how many requests at a time |
//! | `addresses` | [`ConnectionsPerAddress`]: how many connections for each client |
//! | `limited` | [`RateLimit`]: a rate as a layer |
//! | `together` | [`Together`]: several rates, asked as one |
//! | `counts` | [`RateCounts`]: what became of requests at a rate |
//! | `note` | [`RateNote`]: what a rate did, for the access log |
//! | `fields` | [`Policy`]: what the client is told |
//!
//! Knows no clock: time is an argument.

mod addresses;
mod counts;
mod fields;
mod in_flight;
mod key;
mod limited;
mod note;
mod rate;
mod rates;
mod together;

pub use addresses::{AddressSeat, ConnectionsPerAddress};
pub use counts::{RateCounts, RateVerdict};
pub use fields::Policy;
pub use in_flight::InFlight;
pub use key::{AddressKey, RateKey};
pub use limited::RateLimit;
pub use note::RateNote;
pub use rate::{Decision, Mode, Quota, Rate, RateError};
pub use rates::{KeyHash, Rates};
pub(super) use together::Together;
