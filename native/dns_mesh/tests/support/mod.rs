//! A scripted DNS server on loopback, and resolvers pointed at it.

pub mod epmd;
pub mod records;
pub mod scene;
pub mod server;
