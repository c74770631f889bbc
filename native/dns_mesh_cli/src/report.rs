//! What was found, as a table with a verdict below, or as JSON: of the same shape as what DNSMesh's
//! doctor inside the VM prints.

use std::fmt::Write;

use dns_mesh::{
    Because, Family, Greeting, Kind, OwnAddress, Records, Silent, Verdict as Door, ip_text,
};

use crate::doctor::{Facts, Job, Lookup, Peer};
use crate::failure;
use crate::verdict::{Judgement, Verdict, ailment};

struct Row {
    step: &'static str,
    subject: String,
    /// `None` where nothing can be said.
    is_ok: Option<bool>,
    said: String,
}

pub(crate) fn text(facts: &Facts, judgement: &Judgement, job: &Job) -> String {
    let rows = rows(facts, job);
    let width = |cell: &str| cell.chars().count();
    let widest = rows.iter().map(|row| width(&row.subject)).max();
    let widest = widest.unwrap_or_default();
    let mut text = "DNSMesh doctor\n\n".to_owned();
    for row in &rows {
        let mark = match row.is_ok {
            Some(true) => "ok",
            Some(false) => "!!",
            None => "--",
        };
        let Row {
            step,
            subject,
            said,
            ..
        } = row;
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{mark}  {step:<12}  {subject:<widest$}  {said}");
    }
    if !rows.is_empty() {
        text.push('\n');
    }
    text.push_str(&judgement.sentence);
    text.push('\n');
    if let Some(fix) = &judgement.fix {
        let _ = writeln!(text, "\nFix: {fix}");
    }
    text
}

pub(crate) fn json(facts: &Facts, judgement: &Judgement, job: &Job) -> String {
    let rows = rows(facts, job);
    let rows = rows.iter().map(|row| {
        let is_ok = row
            .is_ok
            .map_or("null", |is_ok| if is_ok { "true" } else { "false" });
        format!(
            "{{\"ok\":{is_ok},\"said\":{},\"step\":{},\"subject\":{}}}",
            quoted(&row.said),
            quoted(row.step),
            quoted(&row.subject)
        )
    });
    let optional = |text: &Option<String>| text.as_deref().map_or("null".into(), quoted);
    format!(
        "{{\"fix\":{},\"healthy\":{},\"node\":null,\"sentence\":{},\"subject\":{},\"table\":[{}],\"took\":{},\"verdict\":{}}}\n",
        optional(&judgement.fix),
        judgement.verdict == Verdict::Reachable,
        quoted(&judgement.sentence),
        optional(&judgement.subject),
        rows.collect::<Vec<_>>().join(","),
        facts.took.as_millis(),
        quoted(judgement.verdict.text())
    )
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn rows(facts: &Facts, job: &Job) -> Vec<Row> {
    let mut rows = facts.lookups.iter().map(dns).collect::<Vec<_>>();
    if facts.folders > 0 {
        rows.push(Row {
            step: "dns",
            subject: "dir:".into(),
            is_ok: None,
            said: "a folder is read once the VM runs".into(),
        });
    }
    if facts.lookups.is_empty() {
        return rows;
    }
    rows.push(name(facts, job));
    rows.push(distribution(job));
    let mut peers = facts.peers.iter().collect::<Vec<_>>();
    peers.sort_by_key(|peer| is_ok(peer) != Some(false));
    rows.extend(peers.into_iter().map(peer));
    rows
}

fn dns(lookup: &Lookup) -> Row {
    let records = match lookup.kind {
        Kind::Addresses(Family::Inet) => "A",
        Kind::Addresses(Family::Inet6) => "AAAA",
        Kind::Services(_) => "SRV",
    };
    let (server, name, said) = match &lookup.outcome {
        Ok(answer) => {
            let count = match &answer.records {
                Records::Addresses(ips) => ips.len(),
                Records::Services(services) => services.len(),
            };
            let said = format!("{count} record{}", if count == 1 { "" } else { "s" });
            let ips = lookup.ips();
            let shown = ips.iter().take(3).map(|&ip| ip_text(ip));
            let more = if ips.len() > 3 { ", …" } else { "" };
            let shown = shown.collect::<Vec<_>>().join(", ");
            let said = format!("{said}: {shown}{more}");
            (Some(answer.server.clone()), &answer.name, said)
        }
        Err(failure) => (
            failure.server.clone(),
            &failure.name,
            failure.reason.to_string(),
        ),
    };
    let server = server
        .map(|server| format!(", from {server}"))
        .unwrap_or_default();
    let asked = if name == lookup.host.trim_end_matches('.') {
        String::new()
    } else {
        format!(", asked as {name}")
    };
    let other = match lookup.elsewhere {
        0 => String::new(),
        count => format!("; {count} of the other IP version"),
    };
    Row {
        step: "dns",
        subject: format!("{} {records}", lookup.host),
        is_ok: Some(lookup.lists_somebody()),
        said: format!(
            "{said}{server}{asked}, {} ms{other}",
            lookup.took.as_millis()
        ),
    }
}

fn name(facts: &Facts, job: &Job) -> Row {
    let row = |subject: String, said| Row {
        step: "name",
        subject,
        is_ok: None,
        said,
    };
    match &facts.own {
        Ok(OwnAddress::Found { candidate, because }) => {
            let because = match because {
                Because::Option => "by --address".into(),
                Because::InAnswer => {
                    format!(
                        "its address on {} is in the DNS answer",
                        candidate.interface
                    )
                }
                Because::RouteToPeer => {
                    format!("the way to its peers leads over {}", candidate.interface)
                }
                Because::PlatformHint => "the platform says so".into(),
                Because::OnlyAddress => format!("its only address, on {}", candidate.interface),
            };
            let basename = job.basename.as_deref().unwrap_or("*");
            let ip = ip_text(candidate.ip);
            row(
                format!("{basename}@{ip}"),
                format!("what this machine would be called: {because}"),
            )
        }
        Ok(OwnAddress::Undecided(all)) => row("this machine".into(), failure::undecided(all)),
        Err(why) => row("this machine".into(), failure::no_address(why)),
    }
}

fn distribution(job: &Job) -> Row {
    let family = match job.family {
        Family::Inet => "IPv4",
        Family::Inet6 => "IPv6",
    };
    let tls = if job.is_tls { " over TLS" } else { "" };
    let ports = match job.port {
        Some(port) => format!("ports fixed ({port})"),
        None => format!("ports by epmd ({})", job.epmd_port),
    };
    let cookie = match (job.is_tls, &job.cookie) {
        (true, _) => "no handshake over TLS",
        (false, Some(_)) => "cookie of RELEASE_COOKIE",
        (false, None) => "no RELEASE_COOKIE to try",
    };
    Row {
        step: "distribution",
        subject: format!("{family}{tls}"),
        is_ok: None,
        said: format!("{ports}, {cookie}"),
    }
}

fn is_ok(peer: &Peer) -> Option<bool> {
    match ailment(peer) {
        None => Some(true),
        Some(_) if peer.is_ours => None,
        Some(_) => Some(false),
    }
}

fn peer(peer: &Peer) -> Row {
    let mut found = Vec::new();
    if peer.is_ours {
        found.push("this machine".to_owned());
    }
    match &peer.registered {
        Some(Ok(names)) if names.is_empty() => found.push("epmd knows nobody".into()),
        Some(Ok(names)) => found.push(format!("epmd knows {}", names.join(", "))),
        Some(Err(fault)) => found.push(fault.to_string()),
        None => {}
    }
    match peer.door {
        Some(Door::Ok(port)) => found.push(format!("port {port} open")),
        Some(Door::Silent(Silent::NotTried)) => found.push("not tried in time".into()),
        Some(verdict) => found.push(verdict.to_string()),
        None => {}
    }
    if let Some(name) = &peer.answers_as {
        found.push(format!("answers as {name}"));
    }
    match &peer.greeting {
        Some(Greeting::Welcome { proved: true, .. }) => found.push("takes the cookie".into()),
        Some(Greeting::Welcome { proved: false, .. }) => {
            found.push("answers, no cookie tried".into());
        }
        Some(greeting) => found.push(greeting.to_string()),
        None => {}
    }
    Row {
        step: "peer",
        subject: peer.name(),
        is_ok: is_ok(peer),
        said: found.join("; "),
    }
}
