//! The terminal that a person types at: without showing what is typed.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use super::check;

/// A terminal shows nothing of what is typed; it does again when this is dropped.
#[derive(Debug)]
pub struct Hidden<'t> {
    terminal: BorrowedFd<'t>,
    before: Settings,
}

/// What the terminal did before.
struct Settings(libc::termios);

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Settings")
    }
}

/// Hides what is typed at `terminal` from now on. Line ends are still shown.
///
/// # Errors
/// If it is no terminal.
///
/// ```
/// // A file is none.
/// let file = std::fs::File::open("/dev/null")?;
/// assert!(kolk::terminal::hide(&file).is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn hide(terminal: &impl AsFd) -> io::Result<Hidden<'_>> {
    let terminal = terminal.as_fd();
    // SAFETY: all zeros are a valid `termios`.
    let mut settings: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open while it is borrowed, and `settings` is writable.
    check(unsafe { libc::tcgetattr(terminal.as_raw_fd(), &raw mut settings) })?;
    let hidden = Hidden { terminal, before: Settings(settings) };
    settings.c_lflag &= !libc::ECHO;
    settings.c_lflag |= libc::ECHONL;
    set(terminal, &settings)?;
    Ok(hidden)
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // A terminal that has gone shows nothing.
        let _ = set(self.terminal, &self.before.0);
    }
}

/// What was typed before and not read yet is forgotten: it was shown.
fn set(terminal: BorrowedFd<'_>, settings: &libc::termios) -> io::Result<()> {
    // SAFETY: the descriptor is open while it is borrowed, and `settings` is a whole `termios`.
    check(unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSAFLUSH, settings) }).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::fd::{FromRawFd as _, OwnedFd};

    use super::*;

    /// Both ends of a terminal that nobody sits at.
    fn terminal() -> (OwnedFd, OwnedFd) {
        let (mut ours, mut theirs) = (-1, -1);
        let nothing = std::ptr::null_mut();
        // SAFETY: both numbers are writable; without a name, settings and a size the system's are taken.
        let opened = unsafe {
            libc::openpty(&raw mut ours, &raw mut theirs, nothing, std::ptr::null_mut(), std::ptr::null_mut())
        };
        check(opened).unwrap();
        // SAFETY: the kernel has just opened both for nobody else.
        unsafe { (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) }
    }

    fn shows(terminal: &OwnedFd) -> bool {
        // SAFETY: all zeros are a valid `termios`.
        let mut settings: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open, and `settings` is writable.
        check(unsafe { libc::tcgetattr(terminal.as_raw_fd(), &raw mut settings) }).unwrap();
        settings.c_lflag & libc::ECHO != 0
    }

    #[test]
    fn a_terminal_shows_again_what_is_typed() {
        let (_ours, theirs) = terminal();
        assert!(shows(&theirs));
        let hidden = hide(&theirs).unwrap();
        assert!(!shows(&theirs));
        drop(hidden);
        assert!(shows(&theirs));
    }

    #[test]
    fn what_is_no_terminal_says_so() {
        assert!(hide(&std::fs::File::open("/dev/null").unwrap()).is_err());
    }
}
