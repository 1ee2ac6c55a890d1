//! [`Pool`]: things that are dear to make, kept for the next who needs one.
//!
//! Invariants: whatever lies in the pool is empty (it was [`Reusable::reset`]); at most `kept_max` lie
//! there; [`Pool::out`] counts what was taken and has not come back, so that a leak fails a test.
//! Knows nothing of what it keeps. Belongs to one thread.

use std::fmt;

/// Something that can be emptied and used again.
pub trait Reusable: Default {
    /// Back to empty, as good as new. Gives back memory above what is worth keeping.
    fn reset(&mut self);
}

impl<T: Reusable> Reusable for Box<T> {
    fn reset(&mut self) {
        (**self).reset();
    }
}

/// A stack of idle things: the last that came back, still warm in the cache, is the first to go out.
///
/// ```
/// use kolk::base::{Pool, Reusable};
///
/// #[derive(Default)]
/// struct Page(Vec<u8>);
///
/// impl Reusable for Page {
///     fn reset(&mut self) {
///         self.0.clear();
///         self.0.shrink_to(4096);
///     }
/// }
///
/// let mut pages: Pool<Box<Page>> = Pool::new(64);
/// let page = pages.take();
/// assert_eq!((pages.out(), pages.kept()), (1, 0));
/// pages.give(page);
/// assert_eq!((pages.out(), pages.kept()), (0, 1));
/// ```
pub struct Pool<T: Reusable> {
    kept: Vec<T>,
    kept_max: usize,
    out: usize,
}

impl<T: Reusable> Pool<T> {
    /// An empty pool that will keep at most `kept_max` things. Makes none yet.
    pub fn new(kept_max: usize) -> Self {
        Self { kept: Vec::new(), kept_max, out: 0 }
    }

    /// A kept one, or a new one if none is kept. It is empty either way.
    #[inline]
    pub fn take(&mut self) -> T {
        self.out += 1;
        self.kept.pop().unwrap_or_default()
    }

    /// Takes back what [`Pool::take`] gave, whatever is in it; drops it if enough are kept.
    #[inline]
    pub fn give(&mut self, mut thing: T) {
        debug_assert!(self.out > 0, "given back, but never taken");
        self.out = self.out.saturating_sub(1);
        if self.kept.len() < self.kept_max {
            thing.reset();
            self.kept.push(thing);
        }
    }

    /// So many are out: after a panic, which drops what it held and gives nothing back.
    pub fn recount(&mut self, out: usize) {
        self.out = out;
    }

    /// How many were taken and not given back.
    #[inline]
    pub fn out(&self) -> usize {
        self.out
    }

    /// How many lie here for the next.
    #[inline]
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Drops all but the `keep` that came back last: the tide after a burst.
    pub fn trim(&mut self, keep: usize) {
        self.kept.drain(..self.kept.len().saturating_sub(keep));
        self.kept.shrink_to(keep);
    }
}

impl<T: Reusable> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("out", &self.out)
            .field("kept", &self.kept())
            .field("kept_max", &self.kept_max)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WORTH_KEEPING: usize = 64;

    #[derive(Debug, Default)]
    struct Page(Vec<u8>);

    impl Reusable for Page {
        fn reset(&mut self) {
            self.0.clear();
            self.0.shrink_to(WORTH_KEEPING);
        }
    }

    fn address(page: &Page) -> usize {
        std::ptr::from_ref(page).addr()
    }

    #[test]
    fn the_last_given_is_the_first_taken() {
        let mut pool: Pool<Box<Page>> = Pool::new(4);
        let (first, second) = (pool.take(), pool.take());
        let warm = address(&second);
        pool.give(first);
        pool.give(second);
        assert_eq!(address(&pool.take()), warm);
    }

    #[test]
    fn what_comes_back_full_goes_out_empty_and_small() {
        let mut pool: Pool<Box<Page>> = Pool::new(1);
        let mut page = pool.take();
        page.0.extend_from_slice(&[7; 10_000]);
        pool.give(page);
        let page = pool.take();
        assert!(page.0.is_empty());
        assert!(page.0.capacity() < 10_000);
    }

    #[test]
    fn trimming_drops_the_coldest() {
        let mut pool: Pool<Box<Page>> = Pool::new(8);
        let pages: Vec<_> = (0..4).map(|_| pool.take()).collect();
        let warmest = address(&pages[3]);
        pages.into_iter().for_each(|page| pool.give(page));

        pool.trim(1);
        assert_eq!(pool.kept(), 1);
        assert_eq!(address(&pool.take()), warmest);
        pool.trim(5);
        assert_eq!(pool.kept(), 0);
    }

    #[test]
    #[should_panic(expected = "never taken")]
    #[cfg(debug_assertions)]
    fn giving_what_was_never_taken_is_a_mistake() {
        Pool::new(1).give(Page::default());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Take,
        Give,
        Trim(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::Take),
            4 => Just(Step::Give),
            1 => (0..6_usize).prop_map(Step::Trim),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn counts_like_two_piles(steps in steps(), kept_max in 0..5_usize) {
            let mut pool: Pool<Page> = Pool::new(kept_max);
            let mut out: Vec<Page> = Vec::new();
            let mut kept = 0;
            for step in steps {
                match step {
                    Step::Take => {
                        let mut page = pool.take();
                        prop_assert!(page.0.is_empty());
                        page.0.push(1);
                        out.push(page);
                        kept = kept.max(1) - 1;
                    }
                    Step::Give => if let Some(page) = out.pop() {
                        pool.give(page);
                        kept = kept_max.min(kept + 1);
                    },
                    Step::Trim(keep) => {
                        pool.trim(keep);
                        kept = kept.min(keep);
                    }
                }
                prop_assert_eq!((pool.out(), pool.kept()), (out.len(), kept));
            }
        }
    }
}
