//! [`Multipart`]: a `multipart/form-data` body taken apart while it arrives. RFC 7578; RFC 2046 §5.1.1.
//!
//! ```text
//!  preamble ─► CR LF --boundary ─┬─► CR LF head CR LF CR LF ─► data ─► CR LF --boundary …
//!              (the first CR LF  └─► -- epilogue
//!               may be missing)
//! ```
//! Keeps a piece of the body and what could be a delimiter's beginning; a part's head is bounded.
//! What a file is called and where it goes is not its business.

use memchr::memmem::Finder;

/// The largest head of a part, in bytes.
const HEAD_BYTES_MAX: usize = 4 * 1024;
/// RFC 2046 §5.1.1.
const BOUNDARY_BYTES_MAX: usize = 70;
/// White space behind a delimiter, in bytes.
const PADDING_BYTES_MAX: usize = 64;

/// A body that is being taken apart.
#[derive(Debug)]
pub(super) struct Multipart {
    /// CR LF, two hyphens, the boundary.
    delimiter: Finder<'static>,
    held: Vec<u8>,
    /// What of `held` is behind us.
    at: usize,
    place: Place,
}

/// Where the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Preamble,
    /// Behind a boundary.
    Delimiter,
    Head,
    Data,
    Epilogue,
}

/// What comes next in a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'m> {
    /// A part begins.
    Head(Disposition),
    /// Some of its data, never empty.
    Data(&'m [u8]),
}

/// What the head of a part says of it. RFC 7578 §4.2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Disposition {
    /// The name of its field.
    pub(super) name: String,
    /// The name of its file, if it is one.
    pub(super) filename: Option<String>,
}

/// Why a body cannot be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

impl Multipart {
    /// The body whose `Content-Type` is this. `None` if it is no form data, or has no boundary.
    pub(super) fn of_type(content_type: &str) -> Option<Self> {
        let (media_type, params) = content_type.split_once(';')?;
        if !media_type.trim().eq_ignore_ascii_case("multipart/form-data") {
            return None;
        }
        let (_, boundary) = parameters(params)?.into_iter().find(|(name, _)| name == "boundary")?;
        // RFC 2046 §5.1.1: bchars.
        let of_boundary = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
        let is_boundary = (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len())
            && boundary.bytes().all(of_boundary)
            && !boundary.ends_with(' ');
        is_boundary.then(|| Self {
            delimiter: Finder::new(format!("\r\n--{boundary}").as_bytes()).into_owned(),
            // The body may begin with its first delimiter.
            held: b"\r\n".to_vec(),
            at: 0,
            place: Place::Preamble,
        })
    }

    /// Takes the next bytes of the body. All pieces before them must have been taken.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.held.drain(..self.at);
        self.at = 0;
        if self.place != Place::Epilogue {
            self.held.extend_from_slice(bytes);
        }
    }

    /// The next piece of what came so far.
    pub(super) fn next(&mut self) -> Result<Option<Piece<'_>>, Malformed> {
        loop {
            match self.place {
                Place::Preamble => {
                    let (_, is_end) = self.until_delimiter();
                    if !is_end {
                        return Ok(None);
                    }
                }
                Place::Delimiter => {
                    if !self.behind_delimiter()? {
                        return Ok(None);
                    }
                }
                Place::Head => return Ok(self.head()?.map(Piece::Head)),
                Place::Data => {
                    let (range, is_end) = self.until_delimiter();
                    if !range.is_empty() {
                        return Ok(Some(Piece::Data(&self.held[range])));
                    }
                    if !is_end {
                        return Ok(None);
                    }
                }
                Place::Epilogue => return Ok(None),
            }
        }
    }

    /// The body is complete.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        match self.place {
            Place::Epilogue => Ok(()),
            Place::Preamble => Err(Malformed("the boundary does not stand in the body")),
            _ => Err(Malformed("the last boundary is missing")),
        }
    }

    /// What stands before the next delimiter, as far as it is here; whether the delimiter is, too.
    fn until_delimiter(&mut self) -> (std::ops::Range<usize>, bool) {
        let from = self.at;
        let ahead = &self.held[from..];
        if let Some(found) = self.delimiter.find(ahead) {
            self.at = from + found + self.delimiter.needle().len();
            self.place = Place::Delimiter;
            return (from..from + found, true);
        }
        // The end could be the beginning of one.
        self.at = from + ahead.len().saturating_sub(self.delimiter.needle().len() - 1);
        (from..self.at, false)
    }

    /// Two hyphens, or white space and a line end; false if more must come.
    fn behind_delimiter(&mut self) -> Result<bool, Malformed> {
        let ahead = &self.held[self.at..];
        if ahead.starts_with(b"--") {
            self.place = Place::Epilogue;
            self.at = self.held.len();
            return Ok(true);
        }
        let padding = ahead.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        match &ahead[padding..] {
            _ if padding > PADDING_BYTES_MAX => {
                Err(Malformed("too much white space stands behind a boundary"))
            }
            [b'\r', b'\n', ..] => {
                // The line end stays: a head may have no lines.
                self.at += padding;
                self.place = Place::Head;
                Ok(true)
            }
            [] | [b'\r'] => Ok(false),
            [b'-'] if padding == 0 => Ok(false),
            _ => Err(Malformed("something stands behind a boundary")),
        }
    }

    fn head(&mut self) -> Result<Option<Disposition>, Malformed> {
        let ahead = &self.held[self.at..];
        let found = memchr::memmem::find(ahead, b"\r\n\r\n");
        if found.unwrap_or(ahead.len()) > HEAD_BYTES_MAX {
            return Err(Malformed("the head of a part is too large"));
        }
        let Some(end) = found else { return Ok(None) };
        let disposition = Disposition::of_head(&ahead[..end])?;
        self.at += end + 4;
        self.place = Place::Data;
        Ok(Some(disposition))
    }
}

impl Disposition {
    /// What `Content-Disposition` says in the lines of a part's head.
    fn of_head(head: &[u8]) -> Result<Self, Malformed> {
        let head = std::str::from_utf8(head).map_err(|_| Malformed("the head of a part is not UTF-8"))?;
        let mut found = None;
        for line in head.split("\r\n").filter(|line| !line.is_empty()) {
            let (name, value) =
                line.split_once(':').ok_or(Malformed("a line in a part's head has no colon"))?;
            if !name.eq_ignore_ascii_case("content-disposition") {
                continue;
            }
            let (kind, params) = value.split_once(';').unwrap_or((value, ""));
            if found.is_some() || !kind.trim().eq_ignore_ascii_case("form-data") {
                return Err(Malformed("a part is not one field of a form"));
            }
            found =
                Some(parameters(params).ok_or(Malformed("the parameters of a part are not well-formed"))?);
        }
        // RFC 7578 §4.2: `filename*` is not used.
        let mut disposition = Self::default();
        for (name, value) in found.ok_or(Malformed("a part does not say which field of the form it is"))? {
            match name.as_str() {
                "name" => disposition.name = value,
                "filename" => disposition.filename = Some(value),
                _ => {}
            }
        }
        Ok(disposition)
    }
}

/// `a=token; b="quoted"`, names in lower case.
fn parameters(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start_matches([' ', '\t', ';']);
        if text.is_empty() {
            return Some(found);
        }
        let (name, rest) = text.split_once('=')?;
        let (value, rest) = match rest.strip_prefix('"') {
            Some(rest) => quoted(rest)?,
            None => {
                let (value, rest) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
                (value.trim_end().to_owned(), rest)
            }
        };
        let rest = rest.trim_start();
        if !rest.is_empty() && !rest.starts_with(';') {
            return None;
        }
        found.push((name.trim().to_ascii_lowercase(), value));
        text = rest;
    }
}

/// The text up to the closing quote, and what is behind that. Forms escape a quote as `%22`, and older ones
/// as `\"`.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value.replace("%22", "\""), &text[at + 1..])),
            '\\' if text[at + 1..].starts_with(['"', '\\']) => value.push(chars.next()?.1),
            _ => value.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=--AaB03x";

    /// What `pieces` are taken apart into: a line for each part, or what is wrong.
    fn parts_of(pieces: &[&[u8]]) -> Result<Vec<String>, &'static str> {
        let mut body = Multipart::of_type(TYPE).unwrap();
        let mut parts: Vec<String> = Vec::new();
        for piece in pieces {
            body.feed(piece);
            while let Some(piece) = body.next().map_err(|error| error.0)? {
                match piece {
                    Piece::Head(Disposition { name, filename }) => {
                        parts.push(format!("{name} {}: ", filename.unwrap_or_else(|| "-".into())));
                    }
                    Piece::Data(bytes) => {
                        assert!(!bytes.is_empty());
                        parts.last_mut().unwrap().push_str(&bytes.escape_ascii().to_string());
                    }
                }
            }
        }
        body.end().map_err(|error| error.0)?;
        Ok(parts)
    }

    /// The same for every split into two, and byte by byte.
    #[track_caller]
    fn assert_parts(text: &str, expected: Result<&[&str], &'static str>) {
        let expected = expected.map(|parts| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>());
        let bytes = text.as_bytes();
        for at in 0..=bytes.len() {
            let (one, other) = bytes.split_at(at);
            assert_eq!(parts_of(&[one, other]), expected, "split at {at}: {text}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(parts_of(&single), expected, "byte by byte: {text}");
    }

    fn part(disposition: &str, data: &str) -> String {
        format!("----AaB03x\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{data}\r\n")
    }

    const END: &str = "----AaB03x--\r\n";

    #[test]
    fn rfc_7578_4_a_form_is_taken_apart_however_it_arrives() {
        let text = part("name=\"text\"", "Joe owes =E2=82=AC100.")
            + "----AaB03x \t\r\ncontent-type: text/plain\r\nCONTENT-DISPOSITION: form-data; \
               name=\"file\"; filename=\"a.txt\"\r\n\r\nline\r\n--\r\n----AaB03\r\n-\r\n\r\n"
            + &part("filename=b; name=file", "")
            + END
            + "epilogue ----AaB03x\r\n";
        let expected = [
            "text -: Joe owes =E2=82=AC100.",
            "file a.txt: line\\r\\n--\\r\\n----AaB03\\r\\n-\\r\\n",
            "file b: ",
        ];
        assert_parts(&text, Ok(&expected));
        assert_parts(&format!("preamble\r\n{text}"), Ok(&expected));
        assert_parts(END, Ok(&[]));
    }

    #[test]
    fn names_are_read_as_forms_write_them() {
        for (disposition, name) in [
            ("filename=\"a b;c=d.txt\"; name=f", "a b;c=d.txt"),
            ("name=\"f\"; filename=\"quote%22d\"", "quote\"d"),
            ("name=\"f\"; filename=\"quote\\\"d\\\\\"", "quote\"d\\"),
            ("name=\"f\"; filename=\"C:\\dir\\x\"", "C:\\dir\\x"),
            ("name=\"f\"; filename=\"\u{e9}%0A\"", "\u{e9}%0A"),
            ("name=\"f\"; filename=\"\"; filename*=UTF-8''evil", ""),
        ] {
            let text = part(disposition, "x") + END;
            assert_eq!(parts_of(&[text.as_bytes()]), Ok(vec![format!("f {name}: x")]), "{disposition}");
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let long = format!("----AaB03x\r\nX: {}\r\n\r\n", "x".repeat(HEAD_BYTES_MAX));
        let endless = format!("----AaB03x\r\nX: {}", "x".repeat(2 * HEAD_BYTES_MAX));
        for (text, wrong) in [
            ("", "the boundary does not stand in the body"),
            ("no boundary", "the boundary does not stand in the body"),
            ("----AaB03x", "the last boundary is missing"),
            (&part("name=a", "x"), "the last boundary is missing"),
            (&(part("name=a", "x") + "----AaB03x-"), "the last boundary is missing"),
            (&(part("name=a", "x") + "----AaB03xy\r\n"), "something stands behind a boundary"),
            ("----AaB03x\r\n\r\nx\r\n----AaB03x--", "a part does not say which field of the form it is"),
            ("----AaB03x\r\nno colon\r\n\r\n", "a line in a part's head has no colon"),
            (&part("name=\"a", ""), "the parameters of a part are not well-formed"),
            (&part("name", ""), "the parameters of a part are not well-formed"),
            (&part("name=\"a\"b", ""), "the parameters of a part are not well-formed"),
            ("----AaB03x\r\nContent-Disposition: attachment\r\n\r\n", "a part is not one field of a form"),
        ] {
            assert_parts(text, Err(wrong));
        }
        for text in [long, endless] {
            assert_eq!(parts_of(&[text.as_bytes()]), Err("the head of a part is too large"));
        }
    }

    #[test]
    fn boundaries_are_those_of_the_standard() {
        for content_type in [
            "multipart/form-data; boundary=x",
            "Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"",
            "multipart/form-data;boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
        ] {
            assert!(Multipart::of_type(content_type).is_some(), "{content_type}");
        }
        let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
        for content_type in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"a \"",
            "multipart/form-data; boundary=a\u{e9}",
            "multipart/mixed; boundary=x",
            "application/x-www-form-urlencoded; boundary=x",
            &long,
        ] {
            assert!(Multipart::of_type(content_type).is_none(), "{content_type}");
        }
    }

    #[test]
    fn little_is_kept_of_a_long_part() {
        let mut body = Multipart::of_type(TYPE).unwrap();
        body.feed((part("name=a", "").trim_end().to_owned() + "\r\n\r\n").as_bytes());
        let mut bytes = 0;
        for _ in 0..1_000 {
            body.feed(&[b'-'; 1_000]);
            while let Some(piece) = body.next().unwrap() {
                bytes += if let Piece::Data(data) = piece { data.len() } else { 0 };
            }
            assert!(body.held.len() - body.at < 100);
        }
        assert!(bytes > 999_000);
    }
}
