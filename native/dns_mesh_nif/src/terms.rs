//! Elixir terms in and out: one newtype for each thing that crosses the border.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use dns_mesh::{
    Answer, BadName, EpmdFault, Family, Interface, Kind, NoHost, Records, Service, TcpFault,
};
use rustler::types::tuple::{get_tuple, make_tuple};
use rustler::{Atom, Binary, Decoder, Encoder, Env, Error, NewBinary, NifResult, Term};

pub(crate) mod atoms {
    rustler::atoms! {
        ok, error, nil,
        a, aaaa, srv, inet, inet6,
        nameservers, resolv_conf, hosts, more_resolv_conf, more_hosts, epmd_port,
        records, ttl, name, server, truncated, registered,
        target, port, priority, weight, addresses,
        reason, negative_ttl, no_tcp, closed,
        nxdomain, no_records, timeout, servfail, refused, formerr, notimp, rcode, bad_reply,
        unconfirmed, silent, garbled, unreachable,
        dead, epmd, refused_epmd, not_registered, not_tried,
        welcome, hidden, visible, proved, unproved, other_name, wrong_cookie, not_allowed, busy, tls, no_node,
        network, bad_name, panicked, dropped, runtime,
        option, family, answers, hints, literal, interface, subnet, many,
        ip, because, undecided, in_answer, route_to_peer, platform_hint, only_address,
        not_local, wrong_family, wrong_proto, no_interface, no_subnet, no_address, interfaces, bad_basename,
        empty, too_long, label_too_long, empty_label, blank, control, not_ascii, bad_character,
    }
}

/// `{10, 0, 0, 1}` or `{0, 0, 0, 0, 0, 0, 0, 1}`, as in `:inet`.
pub(crate) struct Ip(pub(crate) IpAddr);

impl<'a> Decoder<'a> for Ip {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        let parts = get_tuple(term)?;
        let ip = match parts.len() {
            4 => IpAddr::from(numbers::<u8, 4>(parts)?),
            _ => IpAddr::from(numbers::<u16, 8>(parts)?),
        };
        Ok(Self(ip))
    }
}

fn numbers<T: TryFrom<u64>, const N: usize>(terms: Vec<Term<'_>>) -> NifResult<[T; N]> {
    let numbers = terms
        .into_iter()
        .map(number)
        .collect::<NifResult<Vec<T>>>()?;
    numbers.try_into().map_err(|_| Error::BadArg)
}

/// rustler's own decoders of small integers cut off what does not fit: 256 would become 0.
pub(crate) fn number<T: TryFrom<u64>>(term: Term<'_>) -> NifResult<T> {
    T::try_from(term.decode::<u64>()?).map_err(|_| Error::BadArg)
}

impl Encoder for Ip {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        match self.0 {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                (a, b, c, d).encode(env)
            }
            IpAddr::V6(v6) => {
                let words = v6.segments().map(|word| word.encode(env));
                make_tuple(env, &words)
            }
        }
    }
}

pub(crate) struct Settings(pub(crate) dns_mesh::Settings);

impl<'a> Decoder<'a> for Settings {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        let nameservers: Vec<(Ip, Term<'a>)> = term.map_get(atoms::nameservers())?.decode()?;
        let nameservers = nameservers
            .into_iter()
            .map(|(ip, port)| Ok(SocketAddr::new(ip.0, number(port)?)));
        Ok(Self(dns_mesh::Settings {
            nameservers: nameservers.collect::<NifResult<_>>()?,
            resolv_conf: path(term.map_get(atoms::resolv_conf())?)?,
            hosts: path(term.map_get(atoms::hosts())?)?,
            more_resolv_conf: term.map_get(atoms::more_resolv_conf())?.decode()?,
            more_hosts: term.map_get(atoms::more_hosts())?.decode()?,
            epmd_port: port(term.map_get(atoms::epmd_port())?)?,
            ..dns_mesh::Settings::default()
        }))
    }
}

/// Nobody listens at port 0.
pub(crate) fn port(term: Term<'_>) -> NifResult<u16> {
    match number(term)? {
        0 => Err(Error::BadArg),
        port => Ok(port),
    }
}

fn path(term: Term<'_>) -> NifResult<PathBuf> {
    let bytes = term.decode::<Binary<'_>>()?.as_slice().to_vec();
    #[cfg(unix)]
    let path: OsString = std::os::unix::ffi::OsStringExt::from_vec(bytes);
    #[cfg(not(unix))]
    let path: OsString = String::from_utf8(bytes).map_err(|_| Error::BadArg)?.into();
    Ok(path.into())
}

pub(crate) enum RecordType {
    A,
    Aaaa,
    Srv,
}

impl RecordType {
    /// Only SRV has a choice of families.
    pub(crate) fn kind(self, families: Families) -> Kind {
        match self {
            Self::A => Kind::Addresses(Family::Inet),
            Self::Aaaa => Kind::Addresses(Family::Inet6),
            Self::Srv => Kind::Services(families.0),
        }
    }
}

impl<'a> Decoder<'a> for RecordType {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        match term.decode::<Atom>()? {
            atom if atom == atoms::a() => Ok(Self::A),
            atom if atom == atoms::aaaa() => Ok(Self::Aaaa),
            atom if atom == atoms::srv() => Ok(Self::Srv),
            _ => Err(Error::BadArg),
        }
    }
}

pub(crate) struct Families(Vec<Family>);

impl<'a> Decoder<'a> for Families {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        let atoms = term.decode::<Vec<Atom>>()?;
        let families = atoms.into_iter().map(family);
        Ok(Self(families.collect::<NifResult<_>>()?))
    }
}

/// `[:hosts | :registered]`
pub(crate) struct Follow(pub(crate) dns_mesh::Follow);

impl<'a> Decoder<'a> for Follow {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        let mut follow = dns_mesh::Follow::default();
        for atom in term.decode::<Vec<Atom>>()? {
            match atom {
                atom if atom == atoms::hosts() => follow.hosts = true,
                atom if atom == atoms::registered() => follow.registered = true,
                _ => return Err(Error::BadArg),
            }
        }
        Ok(Self(follow))
    }
}

pub(crate) fn family(atom: Atom) -> NifResult<Family> {
    match atom {
        atom if atom == atoms::inet() => Ok(Family::Inet),
        atom if atom == atoms::inet6() => Ok(Family::Inet6),
        _ => Err(Error::BadArg),
    }
}

/// `{:ok, answer} | {:error, failure}`
pub(crate) struct Outcome(pub(crate) Result<Answer, Failure>);

impl Encoder for Outcome {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        match &self.0 {
            Ok(answer) => (atoms::ok(), encode_answer(env, answer)).encode(env),
            Err(failure) => (atoms::error(), failure).encode(env),
        }
    }
}

fn encode_answer<'a>(env: Env<'a>, answer: &Answer) -> Term<'a> {
    let records = match &answer.records {
        Records::Addresses(ips) => encode_ips(env, ips),
        Records::Services(services) => services
            .iter()
            .map(|service| encode_service(env, service))
            .collect::<Vec<_>>()
            .encode(env),
    };
    rustler::term_map!(env, {
        atoms::records() => records,
        atoms::ttl() => answer.ttl,
        atoms::name() => answer.name,
        atoms::server() => answer.server,
        atoms::truncated() => answer.truncated,
        atoms::hosts() => encode_by_ip(env, &answer.hosts, encode_no_host),
        atoms::registered() => encode_by_ip(env, &answer.registered, encode_epmd_fault),
    })
}

/// `[{ip, {:ok, value} | {:error, why}}]`. Not a map: before OTP 27.3, making one of more than a
/// hundred or so keys on a thread that is no scheduler ends the VM (erlang/otp#8208).
fn encode_by_ip<'a, T: Encoder, E>(
    env: Env<'a>,
    outcomes: &BTreeMap<IpAddr, Result<T, E>>,
    encode_error: impl Fn(Env<'a>, &E) -> Term<'a>,
) -> Term<'a> {
    let outcomes = outcomes.iter().map(|(&ip, outcome)| {
        let outcome = match outcome {
            Ok(value) => (atoms::ok(), value).encode(env),
            Err(why) => (atoms::error(), encode_error(env, why)).encode(env),
        };
        (Ip(ip), outcome)
    });
    outcomes.collect::<Vec<_>>().encode(env)
}

fn encode_no_host<'a>(env: Env<'a>, why: &NoHost) -> Term<'a> {
    match why {
        NoHost::Unconfirmed => atoms::unconfirmed().encode(env),
        NoHost::Lookup(reason) => encode_reason(env, reason),
    }
}

fn encode_epmd_fault<'a>(env: Env<'a>, why: &EpmdFault) -> Term<'a> {
    match why {
        EpmdFault::Silent => atoms::silent().encode(env),
        EpmdFault::Refused => atoms::refused().encode(env),
        EpmdFault::Garbled => atoms::garbled().encode(env),
        EpmdFault::Unreachable(text) => (atoms::unreachable(), text).encode(env),
    }
}

fn encode_service<'a>(env: Env<'a>, service: &Service) -> Term<'a> {
    rustler::term_map!(env, {
        atoms::target() => service.target,
        atoms::port() => service.port,
        atoms::priority() => service.priority,
        atoms::weight() => service.weight,
        atoms::addresses() => encode_ips(env, &service.addresses),
    })
}

fn encode_ips<'a>(env: Env<'a>, ips: &[IpAddr]) -> Term<'a> {
    ips.iter().map(|&ip| Ip(ip)).collect::<Vec<_>>().encode(env)
}

/// `{name, ip_tuple, prefix_length}`
pub(crate) fn interface(interface: Interface) -> impl Encoder {
    (interface.name, Ip(interface.ip), interface.prefix_length)
}

/// A failure of the lookup, or of what carries it.
pub(crate) struct Failure {
    reason: Reason,
    /// Bytes, because a bad name need not be text.
    name: Vec<u8>,
    server: Option<String>,
    negative_ttl: Option<u32>,
}

pub(crate) enum Reason {
    Lookup(dns_mesh::Reason),
    /// The task panicked.
    Panicked,
    /// The task ended without an outcome.
    Dropped,
    /// The runtime did not start.
    Runtime(String),
}

impl Failure {
    pub(crate) fn new(reason: Reason, name: &[u8]) -> Self {
        Self {
            reason,
            name: name.strip_suffix(b".").unwrap_or(name).to_vec(),
            server: None,
            negative_ttl: None,
        }
    }
}

impl From<dns_mesh::Failure> for Failure {
    fn from(failure: dns_mesh::Failure) -> Self {
        Self {
            reason: Reason::Lookup(failure.reason),
            name: failure.name.into_bytes(),
            server: failure.server,
            negative_ttl: failure.negative_ttl,
        }
    }
}

impl From<BadName> for Reason {
    fn from(why: BadName) -> Self {
        Self::Lookup(dns_mesh::Reason::BadName(why))
    }
}

impl Encoder for Failure {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        let mut name = NewBinary::new(env, self.name.len());
        name.as_mut_slice().copy_from_slice(&self.name);
        rustler::term_map!(env, {
            atoms::reason() => self.reason,
            atoms::name() => Term::from(name),
            atoms::server() => self.server,
            atoms::negative_ttl() => self.negative_ttl,
        })
    }
}

impl Encoder for Reason {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        match self {
            Self::Lookup(reason) => encode_reason(env, reason),
            Self::Panicked => atoms::panicked().encode(env),
            Self::Dropped => atoms::dropped().encode(env),
            Self::Runtime(text) => (atoms::runtime(), text).encode(env),
        }
    }
}

fn encode_reason<'a>(env: Env<'a>, reason: &dns_mesh::Reason) -> Term<'a> {
    use dns_mesh::Reason as R;
    match reason {
        R::NxDomain => atoms::nxdomain().encode(env),
        R::NoRecords => atoms::no_records().encode(env),
        R::Timeout => atoms::timeout().encode(env),
        R::ServFail => atoms::servfail().encode(env),
        R::Refused => atoms::refused().encode(env),
        R::FormErr => atoms::formerr().encode(env),
        R::NotImp => atoms::notimp().encode(env),
        R::Rcode(code) => (atoms::rcode(), code).encode(env),
        R::BadReply => atoms::bad_reply().encode(env),
        R::Truncated => atoms::truncated().encode(env),
        R::NoTcp(fault) => (atoms::no_tcp(), encode_tcp_fault(env, fault)).encode(env),
        R::Network(text) => (atoms::network(), text).encode(env),
        R::BadName(why) => (atoms::bad_name(), encode_bad_name(*why)).encode(env),
    }
}

fn encode_tcp_fault<'a>(env: Env<'a>, why: &TcpFault) -> Term<'a> {
    match why {
        TcpFault::Refused => atoms::refused().encode(env),
        TcpFault::Silent => atoms::silent().encode(env),
        TcpFault::Closed => atoms::closed().encode(env),
        TcpFault::Unreachable(text) => (atoms::unreachable(), text).encode(env),
    }
}

fn encode_bad_name(why: BadName) -> Atom {
    match why {
        BadName::Empty => atoms::empty(),
        BadName::TooLong => atoms::too_long(),
        BadName::LabelTooLong => atoms::label_too_long(),
        BadName::EmptyLabel => atoms::empty_label(),
        BadName::Blank => atoms::blank(),
        BadName::Control => atoms::control(),
        BadName::NotAscii => atoms::not_ascii(),
        BadName::BadCharacter => atoms::bad_character(),
    }
}
