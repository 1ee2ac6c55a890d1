//! Linux: everything.

use std::io;
use std::os::fd::AsRawFd;

use socket2::Socket;

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
