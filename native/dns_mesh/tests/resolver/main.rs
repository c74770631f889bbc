//! The resolver against a scripted server on loopback.

mod answers;
mod failover;
mod files;
mod hosts;
mod platforms;
mod registered;
mod search;
mod services;
#[path = "../support/mod.rs"]
mod support;
mod transport;
