//! Bodies that are made while they are sent: [`Pattern`], [`Chunks`], [`Events`].

use std::time::Duration;

use bytes::Bytes;
use kolk::{Body, Pull, Pulled, Source};

use crate::cli::clock;

/// Bodies up to this length are a slice of the program, in bytes.
const PATTERN_BYTES: usize = 64 * 1024;

/// Lines of 63 characters; its length is a multiple of the line's.
static PATTERN: [u8; PATTERN_BYTES] = {
    let line = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n";
    let mut pattern = [0; PATTERN_BYTES];
    let mut at = 0;
    while at < PATTERN_BYTES {
        pattern[at] = line[at % line.len()];
        at += 1;
    }
    pattern
};

/// The pattern again and again, up to an exact length.
#[derive(Debug)]
pub(super) struct Pattern {
    length: u64,
    left: u64,
}

impl Pattern {
    /// A body of `length` bytes.
    pub(super) fn body(length: u64) -> Body {
        match usize::try_from(length).ok().and_then(|length| PATTERN.get(..length)) {
            Some(bytes) => Body::Static(bytes),
            None => Body::Source(Box::new(Self { length, left: length })),
        }
    }
}

impl Source for Pattern {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        let take = usize::try_from(self.left).unwrap_or(PATTERN_BYTES).min(PATTERN_BYTES);
        pull.share(Bytes::from_static(&PATTERN[..take]));
        self.left -= take as u64;
        if self.left == 0 { Pulled::End } else { Pulled::More }
    }

    fn length(&self) -> Option<u64> {
        Some(self.length)
    }
}

/// One line in each chunk.
#[derive(Debug)]
pub(super) struct Chunks {
    number: u64,
    count: u64,
}

impl Chunks {
    /// So many chunks.
    pub(super) const fn new(count: u64) -> Self {
        Self { number: 0, count }
    }
}

impl Source for Chunks {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        if self.number < self.count {
            self.number += 1;
            pull.write(format!("chunk {} of {}\n", self.number, self.count).as_bytes());
        }
        if self.number < self.count { Pulled::More } else { Pulled::End }
    }
}

/// An event every second, until the client leaves.
#[derive(Debug, Default)]
pub(super) struct Events {
    number: u64,
}

impl Source for Events {
    fn pull(&mut self, pull: &mut Pull<'_>) -> Pulled {
        self.number += 1;
        let (number, time) = (self.number, clock::http_date());
        pull.write(format!("id: {number}\ndata: {{\"count\":{number},\"time\":\"{time}\"}}\n\n").as_bytes());
        Pulled::After(Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use kolk::{Tail, Timeline};

    use super::*;

    /// Everything that a source writes, and how many pulls it took.
    fn drain(source: &mut dyn Source) -> (Vec<u8>, usize) {
        let (mut all, timeline) = (Vec::new(), Timeline::default());
        for pulls in 1.. {
            let mut pull = Pull::new(&mut all, 16 * 1024, &timeline);
            let pulled = source.pull(&mut pull);
            match pull.into_tail() {
                None => {}
                Some(Tail::Shared(shared)) => all.extend_from_slice(&shared),
                Some(Tail::File { .. }) => unreachable!("the site has no files"),
            }
            if pulled == Pulled::End {
                return (all, pulls);
            }
        }
        unreachable!()
    }

    #[test]
    fn a_pattern_has_its_exact_length() {
        assert!(matches!(Pattern::body(0), Body::Static(b"")));
        assert!(matches!(Pattern::body(65_536), Body::Static(bytes) if bytes.len() == 65_536));
        let Body::Source(mut source) = Pattern::body(200_001) else { panic!("too large for the program") };
        assert_eq!(source.length(), Some(200_001));
        let (bytes, _) = drain(&mut *source);
        assert_eq!(bytes.len(), 200_001);
        assert!(bytes.chunks(64).all(|line| PATTERN.starts_with(line)), "the lines go on across pulls");
    }

    #[test]
    fn a_chunk_is_a_pull() {
        assert_eq!(drain(&mut Chunks::new(0)), (Vec::new(), 1));
        assert_eq!(drain(&mut Chunks::new(2)), (b"chunk 1 of 2\nchunk 2 of 2\n".to_vec(), 2));
    }

    #[test]
    fn events_are_counted() {
        let (mut all, timeline, mut events) = (Vec::new(), Timeline::default(), Events::default());
        for _ in 0..2 {
            let pulled = events.pull(&mut Pull::new(&mut all, 1024, &timeline));
            assert_eq!(pulled, Pulled::After(Duration::from_secs(1)));
        }
        let text = String::from_utf8(all).unwrap();
        assert!(
            text.contains("id: 2\ndata: {\"count\":2,\"time\":\"") && text.ends_with("GMT\"}\n\n"),
            "{text}"
        );
    }
}
