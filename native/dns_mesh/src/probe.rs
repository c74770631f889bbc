//! Whether a node could be joined: its distribution port takes a TCP connection.
//!
//! What is asked is what the VM will ask: the name's address, epmd for the port, the port. The
//! connection is closed without a byte. That leaves no line in the log of a node, with and without
//! TLS (OTP 25, 27 and 29 tried); a reset instead of a close does, on OTP 29 with TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::answer::Family;
use crate::epmd::{self, EpmdFault};
use crate::turns::Turns;

/// A distribution port has a short queue, and this machine is not the only one to knock.
pub const AT_ONCE: usize = 16;

/// The first packet is sent again after a second: a step survives the loss of one.
pub const STEP: Duration = Duration::from_millis(1500);

/// Three ways to a host a tenth of a second away. Less would call it silent for being far.
pub const SHORTEST: Duration = Duration::from_millis(300);

pub(crate) const fn turns() -> Turns {
    Turns::new(AT_ONCE, SHORTEST, STEP.saturating_mul(3))
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub host: TargetHost,
    pub door: Door,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetHost {
    Ip(IpAddr),
    /// Looked up as any other name. Of several addresses the first counts, as for the VM.
    Name(Vec<u8>, Family),
}

/// Where its distribution listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// The host's epmd knows, by this basename.
    Epmd(String),
    Port(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The port that took the connection: another one than before is another life of the node.
    Ok(u16),
    Dead(Dead),
    Silent(Silent),
}

/// The host answered, and the node is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dead {
    /// Nobody is at epmd's port, or somebody who is no epmd.
    RefusedEpmd,
    NotRegistered,
    /// Nobody is at the node's port.
    Refused,
}

/// Nothing is known of the node, for this was not answered in time, or cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silent {
    /// The lookup of its host failed, in whatever way.
    Name,
    Epmd,
    Port,
    /// Its turn did not come in time.
    NotTried,
}

/// From the address on.
pub(crate) async fn knock(ip: IpAddr, door: &Door, epmd_port: u16, until: Instant) -> Verdict {
    let port = match door {
        Door::Port(port) => *port,
        Door::Epmd(basename) => {
            let epmd = SocketAddr::new(ip, epmd_port);
            match epmd::port(epmd, basename, step(until)).await {
                Ok(Some(port)) => port,
                Ok(None) => return Verdict::Dead(Dead::NotRegistered),
                Err(EpmdFault::Refused | EpmdFault::Garbled) => {
                    return Verdict::Dead(Dead::RefusedEpmd);
                }
                Err(EpmdFault::Silent | EpmdFault::Unreachable(_)) => {
                    return Verdict::Silent(Silent::Epmd);
                }
            }
        }
    };
    let connection = TcpStream::connect(SocketAddr::new(ip, port));
    match timeout_at(step(until), connection).await {
        Ok(Ok(_stream)) => Verdict::Ok(port),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Verdict::Dead(Dead::Refused)
        }
        Ok(Err(_)) | Err(_) => Verdict::Silent(Silent::Port),
    }
}

/// When the step that begins now is over.
pub(crate) fn step(until: Instant) -> Instant {
    until.min(Instant::now() + STEP)
}
