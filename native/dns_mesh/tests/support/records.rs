//! Short ways to write records.

use std::net::{IpAddr, Ipv4Addr};

use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, PTR, SOA, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record};

pub const TTL: u32 = 30;

pub fn name(text: &str) -> Name {
    Name::from_labels(
        text.split('.')
            .filter(|label| !label.is_empty())
            .map(str::as_bytes),
    )
    .unwrap()
}

/// An A or AAAA record, by what `ip` is.
pub fn ip(owner: &str, ip: &str) -> Record {
    let data = match ip.parse().unwrap() {
        IpAddr::V4(v4) => RData::A(A(v4)),
        IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
    };
    Record::from_rdata(name(owner), TTL, data)
}

/// `count` A records: 10.0.0.0, 10.0.0.1, …
pub fn many(owner: &str, count: u32) -> Vec<Record> {
    let owner = name(owner);
    (0..count)
        .map(|n| {
            let ip = Ipv4Addr::from(0x0a00_0000 + n);
            Record::from_rdata(owner.clone(), TTL, RData::A(A(ip)))
        })
        .collect()
}

pub fn cname(owner: &str, target: &str) -> Record {
    Record::from_rdata(name(owner), TTL, RData::CNAME(CNAME(name(target))))
}

pub fn ptr(owner: &str, target: &str) -> Record {
    Record::from_rdata(name(owner), TTL, RData::PTR(PTR(name(target))))
}

pub fn srv(owner: &str, priority: u16, weight: u16, port: u16, target: &str) -> Record {
    let data = RData::SRV(SRV::new(priority, weight, port, name(target)));
    Record::from_rdata(name(owner), TTL, data)
}

pub fn soa(zone: &str, minimum: u32) -> Record {
    let data = SOA::new(name("ns"), name("admin"), 1, 2, 3, 4, minimum);
    Record::from_rdata(name(zone), 3600, RData::SOA(data))
}
