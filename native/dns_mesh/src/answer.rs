//! What a lookup asks for and what it finds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hickory_resolver::proto::rr::RecordType;

use crate::epmd::EpmdFault;
use crate::reverse::NoHost;

/// No answer holds more records than this, whatever a server sends.
pub const MAX_RECORDS: usize = 4096;

/// An address family, and with it the record type that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Inet,
    Inet6,
}

impl Family {
    pub(crate) fn record_type(self) -> RecordType {
        match self {
            Self::Inet => RecordType::A,
            Self::Inet6 => RecordType::AAAA,
        }
    }

    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::Inet,
            IpAddr::V6(_) => Self::Inet6,
        }
    }

    pub fn holds(self, ip: IpAddr) -> bool {
        Self::of(ip) == self
    }
}

/// What to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A or AAAA records.
    Addresses(Family),
    /// SRV records, and of their targets the addresses of these families.
    Services(Vec<Family>),
}

/// What to ask about each address that was found, those of SRV targets included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Follow {
    /// Its host name.
    pub hosts: bool,
    /// The names its epmd has registered.
    pub registered: bool,
}

/// A lookup that found something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub records: Records,
    /// Seconds; the smallest of all records used.
    pub ttl: u32,
    /// The name that answered (a search domain may have been added), without trailing dot.
    pub name: String,
    /// `address:port`, or `hosts`, or `literal`.
    pub server: String,
    /// More than [`MAX_RECORDS`] came; the rest was dropped.
    pub truncated: bool,
    /// The host name of each address, if that was to be asked: of a name server's PTR records (or
    /// of the hosts file) one that leads back to the address. Lower case, without trailing dot.
    pub hosts: BTreeMap<IpAddr, Result<String, NoHost>>,
    /// What each address's epmd has registered, if that was to be asked. Each name once, in order.
    pub registered: BTreeMap<IpAddr, Result<Vec<String>, EpmdFault>>,
}

impl Answer {
    /// Every address in it, those of SRV targets included.
    pub fn addresses(&self) -> BTreeSet<IpAddr> {
        match &self.records {
            Records::Addresses(ips) => ips.iter().copied().collect(),
            Records::Services(services) => services
                .iter()
                .flat_map(|service| service.addresses.iter().copied())
                .collect(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    Addresses(Vec<IpAddr>),
    Services(Vec<Service>),
}

/// One SRV record with the addresses of its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Lower case, without trailing dot.
    pub target: String,
    pub port: u16,
    pub priority: u16,
    pub weight: u16,
    pub addresses: Vec<IpAddr>,
}
