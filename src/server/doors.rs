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
//! place is the same, on the terms of their own: also where one was for the app and is for those who are
//! sent to https, or the other way round. With them come the accept tickets (see `balance`), which
//! are counted by listener; one that is lost in a change is a worker that looks again itself. Knows no
//! connection.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::net::tls::Tls;
use crate::net::{Leaving, ListenAddr, Listener, Listening, ProxyProtocol, Terms, Versions};

use super::redirect::HTTPS_PORT;
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
    to_https: bool,
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

    /// Sends everybody to https who comes there, in the clear.
    #[cfg(any(test, feature = "tls", feature = "config"))]
    pub(super) const fn sending_to_https(mut self) -> Self {
        self.to_https = true;
        self
    }

    fn terms(&self, tls: Option<&Tls>) -> Terms {
        let tls = tls.filter(|_| !self.in_the_clear && !self.to_https).cloned();
        let (proxies, versions, to_https) = (self.proxy_protocol.clone(), self.versions, self.to_https);
        Terms { tls, proxies, versions, to_https }
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
        let known = self.find(address, &self.numbers(|_| true))?;
        let mut all = self.all();
        all.remove(known);
        Some(all)
    }

    /// All places as they are, but for the one where visitors are sent to https: that is this one, or none.
    pub(super) fn all_and(&self, redirect: Option<(Place, ListenOptions)>) -> Vec<Wanted> {
        let redirects = self.numbers(|known| known.options.to_https);
        let mut all = self.all();
        all.retain(|wanted| matches!(wanted, Wanted::Kept(number, _) if !redirects.contains(number)));
        all.extend(redirect.map(|(place, options)| match self.find_place(&place, &redirects) {
            Some(number) => Wanted::Kept(number, options),
            None => Wanted::New(place, options),
        }));
        all
    }

    /// `places`, and those among them that are known.
    pub(super) fn among(&self, places: Vec<(Place, ListenOptions)>) -> Vec<Wanted> {
        let mut left = self.numbers(|_| true);
        let mut known = vec![None; places.len()];
        // First those that are for the same: several may have been asked for with port 0.
        for is_for_the_same in [true, false] {
            for (known, (place, options)) in
                known.iter_mut().zip(&places).filter(|(known, _)| known.is_none())
            {
                let is_fit = |number: &usize| {
                    !is_for_the_same || self.places[*number].options.to_https == options.to_https
                };
                let fit: Vec<usize> = left.iter().copied().filter(is_fit).collect();
                *known = self.find_place(place, &fit);
                left.retain(|other| Some(*other) != *known);
            }
        }
        let wanted = places.into_iter().zip(known).map(|((place, options), known)| match known {
            Some(number) => Wanted::Kept(number, options),
            None => Wanted::New(place, options),
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

    /// Where the app answers, with the ports that the system chose.
    pub(crate) fn addresses(&self) -> Vec<ListenAddr> {
        let own = self.each_place().filter(|listener| !listener.terms().to_https);
        own.map(|listener| listener.local_addr().clone()).collect()
    }

    /// The same as clients write it.
    pub(super) fn urls(&self) -> Vec<String> {
        let own = self.each_place().filter(|listener| !listener.terms().to_https);
        own.map(|listener| listener.url()).collect()
    }

    /// Where visitors are sent to https, if they are.
    pub(super) fn redirect(&self) -> Option<&ListenAddr> {
        self.each_place().find(|listener| listener.terms().to_https).map(|listener| listener.local_addr())
    }

    /// The port that they are sent to: the first where TLS is spoken. Where that is done behind a socket file
    /// alone, whoever is before it has the usual one. Nothing, where TLS is not spoken at all.
    pub(super) fn https_port(&self) -> Option<u16> {
        let encrypted = || self.each_place().filter(|listener| listener.terms().tls.is_some());
        let port = encrypted().find_map(|listener| listener.local_addr().socket_addr());
        port.map(|address| address.port()).or_else(|| encrypted().next().map(|_| HTTPS_PORT))
    }

    /// Whether visitors are sent to https, and nobody is there.
    pub(super) fn send_to_nobody(&self) -> bool {
        self.redirect().is_some() && self.https_port().is_none()
    }

    /// One listener of each place.
    fn each_place(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.listeners.iter().step_by(self.workers)
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

    /// The numbers of such places.
    fn numbers(&self, are: impl Fn(&Known) -> bool) -> Vec<usize> {
        (0..self.places.len()).filter(|number| are(&self.places[*number])).collect()
    }

    fn find_place(&self, place: &Place, among: &[usize]) -> Option<usize> {
        match place {
            Place::Address(address) => self.find(address, among),
            Place::Socket(_) => None,
        }
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
        for (own, is_kept) in self.each_place().map(|listener| listener.local_addr()).zip(is_kept) {
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
    fn a_socket_is_handed_over_between_the_app_and_the_way_to_https() {
        let sending = |address: &str| {
            let (place, options) = place(address);
            (place, options.sending_to_https())
        };
        let of = |doors: &Doors, wanted| {
            let renewal = doors.renewed(wanted, DEFAULTS).unwrap();
            assert!(renewal.opened.is_empty() && renewal.given_up.is_empty());
            renewal.doors.unwrap()
        };
        let doors = doors(&["127.0.0.1:0", "127.0.0.1:0"]);
        let [first, second] = <[ListenAddr; 2]>::try_from(doors.addresses()).unwrap();
        let (own, other) = (first.to_string(), second.to_string());
        let redirecting = of(&doors, doors.among(vec![place(&other), sending(&own)]));
        assert_eq!((redirecting.addresses(), redirecting.redirect()), (vec![second.clone()], Some(&first)));
        assert!(redirecting.listeners()[2].has_queue_of(&doors.listeners()[0]));
        // Each for the other, in one change.
        let turned = of(&redirecting, redirecting.among(vec![place(&own), sending(&other)]));
        assert_eq!((turned.addresses(), turned.redirect()), (vec![first.clone()], Some(&second)));
        let back = of(&turned, turned.among(vec![place(&own), place(&other)]));
        assert_eq!((back.addresses(), back.redirect()), (vec![first, second], None));
        // Nothing is said of where to listen but this.
        let kept = turned.all_and(Some(sending(&other)));
        assert!(turned.renewed(kept, DEFAULTS).unwrap().doors.is_none());
        let given_up = turned.renewed(turned.all_and(None), DEFAULTS).unwrap();
        assert_eq!((given_up.given_up.is_empty(), given_up.doors.unwrap().redirect()), (false, None));
        let (number, error) = turned.renewed(turned.all_and(Some(sending(&own))), DEFAULTS).unwrap_err();
        assert!(number == 1 && error.to_string().contains("this server listens on"), "{error}");
    }

    #[test]
    fn which_of_those_that_the_system_chose_is_which_is_told_by_what_they_are_for() {
        let (first, second) = (place("127.0.0.1:0"), place("127.0.0.1:0"));
        let sending = || (place("127.0.0.1:0").0, ListenOptions::default().sending_to_https());
        let doors = Doors::open(vec![first, sending()], 1, DEFAULTS).unwrap();
        let wanted = doors.among(vec![second, place("127.0.0.1:0"), sending()]);
        let renewal = doors.renewed(wanted, DEFAULTS).unwrap();
        assert_eq!(renewal.opened.len(), 1);
        assert_eq!(renewal.doors.unwrap().redirect(), doors.redirect());
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
