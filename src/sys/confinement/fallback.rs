//! Systems without such a filter, and processors whose numbers of calls nobody has looked up.

use std::io;

pub(super) const fn confine() -> io::Result<bool> {
    Ok(false)
}
