//! [`Doors`]: where a server listens, with all of its workers, at one time.
//!
//! ```text
//!             worker 0     worker 1
//!  :80        listener     listener      a socket for each where the system balances, else one for all
//!  :443       listener     listener
//!
//!  Handle ─► the next Doors ─► each worker, at a turn's beginning ─► its Ears: kept, opened, given up
//! ```
//! They are replaced as a whole, all or nothing: the next ones have the sockets of those before, where the
//! place is the same, on the terms of their own. With them come the accept tickets (see `balance`), which
//! are counted by listener; one that is lost in a change is a worker that looks again itself. Knows no
//! connection.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::net::tls::Tls;
use crate::net::{Leaving, ListenAddr, Listener, Listening, ProxyProtocol, Terms, Versions};

use super::{Error, Result};

/// Why a server that runs takes no socket by its number.
const NUMBER: &str = "only a start takes a socket by its number, which may be another one by now";

/// How to listen on one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenOptions {
    proxy_protocol: Option<ProxyProtocol>,
    backlog: Option<u32>,
    in_the_clear: bool,
    versions: Versions,
}

impl ListenOptions {
    /// Has proxies say for whom they come, in a header of the PROXY protocol (version 1 or 2) before
    /// everything else: [`Request::peer`](crate::Request::peer) is then the address that they tell.
    #[must_use]
    pub fn proxy_protocol(mut self, proxies: ProxyProtocol) -> Self {
        self.proxy_protocol = Some(proxies);
        self
    }

    /// How many connections the kernel may hold ready here, for each worker; else what
    /// [`Config::backlog`](super::Config::backlog) says.
    #[must_use]
    pub const fn backlog(mut self, connections: u32) -> Self {
        self.backlog = Some(connections);
        self
    }

    /// Encrypts nothing here, also where `Server::tls` does elsewhere.
    #[must_use]
    pub const fn in_the_clear(mut self) -> Self {
        self.in_the_clear = true;
        self
    }

    /// Speaks HTTP/1.0 and HTTP/1.1 alone there: over TLS nothing else is offered, and in the clear who
    /// begins as HTTP/2 does is answered with 505. The last of this and [`ListenOptions::http2_only`] counts.
    ///
    /// ```
    /// use kolk::{App, ListenOptions, Request, Response, Server};
    ///
    /// let app = App::new().get("/", |_: &Request<'_>| Response::text("hello\n"));
    /// let options = ListenOptions::default().http1_only();
    /// Server::new(app).listen_with("127.0.0.1:0", options)?.start()?.stop();
    /// # Ok::<(), kolk::Error>(())
    /// ```
    #[must_use]
    pub const fn http1_only(mut self) -> Self {
        self.versions = Versions::Http1;
        self
    }

    /// Speaks HTTP/2 alone there: over TLS nothing else is offered, in the clear it begins at once (RFC 9113
    /// §3.3). Who asks in HTTP/1, or has agreed on nothing over TLS, gets an answer of HTTP/1.1: 505.
    #[must_use]
    pub const fn http2_only(mut self) -> Self {
        self.versions = Versions::Http2;
        self
    }

    fn terms(&self, tls: Option<&Tls>) -> Terms {
        let tls = tls.filter(|_| !self.in_the_clear).cloned();
        Terms { tls, proxies: self.proxy_protocol.clone(), versions: self.versions }
    }
}

/// What to listen on.
#[derive(Debug)]
pub(super) enum Place {
    Address(ListenAddr),
    /// A socket that listens already.
    Socket(OwnedFd),
}

/// A place of the doors to come.
#[derive(Debug)]
pub(super) enum Wanted {
    /// That of the former ones with this number.
    Kept(usize, ListenOptions),
    New(Place, ListenOptions),
}

/// What counts where a place does not say otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults<'c> {
    /// What is encrypted with, where anything is.
    pub(super) tls: Option<&'c Tls>,
    /// Where a place does not say its own.
    pub(super) backlog: u32,
}

/// The listeners of a server.
#[derive(Debug)]
pub(crate) struct Doors {
    places: Vec<Known>,
    /// Place by place, one for each worker.
    listeners: Vec<Arc<Listener>>,
    workers: usize,
    /// Accept tickets: for each worker, by listener.
    tickets: Box<[Box<[AtomicU32]>]>,
}

/// A place where somebody listens.
#[derive(Clone, Debug)]
struct Known {
    /// As somebody has said it: with port 0, for instance.
    asked: Option<ListenAddr>,
    options: ListenOptions,
}

/// Doors in the place of others.
#[derive(Debug)]
pub(super) struct Renewal {
    /// Nothing, where all stays.
    pub(super) doors: Option<Arc<Doors>>,
    /// Where nobody has listened before: one of each place.
    pub(super) opened: Vec<Arc<Listener>>,
    /// Each socket that is in none of them any more, once.
    pub(super) given_up: Vec<Arc<Listener>>,
    backlogs: Vec<(Arc<Listener>, u32)>,
}

impl Doors {
    /// Listens everywhere, for so many workers.
    pub(super) fn open(
        places: Vec<(Place, ListenOptions)>,
        workers: usize,
        defaults: Defaults<'_>,
    ) -> Result<Self> {
        let mut doors = Self::none(workers);
        for (place, options) in places {
            doors.add(place, false, options, defaults)?;
        }
        Ok(doors.with_tickets())
    }

    /// Listens nowhere.
    pub(crate) fn none(workers: usize) -> Self {
        Self { places: Vec::new(), listeners: Vec::new(), workers, tickets: Box::default() }
    }

    /// All places as they are.
    pub(super) fn all(&self) -> Vec<Wanted> {
        let kept = |(number, known): (usize, &Known)| Wanted::Kept(number, known.options.clone());
        self.places.iter().enumerate().map(kept).collect()
    }

    /// All places but that at `address`; nothing, if there is none.
    pub(super) fn all_but(&self, address: &ListenAddr) -> Option<Vec<Wanted>> {
        let known = self.find(address, &(0..self.places.len()).collect::<Vec<_>>())?;
        let mut all = self.all();
        all.remove(known);
        Some(all)
    }

    /// `places`, and those among them that are known.
    pub(super) fn among(&self, places: Vec<(Place, ListenOptions)>) -> Vec<Wanted> {
        let mut left: Vec<usize> = (0..self.places.len()).collect();
        let wanted = places.into_iter().map(|(place, options)| {
            let known = match &place {
                Place::Address(address) => self.find(address, &left),
                Place::Socket(_) => None,
            };
            match known {
                Some(number) => {
                    left.retain(|other| *other != number);
                    Wanted::Kept(number, options)
                }
                None => Wanted::New(place, options),
            }
        });
        wanted.collect()
    }

    /// The doors that are `wanted` in the place of these: what is new is open, and nothing else has
    /// happened.
    ///
    /// # Errors
    /// The first of `wanted` that cannot be had, by its number. Nothing stays open then.
    pub(super) fn renewed(
        &self,
        wanted: Vec<Wanted>,
        defaults: Defaults<'_>,
    ) -> std::result::Result<Renewal, (usize, Error)> {
        let kept = |number: usize| {
            wanted.iter().any(|wanted| matches!(wanted, Wanted::Kept(kept, _) if *kept == number))
        };
        let is_kept: Vec<bool> = (0..self.places.len()).map(kept).collect();
        let mut doors = Self::none(self.workers);
        let (mut opened, mut backlogs) = (Vec::new(), Vec::new());
        for (number, wanted) in wanted.into_iter().enumerate() {
            match wanted {
                Wanted::Kept(known, options) => {
                    backlogs.extend(self.changed_backlog(known, &options, defaults));
                    doors.keep(self, known, options, defaults);
                }
                Wanted::New(place, options) => {
                    let takes_over = self.takes_over(&place, &is_kept);
                    let added =
                        takes_over.and_then(|takes_over| doors.add(place, takes_over, options, defaults));
                    added.map_err(|error| (number, error))?;
                    opened.extend(doors.listeners.last().map(Arc::clone));
                }
            }
        }
        let is_in_none =
            |listener: &&Arc<Listener>| doors.listeners.iter().all(|kept| !kept.has_queue_of(listener));
        let mut given_up: Vec<_> = self.listeners.iter().filter(is_in_none).map(Arc::clone).collect();
        given_up.dedup_by(|second, first| second.has_queue_of(first));
        let is_same =
            self.places.iter().map(|known| &known.options).eq(doors.places.iter().map(|new| &new.options))
                && self.listeners.len() == doors.listeners.len()
                && self.listeners.iter().zip(&doors.listeners).all(|(old, new)| Arc::ptr_eq(old, new));
        let doors = (!is_same).then(|| Arc::new(doors.with_tickets()));
        Ok(Renewal { doors, opened, given_up, backlogs })
    }

    /// How many workers listen.
    pub(crate) const fn workers(&self) -> usize {
        self.workers
    }

    /// All listeners: place by place, one for each worker.
    pub(crate) fn listeners(&self) -> &[Arc<Listener>] {
        &self.listeners
    }

    /// Those of one worker.
    pub(crate) fn of(&self, worker: usize) -> impl Iterator<Item = &Arc<Listener>> {
        self.listeners.iter().skip(worker).step_by(self.workers)
    }

    /// Where they listen, with the ports that the system chose.
    pub(crate) fn addresses(&self) -> Vec<ListenAddr> {
        self.listeners.iter().step_by(self.workers).map(|listener| listener.local_addr().clone()).collect()
    }

    /// The same as clients write it.
    pub(super) fn urls(&self) -> Vec<String> {
        self.listeners.iter().step_by(self.workers).map(|listener| listener.url()).collect()
    }

    /// The first port where TLS is spoken.
    pub(super) fn encrypted_port(&self) -> Option<u16> {
        let places = self.listeners.iter().step_by(self.workers);
        let mut encrypted = places.filter(|listener| listener.terms().tls.is_some());
        let port = encrypted.find_map(|listener| listener.local_addr().socket_addr());
        port.map(|address| address.port())
    }

    /// `worker` may take so many connections from `listener`; whether that is one of these.
    pub(crate) fn give(&self, worker: usize, listener: &Listener, connections: u32) -> bool {
        let number = self.listeners.iter().position(|known| std::ptr::eq(&**known, listener));
        if let Some(number) = number {
            self.tickets[worker][number].fetch_add(connections, Relaxed);
        }
        number.is_some()
    }

    /// All tickets of `worker` for the listener with this number; they are used up.
    #[inline]
    pub(crate) fn take(&self, worker: usize, listener: usize) -> u32 {
        let tickets = &self.tickets[worker][listener];
        if tickets.load(Relaxed) == 0 { 0 } else { tickets.swap(0, Relaxed) }
    }

    fn with_tickets(mut self) -> Self {
        let of_worker = || self.listeners.iter().map(|_| AtomicU32::new(0)).collect();
        self.tickets = (0..self.workers).map(|_| of_worker()).collect();
        self
    }

    /// The place among these numbers that was asked for as `address`, or else the one that is there.
    fn find(&self, address: &ListenAddr, among: &[usize]) -> Option<usize> {
        let mut numbers = among.iter().copied();
        let asked = numbers.clone().find(|number| self.places[*number].asked.as_ref() == Some(address));
        asked.or_else(|| numbers.find(|number| self.first_of(*number).local_addr() == address))
    }

    fn first_of(&self, place: usize) -> &Listener {
        &self.listeners[place * self.workers]
    }

    fn add(
        &mut self,
        place: Place,
        takes_over: bool,
        options: ListenOptions,
        defaults: Defaults<'_>,
    ) -> Result<()> {
        let backlog = options.backlog.unwrap_or(defaults.backlog);
        let listening = Listening { backlog, takes_over, ..Listening::default() };
        let (asked, opened) = match place {
            Place::Address(address) => {
                let opened = Listener::open(&address, self.workers, &listening);
                (Some(address), opened)
            }
            Place::Socket(socket) => (None, Listener::adopt(socket, self.workers, &listening)),
        };
        let terms = options.terms(defaults.tls);
        self.listeners
            .extend(opened.map_err(Error::Listen)?.iter().map(|listener| listener.on(terms.clone())));
        self.places.push(Known { asked, options });
        Ok(())
    }

    fn keep(&mut self, former: &Self, place: usize, options: ListenOptions, defaults: Defaults<'_>) {
        let terms = options.terms(defaults.tls);
        let of_place = &former.listeners[place * self.workers..][..self.workers];
        self.listeners.extend(of_place.iter().map(|listener| match listener.terms().are(&terms) {
            true => Arc::clone(listener),
            false => listener.on(terms.clone()),
        }));
        self.places.push(Known { options, ..former.places[place].clone() });
    }

    fn changed_backlog(
        &self,
        place: usize,
        options: &ListenOptions,
        defaults: Defaults<'_>,
    ) -> Vec<(Arc<Listener>, u32)> {
        let of = |options: &ListenOptions| options.backlog.unwrap_or(defaults.backlog);
        if of(options) == of(&self.places[place].options) {
            return Vec::new();
        }
        let of_place = &self.listeners[place * self.workers..][..self.workers];
        of_place.iter().map(|listener| (Arc::clone(listener), of(options))).collect()
    }

    /// Whether a listener at `place` takes over the port of one that is not kept: both are open for a moment.
    fn takes_over(&self, place: &Place, is_kept: &[bool]) -> Result<bool> {
        let Place::Address(address) = place else { return Ok(false) };
        let refused = |kind, why: String| Err(Error::Listen(io::Error::new(kind, why)));
        if let ListenAddr::Descriptor(_) = address {
            return refused(io::ErrorKind::InvalidInput, format!("cannot listen on {address}: {NUMBER}"));
        }
        let mut takes_over = false;
        for (own, is_kept) in self.addresses().iter().zip(is_kept) {
            if exclude_each_other(own, address) && *is_kept {
                let why = format!("cannot listen on {address}: this server listens on {own}");
                return refused(io::ErrorKind::AddrInUse, why);
            }
            takes_over |= exclude_each_other(own, address);
        }
        Ok(takes_over)
    }
}

impl Renewal {
    /// Follows up what was ordered: no newcomers for what was given up, other backlogs for what stays.
    pub(super) fn settle(&self) -> Vec<Leaving> {
        for (listener, connections) in &self.backlogs {
            if let Err(error) = listener.set_backlog(*connections) {
                log::warn!("the backlog of {} stays what it was: {error}", listener.local_addr());
            }
        }
        self.opened.iter().for_each(|listener| log::info!("listening on {}", listener.url()));
        let leaving = self.given_up.iter().map(|listener| listener.leave()).collect();
        let mut told: Vec<String> = self.given_up.iter().map(|listener| listener.url()).collect();
        told.dedup();
        told.iter().for_each(|url| log::info!("not listening on {url} any more"));
        leaving
    }
}

/// Whether nobody can listen on one of these ports before the other is closed.
pub(super) fn exclude_each_other(one: &ListenAddr, other: &ListenAddr) -> bool {
    let (Some(one), Some(other)) = (one.socket_addr(), other.socket_addr()) else { return false };
    let is_for_both = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && is_for_both
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: Defaults<'_> = Defaults { tls: None, backlog: 16 };

    fn place(address: &str) -> (Place, ListenOptions) {
        (Place::Address(address.parse().unwrap()), ListenOptions::default())
    }

    fn doors(places: &[&str]) -> Doors {
        Doors::open(places.iter().map(|address| place(address)).collect(), 2, DEFAULTS).unwrap()
    }

    #[test]
    fn what_stays_has_its_socket_and_what_is_the_same_is_no_change() {
        let doors = doors(&["127.0.0.1:0", "127.0.0.1:0"]);
        let [first, second] = <[ListenAddr; 2]>::try_from(doors.addresses()).unwrap();
        let same =
            doors.renewed(doors.among(vec![place("127.0.0.1:0"), place("127.0.0.1:0")]), DEFAULTS).unwrap();
        assert!(same.doors.is_none() && same.opened.is_empty() && same.given_up.is_empty());
        // By what it was asked for, or by where it is.
        let actual = second.to_string();
        let fewer = doors.renewed(doors.among(vec![place(&actual)]), DEFAULTS).unwrap();
        let (fewer, given_up) = (fewer.doors.unwrap(), fewer.given_up);
        assert_eq!(fewer.addresses(), [second]);
        assert!(given_up.iter().all(|listener| *listener.local_addr() == first));
        assert!(
            fewer.listeners().iter().zip(&doors.listeners()[2..]).all(|(new, old)| Arc::ptr_eq(new, old))
        );
    }

    #[test]
    fn other_terms_are_those_of_the_same_sockets() {
        let doors = doors(&["127.0.0.1:0"]);
        let proxied = ListenOptions::default().proxy_protocol(ProxyProtocol::required()).backlog(1);
        let renewal = doors.renewed(vec![Wanted::Kept(0, proxied)], DEFAULTS).unwrap();
        let next = renewal.doors.unwrap();
        assert!(renewal.opened.is_empty() && renewal.given_up.is_empty() && renewal.backlogs.len() == 2);
        for (new, old) in next.listeners().iter().zip(doors.listeners()) {
            assert!(new.has_queue_of(old) && !new.terms().are(old.terms()));
        }
    }

    #[test]
    fn all_or_nothing_is_opened() {
        let doors = doors(&["127.0.0.1:0"]);
        let taken = doors.addresses()[0].clone();
        let port = taken.socket_addr().unwrap().port();
        let new = |address: &str| Wanted::New(place(address).0, ListenOptions::default());
        let mut wanted = doors.all();
        wanted.extend([new("127.0.0.1:0"), new(&format!(":{port}"))]);
        let (number, error) = doors.renewed(wanted, DEFAULTS).unwrap_err();
        assert_eq!(number, 2);
        assert!(error.to_string().ends_with(&format!(":{port}: this server listens on {taken}")), "{error}");
        let (_, error) = doors.renewed(vec![new("fd:0")], DEFAULTS).unwrap_err();
        assert!(error.to_string().contains("only a start takes a socket by its number"), "{error}");
    }

    #[test]
    fn a_port_is_taken_over_from_who_gives_it_up() {
        if !crate::sys::socket::REUSEPORT_BALANCES {
            return;
        }
        let doors = doors(&["127.0.0.1:0"]);
        let port = doors.addresses()[0].socket_addr().unwrap().port();
        let everywhere = vec![Wanted::New(place(&format!(":{port}")).0, ListenOptions::default())];
        let renewal = doors.renewed(everywhere, DEFAULTS).unwrap();
        assert_eq!((renewal.opened.len(), renewal.given_up.len()), (1, 2));
    }

    #[test]
    fn a_ticket_is_used_once() {
        let doors = doors(&["127.0.0.1:0", "127.0.0.1:0"]);
        let first = Arc::clone(&doors.listeners()[0]);
        assert!(doors.give(1, &first, 1) && doors.give(1, &first, 1));
        assert_eq!((doors.take(1, 1), doors.take(0, 0)), (0, 0));
        assert_eq!((doors.take(1, 0), doors.take(1, 0)), (2, 0));
        assert!(!doors.give(1, &first.on(Terms::default()), 1), "it is none of these");
    }
}
