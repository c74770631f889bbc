//! Ways to break a lookup or a probe, for tests of "exactly one message". Test builds only.

use std::io;

use tokio::runtime::Handle;

use crate::reply::Reply;

/// A test searches the shipped library for this text.
const MARK: &str = "dns_mesh: fault injection is compiled in";

const PANIC: &[u8] = b"panic.faults.dns-mesh";
const PANIC_ENCODE: &[u8] = b"panic-encode.faults.dns-mesh";
const DROP: &[u8] = b"drop.faults.dns-mesh";

pub(crate) fn panic_in_task(name: &[u8]) {
    if name == PANIC {
        panic!("{MARK}");
    }
}

pub(crate) fn panic_in_encode(name: &[u8]) {
    if name == PANIC_ENCODE {
        panic!("{MARK}");
    }
}

/// Takes the reply into a task that never runs to its end.
pub(crate) fn drop_task(runtime: &Handle, reply: Reply, name: &[u8]) -> Option<Reply> {
    if name != DROP {
        return Some(reply);
    }
    let (reply_taken, taken) = tokio::sync::oneshot::channel::<()>();
    let task = runtime.spawn(async move {
        let _reply = reply;
        let _ = reply_taken.send(());
        std::future::pending::<()>().await;
    });
    runtime.spawn(async move {
        let _ = taken.await;
        task.abort();
    });
    None
}

pub(crate) fn fail_runtime() -> io::Result<()> {
    match std::env::var_os("DNS_MESH_FAULT_RUNTIME") {
        Some(value) if value == "1" => Err(io::Error::other(MARK)),
        _ => Ok(()),
    }
}
