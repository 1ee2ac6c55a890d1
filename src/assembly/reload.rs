//! A file that was changed, for a server that runs.
//!
//! ```text
//!  the new file ─► where does it listen? elsewhere: refused, all stays
//!       │          what is wrong when it is built? refused, all stays
//!       └────────► its sites, limits, timeouts ─► Handle::replace_with
//!                  what only a start can change ─► named
//! ```

use crate::config::{Changes, Configuration, Errors, Problem};
use crate::server::Handle;

impl Configuration {
    /// Has `server`, which was started with what `started` says, do from now on what this says: its sites,
    /// limits and timeouts count for new requests, and what is under way keeps those it began with. Gives
    /// back what differs and takes effect at the next start alone, each with its place.
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
    /// What only shows when it is built, and listeners that are not those of `started`. All then stays.
    pub fn replace(&self, server: &Handle, started: &Self) -> Result<Vec<Problem>, Errors> {
        let Changes { listeners, fixed } = Changes::between(started, self);
        if !listeners.is_empty() {
            return Err(Errors::new(listeners));
        }
        let (app, config) = self.server()?.into_parts();
        match server.replace_with(app, config) {
            Ok(_names) => Ok(fixed),
            Err(error) => Err(Errors::new(vec![Problem::new(None, error.to_string())])),
        }
    }
}
