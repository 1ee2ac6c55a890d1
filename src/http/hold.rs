//! [`Hold`]: something that an exchange has for as long as it lasts. Whoever ends the exchange, and however,
//! drops it.

use std::fmt;
use std::sync::Arc;

/// What is told when a [`Hold`] ends.
pub trait Release: Send + Sync + 'static {
    /// One hold has ended. Called once for each, on any thread.
    fn release(&self);
}

/// Lasts until it is dropped: kept by a [`Response`](super::Response), until its exchange is over.
pub struct Hold(Arc<dyn Release>);

impl Hold {
    /// A hold of which `release` is told when it ends.
    pub fn new(release: Arc<dyn Release>) -> Self {
        Self(release)
    }

    /// Whether it is one of this owner's.
    pub fn is_of(&self, owner: &dyn Release) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.0), std::ptr::from_ref(owner))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hold")
    }
}
