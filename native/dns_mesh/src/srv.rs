//! SRV records to services with addresses.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::net::IpAddr;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, Record};

use crate::answer::{Answer, Family, MAX_RECORDS, Records, Service};
use crate::error::{Failure, Reason};
use crate::name::from_wire;
use crate::reply::{Reply, follow};
use crate::search::Worst;

/// The addresses found for the targets of one reply.
#[derive(Default)]
struct Found {
    by_target: HashMap<String, Vec<IpAddr>>,
    ttl: Option<u32>,
    truncated: bool,
    worst: Worst,
}

/// Resolves every target: from the additional section where it has the family wanted, else by
/// `lookup`, all at once. One target that fails keeps no addresses; only when all of them
/// fail does the worst failure count.
pub(crate) async fn resolve<L>(
    reply: Reply,
    families: &[Family],
    name: String,
    server: Option<String>,
    lookup: impl Fn(Name, Family) -> L,
) -> Result<Answer, Failure>
where
    L: Future<Output = Result<Answer, Failure>>,
{
    let records = services(reply.records);
    if records.is_empty() {
        return Err(Failure {
            reason: Reason::NoRecords,
            name,
            server,
            negative_ttl: None,
        });
    }

    let mut found = Found {
        truncated: reply.truncated,
        ..Found::default()
    };
    let mut lookups = FuturesUnordered::new();
    for (target, family) in questions(&records, families) {
        let (ips, ttl) = given(target, family, &reply.additionals);
        if ips.is_empty() {
            let answer = lookup(target.clone(), family);
            lookups.push(async move { (from_wire(target), answer.await) });
        } else {
            found.add(from_wire(target), ips, ttl);
        }
    }
    while let Some((target, outcome)) = lookups.next().await {
        match outcome {
            Ok(answer) => {
                found.truncated |= answer.truncated;
                // An address from the hosts file has no TTL of its own.
                let ttl = if answer.server == "hosts" {
                    u32::MAX
                } else {
                    answer.ttl
                };
                let Records::Addresses(ips) = answer.records else {
                    continue;
                };
                found.add(target, ips, ttl);
            }
            Err(failure) => found.worst.add(failure),
        }
    }

    if found.by_target.is_empty()
        && !families.is_empty()
        && let Some(failure) = found.worst.into_failure()
    {
        return Err(failure);
    }
    Ok(Answer {
        ttl: reply.ttl.min(found.ttl.unwrap_or(u32::MAX)),
        records: Records::Services(
            records
                .iter()
                .map(|srv| service(srv, &found.by_target))
                .collect(),
        ),
        name,
        server: server.unwrap_or_default(),
        truncated: found.truncated,
        hosts: BTreeMap::new(),
        registered: BTreeMap::new(),
    })
}

/// Target `.` says that the service is decidedly not there.
fn services(records: Vec<RData>) -> Vec<SRV> {
    records
        .into_iter()
        .filter_map(|record| match record {
            RData::SRV(srv) if !srv.target.is_root() => Some(srv),
            _ => None,
        })
        .collect()
}

/// Each target once per family, however many ports it serves.
fn questions<'a>(records: &'a [SRV], families: &[Family]) -> Vec<(&'a Name, Family)> {
    let mut questions = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for srv in records {
        if seen.insert(&srv.target) {
            questions.extend(families.iter().map(|&family| (&srv.target, family)));
        }
    }
    questions
}

fn given(target: &Name, family: Family, additionals: &[Record]) -> (Vec<IpAddr>, u32) {
    let (owner, mut ttl) = follow(target, additionals);
    let mut ips = Vec::new();
    for record in additionals.iter().filter(|record| record.name == owner) {
        let ip = match (&record.data, family) {
            (RData::A(a), Family::Inet) => a.0.into(),
            (RData::AAAA(aaaa), Family::Inet6) => aaaa.0.into(),
            _ => continue,
        };
        ttl = ttl.min(record.ttl);
        ips.push(ip);
    }
    (ips, ttl)
}

fn service(srv: &SRV, by_target: &HashMap<String, Vec<IpAddr>>) -> Service {
    let target = from_wire(&srv.target);
    Service {
        port: srv.port,
        priority: srv.priority,
        weight: srv.weight,
        addresses: by_target.get(&target).cloned().unwrap_or_default(),
        target,
    }
}

impl Found {
    fn add(&mut self, target: String, mut ips: Vec<IpAddr>, ttl: u32) {
        let room = MAX_RECORDS - self.by_target.values().map(Vec::len).sum::<usize>();
        self.truncated |= ips.len() > room;
        ips.truncate(room);
        if !ips.is_empty() {
            self.by_target.entry(target).or_default().extend(ips);
            self.ttl = Some(self.ttl.unwrap_or(u32::MAX).min(ttl));
        }
    }
}
