//! [`Hold`]: something that an exchange has for as long as it lasts; [`Holds`]: all of them. Whoever ends the
//! exchange, and however, drops them.

use std::fmt;
use std::sync::Arc;

/// What is told when a [`Hold`] ends.
pub trait Release: Send + Sync + 'static {
    /// One hold has ended. Called once for each, on any thread.
    fn release(&self);
}

/// Lasts until it is dropped: kept by a [`Response`](super::Response), until its exchange is over.
pub struct Hold(Arc<dyn Release>);

/// Some [`Hold`]s, nearly always none: one word.
#[derive(Debug, Default)]
pub struct Holds(Option<Box<Link>>);

#[derive(Debug)]
struct Link {
    hold: Hold,
    others: Holds,
}

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

impl Holds {
    /// None.
    pub const NONE: Self = Self(None);

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// One more.
    pub fn push(&mut self, hold: Hold) {
        let others = std::mem::take(self);
        self.0 = Some(Box::new(Link { hold, others }));
    }

    /// All of `others`, too.
    pub fn append(&mut self, others: Self) {
        match &mut self.0 {
            Some(link) => link.others.append(others),
            None => *self = others,
        }
    }

    /// Whether one of them is of this owner.
    pub fn has_of(&self, owner: &dyn Release) -> bool {
        self.0.as_ref().is_some_and(|link| link.hold.is_of(owner) || link.others.has_of(owner))
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
