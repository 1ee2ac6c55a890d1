//! [`Herald`]: says on a stream, by a thread of its own, what others want said there, so that nobody waits
//! for whoever reads it.
//!
//! ```text
//!  workers, signals ──► words, up to WAITING_BYTES_MAX ──► kolk-stderr ──► a pipe that nobody reads
//!                        └─ more are lost, and counted ──► once all that waits is said: how many lines
//! ```
//! Before it has begun, and so in every command that serves nothing, whoever says something writes it.
//! Invariant: what is said comes in its order, whole, and where something is missing it is told that it is.
//! Knows no form of a line.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::BorrowedFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// As soon as so many bytes wait, what comes is lost.
const WAITING_BYTES_MAX: usize = 256 * 1024;
/// A stream that another process has made non-blocking is asked again after such a pause.
const BLOCKED_PAUSE: Duration = Duration::from_millis(100);

/// All that is said on standard error.
pub(super) static STDERR: Herald = Herald::new();
/// All that a server says on standard output.
pub(super) static STDOUT: Herald = Herald::new();

/// Words for one stream.
pub(super) struct Herald {
    words: Mutex<Words>,
    /// There are words, or there are none any more.
    changed: Condvar,
}

/// What is to be said.
struct Words {
    /// A thread says it.
    has_begun: bool,
    waiting: VecDeque<Word>,
    /// Of all that waits, and of what is being said.
    bytes: usize,
    is_speaking: bool,
    /// Lines that found no room since it was last told.
    lost: u64,
}

struct Word {
    text: String,
    /// One that comes later says all that it says.
    passes: bool,
}

/// What there is to do.
enum Task {
    Say(String),
    /// So many lines are missing here.
    TellLoss(u64),
}

/// Says `text`, whole lines, on standard output. Where that is gone there is nobody to tell.
pub(super) fn print(text: String) {
    STDOUT.say(text, |text| {
        let mut stdout = io::stdout();
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    });
}

impl Herald {
    pub(super) const fn new() -> Self {
        let words =
            Words { has_begun: false, waiting: VecDeque::new(), bytes: 0, is_speaking: false, lost: 0 };
        Self { words: Mutex::new(words), changed: Condvar::new() }
    }

    /// From now on a thread called `name` writes to `stream`; `loss` tells that so many lines are missing.
    ///
    /// # Errors
    /// The system has no more threads or descriptors.
    pub(super) fn begin(
        &'static self,
        name: &str,
        stream: BorrowedFd<'_>,
        loss: fn(u64) -> String,
    ) -> io::Result<()> {
        // One of its own: who is stuck in writing holds no lock of the standard library.
        let mut stream = File::from(stream.try_clone_to_owned()?);
        let speak = move || {
            loop {
                let (text, bytes) = match self.next() {
                    Task::Say(text) => {
                        let bytes = text.len();
                        (text, bytes)
                    }
                    Task::TellLoss(lines) => (loss(lines), 0),
                };
                write(&mut stream, text.as_bytes());
                self.was_said(bytes);
            }
        };
        self.words().has_begun = true;
        let begun = thread::Builder::new().name(name.to_owned()).spawn(speak);
        begun.map(drop).inspect_err(|_| self.words().has_begun = false)
    }

    /// Has `text`, whole lines, said; `or` writes it where there is no thread that does.
    pub(super) fn say(&self, text: String, or: impl FnOnce(&str)) {
        self.push(Word { text, passes: false }, or);
    }

    /// The same for what nobody misses who hears what is shown next.
    pub(super) fn show(&self, text: String, or: impl FnOnce(&str)) {
        self.push(Word { text, passes: true }, or);
    }

    /// Waits until all is said, but no longer than that.
    pub(super) fn finish(&self, patience: Duration) {
        let is_busy = |words: &mut Words| {
            words.has_begun && (words.is_speaking || words.lost > 0 || !words.waiting.is_empty())
        };
        drop(self.changed.wait_timeout_while(self.words(), patience, is_busy));
    }

    fn push(&self, word: Word, or: impl FnOnce(&str)) {
        let mut words = self.words();
        if !words.has_begun {
            return or(&word.text);
        }
        words.push(word);
        self.changed.notify_all();
    }

    fn next(&self) -> Task {
        let is_idle = |words: &mut Words| words.waiting.is_empty() && words.lost == 0;
        let mut words =
            self.changed.wait_while(self.words(), is_idle).unwrap_or_else(PoisonError::into_inner);
        words.is_speaking = true;
        match words.waiting.pop_front() {
            Some(word) => Task::Say(word.text),
            None => Task::TellLoss(std::mem::take(&mut words.lost)),
        }
    }

    fn was_said(&self, bytes: usize) {
        let mut words = self.words();
        words.bytes -= bytes;
        words.is_speaking = false;
        self.changed.notify_all();
    }

    fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Words {
    fn push(&mut self, word: Word) {
        if let Some(last) = self.waiting.back_mut().filter(|last| last.passes && word.passes) {
            self.bytes = self.bytes - last.text.len() + word.text.len();
            *last = word;
        } else if self.lost == 0 && self.bytes < WAITING_BYTES_MAX {
            self.bytes += word.text.len();
            self.waiting.push_back(word);
        } else if !word.passes {
            // Nothing that comes behind a gap is said before it is told.
            self.lost += word.text.lines().count() as u64;
        }
    }
}

/// Where the stream is gone there is nobody to tell.
fn write(stream: &mut File, mut text: &[u8]) {
    while !text.is_empty() {
        match stream.write(text) {
            Ok(0) => return,
            Ok(written) => text = &text[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::park_timeout(BLOCKED_PAUSE),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::os::fd::AsFd;

    use super::*;

    fn loss(lines: u64) -> String {
        format!("lost: {lines}\n")
    }

    fn begun(stream: &impl AsFd) -> &'static Herald {
        let herald: &'static Herald = Box::leak(Box::new(Herald::new()));
        herald.begin("kolk-test", stream.as_fd(), loss).unwrap();
        herald
    }

    fn nobody(text: &str) {
        panic!("{text:?} is not for whoever says it");
    }

    #[test]
    fn before_it_begins_whoever_says_something_writes_it() {
        let herald = Herald::new();
        let mut said = String::new();
        herald.say("one\n".to_owned(), |text| said += text);
        herald.show("two".to_owned(), |text| said += text);
        herald.finish(Duration::from_secs(10));
        assert_eq!(said, "one\ntwo");
    }

    #[test]
    fn nobody_waits_for_a_reader_and_a_gap_is_told_where_it_is() {
        let (reader, writer) = io::pipe().unwrap();
        let herald = begun(&writer);
        let line = format!("{}\n", "x".repeat(999));
        let said = 2 + 2 * WAITING_BYTES_MAX / line.len();
        for number in 0..said {
            herald.say(format!("{number} {line}"), nobody);
        }
        herald.finish(Duration::from_millis(1));
        let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
        let mut next = || lines.next().unwrap();
        let mut heard = 0;
        let gap = loop {
            let line = next();
            let Some((number, _)) = line.split_once(" x") else { break line };
            assert_eq!(number, heard.to_string());
            heard += 1;
        };
        assert!((WAITING_BYTES_MAX / 1_010..said).contains(&heard), "{heard}");
        assert_eq!(gap, format!("lost: {}", said - heard));
        herald.say("more\n".to_owned(), nobody);
        assert_eq!(next(), "more");
        herald.finish(Duration::from_secs(10));
    }

    #[test]
    fn of_what_is_shown_while_nobody_reads_the_last_is_kept() {
        let herald = Herald::new();
        let mut words = herald.words();
        let word = |text: &str, passes| Word { text: text.to_owned(), passes };
        for (text, passes) in [("a\n", false), ("1", true), ("22", true), ("b\n", false), ("3", true)] {
            words.push(word(text, passes));
        }
        let texts: Vec<_> = words.waiting.iter().map(|word| &*word.text).collect();
        assert_eq!((texts, words.bytes), (vec!["a\n", "22", "b\n", "3"], 7));
        words.bytes = WAITING_BYTES_MAX;
        words.push(word("c\nd\n", false));
        words.push(word("e\n", false));
        assert_eq!((words.lost, words.waiting.len()), (3, 4));
        words.bytes = 0;
        words.push(word("f\n", false));
        assert_eq!((words.lost, words.waiting.len()), (4, 4), "the gap was not told yet");
    }
}
