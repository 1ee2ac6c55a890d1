//! The media types of files, by the end of their names.

/// What a file is whose name ends in none of the [`TYPES`].
const UNKNOWN: &str = "application/octet-stream";

/// By extension, in lower case, sorted.
const TYPES: &[(&str, &str)] = &[
    ("aac", "audio/aac"),
    ("apng", "image/apng"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("br", "application/x-brotli"),
    ("bz2", "application/x-bzip2"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("epub", "application/epub+zip"),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("ics", "text/calendar; charset=utf-8"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("jsonld", "application/ld+json"),
    ("m4a", "audio/mp4"),
    ("map", "application/json"),
    ("md", "text/markdown; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("rss", "application/rss+xml"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("toml", "application/toml"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml"),
    ("xml", "application/xml"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// The media type of a file with this name.
pub(super) fn type_of(file_name: &str) -> &'static str {
    let Some((_, extension)) = file_name.rsplit_once('.') else { return UNKNOWN };
    let lower = extension.to_ascii_lowercase();
    TYPES.binary_search_by_key(&&*lower, |(known, _)| known).map_or(UNKNOWN, |place| TYPES[place].1)
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    #[test]
    fn the_table_is_sorted_and_well_formed() {
        assert!(TYPES.is_sorted_by(|(a, _), (b, _)| a < b));
        for (_, media_type) in TYPES {
            assert!(HeaderValue::from_str(media_type).is_ok() && media_type.contains('/'));
        }
    }

    #[test]
    fn the_last_extension_counts_in_any_case() {
        assert_eq!(type_of("a.HTML"), "text/html; charset=utf-8");
        assert_eq!(type_of("a.tar.gz"), "application/gzip");
        for unknown in ["html", "a.", "a.exe", ""] {
            assert_eq!(type_of(unknown), UNKNOWN);
        }
    }
}
