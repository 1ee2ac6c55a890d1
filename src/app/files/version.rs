//! [`Version`]: what a client compares to learn whether its copy of a file is still good. RFC 9110 §8.8.
//!
//! ```text
//!  ETag: "2a41f-1c8-17d3c5e2a9b04f10"     inode, size and modification time in nanoseconds: strong
//!  ETag: "z0q3kcYrjSshCckCdSh4Fg"         or a digest of the content: the same on each of several servers
//!  Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT     the same time, in seconds: weaker, for old clients
//! ```
//! Invariant: a tag is a quoted, strong `entity-tag`. Knows no request.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use ::http::HeaderValue;
use bytes::Bytes;

use super::digests::Digest;
use crate::http::DateLine;

/// The last second that an HTTP-date can name: the end of the year 9999.
const SECOND_MAX: u64 = 253_402_300_799;

/// One state of a representation, as its validators tell it.
#[derive(Clone, Debug)]
pub(super) struct Version {
    /// `None`: the content is not known yet.
    tag: Option<HeaderValue>,
    modified: Option<Modified>,
}

#[derive(Clone, Debug)]
struct Modified {
    second: u64,
    value: HeaderValue,
}

impl Version {
    /// That of the file that has this metadata: ask the open file for it, not its path.
    ///
    /// The tag is strong (RFC 9110 §8.8.1) although nothing of the content is read. A file that is replaced
    /// (written beside and renamed) has another inode, even if size and time were kept. A file that is
    /// written in place may change twice within a second, also within the second of this request, so
    /// `Last-Modified` would not tell; but each write sets the time in nanoseconds. Two states share a tag
    /// only if the second write was within the same tick of the kernel's clock (some milliseconds; Linux
    /// since 6.13 gives no time twice that somebody has looked at, as we do here) and kept the size, or if
    /// somebody has set the time back.
    pub(super) fn of(metadata: &Metadata) -> Self {
        let time = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        let tag = format!("{:x}-{:x}-{time:x}", metadata.ino(), metadata.len());
        Self::new(Some(&tag), u64::try_from(metadata.mtime()).ok())
    }

    /// That of the file that has this metadata, as long as nothing is known of its content: without a tag.
    pub(super) fn dated(metadata: &Metadata) -> Self {
        Self::new(None, u64::try_from(metadata.mtime()).ok())
    }

    /// The same, modified at `second` if it claims to have been modified later: RFC 9110 §8.8.2.1 has no
    /// answer speak of a time after its `Date`.
    pub(super) fn no_later_than(self, second: u64) -> Self {
        if self.modified().is_none_or(|modified| modified <= second) {
            return self;
        }
        Self { modified: Some(Modified::at(second)), ..self }
    }

    /// The same with the tag of this content.
    pub(super) fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: Some(quoted(&digest.to_string())), modified: self.modified.clone() }
    }

    /// With a tag that is given without its quotes, and the second of the last modification, counted from
    /// 1970.
    pub(super) fn new(opaque: Option<&str>, modified: Option<u64>) -> Self {
        let tag = opaque.map(quoted);
        Self { tag, modified: modified.filter(|second| *second <= SECOND_MAX).map(Modified::at) }
    }

    /// That of a coded form of the same content (RFC 9110 §8.8.3.3): it was modified when the content was,
    /// and has a tag of its own.
    pub(super) fn with_suffix(&self, suffix: &str) -> Self {
        let opaque = self.tag.as_ref().and_then(|tag| tag.to_str().ok());
        let tag = opaque.map(|tag| quoted(&format!("{}-{suffix}", tag.trim_matches('"'))));
        Self { tag, modified: self.modified.clone() }
    }

    /// The entity tag with its quotes; empty, which no entity tag is, if there is none.
    pub(super) fn tag(&self) -> &[u8] {
        self.tag.as_ref().map_or(b"", HeaderValue::as_bytes)
    }

    /// The value of `ETag`.
    pub(super) const fn etag(&self) -> Option<&HeaderValue> {
        self.tag.as_ref()
    }

    /// The second of the last modification, counted from 1970. `None`: unknown, or an HTTP-date cannot
    /// name it.
    pub(super) fn modified(&self) -> Option<u64> {
        self.modified.as_ref().map(|modified| modified.second)
    }

    /// The value of `Last-Modified`.
    pub(super) fn last_modified(&self) -> Option<&HeaderValue> {
        self.modified.as_ref().map(|modified| &modified.value)
    }
}

impl Modified {
    fn at(second: u64) -> Self {
        let date = DateLine::new(second);
        Self { second, value: value(Bytes::copy_from_slice(date.value().as_bytes())) }
    }
}

fn quoted(opaque: &str) -> HeaderValue {
    debug_assert!(opaque.bytes().all(is_tag_byte));
    value(format!("\"{opaque}\"").into())
}

fn value(text: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(text).expect("tags and dates are field values")
}

/// RFC 9110 §8.8.3: `etagc`, what stands between the quotes of an entity tag.
pub(super) const fn is_tag_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7E | 0x80..=0xFF)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::sys::scratch::Scratch;

    fn set_modified(path: &Path, since_1970: Duration) {
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(UNIX_EPOCH + since_1970).unwrap();
    }

    fn version(path: &Path) -> Version {
        Version::of(&File::open(path).unwrap().metadata().unwrap())
    }

    #[test]
    fn rfc_9110_8_8_3_a_file_has_a_strong_tag_and_a_date() {
        let scratch = Scratch::new("tag");
        let path = scratch.join("a");
        fs::write(&path, "0123456789").unwrap();
        set_modified(&path, Duration::new(784_111_777, 500_000_001));
        let version = version(&path);
        let inode = fs::metadata(&path).unwrap().ino();
        assert_eq!(version.etag().unwrap(), &format!("\"{inode:x}-a-ae1b981da166f01\""));
        assert_eq!(version.tag(), version.etag().unwrap().as_bytes());
        assert_eq!(version.modified(), Some(784_111_777));
        assert_eq!(version.last_modified().unwrap(), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn rfc_9110_8_8_1_whatever_changes_changes_the_tag() {
        let scratch = Scratch::new("changes");
        let (path, other) = (scratch.join("a"), scratch.join("b"));
        let time = Duration::new(784_111_777, 5);
        for path in [&path, &other] {
            fs::write(path, "old").unwrap();
            set_modified(path, time);
        }
        let first = version(&path);
        assert_eq!(version(&path).tag(), first.tag(), "a look changes nothing");
        set_modified(&path, time + Duration::from_nanos(1));
        assert_ne!(version(&path).tag(), first.tag(), "a nanosecond within the same second");
        assert_eq!(version(&path).modified(), first.modified());
        fs::write(&path, "longer").unwrap();
        set_modified(&path, time);
        assert_ne!(version(&path).tag(), first.tag(), "the size, though the time was set back");
        fs::rename(&other, &path).unwrap();
        assert_ne!(version(&path).tag(), first.tag(), "another file of the same size and time");
    }

    #[test]
    fn what_has_the_same_content_has_the_same_tag() {
        let scratch = Scratch::new("content");
        let path = scratch.join("a");
        fs::write(&path, "").unwrap();
        set_modified(&path, Duration::new(0, 5));
        let metadata = fs::metadata(&path).unwrap();
        let unknown = Version::dated(&metadata);
        let version = unknown.with_digest(Digest::of(b"abc"));
        assert_eq!(version.etag().unwrap(), "\"z0q3kcYrjSshCckCdSh4Fg\"");
        assert_eq!((unknown.etag(), unknown.tag()), (None, &b""[..]));
        assert!(unknown.with_suffix("br").etag().is_none());
        for version in [version, unknown] {
            assert_eq!(version.last_modified().unwrap(), "Thu, 01 Jan 1970 00:00:00 GMT");
        }
    }

    #[test]
    fn rfc_9110_8_8_3_3_a_coded_form_has_another_tag_and_the_same_date() {
        let version = Version::new(Some("abc"), Some(784_111_777));
        let coded = version.with_suffix("br");
        assert_eq!(coded.etag().unwrap(), "\"abc-br\"");
        assert_eq!(coded.last_modified(), version.last_modified());
        assert_eq!(coded.modified(), version.modified());
    }

    #[test]
    fn rfc_9110_8_8_2_1_a_date_in_the_future_is_replaced() {
        let version = Version::new(Some("a"), Some(784_111_777));
        assert_eq!(version.clone().no_later_than(784_111_777).modified(), Some(784_111_777));
        let version = version.no_later_than(784_111_776);
        assert_eq!(version.last_modified().unwrap(), "Sun, 06 Nov 1994 08:49:36 GMT");
        assert_eq!(version.etag().unwrap(), "\"a\"");
        assert_eq!(Version::new(Some("a"), None).no_later_than(5).modified(), None);
    }

    #[test]
    fn a_date_that_cannot_be_written_is_none() {
        assert!(Version::new(Some("a"), Some(SECOND_MAX)).last_modified().is_some());
        for second in [SECOND_MAX + 1, u64::MAX] {
            let version = Version::new(Some("a"), Some(second));
            assert!(version.modified().is_none() && version.last_modified().is_none());
        }
        let scratch = Scratch::new("early");
        let path = scratch.join("a");
        fs::write(&path, "").unwrap();
        let early = UNIX_EPOCH - Duration::from_millis(1_500);
        File::options().write(true).open(&path).unwrap().set_modified(early).unwrap();
        let version = version(&path);
        assert!(version.modified().is_none());
        assert!(version.tag().iter().all(|byte| byte.is_ascii_graphic()), "{version:?}");
    }
}
