//! A SERVER AMONG SERVICES: what a service manager, an init script and an operator ask of a process.
//!
//! ```text
//!  passed_sockets() ─► Server::listen_fd ─► Server::bind ─► PidFile · User::assume ─► Bound::start
//!                                                                                        │
//!  Notifier::ready ◄──────────────────── clients can connect ◄────────────────────────────┘
//!  Notifier::alive ◄── Pulse::beat: every worker's loop turns
//! ```
//! | name | what it is |
//! | --- | --- |
//! | [`passed_sockets`] | sockets that systemd opened: sd_listen_fds(3) |
//! | [`Notifier`] | words to systemd: sd_notify(3) |
//! | [`Pulse`] | whether every worker turns |
//! | [`PidFile`] | the process's number in a file |
//! | [`User`] | whom to become once the sockets are open |
//!
//! Nothing here starts a thread or reads a clock: the program does.

mod pid_file;
mod pulse;

pub use crate::sys::activation::{PassedSocket, passed_sockets};
pub use crate::sys::notify::Notifier;
pub use crate::sys::privileges::{User, is_root, no_new_privileges};

pub use pid_file::PidFile;
pub use pulse::Pulse;
