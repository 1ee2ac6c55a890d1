//! The token that an event carries: one word, of four meanings.
//!
//! ```text
//!  63            32 31             0
//! ┌────────────────┬────────────────┐
//! │ serial, never 0│ index          │  a connection's key
//! │ 0              │ 0              │  mail
//! │ 0              │ 1              │  the alarm
//! │ 0              │ 2 + listener   │  a listener
//! └────────────────┴────────────────┘
//! ```
//! No slot ever has the serial 0, which leaves the lower words free.

use mio::Token;

use crate::base::Key;

// A key with fewer serial bits would soon find a stranger in its slot.
const _: () = assert!(usize::BITS >= 64, "event tokens carry a 64-bit key: kolk needs a 64-bit target");

/// The number that a loop gives to one of its listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u32);

/// Another thread rang.
pub(super) const MAIL: Token = Token(0);
/// The moment has come.
pub(super) const ALARM: Token = Token(1);

/// What a token stands for.
pub(super) enum Meaning {
    Connection(Key),
    Listener(ListenerId),
    Mail,
    Alarm,
}

impl Meaning {
    #[inline]
    pub(super) fn of(token: Token) -> Self {
        let word = token.0 as u64;
        match u32::try_from(word) {
            Err(_) => Self::Connection(Key::unpack(word)),
            Ok(0) => Self::Mail,
            Ok(1) => Self::Alarm,
            Ok(number) => Self::Listener(ListenerId(number - 2)),
        }
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a usize has 64 bits, see above")]
pub(super) fn of_key(key: Key) -> Token {
    let word = key.pack();
    debug_assert!(word >> 32 != 0, "{key:?} was never issued");
    Token(word as usize)
}

/// # Panics
/// For the last two numbers there are: nobody has so many listeners.
pub(super) fn of_listener(id: ListenerId) -> Token {
    let number = id.0.checked_add(2).expect("listeners are numbered from 0");
    Token(number as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_has_one_meaning() {
        assert!(matches!(Meaning::of(MAIL), Meaning::Mail));
        assert!(matches!(Meaning::of(ALARM), Meaning::Alarm));
        for id in [0, 1, u32::MAX - 2].map(ListenerId) {
            assert!(matches!(Meaning::of(of_listener(id)), Meaning::Listener(found) if found == id));
        }
        for word in [1 << 32, (1 << 32) + 1, u64::MAX].map(Key::unpack) {
            assert!(matches!(Meaning::of(of_key(word)), Meaning::Connection(found) if found == word));
        }
    }
}
