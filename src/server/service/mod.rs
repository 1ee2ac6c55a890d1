//! A SERVER AMONG SERVICES: what a service manager, an init script and an operator ask of a process.
//!
//! ```text
//!  passed_sockets() ─► Server::listen_fd ─► Server::bind ─► PidFile · User::assume ─► Bound::start
//!                                                                                        │
//!  Notifier::ready ◄──────────────────── clients can connect ◄────────────────────────────┘
//!  Notifier::alive ◄── Pulse::beat: every worker's loop turns
//!  Notifier::reloading, ready ◄── Reloads::begin: SIGHUP has come
//! ```
//! | name | what it is |
//! | --- | --- |
//! | [`passed_sockets`] | sockets that systemd opened: sd_listen_fds(3) |
//! | [`Notifier`] | words to systemd: sd_notify(3) |
//! | [`Pulse`] | whether every worker turns |
//! | [`Reloads`] | what becomes of an order to read the configuration again |
//! | [`PidFile`] | the process's number in a file |
//! | [`hang_up`], [`began`], [`program`] | SIGHUP to a process, and which one it is |
//! | [`User`] | whom to become once the sockets are open |
//!
//! Nothing here starts a thread or reads a clock: the program does.
//!
//! ```
//! use kolk::service::{Notifier, PidFile, Pulse, User, passed_sockets};
//! use kolk::{App, Request, Response, Server};
//!
//! // First of all, while there is one thread and nothing is open.
//! let notifier = Notifier::from_environment()?;
//! let mut server = Server::new(App::new().get("/", |_: &Request<'_>| Response::text("hello\n")));
//! for passed in passed_sockets()? {
//!     server = server.listen_fd(passed.try_clone()?);
//! }
//!
//! // What takes root: ports below 1024, a file in /run.
//! let bound = server.listen("127.0.0.1:0")?.bind()?;
//! let path = std::env::temp_dir().join(format!("kolk-example-{}.pid", std::process::id()));
//! let pid_file = PidFile::write(&path)?;
//! # if false {
//! User::find("www-data")?.assume()?;
//! # }
//! let running = bound.start()?;
//! if let Some(notifier) = &notifier {
//!     notifier.ready("serving")?;
//! }
//!
//! // Again and again, each time a while later: whether to tell the notifier that all is well.
//! let mut pulse = Pulse::new(running.handle());
//! let alive = pulse.beat();
//! # running.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod pid_file;
mod pulse;
pub(super) mod reloads;

pub use crate::sys::activation::{PassedSocket, passed_sockets};
pub use crate::sys::confinement::confine;
pub use crate::sys::notify::Notifier;
pub use crate::sys::privileges::{User, is_root, no_new_privileges};
pub use crate::sys::process::{began, hang_up, program};

pub use pid_file::{PidFile, process_in};
pub use pulse::Pulse;
pub use reloads::{Reloading, Reloads};
