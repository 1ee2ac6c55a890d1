//! [`Reader`]: a small strict client. Takes bytes, gives answers; whatever is not as it must be is an error.

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// It said `Connection: close`, or its end is the connection's.
    pub(crate) closes: bool,
}

/// What came next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// `100 Continue`.
    Interim,
    /// A whole answer.
    Final(Answer),
}

/// The state between two pieces of bytes.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    unread: Vec<u8>,
    open: Option<(Answer, Framing)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    /// At a size line.
    Chunk,
    /// So many bytes and a line end are missing.
    Chunked(usize),
    Trailer,
    Close,
}

impl Reader {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// Nothing of a next answer is here.
    pub(crate) fn is_between(&self) -> bool {
        self.unread.is_empty() && self.open.is_none()
    }

    /// What came of the answer that is not complete.
    pub(crate) fn partial(&self) -> Option<&Answer> {
        self.open.as_ref().map(|(answer, _)| answer)
    }

    /// No more bytes will come: the answer that ends with them.
    pub(crate) fn end(&mut self) -> Option<Answer> {
        match self.open.take() {
            Some((answer, Framing::Close)) => Some(answer),
            open => {
                self.open = open;
                None
            }
        }
    }

    /// The next answer, if it is whole. `to_head`: the request was a HEAD.
    pub(crate) fn next(&mut self, to_head: bool) -> Result<Option<Seen>, String> {
        loop {
            let Some((answer, framing)) = &mut self.open else {
                let Some(end) = find(&self.unread, b"\r\n\r\n") else {
                    return if self.unread.len() > 16 * 1024 {
                        Err("an endless head".into())
                    } else {
                        Ok(None)
                    };
                };
                let head: Vec<u8> = self.unread.drain(..end + 4).collect();
                let (answer, framing) = parse_head(&head[..end + 2], to_head)?;
                if answer.status == 100 {
                    return Ok(Some(Seen::Interim));
                }
                self.open = Some((answer, framing));
                continue;
            };
            let unread = &mut self.unread;
            match *framing {
                Framing::Length(missing) | Framing::Chunked(missing) if missing > 0 => {
                    let count = missing.min(unread.len());
                    if count == 0 {
                        return Ok(None);
                    }
                    answer.body.extend(unread.drain(..count));
                    *framing = match *framing {
                        Framing::Length(_) => Framing::Length(missing - count),
                        _ => Framing::Chunked(missing - count),
                    };
                }
                Framing::Length(_) => return Ok(self.finish()),
                Framing::Chunked(_) => {
                    if unread.len() < 2 {
                        return Ok(None);
                    }
                    if !unread.starts_with(b"\r\n") {
                        return Err("a chunk does not end with CR LF".into());
                    }
                    unread.drain(..2);
                    *framing = Framing::Chunk;
                }
                Framing::Chunk => {
                    let Some(line) = line(unread)? else { return Ok(None) };
                    let text = String::from_utf8(line).map_err(|_| "a size that is no text")?;
                    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                        return Err(format!("a chunk of size {text:?}"));
                    }
                    let size = usize::from_str_radix(&text, 16).map_err(|error| error.to_string())?;
                    *framing = if size == 0 { Framing::Trailer } else { Framing::Chunked(size) };
                }
                Framing::Trailer => match line(unread)? {
                    None => return Ok(None),
                    Some(line) if line.is_empty() => return Ok(self.finish()),
                    Some(line) if line.contains(&b':') => {}
                    Some(_) => return Err("a trailer without a colon".into()),
                },
                Framing::Close => {
                    answer.body.append(unread);
                    return Ok(None);
                }
            }
        }
    }

    fn finish(&mut self) -> Option<Seen> {
        self.open.take().map(|(answer, _)| Seen::Final(answer))
    }
}

/// Takes a line that ends with CR LF.
fn line(unread: &mut Vec<u8>) -> Result<Option<Vec<u8>>, String> {
    let Some(end) = find(unread, b"\r\n") else {
        return if unread.len() > 4096 { Err("an endless line".into()) } else { Ok(None) };
    };
    let line = unread[..end].to_vec();
    unread.drain(..end + 2);
    Ok(Some(line))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Parses a head whose lines all end with CR LF. RFC 9112 §4, §5, §6.3.
fn parse_head(head: &[u8], to_head: bool) -> Result<(Answer, Framing), String> {
    let text = std::str::from_utf8(head).map_err(|_| "a head that is no text")?;
    let wrong = |what: &str| format!("{what}: {text:?}");
    let mut lines = text.split_terminator("\r\n");
    let status_line = lines.next().ok_or_else(|| wrong("no status line"))?;
    let (version, rest) = status_line.split_once(' ').ok_or_else(|| wrong("a status line"))?;
    let (code, _reason) = rest.split_once(' ').ok_or_else(|| wrong("no reason"))?;
    if version != "HTTP/1.1" || code.len() != 3 {
        return Err(wrong("a status line"));
    }
    let status: u16 = code.parse().map_err(|_| wrong("a status"))?;
    let mut answer = Answer { status, ..Answer::default() };
    let (mut length, mut is_chunked, mut dates) = (None, false, 0);
    for line in lines {
        let (name, value) = line.split_once(": ").ok_or_else(|| wrong("a field"))?;
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if name.is_empty() || !name.bytes().all(is_token) || value.trim() != value {
            return Err(wrong("a field"));
        }
        match name.to_ascii_lowercase().as_str() {
            "content-length" if length.is_none() => {
                length = Some(value.parse::<usize>().map_err(|_| wrong("a length"))?);
            }
            "content-length" => return Err(wrong("two lengths")),
            "transfer-encoding" if value == "chunked" && !is_chunked => is_chunked = true,
            "transfer-encoding" => return Err(wrong("a coding")),
            "connection" if value == "close" => answer.closes = true,
            "connection" if value == "keep-alive" => {}
            "connection" => return Err(wrong("a connection option")),
            "date" => dates += 1,
            _ => {}
        }
    }
    if status == 100 {
        return if length.is_none() && !is_chunked {
            Ok((answer, Framing::Length(0)))
        } else {
            Err(wrong("100"))
        };
    }
    if dates != 1 {
        return Err(wrong("not one Date"));
    }
    let bare = status == 204 || status == 304;
    let framing = match (length, is_chunked) {
        (Some(_), true) => return Err(wrong("length and chunked")),
        (Some(1..), _) | (_, true) if status == 204 => return Err(wrong("204 with a body")),
        _ if to_head || bare => Framing::Length(0),
        (Some(length), _) => Framing::Length(length),
        (None, true) => Framing::Chunk,
        (None, false) if answer.closes => Framing::Close,
        (None, false) => return Err(wrong("no framing")),
    };
    Ok((answer, framing))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Date: x\r\n";

    fn read(text: &str) -> Result<Vec<Seen>, String> {
        let mut reader = Reader::default();
        let mut seen = Vec::new();
        for byte in text.replace("Date\r\n", DATE).bytes() {
            reader.feed(&[byte]);
            seen.extend(reader.next(false)?);
        }
        Ok(seen)
    }

    #[test]
    fn answers_are_told_apart() {
        let seen = read(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nDate\r\nContent-Length: 2\r\n\r\nhi\
             HTTP/1.1 200 OK\r\nDate\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nho\r\n0\r\n\r\n",
        );
        let [Seen::Interim, Seen::Final(first), Seen::Final(second)] = &seen.unwrap()[..] else { panic!() };
        assert_eq!((&first.body[..], &second.body[..]), (&b"hi"[..], &b"ho"[..]));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for wrong in [
            "HTTP/1.1 200 OK\r\nDate\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200\r\nDate\r\n\r\n",
            "HTTP/1.1 200 OK\r\nDate\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 204 No Content\r\nDate\r\nContent-Length: 3\r\n\r\n",
            "HTTP/1.1 200 OK\r\nDate\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhoho\r\n",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
