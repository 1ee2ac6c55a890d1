//! [`Script`]: what a client of HTTP/2 may say next, by a model of its streams; now and then it says
//! something else.

use super::choices::Choices;
use super::frames::client::Client;
use super::frames::frame::*;

/// What comes next.
pub(crate) enum Step {
    Bytes(Vec<u8>),
    /// What the handler does.
    Order(String),
}

/// What the client knows of its streams.
pub(crate) struct Script {
    next: u32,
    /// Those whose requests go on.
    open: Vec<u32>,
    /// All that were used.
    used: Vec<u32>,
    /// The table of HPACK has a field.
    has_entry: bool,
    /// Handlers take part, and windows are small.
    has_orders: bool,
}

impl Script {
    pub(crate) fn new(has_orders: bool) -> Self {
        Self { next: 1, open: Vec::new(), used: Vec::new(), has_entry: false, has_orders }
    }

    pub(crate) fn step(&mut self, choices: &mut Choices<'_>, client: &Client) -> Step {
        if self.has_orders && choices.chance(15) {
            return Step::Order(order(choices, client));
        }
        let mut bytes = match choices.below(40) {
            _ if self.used.is_empty() => self.request(choices),
            0..=13 => self.request(choices),
            14..=23 => self.content(choices, client),
            24 | 25 => self.trailer(choices),
            26 | 27 => {
                let id = self.known(choices);
                self.open.retain(|open| *open != id);
                Frame::new(RST_STREAM, 0, id, 8_u32.to_be_bytes()).bytes()
            }
            28..=32 => self.window(choices),
            33 | 34 => self.settings(choices),
            35 => Frame::new(PING, choices.pick(&[0, 0, 0, ACK]), 0, *b"12345678").bytes(),
            36 => bytes_of(&format!("PRIORITY {} DEPENDS={}", self.known(choices), self.next)),
            37 | 38 => {
                let text = choices.pick(&["u=0", "u=7, i", "i", "what?"]);
                bytes_of(&format!("PRIORITY_UPDATE STREAM={} \"{text}\"", self.known(choices)))
            }
            _ => self.rare(choices),
        };
        if choices.chance(1) {
            spoil(&mut bytes, choices);
        }
        Step::Bytes(bytes)
    }

    fn request(&mut self, choices: &mut Choices<'_>) -> Vec<u8> {
        let id = self.next;
        self.next += choices.pick(&[2, 2, 2, 2, 2, 4, 100]);
        self.used.push(id);
        let paths = ["/", "/late", "/early", "/hold", "/stream", "/asleep", "/fails", "/empty", "/hold/late"];
        let more = ["/body/20000", "/body/100", "/early/body/70000", "/late/body/70000", "/close", "/panic"];
        let path =
            if self.has_orders && choices.chance(40) { choices.pick(&more) } else { choices.pick(&paths) };
        let method = choices.pick(&["GET", "POST", "HEAD", "PUT"]);
        let mut words = format!("{method}={path}");
        for field in [
            "te=trailers",
            "priority=u=1",
            "priority=i",
            "expect=100-continue",
            "cookie=a=b",
            "cookie=c=d",
            "#4001610162",
            "a=\"some text\"",
        ] {
            if choices.chance(10) {
                words += &format!(" {field}");
                self.has_entry |= field.starts_with('#');
            }
        }
        if self.has_entry && choices.chance(50) {
            words += " #be";
        }
        if choices.chance(4) {
            words += " content-length=10";
        }
        let ends = choices.chance(50);
        if !ends {
            self.open.push(id);
        }
        let frame =
            Frame::new(HEADERS, if ends { END_STREAM } else { 0 }, id, bytes_of(&format!("RAW {words}")));
        self.block(frame, choices)
    }

    /// A block of fields in one frame or several, with all that may come along.
    fn block(&self, mut frame: Frame, choices: &mut Choices<'_>) -> Vec<u8> {
        let mut rest = Vec::new();
        if choices.chance(15) {
            for _ in 0..=choices.below(2) {
                let at = frame.payload.len() * choices.below(5) / 4;
                let piece = frame.payload.split_off(at);
                rest.insert(0, Frame::new(CONTINUATION, 0, frame.stream, piece));
            }
        }
        rest.last_mut().unwrap_or(&mut frame).flags |= END_HEADERS;
        if choices.chance(10) {
            frame = frame.depends_on(self.next);
        }
        frame = pad(frame, choices);
        rest.insert(0, frame);
        rest.iter().flat_map(Frame::bytes).collect()
    }

    fn content(&mut self, choices: &mut Choices<'_>, client: &Client) -> Vec<u8> {
        if self.open.is_empty() {
            return self.request(choices);
        }
        let place = choices.below(self.open.len().min(200));
        let id = self.open[place];
        // What waits to be sent is not in the account yet.
        let allowance = usize::try_from(client.witness.allowance(id) / 4).unwrap_or(0);
        let length = choices.pick(&[0, 1, 5, 10, 100, 900, 16_100]).min(allowance);
        let length = if self.has_orders { length } else { 10 };
        let ends = choices.chance(40);
        if ends {
            self.open.remove(place);
        }
        let frame = Frame::new(DATA, if ends { END_STREAM } else { 0 }, id, vec![b'x'; length]);
        pad(frame, choices).bytes()
    }

    fn trailer(&mut self, choices: &mut Choices<'_>) -> Vec<u8> {
        let Some(id) = self.open.pop() else { return self.request(choices) };
        let words =
            choices.pick(&["RAW a=b", "RAW", "RAW a=b c=d", "RAW content-length=5 a=b", "RAW :path=/"]);
        let ends = if choices.chance(90) { END_STREAM } else { 0 };
        self.block(Frame::new(HEADERS, ends, id, bytes_of(words)), choices)
    }

    fn window(&self, choices: &mut Choices<'_>) -> Vec<u8> {
        let increment = choices.pick(&[1, 10, 1_000, 1_000, 10_000, 100_000]);
        let id = if choices.chance(50) { 0 } else { self.known(choices) };
        bytes_of(&format!("WINDOW_UPDATE {id} +{increment}"))
    }

    fn settings(&self, choices: &mut Choices<'_>) -> Vec<u8> {
        let small = ["INITIAL_WINDOW_SIZE=0", "INITIAL_WINDOW_SIZE=7", "INITIAL_WINDOW_SIZE=1000"];
        let usual = ["INITIAL_WINDOW_SIZE=65535", "MAX_FRAME_SIZE=20000", "HEADER_TABLE_SIZE=0"];
        let more = ["HEADER_TABLE_SIZE=4096", "HEADER_TABLE_SIZE=100", "INITIAL_WINDOW_SIZE=2147483647"];
        let mut words = String::from("SETTINGS");
        for _ in 0..choices.below(3) {
            words.push(' ');
            words += match choices.below(3) {
                0 if self.has_orders => choices.pick(&small),
                1 => choices.pick(&more),
                _ => choices.pick(&usual),
            };
        }
        bytes_of(&words)
    }

    fn rare(&self, choices: &mut Choices<'_>) -> Vec<u8> {
        let id = self.known(choices);
        bytes_of(&match choices.below(8) {
            0 => "GOAWAY STREAM=0 NO_ERROR \"enough\"".to_owned(),
            1 => format!("KIND=0x63 {id} \"?\""),
            2 => format!("DATA {id} \"late\""),
            3 => format!("HEADERS {id} END_STREAM END_HEADERS a=b"),
            4 => format!("WINDOW_UPDATE {id} +0"),
            5 => "WINDOW_UPDATE 0 +2147000000".to_owned(),
            6 => "SETTINGS ACK".to_owned(),
            _ => "PING ACK \"farewell\"".to_owned(),
        })
    }

    /// A stream that was used lately.
    fn known(&self, choices: &mut Choices<'_>) -> u32 {
        choices.pick(&self.used[self.used.len().saturating_sub(8)..])
    }
}

/// What the handler does with one of its streams.
fn order(choices: &mut Choices<'_>, client: &Client) -> String {
    let streams: Vec<u32> = client.streams().collect();
    let stream = streams.get(choices.below(streams.len().clamp(1, 200))).copied().unwrap_or(1);
    match choices.below(20) {
        0 => "drain".to_owned(),
        1 => "leave".to_owned(),
        2 | 3 => "seconds 1".to_owned(),
        4 => format!("ghosts {}", choices.below(4)),
        5..=9 => format!("wake {stream}"),
        10..=14 => format!("use {stream}"),
        _ => format!("answer {stream}"),
    }
}

fn pad(frame: Frame, choices: &mut Choices<'_>) -> Frame {
    if choices.chance(85) {
        return frame;
    }
    let length = choices.pick(&[0, 1, 9, 255]);
    frame.padded(length, usize::from(length))
}

/// Changes a byte, or leaves some out.
fn spoil(bytes: &mut Vec<u8>, choices: &mut Choices<'_>) {
    let at = bytes.len() * choices.below(256) / 256;
    match choices.below(4) {
        0 => bytes[at] = u8::try_from(choices.below(256)).unwrap(),
        1 => bytes[at] ^= 1 << choices.below(8),
        2 => bytes.truncate(at),
        _ => bytes[4] ^= 1 << choices.below(8),
    }
}
