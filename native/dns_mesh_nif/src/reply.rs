//! Exactly one message per lookup, and per probe.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rustler::env::SavedTerm;
use rustler::thread::is_scheduler_thread;
use rustler::{Encoder, Env, LocalPid, OwnedEnv, Reference};

use crate::terms::{Failure, Outcome, Reason};

/// The caller's right to one message. Sent with an outcome; dropped without one (its task
/// panicked or was cancelled), it says so. tokio swallows a panic, and the caller would
/// otherwise wait for ever.
pub(crate) struct Reply {
    caller: LocalPid,
    env: OwnedEnv,
    reference: SavedTerm,
    name: Vec<u8>,
    is_sent: bool,
}

impl Reply {
    pub(crate) fn new(env: Env<'_>, reference: Reference<'_>, name: &[u8]) -> Self {
        let reply = OwnedEnv::new();
        Self {
            caller: env.pid(),
            reference: reply.save(reference),
            env: reply,
            name: name.to_vec(),
            is_sent: false,
        }
    }

    /// A term of the call that the outcome will need.
    pub(crate) fn keep(&self, term: impl Encoder) -> SavedTerm {
        self.env.save(term)
    }

    pub(crate) fn send(mut self, outcome: impl Encoder) {
        let encoded = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(feature = "faults")]
            crate::faults::panic_in_encode(&self.name);
            self.env.save(outcome)
        }));
        match encoded {
            Ok(outcome) => self.deliver(outcome),
            Err(_) => self.panicked(),
        }
    }

    pub(crate) fn panicked(mut self) {
        self.fail(Reason::Panicked);
    }

    fn fail(&mut self, reason: Reason) {
        let failure = Failure::new(reason, &self.name);
        let outcome = self.env.save(Outcome(Err(failure)));
        self.deliver(outcome);
    }

    fn deliver(&mut self, outcome: SavedTerm) {
        self.is_sent = true;
        let reference = &self.reference;
        // Fails only when the caller is gone, and then nobody misses the message.
        let _ = self
            .env
            .send_and_clear(&self.caller, |env| (reference.load(env), outcome.load(env)));
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // On a scheduler thread the call itself is unwinding: its exception tells the caller,
        // and sending from here is forbidden.
        if !self.is_sent && !is_scheduler_thread() {
            self.fail(Reason::Dropped);
        }
    }
}
