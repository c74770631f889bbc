//! From what was found to the one verdict that is told, and what to do. The verdicts are those of
//! DNSMesh's doctor inside the VM, as far as they can be told from outside.

use std::net::IpAddr;

use dns_mesh::{
    Dead, EpmdFault, Family, Greeting, Kind, Network, Reason, Silent, Verdict as Door, ip_text,
};

use crate::doctor::{Facts, Job, Lookup, Peer};

/// In the order of the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    QueryNotSet,
    ServerSilent,
    ServerRefused,
    ServerFailed,
    LocalName,
    NoSuchName,
    NoRecords,
    WrongFamily,
    OnlyMyself,
    VirtualIp,
    Nat,
    EpmdRefused,
    EpmdSilent,
    NotRegistered,
    PortClosed,
    PortSilent,
    NoNode,
    NodeSilent,
    Tls,
    OtherName,
    NotAdmitted,
    WrongCookie,
    Hidden,
    Reachable,
}

/// The verdict, and what it says.
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    pub(crate) subject: Option<String>,
    pub(crate) sentence: String,
    pub(crate) fix: Option<String>,
}

impl Verdict {
    /// As the doctor inside the VM calls it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::QueryNotSet => "query_not_set",
            Self::ServerSilent => "server_silent",
            Self::ServerRefused => "server_refused",
            Self::ServerFailed => "server_failed",
            Self::LocalName => "local_name",
            Self::NoSuchName => "no_such_name",
            Self::NoRecords => "no_records",
            Self::WrongFamily => "wrong_family",
            Self::OnlyMyself => "only_myself",
            Self::VirtualIp => "virtual_ip",
            Self::Nat => "nat",
            Self::EpmdRefused => "epmd_refused",
            Self::EpmdSilent => "epmd_silent",
            Self::NotRegistered => "not_registered",
            Self::PortClosed => "port_closed",
            Self::PortSilent => "port_silent",
            Self::NoNode => "no_node",
            Self::NodeSilent => "node_silent",
            Self::Tls => "tls",
            Self::OtherName => "other_name",
            Self::NotAdmitted => "not_admitted",
            Self::WrongCookie => "wrong_cookie",
            Self::Hidden => "hidden",
            Self::Reachable => "reachable",
        }
    }
}

pub(crate) fn judge(facts: &Facts, job: &Job) -> Judgement {
    no_query(facts)
        .or_else(|| nobody_listed(facts))
        .or_else(|| astray(facts, job))
        .or_else(|| ailing(facts, job))
        .or_else(|| partly_listed(facts))
        .unwrap_or_else(|| reachable(facts))
}

fn no_query(facts: &Facts) -> Option<Judgement> {
    (facts.lookups.is_empty()).then(|| {
        let folders = facts.folders > 0;
        Judgement {
            verdict: Verdict::QueryNotSet,
            subject: None,
            sentence: if folders {
                "The query is a folder only, and a folder is read once the VM runs.".into()
            } else {
                "No query is given, and DNS_CLUSTER_QUERY is not set here.".into()
            },
            fix: Some(if folders {
                "ask in the VM: bin/my_app rpc \"DNSMesh.doctor()\".".into()
            } else {
                "name what is to be examined: dns_mesh doctor app.internal.".into()
            }),
        }
    })
}

// DNS

/// Only where no item lists anybody: what one of several lacks need not be what is missed.
fn nobody_listed(facts: &Facts) -> Option<Judgement> {
    let is_empty = |lookup: &Lookup| !lookup.lists_somebody();
    facts
        .lookups
        .iter()
        .all(is_empty)
        .then(|| partly_listed(facts))?
}

fn partly_listed(facts: &Facts) -> Option<Judgement> {
    let silent = facts.lookups.iter().filter(|one| !one.lists_somebody());
    silent.min_by_key(|one| silence(one)).map(say_silence)
}

fn silence(lookup: &Lookup) -> Verdict {
    let Err(failure) = &lookup.outcome else {
        return Verdict::NoRecords;
    };
    if lookup.elsewhere > 0 {
        return Verdict::WrongFamily;
    }
    if is_multicast(&lookup.host) {
        return Verdict::LocalName;
    }
    match failure.reason {
        Reason::NxDomain => Verdict::NoSuchName,
        Reason::NoRecords => Verdict::NoRecords,
        Reason::Timeout => Verdict::ServerSilent,
        Reason::Refused => Verdict::ServerRefused,
        _ => Verdict::ServerFailed,
    }
}

/// RFC 6762 has these names, and name servers have not; but for Kubernetes', which end alike.
fn is_multicast(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host.ends_with(".local") && !host.ends_with(".cluster.local")
}

fn say_silence(lookup: &Lookup) -> Judgement {
    let host = &lookup.host;
    let records = match lookup.kind {
        Kind::Addresses(Family::Inet) => "A",
        Kind::Addresses(Family::Inet6) => "AAAA",
        Kind::Services(_) => "SRV",
    };
    let (server, reason) = match &lookup.outcome {
        Err(failure) => (
            failure
                .server
                .clone()
                .unwrap_or_else(|| "the name servers".into()),
            failure.reason.to_string(),
        ),
        Ok(answer) => (answer.server.clone(), "nobody".into()),
    };
    let asked = match &lookup.outcome {
        Err(failure) if failure.name != host.trim_end_matches('.') => {
            format!("{host} (asked as {})", failure.name)
        }
        _ => host.clone(),
    };
    let verdict = silence(lookup);
    let (sentence, fix) = match verdict {
        Verdict::ServerSilent => (
            format!(
                "{records} of {host} got no answer in {} ms from {server}.",
                lookup.took.as_millis()
            ),
            "look whether a name server runs there, and let port 53, UDP and TCP, through from this host; or name another one, in /etc/resolv.conf or with --nameserver.",
        ),
        Verdict::ServerRefused => (
            format!(
                "{server} refuses to answer for {host} (REFUSED): it serves others, or not this name."
            ),
            "correct the name, if that is the name server which the platform gives its containers and machines; else ask that one, by /etc/resolv.conf; or permit this host's address there.",
        ),
        Verdict::LocalName => (
            format!(
                "{host} ends in .local, which is for multicast DNS (Avahi, Bonjour): {server} has no such name ({reason}), and DNSMesh asks name servers only."
            ),
            "query a name that a name server has; or write the addresses into /etc/hosts, all of them under that name; or list them: DNS_CLUSTER_QUERY=10.0.0.5,10.0.0.6.",
        ),
        Verdict::NoSuchName => (
            format!("{server} says that {asked} does not exist (NXDOMAIN)."),
            "correct the spelling of the query (DNS_CLUSTER_QUERY), or have the name server list the nodes' addresses under that name.",
        ),
        Verdict::NoRecords => (
            format!("{asked} exists at {server}, and has no {records} records."),
            "have the name list the nodes' addresses: in Kubernetes a headless service (clusterIP: None) whose selector matches the pods, with publishNotReadyAddresses: true; in Compose and Swarm a service with running containers.",
        ),
        Verdict::WrongFamily => {
            let (found, missing, fix) = match lookup.kind {
                Kind::Addresses(Family::Inet) => (
                    "IPv6",
                    "IPv4",
                    "boot every node for IPv6: ERL_AFLAGS=\"-proto_dist inet6_tcp\" (a release's env.sh of mix dns_mesh.gen.env sees to it).",
                ),
                _ => (
                    "IPv4",
                    "IPv6",
                    "boot every node for IPv4: without -proto_dist inet6_tcp in ERL_AFLAGS, ERL_FLAGS, ELIXIR_ERL_OPTIONS and vm.args.",
                ),
            };
            (
                format!(
                    "{host} has {} {found} and no {missing} ones, and the VM's distribution will speak {missing}.",
                    counted(lookup.elsewhere, "address", "addresses")
                ),
                fix,
            )
        }
        _ => (
            format!("{records} of {host} failed at {server}: {reason}."),
            "mend that name server, or name another one, in /etc/resolv.conf or with --nameserver.",
        ),
    };
    Judgement {
        verdict,
        subject: Some(host.clone()),
        sentence,
        fix: Some(fix.into()),
    }
}

// Addresses that are nobody's own

fn astray(facts: &Facts, job: &Job) -> Option<Judgement> {
    let ips = listed(facts);
    let (own, others): (Vec<_>, Vec<_>) = facts.peers.iter().partition(|peer| peer.is_ours);
    let verdict = if others.is_empty() && !own.is_empty() {
        let is_guest = own.iter().all(|peer| is_guest(peer.ip, facts));
        Some(if is_guest {
            Verdict::VirtualIp
        } else {
            Verdict::OnlyMyself
        })
    } else if ips.is_empty() || !own.is_empty() || !others.iter().all(|peer| is_unheard(peer, job))
    {
        None
    } else if ips.len() == 1 {
        Some(Verdict::VirtualIp)
    } else {
        (ips.iter().all(|&ip| is_far(ip, facts))).then_some(Verdict::Nat)
    }?;
    let gives = gives(facts);
    let (sentence, fix) = match verdict {
        Verdict::OnlyMyself => (
            format!("The only address listed is this machine's: {gives}."),
            "start a second node with the same query; if one runs, have the name list its address too.".into(),
        ),
        Verdict::VirtualIp => (
            format!("{gives}: one address, and no node's own; it looks like a virtual IP that stands before the nodes."),
            format!(
                "query the name that lists the nodes themselves: tasks.SERVICE in Swarm, a headless service (clusterIP: None) in Kubernetes, the tasks' own names elsewhere. If {} is a node's own address after all, start the node there, and open port {} to this host.",
                some(ips.iter().map(|&ip| ip_text(ip))),
                job.port.unwrap_or(job.epmd_port)
            ),
        ),
        _ => (
            format!("{gives}: none of these addresses is one of this host's, nor near one: they are those of hosts, and the nodes stand behind them, by NAT."),
            "run the nodes in a network in which each has the address that is listed: network_mode host, Nomad's host or bridge with CNI, ECS' awsvpc, a Kubernetes pod network; or query a name that lists the inner addresses, if they reach each other.".into(),
        ),
    };
    Some(Judgement {
        verdict,
        subject: facts.peers.first().map(Peer::name),
        sentence,
        fix: Some(fix),
    })
}

/// An address that was written down is no answer of a name server.
fn listed(facts: &Facts) -> Vec<IpAddr> {
    let asked = facts
        .lookups
        .iter()
        .filter(|lookup| lookup.host.parse::<IpAddr>().is_err());
    let mut ips = asked.flat_map(Lookup::ips).collect::<Vec<_>>();
    ips.sort();
    ips.dedup();
    ips
}

/// Swarm puts a service's virtual IP on the interface of each of its containers, as a /32 inside
/// the network of the container's own address.
fn is_guest(ip: IpAddr, facts: &Facts) -> bool {
    let is_lone = |prefix: u8| ip.is_ipv4() && prefix == 32;
    let is_own = |one: &&dns_mesh::Interface| one.ip == ip && is_lone(one.prefix_length);
    facts.interfaces.iter().any(|one| is_own(&one))
        && facts
            .interfaces
            .iter()
            .any(|one| one.prefix_length < 32 && network(one.ip, one.prefix_length).contains(ip))
}

fn is_unheard(peer: &Peer, job: &Job) -> bool {
    match (&peer.registered, peer.door) {
        (Some(Err(_)), _) => true,
        (_, Some(Door::Dead(Dead::Refused) | Door::Silent(_))) => job.port.is_some(),
        _ => false,
    }
}

fn is_far(ip: IpAddr, facts: &Facts) -> bool {
    let near = if ip.is_ipv4() { 16 } else { 48 };
    !facts
        .interfaces
        .iter()
        .filter(|one| one.ip.is_ipv4() == ip.is_ipv4())
        .any(|one| network(one.ip, near).contains(ip))
}

fn network(ip: IpAddr, prefix: u8) -> Network {
    let text = format!("{ip}/{prefix}");
    Network::parse(&text).expect("an address and a length make a network")
}

// Nodes

fn ailing(facts: &Facts, job: &Job) -> Option<Judgement> {
    let ailing = facts
        .peers
        .iter()
        .filter_map(|peer| Some((ailment(peer)?, peer)))
        // That nothing runs here may be why this is asked.
        .filter(|(_, peer)| !peer.is_ours)
        .collect::<Vec<_>>();
    let count = |verdict| ailing.iter().filter(|(one, _)| *one == verdict).count();
    // What is a matter of taste is told last; then what most have; then the first of the walk.
    let key = |verdict| {
        (
            verdict == Verdict::Hidden,
            usize::MAX - count(verdict),
            verdict,
        )
    };
    let (verdict, _) = ailing.iter().min_by_key(|(one, _)| key(*one))?;
    let peers = ailing.iter().filter(|(one, _)| one == verdict);
    let peers = peers.map(|&(_, peer)| peer).collect::<Vec<_>>();
    Some(say(*verdict, &peers, facts, job))
}

pub(crate) fn ailment(peer: &Peer) -> Option<Verdict> {
    match &peer.registered {
        Some(Err(EpmdFault::Refused | EpmdFault::Garbled)) => return Some(Verdict::EpmdRefused),
        Some(Err(EpmdFault::Silent | EpmdFault::Unreachable(_))) => {
            return Some(Verdict::EpmdSilent);
        }
        Some(Ok(names)) => match &peer.basename {
            Some(name) if names.contains(name) => {}
            _ => return Some(Verdict::NotRegistered),
        },
        None => {}
    }
    match peer.door {
        Some(Door::Dead(Dead::NotRegistered | Dead::RefusedEpmd)) => {
            return Some(Verdict::NotRegistered);
        }
        Some(Door::Dead(Dead::Refused)) => return Some(Verdict::PortClosed),
        Some(Door::Silent(Silent::Port | Silent::Epmd | Silent::Name)) => {
            return Some(Verdict::PortSilent);
        }
        Some(Door::Ok(_) | Door::Silent(Silent::NotTried)) | None => {}
    }
    match peer.greeting.as_ref()? {
        Greeting::WrongCookie => Some(Verdict::WrongCookie),
        Greeting::OtherName(_) => Some(Verdict::OtherName),
        Greeting::NotAllowed => Some(Verdict::NotAdmitted),
        Greeting::Tls => Some(Verdict::Tls),
        Greeting::NoNode => Some(Verdict::NoNode),
        Greeting::Silent => Some(Verdict::NodeSilent),
        Greeting::Welcome { hidden: true, .. } => Some(Verdict::Hidden),
        Greeting::Welcome { .. } | Greeting::Busy | Greeting::NotTried => None,
    }
}

/// A basename in an item is that of all its addresses: one that some of them lack helps nobody.
fn other_basename<'a>(peer: &Peer, name: &'a str, facts: &Facts) -> &'a str {
    let mut listed = facts
        .peers
        .iter()
        .filter(|other| other.lookup == peer.lookup);
    if listed.all(|other| matches!(&other.registered, Some(Ok(names)) if names.iter().any(|known| known == name))) {
        name
    } else {
        "*"
    }
}

fn say(verdict: Verdict, peers: &[&Peer], facts: &Facts, job: &Job) -> Judgement {
    let first = peers[0];
    let who = some(peers.iter().map(|peer| peer.name()));
    let ip = ip_text(first.ip);
    let epmd = job.epmd_port;
    let host = &facts.lookups[first.lookup].host;
    let (sentence, fix) = match verdict {
        Verdict::EpmdRefused => (
            format!("{who}: the host answers, and no epmd runs there (port {epmd})."),
            format!("start the node there, which starts its epmd; if one runs, see that it is distributed, uses the same ERL_EPMD_PORT, and that its epmd listens at {ip} (ERL_EPMD_ADDRESS unset). If the node is gone for good, take its address out of the name."),
        ),
        Verdict::EpmdSilent => (
            format!("{who}: epmd's port, {epmd}, does not answer: the host is down, or something swallows the packets."),
            format!("open TCP port {epmd} and the distribution port from this host to {ip} (firewall, security group, network policy). If the node is gone for good, take its address out of the name."),
        ),
        Verdict::NotRegistered => match (&first.registered, &first.basename) {
            (Some(Ok(names)), Some(basename)) if !names.is_empty() => (
                format!("{who}: epmd answers but knows only {}.", some(names.iter().map(|name| format!("{name:?}")))),
                format!("start it with basename {basename} (--name {}), or query \"{}@{host}\".", first.name(), other_basename(first, &names[0], facts)),
            ),
            _ => (
                format!("{who}: epmd answers and knows no such node."),
                "start the node there; if it runs, it is not distributed: DNSMesh.doctor() there tells more.".into(),
            ),
        },
        Verdict::PortClosed => (
            match job.port {
                Some(port) => format!("{who}: the host answers, and nobody listens at port {port} (-erl_epmd_port)."),
                None => format!("{who}: epmd answers for it, and nobody listens at {ip} at the distribution port it gives."),
            },
            "start the node there; if it runs, let it listen at that address: without inet_dist_use_interface, or with that address, and with the same -erl_epmd_port as here, if any.".into(),
        ),
        Verdict::PortSilent => (
            format!("{who}: its distribution port does not answer: something swallows the packets."),
            format!("fix the distribution port on all nodes, ERL_AFLAGS=\"-kernel inet_dist_listen_min 9100 inet_dist_listen_max 9105\", and open these TCP ports from this host to {ip} (firewall, security group, network policy)."),
        ),
        Verdict::NoNode => (
            format!("{who}: what listens at its distribution port is no node."),
            "free that port for the node, or give the nodes another one (-erl_epmd_port, inet_dist_listen_min); a proxy in between has to pass plain TCP.".into(),
        ),
        Verdict::NodeSilent => (
            format!("{who}: its distribution port takes the connection and says nothing: the VM hangs, or a proxy holds the line."),
            "look at that VM (is it stopped, swapping, out of memory?) and restart it; take a proxy in between away.".into(),
        ),
        Verdict::Tls => (
            format!("{who}: its distribution speaks TLS, and what is set here (-proto_dist) does not."),
            "boot all nodes alike: with -proto_dist inet_tls and its ssl_dist_optfile, or without.".into(),
        ),
        Verdict::OtherName => (
            format!("{who}: the node at that address answers as {}, and OTP joins a node under its own name only.", other_name(first)),
            format!("name that node {}: start it without --name and DNSMesh does, where the query lists that address, or set its option :address (address: \"{ip}\"); or query the names that the nodes have.", first.name()),
        ),
        Verdict::NotAdmitted => (
            format!("{who}: it lets in only the nodes of a list (net_kernel:allow/1)."),
            "add the other nodes to that list there, or do not call net_kernel:allow/1.".into(),
        ),
        Verdict::WrongCookie => (
            format!("{who}: it does not take the cookie in RELEASE_COOKIE."),
            "give all nodes the same RELEASE_COOKIE, and restart those that had another.".into(),
        ),
        _ => (
            format!("{who}: a hidden node, which Node.list/0 does not show, only Node.list(:hidden)."),
            "start that node without -hidden; or count with Node.list(:connected).".into(),
        ),
    };
    Judgement {
        verdict,
        subject: Some(first.name()),
        sentence,
        fix: Some(fix),
    }
}

fn other_name(peer: &Peer) -> &str {
    match &peer.greeting {
        Some(Greeting::OtherName(name)) => name,
        _ => "",
    }
}

fn reachable(facts: &Facts) -> Judgement {
    let is_proved =
        |peer: &&Peer| matches!(peer.greeting, Some(Greeting::Welcome { proved: true, .. }));
    let others = facts.peers.iter().filter(|peer| !peer.is_ours);
    let others = others.collect::<Vec<_>>();
    let cookie = if others.iter().all(is_proved) {
        " and takes the cookie"
    } else {
        "; no cookie was tried"
    };
    Judgement {
        verdict: Verdict::Reachable,
        subject: None,
        sentence: format!(
            "{} listed beside this machine, and every one answers{cookie}.",
            counted(others.len(), "node", "nodes")
        ),
        fix: None,
    }
}

fn gives(facts: &Facts) -> String {
    let lookups = facts.lookups.iter().filter(|one| one.lists_somebody());
    let texts = lookups.map(|one| {
        let ips = one.ips();
        format!("{} gives {}", one.host, some(ips.into_iter().map(ip_text)))
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// The first few of them.
fn some(texts: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 3;
    let texts = texts.collect::<Vec<_>>();
    let shown = texts.iter().take(SHOWN).cloned().collect::<Vec<_>>();
    match texts.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}
