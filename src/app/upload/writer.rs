//! [`Writer`]: the thread that writes uploads; and [`Feed`]: what gives it the bytes of one.
//!
//! ```text
//!  loop's thread                                     the writer's thread
//!  Feed ── Begin, File, Bytes …, Finish(Reply) ────► temporary files ── complete ──► renamed, answered
//!    │  ◄─ Progress: how much waits, what failed ──┘        └─ failed, aborted ────► removed
//!    └─ dropped: Abort
//! ```
//! One thread, not the pool: files are opened, written and closed on it alone, whose descriptor table is the
//! process's, and a disk that hangs holds up uploads and nothing else. Bounded: so many uploads at a time,
//! each with so many bytes that wait. Invariant: a temporary file has an entry in `Work` until it is renamed
//! or removed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::process;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::http::{HeaderValue, StatusCode, header};
use crossbeam_channel::{Receiver, Sender};

use super::name::Name;
use crate::app::handler::Take;
use crate::app::reply::{Reply, Wakeup};
use crate::http::{Reason, Response};
use crate::sys::names::{Named, create_below, named_below, remove_below, rename_below};

/// Uploads at a time.
const UPLOADS_MAX: usize = 64;
/// What may wait to be written of one upload, in bytes; then its client has to.
const WAITING_BYTES_MAX: usize = 512 * 1024;
/// A client that waits goes on when no more than this waits, in bytes.
const WAITING_BYTES_LOW: usize = 128 * 1024;
/// What a piece costs besides its bytes: a client that drips must not fill memory with little pieces.
const PIECE_COST_BYTES: usize = 128;
/// How many names are tried for a temporary file.
const TEMPORARY_TRIES: u32 = 100;

/// Opens a folder, given as names parted by `/`, below the root of uploads.
pub(super) type OpenFolder = Box<dyn Fn(&str) -> io::Result<File> + Send>;

/// How an upload ends if nothing fails.
#[derive(Debug)]
pub(super) enum Ending {
    /// One file was put at its place.
    Put { location: HeaderValue, condition: Condition },
    /// The files of a form were put into their folder.
    Form { location: HeaderValue },
}

/// What must be so before a file is put at its place. RFC 9110 §13.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Always,
    /// `If-None-Match: *`
    IfAbsent,
    /// `If-Match: *`
    IfPresent,
}

/// Why an upload ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    NoFolder,
    Forbidden,
    Full,
    Precondition,
    IsFolder,
    Unwritable,
}

enum Order {
    Begin { upload: u64, folder: String, progress: Arc<Progress> },
    File { upload: u64, name: Name },
    Bytes { upload: u64, bytes: Box<[u8]> },
    Finish { upload: u64, reply: Reply, ending: Ending },
    Abort { upload: u64 },
    Stop,
}

/// The way to the writer.
pub(super) struct Desk {
    orders: Sender<Order>,
    open: Arc<AtomicUsize>,
    next: AtomicU64,
}

/// The bytes of one upload on their way to the disk.
pub(super) struct Feed {
    upload: u64,
    orders: Sender<Order>,
    progress: Arc<Progress>,
    open: Arc<AtomicUsize>,
    finished: bool,
}

/// What both sides know of an upload.
struct Progress {
    state: Mutex<State>,
    wakeup: Wakeup,
}

#[derive(Default)]
struct State {
    waiting_bytes: usize,
    /// The client waits.
    paused: bool,
    failure: Option<Failure>,
}

impl Desk {
    /// The way to `writer`, and the writer.
    pub(super) fn new(open: OpenFolder) -> (Self, Writer) {
        let (orders, inbox) = crossbeam_channel::unbounded();
        let desk = Self { orders, open: Arc::default(), next: AtomicU64::new(0) };
        (desk, Writer { inbox, open, create: create_below, works: HashMap::new(), temporaries: 0 })
    }

    /// Begins an upload into `folder`; `None` if there are too many.
    pub(super) fn begin(&self, folder: String, wakeup: Wakeup) -> Option<Feed> {
        let open = self.open.fetch_update(Relaxed, Relaxed, |open| (open < UPLOADS_MAX).then_some(open + 1));
        open.ok()?;
        let feed = Feed {
            upload: self.next.fetch_add(1, Relaxed),
            orders: self.orders.clone(),
            progress: Arc::new(Progress { state: Mutex::default(), wakeup }),
            open: Arc::clone(&self.open),
            finished: false,
        };
        feed.order(Order::Begin { upload: feed.upload, folder, progress: Arc::clone(&feed.progress) });
        Some(feed)
    }

    /// Has the writer end when it has done what was ordered so far.
    pub(super) fn stop(&self) {
        let _stopped_already = self.orders.send(Order::Stop);
    }
}

impl Feed {
    /// What follows belongs to the file `name`.
    pub(super) fn file(&self, name: Name) {
        self.order(Order::File { upload: self.upload, name });
    }

    /// The next bytes of the file.
    pub(super) fn write(&self, bytes: &[u8]) {
        self.progress.lock().waiting_bytes += bytes.len() + PIECE_COST_BYTES;
        self.order(Order::Bytes { upload: self.upload, bytes: bytes.into() });
    }

    /// What the client is told after some bytes.
    pub(super) fn take(&self) -> Take {
        let mut state = self.progress.lock();
        match state.failure {
            Some(failure) => Take::Answer(Box::new(failure.answer())),
            None if state.waiting_bytes > WAITING_BYTES_MAX => {
                state.paused = true;
                Take::Wait
            }
            None => Take::More,
        }
    }

    /// All was given: `reply` is answered when it is in its place.
    pub(super) fn finish(mut self, reply: Reply, ending: Ending) {
        self.finished = true;
        self.order(Order::Finish { upload: self.upload, reply, ending });
    }

    fn order(&self, order: Order) {
        // A writer that has ended: a reply is dropped with its order and says so.
        let _ended = self.orders.send(order);
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Relaxed);
        if !self.finished {
            self.order(Order::Abort { upload: self.upload });
        }
    }
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many bytes wait no longer.
    fn written(&self, bytes: usize) {
        let mut state = self.lock();
        state.waiting_bytes = state.waiting_bytes.saturating_sub(bytes + PIECE_COST_BYTES);
        let goes_on = state.paused && state.waiting_bytes <= WAITING_BYTES_LOW;
        self.wake_if(goes_on, state);
    }

    fn fail(&self, failure: Failure) {
        let mut state = self.lock();
        state.failure.get_or_insert(failure);
        let paused = state.paused;
        self.wake_if(paused, state);
    }

    fn wake_if(&self, wakes: bool, mut state: MutexGuard<'_, State>) {
        if wakes {
            state.paused = false;
            drop(state);
            self.wakeup.wake();
        }
    }
}

/// Writes what it is ordered to, until it is told to stop.
pub(super) struct Writer {
    inbox: Receiver<Order>,
    open: OpenFolder,
    create: fn(BorrowedFd<'_>, &str) -> io::Result<File>,
    works: HashMap<u64, Work>,
    /// Temporary names used so far.
    temporaries: u64,
}

/// An upload on the writer's side.
struct Work {
    progress: Arc<Progress>,
    folder: Option<File>,
    /// The files so far; the last is being written.
    parts: Vec<Part>,
    /// The last of the parts.
    current: Option<File>,
}

/// A temporary file, and what it will be called.
struct Part {
    temporary: String,
    name: Name,
}

impl Writer {
    /// Has files made by `create`.
    #[cfg(test)]
    pub(super) fn set_create(&mut self, create: fn(BorrowedFd<'_>, &str) -> io::Result<File>) {
        self.create = create;
    }

    pub(super) fn run(mut self) {
        while let Ok(order) = self.inbox.recv() {
            match order {
                Order::Begin { upload, folder, progress } => self.begin(upload, &folder, progress),
                Order::File { upload, name } => self.attempt(upload, |writer, work| writer.file(work, name)),
                Order::Bytes { upload, bytes } => {
                    self.attempt(upload, |_, work| match &mut work.current {
                        Some(file) => file.write_all(&bytes).map_err(Failure::of),
                        None => Ok(()),
                    });
                    if let Some(work) = self.works.get(&upload) {
                        work.progress.written(bytes.len());
                    }
                }
                Order::Finish { upload, reply, ending } => self.finish(upload, reply, ending),
                Order::Abort { upload } => drop(self.works.remove(&upload)),
                Order::Stop => return,
            }
        }
    }

    fn begin(&mut self, upload: u64, folder: &str, progress: Arc<Progress>) {
        let work = Work { progress, folder: None, parts: Vec::new(), current: None };
        self.works.insert(upload, work);
        self.attempt(upload, |writer, work| {
            let folder = (writer.open)(folder).map_err(|error| match error.kind() {
                io::ErrorKind::PermissionDenied => Failure::Forbidden,
                _ => Failure::NoFolder,
            })?;
            if !folder.metadata().map_err(Failure::of)?.is_dir() {
                return Err(Failure::NoFolder);
            }
            work.folder = Some(folder);
            Ok(())
        });
    }

    /// Does something for an upload. One that has failed leaves nothing behind but its failure.
    fn attempt(&mut self, upload: u64, act: impl FnOnce(&mut Self, &mut Work) -> Result<(), Failure>) {
        let Some(mut work) = self.works.remove(&upload) else { return };
        if work.failure().is_none()
            && let Err(failure) = act(self, &mut work)
        {
            work.clear();
            work.progress.fail(failure);
        }
        self.works.insert(upload, work);
    }

    fn file(&mut self, work: &mut Work, name: Name) -> Result<(), Failure> {
        let folder = work.folder.as_ref().ok_or(Failure::NoFolder)?;
        for _ in 0..TEMPORARY_TRIES {
            self.temporaries += 1;
            let temporary = format!(".kolk-upload-{}-{}", process::id(), self.temporaries);
            match (self.create)(folder.as_fd(), &temporary) {
                // One that an earlier process of this number left behind.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Failure::of(error)),
                Ok(file) => {
                    work.current = Some(file);
                    work.parts.push(Part { temporary, name });
                    return Ok(());
                }
            }
        }
        Err(Failure::Unwritable)
    }

    fn finish(&mut self, upload: u64, reply: Reply, ending: Ending) {
        let Some(mut work) = self.works.remove(&upload) else { return };
        let done = match work.failure() {
            Some(failure) => Err(failure),
            None => work.settle(ending),
        };
        // What is left of it is removed before anybody hears of it.
        drop(work);
        reply.send(done.unwrap_or_else(Failure::answer));
    }
}

impl Work {
    fn failure(&self) -> Option<Failure> {
        self.progress.lock().failure
    }

    /// Gives every file its name.
    fn settle(&mut self, ending: Ending) -> Result<Response, Failure> {
        self.current = None;
        let Some(folder) = &self.folder else { return Err(Failure::NoFolder) };
        let folder = folder.as_fd();
        let mut replaced = false;
        for part in &self.parts {
            let named = named_below(folder, part.name.as_str()).map_err(Failure::of)?;
            match (named, &ending) {
                (Named::Folder, _) => return Err(Failure::IsFolder),
                (Named::File, Ending::Put { condition: Condition::IfAbsent, .. })
                | (Named::Nothing, Ending::Put { condition: Condition::IfPresent, .. }) => {
                    return Err(Failure::Precondition);
                }
                (named, _) => replaced = named == Named::File,
            }
        }
        while let Some(part) = self.parts.first() {
            rename_below(folder, &part.temporary, part.name.as_str()).map_err(Failure::of)?;
            self.parts.remove(0);
        }
        Ok(match ending {
            Ending::Put { .. } if replaced => Response::new(StatusCode::NO_CONTENT),
            Ending::Put { location, .. } => Response::text("created\n")
                .with_status(StatusCode::CREATED)
                .with_header(header::LOCATION, location),
            Ending::Form { location } => Response::redirect(StatusCode::SEE_OTHER, &location),
        })
    }

    /// Removes what has no name yet.
    fn clear(&mut self) {
        self.current = None;
        let Some(folder) = &self.folder else { return };
        for part in self.parts.drain(..) {
            if let Err(error) = remove_below(folder.as_fd(), &part.temporary) {
                log::warn!("the unfinished upload {} stays: {error}", part.temporary);
            }
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Failure {
    fn of(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Forbidden,
            io::ErrorKind::IsADirectory => Self::IsFolder,
            _ => {
                log::error!("an upload cannot be written: {error}");
                Self::Unwritable
            }
        }
    }

    pub(super) fn answer(self) -> Response {
        match self {
            Self::NoFolder => Response::refusal(Reason::NotFound),
            Self::Forbidden => (StatusCode::FORBIDDEN, "nothing may be written here\n").into(),
            Self::Full => Response::refusal(Reason::StorageFull),
            Self::Precondition => Response::refusal(Reason::Precondition),
            Self::IsFolder => (StatusCode::CONFLICT, "there is a folder of this name\n").into(),
            Self::Unwritable => Response::refusal(Reason::Unwritable),
        }
    }
}
