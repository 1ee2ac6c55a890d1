//! The stopwatch: time by the cycles that the processor counts, which the clock keeps right.
//!
//! ```text
//!   clock    ●─────────────────────────●───────      read once a millisecond
//!   cycles   ●────┬────┬──────────┬────●──┬────      read as often as somebody asks
//!                 └────┴──────────┴───────┴── the time at ● + cycles since ● × pace
//! ```
//! The pace, in nanoseconds a cycle, is what both say between two ● that are some milliseconds apart. It
//! counts once two in a row agree: whoever slept with the machine in between, or was moved to another one,
//! is told the clock's time until they do. So is everybody whose processor does not promise that its cycles
//! keep one pace (the "invariant TSC"), or whose hypervisor takes its time to tell them. One pace is not one
//! zero: a thread that has moved to a processor whose count is another is wrong by that, until the clock is
//! read again. Invariant: what is told never runs backwards, whatever the cycles do; and no error is older
//! than a millisecond.

use std::arch::x86_64::{__cpuid, _rdtsc};
use std::cell::Cell;
use std::sync::OnceLock;

/// For so long the cycles are believed.
const FRESH_NANOS: u64 = 1_000_000;
/// The pace is measured over so much time at least.
const PACE_NANOS: u64 = 10_000_000;
/// The two are read in one moment if no more cycles lie between: less than a microsecond.
const MOMENT_CYCLES_MAX: u64 = 1_000;
/// After so many times in a row at which that failed, nobody tries again.
const TRIES_MAX: u32 = 100;
/// Paces are so many times what they say.
const SCALE: u32 = 32;

thread_local! {
    static STOPWATCH: Stopwatch = const { Stopwatch::new(keeps_one_pace) };
}

#[inline]
pub(super) fn now_nanos() -> u64 {
    STOPWATCH.with(|stopwatch| stopwatch.read(cycles, super::now_nanos))
}

/// One thread's.
struct Stopwatch {
    /// Whether the cycles keep one pace: asked when somebody reads them first.
    keeps_one_pace: fn() -> bool,
    /// The last moment at which both were read.
    last: Cell<Moment>,
    /// For so many cycles it is believed; 0: nothing is.
    fresh_cycles: Cell<u64>,
    /// Nanoseconds a cycle, and from when on it is measured anew.
    pace: Cell<u64>,
    pace_from: Cell<Moment>,
    /// How often in a row the two could not be read in one moment.
    tries: Cell<u32>,
    /// What was told last.
    told: Cell<u64>,
}

/// What both said.
#[derive(Clone, Copy)]
struct Moment {
    nanos: u64,
    cycles: u64,
}

impl Stopwatch {
    const fn new(keeps_one_pace: fn() -> bool) -> Self {
        const NEVER: Moment = Moment { nanos: 0, cycles: 0 };
        Self {
            keeps_one_pace,
            last: Cell::new(NEVER),
            fresh_cycles: Cell::new(0),
            pace: Cell::new(0),
            pace_from: Cell::new(NEVER),
            tries: Cell::new(0),
            told: Cell::new(0),
        }
    }

    #[inline]
    fn read(&self, cycles: impl Fn() -> u64, clock: impl Fn() -> u64) -> u64 {
        let fresh_cycles = self.fresh_cycles.get();
        if fresh_cycles != 0 {
            let Moment { nanos, cycles: last } = self.last.get();
            // Cycles that run backwards are so many that they are not fresh.
            let since = cycles().wrapping_sub(last);
            if since < fresh_cycles {
                // No more than FRESH_NANOS << SCALE.
                return self.tell(nanos + ((since * self.pace.get()) >> SCALE));
            }
        }
        self.tell(self.compare(cycles, clock))
    }

    #[inline]
    fn tell(&self, nanos: u64) -> u64 {
        let told = nanos.max(self.told.get());
        self.told.set(told);
        told
    }

    /// Reads the clock, and the cycles with it.
    #[cold]
    fn compare(&self, cycles: impl Fn() -> u64, clock: impl Fn() -> u64) -> u64 {
        if self.tries.get() == TRIES_MAX || !(self.keeps_one_pace)() {
            return clock();
        }
        let before = cycles();
        let nanos = clock();
        let now = Moment { nanos, cycles: cycles() };
        if now.cycles.wrapping_sub(before) > MOMENT_CYCLES_MAX {
            self.tries.set(self.tries.get() + 1);
            self.fresh_cycles.set(0);
            return nanos;
        }
        self.tries.set(0);
        self.last.set(now);
        self.measure(now);
        nanos
    }

    /// Measures the pace, if it is time.
    fn measure(&self, now: Moment) {
        let from = self.pace_from.get();
        let passed = now.nanos.saturating_sub(from.nanos);
        if passed < PACE_NANOS {
            return;
        }
        let cycles = now.cycles.wrapping_sub(from.cycles);
        let pace = (u128::from(passed) << SCALE).checked_div(cycles.into());
        let pace = pace.and_then(|pace| u64::try_from(pace).ok()).unwrap_or(0);
        // To a thousandth.
        let is_agreed = pace.abs_diff(self.pace.get()) <= pace >> 10;
        let fresh_cycles = if is_agreed { (FRESH_NANOS << SCALE).checked_div(pace) } else { None };
        self.fresh_cycles.set(fresh_cycles.unwrap_or(0));
        self.pace.set(pace);
        self.pace_from.set(now);
    }
}

#[inline]
fn cycles() -> u64 {
    // SAFETY: every x86-64 has the instruction, which reads a number. Where Linux forbids it to a process
    // (PR_SET_TSC), that is sent SIGSEGV: no undefined behaviour.
    unsafe { _rdtsc() }
}

/// Whether the cycles are those of a clock, whatever the processor's frequency and sleep.
fn keeps_one_pace() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    const LARGEST: u32 = 0x8000_0000;
    const POWER_MANAGEMENT: u32 = 0x8000_0007;
    const INVARIANT_TSC: u32 = 1 << 8;
    // Asked once: within a virtual machine the hypervisor answers.
    *ANSWER.get_or_init(|| {
        #[allow(unused_unsafe, reason = "newer compilers know that it is safe")]
        // SAFETY: every x86-64 has the instruction.
        let ask = |leaf| unsafe { __cpuid(leaf) };
        ask(LARGEST).eax >= POWER_MANAGEMENT && ask(POWER_MANAGEMENT).edx & INVARIANT_TSC != 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A processor of two cycles a nanosecond, and a clock.
    struct Machine {
        stopwatch: Stopwatch,
        nanos: Cell<u64>,
        cycles: Cell<u64>,
        /// How long it takes to read the clock.
        moment_cycles: Cell<u64>,
        /// How often that was done.
        readings: Cell<u32>,
    }

    impl Machine {
        fn new(keeps_one_pace: fn() -> bool) -> Self {
            let (nanos, cycles) = (Cell::new(1_000), Cell::new(u64::MAX - 5_000_000));
            let (moment_cycles, readings) = (Cell::new(0), Cell::new(0));
            Self { stopwatch: Stopwatch::new(keeps_one_pace), nanos, cycles, moment_cycles, readings }
        }

        fn pass(&self, nanos: u64) {
            self.nanos.set(self.nanos.get() + nanos);
            self.cycles.set(self.cycles.get().wrapping_add(2 * nanos));
        }

        fn read(&self) -> u64 {
            let clock = || {
                self.readings.set(self.readings.get() + 1);
                self.cycles.set(self.cycles.get().wrapping_add(self.moment_cycles.get()));
                self.nanos.get()
            };
            self.stopwatch.read(|| self.cycles.get(), clock)
        }

        /// Of so many readings, one a microsecond, how many were the clock's; all must be right.
        fn readings_of(&self, count: u32) -> u32 {
            self.readings.set(0);
            for _ in 0..count {
                self.pass(1_000);
                assert!(self.read().abs_diff(self.nanos.get()) <= 1, "{}", self.nanos.get());
            }
            self.readings.get()
        }
    }

    #[test]
    fn the_clock_is_read_until_the_pace_is_known_and_then_once_a_millisecond() {
        let machine = Machine::new(|| true);
        assert_eq!(machine.readings_of(29_000), 29_000, "two paces have to agree");
        machine.readings_of(2_000);
        assert_eq!(machine.readings_of(50_000), 50);
    }

    #[test]
    fn cycles_that_are_not_counted_evenly_are_not_used() {
        let machine = Machine::new(|| false);
        assert_eq!(machine.readings_of(50_000), 50_000);
        let slow = Machine::new(|| true);
        slow.moment_cycles.set(MOMENT_CYCLES_MAX + 1);
        assert_eq!(slow.readings_of(50_000), 50_000);
        assert_eq!(slow.stopwatch.tries.get(), TRIES_MAX);
    }

    #[test]
    fn no_reading_runs_backwards() {
        let machine = Machine::new(|| true);
        machine.readings_of(31_000);
        // Another processor is behind, and one is ahead: by less than can be seen.
        for skew in [-500_000, 300_000, i64::MIN, 7] {
            let before = machine.read();
            machine.cycles.set(machine.cycles.get().wrapping_add_signed(skew));
            machine.pass(10);
            let after = machine.read();
            assert!(before <= after && after <= machine.nanos.get() + FRESH_NANOS, "{skew}");
            machine.pass(2 * FRESH_NANOS);
            assert_eq!(machine.read(), machine.nanos.get(), "{skew}: the clock is right again");
        }
    }

    #[test]
    fn a_pace_that_has_changed_counts_when_it_is_confirmed() {
        let machine = Machine::new(|| true);
        machine.readings_of(31_000);
        // Only the cycles went on while the machine slept.
        machine.cycles.set(machine.cycles.get() + (1 << 50));
        let readings = machine.readings_of(30_000);
        assert!((19_000..30_000).contains(&readings), "{readings}");
        assert_eq!(machine.readings_of(50_000), 50);
    }
}
