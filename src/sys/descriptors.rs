//! Descriptors: how many there may be, a spare one for bad times, and a table of one's own.

use std::fs::File;
use std::io;
use std::mem;

use super::{check, count};

// A table of one's own is for threads with a `Bell`: what else wakes a poll is another descriptor there.
#[cfg_attr(
    all(any(target_os = "linux", target_os = "android"), not(mio_unsupported_force_poll_poll)),
    path = "descriptors/linux.rs"
)]
#[cfg_attr(target_vendor = "apple", path = "descriptors/apple.rs")]
#[cfg_attr(
    not(any(
        all(any(target_os = "linux", target_os = "android"), not(mio_unsupported_force_poll_poll)),
        target_vendor = "apple"
    )),
    path = "descriptors/fallback.rs"
)]
mod system;

/// How many descriptors this process may have open.
///
/// # Errors
/// Whatever getrlimit(2) reports.
pub fn limit() -> io::Result<u64> {
    Ok(count(limits()?.rlim_cur))
}

/// Raises the limit as far as an unprivileged process may; returns what it is then.
///
/// # Errors
/// Whatever getrlimit(2) and setrlimit(2) report; the limit is then unchanged.
pub fn raise_limit() -> io::Result<u64> {
    let mut limits = limits()?;
    let ceiling = system::DESCRIPTORS_MAX.map_or(limits.rlim_max, |most| limits.rlim_max.min(most));
    if limits.rlim_cur < ceiling {
        limits.rlim_cur = ceiling;
        // SAFETY: `limits` is an rlimit that outlives the call.
        check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limits) })?;
    }
    limit()
}

/// Gives the calling thread a descriptor table of its own, a copy of the process's: its system calls then
/// skip the table's reference count. Returns whether it did; elsewhere than on Linux with epoll(7), never.
///
/// Descriptors that are opened afterwards exist for this thread only, and what is closed afterwards stays
/// open in the other tables. So: listeners and wakers first, and no thread is ever started from this one.
///
/// # Errors
/// Whatever close_range(2) reports, except that the kernel does not know it.
pub fn private_table() -> io::Result<bool> {
    system::private_table()
}

/// A descriptor kept for the moment when there are no others: [`release`](Self::release) it, accept one
/// connection, close that, [`restore`](Self::restore).
#[derive(Debug)]
pub struct Reserve {
    spare: Option<File>,
}

impl Reserve {
    /// Sets one descriptor aside.
    ///
    /// # Errors
    /// Whatever opening `/dev/null` reports.
    pub fn new() -> io::Result<Self> {
        let mut reserve = Self { spare: None };
        reserve.restore()?;
        Ok(reserve)
    }

    /// Closes the spare descriptor; returns whether there was one.
    pub fn release(&mut self) -> bool {
        mem::take(&mut self.spare).is_some()
    }

    /// Sets one descriptor aside again, unless one is.
    ///
    /// # Errors
    /// Whatever opening `/dev/null` reports: there is no spare one then.
    pub fn restore(&mut self) -> io::Result<()> {
        if self.spare.is_none() {
            self.spare = Some(File::open("/dev/null")?);
        }
        Ok(())
    }
}

fn limits() -> io::Result<libc::rlimit> {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limits` is an rlimit that outlives the call.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limits) })?;
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_and_stays() {
        let raised = raise_limit().unwrap();
        assert!(raised >= 256);
        assert_eq!(limit().unwrap(), raised);
        assert_eq!(raise_limit().unwrap(), raised);
    }

    #[test]
    fn a_reserve_is_given_once_until_it_is_restored() {
        let mut reserve = Reserve::new().unwrap();
        assert!(reserve.release());
        assert!(!reserve.release());
        reserve.restore().unwrap();
        reserve.restore().unwrap();
        assert!(reserve.release());
    }

    #[cfg(all(target_os = "linux", not(mio_unsupported_force_poll_poll)))]
    #[test]
    fn what_a_private_table_opens_nobody_else_sees() {
        let number = i32::try_from(raise_limit().unwrap()).unwrap() - 1;
        // SAFETY: F_GETFD only asks for a number's flags, F_DUPFD_CLOEXEC opens a new number.
        let is_open = move || unsafe { libc::fcntl(number, libc::F_GETFD) } != -1;
        assert!(!is_open());
        let (ask, asked) = std::sync::mpsc::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let worker = std::thread::spawn(move || {
            assert!(private_table().unwrap());
            // SAFETY: see above.
            unsafe { libc::fcntl(0, libc::F_DUPFD_CLOEXEC, number) };
            tell.send(is_open()).unwrap();
            let _ = asked.recv();
        });
        assert!(told.recv().unwrap(), "open where it was opened");
        assert!(!is_open(), "but not here");
        drop(ask);
        worker.join().unwrap();
    }
}
