//! [`Ring`]: the last of many entries; its memory is set aside when it is made. Knows nothing of them.

use super::entry::Entry;

/// So many of the last entries.
#[derive(Debug)]
pub(super) struct Ring {
    entries: Vec<Entry>,
    most: usize,
    /// How many there have been.
    written: u64,
    /// Behind the newest: no division for each request.
    place: usize,
}

impl Ring {
    /// Room for `most` entries, at least one.
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { entries: Vec::with_capacity(most), most, written: 0, place: 0 }
    }

    /// The numbers of those that may be there.
    pub(super) const fn numbers(&self) -> std::ops::Range<u64> {
        self.written.saturating_sub(self.most as u64)..self.written
    }

    /// The place of the next entry, where perhaps the oldest one is.
    pub(super) fn next(&mut self) -> &mut Entry {
        let place = if self.place < self.most { self.place } else { 0 };
        self.place = place + 1;
        self.written += 1;
        if place == self.entries.len() {
            self.entries.push(Entry::default());
        }
        &mut self.entries[place]
    }

    /// The newest.
    pub(super) fn last(&self) -> Option<&Entry> {
        self.get(self.written.checked_sub(1)?)
    }

    /// Takes the newest out. What it has displaced does not come again.
    pub(super) fn take_last(&mut self) -> Option<Entry> {
        self.last()?;
        let place = if self.place > 0 { self.place - 1 } else { self.most - 1 };
        (self.place, self.written) = (place, self.written - 1);
        Some(std::mem::take(&mut self.entries[place]))
    }

    /// Up to so many of the newest.
    pub(super) fn newest(&mut self, most: usize) -> impl Iterator<Item = &mut Entry> {
        let place = self.place.min(self.entries.len());
        let (before, behind) = self.entries.split_at_mut(place);
        let rest = most.saturating_sub(before.len());
        before.iter_mut().rev().take(most).chain(behind.iter_mut().rev().take(rest))
    }

    /// The entry of this number, if it is still there.
    pub(super) fn get(&self, number: u64) -> Option<&Entry> {
        let is_there = number < self.written && self.written - number <= self.most as u64;
        let entry = if is_there { self.entries.get(self.place(number)) } else { None };
        entry.filter(|entry| !entry.is_blank())
    }

    fn place(&self, number: u64) -> usize {
        usize::try_from(number % self.most as u64).unwrap_or(0)
    }
}
