//! The writer: takes batches off the workers, writes them, gives them back empty.
//!
//! A write that fails loses the rest of its batch, which is counted; the next batch tries again. A line
//! that was cut in its middle is completed first, so that the destination holds whole lines only; one that
//! was cut when an earlier process ended gets its end.
//! It reads no clock: the seconds in the batches are enough to complain at most once a second.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::datagrams::Lines;
use super::ring::{Batch, Home};
use super::{Destination, FACILITY};
use crate::sys::append::{append_to, ends_within_a_line};

/// How often, and after which pause, a destination that would block is asked again.
const BLOCKED_TRIES_MAX: u32 = 100;
const BLOCKED_PAUSE: Duration = Duration::from_millis(10);

/// What the writer receives.
#[derive(Debug)]
pub(super) enum Message {
    /// Lines to write, and where the batch belongs.
    Batch(Batch, Arc<Home>),
    /// Look at the orders.
    Orders,
}

/// What the writer is told beside batches. Each order is a flag, because a channel may be full.
#[derive(Debug, Default)]
pub(super) struct Orders {
    reopen: AtomicBool,
    stop: AtomicBool,
}

impl Orders {
    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// The thread's state.
pub(super) struct Writer {
    to: Box<dyn Write + Send>,
    /// The file that can be opened anew.
    path: Option<PathBuf>,
    batches: Receiver<Message>,
    orders: Arc<Orders>,
    /// The rest of a line that was cut by an error.
    torn: Vec<u8>,
    /// The second of the last complaint.
    complained: Option<u64>,
}

impl Writer {
    pub(super) fn open(to: Destination, batches: Receiver<Message>, orders: Arc<Orders>) -> io::Result<Self> {
        let (to, path): (Box<dyn Write + Send>, _) = match to {
            // Descriptors of our own: the standard library's buffer would hide which bytes were taken.
            Destination::Stdout => (Box::new(File::from(io::stdout().as_fd().try_clone_to_owned()?)), None),
            Destination::Stderr => (Box::new(File::from(io::stderr().as_fd().try_clone_to_owned()?)), None),
            Destination::File(path) => (Box::new(append_to(&path)?), Some(path)),
            Destination::Datagrams(path) => (Box::new(Lines::plain(path)?), None),
            Destination::Syslog { path, facility } => {
                (Box::new(Lines::syslog(path, facility.unwrap_or(FACILITY))?), None)
            }
            Destination::Sink(sink) => (sink, None),
        };
        let torn = path.as_deref().map_or_else(Vec::new, torn);
        Ok(Self { to, path, batches, orders, torn, complained: None })
    }

    /// Writes until it is told to stop and nothing is left, or until nobody can send any more.
    pub(super) fn run(&mut self) {
        while let Ok(message) = self.batches.recv() {
            if let Message::Batch(batch, home) = message {
                self.write(&batch, &home);
                // Fails when the worker has ended: nobody needs the batch.
                let _ = home.free.try_send(batch.emptied());
            }
            if self.orders.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            if self.orders.stop.load(Ordering::Acquire) && self.batches.is_empty() {
                break;
            }
        }
        let _ = self.to.flush();
    }

    fn write(&mut self, batch: &Batch, home: &Home) {
        let torn = std::mem::take(&mut self.torn);
        let (written, result) = match write_counted(&mut *self.to, &torn) {
            (_, Ok(())) => write_counted(&mut *self.to, &batch.bytes),
            (taken, failed) => {
                self.torn.extend_from_slice(&torn[taken..]);
                (0, failed)
            }
        };
        let result = result.and_then(|()| self.to.flush());
        let Err(error) = result else { return };
        let (before, after) = batch.bytes.split_at(written);
        let mut lost = after;
        if before.last().is_some_and(|byte| *byte != b'\n') {
            let end = memchr::memchr(b'\n', after).map_or(after.len(), |place| place + 1);
            self.torn.extend_from_slice(&after[..end]);
            lost = &after[end..];
        }
        let lines = memchr::memchr_iter(b'\n', lost).map(|_| 1_u64).sum();
        home.lost.add(lines);
        home.losses.add(lines);
        self.complain(batch.second, &error);
    }

    fn complain(&mut self, second: u64, error: &io::Error) {
        if self.complained != Some(second) {
            self.complained = Some(second);
            log::warn!("access log: lines are lost: {error}");
        }
    }

    fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match append_to(path) {
            Ok(file) => {
                self.to = Box::new(file);
                // The beginning of a line that was cut is in the other file, or in this one.
                self.torn = torn(path);
            }
            Err(error) => log::warn!("the access log stays as it was: {error}"),
        }
    }
}

/// What is missing behind the last line of the file at `path`, before another one may stand there.
fn torn(path: &Path) -> Vec<u8> {
    if ends_within_a_line(path) { b"\n".to_vec() } else { Vec::new() }
}

/// Writes `bytes`, and says how many were taken before it failed.
fn write_counted(to: &mut dyn Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut taken = 0;
    let mut blocked = 0;
    while taken < bytes.len() {
        match to.write(&bytes[taken..]) {
            Ok(0) => return (taken, Err(ErrorKind::WriteZero.into())),
            Ok(n) => (taken, blocked) = (taken + n, 0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // A pipe that is full; a terminal may be non-blocking because another process made it so.
            Err(error) if error.kind() == ErrorKind::WouldBlock && blocked < BLOCKED_TRIES_MAX => {
                blocked += 1;
                std::thread::park_timeout(BLOCKED_PAUSE);
            }
            Err(error) => return (taken, Err(error)),
        }
    }
    (taken, Ok(()))
}
