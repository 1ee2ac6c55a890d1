//! FreeBSD: listeners that share a port balance only under an option of their own.

use std::io;

use socket2::Socket;

use super::TcpOptions;

/// By a hash of the connection's addresses.
pub(super) const REUSEPORT_BALANCES: bool = true;

pub(super) fn reuse_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port_lb(true)
}

pub(super) const fn apply_tcp_options(_: &Socket, _: &TcpOptions) -> io::Result<()> {
    Ok(())
}

pub(super) const fn has_tcp_options(_: &Socket, _: &TcpOptions) -> io::Result<bool> {
    Ok(true)
}

/// Here it is an accept filter, a kernel module: the listener goes without.
pub(super) const fn defer_accept(_: &Socket, _seconds: u32) -> io::Result<()> {
    Ok(())
}

pub(super) const fn ignore_newcomers(_: &Socket) -> io::Result<()> {
    Ok(())
}
