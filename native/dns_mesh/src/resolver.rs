//! The handle: one lookup from text to answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join;
use futures_util::stream::FuturesUnordered;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::time::Instant;

use crate::address;
use crate::answer::{Answer, Family, Follow, Kind, Records};
use crate::epmd::{self, EpmdFault};
use crate::error::{Failure, Reason};
use crate::followed_file::FollowedFile;
use crate::hosts::Hosts;
use crate::name::{Host, HostName, from_wire, to_wire};
use crate::name_server::{NameServer, Options};
use crate::probe::{self, Silent, Target, TargetHost, Verdict};
use crate::reply::Reply;
use crate::resolv_conf::ResolvConf;
use crate::reverse::{self, NoHost};
use crate::search::{self, Worst};
use crate::server_race::race;
use crate::srv;
use crate::turns::Turns;

/// Far beyond any lookup, and small enough to be added to a clock.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone, Debug)]
pub struct Settings {
    /// Asked instead of resolv.conf's servers. Everything else that file says still holds.
    pub nameservers: Vec<SocketAddr>,
    pub resolv_conf: PathBuf,
    pub hosts: PathBuf,
    /// Lines that stand behind those of resolv.conf, and before those of the hosts file: what a
    /// program has been told otherwise.
    pub more_resolv_conf: String,
    pub more_hosts: String,
    /// The port of resolv.conf's servers, which that file cannot name.
    pub port: u16,
    /// Where the hosts that are found have their epmd.
    pub epmd_port: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            nameservers: vec![],
            resolv_conf: "/etc/resolv.conf".into(),
            hosts: "/etc/hosts".into(),
            more_resolv_conf: String::new(),
            more_hosts: String::new(),
            port: 53,
            epmd_port: epmd::DEFAULT_PORT,
        }
    }
}

/// Answers lookups under one set of settings; holds no answers.
pub struct Resolver {
    plan: FollowedFile<Plan>,
    hosts: FollowedFile<Hosts>,
    epmd_port: u16,
    probes: Turns,
    /// How many targets have been tried so far.
    tried: AtomicUsize,
}

/// Whom to ask and how, as resolv.conf has it.
struct Plan {
    servers: Vec<Arc<NameServer>>,
    conf: ResolvConf,
}

/// A reply, and the name and server it came from.
struct Hit {
    reply: Reply,
    name: String,
    server: Option<String>,
}

impl Resolver {
    /// Touches neither files nor network.
    pub fn new(settings: Settings) -> Self {
        let Settings {
            nameservers,
            resolv_conf,
            hosts,
            more_resolv_conf,
            more_hosts,
            port,
            epmd_port,
        } = settings;
        let plan = move |bytes: &[u8]| {
            let bytes = [bytes, b"\n", more_resolv_conf.as_bytes()].concat();
            Plan::new(&bytes, port, &nameservers)
        };
        let parse = move |bytes: &[u8]| Hosts::parse(&[more_hosts.as_bytes(), bytes].concat());
        Self {
            plan: FollowedFile::new(resolv_conf, plan),
            hosts: FollowedFile::new(hosts, parse),
            epmd_port,
            probes: probe::turns(),
            tried: AtomicUsize::new(0),
        }
    }

    /// Looks `name` up, then asks about the addresses found what `follow` says. Must run on a tokio
    /// runtime; ends by `timeout`, whatever happens. Addresses that nothing has been learnt about by
    /// then are in the answer, with that as the outcome.
    pub async fn lookup(
        &self,
        name: &[u8],
        kind: &Kind,
        follow: Follow,
        timeout: Duration,
    ) -> Result<Answer, Failure> {
        let deadline = Instant::now() + timeout.min(MAX_TIMEOUT);
        let mut answer = self.find(name, kind, deadline).await?;
        let ips = answer.addresses();
        let hosts = each(&ips, follow.hosts, |ip| self.host(ip, deadline));
        let registered = each(&ips, follow.registered, |ip| self.registered(ip, deadline));
        (answer.hosts, answer.registered) = join(hosts, registered).await;
        Ok(answer)
    }

    /// Whether each of these nodes could be joined, in their order. No more than [`probe::AT_ONCE`]
    /// of this handle are tried at a time, and each gets a fair part of the time; if that would be
    /// less than [`probe::SHORTEST`], the last ones are not tried, and the next call begins with
    /// them. Must run on a tokio runtime; ends by `timeout`, whatever happens.
    pub async fn probe(&self, targets: &[Target], timeout: Duration) -> Vec<Verdict> {
        let deadline = Instant::now() + timeout.min(MAX_TIMEOUT);
        let first = self.tried.load(Ordering::Relaxed) % targets.len().max(1);
        let order = (first..targets.len()).chain(0..first);
        let mut probes = order
            .map(|at| {
                let verdict = self.verdict(&targets[at], deadline);
                async move { (at, verdict.await) }
            })
            .collect::<FuturesUnordered<_>>();
        let mut verdicts = vec![Verdict::Silent(Silent::NotTried); targets.len()];
        let mut tried = 0;
        while let Some((at, verdict)) = probes.next().await {
            verdicts[at] = verdict;
            tried += usize::from(verdict != Verdict::Silent(Silent::NotTried));
        }
        self.tried.fetch_add(tried, Ordering::Relaxed);
        verdicts
    }

    fn verdict(&self, target: &Target, deadline: Instant) -> impl Future<Output = Verdict> {
        let ticket = self.probes.ticket();
        async move {
            let Some(turn) = ticket.turn(deadline).await else {
                return Verdict::Silent(Silent::NotTried);
            };
            let ip = match &target.host {
                TargetHost::Ip(ip) => Some(*ip),
                TargetHost::Name(name, family) => {
                    self.first_address(name, *family, probe::step(turn.until))
                        .await
                }
            };
            match ip {
                Some(ip) => probe::knock(ip, &target.door, self.epmd_port, turn.until).await,
                None => Verdict::Silent(Silent::Name),
            }
        }
    }

    async fn first_address(
        &self,
        name: &[u8],
        family: Family,
        deadline: Instant,
    ) -> Option<IpAddr> {
        let kind = Kind::Addresses(family);
        match self.find(name, &kind, deadline).await.ok()?.records {
            Records::Addresses(ips) => ips.first().copied(),
            Records::Services(_) => None,
        }
    }

    async fn find(&self, name: &[u8], kind: &Kind, deadline: Instant) -> Result<Answer, Failure> {
        let host = Host::parse(name).map_err(|why| Failure {
            reason: Reason::BadName(why),
            name: String::from_utf8_lossy(name).into_owned(),
            server: None,
            negative_ttl: None,
        })?;
        match (host, kind) {
            (Host::Literal(ip), kind) => literal(ip, kind),
            (Host::Name(host), Kind::Addresses(family)) => {
                self.addresses(&host, *family, deadline).await
            }
            (Host::Name(host), Kind::Services(families)) => {
                self.services(&host, families, deadline).await
            }
        }
    }

    async fn addresses(
        &self,
        host: &HostName,
        family: Family,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        // Before any search domain is added: the file means the name as people write it.
        if let Some(ips) = self
            .hosts
            .current()
            .find(&host.text, family, address::is_own)
        {
            return Ok(known(ips, host.text.clone(), "hosts"));
        }
        let plan = self.plan.current();
        let hit = plan.search(host, family.record_type(), deadline).await?;
        Ok(hit.into_addresses())
    }

    async fn services(
        &self,
        host: &HostName,
        families: &[Family],
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let hit = self
            .plan
            .current()
            .search(host, RecordType::SRV, deadline)
            .await?;
        srv::resolve(
            hit.reply,
            families,
            hit.name,
            hit.server,
            |target, family| self.target(target, family, deadline),
        )
        .await
    }

    async fn target(
        &self,
        target: Name,
        family: Family,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let text = from_wire(&target);
        if let Ok(ip) = text.parse() {
            return literal(ip, &Kind::Addresses(family));
        }
        if let Some(ips) = self.hosts.current().find(&text, family, address::is_own) {
            return Ok(known(ips, text, "hosts"));
        }
        let plan = self.plan.current();
        let hit = plan
            .ask(target, text, family.record_type(), deadline)
            .await?;
        Ok(hit.into_addresses())
    }

    fn host(&self, ip: IpAddr, deadline: Instant) -> impl Future<Output = Result<String, NoHost>> {
        let ticket = reverse::TURNS.ticket();
        async move {
            match ticket.turn(deadline).await {
                Some(turn) => self.host_until(ip, turn.until).await,
                None => Err(NoHost::Lookup(Reason::Timeout)),
            }
        }
    }

    /// By the hosts file before DNS, as everything else.
    async fn host_until(&self, ip: IpAddr, deadline: Instant) -> Result<String, NoHost> {
        if let Some(name) = self.hosts.current().name_of(ip, address::is_own) {
            return Ok(name);
        }
        let name = reverse::reverse_name(ip);
        let wire = to_wire(&name).map_err(|why| NoHost::Lookup(Reason::BadName(why)))?;
        let plan = self.plan.current();
        let hit = plan.ask(wire, name, RecordType::PTR, deadline).await?;
        reverse::confirmed(ip, &hit.reply.records, |name| {
            self.target(name, Family::of(ip), deadline)
        })
        .await
    }

    fn registered(
        &self,
        ip: IpAddr,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<String>, EpmdFault>> + use<> {
        let epmd = SocketAddr::new(ip, self.epmd_port);
        let ticket = epmd::TURNS.ticket();
        async move {
            let turn = ticket.turn(deadline).await.ok_or(EpmdFault::Silent)?;
            let names = epmd::names(epmd, turn.until).await?;
            Ok(names.into_iter().map(|one| one.name).collect())
        }
    }
}

impl Plan {
    fn new(resolv_conf: &[u8], port: u16, nameservers: &[SocketAddr]) -> Self {
        let mut conf = ResolvConf::parse(resolv_conf, address::zone_index);
        for server in &mut conf.servers {
            server.set_port(port);
        }
        let options = Options {
            timeout: conf.timeout,
            tcp_only: conf.tcp_only,
        };
        let servers = if nameservers.is_empty() {
            &conf.servers
        } else {
            nameservers
        };
        Self {
            servers: servers
                .iter()
                .map(|&address| Arc::new(NameServer::new(address, options)))
                .collect(),
            conf,
        }
    }

    /// The first candidate that answers; or of all failures the one that weighs most.
    async fn search(
        &self,
        host: &HostName,
        record_type: RecordType,
        deadline: Instant,
    ) -> Result<Hit, Failure> {
        let mut worst = Worst::default();
        for name in search::candidates(host, &self.conf.search, self.conf.ndots) {
            let outcome = match to_wire(&name) {
                Ok(wire) => self.ask(wire, name, record_type, deadline).await,
                Err(why) => Err(failure(Reason::BadName(why), name)),
            };
            match outcome {
                Ok(hit) => return Ok(hit),
                Err(failure) => worst.add(failure),
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        Err(worst
            .into_failure()
            .unwrap_or_else(|| failure(Reason::Timeout, host.text.clone())))
    }

    async fn ask(
        &self,
        wire: Name,
        name: String,
        record_type: RecordType,
        deadline: Instant,
    ) -> Result<Hit, Failure> {
        let question = Query::query(wire, record_type);
        match race(&self.servers, &question, self.conf.attempts, deadline).await {
            (Ok(reply), server) => Ok(Hit {
                reply,
                name,
                server,
            }),
            (Err(trouble), server) => Err(Failure {
                reason: trouble.reason,
                name,
                server,
                negative_ttl: trouble.negative_ttl,
            }),
        }
    }
}

impl Hit {
    fn into_addresses(self) -> Answer {
        let ips = self.reply.records.iter().filter_map(|record| match record {
            RData::A(a) => Some(a.0.into()),
            RData::AAAA(aaaa) => Some(aaaa.0.into()),
            _ => None,
        });
        Answer {
            records: Records::Addresses(ips.collect()),
            ttl: self.reply.ttl,
            name: self.name,
            server: self.server.unwrap_or_default(),
            truncated: self.reply.truncated,
            hosts: BTreeMap::new(),
            registered: BTreeMap::new(),
        }
    }
}

/// What `ask` finds out about each address, all at once.
async fn each<T, F>(
    ips: &BTreeSet<IpAddr>,
    wanted: bool,
    ask: impl Fn(IpAddr) -> F,
) -> BTreeMap<IpAddr, T>
where
    F: Future<Output = T>,
{
    let ips = ips.iter().filter(|_| wanted);
    let asked = ips.map(|&ip| {
        let outcome = ask(ip);
        async move { (ip, outcome.await) }
    });
    asked.collect::<FuturesUnordered<_>>().collect().await
}

fn literal(ip: IpAddr, kind: &Kind) -> Result<Answer, Failure> {
    match kind {
        Kind::Addresses(family) if family.holds(ip) => {
            Ok(known(vec![ip], ip.to_string(), "literal"))
        }
        _ => Err(failure(Reason::NoRecords, ip.to_string())),
    }
}

fn known(ips: Vec<IpAddr>, name: String, source: &str) -> Answer {
    Answer {
        records: Records::Addresses(ips),
        ttl: 0,
        name,
        server: source.into(),
        truncated: false,
        hosts: BTreeMap::new(),
        registered: BTreeMap::new(),
    }
}

fn failure(reason: Reason, name: String) -> Failure {
    Failure {
        reason,
        name,
        server: None,
        negative_ttl: None,
    }
}
