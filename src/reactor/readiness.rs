//! [`Readiness`]: what one event says about a connection.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// What a connection is ready for: a small set. On kqueue reading and writing arrive as two events.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Readiness(u8);

impl Readiness {
    /// There is something to read, or the end of it.
    pub const READABLE: Self = Self(1);
    /// There is room to write.
    pub const WRITABLE: Self = Self(2);
    /// The peer has closed its sending side: no other event will tell, so read on until the end shows.
    pub const READ_CLOSED: Self = Self(4);
    /// An error, or closed both ways: nothing more will be sent. What has been received may still be read.
    pub const BROKEN: Self = Self(8);

    #[inline]
    pub(super) fn of(event: &mio::event::Event) -> Self {
        let read_closed = event.is_read_closed();
        let broken = event.is_error() || (read_closed && event.is_write_closed());
        Self(
            u8::from(event.is_readable())
                | u8::from(event.is_writable()) << 1
                | u8::from(read_closed) << 2
                | u8::from(broken) << 3,
        )
    }

    /// Whether a read is worth a try. A broken connection is one to read: that is how its error shows.
    #[inline]
    pub const fn is_readable(self) -> bool {
        self.0 & (Self::READABLE.0 | Self::READ_CLOSED.0 | Self::BROKEN.0) != 0
    }

    /// Whether a write is worth a try.
    #[inline]
    pub const fn is_writable(self) -> bool {
        self.0 & Self::WRITABLE.0 != 0
    }

    /// Whether the peer has closed its sending side.
    #[inline]
    pub const fn is_read_closed(self) -> bool {
        self.0 & Self::READ_CLOSED.0 != 0
    }

    /// Whether nothing more can be sent.
    #[inline]
    pub const fn is_broken(self) -> bool {
        self.0 & Self::BROKEN.0 != 0
    }
}

impl BitOr for Readiness {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Readiness {
    #[inline]
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::READABLE, "readable"),
            (Self::WRITABLE, "writable"),
            (Self::READ_CLOSED, "read closed"),
            (Self::BROKEN, "broken"),
        ];
        let present = names.iter().filter(|(bit, _)| self.0 & bit.0 != 0).map(|&(_, name)| name);
        f.debug_set().entries(present).finish()
    }
}
