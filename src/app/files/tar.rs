//! [`Tar`]: files and folders as one stream of blocks, in the format of POSIX.
//!
//! ```text
//!  [ pax: path, size ] ─ header ─ content ─ zeros up to the block      … twice a block of zeros
//!    only where the header has no room: long names, other letters, 8 GiB and more
//! ```
//! Owner 0, mode 644 or 755. A file has the length that its header says, or the writing fails. Knows no file
//! system. IEEE 1003.1-2017, pax, "ustar Interchange Format" and "pax Header Block".

use std::io::{self, Read, Write};

const BLOCK_BYTES: usize = 512;
const NAME_BYTES_MAX: usize = 100;
const PREFIX_BYTES_MAX: usize = 155;
/// What eleven octal digits can say.
const OCTAL_MAX: u64 = 0o777_7777_7777;
/// How much of a file is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// The name that is shown by programs that know no pax records.
const PAX_NAME: &[u8] = b"pax-records";

/// Writes an archive.
#[derive(Debug)]
pub(super) struct Tar<W> {
    out: W,
    buffer: Vec<u8>,
}

impl<W: Write> Tar<W> {
    /// An archive that goes to `out`.
    pub(super) fn new(out: W) -> Self {
        Self { out, buffer: vec![0; READ_BYTES] }
    }

    /// Adds a folder; `path` ends with a slash.
    pub(super) fn folder(&mut self, path: &[u8], modified: i64) -> io::Result<()> {
        self.head(path, Type::Folder, 0, modified)
    }

    /// Adds a file whose content is `length` bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` or `InvalidData` when there are fewer or more: the archive is then of no use.
    pub(super) fn file(
        &mut self,
        path: &[u8],
        modified: i64,
        length: u64,
        content: &mut impl Read,
    ) -> io::Result<()> {
        self.head(path, Type::File, length, modified)?;
        let mut left = length;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES);
            let count = read_some(content, &mut self.buffer[..most])?;
            if count == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it shrank while it was read"));
            }
            self.out.write_all(&self.buffer[..count])?;
            left -= count as u64;
        }
        if read_some(content, &mut self.buffer[..1])? > 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it grew while it was read"));
        }
        self.fill_block(length)
    }

    /// Ends the archive.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK_BYTES])?;
        Ok(self.out)
    }

    fn head(&mut self, path: &[u8], kind: Type, length: u64, modified: i64) -> io::Result<()> {
        let mut records = Vec::new();
        let (prefix, name) = split(path).unwrap_or_else(|| {
            if std::str::from_utf8(path).is_err() {
                record(&mut records, "hdrcharset", b"BINARY");
            }
            record(&mut records, "path", path);
            (b"", PAX_NAME)
        });
        if length > OCTAL_MAX {
            record(&mut records, "size", length.to_string().as_bytes());
        }
        if !records.is_empty() {
            let length = records.len() as u64;
            self.out.write_all(&header(b"", PAX_NAME, Type::Records, length, 0))?;
            self.out.write_all(&records)?;
            self.fill_block(length)?;
        }
        let second = u64::try_from(modified).unwrap_or_default();
        self.out.write_all(&header(prefix, name, kind, length, second))
    }

    fn fill_block(&mut self, length: u64) -> io::Result<()> {
        let block = BLOCK_BYTES as u64;
        let missing = usize::try_from((block - length % block) % block).unwrap_or_default();
        self.out.write_all(&[0; BLOCK_BYTES][..missing])
    }
}

/// What a header introduces, as its type flag says it.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Type {
    File = b'0',
    Folder = b'5',
    Records = b'x',
}

fn read_some(content: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match content.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// The two places of a path in a header, if it has room there: they are joined with a slash.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if !path.is_ascii() {
        return None;
    }
    if path.len() <= NAME_BYTES_MAX {
        return Some((b"", path));
    }
    // The first slash that leaves a name that fits; not the last one of a folder, which leaves none.
    let first = path.len() - NAME_BYTES_MAX - 1;
    let slash = first + path[first..path.len() - 1].iter().position(|&byte| byte == b'/')?;
    (1..=PREFIX_BYTES_MAX).contains(&slash).then(|| (&path[..slash], &path[slash + 1..]))
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = " =\n".len() + key.len() + value.len();
    let mut digits = 1;
    while (rest + digits).to_string().len() > digits {
        digits += 1;
    }
    records.extend_from_slice(format!("{} {key}=", rest + digits).as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn header(prefix: &[u8], name: &[u8], kind: Type, length: u64, second: u64) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    let mode: u64 = if matches!(kind, Type::Folder) { 0o755 } else { 0o644 };
    put(&mut block, 0, name);
    put(&mut block, 100, format!("{mode:07o}").as_bytes());
    put(&mut block, 108, b"0000000");
    put(&mut block, 116, b"0000000");
    // The true length of a larger one is in its records.
    let octal = if length > OCTAL_MAX { 0 } else { length };
    put(&mut block, 124, format!("{octal:011o}").as_bytes());
    put(&mut block, 136, format!("{:011o}", second.min(OCTAL_MAX)).as_bytes());
    block[156] = kind as u8;
    put(&mut block, 257, b"ustar\x0000");
    put(&mut block, 345, prefix);
    // The sum of the header's bytes, its own place counted as spaces.
    put(&mut block, 148, b"        ");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    put(&mut block, 148, format!("{sum:06o}\0").as_bytes());
    block
}

fn put(block: &mut [u8; BLOCK_BYTES], at: usize, bytes: &[u8]) {
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(block: &[u8], at: usize, bytes: usize) -> &str {
        std::str::from_utf8(&block[at..at + bytes]).unwrap().trim_end_matches('\0')
    }

    #[test]
    fn a_small_archive_is_exactly_this() {
        let mut tar = Tar::new(Vec::new());
        tar.folder(b"a/", 784_111_777).unwrap();
        tar.file(b"a/b", 784_111_777, 5, &mut &b"hello"[..]).unwrap();
        let bytes = tar.finish().unwrap();
        assert_eq!(bytes.len(), (1 + 2 + 2) * BLOCK_BYTES);
        let header = &bytes[512..1024];
        assert_eq!(text(header, 0, 100), "a/b");
        assert_eq!(
            [text(header, 100, 8), text(header, 108, 8), text(header, 116, 8)],
            ["0000644", "0000000", "0000000"]
        );
        assert_eq!([text(header, 124, 12), text(header, 136, 12)], ["00000000005", "05657114241"]);
        assert_eq!((text(header, 156, 1), &header[257..265]), ("0", &b"ustar\x0000"[..]));
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum::<u32>()
            - header[148..156].iter().map(|&byte| u32::from(byte)).sum::<u32>()
            + 8 * u32::from(b' ');
        assert_eq!(&header[148..156], format!("{sum:06o}\0 ").as_bytes());
        assert_eq!((text(&bytes, 0, 100), text(&bytes, 100, 8), bytes[156]), ("a/", "0000755", b'5'));
        assert_eq!((&bytes[1024..1029], &bytes[1029..1536]), (&b"hello"[..], &[0; 507][..]));
        assert!(bytes[1536..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_long_path_is_split_where_both_parts_fit() {
        let (folder, name) = ("f".repeat(155), "n".repeat(100));
        assert_eq!(split(name.as_bytes()), Some((&b""[..], name.as_bytes())));
        let path = format!("{folder}/{name}");
        assert_eq!(split(path.as_bytes()), Some((folder.as_bytes(), name.as_bytes())));
        for path in [format!("{folder}f/{name}"), format!("{folder}/{name}n"), "x".repeat(101), "é".into()] {
            assert_eq!(split(path.as_bytes()), None, "{path}");
        }
        let folder = format!("{}/", "x".repeat(100));
        assert_eq!(split(folder.as_bytes()), None, "an empty name is no name");
        let deep = format!("{}/{}/", "x".repeat(60), "y".repeat(60));
        assert_eq!(split(deep.as_bytes()).unwrap().1.len(), 61);
    }

    #[test]
    fn a_record_counts_its_own_length() {
        for (value, start) in
            [(0, "8 path="), (1, "9 path="), (2, "11 path="), (90, "99 path="), (91, "101 path=")]
        {
            let mut records = Vec::new();
            record(&mut records, "path", &vec![b'x'; value]);
            assert!(records.starts_with(start.as_bytes()), "{}", String::from_utf8_lossy(&records));
            let said: usize = start.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(records.len(), said);
        }
    }

    #[test]
    fn what_has_no_room_in_the_header_is_a_record() {
        let mut tar = Tar::new(Vec::new());
        tar.head("é".as_bytes(), Type::File, OCTAL_MAX + 1, -5).unwrap();
        tar.head(b"\xFF", Type::File, 0, i64::MAX).unwrap();
        let bytes = tar.out;
        assert_eq!((bytes[156], text(&bytes, 512, 512)), (b'x', "11 path=é\n19 size=8589934592\n"));
        assert_eq!(
            [text(&bytes, 1024 + 124, 12), text(&bytes, 1024 + 136, 12)],
            ["00000000000", "00000000000"]
        );
        assert_eq!(&bytes[2048..2078], b"21 hdrcharset=BINARY\n9 path=\xFF\n");
        assert_eq!(text(&bytes, 2560 + 136, 12), "77777777777");
    }

    #[test]
    fn another_length_than_was_said_is_an_error() {
        let write = |length, content: &[u8]| {
            let mut tar = Tar::new(Vec::new());
            tar.file(b"x", 0, length, &mut &content[..]).map_err(|error| error.kind())
        };
        assert_eq!(write(5, b"12345"), Ok(()));
        assert_eq!(write(5, b"1234"), Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(write(5, b"123456"), Err(io::ErrorKind::InvalidData));
        assert_eq!(write(0, b"1"), Err(io::ErrorKind::InvalidData));
        let large = vec![b'x'; 3 * READ_BYTES + 1];
        assert_eq!(write(large.len() as u64, &large), Ok(()));
    }
}
