//! [`MediaTypes`]: the media types of files, by the end of their names. RFC 9110 §8.3.
//!
//! ```text
//!  name ─► last extension, in lower case ─► added or changed by the user ─► TYPES ─► UNKNOWN
//! ```
//! Invariant: every type is well formed and lives as long as the program, so that answers borrow it. Looks at
//! names alone, never into files.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use ::http::HeaderValue;

use crate::http::is_token;

/// What a file is whose extension is not known.
const UNKNOWN: &str = "application/octet-stream";
/// A longer extension is not known, in bytes.
const EXTENSION_BYTES_MAX: usize = 16;

/// The media types of files: a table of the usual ones, and what the user says.
///
/// A type that is added lives as long as the program, once however often it is added: the answers of all
/// requests borrow it, as they do those of the table.
#[derive(Clone, Debug, Default)]
pub(super) struct MediaTypes {
    own: BTreeMap<Box<str>, &'static str>,
}

impl MediaTypes {
    /// The same types, but files whose name ends in `extension` (with or without its dot, in any case) are
    /// `media_type`, with its parameters.
    ///
    /// # Errors
    /// If no name can end so, or if this is no media type.
    pub(super) fn with(mut self, extension: &str, media_type: &str) -> Result<Self, MediaTypeError> {
        let bare = extension.strip_prefix('.').unwrap_or(extension);
        if bare.is_empty() || bare.len() > EXTENSION_BYTES_MAX || bare.contains(['.', '/', '\0']) {
            return Err(MediaTypeError::Extension(extension.to_owned()));
        }
        if !is_media_type(media_type) {
            return Err(MediaTypeError::MediaType(media_type.to_owned()));
        }
        self.own.insert(bare.to_ascii_lowercase().into(), lasting(media_type));
        Ok(self)
    }

    /// The media type of a file with this name, with or without its directories.
    pub(super) fn of(&self, file_name: &str) -> &'static str {
        let mut lower = [0; EXTENSION_BYTES_MAX];
        let Some(extension) = extension(file_name, &mut lower) else { return UNKNOWN };
        self.own.get(extension).copied().or_else(|| listed(extension)).unwrap_or(UNKNOWN)
    }
}

/// A media type cannot be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MediaTypeError {
    /// No name of a file ends in this extension.
    Extension(String),
    /// This is no media type.
    MediaType(String),
}

impl fmt::Display for MediaTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Extension(extension) => write!(
                f,
                "{extension:?} is no extension: write what follows the last dot of a file's name, at most \
                 {EXTENSION_BYTES_MAX} bytes, as in \"md\""
            ),
            Self::MediaType(media_type) => {
                write!(f, "{media_type:?} is no media type: write one as in \"text/markdown; charset=utf-8\"")
            }
        }
    }
}

impl Error for MediaTypeError {}

/// What follows the last dot of a name, in lower case; written to `lower`.
fn extension<'l>(file_name: &str, lower: &'l mut [u8; EXTENSION_BYTES_MAX]) -> Option<&'l str> {
    let (_, extension) = file_name.rsplit_once('.')?;
    let lower = lower.get_mut(..extension.len())?;
    lower.copy_from_slice(extension.as_bytes());
    lower.make_ascii_lowercase();
    std::str::from_utf8(lower).ok()
}

fn listed(extension: &str) -> Option<&'static str> {
    let place = TYPES.binary_search_by_key(&extension, |(known, _)| known).ok()?;
    Some(TYPES[place].1)
}

/// `type "/" subtype *( OWS ";" … )`. RFC 9110 §8.3.1. What the parameters say is not judged.
fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim_ascii_end();
    let is_named = essence
        .split_once('/')
        .is_some_and(|(kind, subtype)| is_token(kind.as_bytes()) && is_token(subtype.as_bytes()));
    is_named && text.is_ascii() && HeaderValue::from_str(text).is_ok()
}

/// The same text for the rest of the program. Each is kept once, so a configuration that is read again and
/// again takes no more memory.
fn lasting(media_type: &str) -> &'static str {
    static KEPT: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    if let Some((_, known)) = TYPES.iter().find(|(_, known)| *known == media_type) {
        return known;
    }
    // Nothing that is done under the lock leaves the set half changed.
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.get(media_type).copied().unwrap_or_else(|| {
        let lasting: &'static str = Box::leak(media_type.into());
        kept.insert(lasting);
        lasting
    })
}

/// By extension, in lower case, sorted. Text is UTF-8: a browser must not guess.
const TYPES: &[(&str, &str)] = &[
    ("3gp", "video/3gpp"),
    ("3gpp", "video/3gpp"),
    ("7z", "application/x-7z-compressed"),
    ("aac", "audio/aac"),
    ("ai", "application/postscript"),
    ("aif", "audio/aiff"),
    ("aiff", "audio/aiff"),
    ("apk", "application/vnd.android.package-archive"),
    ("apng", "image/apng"),
    ("asc", "text/plain; charset=utf-8"),
    ("atom", "application/atom+xml"),
    ("avi", "video/x-msvideo"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("br", "application/x-brotli"),
    ("bz2", "application/x-bzip2"),
    ("c", "text/x-c; charset=utf-8"),
    ("cc", "text/x-c; charset=utf-8"),
    ("cer", "application/pkix-cert"),
    ("cjs", "text/javascript; charset=utf-8"),
    ("conf", "text/plain; charset=utf-8"),
    ("cpp", "text/x-c; charset=utf-8"),
    ("crl", "application/pkix-crl"),
    ("crt", "application/x-x509-ca-cert"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("cur", "image/x-icon"),
    ("deb", "application/vnd.debian.binary-package"),
    ("der", "application/x-x509-ca-cert"),
    ("dmg", "application/x-apple-diskimage"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("dtd", "application/xml-dtd"),
    ("eot", "application/vnd.ms-fontobject"),
    ("eps", "application/postscript"),
    ("epub", "application/epub+zip"),
    ("f4v", "video/mp4"),
    ("flac", "audio/flac"),
    ("flv", "video/x-flv"),
    ("geojson", "application/geo+json"),
    ("gif", "image/gif"),
    ("glb", "model/gltf-binary"),
    ("gltf", "model/gltf+json"),
    ("go", "text/x-go; charset=utf-8"),
    ("gpx", "application/gpx+xml"),
    ("gql", "application/graphql"),
    ("graphql", "application/graphql"),
    ("gz", "application/gzip"),
    ("h", "text/x-c; charset=utf-8"),
    ("heic", "image/heic"),
    ("heics", "image/heic-sequence"),
    ("heif", "image/heif"),
    ("hpp", "text/x-c; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("ics", "text/calendar; charset=utf-8"),
    ("ini", "text/plain; charset=utf-8"),
    ("iso", "application/x-iso9660-image"),
    ("jar", "application/java-archive"),
    ("java", "text/x-java; charset=utf-8"),
    ("jfif", "image/jpeg"),
    ("jp2", "image/jp2"),
    ("jpe", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("json5", "application/json5"),
    ("jsonl", "application/jsonl"),
    ("jsonld", "application/ld+json"),
    ("jsx", "text/jsx; charset=utf-8"),
    ("jxl", "image/jxl"),
    ("key", "application/vnd.apple.keynote"),
    ("kml", "application/vnd.google-earth.kml+xml"),
    ("kmz", "application/vnd.google-earth.kmz"),
    ("log", "text/plain; charset=utf-8"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4a", "audio/mp4"),
    ("m4s", "video/iso.segment"),
    ("m4v", "video/mp4"),
    ("map", "application/json"),
    ("markdown", "text/markdown; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
    ("mid", "audio/midi"),
    ("midi", "audio/midi"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mka", "audio/x-matroska"),
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("mpd", "application/dash+xml"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpeg"),
    ("msi", "application/x-msi"),
    ("mtl", "model/mtl"),
    ("ndjson", "application/x-ndjson"),
    ("nt", "application/n-triples"),
    ("obj", "model/obj"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("otf", "font/otf"),
    ("p12", "application/x-pkcs12"),
    ("p7b", "application/x-pkcs7-certificates"),
    ("pdf", "application/pdf"),
    ("pem", "application/x-pem-file"),
    ("pfx", "application/x-pkcs12"),
    ("png", "image/png"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("ps", "application/postscript"),
    ("psd", "image/vnd.adobe.photoshop"),
    ("py", "text/x-python; charset=utf-8"),
    ("qt", "video/quicktime"),
    ("rar", "application/vnd.rar"),
    ("rb", "text/x-ruby; charset=utf-8"),
    ("rdf", "application/rdf+xml"),
    ("rpm", "application/x-rpm"),
    ("rs", "text/x-rust; charset=utf-8"),
    ("rss", "application/rss+xml"),
    ("rtf", "application/rtf"),
    ("sh", "application/x-sh"),
    ("sql", "application/sql"),
    ("srt", "application/x-subrip"),
    ("stl", "model/stl"),
    ("svg", "image/svg+xml"),
    ("swf", "application/x-shockwave-flash"),
    ("tar", "application/x-tar"),
    ("text", "text/plain; charset=utf-8"),
    ("tgz", "application/gzip"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("toml", "application/toml"),
    ("torrent", "application/x-bittorrent"),
    ("ts", "video/mp2t"),
    ("tsv", "text/tab-separated-values; charset=utf-8"),
    ("tsx", "text/tsx; charset=utf-8"),
    ("ttc", "font/collection"),
    ("ttf", "font/ttf"),
    ("ttl", "text/turtle; charset=utf-8"),
    ("txt", "text/plain; charset=utf-8"),
    ("usdz", "model/vnd.usdz+zip"),
    ("vcard", "text/vcard; charset=utf-8"),
    ("vcf", "text/vcard; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("weba", "audio/webm"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("wmv", "video/x-ms-wmv"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xht", "application/xhtml+xml"),
    ("xhtml", "application/xhtml+xml"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "application/xml"),
    ("xpi", "application/x-xpinstall"),
    ("xsd", "application/xml"),
    ("xsl", "application/xslt+xml"),
    ("xslt", "application/xslt+xml"),
    ("xz", "application/x-xz"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn type_of(name: &str) -> &'static str {
        MediaTypes::default().of(name)
    }

    #[test]
    fn the_table_is_sorted_and_well_formed() {
        assert!(TYPES.is_sorted_by(|(a, _), (b, _)| a < b));
        for (extension, media_type) in TYPES {
            assert!(is_media_type(media_type), "{media_type}");
            assert!(extension.len() <= EXTENSION_BYTES_MAX && *extension == extension.to_ascii_lowercase());
            assert_eq!(type_of(&format!("a.{extension}")), *media_type);
            let (is_text, has_charset) =
                (media_type.starts_with("text/"), media_type.ends_with("; charset=utf-8"));
            assert_eq!(is_text, has_charset, "{media_type}");
        }
    }

    #[test]
    fn the_last_extension_counts_in_any_case() {
        assert_eq!(type_of("a.HTML"), "text/html; charset=utf-8");
        assert_eq!(type_of("a.tar.gz"), "application/gzip");
        assert_eq!(type_of("a.b/c.WebManifest"), "application/manifest+json");
        let long = format!("a.{}", "x".repeat(300));
        for unknown in ["html", "a.", "a.exe", "", "a.\u{e9}", "a.html/b", &long] {
            assert_eq!(type_of(unknown), UNKNOWN, "{unknown}");
        }
    }

    #[test]
    fn the_user_adds_and_changes() {
        let types = MediaTypes::default()
            .with("ts", "text/typescript; charset=utf-8")
            .and_then(|types| types.with(".Gemini", "text/gemini"))
            .and_then(|types| types.with("gemini", "text/gemini; lang=en"))
            .unwrap();
        assert_eq!(types.of("a.TS"), "text/typescript; charset=utf-8");
        assert_eq!(types.of("a.gemini"), "text/gemini; lang=en");
        assert_eq!(types.of("a.css"), "text/css; charset=utf-8");
        assert_eq!(type_of("a.ts"), "video/mp2t");
    }

    #[test]
    fn what_is_added_again_is_kept_once() {
        let add = || MediaTypes::default().with("x", "text/x-once").unwrap().of("a.x");
        assert!(std::ptr::eq(add(), add()));
        let known = MediaTypes::default().with("x", "text/css; charset=utf-8").unwrap().of("a.x");
        assert!(std::ptr::eq(known, type_of("a.css")));
    }

    #[test]
    fn what_is_no_media_type_says_so() {
        let with = |extension, media_type| MediaTypes::default().with(extension, media_type).map(|_| ());
        for extension in ["", ".", "tar.gz", "a/b", "seventeen-letters"] {
            let error = with(extension, "text/plain").unwrap_err();
            assert_eq!(error, MediaTypeError::Extension(extension.to_owned()));
        }
        for media_type in [
            "",
            "text",
            "text/",
            "/plain",
            "text/a b",
            "te xt/a",
            "text/plain\r\nX: y",
            "text/plain; a=\u{e9}",
            "a/b/c",
        ] {
            let error = with("x", media_type).unwrap_err();
            assert_eq!(error, MediaTypeError::MediaType(media_type.to_owned()));
        }
        assert_eq!(
            with("x", "markdown").unwrap_err().to_string(),
            "\"markdown\" is no media type: write one as in \"text/markdown; charset=utf-8\""
        );
        assert_eq!(
            with("tar.gz", "application/gzip").unwrap_err().to_string(),
            "\"tar.gz\" is no extension: write what follows the last dot of a file's name, at most 16 bytes, \
             as in \"md\""
        );
    }
}
