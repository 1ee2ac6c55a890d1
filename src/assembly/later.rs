//! What a configuration may say and this version does not do yet: refused rather than ignored.

use crate::config::{Configuration, ErrorFormat, LogTo, Origin, Problem};

/// Refuses what is not done yet.
pub(super) fn refuse(configuration: &Configuration, problems: &mut Vec<Problem>) {
    let mut refuse = |is_said: bool, what: &str, origin: &Origin| {
        if is_said {
            problems.push(Problem::at(origin, format!("`{what}` is not in this version")));
        }
    };
    let says = &configuration.log.error;
    refuse(says.to.value != LogTo::Stderr, "to", &says.to.origin);
    refuse(says.format.value != ErrorFormat::Text, "format", &says.format.origin);
}
