//! The walk from the name server to the cookie, as far as it goes without the VM.
//!
//! Each step asks everybody at once, and all of them have one deadline: lookups have two fifths of
//! the time, epmd and ports the next two, handshakes what is left.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dns_mesh::{
    Answer, Call, Caller, Door, EpmdFault, Failure, Family, Follow, Greeting, Interface, Kind,
    OwnAddress, Records, Request, Resolver, Settings, Target, TargetHost, Verdict, greet_all,
    interfaces, ip_text, own_address,
};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::query::{Item, is_service, matches};

/// Not a node's own name: a join under way under that one must not be disturbed.
const CALLER: &str = "dns_mesh_doctor";

/// Helper nodes of a release's commands (`bin/app remote`, `bin/app rpc`).
const HELPERS: [&str; 2] = ["rem-", "rpc-"];

/// What to examine.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) items: Vec<Item>,
    /// Of the nodes of items that give none; all that are registered, where it is not known.
    pub(crate) basename: Option<String>,
    /// Its `answers` are what this module finds.
    pub(crate) request: Request,
    pub(crate) family: Family,
    pub(crate) nameservers: Vec<SocketAddr>,
    pub(crate) epmd_port: u16,
    /// The port of all nodes (`-erl_epmd_port`), where they do without epmd.
    pub(crate) port: Option<u16>,
    pub(crate) cookie: Option<Vec<u8>>,
    pub(crate) is_tls: bool,
    pub(crate) timeout: Duration,
}

/// What was found, before anything is judged.
pub(crate) struct Facts {
    pub(crate) lookups: Vec<Lookup>,
    pub(crate) folders: usize,
    pub(crate) own: Result<OwnAddress, dns_mesh::NoAddress>,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) took: Duration,
}

pub(crate) struct Lookup {
    pub(crate) basename: Option<String>,
    pub(crate) host: String,
    pub(crate) kind: Kind,
    pub(crate) outcome: Result<Answer, Failure>,
    pub(crate) took: Duration,
    /// How many addresses of the other IP version it has, where it has none of this one.
    pub(crate) elsewhere: usize,
}

/// A node that is listed, or stands for one whose name nobody tells.
pub(crate) struct Peer {
    pub(crate) ip: IpAddr,
    /// `None`: nobody tells.
    pub(crate) basename: Option<String>,
    /// Which lookup lists it.
    pub(crate) lookup: usize,
    /// It is this machine.
    pub(crate) is_ours: bool,
    /// What its epmd has registered; `None` where nobody needs one.
    pub(crate) registered: Option<Result<Vec<String>, EpmdFault>>,
    pub(crate) door: Option<Verdict>,
    pub(crate) greeting: Option<Greeting>,
    /// The name that it has, where that is not `basename@ip` and yet a good one.
    pub(crate) answers_as: Option<String>,
}

impl Peer {
    pub(crate) fn name(&self) -> String {
        let basename = self.basename.as_deref().unwrap_or("*");
        format!("{basename}@{}", ip_text(self.ip))
    }
}

pub(crate) async fn examine(job: &Job) -> Facts {
    let started = Instant::now();
    let until = |fifths: u32| started + job.timeout * fifths / 5;
    let resolver = Resolver::new(Settings {
        nameservers: job.nameservers.clone(),
        epmd_port: job.epmd_port,
        ..Settings::default()
    });
    let lookups = look_up(job, &resolver, until(2)).await;
    let interfaces = interfaces().unwrap_or_default();
    let own = own_address(&Request {
        answers: lookups.iter().map(Lookup::ips).collect(),
        ..job.request.clone()
    });
    let mut facts = Facts {
        folders: job
            .items
            .iter()
            .filter(|item| **item == Item::Folder)
            .count(),
        lookups,
        own,
        interfaces,
        peers: vec![],
        took: Duration::ZERO,
    };
    facts.peers = find(job, &facts, &resolver, until(4)).await;
    knock(job, &mut facts.peers, &resolver, until(4)).await;
    greet(job, &mut facts, until(5)).await;
    facts.took = started.elapsed();
    facts
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

impl Lookup {
    pub(crate) fn ips(&self) -> Vec<IpAddr> {
        let answer = self.outcome.as_ref().ok();
        answer
            .map(|answer| answer.addresses().into_iter().collect())
            .unwrap_or_default()
    }

    pub(crate) fn lists_somebody(&self) -> bool {
        match self.outcome.as_ref().map(|answer| &answer.records) {
            Ok(Records::Addresses(ips)) => !ips.is_empty(),
            Ok(Records::Services(services)) => !services.is_empty(),
            Err(_) => false,
        }
    }
}

async fn look_up(job: &Job, resolver: &Resolver, until: Instant) -> Vec<Lookup> {
    let hosts = job.items.iter().filter_map(|item| match item {
        Item::Host { basename, host } => Some((basename, host)),
        Item::Folder => None,
    });
    let lookups = hosts.map(|(basename, host)| async move {
        let kind = if is_service(host) {
            Kind::Services(vec![job.family])
        } else {
            Kind::Addresses(job.family)
        };
        let started = Instant::now();
        let ask = |kind: Kind| async move {
            resolver
                .lookup(host.as_bytes(), &kind, Follow::default(), left(until))
                .await
        };
        let outcome = ask(kind.clone()).await;
        let took = started.elapsed();
        let elsewhere = match (&outcome, &kind) {
            (Err(failure), Kind::Addresses(family))
                if failure.reason == dns_mesh::Reason::NoRecords =>
            {
                let other = Kind::Addresses(other(*family));
                ask(other).await.map_or(0, |found| found.addresses().len())
            }
            _ => 0,
        };
        Lookup {
            basename: basename.clone(),
            host: host.clone(),
            kind,
            outcome,
            took,
            elsewhere,
        }
    });
    join_all(lookups.collect::<Vec<_>>()).await
}

pub(crate) fn other(family: Family) -> Family {
    match family {
        Family::Inet => Family::Inet6,
        Family::Inet6 => Family::Inet,
    }
}

/// The nodes at the addresses found: of the basename that is known, else of all that epmd knows.
async fn find(job: &Job, facts: &Facts, resolver: &Resolver, until: Instant) -> Vec<Peer> {
    let mut listed = BTreeMap::new();
    for (at, lookup) in facts.lookups.iter().enumerate() {
        for ip in lookup.ips() {
            let pattern = lookup.basename.clone().or_else(|| job.basename.clone());
            listed
                .entry((ip, pattern.unwrap_or_else(|| "*".into())))
                .or_insert(at);
        }
    }
    let found = listed
        .into_iter()
        .map(|((ip, pattern), lookup)| async move {
            let registered = match job.port {
                Some(_) => None,
                None => Some(registered(resolver, ip, until).await),
            };
            let is_ours = facts.interfaces.iter().any(|one| one.ip == ip);
            let peer = |basename| Peer {
                ip,
                basename,
                lookup,
                is_ours,
                registered: registered.clone(),
                door: None,
                greeting: None,
                answers_as: None,
            };
            if !pattern.contains('*') {
                return vec![peer(Some(pattern))];
            }
            let known = registered.iter().flatten().flatten();
            let wanted = known.filter(|name| {
                matches(&pattern, name) && !HELPERS.iter().any(|helper| name.starts_with(helper))
            });
            let peers = wanted.map(|name| peer(Some(name.clone())));
            match peers.collect::<Vec<_>>() {
                none if none.is_empty() => vec![peer(None)],
                peers => peers,
            }
        });
    let found = join_all(found.collect::<Vec<_>>()).await;
    found.into_iter().flatten().collect()
}

async fn registered(
    resolver: &Resolver,
    ip: IpAddr,
    until: Instant,
) -> Result<Vec<String>, EpmdFault> {
    let kind = Kind::Addresses(Family::of(ip));
    let follow = Follow {
        registered: true,
        ..Follow::default()
    };
    let answer = resolver
        .lookup(ip_text(ip).as_bytes(), &kind, follow, left(until))
        .await;
    let names = answer
        .ok()
        .and_then(|mut answer| answer.registered.remove(&ip));
    names.unwrap_or(Err(EpmdFault::Silent))
}

async fn knock(job: &Job, peers: &mut [Peer], resolver: &Resolver, until: Instant) {
    let mut knocked = peers
        .iter_mut()
        .filter_map(|peer| Some((door(job, peer)?, peer)))
        .collect::<Vec<_>>();
    let targets = knocked.iter().map(|(door, peer)| Target {
        host: TargetHost::Ip(peer.ip),
        door: door.clone(),
    });
    let targets = targets.collect::<Vec<_>>();
    let verdicts = resolver.probe(&targets, left(until)).await;
    for ((_, peer), verdict) in knocked.iter_mut().zip(verdicts) {
        peer.door = Some(verdict);
    }
}

/// Nowhere, where epmd has told enough.
fn door(job: &Job, peer: &Peer) -> Option<Door> {
    match (job.port, &peer.registered, &peer.basename) {
        (Some(port), _, _) => Some(Door::Port(port)),
        (None, Some(Ok(names)), Some(name)) if names.contains(name) => {
            Some(Door::Epmd(name.clone()))
        }
        _ => None,
    }
}

async fn greet(job: &Job, facts: &mut Facts, until: Instant) {
    if job.is_tls {
        return;
    }
    let host = match &facts.own {
        Ok(OwnAddress::Found { candidate, .. }) => ip_text(candidate.ip),
        _ => "unknown.invalid".into(),
    };
    let caller = Caller {
        name: format!("{CALLER}@{host}"),
        cookie: job.cookie.clone(),
    };
    greet_as(&mut facts.peers, &caller, until, Peer::name_to_greet).await;
    // Named by its host, which only itself tells: that is as good a name, and now the cookie can be proved.
    greet_as(&mut facts.peers, &caller, until, Peer::host_name).await;
}

async fn greet_as(
    peers: &mut [Peer],
    caller: &Caller,
    until: Instant,
    name: impl Fn(&Peer) -> Option<String>,
) {
    let mut greeted = Vec::new();
    let mut calls = Vec::new();
    for peer in peers {
        if let (Some(Verdict::Ok(port)), Some(name)) = (peer.door, name(peer)) {
            let at = SocketAddr::new(peer.ip, port);
            calls.push(Call { name, at });
            greeted.push(peer);
        }
    }
    let greetings = greet_all(&calls, caller, left(until)).await;
    for ((peer, call), greeting) in greeted.into_iter().zip(calls).zip(greetings) {
        if call.name != peer.name() {
            peer.answers_as = Some(call.name);
        }
        peer.greeting = Some(greeting);
    }
}

impl Peer {
    fn name_to_greet(&self) -> Option<String> {
        Some(self.name())
    }

    /// The name it answers by, where that is one of ours, at a host name; or any, where none is known.
    fn host_name(&self) -> Option<String> {
        let Some(Greeting::OtherName(name)) = &self.greeting else {
            return None;
        };
        let (basename, host) = name.split_once('@')?;
        let is_ours = match &self.basename {
            Some(ours) => ours == basename && host.parse::<IpAddr>().is_err(),
            None => true,
        };
        is_ours.then(|| name.clone())
    }
}
