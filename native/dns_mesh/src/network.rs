//! Networks, and what kind of address an address is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::node_name::ip_text;

/// An address and how many of its bits are the network's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    pub ip: IpAddr,
    pub prefix_length: u8,
}

impl Network {
    pub const fn new(ip: IpAddr, prefix_length: u8) -> Self {
        Self { ip, prefix_length }
    }

    /// `10.0.0.0/8`; a bare address is the network of itself.
    pub fn parse(text: &str) -> Option<Self> {
        let (ip, prefix_length) = match text.split_once('/') {
            Some((ip, length)) => (ip.parse().ok()?, number(length)?),
            None => {
                let ip = text.parse().ok()?;
                (ip, width(ip))
            }
        };
        (prefix_length <= width(ip)).then_some(Self { ip, prefix_length })
    }

    pub fn contains(&self, ip: IpAddr) -> bool {
        let part = |ip| part(ip, self.prefix_length);
        self.ip.is_ipv4() == ip.is_ipv4() && part(self.ip) == part(ip)
    }

    pub(crate) fn key(&self) -> Key {
        let part = part(self.ip, self.prefix_length);
        (self.ip.is_ipv4(), self.prefix_length, part)
    }

    /// Whether it is a single address.
    pub fn is_host(&self) -> bool {
        self.prefix_length >= width(self.ip)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", ip_text(self.ip), self.prefix_length)
    }
}

/// The networks that addresses lie in, however many there are: looked at once for each length
/// of a prefix, not for each network.
#[derive(Debug, Default)]
pub(crate) struct Networks(BTreeMap<(bool, u8), HashSet<u128>>);

/// One of them, whatever address of it is named.
pub(crate) type Key = (bool, u8, u128);

impl Networks {
    /// The longest prefix that holds an address: as in routing, the network that it is in.
    pub(crate) fn narrowest(&self, ip: IpAddr) -> Option<Key> {
        let family = (ip.is_ipv4(), 0)..=(ip.is_ipv4(), u8::MAX);
        self.0
            .range(family)
            .rev()
            .find_map(|(&(_, length), parts)| {
                let part = part(ip, length);
                parts
                    .contains(&part)
                    .then_some((ip.is_ipv4(), length, part))
            })
    }

    /// How many of these addresses are in each network.
    pub(crate) fn count(&self, ips: impl Iterator<Item = IpAddr>) -> HashMap<Key, usize> {
        let mut counts = HashMap::new();
        for key in ips.filter_map(|ip| self.narrowest(ip)) {
            *counts.entry(key).or_default() += 1;
        }
        counts
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        let mut all = Self::default();
        for network in networks {
            let (is_ipv4, length, part) = network.key();
            all.0.entry((is_ipv4, length)).or_default().insert(part);
        }
        all
    }
}

/// Digits only: `u8::from_str` takes a sign too.
fn number(text: &str) -> Option<u8> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// The network's part of an address.
fn part(ip: IpAddr, prefix_length: u8) -> u128 {
    let shift = u32::from(width(ip).saturating_sub(prefix_length));
    // Shifting out every bit leaves nothing to compare: /0 holds its whole family.
    bits(ip).checked_shr(shift).unwrap_or(0)
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// How far an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Other machines can use it, if only those of a private network.
    Global,
    LinkLocal,
    Loopback,
    /// No node can be named by it: unspecified, multicast, reserved, or standing for another
    /// address. The list is that of IANA's special-purpose registries (RFC 6890).
    Nowhere,
}

impl Reach {
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_loopback() {
            return Self::Loopback;
        }
        let is_in = |networks: &[Network]| networks.iter().any(|network| network.contains(ip));
        if is_in(LINK_LOCAL) {
            Self::LinkLocal
        } else if is_in(NOWHERE) {
            Self::Nowhere
        } else {
            Self::Global
        }
    }
}

const LINK_LOCAL: &[Network] = &[v4(169, 254, 16), v6([0xfe80, 0, 0, 0, 0, 0], 10)];

const NOWHERE: &[Network] = &[
    v4(0, 0, 8),
    v4(224, 0, 4),
    v6([0xff00, 0, 0, 0, 0, 0], 8),
    // Reserved; 192.0.0.0/24 is what a NAT64 client gives itself (RFC 7335), 100::/64 discards.
    v4(240, 0, 4),
    v4(192, 0, 24),
    v6([0x100, 0, 0, 0, 0, 0], 64),
    // Stand for another address: v4-mapped, v4-compatible, NAT64 twice, Teredo, 6to4.
    v6([0, 0, 0, 0, 0, 0xffff], 96),
    v6([0, 0, 0, 0, 0, 0], 96),
    v6([0x64, 0xff9b, 0, 0, 0, 0], 96),
    v6([0x64, 0xff9b, 1, 0, 0, 0], 48),
    v6([0x2001, 0, 0, 0, 0, 0], 32),
    v6([0x2002, 0, 0, 0, 0, 0], 16),
];

const fn v4(a: u8, b: u8, prefix_length: u8) -> Network {
    Network::new(IpAddr::V4(Ipv4Addr::new(a, b, 0, 0)), prefix_length)
}

const fn v6([a, b, c, d, e, f]: [u16; 6], prefix_length: u8) -> Network {
    let ip = Ipv6Addr::new(a, b, c, d, e, f, 0, 0);
    Network::new(IpAddr::V6(ip), prefix_length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_a_network() {
        let holds = |network: &str, ip: &str| {
            Network::parse(network)
                .unwrap()
                .contains(ip.parse().unwrap())
        };
        assert!(holds("10.0.0.0/8", "10.255.0.1"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("10.0.1.6/24", "10.0.1.7"), "host bits do not matter");
        assert!(holds("0.0.0.0/0", "203.0.113.9"));
        assert!(!holds("0.0.0.0/0", "::1"), "one family only");
        assert!(!holds("::/0", "10.0.0.1"));
        assert!(holds("::/0", "fd00::1"));
        assert!(holds("fdaa:0:1::/48", "fdaa:0:1:ffff::1"));
        assert!(!holds("fdaa:0:1::/48", "fdaa:0:2::1"));
        assert!(holds("10.0.0.5", "10.0.0.5"));
        assert!(!holds("10.0.0.5", "10.0.0.4"));
        assert!(Network::parse("10.0.0.5").unwrap().is_host());
        assert!(Network::parse("fd00::1/128").unwrap().is_host());
        assert!(!Network::parse("fd00::1/64").unwrap().is_host());
    }

    /// Beside what `contains` says of each of them.
    #[test]
    fn the_narrowest_of_many() {
        let networks = [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.1.2.0/24",
            "10.1.2.3/32",
            "10.9.0.0/16",
            "fd00::/8",
            "fd00:1::/64",
        ];
        let networks = networks.map(|text| Network::parse(text).unwrap());
        let all = networks.into_iter().collect::<Networks>();
        let ips = ["10.1.2.3", "10.1.2.4", "10.1.9.9", "10.9.9.9", "11.0.0.1"];
        for ip in ips.into_iter().chain(["fd00:1::5", "fd00:2::5", "fe80::1"]) {
            let ip = ip.parse().unwrap();
            let holding = networks.iter().filter(|network| network.contains(ip));
            let narrowest = holding.max_by_key(|network| network.prefix_length);
            assert_eq!(all.narrowest(ip), narrowest.map(Network::key), "{ip}");
        }
        let ips = ["10.1.2.9", "10.1.2.8", "10.1.2.3", "10.9.0.1"].map(|ip| ip.parse().unwrap());
        let counts = all.count(ips.into_iter());
        assert_eq!(counts.get(&networks[3].key()), Some(&2));
        assert_eq!(counts.get(&networks[4].key()), Some(&1));
        assert_eq!(counts.get(&networks[1].key()), None);
    }

    #[test]
    fn texts_that_are_no_network() {
        for text in [
            "",
            "/",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.0.0.0/8/8",
            "::/129",
            "10.0.0/8",
            "eth0",
            "10.0.0.0/ 8",
            "fe80::1%eth0/64",
            "10.0.0.0/256",
        ] {
            assert_eq!(Network::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn text_of_a_network() {
        let text = |text: &str| Network::parse(text).unwrap().to_string();
        assert_eq!(text("10.0.0.0/8"), "10.0.0.0/8");
        assert_eq!(text("FDAA:0:0::/48"), "fdaa::/48");
    }

    #[test]
    fn how_far_addresses_reach() {
        for (reach, ips) in [
            (Reach::Loopback, &["127.0.0.1", "127.255.0.9", "::1"][..]),
            (Reach::LinkLocal, &["169.254.172.2", "fe80::1", "febf::1"]),
            (
                Reach::Global,
                &[
                    "10.0.0.1",
                    "172.17.0.2",
                    "100.64.0.1",
                    "203.0.113.9",
                    "8.8.8.8",
                    "fdaa::3",
                    "2a09:8280:1::1",
                    "2001:db8::1",
                    "2001:4860::1",
                ],
            ),
            (
                Reach::Nowhere,
                &[
                    "0.0.0.0",
                    "224.0.0.251",
                    "255.255.255.255",
                    "192.0.0.2",
                    "::",
                    "ff02::1",
                    "::ffff:10.0.0.1",
                    "::10.0.0.1",
                    "64:ff9b::10.0.0.1",
                    "64:ff9b:1::1",
                    "2002:a00:1::1",
                    "2001:0:4136:e378::1",
                    "100::1",
                ],
            ),
        ] {
            for ip in ips {
                assert_eq!(Reach::of(ip.parse().unwrap()), reach, "{ip}");
            }
        }
    }
}
