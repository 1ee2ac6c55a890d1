//! [`Logger`]: where the library's diagnostics go: one line each, to standard error.
//!
//! ```text
//!  kolk: warn: accept paused: no file descriptors left
//! ```
//! Access logs are another thing: the library writes them itself.

use std::fmt::Write as _;

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::terminal;

/// Writes whole lines, so that lines of several threads never mix.
struct Logger;

/// Installs the logger for `quiet` or for so many `-v`.
pub(crate) fn install(quiet: bool, verbose: u8) {
    // A second installation keeps the first logger: there is none but in tests.
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(level(quiet, verbose));
    }
}

const fn level(quiet: bool, verbose: u8) -> LevelFilter {
    match (quiet, verbose) {
        (true, _) => LevelFilter::Error,
        (_, 0) => LevelFilter::Warn,
        (_, 1) => LevelFilter::Info,
        (_, 2) => LevelFilter::Debug,
        (..) => LevelFilter::Trace,
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            terminal::say(&line(record));
        }
    }

    fn flush(&self) {}
}

/// One line; a message's own line ends become spaces.
fn line(record: &Record<'_>) -> String {
    let level = match record.level() {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    let mut line = format!("kolk: {level}: ");
    let _ = write!(line, "{}", record.args());
    if record.level() >= Level::Debug {
        let _ = write!(line, " ({})", record.target());
    }
    let mut line = line.replace(['\n', '\r'], " ");
    line.push('\n');
    line
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
        let record = |level, text| {
            line(&Record::builder().level(level).target("kolk::server").args(format_args!("{text}")).build())
        };
        assert_eq!(record(Level::Warn, "out of\ndescriptors"), "kolk: warn: out of descriptors\n");
        assert_eq!(record(Level::Debug, "turn"), "kolk: debug: turn (kolk::server)\n");
    }
}
