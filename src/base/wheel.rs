//! [`Wheel`]: one lazy hashed timer wheel over the indices of a slot table.
//!
//! ```text
//!        turned                 next()
//!          │                      │
//!   ──┬────▼────┬─────────┬───────▼─┬─────────┬── ─ ─ ──┬─────────┬──   1,024 slots of 8.4 ms,
//!     │  past   │         │  ●─●─●  │         │         │ ●─●─●─● │     then round again
//!   ──┴─────────┴─────────┴─────────┴─────────┴── ─ ─ ──┴─────────┴──
//!                              due lists                  a station: deadlines beyond the horizon wait here
//! ```
//!
//! **Lazy.** The owner of an index keeps its true deadline. Moving that later, which is what every request
//! does, costs the owner one store and the wheel nothing: when the old place comes due, [`Wheel::expire`]
//! asks for the true deadline and links the index there. Only a deadline that comes *nearer* relinks.
//!
//! **Precision.** Never early; at most one slot (8.4 ms) late, if `expire` is called at [`Wheel::next`].
//! A deadline that was past when it was armed fires within one slot.
//!
//! **Beyond the horizon** (8.6 s) a deadline waits in the last *station* before it, one slot in every 32,
//! and is linked onwards from there. So a thousand idle connections wake the loop at most four times a
//! second, not at every slot, and each is looked at once in eight seconds.
//!
//! Slots are counted from tick zero; slot modulo 1,024 is its *place* on the wheel. Invariants: an index is
//! in one list or in none; a list's slot is 1 to 1,024 after `turned`, so that its place tells it; the bit of
//! a place is set while its list has a member; `first` is the nearest slot of those. Knows no clock, and
//! nothing of what the indices stand for.

use super::Tick;

const SLOT_SHIFT: u32 = 23;
/// One slot in nanoseconds: 8.4 ms.
const SLOT_NANOS: u64 = 1 << SLOT_SHIFT;
const SLOTS: u32 = 1024;
/// One slot in so many is a station: 0.27 s from one to the next.
const STATION: u64 = 32;
const WORDS: u32 = SLOTS / u64::BITS;

/// "No list has a member", instead of a slot.
const NONE: u64 = u64::MAX;
/// The end of a list, instead of an index.
const NIL: u32 = u32::MAX;
/// "In no list", instead of a place.
const UNARMED: u32 = u32::MAX;

const _: () = assert!(SLOTS.is_power_of_two() && (SLOTS as u64).is_multiple_of(STATION));

/// The neighbours of one index in its list, and the place of that list.
#[derive(Clone, Copy)]
struct Link {
    prev: u32,
    next: u32,
    place: u32,
}

const LOOSE: Link = Link { prev: NIL, next: NIL, place: UNARMED };

/// The deadlines of a slot table: at most one for each index, 12 bytes for each, constant time for all.
///
/// ```
/// use kolk::base::{Tick, Wheel};
///
/// let mut wheel = Wheel::new(1024);
/// let mut deadline = Tick::from_millis(100);
/// wheel.arm(7, deadline);
///
/// deadline = Tick::from_millis(200); // Activity: one store, and the wheel is not told.
///
/// let mut fired = Vec::new();
/// wheel.expire(Tick::from_millis(150), |_| deadline, &mut fired);
/// assert!(fired.is_empty());
/// wheel.expire(Tick::from_millis(210), |_| deadline, &mut fired);
/// assert_eq!(fired, [7]);
/// ```
pub struct Wheel {
    /// By place: the first index of the list.
    heads: Box<[u32; SLOTS as usize]>,
    /// One bit for each place: the list has a member.
    occupied: [u64; WORDS as usize],
    /// By index. Grows to the highest that was ever armed, within what was reserved.
    links: Vec<Link>,
    indices_max: usize,
    /// The slot that time has reached. Every list lies after it.
    turned: u64,
    /// The nearest slot whose list has a member; `NONE` if all are empty. It could be read from `occupied`,
    /// but each turn of the loop asks for it.
    first: u64,
}

impl Wheel {
    /// An empty wheel for the indices below `indices_max`. Memory for all of them is reserved now, and
    /// resident only page by page as they are first armed.
    ///
    /// # Panics
    /// If `indices_max` exceeds `u32::MAX`, or no address range is large enough.
    pub fn new(indices_max: usize) -> Self {
        assert!(u32::try_from(indices_max).is_ok(), "an index is a u32");
        Self {
            heads: Box::new([NIL; SLOTS as usize]),
            occupied: [0; WORDS as usize],
            links: Vec::with_capacity(indices_max),
            indices_max,
            turned: 0,
            first: NONE,
        }
    }

    /// Sees to it that `index` is looked at when `deadline` has passed, or before. Free if that is so
    /// already: the caller's own record of the deadline is the one that counts. [`Tick::NEVER`] arms nothing.
    ///
    /// # Panics
    /// If `index` is not below `indices_max`.
    #[inline]
    pub fn arm(&mut self, index: u32, deadline: Tick) {
        if deadline == Tick::NEVER {
            return;
        }
        let slot = self.slot_for(deadline);
        match self.place_of(index) {
            Some(place) if self.slot_at(place) <= slot => return,
            Some(_) => self.unlink(index),
            None => self.reach(index),
        }
        self.link(index, slot);
    }

    /// Takes `index` out, armed or not.
    #[inline]
    pub fn disarm(&mut self, index: u32) {
        if self.is_armed(index) {
            self.unlink(index);
        }
    }

    /// `index` will be looked at.
    #[inline]
    pub fn is_armed(&self, index: u32) -> bool {
        self.place_of(index).is_some()
    }

    /// No index is armed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first == NONE
    }

    /// The earliest moment at which [`Wheel::expire`] has something to look at; `None` if the wheel is empty.
    ///
    /// Later than the `now` of the last `expire`: a loop that sleeps until then makes progress.
    #[inline]
    pub fn next(&self) -> Option<Tick> {
        (self.first != NONE).then(|| Tick::from_nanos(self.first.saturating_mul(SLOT_NANOS)))
    }

    /// Turns the wheel to `now`. Indices whose deadline has passed are disarmed and appended to `fired`, in
    /// no particular order; the others that came due are linked again.
    ///
    /// `deadline_of` gives the true deadline of an index; [`Tick::NEVER`], also for an index that is no
    /// longer in use, disarms it. It is asked once for each index looked at. A `now` before the last one does
    /// nothing; a jump over any distance looks at each armed index once.
    #[inline]
    pub fn expire(&mut self, now: Tick, deadline_of: impl FnMut(u32) -> Tick, fired: &mut Vec<u32>) {
        let reached = now.as_nanos() >> SLOT_SHIFT;
        if self.first <= reached {
            self.turn_to(reached, now, deadline_of, fired);
        } else if self.turned < reached {
            self.turned = reached;
        }
    }

    /// Checks every invariant. For tests: takes time for every index and every slot.
    ///
    /// # Panics
    /// If one does not hold.
    pub fn validate(&self) {
        let mut linked = 0;
        for place in 0..SLOTS {
            let mut prev = NIL;
            let mut index = self.heads[place as usize];
            assert_eq!(self.is_occupied(place), index != NIL, "the bit of place {place}");
            while index != NIL {
                let link = self.links[index as usize];
                assert_eq!((link.prev, link.place), (prev, place), "index {index} at place {place}");
                linked += 1;
                assert!(linked <= self.links.len(), "place {place} holds a ring");
                (prev, index) = (index, link.next);
            }
        }
        assert_eq!(self.first, self.first_occupied(), "the first list");
        let armed = self.links.iter().filter(|link| link.place != UNARMED).count();
        assert_eq!(armed, linked, "indices that believe to be in a list");
    }

    fn turn_to(
        &mut self,
        reached: u64,
        now: Tick,
        mut deadline_of: impl FnMut(u32) -> Tick,
        fired: &mut Vec<u32>,
    ) {
        // First everything due comes out, then some of it goes back: a list that is being walked never grows.
        let start = fired.len();
        while self.first <= reached {
            self.empty_first(fired);
        }
        self.turned = reached;

        let mut kept = start;
        for at in start..fired.len() {
            let index = fired[at];
            let deadline = deadline_of(index);
            if deadline <= now {
                fired[kept] = index;
                kept += 1;
            } else if deadline != Tick::NEVER {
                self.link(index, self.slot_for(deadline));
            }
        }
        fired.truncate(kept);
    }

    /// The slot at which to look at `deadline`: after `turned`, and no further than the horizon.
    #[inline]
    fn slot_for(&self, deadline: Tick) -> u64 {
        // Rounded up: when the slot comes due, the deadline has passed.
        let slot = deadline.as_nanos().div_ceil(SLOT_NANOS).max(self.turned + 1);
        let horizon = self.turned + u64::from(SLOTS);
        if slot <= horizon { slot } else { horizon - horizon % STATION }
    }

    /// The slot whose list is at `place` now.
    #[inline]
    fn slot_at(&self, place: u32) -> u64 {
        let nearest = self.turned + 1;
        nearest + u64::from(place.wrapping_sub(place_on_wheel(nearest)) % SLOTS)
    }

    /// What `first` has to be.
    fn first_occupied(&self) -> u64 {
        let nearest = place_on_wheel(self.turned + 1);
        let (word, bit) = (nearest / u64::BITS, nearest % u64::BITS);
        // Each word once from the nearest place on, and that one again: now for the bits below that place.
        let mut mask = !0 << bit;
        for step in 0..=WORDS {
            let word = (word + step) % WORDS;
            let members = self.occupied[word as usize] & mask;
            if members != 0 {
                return self.slot_at(word * u64::BITS + members.trailing_zeros());
            }
            mask = !0;
        }
        NONE
    }

    #[inline]
    fn place_of(&self, index: u32) -> Option<u32> {
        self.links.get(index as usize).map(|link| link.place).filter(|&place| place != UNARMED)
    }

    #[inline]
    fn is_occupied(&self, place: u32) -> bool {
        self.occupied[(place / u64::BITS) as usize] >> (place % u64::BITS) & 1 == 1
    }

    /// Makes room for the link of `index`.
    #[inline]
    fn reach(&mut self, index: u32) {
        let index = index as usize;
        if index >= self.links.len() {
            assert!(index < self.indices_max, "index {index} of a wheel for {}", self.indices_max);
            self.links.resize(index + 1, LOOSE);
        }
    }

    /// Puts `index`, which is in no list, first into that of `slot`.
    #[inline]
    fn link(&mut self, index: u32, slot: u64) {
        let place = place_on_wheel(slot);
        let next = std::mem::replace(&mut self.heads[place as usize], index);
        if next != NIL {
            self.links[next as usize].prev = index;
        }
        self.links[index as usize] = Link { prev: NIL, next, place };
        self.occupied[(place / u64::BITS) as usize] |= 1 << (place % u64::BITS);
        self.first = self.first.min(slot);
    }

    /// Takes `index`, which is in a list, out of it.
    fn unlink(&mut self, index: u32) {
        let Link { prev, next, place } = std::mem::replace(&mut self.links[index as usize], LOOSE);
        if next != NIL {
            self.links[next as usize].prev = prev;
        }
        if prev != NIL {
            self.links[prev as usize].next = next;
            return;
        }
        self.heads[place as usize] = next;
        if next == NIL {
            self.vacate(place);
        }
    }

    /// Moves all members of the first list to `out`.
    fn empty_first(&mut self, out: &mut Vec<u32>) {
        let place = place_on_wheel(self.first);
        let mut index = std::mem::replace(&mut self.heads[place as usize], NIL);
        while index != NIL {
            out.push(index);
            index = std::mem::replace(&mut self.links[index as usize], LOOSE).next;
        }
        self.vacate(place);
    }

    /// Notes that the list at `place` has lost its last member.
    fn vacate(&mut self, place: u32) {
        self.occupied[(place / u64::BITS) as usize] &= !(1 << (place % u64::BITS));
        if place == place_on_wheel(self.first) {
            self.first = self.first_occupied();
        }
    }
}

#[inline]
fn place_on_wheel(slot: u64) -> u32 {
    u32::try_from(slot % u64::from(SLOTS)).expect("less than SLOTS")
}

impl std::fmt::Debug for Wheel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wheel").field("next", &self.next()).field("indices_max", &self.indices_max).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const SLOT: Duration = Duration::from_nanos(SLOT_NANOS);
    const HORIZON: Duration = Duration::from_nanos(SLOT_NANOS * SLOTS as u64);
    const HOUR: Duration = Duration::from_secs(3600);

    /// A wheel and the true deadlines, as a shard holds them; validated after every step.
    struct Clocked {
        wheel: Wheel,
        now: Tick,
        deadlines: Vec<Tick>,
        looks: usize,
    }

    impl Clocked {
        fn new(indices: usize) -> Self {
            let deadlines = vec![Tick::NEVER; indices];
            Self { wheel: Wheel::new(indices), now: Tick::ZERO, deadlines, looks: 0 }
        }

        /// A deadline that may have come nearer: the wheel is told.
        fn arm(&mut self, index: u32, wait: Duration) {
            self.extend(index, wait);
            self.wheel.arm(index, self.deadlines[index as usize]);
            self.wheel.validate();
        }

        /// A deadline that moved later: one store.
        fn extend(&mut self, index: u32, wait: Duration) {
            self.deadlines[index as usize] = self.now.after(wait);
        }

        fn disarm(&mut self, index: u32) {
            self.deadlines[index as usize] = Tick::NEVER;
            self.wheel.disarm(index);
            self.wheel.validate();
        }

        /// Moves the clock to `now` and gives what fired, sorted.
        fn turn(&mut self, now: Tick) -> Vec<u32> {
            self.now = now;
            let mut fired = Vec::new();
            let mut looked_at = Vec::new();
            let deadline_of = |index| {
                looked_at.push(index);
                self.deadlines[index as usize]
            };
            self.wheel.expire(now, deadline_of, &mut fired);
            self.wheel.validate();
            self.looks += looked_at.len();

            looked_at.sort_unstable();
            assert!(looked_at.windows(2).all(|pair| pair[0] != pair[1]), "each index once: {looked_at:?}");
            for &index in &fired {
                assert!(!self.wheel.is_armed(index));
            }
            fired.sort_unstable();
            fired
        }

        fn pass(&mut self, time: Duration) -> Vec<u32> {
            self.turn(self.now.after(time))
        }
    }

    #[test]
    fn fires_after_the_deadline_and_within_one_slot() {
        for wait in [Duration::from_nanos(1), SLOT, SLOT * 3 / 2, HORIZON - SLOT, HORIZON] {
            let mut clocked = Clocked::new(1);
            clocked.arm(0, wait);
            assert_eq!(clocked.pass(wait - Duration::from_nanos(1)), [0_u32; 0]);
            assert_eq!(clocked.pass(SLOT), [0], "{wait:?}");
            assert!(clocked.wheel.is_empty());
            assert_eq!(clocked.looks, 1);
        }
    }

    #[test]
    fn a_deadline_already_past_fires_within_one_slot() {
        let mut clocked = Clocked::new(1);
        clocked.pass(HOUR);
        clocked.deadlines[0] = Tick::ZERO;
        clocked.wheel.arm(0, Tick::ZERO);
        assert_eq!(clocked.pass(SLOT), [0]);
    }

    #[test]
    fn a_later_deadline_costs_one_look_when_the_old_one_passes() {
        let mut clocked = Clocked::new(1);
        clocked.arm(0, SLOT * 4);
        for _ in 0..3 {
            clocked.pass(SLOT);
            clocked.extend(0, SLOT * 4);
        }
        assert_eq!(clocked.looks, 0);
        assert_eq!(clocked.pass(SLOT), [0_u32; 0]);
        assert_eq!(clocked.looks, 1);
        assert_eq!(clocked.pass(SLOT * 3), [0]);
    }

    #[test]
    fn a_later_arm_leaves_the_index_where_it_is_and_a_nearer_one_moves_it() {
        let mut clocked = Clocked::new(1);
        clocked.arm(0, SLOT * 10);
        let place = clocked.wheel.next();
        clocked.arm(0, SLOT * 20);
        assert_eq!(clocked.wheel.next(), place);
        clocked.arm(0, SLOT * 5);
        assert_eq!(clocked.wheel.next(), Some(Tick::ZERO.after(SLOT * 5)));
        assert_eq!(clocked.pass(SLOT * 5), [0]);
    }

    #[test]
    fn a_disarmed_index_leaves_its_neighbours_armed() {
        let mut clocked = Clocked::new(4);
        (0..4).for_each(|index| clocked.arm(index, SLOT));
        for index in [2, 3, 0] {
            clocked.disarm(index);
            clocked.disarm(index);
        }
        assert!(clocked.wheel.is_armed(1));
        assert_eq!(clocked.pass(SLOT), [1]);
    }

    #[test]
    fn never_arms_nothing_and_unlinks_what_is_looked_at() {
        let mut clocked = Clocked::new(1);
        clocked.wheel.arm(0, Tick::NEVER);
        assert!(clocked.wheel.is_empty());

        clocked.arm(0, SLOT);
        clocked.deadlines[0] = Tick::NEVER;
        assert_eq!(clocked.pass(SLOT), [0_u32; 0]);
        assert!(clocked.wheel.is_empty());
        assert_eq!(clocked.wheel.next(), None);
    }

    #[test]
    fn fired_indices_are_appended() {
        let mut wheel = Wheel::new(8);
        wheel.arm(1, Tick::from_millis(1));
        wheel.arm(2, Tick::from_millis(1));
        let mut fired = vec![9];
        let deadline_of = |index| if index == 1 { Tick::from_millis(1) } else { Tick::NEVER };
        wheel.expire(Tick::from_millis(20), deadline_of, &mut fired);
        assert_eq!(fired, [9, 1]);
    }

    #[test]
    fn an_hour_asleep_is_one_look_at_each() {
        let mut clocked = Clocked::new(2000);
        for index in 0..2000 {
            clocked.arm(index, SLOT * (index + 1));
        }
        clocked.extend(7, HOUR * 2);
        let fired = clocked.pass(HOUR);
        assert_eq!(fired.len(), 1999);
        assert_eq!(clocked.looks, 2000);
        assert_eq!(clocked.pass(HOUR), [7]);
    }

    #[test]
    fn a_clock_that_steps_back_changes_nothing() {
        let mut clocked = Clocked::new(2);
        clocked.pass(HOUR);
        clocked.arm(0, SLOT);
        assert_eq!(clocked.turn(Tick::ZERO), [0_u32; 0]);
        clocked.arm(1, SLOT);
        assert_eq!(clocked.turn(Tick::ZERO.after(HOUR + SLOT * 2)), [0, 1]);
    }

    #[test]
    fn the_end_of_time_is_reached_without_overflow() {
        let mut clocked = Clocked::new(1);
        let last = Tick::from_nanos(u64::MAX - 1);
        clocked.turn(last);
        clocked.deadlines[0] = last;
        clocked.wheel.arm(0, last);
        assert_eq!(clocked.wheel.next(), Some(Tick::NEVER));
    }

    /// Sleeps until `next`, again and again, until everything has fired: when each did, and how many wakes.
    fn run(clocked: &mut Clocked) -> (Vec<(u32, Tick)>, usize) {
        let (mut fired_at, mut wakes) = (Vec::new(), 0);
        while let Some(next) = clocked.wheel.next() {
            assert!(next > clocked.now, "a loop that sleeps until then makes progress");
            wakes += 1;
            fired_at.extend(clocked.turn(next).into_iter().map(|index| (index, next)));
        }
        (fired_at, wakes)
    }

    #[test]
    fn one_far_deadline_wakes_the_loop_about_once_a_rotation() {
        let mut clocked = Clocked::new(1);
        clocked.arm(0, Duration::from_secs(75));
        let (fired_at, wakes) = run(&mut clocked);
        assert_eq!(fired_at.len(), 1);
        assert!(fired_at[0].1.since(Tick::ZERO.after(Duration::from_secs(75))) < SLOT);
        assert!(wakes <= 11, "{wakes} wakes");
    }

    #[test]
    fn many_far_deadlines_wake_the_loop_at_stations_only() {
        let mut clocked = Clocked::new(3000);
        for index in 0..3000 {
            clocked.arm(index, Duration::from_secs(75));
            clocked.pass(Duration::from_millis(3));
        }
        let mut wakes = 0;
        let end = clocked.now.after(Duration::from_secs(60));
        while let Some(next) = clocked.wheel.next().filter(|&next| next < end) {
            assert_eq!(clocked.turn(next), [0_u32; 0]);
            wakes += 1;
        }
        assert!(wakes <= 60 * 4, "{wakes} wakes in a minute");
    }

    #[test]
    #[should_panic(expected = "index 8 of a wheel for 8")]
    fn an_index_beyond_the_table_is_a_mistake() {
        Wheel::new(8).arm(8, Tick::ZERO);
    }

    #[test]
    fn an_index_costs_twelve_bytes() {
        assert_eq!(size_of::<Link>(), 12);
        let mut wheel = Wheel::new(1000);
        let reserved = wheel.links.capacity();
        wheel.arm(999, Tick::ZERO);
        assert_eq!(wheel.links.capacity(), reserved);
    }

    const INDICES: u32 = 24;

    #[derive(Clone, Debug)]
    enum Step {
        Arm(u32, Duration),
        /// Later than now holds already, without telling the wheel.
        Extend(u32, Duration),
        Disarm(u32),
        /// The owner is gone and has not told the wheel.
        Forget(u32),
        Pass(Duration),
        /// Sleep until the wheel asks for a look.
        Sleep,
    }

    fn waits() -> impl Strategy<Value = Duration> {
        prop_oneof![
            3 => 0..SLOT_NANOS * 3,
            3 => 0..SLOT_NANOS * 2 * u64::from(SLOTS),
            // Whole slots about the edges of the wheel, where the arithmetic could be off by one.
            2 => (1020..1060_u64).prop_map(|slots| slots * SLOT_NANOS),
            1 => 0..10_000_000_000_000_u64,
        ]
        .prop_map(Duration::from_nanos)
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..INDICES, waits()).prop_map(|(index, wait)| Step::Arm(index, wait)),
            3 => (0..INDICES, waits()).prop_map(|(index, wait)| Step::Extend(index, wait)),
            1 => (0..INDICES).prop_map(Step::Disarm),
            1 => (0..INDICES).prop_map(Step::Forget),
            3 => waits().prop_map(Step::Pass),
            3 => Just(Step::Sleep),
        ];
        prop::collection::vec(step, 0..120)
    }

    /// The naive wheel: for each index its deadline, and the last moment at which it must have fired.
    #[derive(Default)]
    struct Model {
        due: Vec<Option<(Tick, Tick)>>,
    }

    impl Model {
        fn set(&mut self, index: u32, deadline: Tick, now: Tick) {
            let slots = deadline.as_nanos().div_ceil(SLOT_NANOS).max(now.as_nanos() / SLOT_NANOS + 1);
            self.due[index as usize] = Some((deadline, Tick::from_nanos(slots * SLOT_NANOS)));
        }

        /// Takes out what fired at `now`, and says what is wrong with that.
        fn settle(&mut self, fired: &[u32], now: Tick) -> Result<(), TestCaseError> {
            for &index in fired {
                let due = self.due[index as usize].take();
                prop_assert!(
                    due.is_some_and(|(deadline, _)| deadline <= now),
                    "{index} early: {due:?} at {now:?}"
                );
            }
            for (index, due) in self.due.iter().enumerate() {
                prop_assert!(due.is_none_or(|(_, latest)| latest > now), "{index} late: {due:?} at {now:?}");
            }
            Ok(())
        }

        fn latest_look(&self) -> Option<Tick> {
            self.due.iter().flatten().map(|&(_, latest)| latest).min()
        }
    }

    proptest! {
        #[test]
        fn fires_what_a_list_of_deadlines_would(steps in steps()) {
            let mut clocked = Clocked::new(INDICES as usize);
            let mut model = Model { due: vec![None; INDICES as usize] };
            for step in steps {
                match step {
                    Step::Arm(index, wait) => {
                        clocked.arm(index, wait);
                        model.set(index, clocked.deadlines[index as usize], clocked.now);
                    }
                    Step::Extend(index, wait) => {
                        if let Some((deadline, _)) = model.due[index as usize] {
                            let later = deadline.after(wait);
                            clocked.deadlines[index as usize] = later;
                            model.set(index, later, clocked.now);
                        }
                    }
                    Step::Disarm(index) => {
                        clocked.disarm(index);
                        model.due[index as usize] = None;
                    }
                    Step::Forget(index) => {
                        clocked.deadlines[index as usize] = Tick::NEVER;
                        model.due[index as usize] = None;
                    }
                    Step::Pass(time) => {
                        let fired = clocked.pass(time);
                        model.settle(&fired, clocked.now)?;
                    }
                    Step::Sleep => if let Some(next) = clocked.wheel.next() {
                        let fired = clocked.turn(next);
                        model.settle(&fired, clocked.now)?;
                    },
                }
                if let Some(latest) = model.latest_look() {
                    let now = clocked.now;
                    prop_assert!(clocked.wheel.next().is_some_and(|next| next <= latest && next > now));
                }
            }
            let left: Vec<u32> = (0..INDICES).filter(|&index| model.due[index as usize].is_some()).collect();
            prop_assert_eq!(clocked.pass(HOUR * 24 * 365), left);
            prop_assert!(clocked.wheel.is_empty());
        }

        #[test]
        fn a_loop_that_follows_next_is_never_early_and_never_a_slot_late(
            waits in prop::collection::vec(waits(), 1..INDICES as usize),
        ) {
            let mut clocked = Clocked::new(waits.len());
            let waits: Vec<_> = waits.into_iter().map(|wait| wait.min(Duration::from_secs(120))).collect();
            for (index, &wait) in (0..).zip(&waits) {
                clocked.arm(index, wait);
            }
            let (fired_at, _) = run(&mut clocked);
            prop_assert_eq!(fired_at.len(), waits.len());
            for (index, at) in fired_at {
                let deadline = Tick::ZERO.after(waits[index as usize]);
                prop_assert!(at >= deadline && at.since(deadline) <= SLOT);
            }
        }
    }
}
