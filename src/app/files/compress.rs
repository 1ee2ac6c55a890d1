//! Compresses a file once, to send it often: which files, how hard, and was it worth it? RFC 9110 §8.4.1.
//!
//! ```text
//!  media type ─► length within bounds ─► compress, the harder the shorter ─► at least 1/16 smaller ─► keep
//!       never          as it is                                                    not worth it
//! ```
//! Pure functions of bytes, and slow ones: not for a loop's thread. Knows no files and no requests.

use std::io::{self, Write};

use brotli::enc::BrotliEncoderParams;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::coding::Coding;

/// Which lengths are compressed, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// A shorter file travels in one packet in any case.
    pub(super) compress_bytes_min: u64,
    /// A longer file is sent as it is: it would occupy a thread, and its bytes the memory, for long.
    pub(super) compress_bytes_max: u64,
}

impl Bounds {
    /// Whether a file of `length` bytes is compressed.
    pub(super) const fn admit(self, length: u64) -> bool {
        self.compress_bytes_min <= length && length <= self.compress_bytes_max
    }
}

impl Default for Bounds {
    /// From 1 KiB to 4 MiB.
    fn default() -> Self {
        Self { compress_bytes_min: 1024, compress_bytes_max: 4 * 1024 * 1024 }
    }
}

/// How hard a compressor works: the harder, the shorter the file, so that none takes longer than about a
/// quarter of a second.
///
/// Measured on one core of a small virtual machine: JavaScript (sources of npm), JSON (a service description)
/// and HTML (a book), each cut from the middle of a longer file. What is left, and the time for it:
///
/// ```text
///                    brotli                      zstd                        gzip
///           level    JS  JSON  HTML  ms  level    JS  JSON  HTML  ms  level    JS  JSON  HTML  ms
///    1 KiB     11  35.7  29.3  38.8   2     19  41.8  38.9  49.4   0      9  41.7  38.6  49.5   0  %
///   64 KiB     11  23.0  10.6  18.4  90     19  24.9  11.8  20.5  24      9  26.3  13.0  21.7   1  %
///  128 KiB     11  22.7   9.2  18.1 200     19  24.4  10.1  19.8  67      9  26.1  12.0  22.3   3  %
///    1 MiB      9  14.5   8.2  19.6  85     17  14.0   8.0  18.7 144      9  22.4  10.8  23.1  22  %
///    4 MiB      6  17.1            142     12  17.0            152      6  22.6             60  %
///
///    1 MiB     11  13.1   7.4  17.8 1,224   19  13.9   7.8  18.5 258   too long for what they save
///    4 MiB     11  14.9           5,346     19  15.3           1,371
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// As small as it gets: up to 128 KiB.
    Highest,
    /// Up to 1 MiB.
    High,
    /// Beyond.
    Moderate,
}

impl Effort {
    /// What is spent on `length` bytes.
    pub(super) const fn for_length(length: usize) -> Self {
        match length {
            0..=0x2_0000 => Self::Highest,
            0x2_0001..=0x10_0000 => Self::High,
            _ => Self::Moderate,
        }
    }

    const fn brotli_quality(self) -> i32 {
        match self {
            Self::Highest => 11,
            Self::High => 9,
            Self::Moderate => 6,
        }
    }

    #[cfg(feature = "zstd")]
    const fn zstd_level(self) -> i32 {
        match self {
            Self::Highest => 19,
            Self::High => 17,
            Self::Moderate => 12,
        }
    }

    const fn gzip_level(self) -> u32 {
        match self {
            Self::Highest | Self::High => 9,
            Self::Moderate => 6,
        }
    }
}

/// Whether kolk compresses into this coding itself: zstd's library is a feature of the crate.
pub(super) const fn can_compress(coding: Coding) -> bool {
    !matches!(coding, Coding::Zstd) || cfg!(feature = "zstd")
}

/// `bytes` in `coding`.
///
/// # Errors
/// Those of the compressor: there is none for bytes, but perhaps no memory. `Unsupported` unless
/// [`can_compress`].
pub(super) fn compress(coding: Coding, bytes: &[u8], effort: Effort) -> io::Result<Vec<u8>> {
    match coding {
        Coding::Brotli => {
            let quality = effort.brotli_quality();
            let params = BrotliEncoderParams { quality, size_hint: bytes.len(), ..Default::default() };
            let mut compressed = Vec::with_capacity(bytes.len() / 4);
            brotli::BrotliCompress(&mut &*bytes, &mut compressed, &params)?;
            Ok(compressed)
        }
        // The length is known to the compressor, so the window is no wider: within the 8 MiB of RFC 9659.
        #[cfg(feature = "zstd")]
        Coding::Zstd => zstd::bulk::compress(bytes, effort.zstd_level()),
        #[cfg(not(feature = "zstd"))]
        Coding::Zstd => Err(io::ErrorKind::Unsupported.into()),
        Coding::Gzip => {
            let sink = Vec::with_capacity(bytes.len() / 4);
            let mut encoder = GzEncoder::new(sink, Compression::new(effort.gzip_level()));
            encoder.write_all(bytes)?;
            encoder.finish()
        }
    }
}

/// Whether the `compressed` length is worth it: the fields that a coding costs, and the work of decoding.
pub(in crate::app) const fn is_worth_it(length: usize, compressed: usize) -> bool {
    compressed <= length - length / 16
}

/// Media types besides `text/…`, `…+json`, `…+xml` and `…+text` that shrink; in lower case, sorted.
const COMPRESSIBLE: &[&str] = &[
    "application/dart",
    "application/ecmascript",
    "application/graphql",
    "application/javascript",
    "application/json",
    "application/json5",
    "application/jsonl",
    "application/n-quads",
    "application/n-triples",
    "application/postscript",
    "application/rtf",
    "application/sql",
    "application/toml",
    "application/trig",
    "application/vnd.apple.mpegurl",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-httpd-php",
    "application/x-javascript",
    "application/x-ndjson",
    "application/x-sh",
    "application/x-sql",
    "application/x-subrip",
    "application/x-tex",
    "application/x-yaml",
    "application/xml",
    "application/xml-dtd",
    "application/yaml",
    "font/collection",
    "font/otf",
    "font/ttf",
    "image/svg+xml",
    "model/gltf-binary",
    "model/mtl",
    "model/obj",
    "model/step",
    "model/stl",
];

/// Whether files of this media type, in any case and with any parameters, shrink: text in its many forms,
/// WebAssembly, bare fonts. Never pictures, sound, films, archives or WOFF: they are compressed already.
pub(in crate::app) fn is_compressible(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim_ascii().as_bytes();
    let is_text = essence.first_chunk().is_some_and(|start: &[u8; 5]| start.eq_ignore_ascii_case(b"text/"));
    let is_structured = [&b"+json"[..], b"+xml", b"+text"].into_iter().any(|suffix| {
        let start = essence.len().saturating_sub(suffix.len());
        essence[start..].eq_ignore_ascii_case(suffix)
    });
    is_text
        || is_structured
        || COMPRESSIBLE.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(essence))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn decompress(coding: Coding, compressed: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        match coding {
            Coding::Brotli => brotli::Decompressor::new(compressed, 4096).read_to_end(&mut bytes).unwrap(),
            #[cfg(feature = "zstd")]
            Coding::Zstd => zstd::Decoder::new(compressed).unwrap().read_to_end(&mut bytes).unwrap(),
            #[cfg(not(feature = "zstd"))]
            Coding::Zstd => unreachable!("nobody has compressed this"),
            Coding::Gzip => GzDecoder::new(compressed).read_to_end(&mut bytes).unwrap(),
        };
        bytes
    }

    /// A page of at least `length` bytes that repeats itself as pages do.
    fn page(length: usize) -> Vec<u8> {
        let rows = (0_u64..).map(|row| {
            let number = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            format!("<tr class=\"row\"><td>{row}</td><td>{number:x}</td></tr>\n")
        });
        let mut page = Vec::new();
        for row in rows {
            page.extend_from_slice(row.as_bytes());
            if page.len() >= length {
                return page;
            }
        }
        unreachable!("rows have no end")
    }

    #[test]
    fn what_was_compressed_comes_back() {
        for (length, effort) in [(1024, Effort::Highest), (4096, Effort::High), (64 * 1024, Effort::Moderate)]
        {
            for coding in Coding::ALL.into_iter().filter(|coding| can_compress(*coding)) {
                let page = page(length);
                let compressed = compress(coding, &page, effort).unwrap();
                assert!(decompress(coding, &compressed) == page, "{coding:?} {effort:?}");
                assert!(is_worth_it(page.len(), compressed.len()), "{coding:?} {effort:?}");
            }
        }
    }

    #[test]
    fn the_longer_the_file_the_less_is_spent() {
        let efforts = [0, 128 * 1024, 128 * 1024 + 1, 1024 * 1024, 1024 * 1024 + 1].map(Effort::for_length);
        let (highest, high) = (Effort::Highest, Effort::High);
        assert_eq!(efforts, [highest, highest, high, high, Effort::Moderate]);
    }

    #[test]
    fn bounds_and_worth() {
        let bounds = Bounds::default();
        for (length, admitted) in
            [(0, false), (1023, false), (1024, true), (4 << 20, true), ((4 << 20) + 1, false)]
        {
            assert_eq!(bounds.admit(length), admitted, "{length}");
        }
        for (length, compressed, worth) in
            [(1600, 1500, true), (1600, 1501, false), (1600, 2000, false), (0, 0, true), (0, 1, false)]
        {
            assert_eq!(is_worth_it(length, compressed), worth, "{length} {compressed}");
        }
    }

    #[test]
    fn media_types_that_shrink() {
        assert!(COMPRESSIBLE.is_sorted_by(|a, b| a < b));
        for (media_type, shrinks) in [
            ("text/html; charset=utf-8", true),
            ("TEXT/x-anything", true),
            ("application/json", true),
            ("Application/JSON ;charset=utf-8", true),
            ("application/manifest+json", true),
            ("application/atom+xml", true),
            ("image/svg+xml", true),
            ("application/wasm", true),
            ("font/ttf", true),
            ("font/otf", true),
            ("font/woff", false),
            ("font/woff2", false),
            ("image/png", false),
            ("image/jpeg", false),
            ("video/mp4", false),
            ("audio/mpeg", false),
            ("application/zip", false),
            ("application/gzip", false),
            ("application/x-tar", false),
            ("application/pdf", false),
            ("application/octet-stream", false),
            ("text", false),
            ("xml", false),
            ("", false),
            (";text/html", false),
        ] {
            assert_eq!(is_compressible(media_type), shrinks, "{media_type:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            for coding in Coding::ALL.into_iter().filter(|coding| can_compress(*coding)) {
                let compressed = compress(coding, &bytes, Effort::Moderate).unwrap();
                prop_assert_eq!(decompress(coding, &compressed), &bytes[..]);
            }
        }
    }
}
