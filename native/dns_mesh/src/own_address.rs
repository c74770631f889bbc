//! This machine's own address: the one its peers find it by.
//!
//! A machine has many addresses (loopback, bridges, overlays, VPNs), and peers reach a node at
//! one of them only. Which one, [`choose`] takes from the surest evidence that there is:
//!
//! 1. what the user says;
//! 2. an address of ours that is in the DNS answer: peers poll a name that contains us, so this
//!    is by definition where they look for us, whatever the platform;
//! 3. the address the kernel would send from towards a peer of the answer;
//! 4. an address the platform wrote into the environment, or the only one there is;
//! 5. else none: to guess would be to join the wrong network.
//!
//! Asked again, with a newer answer or other interfaces, it may say something else. A name once
//! taken stays as it is while the VM runs; that is the callers' part.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use crate::address::{self, Interface, device};
use crate::answer::Family;
use crate::network::{Network, Networks, Reach};

/// What to go by.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub option: Option<AddressOption>,
    /// `None`: either, IPv4 first.
    pub family: Option<Family>,
    /// The addresses in DNS, one list for each query item, in the order of the query.
    pub answers: Vec<Vec<IpAddr>>,
    /// Texts that platforms put into the environment (`POD_IP` and the like), the surest first.
    pub hints: Vec<String>,
}

/// What the user says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressOption {
    Literal(IpAddr),
    Interface(String),
    Subnet(Network),
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnAddress {
    Found {
        candidate: Candidate,
        because: Because,
    },
    /// Each of these could be it, and nothing says which. What is known later may.
    Undecided(Vec<Candidate>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub ip: IpAddr,
    pub interface: String,
}

/// Which rung of the ladder held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    Option,
    InAnswer,
    RouteToPeer,
    PlatformHint,
    OnlyAddress,
}

/// Why there is none to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAddress {
    /// The user's address is on no interface that is up.
    NotLocal(IpAddr),
    /// The user's address or network is of the family not asked for.
    WrongFamily(IpAddr),
    /// No such interface is up, or none of its addresses will do.
    NoInterface(String),
    /// None of our addresses lies in the user's network.
    NoSubnet(Network),
    /// What would do is of the family not asked for alone: of this one.
    OtherFamily(Family),
    /// No interface that is up has an address that will do.
    None,
    /// The operating system did not tell the interfaces.
    Interfaces(String),
}

type Outcome = Result<OwnAddress, NoAddress>;

/// [`choose`], on this machine as it is now. Sends nothing.
pub fn own_address(request: &Request) -> Outcome {
    let interfaces =
        address::interfaces().map_err(|error| NoAddress::Interfaces(error.to_string()))?;
    choose(&interfaces, request, source_towards)
}

/// The address the kernel would send from: connecting a UDP socket looks up the route, and
/// sends no packet. Each peer takes a socket of its own, since a connected one keeps its source.
pub fn source_towards(peer: IpAddr) -> Option<IpAddr> {
    const DISCARD: u16 = 9;
    let any: IpAddr = match peer {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((peer, DISCARD)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Climbs the ladder over a list of interfaces. `source_towards` tells which address the kernel
/// would use towards a peer.
pub fn choose(
    interfaces: &[Interface],
    request: &Request,
    source_towards: impl Fn(IpAddr) -> Option<IpAddr>,
) -> Outcome {
    let machine = Machine::new(interfaces, request);
    if let Some(option) = &request.option {
        return machine.by_option(option);
    }
    if let Some(outcome) = machine.in_answer() {
        return Ok(outcome);
    }
    if let Some(outcome) = machine.route_to_peer(source_towards) {
        return Ok(outcome);
    }
    match machine.platform_hint() {
        Some(outcome) => Ok(outcome),
        None => machine.only_address(),
    }
}

/// No more peers than this are asked the kernel about: an answer may hold thousands.
const MAX_ROUTES: usize = 16;

/// A host may have thousands of addresses, and an answer thousands too: whatever is asked of each
/// of them is looked up here.
struct Machine<'a> {
    request: &'a Request,
    interfaces: &'a [Interface],
    /// Where each address is; of several interfaces that have it, the first.
    by_ip: HashMap<IpAddr, &'a Interface>,
    /// Those whose network holds addresses of 127.0.0.0/8.
    around_loopback: Vec<&'a Interface>,
    /// The addresses that peers may be given, each once; and of these the ones that are not other
    /// machines' too.
    lasting: Vec<Place<'a>>,
    usable: Vec<Place<'a>>,
    /// The families that may be chosen, the preferred one first.
    families: Vec<Family>,
    /// Whether DNS knows nothing but loopback and link-local addresses: a cluster on one
    /// machine, or on one wire. Only there may a node be named by such an address.
    is_confined: bool,
    /// The devices that loopback addresses are on.
    loopbacks: Vec<&'a str>,
}

impl<'a> Machine<'a> {
    fn new(interfaces: &'a [Interface], request: &'a Request) -> Self {
        let mut answered = request.answers.iter().flatten().copied().peekable();
        let is_confined = answered.peek().is_some()
            && answered.all(|ip| matches!(Reach::of(ip), Reach::Loopback | Reach::LinkLocal));
        let loopbacks = interfaces.iter().filter(|one| one.ip.is_loopback());
        let mut loopbacks = loopbacks.map(|one| device(&one.name)).collect::<Vec<_>>();
        loopbacks.dedup();
        let mut by_ip = HashMap::with_capacity(interfaces.len());
        for interface in interfaces {
            by_ip.entry(interface.ip).or_insert(interface);
        }
        let is_around = |one: &&Interface| {
            Place::of(one)
                .network()
                .contains(Ipv4Addr::LOCALHOST.into())
                || is_loopback(one.ip)
        };
        let mut machine = Self {
            request,
            interfaces,
            by_ip,
            around_loopback: interfaces.iter().filter(is_around).collect(),
            lasting: lasting_ones(interfaces),
            usable: vec![],
            families: families(request),
            is_confined,
            loopbacks,
        };
        machine.usable = machine.without_shared(machine.lasting.clone());
        machine
    }

    fn by_option(&self, option: &AddressOption) -> Outcome {
        let (places, none) = match option {
            AddressOption::Literal(ip) => {
                self.check_family(*ip)?;
                let place = self.place(*ip).ok_or(NoAddress::NotLocal(*ip))?;
                return Ok(found(&place, Because::Option));
            }
            AddressOption::Subnet(network) => {
                self.check_family(network.ip)?;
                let is_inside = |place: &Place<'_>| network.contains(place.ip);
                (self.named(is_inside), NoAddress::NoSubnet(*network))
            }
            AddressOption::Interface(name) => {
                let is_there = |place: &Place<'_>| {
                    let interface = &place.interface.name;
                    interface == name || device(interface) == name
                };
                (self.named(is_there), NoAddress::NoInterface(name.clone()))
            }
        };
        // Who names an interface has chosen; an answer of the other family does not undo it.
        let preferred = self.of_preferred_family(places.clone());
        let none = self.other_family(&places, none);
        let others = (!places.is_empty() && self.request.family.is_none()).then_some(places);
        preferred
            .or(others)
            .map(|places| self.settle(places, Because::Option))
            .ok_or(none)
    }

    fn check_family(&self, ip: IpAddr) -> Result<(), NoAddress> {
        match self.request.family {
            Some(family) if !family.holds(ip) => Err(NoAddress::WrongFamily(ip)),
            _ => Ok(()),
        }
    }

    /// The addresses the user's words fit; those in DNS alone where some are. Loopback will do
    /// when nothing else fits: who names its interface or network means it.
    fn named(&self, fits: impl Fn(&Place<'_>) -> bool) -> Vec<Place<'a>> {
        let mut places = self.usable.clone();
        places.retain(&fits);
        if places.is_empty() {
            places.clone_from(&self.lasting);
            places.retain(&fits);
        }
        if places.is_empty() {
            let loopback = |interface: &&Interface| Reach::of(interface.ip) == Reach::Loopback;
            places = self
                .interfaces
                .iter()
                .filter(loopback)
                .map(Place::of)
                .collect();
            places.retain(&fits);
        }
        let answered = of_answer(&places, self.request.answers.iter().flatten());
        if answered.is_empty() {
            places
        } else {
            answered
        }
    }

    /// The first query item that names us decides: with several networks that is how the user
    /// says which.
    fn in_answer(&self) -> Option<OwnAddress> {
        self.request.answers.iter().find_map(|answer| {
            let hits = self.of_preferred_family(self.hits(answer))?;
            let hits = widest(self.without_shared(hits));
            let hits = most_neighbours(hits, answer.iter().copied());
            Some(self.settle(hits, Because::InAnswer))
        })
    }

    fn hits(&self, answer: &[IpAddr]) -> Vec<Place<'a>> {
        if !self.is_confined {
            let mut places = self.usable.clone();
            if self.lists_others(answer) {
                let known = places.iter().map(|place| place.ip).collect::<HashSet<_>>();
                let more = self
                    .lasting
                    .iter()
                    .filter(|place| self.is_on_loopback(place) && !known.contains(&place.ip));
                places.extend(more.cloned());
            }
            return of_answer(&places, answer);
        }
        let mut known = HashSet::new();
        let mut places = Vec::<Place<'_>>::new();
        for &ip in answer {
            // No node can be called by fe80::1 alone: which wire is not part of a name.
            let is_wire = Reach::of(ip) == Reach::LinkLocal && ip.is_ipv6();
            if let Some(place) = self.place(ip)
                && !is_wire
                // That of Kubernetes' local DNS cache, 169.254.20.10.
                && !(place.interface.flags.dummy && place.network().is_host())
                && known.insert(ip)
            {
                places.push(place);
            }
        }
        places
    }

    /// Never towards anything but a peer. The way out to the internet is the wrong network in
    /// Docker Swarm, where it leaves by a bridge that no other machine sees.
    fn route_to_peer(&self, source: impl Fn(IpAddr) -> Option<IpAddr>) -> Option<OwnAddress> {
        self.request.answers.iter().find_map(|answer| {
            let mut peers = answer.clone();
            peers.retain(|&ip| Reach::of(ip) == Reach::Global);
            // Servers shuffle their answers, and two polls should not differ by that.
            peers.sort_unstable();
            peers.dedup();
            self.families.iter().find_map(|family| {
                let peers = peers.iter().filter(|&&peer| family.holds(peer));
                let lasting = |&peer| self.sender(source(peer)?, peer);
                let mut places = peers
                    .take(MAX_ROUTES)
                    .filter_map(lasting)
                    .collect::<Vec<_>>();
                let votes = places.iter().map(|place| place.ip).collect::<Vec<_>>();
                places.sort_unstable_by_key(|place| place.ip);
                places.dedup_by_key(|place| place.ip);
                let count = |place: &Place<'_>| votes.iter().filter(|&&ip| ip == place.ip).count();
                let places = most(places, count);
                (!places.is_empty()).then(|| self.settle(places, Because::RouteToPeer))
            })
        })
    }

    /// A usable address for the one that the kernel sends from. Linux likes to send from a
    /// temporary one, even of another network than the peer's, and to a virtual IP of its own
    /// from that. Then it is one of the same interface, in the peer's network or the source's.
    fn sender(&self, source: IpAddr, peer: IpAddr) -> Option<Place<'a>> {
        let usable = &self.usable;
        if let Some(place) = usable.iter().find(|place| place.ip == source) {
            return Some(place.clone());
        }
        let sender = self.place(source)?.interface;
        [peer, source].into_iter().find_map(|ip| {
            let is_beside = |place: &&Place<'_>| {
                place.interface.name == sender.name && place.network().contains(ip)
            };
            let mut beside = usable.iter().filter(is_beside);
            beside.next().filter(|_| beside.next().is_none()).cloned()
        })
    }

    fn platform_hint(&self) -> Option<OwnAddress> {
        self.request.hints.iter().find_map(|hint| {
            let ip = hint.trim().parse().ok()?;
            let is_wanted = self.families.iter().any(|family| family.holds(ip));
            let place = self.place(ip)?;
            (is_wanted && Reach::of(ip) == Reach::Global)
                .then(|| found(&place, Because::PlatformHint))
        })
    }

    fn only_address(&self) -> Outcome {
        self.of_preferred_family(self.usable.clone())
            .map(|places| self.settle(places, Because::OnlyAddress))
            .ok_or_else(|| self.other_family(&self.usable, NoAddress::None))
    }

    /// Where there are places, they were of the wrong family: that is why none would do.
    fn other_family(&self, places: &[Place<'_>], none: NoAddress) -> NoAddress {
        match (self.request.family, places.first()) {
            (Some(_), Some(place)) => NoAddress::OtherFamily(Family::of(place.ip)),
            _ => none,
        }
    }

    /// Where an address is on this machine. All of 127.0.0.0/8 is on Linux's loopback
    /// interface, though it lists one of them.
    fn place(&self, ip: IpAddr) -> Option<Place<'a>> {
        let is_all_local = cfg!(target_os = "linux") && is_loopback(ip);
        let interface = if is_all_local {
            let has = |one: &&&Interface| one.ip == ip || Place::of(one).network().contains(ip);
            self.around_loopback.iter().find(has)?
        } else {
            self.by_ip.get(&ip)?
        };
        Some(Place { ip, interface })
    }

    /// Whether this is, by its looks, an address that other machines hold too: a single one on
    /// loopback or a dummy device, where nobody on any wire asks for it. Kubernetes keeps the
    /// addresses of its services so, and load balancers theirs on each machine behind them.
    fn is_shared(&self, place: &Place<'_>) -> bool {
        let is_on_no_wire = place.interface.flags.dummy || self.is_on_loopback(place);
        place.network().is_host() && is_on_no_wire
    }

    fn is_on_loopback(&self, place: &Place<'_>) -> bool {
        self.loopbacks.contains(&device(&place.interface.name))
    }

    /// The others, where the family has others. A machine whose only address is there (as where
    /// routers are told of it) is named by it.
    fn without_shared(&self, places: Vec<Place<'a>>) -> Vec<Place<'a>> {
        let (shared, own) = places
            .into_iter()
            .partition::<Vec<_>, _>(|place| self.is_shared(place));
        let has_own = |is_ipv4| own.iter().any(|own| own.ip.is_ipv4() == is_ipv4);
        let (has_v4, has_v6) = (has_own(true), has_own(false));
        let left = shared
            .into_iter()
            .filter(|place| !if place.ip.is_ipv4() { has_v4 } else { has_v6 })
            .collect::<Vec<_>>();
        [own, left].concat()
    }

    /// A list of nodes, which may be known by addresses on loopback; the name of a service lists
    /// its own address and nothing else.
    fn lists_others(&self, answer: &[IpAddr]) -> bool {
        let is_other = |&ip: &IpAddr| Reach::of(ip) == Reach::Global && self.place(ip).is_none();
        answer.iter().any(is_other)
    }

    /// Those of the first family that has any.
    fn of_preferred_family(&self, places: Vec<Place<'a>>) -> Option<Vec<Place<'a>>> {
        self.families.iter().find_map(|family| {
            let mut places = places.clone();
            places.retain(|place| family.holds(place.ip));
            (!places.is_empty()).then_some(places)
        })
    }

    /// One is it; of several none is.
    fn settle(&self, places: Vec<Place<'a>>, because: Because) -> OwnAddress {
        match &*places {
            [place] => found(place, because),
            _ => OwnAddress::Undecided(places.iter().map(Place::candidate).collect()),
        }
    }
}

/// An address of this machine, and the interface it is on.
#[derive(Clone, Debug)]
struct Place<'a> {
    ip: IpAddr,
    interface: &'a Interface,
}

impl<'a> Place<'a> {
    fn of(interface: &'a Interface) -> Self {
        Self {
            ip: interface.ip,
            interface,
        }
    }

    fn network(&self) -> Network {
        Network::new(self.interface.ip, self.interface.prefix_length)
    }

    /// Whether this is a virtual IP beside the machine's own address: a /32 inside a network
    /// that the machine has an address of its own in. Docker Swarm and keepalived put it on
    /// the interface of every machine behind it, so that no node may be named by it.
    ///
    /// A /32 alone is as good as any: Amazon, Calico, Google and Tailscale give nothing else.
    /// So is a /128: DHCPv6 hands it out beside the address made up from the router's prefix.
    fn is_guest_in(&self, networks: &Networks) -> bool {
        self.ip.is_ipv4()
            && self.network().is_host()
            && !self.interface.flags.point_to_point
            && networks.narrowest(self.ip).is_some()
    }

    fn candidate(&self) -> Candidate {
        Candidate {
            ip: self.ip,
            interface: self.interface.name.clone(),
        }
    }
}

fn found(place: &Place<'_>, because: Because) -> OwnAddress {
    OwnAddress::Found {
        candidate: place.candidate(),
        because,
    }
}

/// The addresses that peers may be given, each once.
fn lasting_ones(interfaces: &[Interface]) -> Vec<Place<'_>> {
    let all = interfaces.iter().filter(|interface| {
        Reach::of(interface.ip) == Reach::Global && !interface.flags.is_fleeting()
    });
    let all = all.map(Place::of).collect::<Vec<_>>();
    let networks = all.iter().map(Place::network);
    let networks = networks.filter(|network| !network.is_host()).collect();
    let mut known = HashSet::new();
    all.into_iter()
        .filter(|place| !place.is_guest_in(&networks) && known.insert(place.ip))
        .collect()
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.is_ipv4() && ip.is_loopback()
}

/// Those of the places whose address is listed.
fn of_answer<'a, 'b>(
    places: &[Place<'a>],
    answer: impl IntoIterator<Item = &'b IpAddr>,
) -> Vec<Place<'a>> {
    let all = places.iter().map(|place| place.ip).collect::<HashSet<_>>();
    let listed = answer.into_iter().filter(|ip| all.contains(ip));
    let listed = listed.collect::<HashSet<_>>();
    let places = places.iter().filter(|place| listed.contains(&place.ip));
    places.cloned().collect()
}

/// The family asked for. Without one, those that DNS has answers of: where peers have IPv6
/// addresses only, an IPv4 name would be of no use to them.
fn families(request: &Request) -> Vec<Family> {
    let both = [Family::Inet, Family::Inet6];
    if let Some(family) = request.family {
        return vec![family];
    }
    let is_answered = |family: &Family| {
        let mut answered = request.answers.iter().flatten();
        answered.any(|&ip| family.holds(ip))
    };
    let answered = both.iter().copied().filter(is_answered).collect::<Vec<_>>();
    if answered.is_empty() {
        both.into()
    } else {
        answered
    }
}

/// Without the single addresses where a wider one is there: a virtual IP and the address beside
/// it may both be in one answer.
fn widest(mut places: Vec<Place<'_>>) -> Vec<Place<'_>> {
    if places.iter().any(|place| !place.network().is_host()) {
        places.retain(|place| !place.network().is_host());
    }
    places
}

/// Those whose own network holds the most of the answer: where the peers are.
fn most_neighbours<'a>(
    places: Vec<Place<'a>>,
    answer: impl Iterator<Item = IpAddr>,
) -> Vec<Place<'a>> {
    if places.len() < 2 {
        return places;
    }
    let networks = places.iter().map(Place::network).collect::<Networks>();
    let neighbours = networks.count(answer);
    let count = |place: &Place<'_>| neighbours.get(&place.network().key()).copied();
    most(places, |place| count(place).unwrap_or(0))
}

fn most<'a>(mut places: Vec<Place<'a>>, count: impl Fn(&Place<'a>) -> usize) -> Vec<Place<'a>> {
    let most = places.iter().map(&count).max();
    places.retain(|place| Some(count(place)) == most);
    places
}
