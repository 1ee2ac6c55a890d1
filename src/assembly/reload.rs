//! A file that was changed, for a server that runs.
//!
//! ```text
//!  the new file ─► where does it listen? elsewhere: refused, all stays
//!       │          what is wrong when it is built? refused, all stays
//!       │          can its logs be opened? no: refused, all stays
//!       └────────► its sites, limits, timeouts, logs ─► Handle::replace_logged
//!                  what only a start can change ──────► named
//! ```

use crate::config::{Changes, Configuration, Errors, Problem};
use crate::server::{Handle, Parts};

impl Configuration {
    /// Has `server`, which was started with what `started` says, do from now on what this says: its sites,
    /// limits, timeouts and access logs count for new requests, and what is under way keeps those it began
    /// with. A log that says the same as before goes on as it is, and so does one that was given to the
    /// server [otherwise](Handle::logs_follow_a_file). What says the same as before goes on with what it has
    /// counted: a rate, `in_flight_max` of a site or of a route that is chosen by the same, wrong passwords
    /// of an `[auth.NAME]`. Gives back what differs and takes effect at the next start alone, with its place.
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
    /// What only shows when it is built, a log that cannot be opened, and listeners that are not those of
    /// `started`. All then stays.
    pub fn replace(&self, server: &Handle, started: &Self) -> Result<Vec<Problem>, Errors> {
        let Changes { listeners, fixed } = Changes::between(started, self);
        if !listeners.is_empty() {
            return Err(Errors::new(listeners));
        }
        let former = server.counts().unwrap_or_default();
        let Parts { app, config, access_logs, recorder } = self.server_after(&former)?.into_parts();
        let replaced = match server.logs_follow_a_file() {
            true => server.replace_logged(app, config, access_logs),
            false => server.replace_with(app, config),
        };
        if let Err(error) = replaced {
            return Err(Errors::new(vec![Problem::new(None, error.to_string())]));
        }
        if let Some(recorder) = &recorder {
            server.leave_out_as(recorder);
        }
        Ok(fixed)
    }
}
