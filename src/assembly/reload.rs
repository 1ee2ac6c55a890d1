//! A file that was changed, for a server that runs.
//!
//! ```text
//!  the new file ─► what is wrong when it is built? which address cannot be had? which log cannot be opened?
//!       │          refused, all stays
//!       └────────► its sites, limits, timeouts, logs, listeners, certificates ─► Handle::renew
//!                  what only a start can change ─────────────────────────────► named
//! ```

use std::io::ErrorKind::PermissionDenied;

use crate::config::{Changes, Configuration, Errors, Listen, Problem};
use crate::server::{Error, Handle, Refusal, Refused, Server};

/// Whom the process has become listens where it may.
const RESTART: &str = "restart kolk to listen there: it opens its ports before it becomes its `user`";

impl Configuration {
    /// Has `server`, which was started with what `started` says, do from now on what this says: its sites,
    /// limits, timeouts and access logs count for new requests, its certificates and the ways of its
    /// listeners for new connections; what is under way keeps those it began with. Listeners that are new are
    /// opened, those that are gone are given up when everybody in their queues is served, the others are not
    /// touched ([`Handle::renew`]). A log that says the same as before goes on as it is, and so does one that
    /// was given to the server [otherwise](Handle::logs_follow_a_file). What says the same as before goes on
    /// with what it has counted: a rate, `in_flight_max` of a site or of a route that is chosen by the same,
    /// wrong passwords of an `[auth.NAME]`. Gives back what differs and takes effect at the next start alone,
    /// with its place.
    ///
    /// ```
    /// use kolk::Configuration;
    ///
    /// let listen = "[[listen]]\naddr = \"127.0.0.1:0\"\n";
    /// let file = |answer| {
    ///     let text = format!("{listen}[[site]]\nhosts = \"*\"\nrespond = {answer}\n");
    ///     Configuration::parse(&text, "kolk.toml")
    /// };
    /// let started = file("404")?;
    /// let server = started.server()?.start()?;
    /// let changed = file("{ text = \"here now\" }")?;
    /// assert!(changed.replace(&server.handle(), &started)?.is_empty());
    /// # server.stop();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What only shows when it is built, a log that cannot be opened, and the first listener that cannot be
    /// had. All then stays.
    pub fn replace(&self, server: &Handle, started: &Self) -> Result<Vec<Problem>, Errors> {
        self.replace_by(server, started, |described| described)
    }

    /// The same for a server that was told elsewhere where to listen: that stays, whatever this says of it.
    ///
    /// # Errors
    /// What only shows when it is built, and a log that cannot be opened. All then stays.
    pub fn replace_in_place(&self, server: &Handle, started: &Self) -> Result<Vec<Problem>, Errors> {
        self.replace_by(server, started, Server::nowhere)
    }

    fn replace_by(
        &self,
        server: &Handle,
        started: &Self,
        dress: impl FnOnce(Server) -> Server,
    ) -> Result<Vec<Problem>, Errors> {
        let Changes { fixed } = Changes::between(started, self);
        let former = server.counts().unwrap_or_default();
        let described = with_known_tls(dress(self.server_after(&former)?), server);
        match server.renew_or_refuse(described) {
            Ok(_names) => Ok(fixed),
            Err(refusal) => Err(Errors::new(vec![self.told(&refusal)])),
        }
    }

    /// Which line cannot be had.
    fn told(&self, Refusal { what, error }: &Refusal) -> Problem {
        if let Some(problem) = self.unopened(error) {
            return problem;
        }
        let says = |redirects: bool| {
            self.listen.iter().filter(move |listen: &&Listen| listen.redirect_to_https.value == redirects)
        };
        let address = |listen: &'_ Listen| listen.addr.origin.clone();
        let line = match what {
            Some(Refused::Listener(number)) => says(false).nth(*number).map(address),
            Some(Refused::Redirect) => says(true).next_back().map(address),
            None => None,
        };
        let Some(line) = line else { return Problem::new(None, error.to_string()) };
        let problem = Problem::at(&line, error.to_string());
        match error {
            Error::Listen(error) if error.kind() == PermissionDenied && self.server.user.is_some() => {
                problem.help(RESTART)
            }
            _ => problem,
        }
    }
}

/// `described` with the certificates that `server` has read already, if they are from the same files; else
/// who has been there comes back to the new ones.
#[cfg(feature = "tls")]
fn with_known_tls(described: Server, server: &Handle) -> Server {
    match (described.identity(), server.identity()) {
        (Some(own), Some(known)) if own.is_made_like(&known) => described.tls(&known),
        (Some(own), Some(known)) => {
            let own = own.after(&known);
            described.tls(&own)
        }
        _ => described,
    }
}

#[cfg(not(feature = "tls"))]
fn with_known_tls(described: Server, _: &Handle) -> Server {
    described
}
