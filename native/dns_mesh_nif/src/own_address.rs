//! The terms of `own_address` and `node_name`.

use dns_mesh::{
    AddressOption, BadBasename, Because, Candidate, Family, Network, NoAddress, OwnAddress, ip_text,
};
use rustler::types::tuple::get_tuple;
use rustler::{Atom, Binary, Decoder, Encoder, Env, Error, NewBinary, NifResult, Term};

use crate::terms::{Ip, atoms, family, number};

pub(crate) struct Request(pub(crate) dns_mesh::Request);

impl<'a> Decoder<'a> for Request {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        let answers: Vec<Vec<Ip>> = term.map_get(atoms::answers())?.decode()?;
        let answers = answers
            .into_iter()
            .map(|answer| answer.into_iter().map(|ip| ip.0));
        let hints: Vec<Binary<'_>> = term.map_get(atoms::hints())?.decode()?;
        Ok(Self(dns_mesh::Request {
            option: unless_nil(term.map_get(atoms::option())?, option)?,
            family: unless_nil(term.map_get(atoms::family())?, some_family)?,
            answers: answers.map(Iterator::collect).collect(),
            hints: hints.into_iter().map(text).collect(),
        }))
    }
}

/// What comes from the environment or a user need not be text; then it fits nothing of ours.
fn text(bytes: Binary<'_>) -> String {
    String::from_utf8_lossy(bytes.as_slice()).into_owned()
}

fn unless_nil<'a, T>(
    term: Term<'a>,
    decode: impl Fn(Term<'a>) -> NifResult<T>,
) -> NifResult<Option<T>> {
    match term.decode::<Atom>() {
        Ok(atom) if atom == atoms::nil() => Ok(None),
        _ => decode(term).map(Some),
    }
}

fn some_family(term: Term<'_>) -> NifResult<Family> {
    family(term.decode()?)
}

/// `{:literal, ip} | {:interface, name} | {:subnet, {ip, prefix}}`
fn option(term: Term<'_>) -> NifResult<AddressOption> {
    let (tag, value): (Atom, Term<'_>) = term.decode()?;
    if tag == atoms::literal() {
        Ok(AddressOption::Literal(value.decode::<Ip>()?.0))
    } else if tag == atoms::interface() {
        Ok(AddressOption::Interface(text(value.decode()?)))
    } else if tag == atoms::subnet() {
        network(value).map(AddressOption::Subnet)
    } else {
        Err(Error::BadArg)
    }
}

fn network(term: Term<'_>) -> NifResult<Network> {
    let parts: [Term<'_>; 2] = get_tuple(term)?.try_into().map_err(|_| Error::BadArg)?;
    let ip = parts[0].decode::<Ip>()?.0;
    let prefix_length = number(parts[1])?;
    let width = if ip.is_ipv4() { 32 } else { 128 };
    if prefix_length > width {
        return Err(Error::BadArg);
    }
    Ok(Network::new(ip, prefix_length))
}

/// `{:ok, own} | {:undecided, candidates} | {:error, reason}`
pub(crate) struct Outcome(pub(crate) Result<OwnAddress, NoAddress>);

impl Encoder for Outcome {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        match &self.0 {
            Ok(OwnAddress::Found { candidate, because }) => {
                let own = rustler::term_map!(env, {
                    atoms::ip() => Ip(candidate.ip),
                    atoms::interface() => candidate.interface,
                    atoms::because() => encode_because(*because),
                });
                (atoms::ok(), own).encode(env)
            }
            Ok(OwnAddress::Undecided(candidates)) => {
                let candidates = candidates.iter().map(|one| encode_candidate(env, one));
                (atoms::undecided(), candidates.collect::<Vec<_>>()).encode(env)
            }
            Err(why) => (atoms::error(), encode_no_address(env, why)).encode(env),
        }
    }
}

fn encode_candidate<'a>(env: Env<'a>, candidate: &Candidate) -> Term<'a> {
    rustler::term_map!(env, {
        atoms::ip() => Ip(candidate.ip),
        atoms::interface() => candidate.interface,
    })
}

fn of_family(family: Family) -> Atom {
    match family {
        Family::Inet => atoms::inet(),
        Family::Inet6 => atoms::inet6(),
    }
}

fn encode_because(because: Because) -> Atom {
    match because {
        Because::Option => atoms::option(),
        Because::InAnswer => atoms::in_answer(),
        Because::RouteToPeer => atoms::route_to_peer(),
        Because::PlatformHint => atoms::platform_hint(),
        Because::OnlyAddress => atoms::only_address(),
    }
}

fn encode_no_address<'a>(env: Env<'a>, why: &NoAddress) -> Term<'a> {
    match why {
        NoAddress::NotLocal(ip) => (atoms::not_local(), ip_text(*ip)).encode(env),
        NoAddress::WrongFamily(ip) => (atoms::wrong_family(), ip_text(*ip)).encode(env),
        NoAddress::NoInterface(name) => (atoms::no_interface(), name).encode(env),
        NoAddress::NoSubnet(network) => (atoms::no_subnet(), network.to_string()).encode(env),
        NoAddress::OtherFamily(family) => (atoms::wrong_proto(), of_family(*family)).encode(env),
        NoAddress::None => atoms::no_address().encode(env),
        NoAddress::Interfaces(text) => (atoms::interfaces(), text).encode(env),
    }
}

/// `{:ok, name} | {:error, {:bad_basename, text}}`
pub(crate) struct Name(pub(crate) Result<String, BadBasename>);

impl Encoder for Name {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        match &self.0 {
            Ok(name) => (atoms::ok(), name).encode(env),
            Err(BadBasename(bytes)) => {
                // The caller's own bytes, which need not be text.
                let mut text = NewBinary::new(env, bytes.len());
                text.as_mut_slice().copy_from_slice(bytes);
                let reason = (atoms::bad_basename(), Term::from(text));
                (atoms::error(), reason).encode(env)
            }
        }
    }
}
