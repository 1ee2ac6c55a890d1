//! Standard error, for everything that the program says there: whole lines, and below them at most one
//! *status line* that is written over and over.
//!
//! Invariant: a line that is said never lands within the status line, nor leaves half of it behind.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// To the line's start, and nothing behind it.
const ERASE: &str = "\r\x1b[K";
/// A status line that is longer than the terminal is wide is cut, not wrapped: it could not be erased.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

static SCREEN: Mutex<Screen> = Mutex::new(Screen { status: String::new() });

/// What stands below all lines.
#[derive(Debug)]
struct Screen {
    status: String,
}

/// Writes `text`, whole lines. Where standard error is gone there is nobody to tell.
pub(crate) fn say(text: &str) {
    let _ = screen().say(&mut io::stderr(), text);
}

/// Shows `status` in place of the status line before it; nothing: erases that.
pub(crate) fn show(status: &str) {
    let _ = screen().show(&mut io::stderr(), status);
}

fn screen() -> MutexGuard<'static, Screen> {
    // A panic between two writes leaves a line that the next one erases.
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Screen {
    fn say(&self, to: &mut impl Write, text: &str) -> io::Result<()> {
        if self.status.is_empty() {
            return to.write_all(text.as_bytes());
        }
        // One write, so that lines of other processes do not come between.
        to.write_all(format!("{ERASE}{text}{NO_WRAP}{}{WRAP}", self.status).as_bytes())
    }

    fn show(&mut self, to: &mut impl Write, status: &str) -> io::Result<()> {
        let erase = if self.status.is_empty() { "" } else { ERASE };
        status.clone_into(&mut self.status);
        match status {
            "" => to.write_all(erase.as_bytes()),
            status => to.write_all(format!("{erase}{NO_WRAP}{status}{WRAP}").as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_above_the_status_line() {
        let (mut screen, mut seen) = (Screen { status: String::new() }, Vec::new());
        screen.say(&mut seen, "before\n").unwrap();
        screen.show(&mut seen, "1 connection").unwrap();
        screen.say(&mut seen, "kolk: warn: x\n").unwrap();
        screen.show(&mut seen, "2 connections").unwrap();
        screen.show(&mut seen, "").unwrap();
        screen.say(&mut seen, "after\n").unwrap();
        let plain = String::from_utf8(seen).unwrap().replace(NO_WRAP, "").replace(WRAP, "");
        assert_eq!(
            plain.replace(ERASE, "<"),
            "before\n1 connection<kolk: warn: x\n1 connection<2 connections<after\n"
        );
    }
}
