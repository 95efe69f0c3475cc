//! Which addresses a destination may be reached at.
//!
//! Pure: an address and the destination's two switches in, a verdict out. The
//! connector asks about every address it is about to connect to, literals
//! included, so that no name, no redirect and no second look-up can lead to a
//! place that the operator did not open.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the operator opened for one destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// Loopback, private, shared (CGNAT) and unique-local addresses.
    pub private: bool,
    /// Link-local addresses and the metadata services of the clouds.
    pub link_local: bool,
}

/// Why an address is not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    #[error("a loopback address (allow_private = true permits it)")]
    Loopback,
    #[error("a private address (allow_private = true permits it)")]
    Private,
    #[error("a link-local or metadata address (allow_link_local = true permits it)")]
    LinkLocal,
    /// Multicast, broadcast, unspecified, documentation, benchmarking, and all
    /// that is not global unicast: no switch opens these.
    #[error("not an address of a host")]
    NotAHost,
}

/// Whether a connection to `address` may be made.
pub fn check(address: IpAddr, allow: Allow) -> Result<(), Forbidden> {
    let class = match address {
        IpAddr::V4(address) => class_v4(address),
        IpAddr::V6(address) => class_v6(address),
    };
    match class {
        None => Ok(()),
        Some(Forbidden::Loopback | Forbidden::Private) if allow.private => Ok(()),
        Some(Forbidden::LinkLocal) if allow.link_local => Ok(()),
        Some(forbidden) => Err(forbidden),
    }
}

/// `None`: a public host.
fn class_v4(address: Ipv4Addr) -> Option<Forbidden> {
    match address.octets() {
        [127, ..] => Some(Forbidden::Loopback),
        // Alibaba's metadata service lives in the shared range, Oracle's in the
        // range for protocol assignments: both hand out credentials.
        [169, 254, ..] | [100, 100, 100, 200] | [192, 0, 0, 192] => Some(Forbidden::LinkLocal),
        [10, ..] | [192, 168, ..] | [172, 16..=31, ..] | [100, 64..=127, ..] => {
            Some(Forbidden::Private)
        }
        [0, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [224..=255, ..] => Some(Forbidden::NotAHost),
        _ => None,
    }
}

/// `None`: a public host. An IPv4 address inside an IPv6 one is judged as what
/// it is, because a translator on the way would connect to just that.
fn class_v6(address: Ipv6Addr) -> Option<Forbidden> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        class_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Forbidden::Loopback),
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(Forbidden::NotAHost),
        // Mapped, translated, compatible, NAT64's well-known prefix, 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0, 0, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => v4(high, low),
        // NAT64 of one's own network: its prefix length is not known, so the
        // address inside cannot be read.
        [0x64, 0xff9b, 1, ..] => Some(Forbidden::NotAHost),
        // Amazon's metadata service over IPv6 is a unique-local address.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] | [0xfe80..=0xfebf, ..] => Some(Forbidden::LinkLocal),
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Some(Forbidden::Private),
        // IETF protocol assignments (Teredo, benchmarking, ORCHID) and the two
        // documentation ranges lie inside global unicast.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => {
            Some(Forbidden::NotAHost)
        }
        [0x2000..=0x3fff, ..] => None,
        _ => Some(Forbidden::NotAHost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHUT: Allow = Allow {
        private: false,
        link_local: false,
    };
    const PRIVATE: Allow = Allow {
        private: true,
        link_local: false,
    };
    const LINK_LOCAL: Allow = Allow {
        private: false,
        link_local: true,
    };

    fn check_all(expected: Option<Forbidden>, addresses: &[&str]) {
        for text in addresses {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(check(address, SHUT).err(), expected, "{text}");
            let private = matches!(
                expected,
                None | Some(Forbidden::Loopback | Forbidden::Private)
            );
            assert_eq!(
                check(address, PRIVATE).is_ok(),
                private,
                "{text} with allow_private"
            );
            let link_local = matches!(expected, None | Some(Forbidden::LinkLocal));
            assert_eq!(
                check(address, LINK_LOCAL).is_ok(),
                link_local,
                "{text} with allow_link_local"
            );
        }
    }

    #[test]
    fn a_public_host_is_connected_to() {
        check_all(
            None,
            &[
                "1.1.1.1",
                "8.8.8.8",
                "9.255.255.255",
                "11.0.0.0",
                "100.63.255.255",
                "100.128.0.0",
                "126.255.255.255",
                "128.0.0.0",
                "169.253.255.255",
                "169.255.0.0",
                "172.15.255.255",
                "172.32.0.0",
                "192.0.1.0",
                "192.0.3.0",
                "192.167.255.255",
                "192.169.0.0",
                "198.17.255.255",
                "198.20.0.0",
                "223.255.255.255",
                "2606:4700::1111",
                "2a00:1450::1",
                "2001:200::1",
                "2001:db7:ffff::1",
                "2001:db9::1",
                "::ffff:8.8.8.8",
                "64:ff9b::8.8.8.8",
                "2002:808:808::1",
                "3ffe::1",
            ],
        );
    }

    #[test]
    fn this_machine_is_not_connected_to() {
        check_all(
            Some(Forbidden::Loopback),
            &[
                "127.0.0.1",
                "127.0.0.0",
                "127.1.2.3",
                "127.255.255.255",
                "::1",
                "::ffff:127.0.0.1",
                "::ffff:7f00:1",
                "::127.0.0.1",
                "::ffff:0:127.0.0.1",
                "64:ff9b::127.0.0.1",
                "64:ff9b::7f00:1",
                "2002:7f00:1::",
                "2002:7f00:1::1:2:3",
            ],
        );
    }

    #[test]
    fn the_operators_networks_are_not_connected_to() {
        check_all(
            Some(Forbidden::Private),
            &[
                "10.0.0.0",
                "10.255.255.255",
                "172.16.0.0",
                "172.31.255.255",
                "192.168.0.0",
                "192.168.255.255",
                "100.64.0.0",
                "100.127.255.255",
                "fc00::",
                "fd00::1",
                "fdff:ffff::1",
                "fec0::1",
                "feff::1",
                "::ffff:10.1.2.3",
                "::10.1.2.3",
                "64:ff9b::192.168.1.1",
                "2002:c0a8:101::1",
                "2002:a00:1::",
                "::ffff:100.64.0.1",
            ],
        );
    }

    #[test]
    fn metadata_services_have_a_switch_of_their_own() {
        check_all(
            Some(Forbidden::LinkLocal),
            &[
                "169.254.0.0",
                "169.254.169.254",
                "169.254.170.2",
                "169.254.255.255",
                "fe80::1",
                "febf::1",
                "fd00:ec2::254",
                "100.100.100.200",
                "192.0.0.192",
                "::ffff:169.254.169.254",
                "::169.254.169.254",
                "64:ff9b::169.254.169.254",
                "64:ff9b::a9fe:a9fe",
                "2002:a9fe:a9fe::1",
                "::ffff:0:169.254.169.254",
            ],
        );
    }

    #[test]
    fn what_is_no_host_is_never_connected_to() {
        check_all(
            Some(Forbidden::NotAHost),
            &[
                "0.0.0.0",
                "0.1.2.3",
                "0.255.255.255",
                "192.0.0.1",
                "192.0.2.1",
                "192.88.99.1",
                "198.18.0.1",
                "198.19.255.255",
                "198.51.100.7",
                "203.0.113.7",
                "224.0.0.1",
                "239.255.255.255",
                "240.0.0.1",
                "255.255.255.255",
                "::",
                "::2",
                "::ffff:0.0.0.0",
                "64:ff9b:1::1",
                "64:ff9b:1:7f00:0:100::",
                "64:ff9b::0.0.0.1",
                "100::1",
                "2001::1",
                "2001:0:7f00:1::",
                "2001:2::1",
                "2001:10::1",
                "2001:20::1",
                "2001:db8::1",
                "3fff::1",
                "5f00::1",
                "4000::1",
                "ff02::1",
                "ff0e::1",
                "fe00::1",
                "2002:e000:1::1",
                "200::1",
                "1::",
                "0:0:1::7f00:1",
            ],
        );
    }
}
