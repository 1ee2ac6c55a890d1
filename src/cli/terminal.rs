//! Standard error, for everything that the program says there: whole lines, and below them at most one
//! *status line* that is written over and over.
//!
//! Invariant: a line that is said never lands within the status line, nor leaves half of it behind; and while
//! a server runs, nobody waits for a reader: see [`super::herald`].

use std::io::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::herald::STDERR;

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
    let screen = screen();
    STDERR.say(screen.said(text), write);
}

/// Shows `status` in place of the status line before it; nothing: erases that.
pub(crate) fn show(status: &str) {
    let mut screen = screen();
    STDERR.show(screen.shown(status), write);
}

fn write(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

fn screen() -> MutexGuard<'static, Screen> {
    // A panic between two writes leaves a line that the next one erases.
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Screen {
    /// What is written to say `text`: at once, so that lines of other processes do not come between.
    fn said(&self, text: &str) -> String {
        match &*self.status {
            "" => text.to_owned(),
            status => format!("{ERASE}{text}{NO_WRAP}{status}{WRAP}"),
        }
    }

    /// The same to show `status`.
    fn shown(&mut self, status: &str) -> String {
        let erase = if self.status.is_empty() { "" } else { ERASE };
        status.clone_into(&mut self.status);
        match status {
            "" => erase.to_owned(),
            status => format!("{erase}{NO_WRAP}{status}{WRAP}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_above_the_status_line() {
        let mut screen = Screen { status: String::new() };
        let mut seen = screen.said("before\n");
        seen += &screen.shown("1 connection");
        seen += &screen.said("kolk: warn: x\n");
        seen += &screen.shown("2 connections");
        seen += &screen.shown("");
        seen += &screen.said("after\n");
        let plain = seen.replace(NO_WRAP, "").replace(WRAP, "");
        assert_eq!(
            plain.replace(ERASE, "<"),
            "before\n1 connection<kolk: warn: x\n1 connection<2 connections<after\n"
        );
    }
}
