//! `kolk healthcheck`: one request to a server, and whether it answers as it should.
//!
//! For the HEALTHCHECK of a container, which has no other client. The whole of it takes two seconds at most.

use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

use super::clock;
use super::failure::{Exit, Failure};
use super::question::Question;

/// For everything together.
const PATIENCE: Duration = Duration::from_secs(2);

/// The greatest status of a page that is there.
pub(crate) const FOUND_MAX: u16 = 399;
/// The greatest status of a server that works, whatever it has at `/`.
pub(crate) const WORKING_MAX: u16 = 499;

/// Asks `question`, and expects a status up to `status_max`. What to say on success: one line.
pub(crate) fn ask(question: &Question, status_max: u16) -> Result<String, Failure> {
    let began = clock::now();
    let status = question.status(began + PATIENCE);
    let sick = |why: &dyn fmt::Display| Failure::new(Exit::Runtime, format!("{question} is not well: {why}"));
    match status {
        Ok(status) if (200..=status_max).contains(&status) => {
            Ok(format!("{question} is well: {status} in {} ms\n", (clock::now() - began).as_millis()))
        }
        Ok(status) => Err(sick(&format_args!("it answers {status}"))),
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            Err(Failure::new(Exit::Usage, format!("cannot ask {question}: {error}")))
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Err(sick(&"no answer within 2 s"))
        }
        Err(error) => Err(sick(&error)),
    }
}
