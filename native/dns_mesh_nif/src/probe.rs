//! The terms of `probe`.

use dns_mesh::{Dead, Door, Silent, TargetHost, Verdict};
use rustler::env::SavedTerm;
use rustler::types::tuple::get_tuple;
use rustler::{Atom, Binary, Decoder, Encoder, Env, Error, NifResult, Term};

use crate::terms::{Ip, atoms, family, port};

/// `{id, basename, ip | {host, family}, :epmd | port}`; `id` is whatever the caller knows it by.
pub(crate) struct Target<'a> {
    pub(crate) id: Term<'a>,
    pub(crate) target: dns_mesh::Target,
}

impl<'a> Decoder<'a> for Target<'a> {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        let (id, basename, host, door): (Term<'a>, String, Term<'a>, Term<'a>) = term.decode()?;
        let door = match door.decode::<Atom>() {
            Ok(atom) if atom == atoms::epmd() => Door::Epmd(basename),
            Ok(_) => return Err(Error::BadArg),
            Err(_) => Door::Port(port(door)?),
        };
        let host = host_of(host)?;
        Ok(Self {
            id,
            target: dns_mesh::Target { host, door },
        })
    }
}

fn host_of(term: Term<'_>) -> NifResult<TargetHost> {
    if get_tuple(term)?.len() != 2 {
        return Ok(TargetHost::Ip(term.decode::<Ip>()?.0));
    }
    let (name, atom): (Binary<'_>, Atom) = term.decode()?;
    Ok(TargetHost::Name(name.as_slice().to_vec(), family(atom)?))
}

/// What a failure of the whole probe is about, if it is about a name.
pub(crate) fn first_name(targets: &[dns_mesh::Target]) -> Vec<u8> {
    let names = targets.iter().filter_map(|target| match &target.host {
        TargetHost::Name(name, _) => Some(name.clone()),
        TargetHost::Ip(_) => None,
    });
    names.take(1).flatten().collect()
}

/// `{:ok, [{id, verdict}]}`
pub(crate) struct Verdicts {
    /// Kept in the environment of the reply.
    pub(crate) ids: SavedTerm,
    pub(crate) verdicts: Vec<Verdict>,
}

impl Encoder for Verdicts {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        let ids: Vec<Term<'a>> = self.ids.load(env).decode().expect("a list was kept");
        let verdicts = self.verdicts.iter().map(|&verdict| encode(env, verdict));
        let pairs: Vec<_> = ids.into_iter().zip(verdicts).collect();
        (atoms::ok(), pairs).encode(env)
    }
}

fn encode(env: Env<'_>, verdict: Verdict) -> Term<'_> {
    match verdict {
        Verdict::Ok(port) => (atoms::ok(), port).encode(env),
        Verdict::Dead(dead) => {
            let why = match dead {
                Dead::RefusedEpmd => atoms::refused_epmd(),
                Dead::NotRegistered => atoms::not_registered(),
                Dead::Refused => atoms::refused(),
            };
            (atoms::dead(), why).encode(env)
        }
        Verdict::Silent(silent) => {
            let what = match silent {
                Silent::Name => atoms::name(),
                Silent::Epmd => atoms::epmd(),
                Silent::Port => atoms::port(),
                Silent::NotTried => atoms::not_tried(),
            };
            (atoms::silent(), what).encode(env)
        }
    }
}
