//! Which addresses are public, and which a plugin must not reach.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kind of a special address. Public addresses have no kind.
///
/// From IANA's registries of special-purpose addresses (RFC 6890).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// Returns the credentials of its caller: the metadata service of EC2 (169.254.169.254,
    /// `fd00:ec2::254`), that of ECS and Lambda (169.254.170.2), and EKS Pod Identity
    /// (169.254.170.23, `fd00:ec2::23`).
    Metadata,
    /// This machine.
    Loopback,
    /// This link.
    LinkLocal,
    /// A private network: RFC 1918, shared address space (RFC 6598), unique local (RFC 4193).
    Private,
    /// No single host, or none at all: unspecified, multicast, broadcast, documentation,
    /// benchmarks, tunnels, reserved.
    Unusable,
}

impl AddressKind {
    /// The kind of this address, if it is special. An address that contains an IPv4 address, such
    /// as `::ffff:10.0.0.1` or an address of NAT64, has the kind of that one.
    pub fn classify(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => classify_v4(address),
            IpAddr::V6(address) => classify_v6(address),
        }
    }

    /// Whether a grant's `allow_private` permits it.
    pub fn can_be_allowed(self) -> bool {
        matches!(self, Self::Loopback | Self::LinkLocal | Self::Private)
    }
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metadata => "a metadata service, which hands out the host's credentials",
            Self::Loopback => "this machine",
            Self::LinkLocal => "link-local",
            Self::Private => "in a private network",
            Self::Unusable => "no address of a host on the Internet",
        })
    }
}

fn classify_v4(address: Ipv4Addr) -> Option<AddressKind> {
    match address.octets() {
        [169, 254, 169, 254] | [169, 254, 170, 2 | 23] => Some(AddressKind::Metadata),
        [127, ..] => Some(AddressKind::Loopback),
        [169, 254, ..] => Some(AddressKind::LinkLocal),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => {
            Some(AddressKind::Private)
        }
        // This network, protocol assignments and documentation, 6to4 relays, benchmarks,
        // documentation, multicast, reserved and broadcast.
        [0, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [224..=255, ..] => Some(AddressKind::Unusable),
        _ => None,
    }
}

fn classify_v6(address: Ipv6Addr) -> Option<AddressKind> {
    let carried = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        classify_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x23] => Some(AddressKind::Metadata),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(AddressKind::Loopback),
        // Mapped (`::ffff:0:0/96`) and NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            carried(high, low)
        }
        [first, ..] if first & 0xffc0 == 0xfe80 => Some(AddressKind::LinkLocal),
        [first, ..] if first & 0xfe00 == 0xfc00 => Some(AddressKind::Private),
        // Documentation, Teredo and its neighbours (2001::/23), 6to4.
        [0x2001, 0xdb8 | 0..=0x1ff, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => {
            Some(AddressKind::Unusable)
        }
        // Global unicast.
        [first, ..] if first & 0xe000 == 0x2000 => None,
        _ => Some(AddressKind::Unusable),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::public("93.184.216.34", None)]
    #[case::public_v6("2600:1f18::1", None)]
    #[case::next_to_private("172.32.0.1", None)]
    #[case::next_to_shared("100.128.0.1", None)]
    #[case::ec2("169.254.169.254", Some(AddressKind::Metadata))]
    #[case::ecs("169.254.170.2", Some(AddressKind::Metadata))]
    #[case::eks("169.254.170.23", Some(AddressKind::Metadata))]
    #[case::ec2_v6("fd00:ec2::254", Some(AddressKind::Metadata))]
    #[case::ec2_mapped("::ffff:169.254.169.254", Some(AddressKind::Metadata))]
    #[case::ec2_by_nat64("64:ff9b::169.254.169.254", Some(AddressKind::Metadata))]
    #[case::loopback("127.0.0.1", Some(AddressKind::Loopback))]
    #[case::loopback_elsewhere("127.255.0.9", Some(AddressKind::Loopback))]
    #[case::loopback_v6("::1", Some(AddressKind::Loopback))]
    #[case::loopback_mapped("::ffff:127.0.0.1", Some(AddressKind::Loopback))]
    #[case::link_local("169.254.1.1", Some(AddressKind::LinkLocal))]
    #[case::link_local_v6("fe80::1", Some(AddressKind::LinkLocal))]
    #[case::ten("10.1.2.3", Some(AddressKind::Private))]
    #[case::ten_mapped("::ffff:10.1.2.3", Some(AddressKind::Private))]
    #[case::twelve_bits("172.31.255.255", Some(AddressKind::Private))]
    #[case::home("192.168.1.1", Some(AddressKind::Private))]
    #[case::shared("100.64.0.1", Some(AddressKind::Private))]
    #[case::unique_local("fd12:3456::1", Some(AddressKind::Private))]
    #[case::unspecified("0.0.0.0", Some(AddressKind::Unusable))]
    #[case::unspecified_v6("::", Some(AddressKind::Unusable))]
    #[case::compatible("::10.0.0.1", Some(AddressKind::Unusable))]
    #[case::local_nat64("64:ff9b:1::1", Some(AddressKind::Unusable))]
    #[case::six_to_four("2002:7f00:1::", Some(AddressKind::Unusable))]
    #[case::teredo("2001:0:4136:e378::", Some(AddressKind::Unusable))]
    #[case::documentation("203.0.113.1", Some(AddressKind::Unusable))]
    #[case::multicast("224.0.0.1", Some(AddressKind::Unusable))]
    #[case::multicast_v6("ff02::1", Some(AddressKind::Unusable))]
    #[case::site_local("fec0::1", Some(AddressKind::Unusable))]
    #[case::broadcast("255.255.255.255", Some(AddressKind::Unusable))]
    fn kinds(#[case] address: &str, #[case] kind: Option<AddressKind>) {
        assert_eq!(AddressKind::classify(address.parse().unwrap()), kind);
    }

    #[test]
    fn no_grant_opens_a_metadata_service() {
        assert!(!AddressKind::Metadata.can_be_allowed());
        assert!(!AddressKind::Unusable.can_be_allowed());
        assert!(AddressKind::Private.can_be_allowed());
    }
}
