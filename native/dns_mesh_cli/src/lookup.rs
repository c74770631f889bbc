//! Asks one name.

use std::fmt::Write;

use dns_mesh::{Family, Follow, Kind, Records, Resolver, Settings, ip_text};

use crate::args::{Lookup, RecordType};
use crate::failure::{Failure, inetrc_trouble, resolv_conf_trouble};
use crate::query::is_service;

/// One record a line.
pub(crate) async fn lookup(wish: &Lookup, family: Option<Family>) -> Result<String, Failure> {
    let resolver = Resolver::new(Settings {
        nameservers: wish.nameservers.clone(),
        ..Settings::default()
    });
    let kind = kind(wish, family);
    match resolver
        .lookup(wish.name.as_bytes(), &kind, Follow::default(), wish.timeout)
        .await
    {
        Ok(answer) => Ok(lines(&answer.records)),
        Err(failure) => {
            let is_usual = wish.nameservers.is_empty();
            let conf = is_usual.then(resolv_conf_trouble).flatten();
            let inetrc = is_usual.then(inetrc_trouble).flatten();
            Err(Failure::not_found(sentence(&wish.name, &failure))
                .and(conf)
                .and(inetrc))
        }
    }
}

fn kind(wish: &Lookup, family: Option<Family>) -> Kind {
    match wish.record_type {
        Some(RecordType::A) => Kind::Addresses(Family::Inet),
        Some(RecordType::Aaaa) => Kind::Addresses(Family::Inet6),
        Some(RecordType::Srv) => Kind::Services(vec![Family::Inet, Family::Inet6]),
        None if is_service(&wish.name) => Kind::Services(vec![Family::Inet, Family::Inet6]),
        None => Kind::Addresses(family.unwrap_or(Family::Inet)),
    }
}

pub(crate) fn sentence(name: &str, failure: &dns_mesh::Failure) -> String {
    let server = failure.server.as_deref();
    let server = server
        .map(|server| format!(" [{server}]"))
        .unwrap_or_default();
    format!("{name}: {}{server}", failure.reason)
}

fn lines(records: &Records) -> String {
    let mut text = String::new();
    match records {
        Records::Addresses(ips) => {
            for &ip in ips {
                text.push_str(&ip_text(ip));
                text.push('\n');
            }
        }
        Records::Services(services) => {
            for service in services {
                let (priority, weight) = (service.priority, service.weight);
                // Writing to a String cannot fail.
                let _ = write!(
                    text,
                    "{priority} {weight} {} {}",
                    service.port, service.target
                );
                for &ip in &service.addresses {
                    text.push(' ');
                    text.push_str(&ip_text(ip));
                }
                text.push('\n');
            }
        }
    }
    text
}
