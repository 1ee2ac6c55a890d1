//! [`Speaker`]: a client of HTTP/2 that says frames as lines of text, and hears what it waits for.
//!
//! It has shaken hands when it begins; nothing that it hears is checked or acknowledged by itself.

use std::io::{Read, Write};
use std::net::TcpStream;

use kolk::Running;

use crate::frame::{DATA, END_STREAM, Frame, HEAD_BYTES, bytes_of};
use crate::support::{PATIENCE, address};

/// A connection.
pub(crate) struct Speaker {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

impl Speaker {
    pub(crate) fn to(server: &Running) -> Self {
        let stream = TcpStream::connect_timeout(&address(server), PATIENCE).expect("it connects");
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a TCP socket");
        let mut client = Self { stream, unread: Vec::new() };
        client.say("PREFACE | SETTINGS | SETTINGS ACK");
        client
    }

    pub(crate) fn say(&mut self, line: &str) {
        self.stream.write_all(&bytes_of(line)).expect("the server reads");
    }

    /// The next frame that is so.
    pub(crate) fn until(&mut self, mut is_so: impl FnMut(&Frame) -> bool) -> Frame {
        loop {
            while let Some(frame) = Frame::parse(&self.unread) {
                self.unread.drain(..HEAD_BYTES + frame.payload.len());
                if is_so(&frame) {
                    return frame;
                }
            }
            let mut bytes = [0; 4_096];
            let count = self.stream.read(&mut bytes).expect("it says something");
            assert!(count > 0, "the connection ended before it was so");
            self.unread.extend_from_slice(&bytes[..count]);
        }
    }

    /// The content of the answer on `stream`, up to its end.
    pub(crate) fn content(&mut self, stream: u32) -> String {
        let mut content = Vec::new();
        self.until(|frame| {
            let is_its = frame.stream == stream && frame.kind == DATA;
            if is_its {
                content.extend_from_slice(&frame.payload);
            }
            is_its && frame.is(END_STREAM)
        });
        String::from_utf8(content).expect("a text")
    }
}
