//! What brings a person's browser to the server: opened here (`--open`), or on a telephone (`--qr`).
//!
//! Neither is worth failing for: what does not work is warned of.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;

use kolk::service;
use qrcode::{Color, QrCode};

/// The empty margin that a reader needs, in modules (ISO/IEC 18004).
const QUIET_ZONE: usize = 4;

/// Opens `url` in the browser. Never as root: a browser would run as root.
pub(crate) fn open(url: &str) {
    if service::is_root() {
        log::warn!("--open: not as root; open {url} yourself");
        return;
    }
    let opener = if std::env::consts::OS == "macos" { "open" } else { "xdg-open" };
    let mut command = Command::new(opener);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let url = url.to_owned();
    match command.spawn() {
        Err(error) => log::warn!("--open: cannot run {opener}: {error}; open {url} yourself"),
        Ok(mut child) => {
            let wait = move || match child.wait() {
                Ok(status) if status.success() => {}
                _ => log::warn!("--open: {opener} could not open {url}"),
            };
            // Without a thread to wait it is a zombie until the program ends, and no harm.
            let _ = thread::Builder::new().name("kolk-open".into()).spawn(wait);
        }
    }
}

/// The first of `addresses` that another device can reach, as a URL.
pub(crate) fn reachable(addresses: &[String]) -> Option<String> {
    addresses.iter().find_map(|address| {
        let (scheme, at) = address.split_once("://")?;
        let at: SocketAddr = at.parse().ok()?;
        let ip = if at.ip().is_unspecified() { outward()? } else { at.ip() };
        (!ip.is_loopback()).then(|| format!("{scheme}://{}", SocketAddr::new(ip, at.port())))
    })
}

/// `text` as a QR code of half-blocks: two rows of modules are one line. `None` if it is too long for one.
///
/// Light modules are drawn and dark ones left out, as it is right on the usual dark terminal; `color` draws
/// black on white whatever the terminal is like.
pub(crate) fn qr(text: &str, color: bool) -> Option<String> {
    let code = QrCode::new(text).ok()?;
    let width = code.width();
    let modules = code.to_colors();
    let is_light = |x: usize, y: usize| {
        let (x, y) = (x.wrapping_sub(QUIET_ZONE), y.wrapping_sub(QUIET_ZONE));
        x >= width || y >= width || modules[y * width + x] == Color::Light
    };
    let side = width + 2 * QUIET_ZONE;
    let mut drawn = String::new();
    for y in (0..side).step_by(2) {
        drawn.push_str(if color { "\x1b[97;40m" } else { "" });
        drawn.extend((0..side).map(|x| match (is_light(x, y), y + 1 >= side || is_light(x, y + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        }));
        drawn.push_str(if color { "\x1b[0m\n" } else { "\n" });
    }
    Some(drawn)
}

/// The address that this machine would use to reach others. Nothing is sent: an address of RFC 5737 is only
/// looked up in the routing table.
fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|at| at.ip()).filter(|ip| !ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(addresses: &[&str]) -> Option<String> {
        reachable(&addresses.iter().map(|address| (*address).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn another_device_needs_an_address_of_the_network() {
        assert_eq!(text(&["http://127.0.0.1:80", "unix:/a", "http://[::1]:80"]), None);
        assert_eq!(text(&["http://127.0.0.1:80", "http://192.0.2.7:8080"]).unwrap(), "http://192.0.2.7:8080");
    }

    /// The symbol for `http://192.168.1.5:8080`, in modules, from the drawing.
    fn modules(drawn: &str) -> Vec<Vec<bool>> {
        let mut rows = Vec::new();
        for line in drawn.lines() {
            rows.push(line.chars().map(|half| matches!(half, '▄' | ' ')).collect());
            rows.push(line.chars().map(|half| matches!(half, '▀' | ' ')).collect());
        }
        rows
    }

    #[test]
    fn a_code_has_its_finders_its_margin_and_its_content() {
        let url = "http://192.168.1.5:8080";
        let drawn = modules(&qr(url, false).unwrap());
        let side = drawn[0].len();
        assert_eq!(side, 25 + 2 * QUIET_ZONE, "version 2 has room for 26 bytes at level M");
        let finder = ["#######", "#.....#", "#.###.#", "#.###.#", "#.###.#", "#.....#", "#######"];
        for (left, top) in [(0, 0), (18, 0), (0, 18)] {
            for (y, row) in finder.iter().enumerate() {
                for (x, dark) in row.chars().enumerate() {
                    let at = drawn[QUIET_ZONE + top + y][QUIET_ZONE + left + x];
                    assert_eq!(at, dark == '#', "finder {left},{top} at {x},{y}");
                }
            }
        }
        assert!(drawn[..QUIET_ZONE].iter().flatten().all(|dark| !dark), "the margin is light");
        assert_eq!(decoded(&drawn), url);
    }

    /// Reads a version 2 symbol without errors.
    fn decoded(drawn: &[Vec<bool>]) -> String {
        let mut bits = codewords(drawn).into_iter();
        let mut number =
            |count| bits.by_ref().take(count).fold(0_u32, |number, bit| number << 1 | u32::from(bit));
        let mut text = String::new();
        loop {
            match number(4) {
                0b0100 => {
                    let length = number(8);
                    text.extend((0..length).map(|_| char::from_u32(number(8)).unwrap()));
                }
                0b0001 => {
                    let length = number(10);
                    for _ in 0..length / 3 {
                        text += &format!("{:03}", number(10));
                    }
                    match length % 3 {
                        1 => text += &format!("{}", number(4)),
                        2 => text += &format!("{:02}", number(7)),
                        _ => {}
                    }
                }
                0 => return text,
                mode => panic!("mode {mode:04b} behind {text}"),
            }
        }
    }

    /// The bits of the codewords, in their order, without the mask that the format names.
    fn codewords(drawn: &[Vec<bool>]) -> Vec<bool> {
        const SIDE: usize = 25;
        let dark = |x: usize, y: usize| drawn[QUIET_ZONE + y][QUIET_ZONE + x];
        let mask = (2..5).fold(0, |bits, x| bits << 1 | u8::from(dark(x, 8))) ^ 0b101;
        let is_masked = |x: usize, y: usize| {
            let (two, three) = (x * y % 2, x * y % 3);
            let zero = match mask {
                0 => (x + y) % 2,
                1 => y % 2,
                2 => x % 3,
                3 => (x + y) % 3,
                4 => (y / 2 + x / 3) % 2,
                5 => two + three,
                6 => (two + three) % 2,
                _ => ((x + y) % 2 + three) % 2,
            };
            zero == 0
        };
        let is_function = |x: usize, y: usize| {
            let finder = !(9..SIDE - 8).contains(&x) && y < 9 || x < 9 && y >= SIDE - 8;
            let alignment = (16..21).contains(&x) && (16..21).contains(&y);
            finder || alignment || x == 6 || y == 6
        };
        let mut bits = Vec::new();
        let columns: Vec<usize> = (0..SIDE).rev().filter(|&x| x != 6).collect();
        for (pair, columns) in columns.chunks(2).enumerate() {
            for step in 0..SIDE {
                let y = if pair % 2 == 0 { SIDE - 1 - step } else { step };
                let content = columns.iter().filter(|&&x| !is_function(x, y));
                bits.extend(content.map(|&x| dark(x, y) ^ is_masked(x, y)));
            }
        }
        bits
    }

    #[test]
    fn what_is_too_long_is_not_drawn() {
        assert_eq!(qr(&"x".repeat(5000), false), None);
    }
}
