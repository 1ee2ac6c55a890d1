//! [`Limits`]: how much one client may ask of the parser. RFC 9110 §2.3, RFC 9112 §3, §7.1.1.

use super::Server;
use crate::http::{FIELDS_MAX, FieldTable, Reason};
use crate::wire::Input;

/// The limits of HTTP/1, each named with its unit. Offsets are 16 bits wide, and so are these.
///
/// One value serves all connections of a process for as long as it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The request line with its line end; longer ones get 414.
    pub request_line_bytes_max: u16,
    /// The head from the method to the empty line; larger ones get 431.
    pub head_bytes_max: u16,
    /// Fields of a head or trailer, at most [`FIELDS_MAX`]; more get 431.
    pub fields_max: u16,
    /// The trailer of a chunked body with its empty line; larger ones get 431.
    pub trailer_bytes_max: u16,
    /// What stands between the size of a chunk and the line's end; more gets 400.
    pub chunk_extension_bytes_max: u16,
    /// Refuses a head that is typed with bare LF throughout.
    pub refuse_bare_lf: bool,
}

impl Limits {
    /// What holds where nothing else is said.
    pub const DEFAULT: Self = Self {
        request_line_bytes_max: 8 * 1024,
        head_bytes_max: 32 * 1024,
        fields_max: 100,
        trailer_bytes_max: 8 * 1024,
        chunk_extension_bytes_max: 256,
        refuse_bare_lf: false,
    };

    /// Why the request that begins with these bytes would be refused, if it would.
    ///
    /// ```
    /// use kolk::http::Reason;
    /// use kolk::proto::h1::Limits;
    ///
    /// let limits = Limits { request_line_bytes_max: 32, ..Limits::DEFAULT };
    /// assert_eq!(limits.refusal(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), None);
    /// let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(32));
    /// assert_eq!(limits.refusal(long.as_bytes()), Some(Reason::RequestLineBytes));
    /// ```
    pub fn refusal(&self, request: &[u8]) -> Option<Reason> {
        let (mut input, mut table) = (Input::new(request, false), FieldTable::new());
        Server::new(*self).poll(&mut input, &mut table).err()
    }

    /// Whether the limits fit each other, and the offsets of a head.
    pub const fn are_sound(&self) -> bool {
        self.request_line_bytes_max >= SHORTEST_LINE
            && self.request_line_bytes_max <= self.head_bytes_max
            && self.fields_max as usize <= FIELDS_MAX
            // A last chunk and its trailer are placed together.
            && self.trailer_bytes_max <= u16::MAX / 2
            && self.chunk_extension_bytes_max <= u16::MAX / 4
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// `GET / HTTP/1.1` CR LF
const SHORTEST_LINE: u16 = 16;

const _: () = assert!(Limits::DEFAULT.are_sound());
