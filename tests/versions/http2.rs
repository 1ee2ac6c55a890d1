//! [`Http2`]: a plain client of HTTP/2 over any stream of bytes: one exchange at a time, nothing forgiven.
//!
//! ```text
//!  HEADERS [CONTINUATION] ─► (100) ─► DATA as the windows allow ─► [HEADERS]  ──► the answer, to its end
//! ```
//! It says what it is told and gives each byte of credit back. Knows no server.

use std::io::{Read, Write};

use crate::table::{Content, Exchange};
use crate::{Heard, Pairs};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PAYLOAD_BYTES_MAX: usize = 16 * 1024;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// A connection.
pub(crate) struct Http2<S> {
    stream: S,
    scheme: &'static str,
    encoder: loona_hpack::Encoder<'static>,
    decoder: loona_hpack::Decoder<'static>,
    next: u32,
    /// What may be sent: on the connection, at first on a stream, on the present stream.
    window: i64,
    first_window: i64,
    stream_window: i64,
    /// The server takes no further requests.
    pub(crate) is_leaving: bool,
}

/// What came of the present stream so far.
#[derive(Default)]
struct Answer {
    heard: Heard,
    is_ended: bool,
}

impl<S: Read + Write> Http2<S> {
    /// Says the preface, and nothing of interest in its settings.
    pub(crate) fn over(mut stream: S, scheme: &'static str) -> Self {
        stream.write_all(PREFACE).expect("the server reads");
        let mut client = Self {
            stream,
            scheme,
            encoder: loona_hpack::Encoder::new(),
            decoder: loona_hpack::Decoder::new(),
            next: 1,
            window: 65_535,
            first_window: 65_535,
            stream_window: 0,
            is_leaving: false,
        };
        client.frame(SETTINGS, 0, 0, &[]);
        client
    }

    /// Asks, and hears the whole answer.
    pub(crate) fn exchange(&mut self, exchange: &Exchange) -> Heard {
        let id = self.next;
        self.next += 2;
        self.stream_window = self.first_window;
        let mut answer = Answer::default();
        self.head(id, exchange);
        if exchange.expects() {
            while answer.heard.statuses.is_empty() && !answer.is_ended {
                self.hear(id, &mut answer);
            }
        }
        self.content(id, exchange, &mut answer);
        while !answer.is_ended {
            self.hear(id, &mut answer);
        }
        answer.heard
    }

    fn head(&mut self, id: u32, exchange: &Exchange) {
        let mut fields = vec![(":method".to_owned(), exchange.method.clone())];
        fields.push((":scheme".to_owned(), self.scheme.to_owned()));
        fields.push((":authority".to_owned(), exchange.host.clone()));
        fields.push((":path".to_owned(), exchange.target.clone()));
        fields.extend(exchange.fields.iter().cloned());
        if let Content::Whole(body) = &exchange.content {
            fields.push(("content-length".to_owned(), body.len().to_string()));
        }
        let ends = matches!(exchange.content, Content::Nothing);
        self.block(id, &fields, if ends { END_STREAM } else { 0 });
    }

    /// A header block in as many frames as it needs.
    fn block(&mut self, id: u32, fields: &[(String, String)], flags: u8) {
        let fields: Pairs = fields.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
        let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let block = self.encoder.encode(fields);
        let last = block.chunks(PAYLOAD_BYTES_MAX).count() - 1;
        for (at, piece) in block.chunks(PAYLOAD_BYTES_MAX).enumerate() {
            let kind = if at == 0 { HEADERS } else { CONTINUATION };
            let flags = if at == 0 { flags } else { 0 };
            self.frame(kind, flags | if at == last { END_HEADERS } else { 0 }, id, piece);
        }
    }

    fn content(&mut self, id: u32, exchange: &Exchange, answer: &mut Answer) {
        let (pieces, trailer): (Vec<&[u8]>, _) = match &exchange.content {
            Content::Nothing => return,
            Content::Whole(body) => (vec![body], None),
            Content::Pieces(pieces, trailer) => (pieces.iter().map(Vec::as_slice).collect(), Some(trailer)),
        };
        let trailer = trailer.filter(|fields| !fields.is_empty());
        for piece in pieces {
            self.piece(id, piece, answer);
        }
        match trailer {
            // The answer was there before the end of the question.
            _ if answer.is_ended => {}
            Some(fields) => self.block(id, fields, END_STREAM),
            None => self.frame(DATA, END_STREAM, id, &[]),
        }
    }

    fn piece(&mut self, id: u32, mut piece: &[u8], answer: &mut Answer) {
        while !piece.is_empty() && !answer.is_ended {
            let room = usize::try_from(self.window.min(self.stream_window)).unwrap_or(0);
            let count = room.min(PAYLOAD_BYTES_MAX).min(piece.len());
            if count == 0 {
                self.hear(id, answer);
                continue;
            }
            self.frame(DATA, 0, id, &piece[..count]);
            self.window -= count as i64;
            self.stream_window -= count as i64;
            piece = &piece[count..];
        }
    }

    fn frame(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a payload").to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(id.to_be_bytes());
        frame.extend(payload);
        self.stream.write_all(&frame).expect("the server reads");
    }

    fn read(&mut self) -> (u8, u8, u32, Vec<u8>) {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).expect("a frame");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        assert!(length <= PAYLOAD_BYTES_MAX, "a frame of {length} bytes");
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).expect("a whole frame");
        (head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload)
    }

    /// Takes one frame.
    fn hear(&mut self, id: u32, answer: &mut Answer) {
        let (kind, flags, stream, payload) = self.read();
        match kind {
            SETTINGS if flags & ACK == 0 => {
                for entry in payload.chunks(6) {
                    if u16::from_be_bytes([entry[0], entry[1]]) == INITIAL_WINDOW_SIZE {
                        let size = i64::from(number(&entry[2..]));
                        self.stream_window += size - self.first_window;
                        self.first_window = size;
                    }
                }
                self.frame(SETTINGS, ACK, 0, &[]);
            }
            PING if flags & ACK == 0 => self.frame(PING, ACK, 0, &payload),
            WINDOW_UPDATE if stream == 0 => self.window += i64::from(number(&payload)),
            WINDOW_UPDATE if stream == id => self.stream_window += i64::from(number(&payload)),
            GOAWAY => {
                assert_eq!(number(&payload[4..]), 0, "{}", String::from_utf8_lossy(&payload[8..]));
                self.is_leaving = true;
            }
            RST_STREAM if stream == id => {
                answer.heard.reset = (!answer.is_ended).then(|| number(&payload));
                answer.is_ended = true;
            }
            HEADERS => {
                assert_eq!(stream, id);
                self.hear_head(flags, payload, answer);
            }
            DATA => {
                assert_eq!(stream, id);
                assert_eq!(answer.heard.trailer, [], "content behind the trailer");
                if !payload.is_empty() {
                    let increment = u32::try_from(payload.len()).expect("a payload").to_be_bytes();
                    self.frame(WINDOW_UPDATE, 0, 0, &increment);
                    if flags & END_STREAM == 0 {
                        self.frame(WINDOW_UPDATE, 0, id, &increment);
                    }
                }
                answer.heard.body.extend(payload);
                answer.is_ended = flags & END_STREAM != 0;
            }
            _ => {}
        }
    }

    fn hear_head(&mut self, flags: u8, mut block: Vec<u8>, answer: &mut Answer) {
        let mut is_whole = flags & END_HEADERS != 0;
        while !is_whole {
            let (kind, flags, _, more) = self.read();
            assert_eq!(kind, CONTINUATION);
            block.extend(more);
            is_whole = flags & END_HEADERS != 0;
        }
        let fields = self.decoder.decode(&block).expect("a header block");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut fields: Pairs = fields.iter().map(|(name, value)| (text(name), text(value))).collect();
        let heard = &mut answer.heard;
        match fields.first() {
            Some((name, status)) if name == ":status" => {
                heard.statuses.push(status.parse().expect("a status"));
                heard.fields = fields.split_off(1);
            }
            _ => heard.trailer = fields,
        }
        answer.is_ended = flags & END_STREAM != 0;
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(*bytes.first_chunk().expect("four bytes")) & 0x7FFF_FFFF
}
