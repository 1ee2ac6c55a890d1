//! [`Failures`]: who has guessed too often. Decides before a hash is computed.
//!
//! ```text
//!  first wrong one ──► counted ──► so many of them ──► refused until the time is over ──► forgotten
//!                                       └─ ten times as many tries ─► also what was right before
//! ```
//! An address is what one subscriber has: an IPv4 address, or the /64 of an IPv6 address. Bounded: in a full
//! table the one that would be forgotten next makes room. Knows neither users nor passwords nor tokens.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::base::Tick;

/// Addresses that are remembered, some 40 bytes each.
const ADDRESSES_MAX: usize = 4096;

/// So many times the count that is let through, and nobody from there is believed.
const FLOOD: u32 = 10;

/// Addresses from which wrong passwords and tokens came.
#[derive(Debug)]
pub(super) struct Failures {
    /// So many are let through within the time.
    count_max: u32,
    within: Duration,
    addresses: Arc<Addresses>,
}

/// Who has failed, and how often: what a change of the limit leaves as it is.
#[derive(Debug, Default)]
struct Addresses {
    failed: Mutex<HashMap<u128, Failed>>,
    /// Nobody fails on most days: then nobody is asked for an address.
    is_used: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    count: u32,
    /// When this is forgotten.
    until: Tick,
}

impl Failures {
    pub(super) fn new(count_max: u32, within: Duration) -> Self {
        Self { count_max, within, addresses: Arc::default() }
    }

    /// The same limit, of the addresses of `other`: who fails in the one has failed in both.
    pub(super) fn of(&self, other: &Self) -> Self {
        Self { addresses: Arc::clone(&other.addresses), ..*self }
    }

    /// Whether both are of the same addresses.
    #[cfg(all(test, feature = "jwt"))]
    pub(super) fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.addresses, &other.addresses)
    }

    /// Whether nobody has failed.
    pub(super) fn is_empty(&self) -> bool {
        !self.addresses.is_used.load(Relaxed)
    }

    /// How long `address` is refused from `now` on, if it is.
    pub(super) fn refuses(&self, address: IpAddr, now: Tick) -> Option<Duration> {
        let failed = self.lock().get(&network(address)).copied()?;
        (failed.count >= self.count_max && now < failed.until)
            .then(|| Duration::from_nanos(failed.until.as_nanos().saturating_sub(now.as_nanos())))
    }

    /// Whether so many tries came from `address` that somebody there may be guessing at what is remembered.
    pub(super) fn is_flooded(&self, address: IpAddr) -> bool {
        let failed = self.lock().get(&network(address)).copied();
        failed.is_some_and(|failed| failed.count >= self.count_max.saturating_mul(FLOOD))
    }

    /// A wrong password or token came from `address`.
    pub(super) fn count(&self, address: IpAddr, now: Tick) {
        let mut addresses = self.lock();
        let network = network(address);
        if addresses.len() >= ADDRESSES_MAX && !addresses.contains_key(&network) {
            addresses.retain(|_, failed| now < failed.until);
            let next = addresses.iter().min_by_key(|(_, failed)| failed.until).map(|(network, _)| *network);
            if let Some(next) = next.filter(|_| addresses.len() >= ADDRESSES_MAX) {
                addresses.remove(&next);
            }
        }
        let new = Failed { count: 0, until: now.after(self.within) };
        let failed = addresses.entry(network).or_insert(new);
        if now >= failed.until {
            *failed = new;
        }
        failed.count = failed.count.saturating_add(1);
        self.addresses.is_used.store(true, Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u128, Failed>> {
        self.addresses.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one subscriber has.
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_one_after_the_last_is_refused_until_the_time_is_over() {
        let failures = Failures::new(3, MINUTE);
        let (here, start) = (ip("192.0.2.1"), Tick::from_millis(5_000));
        assert!(failures.is_empty());
        for second in 0..3 {
            let now = start.after(Duration::from_secs(second));
            assert_eq!(failures.refuses(here, now), None);
            failures.count(here, now);
        }
        let later = |seconds| start.after(Duration::from_secs(seconds));
        assert_eq!(failures.refuses(here, later(2)), Some(Duration::from_secs(58)));
        assert_eq!(failures.refuses(here, later(59)), Some(Duration::from_secs(1)));
        assert_eq!(failures.refuses(here, later(60)), None);
        failures.count(here, later(60));
        assert_eq!(failures.refuses(here, later(61)), None, "it begins anew");
        assert_eq!(failures.refuses(ip("192.0.2.2"), later(2)), None, "a neighbour");
    }

    #[test]
    fn another_limit_goes_on_with_what_was_counted() {
        let (here, start) = (ip("192.0.2.1"), Tick::from_millis(5_000));
        let strict = Failures::new(2, MINUTE);
        strict.count(here, start);
        strict.count(here, start);
        let mild = Failures::new(3, MINUTE * 60).of(&strict);
        assert!(!mild.is_empty() && mild.refuses(here, start).is_none(), "one more may fail");
        mild.count(here, start);
        assert_eq!(mild.refuses(here, start), Some(MINUTE), "it ends when it was to end");
        assert_eq!(strict.refuses(here, start), Some(MINUTE));
        mild.count(here, start.after(MINUTE));
        mild.count(here, start.after(MINUTE));
        mild.count(here, start.after(MINUTE));
        assert_eq!(
            mild.refuses(here, start.after(MINUTE)),
            Some(MINUTE * 60),
            "the next time is the new one"
        );
    }

    #[test]
    fn a_subscriber_has_one_budget() {
        let failures = Failures::new(1, MINUTE);
        failures.count(ip("2001:db8::1"), Tick::ZERO);
        let refused = |text| failures.refuses(ip(text), Tick::ZERO).is_some();
        assert!(refused("2001:db8::1") && refused("2001:db8::ffff:1:2:3"));
        assert!(!refused("2001:db8:0:1::1") && !refused("::"));
        failures.count(ip("::ffff:192.0.2.1"), Tick::ZERO);
        assert!(refused("192.0.2.1") && refused("::ffff:192.0.2.1") && !refused("192.0.2.2"));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_what_is_oldest() {
        let failures = Failures::new(1, MINUTE);
        let address = |number: usize| IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
        let at = |number: usize| Tick::from_millis(number as u64);
        for number in 0..ADDRESSES_MAX + 10 {
            failures.count(address(number), at(number));
        }
        assert_eq!(failures.lock().len(), ADDRESSES_MAX);
        let now = at(ADDRESSES_MAX + 10);
        assert!(failures.refuses(address(9), now).is_none(), "it made room");
        assert!(failures.refuses(address(10), now).is_some());
        failures.count(address(0), now.after(MINUTE));
        assert_eq!(failures.lock().len(), 1, "all were over");
    }
}
