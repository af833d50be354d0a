//! Which addresses belong to the public internet. Resolves nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether `address` is global unicast, by the IANA special-purpose registries (RFC 6890 and its updates).
pub(super) const fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_public_v4(v4),
            None => is_public_v6(v6),
        },
    }
}

const fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        // This network; shared (RFC 6598); IETF assignments; 6to4 relays; benchmarks (RFC 2544); reserved, broadcast.
        [0, ..] | [192, 0, 0, _] | [192, 88, 99, _] | [240..=255, ..] => true,
        [100, second, ..] => second & 0xc0 == 64,
        [198, second, ..] => second & 0xfe == 18 || address.is_documentation(),
        _ => false,
    };
    !(special
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation())
}

/// Global unicast is 2000::/3; within it lie assignments that carry other addresses or lead nowhere.
const fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // IETF assignments with Teredo and ORCHID; documentation; 6to4; documentation (RFC 9637).
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x2002, ..] | [0x3fff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::is_public;

    fn check(public: bool, addresses: &[&str]) {
        for address in addresses {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }

    #[test]
    fn addresses_of_the_internet_are_public() {
        check(true, &["1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "198.20.0.1", "192.0.1.1"]);
        check(true, &["2606:4700::1111", "2a00:1450::1", "2001:4860::8888", "::ffff:1.1.1.1"]);
    }

    #[test]
    fn addresses_of_this_machine_and_its_networks_are_not() {
        check(false, &["127.0.0.1", "127.8.8.8", "0.0.0.0", "0.1.2.3", "10.1.2.3", "172.16.0.1", "172.31.255.255"]);
        check(false, &["192.168.0.1", "169.254.169.254", "100.64.0.1", "100.127.255.255", "192.0.0.8", "192.0.2.1"]);
        check(false, &["198.18.0.1", "198.19.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1"]);
        check(false, &["240.0.0.1", "255.255.255.255", "192.88.99.1"]);
        check(false, &["::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1"]);
        check(false, &["fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1", "100::1", "2001::1", "2001:db8::1"]);
        check(false, &["2002:7f00:1::", "3fff::1", "5f00::1"]);
    }
}
