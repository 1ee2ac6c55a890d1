//! A server that becomes another one while it runs: what it answers, with which numbers, and where it
//! listens.
//!
//! ```text
//!  Handle ─► what is new is opened ─┬─ all of it ─► the workers are told ─► what is given up: no newcomers,
//!                                   │               whoever is in the queue, closed
//!                                   └─ not all ───► nothing has happened
//! ```
//! One change at a time. Connections know nothing of it: they live on where they came from. Here is
//! whoever orders; what is done with a listener, and when, `ears` knows.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::net::tls::Tls;
use crate::net::{Leaving, ListenAddr};

use super::access_log::LogSet;
use super::bound::nobody_at_https;
use super::doors::{Defaults, Doors, ListenOptions, Place, Renewal, Wanted, exclude_each_other};
use super::running::Handle;
use super::worker::{now, ring_all};
use super::{Error, Result, Server};

/// Why nothing is opened or given up.
const PRIVATE_DESCRIPTORS: &str = "the listeners: each worker has a descriptor table of its own \
    (private_descriptors), in which a socket is not that is opened now";
const ENDING: &str = "the listeners: the server is about to end";
/// So long is waited for a socket to be closed that was given up just before. Workers that turn take half
/// a second.
const LEAVING_MAX: Duration = Duration::from_secs(3);
/// How often that is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// Why a server stays what it is.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// What cannot be had.
    pub(crate) what: Option<Refused>,
    pub(crate) error: Error,
}

/// What cannot be had: an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// That with this number, in the order in which they were said.
    Listener(usize),
    /// That where visitors are sent to https.
    Redirect,
}

impl Handle {
    /// Where the server listens now, with the ports that the system chose; nowhere, once it is ending.
    pub fn addrs(&self) -> Vec<ListenAddr> {
        self.control.doors().map(|doors| doors.addresses()).unwrap_or_default()
    }

    /// Where visitors are sent to https now, with the port that the system chose; nothing, where they are not
    /// sent there.
    pub fn redirect_addr(&self) -> Option<ListenAddr> {
        self.control.doors()?.redirect().cloned()
    }

    /// The certificates of new connections, if any are encrypted.
    #[cfg(feature = "tls")]
    pub fn identity(&self) -> Option<Tls> {
        self.control.tls()
    }

    /// Listens on `address`, too, as [`Server::listen`] does before the start: each worker from its next
    /// turn on. Where it is, with the port that the system chose.
    ///
    /// Where the same port was given up within the last second this waits until it is free: a worker that
    /// calls it would wait for itself.
    ///
    /// ```
    /// use kolk::{App, Request, Response, Server};
    ///
    /// let app = App::new().get("/", |_: &Request<'_>| Response::text("hello\n"));
    /// let server = Server::new(app).listen("127.0.0.1:0")?.start()?;
    /// let handle = server.handle();
    /// let added = handle.listen("127.0.0.1:0")?;
    /// assert_eq!(handle.addrs(), [server.addrs()[0].clone(), added.clone()]);
    /// assert!(handle.leave(&added)?);
    /// assert_eq!(handle.addrs(), server.addrs());
    /// # server.stop();
    /// # Ok::<(), kolk::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Address`] if it cannot be read, [`Error::Listen`] if it cannot be had: also a port below
    /// 1024 for a process that is not root any more, and a descriptor by its number, which may be another
    /// one than at the start. [`Error::Fixed`] with [`private_descriptors`](Server::private_descriptors),
    /// and for a server that is ending.
    pub fn listen(&self, address: &str) -> Result<ListenAddr> {
        self.listen_with(address, ListenOptions::default())
    }

    /// Listens on `address`, too, in its own way.
    ///
    /// # Errors
    /// As [`Handle::listen`].
    pub fn listen_with(&self, address: &str, options: ListenOptions) -> Result<ListenAddr> {
        let address: ListenAddr = address.parse()?;
        let place = Place::Address(address.clone());
        let with = |doors: &Doors| {
            let mut wanted = doors.all();
            wanted.push(Wanted::New(place, options));
            wanted
        };
        let renewal = self.move_to(self.control.tls(), with, |_| Ok(())).map_err(|refusal| refusal.error)?;
        Ok(renewal.opened.first().map_or(address, |listener| listener.local_addr().clone()))
    }

    /// Gives up the listener at `address`, as it was asked for or as [`Handle::addrs`] tells it; whether
    /// there is one.
    ///
    /// Nobody comes in any more, but who has connected already is served: who is in the kernel's queue is
    /// let in, and who was about to shake hands has half a second. Then the socket is closed. Who connects
    /// within that half second is refused at its end (on Linux; elsewhere such are let in). Connections
    /// that came from there live on. The file of a Unix socket is removed; a socket that somebody else has
    /// opened is left to them as it is.
    ///
    /// Whoever is [sent to https](Server::redirect_to_https) is sent to the next encrypted listener from then
    /// on. If there is none any more, they are answered with 503, `route.nobody_at_https`, and not sent to
    /// where nobody is, which clients would keep in mind: until an encrypted one is there again, or their
    /// own listener, too, is given up, which is done by its address as with any other.
    ///
    /// # Errors
    /// [`Error::Fixed`], as [`Handle::listen`].
    pub fn leave(&self, address: &ListenAddr) -> Result<bool> {
        let mut is_known = false;
        let without = |doors: &Doors| match doors.all_but(address) {
            Some(wanted) => {
                is_known = true;
                wanted
            }
            None => doors.all(),
        };
        self.move_to(self.control.tls(), without, |_| Ok(())).map_err(|refusal| refusal.error)?;
        Ok(is_known)
    }

    /// Has the server be what `server` says from now on: its app and its numbers, as
    /// [`Handle::replace_with`]; where it listens, in which ways, and with which certificates; and whom it
    /// sends to https. All of it or nothing. The names of the fields of its configuration that differ and
    /// stay as they were are given back. Its admin address is not looked at; its access logs are where both
    /// are [those of a file](Handle::logs_follow_a_file), and of its flight recorder what that leaves out.
    ///
    /// Listeners that were there before stay untouched, as far as they are asked for again with the
    /// address that was said, or with the one that [`Handle::addrs`] tells: other [options](ListenOptions)
    /// and other certificates count for connections that are accepted from now on. So does it, if visitors
    /// were sent to https there and are not any more, or the other way round: the socket is the same, and
    /// whoever is in its queue is answered as those who come later. What is new is opened, what is missing is
    /// given up, see [`Handle::listen`] and [`Handle::leave`]. A `server` that listens nowhere says nothing
    /// of that: then all of them stay, but for the one where visitors are sent to https.
    ///
    /// ```
    /// use kolk::{App, Request, Response, Server};
    ///
    /// let says = |text| App::new().get("/", move |_: &Request<'_>| Response::text(text));
    /// let server = Server::new(says("one\n")).listen("127.0.0.1:0")?.start()?;
    /// let handle = server.handle();
    /// handle.renew(Server::new(says("two\n")).listen("127.0.0.1:0")?.listen("127.0.0.1:0")?)?;
    /// assert_eq!(handle.addrs().len(), 2);
    /// assert_eq!(handle.addrs()[0], server.addrs()[0]);
    /// # server.stop();
    /// # Ok::<(), kolk::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Handle::listen`], for the first address that cannot be had; also where visitors are to be sent to
    /// https and none of the listeners is encrypted.
    pub fn renew(&self, server: Server) -> Result<Vec<&'static str>> {
        self.renew_or_refuse(server).map_err(|refusal| refusal.error)
    }

    /// The same, with what cannot be had.
    pub(crate) fn renew_or_refuse(
        &self,
        mut server: Server,
    ) -> std::result::Result<Vec<&'static str>, Refusal> {
        let (logs, recorder) = (std::mem::take(&mut server.access_logs), server.recorder.take());
        let logs = match server.logs_follow && self.logs_follow_a_file() {
            true => Some(self.logs.open(logs)?),
            false => None,
        };
        let stay = self.renew_in(server, logs.clone())?;
        logs.iter().for_each(|logs| self.logs.write_in(logs));
        recorder.iter().for_each(|recorder| self.leave_out_as(recorder));
        Ok(stay)
    }

    /// The same, but for logs and recorder: requests are written down in `logs`, if they are given.
    fn renew_in(
        &self,
        server: Server,
        logs: Option<Arc<LogSet>>,
    ) -> std::result::Result<Vec<&'static str>, Refusal> {
        let Server { app, config, mut places, tls, redirect, .. } = server;
        let (own, to_https) = (places.len(), redirect.is_some());
        let redirect = redirect.map(|(address, options)| (Place::Address(address), options));
        let wanted = |doors: &Doors| {
            if places.is_empty() {
                return doors.all_and(redirect);
            }
            places.extend(redirect);
            doors.among(places)
        };
        let (mut stay, encrypted) = (Vec::new(), tls.clone());
        let answer = |doors: &Doors| -> std::result::Result<(), Refusal> {
            if doors.send_to_nobody() {
                let error = nobody_at_https(encrypted.as_ref());
                return Err(Refusal { what: Some(Refused::Redirect), error });
            }
            self.control.encrypt(encrypted);
            stay = self.take_over(app, config, logs, to_https);
            Ok(())
        };
        let moved = self.move_to(tls, wanted, answer);
        moved.map_err(|refusal| match refusal.what {
            // It comes after those that were listed.
            Some(Refused::Listener(number)) if number >= own => {
                Refusal { what: Some(Refused::Redirect), ..refusal }
            }
            _ => refusal,
        })?;
        Ok(stay)
    }

    /// Has the workers listen where `wanted` says, with `tls` where that is encrypted. What `first` does,
    /// which learns where that is, comes before: when nothing else can fail any more.
    fn move_to(
        &self,
        tls: Option<Tls>,
        wanted: impl FnOnce(&Doors) -> Vec<Wanted>,
        first: impl FnOnce(&Doors) -> std::result::Result<(), Refusal>,
    ) -> std::result::Result<Renewal, Refusal> {
        let edition = self.control.edition();
        if edition.config.private_descriptors {
            return Err(Error::Fixed(PRIVATE_DESCRIPTORS).into());
        }
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        let doors = self.control.doors().filter(|_| !self.is_ending());
        let doors = doors.ok_or(Error::Fixed(ENDING))?;
        let wanted = wanted(&doors);
        wait_for(&leaving, &wanted);
        let defaults = Defaults { tls: tls.as_ref(), backlog: edition.config.backlog };
        let renewal = doors.renewed(wanted, defaults);
        let told = |(number, error)| Refusal { what: Some(Refused::Listener(number)), error };
        let renewal = renewal.map_err(told)?;
        first(renewal.doors.as_ref().unwrap_or(&doors))?;
        if let Some(doors) = &renewal.doors {
            self.control.move_to(doors);
            if doors.send_to_nobody() {
                log::warn!(
                    "no listener is encrypted any more: who is to be sent to https is answered with 503"
                );
            }
        }
        ring_all(&self.bells);
        leaving.retain(|former| !former.is_over());
        leaving.extend(renewal.settle());
        Ok(renewal)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { what: None, error }
    }
}

/// Gives those the time to be closed that are in the way of what is wanted.
fn wait_for(leaving: &[Leaving], wanted: &[Wanted]) {
    let is_in_the_way = |former: &Leaving| {
        let is_wanted = |wanted: &Wanted| match wanted {
            Wanted::New(Place::Address(address), _) => exclude_each_other(address, former.address()),
            _ => false,
        };
        !former.is_over() && wanted.iter().any(is_wanted)
    };
    let end = now().after(LEAVING_MAX);
    while leaving.iter().any(is_in_the_way) && now() < end {
        std::thread::park_timeout(GLANCE);
    }
}
