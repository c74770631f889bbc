//! This machine's own interfaces and addresses.

use std::fs;
use std::io;
use std::net::IpAddr;

use if_addrs::IfAddr;

/// One address of one interface that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    pub ip: IpAddr,
    pub prefix_length: u8,
}

/// Every address of every interface that is up, loopback included, carrier or not: the kernel
/// answers at the address of a bridge that nothing is plugged into.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    let up = if_addrs::get_if_addrs()?.into_iter().filter(is_up);
    Ok(up
        .map(|interface| Interface {
            prefix_length: match &interface.addr {
                IfAddr::V4(v4) => v4.prefixlen,
                IfAddr::V6(v6) => v6.prefixlen,
            },
            ip: interface.ip(),
            name: interface.name,
        })
        .collect())
}

/// `is_oper_up` means "running", which takes a carrier; Linux tells "up" in a file.
fn is_up(interface: &if_addrs::Interface) -> bool {
    const IFF_UP: u32 = 1;
    let flags = || {
        let device = interface.name.split(':').next()?;
        let text = fs::read_to_string(format!("/sys/class/net/{device}/flags")).ok()?;
        u32::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
    };
    interface.is_oper_up() || flags().is_some_and(|flags| flags & IFF_UP != 0)
}

/// Whether an address is this machine's: loopback, or on any interface, up or down.
pub(crate) fn is_own(ip: IpAddr) -> bool {
    ip.is_loopback()
        || if_addrs::get_if_addrs()
            .is_ok_and(|all| all.iter().any(|interface| interface.ip() == ip))
}

/// The index the kernel knows an interface by; a zone id may be that number already.
pub(crate) fn zone_index(zone: &str) -> Option<u32> {
    zone.parse().ok().or_else(|| {
        let all = if_addrs::get_if_addrs().ok()?;
        all.iter().find(|interface| interface.name == zone)?.index
    })
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
        assert!(zone_index(&loopback.name).is_some_and(|index| index > 0));
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
}
