//! [`Attributes`]: what a request gets to have on its way, beside its message: who asks, what it is called,
//! which rate has looked at it, and what is handed on.
//!
//! ```text
//!  whoever answers ── lends them ──► Origin ──► Request ──► layers, handler
//!        └─► the log, the recorder                             └─ identify, note, hand on
//! ```
//! Filled through a shared reference, and never emptied: the first user and the first name count, and of
//! several rates what weighs the most. Nothing is allocated before something is handed on. Knows no request.

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::sync::Arc;

use super::extensions::Extensions;
use super::limits::RateNote;
use super::request_ids::RequestId;

/// What layers and the handler have found out about a request, or have given to it. Nothing, to begin with.
#[derive(Default)]
pub struct Attributes {
    user: OnceCell<Arc<str>>,
    id: OnceCell<Arc<RequestId>>,
    rate: Cell<Option<Arc<RateNote>>>,
    extensions: OnceCell<Arc<Extensions>>,
}

/// A copy of [`Attributes`] for other threads, which nobody adds a user or a name to.
#[derive(Clone, Debug)]
pub(super) struct OwnedAttributes {
    user: Option<Arc<str>>,
    id: Option<Arc<RequestId>>,
    extensions: Arc<Extensions>,
}

impl Attributes {
    /// Who asks, as soon as a layer knows: [`Request::identify`](super::Request::identify).
    #[inline]
    pub fn user(&self) -> Option<&Arc<str>> {
        self.user.get()
    }

    /// What the request is called, where a layer gives names: [`RequestIds`](super::RequestIds).
    #[inline]
    pub fn id(&self) -> Option<&Arc<RequestId>> {
        self.id.get()
    }

    /// Which rate has not simply let it pass.
    #[inline]
    pub fn rate(&self) -> Option<Arc<RateNote>> {
        let noted = self.rate.take();
        self.rate.set(noted.clone());
        noted
    }

    /// The values that somebody has handed on.
    pub(super) fn extensions(&self) -> Option<&Arc<Extensions>> {
        self.extensions.get()
    }

    /// The same, where there will be some.
    pub(super) fn shared_extensions(&self) -> &Arc<Extensions> {
        self.extensions.get_or_init(Arc::default)
    }

    /// The first one counts.
    pub(super) fn identify(&self, user: &Arc<str>) {
        self.user.get_or_init(|| Arc::clone(user));
    }

    /// The first one counts.
    pub(super) fn name(&self, id: impl FnOnce() -> Arc<RequestId>) {
        self.id.get_or_init(id);
    }

    /// Of several, what weighs the most.
    pub(super) fn note_rate(&self, note: &Arc<RateNote>) {
        let known = self.rate.take().filter(|known| !note.outweighs(known));
        self.rate.set(Some(known.unwrap_or_else(|| Arc::clone(note))));
    }

    /// A copy that hands on what this one does, and is handed what this one is.
    pub(super) fn to_owned(&self) -> OwnedAttributes {
        OwnedAttributes {
            user: self.user.get().cloned(),
            id: self.id.get().cloned(),
            extensions: Arc::clone(self.shared_extensions()),
        }
    }
}

impl OwnedAttributes {
    pub(super) const fn user(&self) -> Option<&Arc<str>> {
        self.user.as_ref()
    }

    pub(super) const fn id(&self) -> Option<&Arc<RequestId>> {
        self.id.as_ref()
    }

    pub(super) const fn extensions(&self) -> &Arc<Extensions> {
        &self.extensions
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attributes")
            .field("user", &self.user())
            .field("id", &self.id())
            .field("rate", &self.rate())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_five_words_until_there_is_something() {
        assert_eq!(size_of::<Attributes>(), 5 * size_of::<usize>());
    }

    #[test]
    fn the_first_user_counts() {
        let attributes = Attributes::default();
        assert_eq!(attributes.user(), None);
        attributes.identify(&"ada".into());
        attributes.identify(&"eve".into());
        assert_eq!(attributes.user().map(|user| &**user), Some("ada"));
    }
}
