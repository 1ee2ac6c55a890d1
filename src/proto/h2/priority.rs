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

/// What was said of streams that are not open yet, in the order of their numbers: RFC 9218 §7.1.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "nearly no client says anything early")]
pub(super) struct Early(Option<Box<Vec<(u32, Priority)>>>);

impl Early {
    /// Keeps what was said last of stream `id`, of `streams_max` streams at most.
    pub(super) fn keep(&mut self, id: u32, priority: Priority, streams_max: u16) {
        let said = self.0.get_or_insert_default();
        match said.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(place) => said[place].1 = priority,
            Err(place) if said.len() < usize::from(streams_max) => said.insert(place, (id, priority)),
            Err(_) => {}
        }
    }

    /// What was said of stream `id`, which opens: those before it never will.
    #[inline]
    pub(super) fn take(&mut self, id: u32) -> Option<Priority> {
        let said = self.0.as_mut()?;
        let passed = said.partition_point(|(other, _)| *other <= id);
        let last = said.drain(..passed).next_back().filter(|(last, _)| *last == id);
        if said.is_empty() {
            self.0 = None;
        }
        last.map(|(_, priority)| priority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_9218_7_1_what_is_said_early_is_kept_within_bounds() {
        let urgency = |urgency| Priority { urgency, ..Priority::DEFAULT };
        let mut early = Early::default();
        for (id, priority) in [(5, 1), (3, 2), (5, 4), (9, 5), (11, 6)] {
            early.keep(id, urgency(priority), 3);
        }
        assert_eq!(early.take(1), None);
        assert_eq!(early.take(5), Some(urgency(4)), "the last word counts");
        assert_eq!(early.take(3), None, "passed over");
        assert_eq!(early.take(11), None, "there was no room");
        assert!(early.0.is_none());
    }

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
