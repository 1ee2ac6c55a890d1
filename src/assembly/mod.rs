//! ASSEMBLY: a configuration as a server: what each table stands for in the library.
//!
//! ```text
//!  Configuration ─┬─ [server], [[listen]], [tls] ─► server
//!                 └─ [[site]] ─► site ─┬─ [[site.route]] ─► action: a handler
//!                                      └─ what stands around it ─► around: layers, in their order
//! ```
//! | file | what lives there |
//! | --- | --- |
//! | `server` | the process, its addresses and its certificates |
//! | `site` | sites and routes |
//! | `action` | what a route does |
//! | `answers` | what changes answers, and what answers instead |
//! | `pages` | what is sent with errors, and while somebody works |
//! | `around` | what stands around it: see there for the order |
//! | `log` | what is written of requests, and where of the server itself |
//! | `reload` | a file that was changed, for a server that runs |
//! | `machine` | whether this machine has the users and folders that are named |
//! | `explain` | what becomes of a request, and which lines say so |
//!
//! Everything here could be written in Rust by whoever embeds the server. What only shows when it is built (a
//! certificate that is none, a page that is not there) is told as the other errors of a file are.

mod action;
mod answers;
mod around;
mod explain;
mod log;
mod machine;
mod pages;
mod reload;
mod server;
mod site;

use std::sync::Arc;

use crate::app::{App, Counts};
use crate::config::{Configuration, Errors, Origin, Placed, Problem};
use crate::server::Server;

impl Configuration {
    /// The sites, without a server: for tests, and to be served otherwise.
    ///
    /// ```
    /// use kolk::Configuration;
    ///
    /// let text = r#"
    ///     [[site]]
    ///     hosts = ["example.com"]
    ///     [[site.route]]
    ///     path = "/hello"
    ///     respond = { text = "hello\n" }
    /// "#;
    /// let app = Configuration::parse(text, "kolk.toml")?.app()?;
    /// let answer = app.oneshot(http::Request::get("http://example.com/hello").body("").unwrap());
    /// assert_eq!(answer.body(), "hello\n");
    /// # Ok::<(), kolk::Errors>(())
    /// ```
    ///
    /// # Errors
    /// What only shows when it is built.
    pub fn app(&self) -> Result<App, Errors> {
        let mut problems = Vec::new();
        let app = site::app(self, &Counts::default(), &mut problems);
        finish(Some(app), problems)
    }

    /// The server that it describes, not bound yet.
    ///
    /// # Errors
    /// What only shows when it is built.
    pub fn server(&self) -> Result<Server, Errors> {
        self.server_after(&Counts::default())
    }

    /// The same, in the place of another that has counted so far.
    fn server_after(&self, former: &Counts) -> Result<Server, Errors> {
        let mut problems = Vec::new();
        let app = site::app(self, former, &mut problems);
        let server = server::server(self, app, &mut problems);
        finish(server, problems)
    }
}

/// The lines that say so: `kolk.toml:12`.
fn line<'o>(origins: impl IntoIterator<Item = &'o Origin>) -> Arc<str> {
    let mut lines: Vec<_> = origins.into_iter().map(ToString::to_string).collect();
    lines.dedup();
    lines.join(", ").into()
}

/// What was built, unless something is wrong with it.
fn finish<T>(built: Option<T>, problems: Vec<Problem>) -> Result<T, Errors> {
    built.filter(|_| problems.is_empty()).ok_or_else(|| Errors::new(problems))
}

/// The value, or else a problem at the place where `placed` stands.
pub(super) fn noted<T, E, P>(
    result: Result<T, E>,
    placed: &Placed<P>,
    message: impl FnOnce(E) -> String,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            problems.push(Problem::at(&placed.origin, message(error)));
            None
        }
    }
}
