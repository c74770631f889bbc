//! Greetings: whom to greet, and how it went.

use std::net::SocketAddr;

use dns_mesh::{Call, Caller, Greeting};
use rustler::env::SavedTerm;
use rustler::{Binary, Decoder, Encoder, Env, NifResult, Term};

use crate::terms::{Ip, atoms, port};

/// `{id, name, ip, port}`; `id` is whatever the caller knows it by.
pub(crate) struct Target<'a> {
    pub(crate) id: Term<'a>,
    pub(crate) call: Call,
}

impl<'a> Decoder<'a> for Target<'a> {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        let (id, name, ip, at): (Term<'a>, String, Ip, Term<'a>) = term.decode()?;
        let at = SocketAddr::new(ip.0, port(at)?);
        Ok(Self {
            id,
            call: Call { name, at },
        })
    }
}

/// `{name, cookie | nil}`; a cookie is bytes, for it need not be text.
pub(crate) struct As(pub(crate) Caller);

impl<'a> Decoder<'a> for As {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        let (name, cookie): (String, Option<Binary<'a>>) = term.decode()?;
        let cookie = cookie.map(|cookie| cookie.as_slice().to_vec());
        Ok(Self(Caller { name, cookie }))
    }
}

/// `{:ok, [{id, greeting}]}`
pub(crate) struct Greetings {
    /// Kept in the environment of the reply.
    pub(crate) ids: SavedTerm,
    pub(crate) greetings: Vec<Greeting>,
}

impl Encoder for Greetings {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        let ids: Vec<Term<'a>> = self.ids.load(env).decode().expect("a list was kept");
        let greetings = self.greetings.iter().map(|one| encode(env, one));
        let pairs: Vec<_> = ids.into_iter().zip(greetings).collect();
        (atoms::ok(), pairs).encode(env)
    }
}

fn encode<'a>(env: Env<'a>, greeting: &Greeting) -> Term<'a> {
    match greeting {
        Greeting::Welcome { hidden, proved } => {
            let kind = if *hidden {
                atoms::hidden()
            } else {
                atoms::visible()
            };
            let cookie = if *proved {
                atoms::proved()
            } else {
                atoms::unproved()
            };
            (atoms::welcome(), kind, cookie).encode(env)
        }
        Greeting::OtherName(name) => (atoms::other_name(), name).encode(env),
        Greeting::WrongCookie => atoms::wrong_cookie().encode(env),
        Greeting::NotAllowed => atoms::not_allowed().encode(env),
        Greeting::Busy => atoms::busy().encode(env),
        Greeting::Tls => atoms::tls().encode(env),
        Greeting::NoNode => atoms::no_node().encode(env),
        Greeting::Silent => atoms::silent().encode(env),
        Greeting::NotTried => atoms::not_tried().encode(env),
    }
}
