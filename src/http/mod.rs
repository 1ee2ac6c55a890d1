//! THE WORDS OF A MESSAGE, the same for every version of HTTP. No I/O.
//!
//! | file | word |
//! | --- | --- |
//! | `head` | [`Head`] (borrowed), [`OwnedHead`] (frozen), [`FieldTable`] (spans) |
//! | `field` | [`Known`] field names, token and value grammar |
//! | `method`, `version`, `span` | small values of the request line |
//! | `target` | forms of the request target, path normalisation |
//! | `query` | what stands behind the `?`, as forms write it |
//! | `body` | [`Body`], [`Source`] (pulled, never pushed) |
//! | `response`, `fields` | [`Response`]: status, fields, body; [`Fields`]: the fields, in one text |
//! | `hold` | [`Hold`]: what an exchange has for as long as it lasts |
//! | `rendered` | [`Rendered`]: fields and body as one text, for answers that never change |
//! | `event` | [`Event`], [`Arrival`], [`StreamId`], [`Phase`] |
//! | `reason` | [`Reason`]: why kolk itself answers or refuses: status, stable code, sentence |
//! | `timeline` | [`Timeline`]: when the four stages began and ended |
//! | `date` | [`DateLine`]: the `Date` field, rendered once a second; [`parse_date`] |

mod body;
mod date;
mod event;
mod field;
mod fields;
mod head;
mod hold;
mod method;
pub(crate) mod query;
mod reason;
mod rendered;
mod response;
mod span;
mod target;
mod timeline;
mod version;

pub use body::{Body, Pull, Pulled, Source, Tail};
pub use date::{DateLine, parse_date};
pub use event::{Arrival, Event, ExchangeId, Phase, StreamId};
pub use field::{Known, is_field_value, is_token};
pub use fields::Fields;
pub use head::{FIELDS_MAX, FieldTable, Head, OwnedHead, RequestLine, TooManyFields};
pub use hold::{Hold, Holds, Release};
pub use method::Method;
pub use reason::Reason;
pub use rendered::Rendered;
pub use response::Response;
pub use span::Span;
pub use target::{Form, Path, Target};
pub use timeline::Timeline;
pub use version::Version;
