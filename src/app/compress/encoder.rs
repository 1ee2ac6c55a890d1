//! [`Encoder`]: bytes in, bytes in a content coding out, whenever they are asked for. RFC 1952, 7932, 8878.
//!
//! Quick rather than thorough: what goes through here is sent once. Each takes at most about 1 MiB: the
//! windows are 128 KiB of zstd, 256 KiB of Brotli and 32 KiB of gzip. Knows no response.

use std::fmt;
use std::io::{self, Write as _};

use brotli::CompressorWriter;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::app::files::Coding;

/// About 100 MB/s of text on one core of a small virtual machine, the others more.
const BROTLI_QUALITY: u32 = 4;
const BROTLI_WINDOW_LOG: u32 = 18;
/// What the writer collects before it hands over, in bytes.
const BROTLI_BUFFER_BYTES: usize = 4 * 1024;
#[cfg(feature = "zstd")]
const ZSTD_LEVEL: i32 = 3;
#[cfg(feature = "zstd")]
const ZSTD_WINDOW_LOG: u32 = 17;
const GZIP_LEVEL: Compression = Compression::new(4);

/// An encoder, and what came out of it so far.
pub(super) enum Encoder {
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    #[cfg(feature = "zstd")]
    Zstd(zstd::Encoder<'static, Vec<u8>>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
}

impl Encoder {
    /// One for this coding.
    ///
    /// # Errors
    /// If there is no memory. `Unsupported` for zstd without the feature of that name.
    pub(super) fn new(coding: Coding) -> io::Result<Self> {
        match coding {
            Coding::Brotli => Ok(Self::Brotli(Box::new(CompressorWriter::new(
                Vec::new(),
                BROTLI_BUFFER_BYTES,
                BROTLI_QUALITY,
                BROTLI_WINDOW_LOG,
            )))),
            #[cfg(feature = "zstd")]
            Coding::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(ZSTD_WINDOW_LOG)?;
                Ok(Self::Zstd(encoder))
            }
            #[cfg(not(feature = "zstd"))]
            Coding::Zstd => Err(io::ErrorKind::Unsupported.into()),
            Coding::Gzip => Ok(Self::Gzip(Box::new(GzEncoder::new(Vec::new(), GZIP_LEVEL)))),
        }
    }

    /// Takes all of `bytes`.
    ///
    /// # Errors
    /// Those of the encoder: there is none for bytes, but perhaps no memory.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Brotli(encoder) => encoder.write_all(bytes),
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.write_all(bytes),
            Self::Gzip(encoder) => encoder.write_all(bytes),
        }
    }

    /// Brings out what was taken, so that the other side can read all of it.
    ///
    /// # Errors
    /// As [`Encoder::write`].
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Brotli(encoder) => encoder.flush(),
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.flush(),
            Self::Gzip(encoder) => encoder.flush(),
        }
    }

    /// What came out; the caller takes it away.
    pub(super) fn ready(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Brotli(encoder) => encoder.get_mut(),
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => encoder.get_mut(),
        }
    }

    /// All that came out and was not taken away, to the end.
    ///
    /// # Errors
    /// As [`Encoder::write`].
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Brotli(encoder) => Ok(encoder.into_inner()),
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.finish(),
            Self::Gzip(encoder) => encoder.finish(),
        }
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Brotli(_) => "Brotli",
            #[cfg(feature = "zstd")]
            Self::Zstd(_) => "Zstd",
            Self::Gzip(_) => "Gzip",
        })
    }
}
