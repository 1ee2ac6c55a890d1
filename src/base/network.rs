//! [`canonical`]: the one way to write a network. Clients that come over IPv4 have addresses of IPv4, so a
//! network of such addresses written as IPv6 (RFC 4291 §2.5.5.2) would have nobody in it.

use ipnet::IpNet;

/// The network itself, or that of IPv4 which it stands for.
///
/// ```
/// use kolk::base::canonical;
///
/// assert_eq!(canonical("::ffff:10.0.0.0/104".parse()?), "10.0.0.0/8".parse()?);
/// assert_eq!(canonical("2001:db8::/32".parse()?), "2001:db8::/32".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    let v4 = mapped.addr().to_ipv4_mapped().zip(mapped.prefix_len().checked_sub(96));
    let v4 = v4.and_then(|(address, prefix)| IpNet::new(address.into(), prefix).ok());
    v4.unwrap_or(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_has_one_name() {
        for (written, meant) in [
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.1/128", "10.0.0.1/32"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::ffff:0:0/90", "::ffff:0:0/90"),
            ("::10.0.0.1/128", "::10.0.0.1/128"),
            ("fd00::/8", "fd00::/8"),
            ("10.0.0.0/8", "10.0.0.0/8"),
        ] {
            assert_eq!(canonical(written.parse().unwrap()), meant.parse().unwrap(), "{written}");
        }
    }
}
