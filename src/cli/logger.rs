//! The program's own log: what it says about itself while it serves, one line for each, to standard error or
//! to where the configuration has it.
//!
//! ```text
//!  text  kolk: warn: accept paused: no file descriptors left            (in a file: behind the time)
//!  json  {"time":"2026-11-30T15:00:00.000Z","level":"warn","target":"kolk::server","message":"accept …"}
//! ```
//! Invariant: a line that cannot be written where it belongs is said on standard error, and nobody waits for
//! a reader: how many lines are missing is told when there is one again. Access logs are another thing: the
//! library writes them itself.

mod outlet;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io;
use std::os::fd::AsFd as _;
use std::panic::PanicHookInfo;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use kolk::access_log::Destination;
use log::{Level, LevelFilter, Log, Metadata, Record};
use serde_json::Value;

use self::outlet::Outlet;
use super::{clock, herald, terminal};

/// How long the end of the process waits at most for whoever reads what was said.
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);

static OUTPUT: Mutex<Output> = Mutex::new(Output { outlet: Outlet::Stderr, is_json: false });

/// Where lines go, and how they look.
struct Output {
    outlet: Outlet,
    is_json: bool,
}

/// Writes whole lines, so that lines of several threads never mix.
struct Logger;

/// Installs the logger for `quiet` or for so many `-v`.
pub(crate) fn install(quiet: bool, verbose: u8) {
    // A second installation keeps the first logger: there is none but in tests.
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(level(quiet, verbose));
    }
}

/// From now on nobody waits for whoever reads standard error and standard output, also not who panics.
///
/// # Errors
/// The system has no more threads or descriptors.
pub(crate) fn wait_for_nobody() -> io::Result<()> {
    herald::STDERR.begin("kolk-stderr", io::stderr().as_fd(), |lines| {
        loss(lines, "standard error", |outlet| matches!(outlet, Outlet::Stderr))
    })?;
    herald::STDOUT.begin("kolk-stdout", io::stdout().as_fd(), |lines| {
        loss(lines, "standard output", |outlet| matches!(outlet, Outlet::Stdout))
    })?;
    std::panic::set_hook(Box::new(say_panic));
    Ok(())
}

/// Waits for what was said to be heard, for a moment at most: the process ends.
pub(crate) fn finish() {
    herald::STDERR.finish(LAST_WORDS_MAX / 2);
    herald::STDOUT.finish(LAST_WORDS_MAX / 2);
}

/// Has all further lines there, as text or as JSON.
///
/// # Errors
/// The file cannot be opened, or nobody listens there.
pub(crate) fn direct(to: Destination, is_json: bool) -> io::Result<()> {
    let outlet = Outlet::open(to)?;
    *output() = Output { outlet, is_json };
    Ok(())
}

/// Opens the file anew, if it is one: it may have been moved away.
pub(crate) fn reopen() {
    let reopened = output().outlet.reopen();
    if let Err(error) = reopened {
        log::warn!("the log of the server stays as it was: {error}");
    }
}

/// Says something whatever the level is: to who watches standard error, and in the log where that is another.
pub(crate) fn say(level: Level, message: &str) {
    say_at_length(level, &format!("kolk: {message}\n"), message);
}

/// The same with more words, and lines, `for_people`.
pub(crate) fn say_at_length(level: Level, for_people: &str, message: &str) {
    output().say(level, for_people, message);
}

/// Whether lines of the log are JSON on standard error, where then nothing else is said.
pub(crate) fn is_json_on_stderr() -> bool {
    output().is_json_on_stderr()
}

/// Whether the log is on standard output.
pub(crate) fn is_on_stdout() -> bool {
    matches!(output().outlet, Outlet::Stdout)
}

/// Says who has panicked, and where. With `RUST_BACKTRACE=1` people see more.
fn say_panic(panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let place = panic.location().map(|place| format!(" at {place}")).unwrap_or_default();
    let payload = panic.payload();
    let why = payload.downcast_ref::<&str>().copied().or_else(|| Some(payload.downcast_ref::<String>()?));
    let why = why.unwrap_or("without a word");
    let line = format!("thread `{}` panicked{place}: {why}", thread.name().unwrap_or("without a name"));
    let trace = Backtrace::capture();
    let trace = match trace.status() {
        BacktraceStatus::Captured => format!("{trace}\n"),
        _ => String::new(),
    };
    let for_people = format!("kolk: {}\n{trace}", text(Level::Error, "kolk", &line));
    match OUTPUT.try_lock() {
        Ok(mut output) => output.say(Level::Error, &for_people, &line),
        Err(TryLockError::Poisoned(output)) => output.into_inner().say(Level::Error, &for_people, &line),
        // It may be this thread that has locked it.
        Err(TryLockError::WouldBlock) => terminal::say(&for_people),
    }
}

/// A line for `stream` that says that so many are missing there; `has_log`: whether the log is there, too.
fn loss(lines: u64, stream: &str, has_log: fn(&Outlet) -> bool) -> String {
    let were = if lines == 1 { "line was" } else { "lines were" };
    let message = format!("{lines} {were} lost here: nobody read {stream}");
    let output = output();
    match output.is_json && has_log(&output.outlet) {
        true => json(&clock::timestamp(), Level::Warn, "kolk", &message) + "\n",
        false => format!("kolk: {}\n", text(Level::Warn, "kolk", &message)),
    }
}

pub(super) const fn level(quiet: bool, verbose: u8) -> LevelFilter {
    match (quiet, verbose) {
        (true, _) => LevelFilter::Error,
        (_, 0) => LevelFilter::Warn,
        (_, 1) => LevelFilter::Info,
        (_, 2) => LevelFilter::Debug,
        (..) => LevelFilter::Trace,
    }
}

fn output() -> MutexGuard<'static, Output> {
    // A panic between two lines leaves nothing undone.
    OUTPUT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Output {
    fn is_json_on_stderr(&self) -> bool {
        matches!(self.outlet, Outlet::Stderr) && self.is_json
    }

    fn is_text_on_stderr(&self) -> bool {
        matches!(self.outlet, Outlet::Stderr) && !self.is_json
    }

    fn say(&mut self, level: Level, for_people: &str, message: &str) {
        if !self.is_json_on_stderr() {
            terminal::say(for_people);
        }
        if !self.is_text_on_stderr() {
            self.write(level, "kolk", message);
        }
    }

    fn write(&mut self, level: Level, target: &str, message: &str) {
        let time = clock::timestamp();
        let line = if self.is_json {
            json(&time, level, target, message)
        } else {
            let time = if self.outlet.wants_time() { format!("{time} ") } else { String::new() };
            format!("{time}{}{}", self.outlet.name(), text(level, target, message))
        };
        if let Err(error) = self.outlet.write(level, &line) {
            let text = text(level, target, message);
            terminal::say(&format!("kolk: {text} (the log of the server does not take it: {error})\n"));
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let message = record.args().to_string();
            output().write(record.level(), record.target(), &message);
        }
    }

    fn flush(&self) {}
}

const fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// One line without its end; a message's own line ends become spaces.
fn text(level: Level, target: &str, message: &str) -> String {
    let target = if level >= Level::Debug { format!(" ({target})") } else { String::new() };
    format!("{}: {message}{target}", name(level)).replace(['\n', '\r'], " ")
}

/// The same as JSON. RFC 8259.
fn json(time: &str, level: Level, target: &str, message: &str) -> String {
    let [target, message] = [target, message].map(Value::from);
    let level = name(level);
    format!("{{\"time\":\"{time}\",\"level\":\"{level}\",\"target\":{target},\"message\":{message}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_v_say_more_and_quiet_says_errors() {
        assert_eq!(level(true, 0), LevelFilter::Error);
        assert_eq!(level(false, 0), LevelFilter::Warn);
        assert_eq!(level(false, 1), LevelFilter::Info);
        assert_eq!(level(false, 9), LevelFilter::Trace);
    }

    #[test]
    fn one_record_is_one_line() {
        let line = |level, message| text(level, "kolk::server", message);
        assert_eq!(line(Level::Warn, "out of\ndescriptors"), "warn: out of descriptors");
        assert_eq!(line(Level::Debug, "turn"), "debug: turn (kolk::server)");
        let line = json("2026-11-30T15:00:00.000Z", Level::Error, "kolk", "a \"b\"\n\u{1b}[31m");
        assert_eq!(
            line,
            "{\"time\":\"2026-11-30T15:00:00.000Z\",\"level\":\"error\",\"target\":\"kolk\",\
             \"message\":\"a \\\"b\\\"\\n\\u001b[31m\"}"
        );
    }
}
