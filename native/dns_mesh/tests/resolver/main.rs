//! The resolver against a scripted server on loopback.

mod answers;
mod failover;
mod files;
mod platforms;
mod search;
mod services;
#[path = "../support/mod.rs"]
mod support;
mod transport;
