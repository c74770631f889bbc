//! The program as a shell meets it: arguments, environment, output, exit status.

mod lookup;
#[cfg(target_os = "linux")]
#[path = "../../../dns_mesh/tests/support/namespace.rs"]
mod namespace;
#[cfg(target_os = "linux")] // All of 127.0.0.0/8 is local there, and nowhere else.
mod own;
mod program;
#[allow(dead_code)] // written for the library's tests, which need all of it
#[path = "../../../dns_mesh/tests/support/mod.rs"]
mod support;
mod usage;
