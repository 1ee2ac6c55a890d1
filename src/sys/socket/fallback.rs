//! Apple's systems and the other BSDs: the options that everybody has.

use std::io;

use socket2::Socket;

use super::TcpOptions;

/// DragonFly hashes; on the others the last listener gets everything, or the first.
pub(super) const REUSEPORT_BALANCES: bool = cfg!(target_os = "dragonfly");

pub(super) fn reuse_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

pub(super) const fn apply_tcp_options(_: &Socket, _: &TcpOptions) -> io::Result<()> {
    Ok(())
}

pub(super) const fn has_tcp_options(_: &Socket, _: &TcpOptions) -> io::Result<bool> {
    Ok(true)
}

pub(super) const fn defer_accept(_: &Socket, _seconds: u32) -> io::Result<()> {
    Ok(())
}

pub(super) const fn ignore_newcomers(_: &Socket) -> io::Result<()> {
    Ok(())
}
