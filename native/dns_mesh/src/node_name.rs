//! Node names as text: `basename@address`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// With an `@` and the longest address, 255 bytes hold no more: that is what an atom holds.
const MAX_BASENAME: usize = 200;

/// Why a text is no basename: it is not one to 200 letters, digits, `_` or `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadBasename(pub Vec<u8>);

/// The name of the node `basename` at `ip`.
pub fn node_name(basename: &[u8], ip: IpAddr) -> Result<String, BadBasename> {
    Ok(format!("{}@{}", check_basename(basename)?, ip_text(ip)))
}

/// Whether OTP's net_kernel takes this text as the part of a node name before the `@`.
pub fn check_basename(text: &[u8]) -> Result<&str, BadBasename> {
    let is_good = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
    match str::from_utf8(text) {
        Ok(basename) if (1..=MAX_BASENAME).contains(&text.len()) && text.iter().all(is_good) => {
            Ok(basename)
        }
        _ => Err(BadBasename(text.to_vec())),
    }
}

/// The text of an address as Erlang's `inet:ntoa/1` writes it. Nodes are told apart by the text
/// of their names, so it must be this one in every case; Rust writes two of them differently.
pub fn ip_text(ip: IpAddr) -> String {
    let IpAddr::V6(v6) = ip else {
        return ip.to_string();
    };
    match v6.segments() {
        // The old IPv4-compatible form, which Rust writes as any other address.
        [0, 0, 0, 0, 0, 0, high, low] if (high, low) != (0, 0) && (high, low) != (0, 1) => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            format!("::{a}.{b}.{c}.{d}")
        }
        // BSD kernels keep the interface's number here; Erlang takes it for that everywhere.
        [first @ (0xfe80 | 0xff02), zone, c, d, e, f, g, h] if zone != 0 => {
            let bare = Ipv6Addr::new(first, 0, c, d, e, f, g, h);
            format!("{bare}%0{zone}")
        }
        _ => v6.to_string(),
    }
}

impl fmt::Display for BadBasename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.0);
        write!(
            f,
            "{text:?} is not one to {MAX_BASENAME} letters, digits, _ or -"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each right-hand side is what `inet:ntoa/1` of OTP 25 gave for the address.
    const NTOA: &[(&str, &str)] = &[
        ("10.0.0.5", "10.0.0.5"),
        ("0.0.0.0", "0.0.0.0"),
        ("::", "::"),
        ("::1", "::1"),
        ("::2", "::0.0.0.2"),
        ("::1:0", "::0.1.0.0"),
        ("::102:304", "::1.2.3.4"),
        ("::ffff", "::0.0.255.255"),
        ("::ffff:ffff", "::255.255.255.255"),
        ("::ffff:10.0.0.5", "::ffff:10.0.0.5"),
        ("::ffff:0:0", "::ffff:0.0.0.0"),
        ("::ffff:0:102:304", "::ffff:0:102:304"),
        ("::fffe:102:304", "::fffe:102:304"),
        ("64:ff9b::102:304", "64:ff9b::102:304"),
        ("FDAA:0:0:A7B::2", "fdaa:0:0:a7b::2"),
        ("fdaa:0:1:a7b:7d:ea83:d28b:2", "fdaa:0:1:a7b:7d:ea83:d28b:2"),
        ("2001:0db8:0000:0000:0000:0000:0a00:0001", "2001:db8::a00:1"),
        ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
        ("0:1:2:3:4:5:6:7", "0:1:2:3:4:5:6:7"),
        ("1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7:0"),
        ("1:2:0:0:3:4:0:0", "1:2::3:4:0:0"),
        ("0:0:1:2:0:0:3:4", "::1:2:0:0:3:4"),
        ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
        ("0:0:1::", "0:0:1::"),
        ("fe80::1", "fe80::1"),
        ("fe80:3::1", "fe80::1%03"),
        ("fe80:ffff:0:0:1::2", "fe80::1:0:0:2%065535"),
        ("fe80:3:1::", "fe80:0:1::%03"),
        ("ff02:1::1", "ff02::1%01"),
        ("ff05:1::1", "ff05:1::1"),
        ("fe81:1::1", "fe81:1::1"),
    ];

    #[test]
    fn addresses_as_erlang_writes_them() {
        for (ip, text) in NTOA {
            assert_eq!(ip_text(ip.parse().unwrap()), *text, "{ip}");
        }
    }

    #[test]
    fn names() {
        let name = |ip: &str| node_name(b"app", ip.parse().unwrap()).unwrap();
        assert_eq!(name("10.0.0.5"), "app@10.0.0.5");
        assert_eq!(name("FDAA::3"), "app@fdaa::3");
    }

    #[test]
    fn what_a_basename_may_be() {
        let longest = "a".repeat(MAX_BASENAME);
        for good in ["a", "app", "my_app-01ABC", "-", "_", "9", &longest] {
            assert_eq!(check_basename(good.as_bytes()), Ok(good));
        }
        let too_long = "a".repeat(MAX_BASENAME + 1);
        for bad in [
            "", " ", "a b", "a@b", "@", "a.b", "a/b", "a\n", "\na", "a\0", "ä", "a'b", "$app",
            &too_long,
        ] {
            let refusal = BadBasename(bad.into());
            assert_eq!(check_basename(bad.as_bytes()), Err(refusal.clone()));
            assert_eq!(
                node_name(bad.as_bytes(), [10, 0, 0, 1].into()),
                Err(refusal)
            );
        }
        assert!(check_basename(b"a\xff").is_err());
    }

    #[test]
    fn no_name_is_longer_than_an_atom() {
        let longest = "fe80:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap();
        let name = node_name("a".repeat(MAX_BASENAME).as_bytes(), longest).unwrap();
        assert!(name.len() <= 255, "{}", name.len());
    }
}
