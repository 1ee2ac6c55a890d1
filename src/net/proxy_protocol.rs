//! The PROXY protocol, versions 1 and 2: what a proxy says of its client before the client's first byte.
//!
//! ```text
//!  v1   PROXY TCP4 203.0.113.7 192.0.2.1 56324 443 CR LF          at most 107 bytes
//!  v2   signature (12) │ 2, command │ family, kind │ length │ addresses │ type, length, value …
//! ```
//! Strict: one meaning for every byte sequence, and any split of it gives the same. Pure functions of bytes:
//! who may say this, and what is made of it, is not known here.
//! <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header of version 1, with its line end.
const TEXT_BYTES_MAX: usize = 107;
/// What stands before the addresses of version 2.
const FIXED_BYTES: usize = 16;
/// The most that may follow it, in bytes: addresses are 216 at most.
const LENGTH_MAX: usize = 2_048;
/// The longest header that is understood, in bytes.
pub const PROXY_HEADER_BYTES_MAX: usize = FIXED_BYTES + LENGTH_MAX;

const TEXT: &[u8] = b"PROXY ";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The type of a checksum.
const CRC32C: u8 = 3;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A header of so many bytes.
    Header(Announced, usize),
    /// The beginning of a header: all of it belongs to one.
    Begun,
    /// Too little to tell.
    Undecided,
    /// No header.
    Foreign,
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// The proxy speaks for itself: the address of the socket counts.
    Nothing,
    /// For a client whose address it does not know, or which has none: a process of the proxy's machine.
    Hidden,
    /// For this client, which has connected to that address.
    Ip {
        /// The client's address.
        client: SocketAddr,
        /// The proxy's, as the client knows it.
        server: SocketAddr,
    },
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyHeaderError {
    /// The line is longer than 107 bytes, or does not end with CR LF.
    LineEnd,
    /// The line is not: `PROXY`, family, two addresses, two ports, one space between them.
    Line,
    /// An address or a port of the line is not one.
    Address,
    /// Neither version 2, nor a command of it.
    Version,
    /// An unknown family or kind of socket.
    Family,
    /// Longer than anybody needs, or too short for its addresses.
    Length,
    /// What follows the addresses is not made of types, lengths and values.
    Value,
    /// The checksum is not that of the header.
    Checksum,
}

/// What `bytes`, the first of a connection, are. More of them never change the answer, unless it was
/// [`Opening::Begun`] or [`Opening::Undecided`].
///
/// ```
/// use kolk::net::{Announced, Opening, opening};
///
/// let header = b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n";
/// let Ok(Opening::Header(Announced::Ip { client, .. }, 44)) = opening(header) else { panic!() };
/// assert_eq!(client.to_string(), "203.0.113.7:56324");
/// assert_eq!(opening(&header[..20]), Ok(Opening::Begun));
/// assert_eq!(opening(b"PRO"), Ok(Opening::Undecided));
/// assert_eq!(opening(b"PROPFIND / HTTP/1.1\r\n"), Ok(Opening::Foreign));
/// ```
///
/// # Errors
/// [`ProxyHeaderError`], if it is a header that is malformed.
pub fn opening(bytes: &[u8]) -> Result<Opening, ProxyHeaderError> {
    if bytes.starts_with(TEXT) {
        return text(bytes);
    }
    if bytes.starts_with(SIGNATURE) {
        return binary(bytes);
    }
    let is_undecided = TEXT.starts_with(bytes) || SIGNATURE.starts_with(bytes);
    Ok(if is_undecided { Opening::Undecided } else { Opening::Foreign })
}

impl fmt::Display for ProxyHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LineEnd => "the line is longer than 107 bytes, or does not end with CR LF",
            Self::Line => "the line is not: PROXY, family, two addresses, two ports, one space between them",
            Self::Address => "an address or a port is not one",
            Self::Version => "neither version 2 nor a command of it",
            Self::Family => "an unknown family or kind of socket",
            Self::Length => "longer than anybody needs, or too short for its addresses",
            Self::Value => "what follows the addresses is not made of types, lengths and values",
            Self::Checksum => "the checksum is not that of the header",
        })
    }
}

impl Error for ProxyHeaderError {}

/// Version 1.
fn text(bytes: &[u8]) -> Result<Opening, ProxyHeaderError> {
    let looked_at = &bytes[..bytes.len().min(TEXT_BYTES_MAX)];
    let is_end = |byte: &u8| !(b' '..=b'~').contains(byte);
    let Some(end) = looked_at.iter().position(is_end) else {
        // The line end takes two.
        let is_too_long = looked_at.len() > TEXT_BYTES_MAX - 2;
        return if is_too_long { Err(ProxyHeaderError::LineEnd) } else { Ok(Opening::Begun) };
    };
    match looked_at[end..] {
        [b'\r'] if end + 2 <= TEXT_BYTES_MAX => return Ok(Opening::Begun),
        [b'\r', b'\n', ..] => {}
        _ => return Err(ProxyHeaderError::LineEnd),
    }
    let line = std::str::from_utf8(&looked_at[TEXT.len()..end]).map_err(|_| ProxyHeaderError::Line)?;
    let mut parts = line.split(' ');
    let family = parts.next().unwrap_or_default();
    if family == "UNKNOWN" {
        return Ok(Opening::Header(Announced::Hidden, end + 2));
    }
    let (Some(client), Some(server), Some(client_port), Some(server_port), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(ProxyHeaderError::Line);
    };
    let address: fn(&str) -> Option<IpAddr> = match family {
        "TCP4" => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return Err(ProxyHeaderError::Line),
    };
    let place = |host, at| Some(SocketAddr::new(address(host)?, port(at)?));
    match (place(client, client_port), place(server, server_port)) {
        (Some(client), Some(server)) => Ok(Opening::Header(Announced::Ip { client, server }, end + 2)),
        _ => Err(ProxyHeaderError::Address),
    }
}

/// Digits without a sign and without leading zeros.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

/// Version 2.
fn binary(bytes: &[u8]) -> Result<Opening, ProxyHeaderError> {
    let behind = &bytes[SIGNATURE.len()..];
    let Some(command) = behind.first() else { return Ok(Opening::Begun) };
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(ProxyHeaderError::Version),
    };
    let Some(family) = behind.get(1) else { return Ok(Opening::Begun) };
    let addresses_bytes = match family {
        // What a proxy says of itself is not looked at.
        _ if is_local => 0,
        0x00 => 0,
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        _ => return Err(ProxyHeaderError::Family),
    };
    let &[_, _, high, low, ref rest @ ..] = behind else { return Ok(Opening::Begun) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LENGTH_MAX || length < addresses_bytes {
        return Err(ProxyHeaderError::Length);
    }
    let Some(rest) = rest.get(..length) else { return Ok(Opening::Begun) };
    let header = &bytes[..FIXED_BYTES + length];
    if is_local {
        return Ok(Opening::Header(Announced::Nothing, header.len()));
    }
    let (addresses, values) = rest.split_at(addresses_bytes);
    check_values(header, values)?;
    let announced = match addresses_bytes {
        12 => pair::<4>(addresses),
        36 => pair::<16>(addresses),
        _ => Some(Announced::Hidden),
    };
    announced.map(|announced| Opening::Header(announced, header.len())).ok_or(ProxyHeaderError::Length)
}

/// Two addresses of `N` bytes, and two ports.
fn pair<const N: usize>(addresses: &[u8]) -> Option<Announced>
where
    IpAddr: From<[u8; N]>,
{
    let (client, rest) = addresses.split_first_chunk::<N>()?;
    let (server, ports) = rest.split_first_chunk::<N>()?;
    let &[high, low, server_high, server_low] = ports else { return None };
    Some(Announced::Ip {
        client: SocketAddr::new(IpAddr::from(*client), u16::from_be_bytes([high, low])),
        server: SocketAddr::new(IpAddr::from(*server), u16::from_be_bytes([server_high, server_low])),
    })
}

/// Whether what follows the addresses is whole, and its checksum right if there is one.
fn check_values(header: &[u8], mut values: &[u8]) -> Result<(), ProxyHeaderError> {
    let mut checksum = None;
    while let [kind, rest @ ..] = values {
        let &[high, low, ref rest @ ..] = rest else { return Err(ProxyHeaderError::Value) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, behind) = rest.split_at_checked(length).ok_or(ProxyHeaderError::Value)?;
        if *kind == CRC32C {
            let is_second = checksum.is_some();
            let value = value.try_into().ok().filter(|_| !is_second).ok_or(ProxyHeaderError::Value)?;
            checksum = Some((u32::from_be_bytes(value), header.len() - behind.len()));
        }
        values = behind;
    }
    let Some((told, end)) = checksum else { return Ok(()) };
    // Of the header with zeros in the place of the sum.
    let sum = crc32c(crc32c(!0, &header[..end - 4]), &[0; 4]);
    let is_right = !crc32c(sum, &header[end..]) == told;
    if is_right { Ok(()) } else { Err(ProxyHeaderError::Checksum) }
}

/// Castagnoli's polynomial, reflected. RFC 9260 Appendix A.
fn crc32c(sum: u32, bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    bytes.iter().fold(sum, |sum, byte| {
        let step = |sum: u32, _| (sum >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(sum & 1));
        (0..8).fold(sum ^ u32::from(*byte), step)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, block].concat()
    }

    const FOUR: &[u8] = &[203, 0, 113, 7, 192, 0, 2, 1, 0xDC, 0x04, 0x01, 0xBB];

    fn six() -> Vec<u8> {
        let address = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
        [&address("2001:db8::7")[..], &address("2001:db8::1"), &[0xDC, 0x04, 0x01, 0xBB]].concat()
    }

    /// With the checksum in its place.
    fn summed(mut header: Vec<u8>) -> Vec<u8> {
        let end = header.len();
        let sum = !crc32c(!0, &header);
        header[end - 4..].copy_from_slice(&sum.to_be_bytes());
        header
    }

    fn shown(bytes: &[u8]) -> String {
        match opening(bytes) {
            Ok(Opening::Header(Announced::Ip { client, server }, length)) => {
                format!("{client} to {server}, {length}")
            }
            Ok(Opening::Header(announced, length)) => format!("{announced:?}, {length}"),
            Ok(other) => format!("{other:?}"),
            Err(error) => format!("{error:?}"),
        }
    }

    /// Every beginning says that more is wanted, or what the whole says.
    #[track_caller]
    fn split_everywhere(bytes: &[u8]) {
        let whole = opening(bytes);
        let mut is_over = false;
        for length in 0..bytes.len() {
            match opening(&bytes[..length]) {
                Ok(Opening::Begun) => assert!(!is_over && length >= TEXT.len()),
                Ok(Opening::Undecided) => assert!(!is_over && length < SIGNATURE.len()),
                other => {
                    assert_eq!(other, whole, "{}", bytes[..length].escape_ascii());
                    is_over = true;
                }
            }
        }
        if let Ok(Opening::Header(_, length)) = whole {
            assert!(
                opening(&bytes[..length]) == whole && opening(&bytes[..length - 1]) == Ok(Opening::Begun)
            );
        }
    }

    #[test]
    fn lines() {
        let long = "f".repeat(4);
        let v6 = [long.as_str(); 8].join(":");
        let longest = format!("PROXY TCP6 {v6} {v6} 65535 65535\r\n");
        let unknown = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
        assert_eq!((longest.len(), unknown.len()), (104, 107));
        let too_long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
        for (line, expected) in [
            ("PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n", "203.0.113.7:56324 to 192.0.2.1:443, 44"),
            ("PROXY TCP4 203.0.113.7 192.0.2.1 0 443\r\nGET", "203.0.113.7:0 to 192.0.2.1:443, 40"),
            ("PROXY TCP6 2001:db8::7 ::1 1 65535\r\n\r\n", "[2001:db8::7]:1 to [::1]:65535, 36"),
            ("PROXY UNKNOWN\r\n", "Hidden, 15"),
            ("PROXY UNKNOWN ffff::1 whatever, really\r\n", "Hidden, 40"),
            (&unknown, "Hidden, 107"),
            (&too_long, "LineEnd"),
            ("PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\n", "LineEnd"),
            ("PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\r\n", "LineEnd"),
            ("PROXY TCP4 203.0.113.7\x00192.0.2.1 56324 443\r\n", "LineEnd"),
            ("PROXY TCP4 203.0.113.7 192.0.2.1 56324 443 \r\n", "Line"),
            ("PROXY TCP4  203.0.113.7 192.0.2.1 56324 443\r\n", "Line"),
            ("PROXY TCP4 203.0.113.7 192.0.2.1 56324\r\n", "Line"),
            ("PROXY TCP4 203.0.113.7 192.0.2.1 56324 443 1\r\n", "Line"),
            ("PROXY \r\n", "Line"),
            ("PROXY UDP4 203.0.113.7 192.0.2.1 56324 443\r\n", "Line"),
            ("PROXY tcp4 203.0.113.7 192.0.2.1 56324 443\r\n", "Line"),
            ("PROXY UNKNOWNX\r\n", "Line"),
            ("PROXY TCP4 2001:db8::7 ::1 56324 443\r\n", "Address"),
            ("PROXY TCP6 203.0.113.7 192.0.2.1 56324 443\r\n", "Address"),
            ("PROXY TCP4 203.0.113.007 192.0.2.1 56324 443\r\n", "Address"),
            ("PROXY TCP4 203.0.113.256 192.0.2.1 56324 443\r\n", "Address"),
            ("PROXY TCP4 203.0.113.7 192.0.2.1 65536 443\r\n", "Address"),
            ("PROXY TCP4 203.0.113.7 192.0.2.1 +5 443\r\n", "Address"),
            ("PROXY TCP4 203.0.113.7 192.0.2.1 05 443\r\n", "Address"),
            ("proxy TCP4 203.0.113.7 192.0.2.1 56324 443\r\n", "Foreign"),
            ("PROXY\tTCP4", "Foreign"),
            ("GET / HTTP/1.1\r\n", "Foreign"),
            ("\r\nGET / HTTP/1.1\r\n", "Foreign"),
            ("", "Undecided"),
            ("PROXY", "Undecided"),
            ("\r\n\r\n", "Undecided"),
            ("PROXY ", "Begun"),
        ] {
            assert_eq!(shown(line.as_bytes()), expected, "{line:?}");
            split_everywhere(line.as_bytes());
        }
        split_everywhere(longest.as_bytes());
        assert!(shown(longest.as_bytes()).ends_with(", 104"));
    }

    #[test]
    fn binary_headers() {
        let six = six();
        let unix = [b'/'; 216];
        let tlv = |block: &[u8], values: &[u8]| v2(0x21, 0x11, &[block, values].concat());
        let sum = |values: &[u8]| summed(tlv(FOUR, values));
        for (header, expected) in [
            (v2(0x21, 0x11, FOUR), "203.0.113.7:56324 to 192.0.2.1:443, 28"),
            (v2(0x21, 0x12, FOUR), "203.0.113.7:56324 to 192.0.2.1:443, 28"),
            (v2(0x21, 0x21, &six), "[2001:db8::7]:56324 to [2001:db8::1]:443, 52"),
            (v2(0x21, 0x31, &unix), "Hidden, 232"),
            (v2(0x21, 0x00, b""), "Hidden, 16"),
            (v2(0x20, 0x00, b""), "Nothing, 16"),
            (v2(0x20, 0x11, FOUR), "Nothing, 28"),
            (v2(0x20, 0xFF, b"anything"), "Nothing, 24"),
            (tlv(FOUR, &[1, 0, 2, b'h', b'2']), "203.0.113.7:56324 to 192.0.2.1:443, 33"),
            (tlv(FOUR, &[4, 0, 0, 0xEE, 0, 1, 9]), "203.0.113.7:56324 to 192.0.2.1:443, 35"),
            (sum(&[3, 0, 4, 0, 0, 0, 0]), "203.0.113.7:56324 to 192.0.2.1:443, 35"),
            (sum(&[4, 0, 1, 0, 3, 0, 4, 0, 0, 0, 0]), "203.0.113.7:56324 to 192.0.2.1:443, 39"),
            (v2(0x21, 0x11, &[0; LENGTH_MAX + 1]), "Length"),
            (v2(0x21, 0x11, &FOUR[..11]), "Length"),
            (v2(0x21, 0x21, FOUR), "Length"),
            (v2(0x22, 0x11, FOUR), "Version"),
            (v2(0x11, 0x11, FOUR), "Version"),
            (v2(0x21, 0x10, FOUR), "Family"),
            (v2(0x21, 0x13, FOUR), "Family"),
            (v2(0x21, 0x41, FOUR), "Family"),
            (v2(0x21, 0x01, b""), "Family"),
            (tlv(FOUR, &[1]), "Value"),
            (tlv(FOUR, &[1, 0]), "Value"),
            (tlv(FOUR, &[1, 0, 2, b'h']), "Value"),
            (tlv(FOUR, &[3, 0, 3, 0, 0, 0]), "Value"),
            (tlv(FOUR, &[3, 0, 4, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0]), "Value"),
            (tlv(FOUR, &[3, 0, 4, 1, 2, 3, 4]), "Checksum"),
        ] {
            assert_eq!(shown(&header), expected, "{}", header.escape_ascii());
            split_everywhere(&header);
            split_everywhere(&[&header[..], b"GET / HTTP/1.1\r\n\r\n"].concat());
        }
    }

    /// RFC 3720 Appendix B.4.
    #[test]
    fn checksums_of_the_standard() {
        let ascending: Vec<u8> = (0..32).collect();
        for (bytes, expected) in [
            (&[0; 32][..], 0x8A91_36AA_u32),
            (&[0xFF; 32], 0x62A8_AB43),
            (&ascending, 0x46DD_794E),
            (b"123456789", 0xE306_9283),
        ] {
            assert_eq!(!crc32c(!0, bytes), expected);
        }
    }
}
