//! From an address to the host name that leads back to it.
//!
//! Anybody may write any name into the reverse zone of his own addresses. A name counts only when
//! the zone of the name agrees (RFC 1912 §2.1).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use hickory_resolver::proto::rr::{Name, RData};

use crate::answer::{Answer, Records};
use crate::error::{Failure, Reason};
use crate::name::{from_wire, is_host_name};
use crate::permits::MAX_QUESTIONS;
use crate::search::Worst;
use crate::turns::Turns;

/// Of one address; each costs a lookup. A Kubernetes pod has one for each Service it is behind.
pub const MAX_POINTERS: usize = 8;

/// As many addresses as there may be questions on the wire: with more, some would wait for a wire
/// permit until the deadline while others wait for a silent server.
pub(crate) static TURNS: Turns = Turns::new(MAX_QUESTIONS, Duration::ZERO, Duration::MAX);

/// Why an address has no host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoHost {
    /// It has names, and none of them leads back to it.
    Unconfirmed,
    /// The reverse lookup failed, or one that might have led back did.
    Lookup(Reason),
}

/// The name whose PTR records are the address's names (RFC 1035 §3.5, RFC 3596 §2.5).
pub fn reverse_name(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let mut name = String::with_capacity(72);
            for byte in v6.octets().iter().rev() {
                name.push_str(&format!("{:x}.{:x}.", byte & 0xf, byte >> 4));
            }
            name + "ip6.arpa"
        }
    }
}

/// The first name, in alphabetical order, that `forward` leads back to `ip`: name servers change the
/// order of records, and an address must not change its name with it.
pub(crate) async fn confirmed<L>(
    ip: IpAddr,
    pointers: &[RData],
    forward: impl Fn(Name) -> L,
) -> Result<String, NoHost>
where
    L: Future<Output = Result<Answer, Failure>>,
{
    let mut lookups = FuturesOrdered::new();
    for (text, wire) in candidates(pointers) {
        let answer = forward(wire.clone());
        lookups.push_back(async move { (text, answer.await) });
    }
    let mut worst = Worst::default();
    while let Some((name, outcome)) = lookups.next().await {
        match outcome {
            Ok(answer) if leads_to(&answer, ip) => return Ok(name),
            Err(failure) if !failure.reason.is_conclusive() => worst.add(failure),
            Ok(_) | Err(_) => {}
        }
    }
    Err(match worst.into_failure() {
        Some(failure) => NoHost::Lookup(failure.reason),
        None => NoHost::Unconfirmed,
    })
}

/// Names that no host can have are passed over.
fn candidates(pointers: &[RData]) -> impl Iterator<Item = (String, &Name)> {
    let names = pointers.iter().filter_map(|record| match record {
        RData::PTR(pointer) => Some(&pointer.0),
        _ => None,
    });
    names
        .map(|name| (from_wire(name), name))
        .filter(|(text, _)| is_host_name(text))
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .take(MAX_POINTERS)
}

fn leads_to(answer: &Answer, ip: IpAddr) -> bool {
    matches!(&answer.records, Records::Addresses(ips) if ips.contains(&ip))
}

impl From<Failure> for NoHost {
    fn from(failure: Failure) -> Self {
        Self::Lookup(failure.reason)
    }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata::PTR;

    use super::*;
    use crate::name::to_wire;

    #[test]
    fn reverse_names() {
        for (ip, expected) in [
            ("10.0.0.5", "5.0.0.10.in-addr.arpa"),
            ("192.0.2.255", "255.2.0.192.in-addr.arpa"),
            // The example of RFC 3596.
            (
                "4321:0:1:2:3:4:567:89ab",
                "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa",
            ),
            (
                "::ffff:10.0.0.5",
                "5.0.0.0.0.0.a.0.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
            ),
        ] {
            let name = reverse_name(ip.parse().unwrap());
            assert_eq!(name, expected);
            assert!(to_wire(&name).is_ok());
        }
    }

    #[test]
    fn candidates_are_hosts_in_order() {
        let pointer = |name: Name| RData::PTR(PTR(name));
        let name = |text: &str| pointer(to_wire(text).unwrap());
        let mut pointers = vec![
            name("b.internal"),
            name("A.internal"),
            name("a.INTERNAL"),
            name("10.0.0.5"),
            pointer(Name::root()),
            pointer(Name::from_labels([&b"a b"[..], b"internal"]).unwrap()),
            pointer(Name::from_labels([&b"a.b"[..], b"internal"]).unwrap()),
            pointer(Name::from_labels([&b"a\n"[..]]).unwrap()),
        ];
        let texts = |pointers: &[RData]| {
            let texts = candidates(pointers).map(|(text, _)| text);
            texts.collect::<Vec<_>>()
        };
        assert_eq!(texts(&pointers), ["a.internal", "b.internal"]);
        pointers.extend((0..20).map(|n| name(&format!("n{n}"))));
        assert_eq!(texts(&pointers).len(), MAX_POINTERS);
    }
}
