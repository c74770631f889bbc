//! The thread that lookups run on.

use std::future;
use std::io;
use std::panic;
use std::thread;

use once_cell::sync::OnceCell;
use tokio::runtime::{Builder, Handle};

const THREAD: &str = "dns_mesh";

static RUNTIME: OnceCell<Handle> = OnceCell::new();

/// Started by the first lookup rather than when the library is loaded: a VM that never looks
/// anything up gets no thread. A start that fails is tried again by the next lookup.
pub(crate) fn get() -> Result<&'static Handle, String> {
    RUNTIME
        .get_or_try_init(start)
        .map_err(|error| error.to_string())
}

/// One thread: a lookup waits far more than it works, and the VM has a thread per core already.
/// Ours rather than tokio's, which panics where the system has no thread to give.
fn start() -> io::Result<Handle> {
    #[cfg(feature = "faults")]
    crate::faults::fail_runtime()?;
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name(THREAD.into())
        .spawn(move || runtime.block_on(future::pending::<()>()))?;
    quieten_panics();
    Ok(handle)
}

/// A panic in a task reaches its caller as `:panicked`; printed to the VM's console as well it
/// would only alarm. Panics of all other threads go where they went.
fn quieten_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if thread::current().name() != Some(THREAD) {
            print(panic);
        }
    }));
}
