//! `/etc/hosts`, minus the entries that only name this machine.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::answer::Family;
use crate::name::is_host_name;

#[derive(Debug, Default)]
pub struct Hosts {
    by_name: HashMap<String, Vec<IpAddr>>,
    /// The first name of an address's first line, which is its proper one (hosts(5)).
    by_ip: HashMap<IpAddr, String>,
}

impl Hosts {
    pub fn parse(bytes: &[u8]) -> Self {
        let mut hosts = Self::default();
        for line in String::from_utf8_lossy(bytes).lines() {
            let mut words = line.split('#').next().unwrap_or("").split_whitespace();
            let Some(Ok(ip)) = words.next().map(str::parse) else {
                continue;
            };
            let mut words = words.peekable();
            if let Some(name) = words.peek().map(|name| key(name))
                && is_host_name(&name)
            {
                hosts.by_ip.entry(ip).or_insert(name);
            }
            for name in words {
                hosts.by_name.entry(key(name)).or_default().push(ip);
            }
        }
        hosts
    }

    /// The addresses of one family, or `None` when DNS is to be asked.
    ///
    /// A container's hosts file names the container itself under its own service name. Taken
    /// at its word, a node would find itself and nobody else: an entry whose addresses are
    /// all `own` is no answer.
    pub fn find(
        &self,
        name: &str,
        family: Family,
        own: impl Fn(IpAddr) -> bool,
    ) -> Option<Vec<IpAddr>> {
        let mut found = self.by_name.get(&key(name))?.clone();
        found.retain(|&ip| family.holds(ip));
        (!found.iter().all(|&ip| own(ip))).then_some(found)
    }

    /// The name of an address, which leads back to it by [`Self::find`]. Not for an `own` one: a
    /// container's file names it by whatever the container was started with.
    pub fn name_of(&self, ip: IpAddr, own: impl Fn(IpAddr) -> bool) -> Option<String> {
        let name = self.by_ip.get(&ip)?;
        (!own(ip)).then(|| name.clone())
    }
}

fn key(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = b"127.0.0.1\tlocalhost\n\
        ::1 localhost ip6-localhost\n\
        # 10.0.0.9 commented\n\
        10.0.0.5  app App.Internal # the app\n\
        10.0.0.6  app\n\
        fdaa::5   app\n\
        172.18.0.2 self both\n\
        172.18.0.3 both\n\
        nonsense line\n\
        10.0.0.300 bad\n\
        \xff\xff\n\
        10.0.0.8 last";

    fn find(name: &str, family: Family) -> Option<Vec<String>> {
        let own = |ip: IpAddr| ip.is_loopback() || ip == IpAddr::from([172, 18, 0, 2]);
        let found = Hosts::parse(FILE).find(name, family, own)?;
        Some(found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn entries() {
        let found = |ips: &[&str]| Some(ips.iter().map(ToString::to_string).collect());
        for (name, family, expected) in [
            ("app", Family::Inet, found(&["10.0.0.5", "10.0.0.6"])),
            ("app", Family::Inet6, found(&["fdaa::5"])),
            ("APP.internal", Family::Inet, found(&["10.0.0.5"])),
            ("app.internal", Family::Inet6, None),
            ("last", Family::Inet, found(&["10.0.0.8"])),
            ("commented", Family::Inet, None),
            ("bad", Family::Inet, None),
            ("unknown", Family::Inet, None),
        ] {
            assert_eq!(find(name, family), expected, "{name} {family:?}");
        }
    }

    #[test]
    fn an_address_is_called_by_its_first_name() {
        let own = |ip: IpAddr| ip.is_loopback() || ip == IpAddr::from([172, 18, 0, 2]);
        let hosts = Hosts::parse(
            b"10.0.0.5 App.Internal. app\n10.0.0.5 other\n10.0.0.6 a/b\n10.0.0.6 10.0.0.9\n10.0.0.6 c\n\
              127.0.0.1 localhost\n172.18.0.2 self\nfdaa::5 six\n10.0.0.7\n",
        );
        for (ip, expected) in [
            ("10.0.0.5", Some("app.internal")),
            ("10.0.0.6", Some("c")),
            ("10.0.0.7", None),
            ("10.0.0.8", None),
            ("127.0.0.1", None),
            ("172.18.0.2", None),
            ("fdaa::5", Some("six")),
        ] {
            let ip = ip.parse().unwrap();
            let name = hosts.name_of(ip, own);
            assert_eq!(name.as_deref(), expected, "{ip}");
            if let Some(name) = name {
                let back = hosts.find(&name, Family::of(ip), own);
                assert!(back.unwrap().contains(&ip));
            }
        }
    }

    #[test]
    fn entries_that_only_name_this_machine_are_skipped() {
        assert_eq!(find("localhost", Family::Inet), None);
        assert_eq!(find("localhost", Family::Inet6), None);
        assert_eq!(find("self", Family::Inet), None);
        assert_eq!(
            find("both", Family::Inet),
            Some(vec!["172.18.0.2".into(), "172.18.0.3".into()])
        );
    }
}
