//! Which of its addresses a machine takes for its own, on interface lists as platforms make them.

mod cases;
mod machine;
#[cfg(target_os = "linux")]
#[path = "../support/namespace.rs"]
mod namespace;
#[cfg(target_os = "linux")]
mod namespaces;
mod options;
mod platforms;
