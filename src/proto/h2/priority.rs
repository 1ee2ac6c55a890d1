//! PRIORITIES: which stream is served first. RFC 9218 §4, §10.
//!
//! ```text
//!  priority: u=0..7, i      urgency: less is earlier; incremental: the others of its urgency take turns
//! ```
//! Only a hint: whatever does not parse counts as absent.

/// What a client says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Priority {
    pub(super) urgency: u8,
    pub(super) is_incremental: bool,
}

impl Priority {
    /// Where nothing is said: RFC 9218 §4.
    pub(super) const DEFAULT: Self = Self { urgency: 3, is_incremental: false };

    /// What a `priority` field says: a dictionary of RFC 9651. Members that are unknown, of another type or
    /// out of range are ignored (RFC 9218 §4), the last of a name counts, and a text that is no dictionary
    /// says nothing.
    pub(super) fn parse(text: &[u8]) -> Self {
        let mut priority = Self::DEFAULT;
        for member in text.split(|&byte| byte == b',') {
            // Nothing that a request's priority needs has parameters.
            let member = member.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
            match member {
                [b'u', b'=', digit @ b'0'..=b'7'] => priority.urgency = digit - b'0',
                b"i" | b"i=?1" => priority.is_incremental = true,
                b"i=?0" => priority.is_incremental = false,
                _ => {}
            }
        }
        priority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_9218_4_urgency_and_incremental() {
        let of = |text: &str| {
            let priority = Priority::parse(text.as_bytes());
            (priority.urgency, priority.is_incremental)
        };
        assert_eq!(of(""), (3, false));
        assert_eq!(of("u=0"), (0, false));
        assert_eq!(of("i"), (3, true));
        assert_eq!(of("u=7, i"), (7, true));
        assert_eq!(of("i=?0,u=5"), (5, false));
        assert_eq!(of("u=1,u=2"), (2, false));
        assert_eq!(of("u=8, i=1"), (3, false), "out of range, and of another type");
        assert_eq!(of("x=\"a\", u=2;foo, i;bar=1"), (2, true));
    }
}
