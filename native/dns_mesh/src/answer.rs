//! What a lookup asks for and what it finds.

use std::net::IpAddr;

use hickory_resolver::proto::rr::RecordType;

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

    pub fn holds(self, ip: IpAddr) -> bool {
        ip.is_ipv4() == (self == Self::Inet)
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
