//! Asks until the own address is decided or the time is up.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dns_mesh::network::Reach;
use dns_mesh::{
    Answer, Because, Family, Follow, Kind, NoAddress, OwnAddress, Records, Request, Resolver,
    Settings, own_address,
};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep};

use crate::failure::{self, Failure, inetrc_trouble, resolv_conf_trouble};
use crate::lookup::sentence;
use crate::query::is_service;

const PAUSE: Duration = Duration::from_millis(250);
/// One lookup may not use up the time of all: the next may meet a server that has come up.
const LOOKUP: Duration = Duration::from_secs(2);
/// What a name's answers are remembered up to; a single answer holds no more either.
const MAX_KNOWN: usize = dns_mesh::answer::MAX_RECORDS;

/// What to find out.
#[derive(Debug)]
pub(crate) struct Job {
    /// The names that count, in the order of the query.
    pub(crate) hosts: Vec<String>,
    /// Where none counts, the names of other basenames: their answers say nothing of this machine
    /// but that its network is up.
    pub(crate) others: Vec<String>,
    /// Its `answers` are what this module finds.
    pub(crate) request: Request,
    pub(crate) nameservers: Vec<SocketAddr>,
    pub(crate) timeout: Duration,
}

pub(crate) async fn address(job: &Job) -> Result<IpAddr, Failure> {
    let deadline = Instant::now() + job.timeout;
    let resolver = Resolver::new(Settings {
        nameservers: job.nameservers.clone(),
        ..Settings::default()
    });
    let mut names = job.names();
    let only_an_answer_is_missing = |outcome: &Result<OwnAddress, NoAddress>| {
        let because = Because::OnlyAddress;
        matches!(outcome, Ok(OwnAddress::Found { because: found, .. }) if *found == because)
    };
    if job.hosts.is_empty() && !only_an_answer_is_missing(&own_address(&job.request)) {
        names.clear();
    }
    loop {
        if let Some(ip) = round(job, &resolver, &mut names, deadline).await {
            return Ok(ip);
        }
        let is_last = Instant::now() + PAUSE >= deadline;
        let line = match own_address(&job.request_with(&names)) {
            Ok(OwnAddress::Found { candidate, because }) => {
                if is_last || !is_premature(candidate.ip, because, &names) {
                    return Ok(candidate.ip);
                }
                None
            }
            // Nothing but an answer could decide it.
            Ok(OwnAddress::Undecided(candidates)) => {
                (is_last || names.is_empty()).then(|| failure::undecided(&candidates))
            }
            // Interfaces come up while a container starts; another family does not.
            Err(why) => (is_last || matches!(why, NoAddress::WrongFamily(_)))
                .then(|| failure::no_address(&why)),
        };
        if let Some(line) = line {
            return Err(with_failures(line, job, &names));
        }
        sleep(PAUSE).await;
    }
}

/// One name and family, or one service, and what is known of it.
struct Name<'a> {
    /// Which of the query's items it is.
    item: usize,
    host: &'a str,
    kind: Kind,
    /// All addresses it ever had: an answer may hold a random few of them.
    known: Vec<IpAddr>,
    failure: Option<dns_mesh::Failure>,
    is_settled: bool,
    /// Whether it ever had an answer, be it that there is nobody.
    is_answered: bool,
}

impl Job {
    /// What to ask. A literal address needs no DNS to be looked for among our own.
    fn names(&self) -> Vec<Name<'_>> {
        if matches!(
            self.request.option,
            Some(dns_mesh::AddressOption::Literal(_))
        ) {
            return vec![];
        }
        let families = match self.request.family {
            Some(family) => vec![family],
            None => vec![Family::Inet, Family::Inet6],
        };
        let mut names = Vec::new();
        let asked = if self.hosts.is_empty() {
            &self.others
        } else {
            &self.hosts
        };
        for (item, host) in asked.iter().enumerate() {
            let kinds = if is_service(host) {
                vec![Kind::Services(families.clone())]
            } else {
                families
                    .iter()
                    .map(|&family| Kind::Addresses(family))
                    .collect()
            };
            names.extend(kinds.into_iter().map(|kind| Name {
                item,
                host,
                kind,
                known: vec![],
                failure: None,
                is_settled: false,
                is_answered: false,
            }));
        }
        names
    }

    fn request_with(&self, names: &[Name<'_>]) -> Request {
        let mut answers = vec![vec![]; self.hosts.len()];
        for name in names {
            if let Some(answer) = answers.get_mut(name.item) {
                answer.extend(&name.known);
            }
        }
        Request {
            answers,
            ..self.request.clone()
        }
    }

    /// The address, when answers still to come cannot change it: it is in the answer to the
    /// first names, all of whose answers in the preferred family are in.
    fn decided_early(&self, names: &[Name<'_>]) -> Option<IpAddr> {
        let family = self.request.family.unwrap_or(Family::Inet);
        let asks = |name: &&Name<'_>| name.kind != Kind::Addresses(other(family));
        let first_open = names.iter().filter(asks).find(|name| !name.is_settled);
        let open = first_open.map_or(self.hosts.len(), |name| name.item);
        let mut request = self.request_with(names);
        request.answers.truncate(open);
        request.family = Some(family);
        match own_address(&request) {
            Ok(OwnAddress::Found {
                candidate,
                because: Because::InAnswer,
            }) if Reach::of(candidate.ip) == Reach::Global => Some(candidate.ip),
            _ => None,
        }
    }
}

fn other(family: Family) -> Family {
    match family {
        Family::Inet => Family::Inet6,
        Family::Inet6 => Family::Inet,
    }
}

/// Asks every name once. A silent AAAA does not hold up an A.
async fn round(
    job: &Job,
    resolver: &Resolver,
    names: &mut [Name<'_>],
    deadline: Instant,
) -> Option<IpAddr> {
    let timeout = LOOKUP.min(deadline.saturating_duration_since(Instant::now()));
    let mut lookups = FuturesUnordered::new();
    for (at, name) in names.iter_mut().enumerate() {
        name.is_settled = false;
        let (host, kind) = (name.host, name.kind.clone());
        lookups.push(async move {
            let follow = Follow::default();
            let outcome = resolver.lookup(host.as_bytes(), &kind, follow, timeout);
            (at, outcome.await)
        });
    }
    while let Some((at, outcome)) = lookups.next().await {
        names[at].settle(outcome);
        if let Some(ip) = job.decided_early(names) {
            return Some(ip);
        }
    }
    None
}

impl Name<'_> {
    fn settle(&mut self, outcome: Result<Answer, dns_mesh::Failure>) {
        self.is_settled = true;
        self.is_answered |= match &outcome {
            Ok(_) => true,
            Err(failure) => failure.reason.is_conclusive(),
        };
        match outcome {
            Ok(answer) => {
                self.failure = None;
                for ip in ips(answer.records) {
                    if !self.known.contains(&ip) && self.known.len() < MAX_KNOWN {
                        self.known.push(ip);
                    }
                }
            }
            Err(failure) => self.failure = Some(failure),
        }
    }
}

fn ips(records: Records) -> Vec<IpAddr> {
    match records {
        Records::Addresses(ips) => ips,
        Records::Services(services) => {
            let all = services.into_iter();
            all.flat_map(|service| service.addresses).collect()
        }
    }
}

/// Whether the only address there is was found because no server has answered, or an IPv6 one
/// because the server failed to say about IPv4: a network may be about to come up.
fn is_premature(ip: IpAddr, because: Because, names: &[Name<'_>]) -> bool {
    // An address that is written down needs no server.
    let is_asked = |name: &&Name<'_>| name.host.parse::<IpAddr>().is_err();
    let mut asked = names.iter().filter(is_asked).peekable();
    let is_unheard = asked.peek().is_some() && !asked.any(|name| name.is_answered);
    if because == Because::OnlyAddress && is_unheard {
        return true;
    }
    let has_failed = |name: &Name<'_>| {
        let failure = name.failure.as_ref();
        failure.is_some_and(|failure| !failure.reason.is_conclusive())
    };
    let mut inet = names
        .iter()
        .filter(|name| name.kind == Kind::Addresses(Family::Inet));
    ip.is_ipv6() && inet.any(has_failed)
}

/// The reason, and beneath it what DNS said.
fn with_failures(line: String, job: &Job, names: &[Name<'_>]) -> Failure {
    let failures = names.iter().filter_map(|name| {
        let asked = match &name.kind {
            Kind::Addresses(Family::Inet) => "A",
            Kind::Addresses(Family::Inet6) => "AAAA",
            Kind::Services(_) => "SRV",
        };
        let failure = name.failure.as_ref()?;
        Some(sentence(&format!("{} {asked}", name.host), failure))
    });
    let has_failed = job.nameservers.is_empty() && names.iter().any(|name| name.failure.is_some());
    Failure::not_found(line)
        .and(failures)
        .and(has_failed.then(resolv_conf_trouble).flatten())
        .and(has_failed.then(inetrc_trouble).flatten())
}
