//! Linux: everything.

use std::io;
use std::os::fd::AsRawFd;

use socket2::{SockFilter, Socket};

use super::TcpOptions;
use crate::sys::check;

/// By a hash of the connection's addresses.
pub(super) const REUSEPORT_BALANCES: bool = true;

pub(super) fn reuse_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

pub(super) fn apply_tcp_options(socket: &Socket, options: &TcpOptions) -> io::Result<()> {
    if let Some(bytes) = options.unsent_bytes_max {
        socket.set_tcp_notsent_lowat(bytes)?;
    }
    if options.unacknowledged_max.is_some() {
        socket.set_tcp_user_timeout(options.unacknowledged_max)?;
    }
    Ok(())
}

pub(super) fn has_tcp_options(socket: &Socket, options: &TcpOptions) -> io::Result<bool> {
    Ok(options.unsent_bytes_max.is_none_or(|bytes| socket.tcp_notsent_lowat().is_ok_and(|set| set == bytes))
        && (options.unacknowledged_max.is_none() || socket.tcp_user_timeout()? == options.unacknowledged_max))
}

pub(super) fn defer_accept(socket: &Socket, seconds: u32) -> io::Result<()> {
    let seconds = libc::c_int::try_from(seconds).unwrap_or(libc::c_int::MAX);
    // SAFETY: the pointer and the length describe `seconds`, the integer that tcp(7) asks for.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            INT_BYTES,
        )
    })?;
    Ok(())
}

/// A filter of the kernel, which begins at the TCP header (socket(7), `SO_ATTACH_FILTER`): of its flags SYN
/// alone is a newcomer (RFC 9293 §3.1). Connections inherit it, and get no such packet.
pub(super) fn ignore_newcomers(socket: &Socket) -> io::Result<()> {
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_UNLESS_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const FLAGS_AT: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    socket.attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS_AT),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_UNLESS_EQUAL, 0, 1, SYN),
        // So much of the packet is kept: nothing, or all.
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

const INT_BYTES: libc::socklen_t = libc::c_int::BITS / 8;

/// The seconds that [`defer_accept`] arrived at: the kernel rounds up to whole retransmissions.
#[cfg(test)]
pub(super) fn deferred_accept(socket: &Socket) -> io::Result<libc::c_int> {
    let mut seconds: libc::c_int = 0;
    let mut length = INT_BYTES;
    // SAFETY: the pointers describe `seconds` and its length, which outlive the call.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw mut seconds).cast(),
            &raw mut length,
        )
    })?;
    Ok(seconds)
}
