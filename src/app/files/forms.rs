//! [`Kept`]: a file in all the forms that it is sent in. RFC 9110 §8.4, §12.5.3, §12.5.5.
//!
//! ```text
//!  Accept-Encoding ─► wanted codings, the best first ─► a sibling? ─► compressed already? ─► send it
//!                                                                      └ not yet: start, and send …
//!                                                       … the file as it is
//! ```
//! No request waits for a compressor, and what a form says is made once. Knows no path and no shelf.

use std::fs::Metadata;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::http::{HeaderName, HeaderValue, header};
use bytes::Bytes;

use super::coding::{Accepted, Coding, Preference};
use super::compress::can_compress;
use super::compressions::{Compressed, Compressions, Found, Original};
use super::digests::{Digest, Digests};
use super::representation::{Content, Representation};
use super::shelf::FRESH_FOR;
use super::tree::{Open, Stamp, Tree};
use super::variants::{Sibling, sibling_name};
use super::version::Version;
use crate::app::pool::BlockingPool;
use crate::base::Tick;
use crate::http::Rendered;
use crate::sys::page_cache;

/// Files up to this size are kept in memory, head and body in one piece; in bytes.
pub(super) const SMALL_BYTES_MAX: u64 = 64 * 1024;
/// A file up to this size is asked for as a whole whether it is in memory, and believed for a while: the
/// kernel takes 7 µs to tell about a MiB. In bytes.
const RESIDENT_BYTES_MAX: u64 = 4 * 1024 * 1024;
const RESIDENT_FOR: Duration = Duration::from_secs(1);

/// What a form takes beside its own size, its fields and its content, in bytes: tag, date, and what counts
/// the references.
const FORM_BYTES: usize = 472;

/// What is kept of a file.
pub(super) struct Kept {
    plain: Form,
    /// By [`Coding`], as soon as somebody wants one.
    coded: Option<Box<[Coded; 3]>>,
    /// Its name below the root.
    name: Box<str>,
    stamp: Stamp,
    modified: Option<SystemTime>,
    /// Whether there could be other forms.
    varies: bool,
}

/// One form, and its answer to a request that asks for nothing special.
pub(super) struct Form {
    pub(super) representation: Representation,
    pub(super) whole: Option<Arc<Rendered>>,
    /// All of it was in memory, and is believed to be until then.
    resident_until: Tick,
}

/// What is known of the file in a coding.
#[derive(Default)]
struct Coded {
    form: Option<Box<Form>>,
    /// Which sibling it is; none for what was compressed here.
    stamp: Option<Stamp>,
    /// When it was looked at.
    checked_at: Option<Tick>,
}

/// Where other forms come from.
pub(super) struct Makers<'m> {
    pub(super) tree: &'m Arc<Tree>,
    pub(super) compressions: &'m Compressions<Stamp>,
    pub(super) codings: Preference,
    pub(super) uses_siblings: bool,
    /// Where tags are made of the content.
    pub(super) digests: Option<&'m Digests>,
    pub(super) pool: &'m BlockingPool,
    pub(super) now: Tick,
    /// What the answer's `Date` says.
    pub(super) unix_seconds: u64,
}

/// How a file may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Only what is in memory already.
    InMemory,
    /// Waiting for the disk.
    Waiting,
}

impl Kept {
    /// A file as it is. `fields` are what every answer says of it, and `varies` whether there could be other
    /// forms, which the answers then say, too.
    ///
    /// # Errors
    /// `WouldBlock` if it would have to be read from a disk and may not; whatever else hinders.
    pub(super) fn load(
        open: Open,
        content_type: &'static str,
        mut fields: Vec<(HeaderName, HeaderValue)>,
        varies: bool,
        makers: &Makers<'_>,
        reading: Reading,
    ) -> io::Result<Self> {
        let Open { file, metadata, name } = open;
        if varies {
            fields.push((header::VARY, HeaderValue::from_static("Accept-Encoding")));
        }
        fields.shrink_to_fit();
        let content = if metadata.len() <= SMALL_BYTES_MAX {
            Content::Bytes(read(&file, metadata.len(), reading)?)
        } else {
            Content::File(Arc::new(file), metadata.len())
        };
        let plain = Form::new(Representation {
            version: makers.version(&metadata, &content),
            content_type: HeaderValue::from_static(content_type),
            fields,
            content,
        });
        let (stamp, modified) = (Stamp::of(&metadata), metadata.modified().ok());
        Ok(Self { plain, coded: None, name: name.into(), stamp, modified, varies })
    }

    /// Whether it was dated earlier than it claims, and the time that it claims has come.
    pub(super) fn is_due(&self, unix_seconds: u64) -> bool {
        let claimed = self.modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let claimed = claimed.map(|since| since.as_secs()).filter(|claimed| *claimed <= unix_seconds);
        self.plain.representation.version.modified() < claimed
    }

    /// The bytes of memory that it takes beside its own size, about.
    pub(super) fn bytes(&self) -> usize {
        let coded = self.coded.iter().flat_map(|all| all.iter()).filter_map(|coded| coded.form.as_deref());
        let coded = coded.map(|form| size_of::<Form>() + form.bytes());
        let all_coded = self.coded.as_ref().map_or(0, |all| size_of_val(&**all));
        self.name.len() + self.plain.bytes() + all_coded + coded.sum::<usize>()
    }

    /// The form for whoever accepts these codings, and the name of the file below the root.
    #[inline]
    pub(super) fn form(&mut self, accepted: Accepted, makers: &Makers<'_>) -> (&mut Form, &str) {
        let mut chosen = None;
        if self.varies && accepted != Accepted::IDENTITY {
            let mut may_start = true;
            chosen = accepted
                .ranked(&makers.codings)
                .find(|coding| self.find_coded(*coding, makers, &mut may_start));
        }
        if let Some(digests) = makers.digests {
            self.find_tag(chosen, digests, makers);
        }
        let coded = chosen.and_then(|coding| self.coded.as_mut()?[coding as usize].form.as_deref_mut());
        // RFC 9110 §12.5.3: whoever refuses this, too, gets it all the same.
        (coded.unwrap_or(&mut self.plain), &self.name)
    }

    /// Looks for the file in a coding, if nobody has done so just now; whether there is one. `may_start`:
    /// nobody was told to compress it for this request.
    fn find_coded(&mut self, coding: Coding, makers: &Makers<'_>, may_start: &mut bool) -> bool {
        let coded = self.coded(coding);
        if coded.checked_at.is_some_and(|then| makers.now.since(then) < FRESH_FOR) {
            return coded.form.is_some();
        }
        if makers.uses_siblings && self.find_sibling(coding, makers) {
            return true;
        }
        self.find_compressed(coding, makers, may_start)
    }

    fn find_sibling(&mut self, coding: Coding, makers: &Makers<'_>) -> bool {
        let Ok(open) = makers.tree.visible(&sibling_name(&self.name, coding)) else { return false };
        let stamp = Stamp::of(&open.metadata);
        let known = self.coded(coding);
        if known.stamp == Some(stamp) && known.form.is_some() {
            known.checked_at = Some(makers.now);
            return true;
        }
        let sibling = Sibling::new(&open.metadata);
        if !sibling.stands_for(self.modified) {
            return false;
        }
        let content = if open.metadata.len() <= SMALL_BYTES_MAX {
            // What is not in memory yet is sent as it is, and will be there the next time.
            match read(&open.file, open.metadata.len(), Reading::InMemory) {
                Ok(bytes) => Content::Bytes(bytes),
                Err(_) => return false,
            }
        } else {
            Content::File(Arc::new(open.file), open.metadata.len())
        };
        let version = makers.version(&open.metadata, &content);
        let form = self.in_coding(coding, version, content);
        *self.coded(coding) = Coded { form: Some(form), stamp: Some(stamp), checked_at: Some(makers.now) };
        true
    }

    fn find_compressed(&mut self, coding: Coding, makers: &Makers<'_>, may_start: &mut bool) -> bool {
        if !makers.codings.makes(coding) || !can_compress(coding) {
            *self.coded(coding) = Coded { checked_at: Some(makers.now), ..Coded::default() };
            return false;
        }
        let found = makers.compressions.lookup(&self.name, &self.stamp, coding);
        let known = self.coded(coding);
        match found {
            Found::Done(_) if known.form.is_some() && known.stamp.is_none() => {
                known.checked_at = Some(makers.now);
            }
            Found::Done(Compressed { bytes, digest }) => {
                let plain = &self.plain.representation.version;
                let version = match makers.digests {
                    Some(_) => plain.with_digest(digest),
                    None => plain.with_suffix(coding.etag_suffix()),
                };
                let form = self.in_coding(coding, version, Content::Bytes(bytes));
                *self.coded(coding) = Coded { form: Some(form), stamp: None, checked_at: Some(makers.now) };
            }
            Found::NotWorthIt => {
                *known = Coded { checked_at: Some(makers.now), ..Coded::default() };
            }
            Found::Running => *may_start = false,
            Found::Absent if std::mem::take(may_start) => {
                let original = Reread { tree: Arc::clone(makers.tree), name: self.name.clone() };
                let compressions = makers.compressions;
                compressions.start(makers.pool, &self.name, self.stamp, coding, original, makers.now);
            }
            Found::Absent => {}
        }
        self.coded(coding).form.is_some()
    }

    fn coded(&mut self, coding: Coding) -> &mut Coded {
        &mut self.coded.get_or_insert_default()[coding as usize]
    }

    /// Gives the chosen form its tag, if it is known only now. A form without one is a large file.
    fn find_tag(&mut self, chosen: Option<Coding>, digests: &Digests, makers: &Makers<'_>) {
        let sibling = chosen.and_then(|coding| Some((coding, &mut self.coded.as_mut()?[coding as usize])));
        let (form, digest) = match sibling {
            Some((coding, Coded { form: Some(form), stamp: Some(stamp), .. })) if !form.has_tag() => {
                let name = sibling_name(&self.name, coding);
                (&mut **form, digests.find(&name, *stamp, makers.tree, makers.pool))
            }
            None if !self.plain.has_tag() => {
                (&mut self.plain, digests.find(&self.name, self.stamp, makers.tree, makers.pool))
            }
            _ => return,
        };
        if let Some(digest) = digest {
            form.representation.version = form.representation.version.with_digest(digest);
        }
    }

    fn in_coding(&self, coding: Coding, version: Version, content: Content) -> Box<Form> {
        let encoding = [(header::CONTENT_ENCODING, coding.value().clone())];
        let fields = [&self.plain.representation.fields[..], &encoding].concat();
        Box::new(Form::new(Representation {
            version,
            content_type: self.plain.representation.content_type.clone(),
            fields,
            content,
        }))
    }
}

impl Makers<'_> {
    /// That of a file that was just opened. Where tags are made of the content, a large file gets its tag
    /// later.
    fn version(&self, metadata: &Metadata, content: &Content) -> Version {
        let version = match content {
            _ if self.digests.is_none() => Version::of(metadata),
            Content::Bytes(bytes) => Version::dated(metadata).with_digest(Digest::of(bytes)),
            Content::File(..) => Version::dated(metadata),
        };
        version.no_later_than(self.unix_seconds)
    }
}

impl Form {
    fn new(mut representation: Representation) -> Self {
        let whole = representation.rendered().map(Arc::new);
        if let Some(whole) = &whole {
            // One copy of the bytes is enough.
            representation.content = Content::Bytes(whole.shared_body());
        }
        Self { representation, whole, resident_until: Tick::ZERO }
    }

    const fn has_tag(&self) -> bool {
        self.representation.version.etag().is_some()
    }

    /// A file that is kept open counts as the largest that is kept in memory: descriptors are few, too.
    fn bytes(&self) -> usize {
        let content = match &self.representation.content {
            Content::Bytes(bytes) => bytes.len(),
            Content::File(..) => usize::try_from(SMALL_BYTES_MAX).unwrap_or(usize::MAX),
        };
        let whole = self.whole.as_ref().map_or(content, |whole| whole.bytes());
        let fields = self.representation.fields.len() * size_of::<(HeaderName, HeaderValue)>();
        FORM_BYTES + fields + whole
    }

    /// Whether all of it is in memory; a file of some size is not asked for as a whole.
    pub(super) fn is_resident(&mut self, now: Tick) -> bool {
        match &self.representation.content {
            Content::Bytes(_) => true,
            Content::File(_, length) if *length > RESIDENT_BYTES_MAX => false,
            Content::File(..) if now < self.resident_until => true,
            Content::File(file, length) => {
                let is_resident = page_cache::is_resident(file.as_fd(), 0, *length);
                if is_resident {
                    self.resident_until = now.after(RESIDENT_FOR);
                }
                is_resident
            }
        }
    }
}

/// A file that a thread of the pool opens again, to compress it.
struct Reread {
    tree: Arc<Tree>,
    name: Box<str>,
}

impl Original<Stamp> for Reread {
    fn read(&mut self, bytes_max: u64) -> io::Result<Vec<u8>> {
        let open = self.tree.file(&self.name)?;
        let length = open.metadata.len().min(bytes_max.saturating_add(1));
        Ok(read(&open.file, length, Reading::Waiting)?.into())
    }

    fn version(&mut self) -> io::Result<Stamp> {
        Ok(Stamp::of(&self.tree.file(&self.name)?.metadata))
    }
}

/// The first `length` bytes of a file.
///
/// # Errors
/// `WouldBlock` if they are not in memory and nobody may wait; `UnexpectedEof` if it has become shorter:
/// what is said of it belongs to other bytes then; whatever the file reports.
pub(super) fn read(file: &std::fs::File, length: u64, reading: Reading) -> io::Result<Bytes> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    let mut count = 0;
    while count < bytes.len() {
        let into = &mut bytes[count..];
        let more = match reading {
            Reading::InMemory => page_cache::read_resident(file.as_fd(), into, count as u64),
            Reading::Waiting => file.read_at(into, count as u64),
        };
        match more {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::file_of;

    #[test]
    fn what_each_field_of_an_answer_takes_is_counted() {
        let form = |fields: usize| {
            let field = (header::LINK, HeaderValue::from_static("</a>"));
            Form::new(Representation {
                version: Version::of(&std::fs::metadata("/").unwrap()),
                content_type: HeaderValue::from_static("text/plain"),
                fields: vec![field; fields],
                content: Content::Bytes(Bytes::from_static(b"text")),
            })
        };
        let (none, ten) = (form(0), form(10));
        let lines = |form: &Form| form.whole.as_ref().unwrap().lines().map(|_| 8).sum::<usize>();
        assert_eq!(lines(&ten) - lines(&none), 80, "places that only HTTP/2 asks for");
        let each = size_of::<(HeaderName, HeaderValue)>() + "link: </a>\r\n".len() + 8;
        assert_eq!(ten.bytes() - none.bytes(), 10 * each);
    }

    #[test]
    fn a_file_that_became_shorter_is_not_what_was_said_of_it() {
        let file = file_of(b"0123456789");
        for reading in [Reading::InMemory, Reading::Waiting] {
            assert_eq!(read(&file, 10, reading).unwrap(), "0123456789");
            assert_eq!(read(&file, 4, reading).unwrap(), "0123");
            assert_eq!(read(&file, 11, reading).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
