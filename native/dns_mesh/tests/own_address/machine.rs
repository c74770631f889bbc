//! A machine as recorded: its interfaces, its routes, and what DNS and the environment tell it.

use std::net::IpAddr;

use dns_mesh::own_address::choose;
use dns_mesh::{
    AddressOption, Because, Candidate, Family, Flags, Interface, Network, NoAddress, OwnAddress,
    Request,
};

pub struct Machine {
    interfaces: Vec<Interface>,
    routes: Vec<(Network, IpAddr)>,
    request: Request,
}

impl Machine {
    /// One address a line: interface, address with prefix length, flags. As on the systems that
    /// they were seen on, in the kernel's order.
    pub fn new(addresses: &str) -> Self {
        let interfaces = addresses
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty());
        let interfaces = interfaces.map(interface).collect::<Vec<_>>();
        let routes = interfaces.iter().map(|interface| {
            (
                Network::new(interface.ip, interface.prefix_length),
                interface.ip,
            )
        });
        Self {
            routes: routes.collect(),
            interfaces,
            request: Request::default(),
        }
    }

    /// The kernel sends from `source` towards `network`, which lies behind a router.
    pub fn route(mut self, network: &str, source: &str) -> Self {
        self.routes
            .push((Network::parse(network).unwrap(), source.parse().unwrap()));
        self
    }

    pub fn inet(mut self) -> Self {
        self.request.family = Some(Family::Inet);
        self
    }

    pub fn inet6(mut self) -> Self {
        self.request.family = Some(Family::Inet6);
        self
    }

    /// What the next item of the query is answered with.
    pub fn answer(mut self, ips: &str) -> Self {
        let ips = ips.split_whitespace().map(|ip| ip.parse().unwrap());
        self.request.answers.push(ips.collect());
        self
    }

    pub fn hint(mut self, text: &str) -> Self {
        self.request.hints.push(text.into());
        self
    }

    pub fn literal(mut self, ip: &str) -> Self {
        self.request.option = Some(AddressOption::Literal(ip.parse().unwrap()));
        self
    }

    pub fn interface(mut self, name: &str) -> Self {
        self.request.option = Some(AddressOption::Interface(name.into()));
        self
    }

    pub fn subnet(mut self, network: &str) -> Self {
        self.request.option = Some(AddressOption::Subnet(Network::parse(network).unwrap()));
        self
    }

    /// The outcome, as one line.
    #[track_caller]
    pub fn says(&self, expected: &str) {
        assert_eq!(self.outcome(), expected);
    }

    fn outcome(&self) -> String {
        let place = |one: &Candidate| format!("{} on {}", one.ip, one.interface);
        match choose(&self.interfaces, &self.request, |peer| self.source(peer)) {
            Ok(OwnAddress::Found { candidate, because }) => {
                let because = match because {
                    Because::Option => "option",
                    Because::InAnswer => "in answer",
                    Because::RouteToPeer => "route to peer",
                    Because::PlatformHint => "platform hint",
                    Because::OnlyAddress => "only address",
                };
                format!("{}: {because}", place(&candidate))
            }
            Ok(OwnAddress::Undecided(all)) => {
                let all = all.iter().map(place).collect::<Vec<_>>();
                format!("undecided: {}", all.join(", "))
            }
            Err(NoAddress::NotLocal(ip)) => format!("not local: {ip}"),
            Err(NoAddress::WrongFamily(ip)) => format!("wrong family: {ip}"),
            Err(NoAddress::NoInterface(name)) => format!("no interface: {name}"),
            Err(NoAddress::NoSubnet(network)) => format!("no subnet: {network}"),
            Err(NoAddress::OtherFamily(family)) => format!("other family: {family:?}"),
            Err(NoAddress::None) => "no address".into(),
            Err(NoAddress::Interfaces(text)) => panic!("{text}"),
        }
    }

    /// As the kernel does it: the narrowest route, and of an interface's addresses the first.
    fn source(&self, peer: IpAddr) -> Option<IpAddr> {
        let routes = self
            .routes
            .iter()
            .filter(|(network, _)| network.contains(peer));
        let narrowest = routes
            .rev()
            .max_by_key(|(network, _)| network.prefix_length);
        narrowest.map(|&(_, source)| source)
    }
}

fn interface(line: &str) -> Interface {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap();
    let network = Network::parse(words.next().unwrap()).unwrap();
    let mut flags = Flags::default();
    for word in words {
        match word {
            "point-to-point" => flags.point_to_point = true,
            "dummy" => flags.dummy = true,
            "temporary" => flags.temporary = true,
            "deprecated" => flags.deprecated = true,
            "tentative" => flags.tentative = true,
            other => panic!("{other}"),
        }
    }
    Interface {
        name: name.into(),
        index: 0,
        ip: network.ip,
        prefix_length: network.prefix_length,
        flags,
    }
}
