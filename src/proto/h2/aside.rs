//! [`Aside`]: what few connections need, and for a moment: a header block that goes on in the next frame, and
//! what was said of streams that are not open yet. RFC 9113 §6.10, RFC 9218 §7.1.
//!
//! Invariant: allocated while there is one of them; one word otherwise.

use super::headers::Block;
use super::priority::Priority;

/// A header block that goes on, and priorities that came early.
#[derive(Debug, Default)]
pub(super) struct Aside(Option<Box<Rare>>);

#[derive(Debug, Default)]
struct Rare {
    block: Option<Block>,
    /// In the order of their streams.
    early: Vec<(u32, Priority)>,
}

impl Aside {
    /// The stream of the header block that goes on.
    #[inline]
    pub(super) fn block_of(&self) -> Option<u32> {
        let block = self.0.as_ref()?.block.as_ref()?;
        Some(block.stream())
    }

    /// Keeps a header block until its next frame.
    pub(super) fn keep_block(&mut self, block: Block) {
        self.0.get_or_insert_default().block = Some(block);
    }

    /// The header block that goes on.
    pub(super) fn take_block(&mut self) -> Option<Block> {
        let block = self.0.as_mut()?.block.take();
        self.tidy();
        block
    }

    /// Keeps what was said last of stream `id`, and of `streams_max` at most: those that open first.
    pub(super) fn keep_priority(&mut self, id: u32, priority: Priority, streams_max: u16) {
        let early = &mut self.0.get_or_insert_default().early;
        match early.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(place) => early[place].1 = priority,
            Err(place) => {
                early.insert(place, (id, priority));
                early.truncate(usize::from(streams_max));
            }
        }
    }

    /// What was said of stream `id`, which opens: those before it never will.
    #[inline]
    pub(super) fn take_priority(&mut self, id: u32) -> Option<Priority> {
        let early = &mut self.0.as_mut()?.early;
        let passed = early.partition_point(|(other, _)| *other <= id);
        let last = early.drain(..passed).next_back().filter(|(last, _)| *last == id);
        self.tidy();
        last.map(|(_, priority)| priority)
    }

    fn tidy(&mut self) {
        self.0.take_if(|rare| rare.block.is_none() && rare.early.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_9218_7_1_what_is_said_early_is_kept_within_bounds() {
        let urgency = |urgency| Priority { urgency, ..Priority::DEFAULT };
        let mut aside = Aside::default();
        for (id, priority) in [(5, 1), (11, 6), (13, 7), (15, 0), (3, 2), (5, 4), (11, 5)] {
            aside.keep_priority(id, urgency(priority), 3);
        }
        assert_eq!(aside.take_priority(1), None);
        assert_eq!(aside.take_priority(5), Some(urgency(4)), "the last word counts");
        assert_eq!(aside.take_priority(3), None, "passed over");
        assert_eq!(aside.take_priority(11), Some(urgency(5)));
        assert_eq!(aside.take_priority(13), None, "there was room for those before it");
        assert!(aside.0.is_none());
    }
}
