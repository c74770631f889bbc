//! The border between `dns_mesh` and the Erlang VM: decode, spawn, `:ok`.
//!
//! No function here waits for the network. What a lookup finds arrives later as exactly one
//! message, `{ref, {:ok, answer} | {:error, failure}}`; what a probe finds as
//! `{ref, {:ok, [{id, verdict}]} | {:error, failure}}`.
//!
//! | module | job |
//! |---|---|
//! | `reply` | the one message, whatever happens to the task |
//! | `runtime` | the thread that lookups run on |
//! | `terms` | Elixir terms in and out |
//! | `probe` | the terms of a probe |
//! | `own_address` | the same for this machine's own address and name |
//! | `faults` | ways to break a lookup, in test builds only |

#[cfg(feature = "faults")]
mod faults;
mod greet;
mod own_address;
mod probe;
mod reply;
mod runtime;
mod terms;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use dns_mesh::Resolver;
use futures_util::FutureExt;
use rustler::{Atom, Binary, Encoder, Env, NifResult, Reference, Resource, ResourceArc, Term};

use crate::probe::{Target, Verdicts};
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
    let resolver = resolver.0.clone();
    let kind = record_type.kind(families);
    let timeout = Duration::from_millis(timeout_ms);
    reply_later(env, reference, name.clone(), |_| async move {
        let outcome = resolver.lookup(&name, &kind, follow.0, timeout).await;
        Outcome(outcome.map_err(Into::into))
    })
}

#[rustler::nif]
fn probe<'a>(
    env: Env<'a>,
    resolver: ResourceArc<Handle>,
    reference: Reference<'a>,
    targets: Vec<Target<'a>>,
    timeout_ms: u64,
) -> Atom {
    let resolver = resolver.0.clone();
    let timeout = Duration::from_millis(timeout_ms);
    let (ids, targets): (Vec<_>, Vec<_>) =
        targets.into_iter().map(|one| (one.id, one.target)).unzip();
    reply_later(env, reference, probe::first_name(&targets), |reply| {
        let ids = reply.keep(ids);
        async move {
            let verdicts = resolver.probe(&targets, timeout).await;
            Verdicts { ids, verdicts }
        }
    })
}

#[rustler::nif]
fn greet<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    targets: Vec<greet::Target<'a>>,
    caller: greet::As,
    timeout_ms: u64,
) -> Atom {
    let timeout = Duration::from_millis(timeout_ms);
    let (ids, calls): (Vec<_>, Vec<_>) = targets.into_iter().map(|one| (one.id, one.call)).unzip();
    reply_later(env, reference, vec![], |reply| {
        let ids = reply.keep(ids);
        async move {
            let greetings = dns_mesh::greet_all(&calls, &caller.0, timeout).await;
            greet::Greetings { ids, greetings }
        }
    })
}

/// Lets `work` begin, which makes the reply that `reference` is to get. `name` is what a failure
/// is about.
fn reply_later<'a, F>(
    env: Env<'a>,
    reference: Reference<'a>,
    name: Vec<u8>,
    work: impl FnOnce(&Reply) -> F,
) -> Atom
where
    F: Future<Output: Encoder> + Send + 'static,
{
    let runtime = match runtime::get() {
        Ok(runtime) => runtime,
        // A scheduler thread may send only with the environment of the call.
        Err(text) => {
            let outcome = Outcome(Err(Failure::new(Reason::Runtime(text), &name)));
            let _ = env.send(&env.pid(), (reference, outcome));
            return atoms::ok();
        }
    };

    let reply = Reply::new(env, reference, &name);
    let work = work(&reply);
    #[cfg(feature = "faults")]
    let Some(reply) = faults::drop_task(runtime, reply, &name) else {
        return atoms::ok();
    };
    runtime.spawn(async move {
        // The kernel likes to run a woken thread on the core of who woke it, at once. A moment for the scheduler to
        // come back from this call first.
        std::thread::yield_now();
        let work = async {
            #[cfg(feature = "faults")]
            faults::panic_in_task(&name);
            work.await
        };
        match AssertUnwindSafe(work).catch_unwind().await {
            Ok(outcome) => reply.send(outcome),
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

/// How long it takes to look at this machine's addresses depends on how many there are, and a host
/// may have thousands. On a normal scheduler only where there were few the last time; `:many` says
/// that the same is to be called on a dirty one. Not always on that: those may be taken for long by
/// somebody else's work, and whoever calls this has others waiting.
static ARE_MANY: AtomicBool = AtomicBool::new(true);

/// At about a microsecond each.
const MANY: usize = 256;

#[rustler::nif]
fn few_interfaces(env: Env<'_>) -> Term<'_> {
    if ARE_MANY.load(Relaxed) {
        return atoms::many().encode(env);
    }
    list_interfaces(env)
}

#[rustler::nif(schedule = "DirtyCpu")]
fn many_interfaces(env: Env<'_>) -> Term<'_> {
    list_interfaces(env)
}

fn list_interfaces(env: Env<'_>) -> Term<'_> {
    match dns_mesh::interfaces() {
        Ok(all) => {
            ARE_MANY.store(all.len() > MANY, Relaxed);
            let all = all.into_iter().map(terms::interface).collect::<Vec<_>>();
            (atoms::ok(), all).encode(env)
        }
        Err(error) => (atoms::error(), error.to_string()).encode(env),
    }
}

#[rustler::nif]
fn few_own_address<'a>(env: Env<'a>, request: Term<'a>) -> NifResult<Term<'a>> {
    if ARE_MANY.load(Relaxed) {
        return Ok(atoms::many().encode(env));
    }
    choose(env, request)
}

#[rustler::nif(schedule = "DirtyCpu")]
fn many_own_address<'a>(env: Env<'a>, request: Term<'a>) -> NifResult<Term<'a>> {
    choose(env, request)
}

fn choose<'a>(env: Env<'a>, request: Term<'a>) -> NifResult<Term<'a>> {
    let request = request.decode::<own_address::Request>()?;
    let outcome = own_address::Outcome(dns_mesh::own_address(&request.0));
    Ok(outcome.encode(env))
}

#[rustler::nif]
fn node_name(basename: Binary<'_>, ip: terms::Ip) -> own_address::Name {
    own_address::Name(dns_mesh::node_name(basename.as_slice(), ip.0))
}

rustler::init!("Elixir.DNSMesh.Native");
