//! [`Notifier`]: tells a service manager how this process is: sd_notify(3), over the datagram socket that
//! `NOTIFY_SOCKET` names.
//!
//! ```text
//!  READY=1 ─► (WATCHDOG=1)* ─► STOPPING=1          STATUS=… at any time
//!     ▲          │
//!     └──────────┴─ RELOADING=1, with the time: the manager knows which of its orders is meant
//! ```

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use super::{clock, environment};

/// How long a message waits for room in the manager's queue.
const SEND_PATIENCE: Duration = Duration::from_secs(5);

/// A line to the service manager of this process.
#[derive(Debug)]
pub struct Notifier {
    socket: UnixDatagram,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// The manager that the environment names: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`. `None`
    /// without one. The variables are then gone for this process's children.
    ///
    /// # Errors
    /// The socket cannot be reached, or is named in a way that is not known.
    pub fn from_environment() -> io::Result<Option<Self>> {
        let [socket, every, pid] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"].map(environment::take);
        let Some(socket) = socket.filter(|socket| !socket.is_empty()) else { return Ok(None) };
        let own = pid.is_none_or(|pid| pid.to_str() == Some(&std::process::id().to_string()));
        let watchdog = every.filter(|_| own).and_then(|every| micros(&every));
        Ok(Some(Self { socket: connect(&socket)?, watchdog }))
    }

    /// After how long without [`Notifier::alive`] the manager gives this process up.
    pub const fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Clients can connect; `status` is shown to people, one line.
    ///
    /// # Errors
    /// Whatever send(2) reports.
    pub fn ready(&self, status: &str) -> io::Result<()> {
        self.send(&format!("READY=1\nSTATUS={}", one_line(status)))
    }

    /// An order to read the configuration again has come. [`Notifier::ready`] says that it was carried out,
    /// whatever became of it: a manager with `Type=notify-reload` waits for that.
    ///
    /// # Errors
    /// Whatever send(2) reports.
    pub fn reloading(&self, status: &str) -> io::Result<()> {
        let micros = clock::monotonic()?.as_micros();
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS={}", one_line(status)))
    }

    /// The end has begun: from now on no word waits for room in the manager's queue.
    ///
    /// # Errors
    /// Whatever send(2) reports; `WouldBlock` if there is no room.
    pub fn stopping(&self, status: &str) -> io::Result<()> {
        self.socket.set_nonblocking(true)?;
        self.send(&format!("STOPPING=1\nSTATUS={}", one_line(status)))
    }

    /// All is well.
    ///
    /// # Errors
    /// Whatever send(2) reports.
    pub fn alive(&self) -> io::Result<()> {
        self.send("WATCHDOG=1")
    }

    fn send(&self, message: &str) -> io::Result<()> {
        self.socket.send(message.as_bytes()).map(drop)
    }
}

/// `/a/path`, or `@name` of the abstract name space (Linux).
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let path = match name.as_bytes() {
        [b'/', ..] => PathBuf::from(name),
        [b'@', rest @ ..] => OsStr::from_bytes(&[b"\0", rest].concat()).into(),
        _ => {
            let text = format!("NOTIFY_SOCKET={} is neither a path nor an abstract name", name.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
    };
    let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
    socket.connect(&SockAddr::unix(path)?)?;
    // Its queue may be full for a moment; one that never reads must not hold a thread for ever.
    socket.set_write_timeout(Some(SEND_PATIENCE))?;
    Ok(socket.into())
}

fn micros(text: &OsStr) -> Option<Duration> {
    text.to_str()?.parse().ok().filter(|&micros| micros > 0).map(Duration::from_micros)
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn a_manager_hears_each_message_as_one_datagram() {
        let scratch = Scratch::new("notify");
        let path = scratch.join("socket");
        let heard = UnixDatagram::bind(&path).unwrap();
        heard.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let notifier = Notifier { socket: connect(path.as_os_str()).unwrap(), watchdog: None };
        notifier.ready("two\nlines").unwrap();
        notifier.alive().unwrap();
        notifier.stopping("draining").unwrap();
        let mut buffer = [0; 256];
        for expected in ["READY=1\nSTATUS=two lines", "WATCHDOG=1", "STOPPING=1\nSTATUS=draining"] {
            let length = heard.recv(&mut buffer).unwrap();
            assert_eq!(str::from_utf8(&buffer[..length]).unwrap(), expected);
        }
    }

    #[test]
    fn an_order_is_carried_out_after_the_moment_that_is_told() {
        let scratch = Scratch::new("notify-reload");
        let path = scratch.join("socket");
        let heard = UnixDatagram::bind(&path).unwrap();
        heard.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let notifier = Notifier { socket: connect(path.as_os_str()).unwrap(), watchdog: None };
        let before = clock::monotonic().unwrap();
        notifier.reloading("two\nlines").unwrap();
        let mut buffer = [0; 256];
        let length = heard.recv(&mut buffer).unwrap();
        let lines: Vec<&str> = str::from_utf8(&buffer[..length]).unwrap().split('\n').collect();
        assert_eq!((lines[0], lines[2], lines.len()), ("RELOADING=1", "STATUS=two lines", 3));
        let told: u64 = lines[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
        let after = clock::monotonic().unwrap();
        assert!((before.as_micros()..=after.as_micros()).contains(&told.into()), "{told}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_manager_may_have_an_abstract_name() {
        let name = format!("kolk-notify-{}", std::process::id());
        let heard = Socket::new(Domain::UNIX, Type::DGRAM, None).unwrap();
        heard.bind(&SockAddr::unix(format!("\0{name}")).unwrap()).unwrap();
        let heard = UnixDatagram::from(heard);
        heard.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let notifier = Notifier { socket: connect(format!("@{name}").as_ref()).unwrap(), watchdog: None };
        notifier.alive().unwrap();
        let mut buffer = [0; 64];
        assert_eq!(heard.recv(&mut buffer).unwrap(), 10);
    }

    #[test]
    fn times_and_names_that_make_no_sense_are_told() {
        assert_eq!(micros("30000000".as_ref()), Some(Duration::from_secs(30)));
        assert_eq!(["0", "-1", "soon", ""].map(|text| micros(text.as_ref())), [None; 4]);
        assert!(connect("vsock:2:1".as_ref()).unwrap_err().to_string().contains("NOTIFY_SOCKET=vsock"));
    }
}
