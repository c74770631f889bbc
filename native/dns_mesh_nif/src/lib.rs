//! The border between `dns_mesh` and the Erlang VM: decode, spawn, `:ok`.
//!
//! No function here waits for the network. What a lookup finds arrives later as exactly one
//! message, `{ref, {:ok, answer} | {:error, failure}}`.
//!
//! | module | job |
//! |---|---|
//! | `reply` | the one message, whatever happens to the task |
//! | `runtime` | the thread that lookups run on |
//! | `terms` | Elixir terms in and out |
//! | `own_address` | the same for this machine's own address and name |
//! | `faults` | ways to break a lookup, in test builds only |

#[cfg(feature = "faults")]
mod faults;
mod own_address;
mod reply;
mod runtime;
mod terms;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use dns_mesh::Resolver;
use futures_util::FutureExt;
use rustler::{Atom, Binary, Encoder, Env, Reference, Resource, ResourceArc, Term};

use crate::reply::Reply;
use crate::terms::{Failure, Families, Follow, Outcome, Reason, RecordType, Settings, atoms};

struct Handle(Arc<Resolver>);

#[rustler::resource_impl]
impl Resource for Handle {}

#[rustler::nif]
fn resolver_open(env: Env<'_>, settings: Settings) -> Term<'_> {
    let resolver = Arc::new(Resolver::new(settings.0));
    (atoms::ok(), ResourceArc::new(Handle(resolver))).encode(env)
}

// Too many for clippy: the border passes what Elixir has as it is.
#[allow(clippy::too_many_arguments)]
#[rustler::nif]
fn lookup<'a>(
    env: Env<'a>,
    resolver: ResourceArc<Handle>,
    reference: Reference<'a>,
    record_type: RecordType,
    families: Families,
    follow: Follow,
    name: Binary<'a>,
    timeout_ms: u64,
) -> Atom {
    let name = name.as_slice().to_vec();
    let runtime = match runtime::get() {
        Ok(runtime) => runtime,
        // A scheduler thread may send only with the environment of the call.
        Err(text) => {
            let outcome = Outcome(Err(Failure::new(Reason::Runtime(text), &name)));
            let _ = env.send(&env.pid(), (reference, outcome));
            return atoms::ok();
        }
    };

    let resolver = resolver.0.clone();
    let kind = record_type.kind(families);
    let timeout = Duration::from_millis(timeout_ms);
    let reply = Reply::new(env, reference, &name);
    #[cfg(feature = "faults")]
    let Some(reply) = faults::drop_task(runtime, reply, &name) else {
        return atoms::ok();
    };
    runtime.spawn(async move {
        // The kernel likes to run a woken thread on the core of who woke it, at once. A moment for the scheduler to
        // come back from this call first.
        std::thread::yield_now();
        let lookup = async {
            #[cfg(feature = "faults")]
            faults::panic_in_task(&name);
            resolver.lookup(&name, &kind, follow.0, timeout).await
        };
        match AssertUnwindSafe(lookup).catch_unwind().await {
            Ok(outcome) => reply.send(Outcome(outcome.map_err(Into::into))),
            Err(_) => reply.panicked(),
        }
    });
    atoms::ok()
}

#[rustler::nif]
fn check_name<'a>(env: Env<'a>, name: Binary<'a>) -> Term<'a> {
    match dns_mesh::check_name(name.as_slice()) {
        Ok(()) => atoms::ok().encode(env),
        Err(why) => (atoms::error(), Reason::from(why)).encode(env),
    }
}

#[rustler::nif]
fn interfaces(env: Env<'_>) -> Term<'_> {
    match dns_mesh::interfaces() {
        Ok(all) => {
            let all = all.into_iter().map(terms::interface).collect::<Vec<_>>();
            (atoms::ok(), all).encode(env)
        }
        Err(error) => (atoms::error(), error.to_string()).encode(env),
    }
}

#[rustler::nif]
fn own_address(request: own_address::Request) -> own_address::Outcome {
    own_address::Outcome(dns_mesh::own_address(&request.0))
}

#[rustler::nif]
fn node_name(basename: Binary<'_>, ip: terms::Ip) -> own_address::Name {
    own_address::Name(dns_mesh::node_name(basename.as_slice(), ip.0))
}

rustler::init!("Elixir.DNSMesh.Native");
