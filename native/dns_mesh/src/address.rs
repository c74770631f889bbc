//! This machine's own interfaces and addresses.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::SockaddrStorage;

use crate::network::Network;

/// One address of one interface that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    /// The kernel's number for it; 0 where it told none.
    pub index: u32,
    pub ip: IpAddr,
    pub prefix_length: u8,
    pub flags: Flags,
}

/// What decides whether peers may be given an address, beside the address itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// A link with one machine at its other end: its /32 is no virtual IP.
    pub point_to_point: bool,
    /// On Linux's dummy device, which leads to no wire. Kubernetes' proxy (IPVS mode) and its
    /// local DNS cache keep the addresses of services on one, the same on every host. Told of
    /// single addresses only.
    pub dummy: bool,
    /// Made up for privacy, another one tomorrow (RFC 8981).
    pub temporary: bool,
    /// On its way out: still answers, is for nothing new (RFC 4862 §5.5.4).
    pub deprecated: bool,
    /// Not known to be this machine's alone: checked just now, or found to be another's too.
    pub tentative: bool,
}

impl Flags {
    /// Whether the address may be gone, or another machine's, while a name lasts.
    pub fn is_fleeting(self) -> bool {
        self.temporary || self.deprecated || self.tentative
    }
}

/// Every address of every interface that is up, loopback included, carrier or not: the kernel
/// answers at the address of a bridge that nothing is plugged into.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    let inet6 = Inet6::read();
    // One device may hold thousands of addresses, and a host has thousands of devices.
    let mut indices = HashMap::new();
    let mut dummies = HashMap::new();
    let up = getifaddrs()?.filter(|one| one.flags.contains(InterfaceFlags::IFF_UP));
    Ok(up
        .filter_map(|one| {
            let ip = ip(one.address)?;
            let network = Network::new(ip, prefix_length(&one));
            let device = device(&one.interface_name);
            let index = known(&mut indices, device, |name| {
                if_nametoindex(name).unwrap_or_default()
            });
            let dummy = network.is_host() && known(&mut dummies, device, Device::is_dummy);
            Some(Interface {
                prefix_length: network.prefix_length,
                flags: Flags {
                    point_to_point: one.flags.contains(InterfaceFlags::IFF_POINTOPOINT),
                    dummy,
                    ..inet6.flags(ip, index)
                },
                ip,
                index,
                name: one.interface_name,
            })
        })
        .collect())
}

fn known<T: Copy>(known: &mut HashMap<String, T>, name: &str, ask: impl Fn(&str) -> T) -> T {
    if let Some(&answer) = known.get(name) {
        return answer;
    }
    let answer = ask(name);
    known.insert(name.to_owned(), answer);
    answer
}

fn ip(address: Option<SockaddrStorage>) -> Option<IpAddr> {
    let address = address?;
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

fn prefix_length(one: &InterfaceAddress) -> u8 {
    let ones = match ip(one.netmask) {
        Some(IpAddr::V4(mask)) => Ipv4Addr::to_bits(mask).count_ones(),
        Some(IpAddr::V6(mask)) => Ipv6Addr::to_bits(mask).count_ones(),
        None => 0,
    };
    u8::try_from(ones).expect("no address has more than 128 bits")
}

/// What Linux tells of a device in files, and `getifaddrs` does not. Nothing on other systems.
struct Device;

impl Device {
    fn is_dummy(name: &str) -> bool {
        Self::from_files(|file| fs::read_to_string(format!("/sys/class/net/{name}/{file}")).ok())
    }

    /// A dummy device is an Ethernet without ARP that stands on no other device (as ipvlan does,
    /// which asks for none either) and is not of a kind that has a name (as a VRF is).
    fn from_files(read: impl Fn(&str) -> Option<String>) -> bool {
        const LOOPBACK: u32 = 0x8;
        const POINT_TO_POINT: u32 = 0x10;
        const NO_ARP: u32 = 0x80;
        const ETHERNET: &str = "1";

        let line = |file| read(file).map(|text| text.trim().to_owned());
        let flags = line("flags");
        let flags = flags.and_then(|text| u32::from_str_radix(text.strip_prefix("0x")?, 16).ok());
        let flags = flags.unwrap_or(0);
        let is_plain = || {
            let index = line("ifindex");
            line("type").as_deref() == Some(ETHERNET)
                && index.is_some()
                && index == line("iflink")
                && read("uevent").is_some_and(|text| !text.contains("DEVTYPE="))
        };
        flags & (LOOPBACK | POINT_TO_POINT | NO_ARP) == NO_ARP && is_plain()
    }
}

/// The interface behind an alias: an IPv4 address may bear a label of its own, as in `eth0:1`.
pub(crate) fn device(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

/// What Linux knows of IPv6 addresses and `getifaddrs` does not tell. Empty on other systems,
/// and where IPv6 is switched off.
struct Inet6(HashMap<(Ipv6Addr, u32), Flags>);

impl Inet6 {
    fn read() -> Self {
        Self::parse(&fs::read_to_string("/proc/net/if_inet6").unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(inet6_line).collect())
    }

    fn flags(&self, ip: IpAddr, index: u32) -> Flags {
        match ip {
            IpAddr::V6(v6) => self.0.get(&(v6, index)).copied().unwrap_or_default(),
            IpAddr::V4(_) => Flags::default(),
        }
    }
}

/// Address, index, prefix length, scope and flags in hexadecimal, then the interface's name.
fn inet6_line(line: &str) -> Option<((Ipv6Addr, u32), Flags)> {
    const TEMPORARY: u32 = 0x01;
    const DAD_FAILED: u32 = 0x08;
    const DEPRECATED: u32 = 0x20;
    const TENTATIVE: u32 = 0x40;

    let mut words = line.split_whitespace();
    let ip = u128::from_str_radix(words.next()?, 16).ok()?;
    let index = u32::from_str_radix(words.next()?, 16).ok()?;
    let bits = u32::from_str_radix(words.nth(2)?, 16).ok()?;
    let flags = Flags {
        temporary: bits & TEMPORARY != 0,
        deprecated: bits & DEPRECATED != 0,
        tentative: bits & (TENTATIVE | DAD_FAILED) != 0,
        ..Flags::default()
    };
    Some(((ip.into(), index), flags))
}

/// Whether an address is this machine's: loopback, or on any interface, up or down.
pub(crate) fn is_own(ip: IpAddr) -> bool {
    ip.is_loopback()
        || getifaddrs().is_ok_and(|mut all| all.any(|one| self::ip(one.address) == Some(ip)))
}

/// The index the kernel knows an interface by; a zone id may be that number already.
pub(crate) fn zone_index(zone: &str) -> Option<u32> {
    zone.parse().ok().or_else(|| if_nametoindex(zone).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_listed_with_its_prefix() {
        let all = interfaces().unwrap();
        let loopback = all
            .iter()
            .find(|interface| interface.ip == IpAddr::from([127, 0, 0, 1]))
            .expect("every machine has 127.0.0.1");
        assert_eq!(loopback.prefix_length, 8);
        assert_eq!(loopback.flags, Flags::default());
        assert_eq!(zone_index(&loopback.name), Some(loopback.index));
        assert!(loopback.index > 0);
    }

    #[test]
    fn own_addresses_are_known() {
        assert!(is_own(IpAddr::from([127, 9, 9, 9])));
        assert!(
            interfaces()
                .unwrap()
                .into_iter()
                .all(|interface| is_own(interface.ip))
        );
        assert!(!is_own(IpAddr::from([192, 0, 2, 251])));
    }

    #[test]
    fn zones_are_names_or_numbers() {
        assert_eq!(zone_index("7"), Some(7));
        assert_eq!(zone_index("no-such-zone"), None);
    }

    /// As Linux 6.18 wrote it.
    #[test]
    fn flags_of_ipv6_addresses() {
        let inet6 = Inet6::parse(
            "fd000001000000000000000000000005 03 40 00 a2       v0\n\
             fd000001000000000000000000000006 03 40 00 82       v0\n\
             fd000001000000000000000000000007 03 40 00 40       v0\n\
             fd00000200000000e63fe1d1e759c640 03 40 00 01       v0\n\
             fd000001000000000000000000000008 03 40 00 88       v0\n\
             fe80000000000000b09be9fffecc5195 103 40 20 80       v9\n\
             00000000000000000000000000000001 01 80 10 80       lo\n\
             not a line\n",
        );
        let flags = |ip: &str, index| {
            let flags = inet6.flags(ip.parse().unwrap(), index);
            (flags.temporary, flags.deprecated, flags.tentative)
        };
        assert_eq!(flags("fd00:1::5", 3), (false, true, false));
        assert_eq!(flags("fd00:1::6", 3), (false, false, false));
        assert_eq!(flags("fd00:1::7", 3), (false, false, true));
        assert_eq!(flags("fd00:1::8", 3), (false, false, true), "DAD failed");
        assert_eq!(
            flags("fd00:2::e63f:e1d1:e759:c640", 3),
            (true, false, false)
        );
        assert_eq!(
            flags("fd00:1::5", 4),
            (false, false, false),
            "another interface's"
        );
        assert_eq!(flags("::1", 1), (false, false, false));
        assert!(inet6.0.keys().any(|&(_, index)| index == 0x103));
        assert_eq!(inet6.0.len(), 7);
    }

    /// The files of devices as Linux 6.18 makes them.
    #[test]
    fn what_a_device_is() {
        let device = |flags: &str, link: &str, kind: &str, uevent: &str| {
            let files = [
                ("flags", flags),
                ("ifindex", "4"),
                ("iflink", link),
                ("type", kind),
                ("uevent", uevent),
            ];
            Device::from_files(|file| {
                let (_, text) = files.into_iter().find(|&(name, _)| name == file)?;
                Some(format!("{text}\n"))
            })
        };
        let plain = "INTERFACE=x\nIFINDEX=4";
        let ipvlan = "DEVTYPE=ipvlan\nINTERFACE=x\nIFINDEX=4";
        for (files, expected) in [
            (("0x82", "4", "1", plain), true),        // kube-ipvs0
            (("0x83", "4", "1", plain), true),        // kube-dummy-if
            (("0x1003", "4", "1", plain), false),     // eth0
            (("0x1003", "9", "1", plain), false),     // one end of a veth pair
            (("0x9", "4", "772", plain), false),      // lo
            (("0x10d1", "4", "65534", plain), false), // WireGuard
            (("0x83", "4", "65534", plain), false),
            (("0x83", "2", "1", plain), false),
            (("0x83", "2", "1", ipvlan), false), // ipvlan, L3
            (("0x4c1", "4", "1", "DEVTYPE=vrf\nINTERFACE=x"), false),
            (("nonsense", "4", "1", plain), false),
        ] {
            let (flags, link, kind, uevent) = files;
            assert_eq!(device(flags, link, kind, uevent), expected, "{files:?}");
        }
        assert!(!Device::from_files(|_| None));
    }

    #[test]
    fn an_alias_is_its_interface() {
        assert_eq!(device("eth0:1"), "eth0");
        assert_eq!(device("eth0"), "eth0");
    }
}
