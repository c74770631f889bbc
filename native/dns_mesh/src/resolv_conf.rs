//! `/etc/resolv.conf` with glibc's meaning.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use resolv_conf::{Config, ScopedIp};

use crate::name::{self, Host};

const PORT: u16 = 53;
const MAX_SERVERS: usize = 3;
const MAX_NDOTS: u32 = 15;
const MAX_TIMEOUT: u32 = 30;
const MAX_ATTEMPTS: u32 = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    pub servers: Vec<SocketAddr>,
    pub search: Vec<String>,
    /// A name with fewer dots than this is tried with the search domains first.
    pub ndots: usize,
    /// How long one try at one server may take.
    pub timeout: Duration,
    /// How many times to go through the servers.
    pub attempts: usize,
    /// `use-vc`: TCP only.
    pub tcp_only: bool,
}

impl ResolvConf {
    /// Lines that make no sense are passed over; an empty file is a valid one.
    pub fn parse(bytes: &[u8], zone_index: impl Fn(&str) -> Option<u32>) -> Self {
        let lines = bytes
            .split(|&byte| byte == b'\n')
            .filter(|line| line.trim_ascii() != b"search")
            .map(|line| number_zone(line, &zone_index))
            .collect::<Vec<_>>();
        let (config, _lines_that_make_no_sense) = Config::parse_with_errors(&lines.join(&b'\n'));

        let mut servers = config.nameservers.iter().map(server).collect::<Vec<_>>();
        servers.truncate(MAX_SERVERS);
        if servers.is_empty() {
            servers.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        Self {
            servers,
            search: config
                .get_last_search_or_domain()
                .filter_map(|domain| search_domain(domain))
                .collect(),
            ndots: config.ndots.min(MAX_NDOTS) as usize,
            timeout: Duration::from_secs(clamp(config.timeout, 5, MAX_TIMEOUT).into()),
            attempts: clamp(config.attempts, 2, MAX_ATTEMPTS) as usize,
            tcp_only: config.use_vc,
        }
    }
}

fn clamp(value: u32, default: u32, max: u32) -> u32 {
    if value == 0 { default } else { value.min(max) }
}

fn search_domain(domain: &str) -> Option<String> {
    match Host::parse(domain.as_bytes()) {
        Ok(Host::Name(name::HostName { text, .. })) => Some(text),
        _ => None,
    }
}

fn server(ip: &ScopedIp) -> SocketAddr {
    match ip {
        ScopedIp::V6(ip, Some(zone)) => {
            SocketAddrV6::new(*ip, PORT, 0, zone.parse().unwrap_or(0)).into()
        }
        ScopedIp::V6(ip, None) => (*ip, PORT).into(),
        ScopedIp::V4(ip) => (IpAddr::V4(*ip), PORT).into(),
    }
}

/// `nameserver fe80::1%br-9f3e` → `nameserver fe80::1%7`. The crate takes only letters and
/// digits as a zone and would drop the whole line, which Docker's bridge names need.
/// An unknown zone goes away, as in glibc.
fn number_zone(line: &[u8], zone_index: impl Fn(&str) -> Option<u32>) -> Vec<u8> {
    let numbered = || {
        let text = str::from_utf8(line).ok()?;
        let mut words = text.split_whitespace();
        let ("nameserver", scoped) = (words.next()?, words.next()?) else {
            return None;
        };
        let (ip, zone) = scoped.split_once('%')?;
        Some(match zone_index(zone) {
            Some(index) => format!("nameserver {ip}%{index}"),
            None => format!("nameserver {ip}"),
        })
    };
    numbered().map_or_else(|| line.to_vec(), String::into_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ResolvConf {
        ResolvConf::parse(text.as_bytes(), |zone| match zone {
            "eth0" => Some(2),
            "br-9f3e_a.100" => Some(7),
            number => number.parse().ok(),
        })
    }

    fn servers(text: &str) -> Vec<String> {
        parse(text)
            .servers
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn an_empty_file_means_the_local_server() {
        assert_eq!(
            parse(""),
            ResolvConf {
                servers: vec!["127.0.0.1:53".parse().unwrap()],
                search: vec![],
                ndots: 1,
                timeout: Duration::from_secs(5),
                attempts: 2,
                tcp_only: false,
            }
        );
    }

    #[test]
    fn name_servers() {
        for (text, expected) in [
            ("nameserver 10.0.0.1", vec!["10.0.0.1:53"]),
            (
                "nameserver 10.0.0.1\r\nnameserver fdaa::3\r\n",
                vec!["10.0.0.1:53", "[fdaa::3]:53"],
            ),
            (
                "nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4",
                vec!["1.1.1.1:53", "1.1.1.2:53", "1.1.1.3:53"],
            ),
            ("nameserver fe80::1%eth0", vec!["[fe80::1%2]:53"]),
            ("nameserver fe80::1%3", vec!["[fe80::1%3]:53"]),
            ("nameserver fe80::1%br-9f3e_a.100", vec!["[fe80::1%7]:53"]),
            ("nameserver fe80::1%gone", vec!["[fe80::1]:53"]),
            ("nameserver fe80::1%br-gone", vec!["[fe80::1]:53"]),
            (
                "search fe80::1%eth0\noptions fe80::2%eth0\nnameserver 10.0.0.1",
                vec!["10.0.0.1:53"],
            ),
            (
                "# nameserver 1.1.1.1\n; nameserver 1.1.1.2\nnameserver 1.1.1.3 # x",
                vec!["1.1.1.3:53"],
            ),
            (
                "garbage\nnameserver nonsense\nnameserver 10.0.0.1\n\u{0}\nnameserver",
                vec!["10.0.0.1:53"],
            ),
        ] {
            assert_eq!(servers(text), expected, "{text}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_spoil_only_their_line() {
        let parsed = ResolvConf::parse(b"search \xff\xfe\nnameserver 10.0.0.1\n", |_| None);
        assert_eq!(parsed.servers, ["10.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn the_last_of_search_and_domain_wins() {
        for (text, expected) in [
            ("search a b\ndomain c", vec!["c"]),
            ("domain c\nsearch a b", vec!["a", "b"]),
            ("search a b\nsearch", vec!["a", "b"]),
            (
                "search a. .  bad..name ns.svc.cluster.local",
                vec!["a", "ns.svc.cluster.local"],
            ),
        ] {
            assert_eq!(parse(text).search, expected, "{text}");
        }
        let many = (0..32).map(|n| format!("d{n}")).collect::<Vec<_>>();
        assert_eq!(parse(&format!("search {}", many.join(" "))).search, many);
    }

    #[test]
    fn options_are_clamped() {
        for (options, ndots, timeout, attempts) in [
            ("ndots:5", 5, 5, 2),
            ("ndots:0", 0, 5, 2),
            ("ndots:99", 15, 5, 2),
            ("timeout:1 attempts:1", 1, 1, 1),
            ("timeout:0 attempts:0", 1, 5, 2),
            ("timeout:99 attempts:99", 1, 30, 5),
            ("ndots:many timeout: unknown edns0 attempts:3", 1, 5, 3),
        ] {
            let parsed = parse(&format!("options {options}"));
            assert_eq!(parsed.ndots, ndots, "{options}");
            assert_eq!(parsed.timeout, Duration::from_secs(timeout), "{options}");
            assert_eq!(parsed.attempts, attempts, "{options}");
        }
        assert!(parse("options use-vc").tcp_only);
    }
}
