//! The sockets under hickory's protocol code.
//!
//! hickory knows a server by its bare address and leaves its UDP sockets unconnected. Ours
//! are connected to the full socket address, for two reasons: a zone id (`fe80::1%eth0`)
//! survives, and the kernel reports a closed port at once instead of letting the try time out.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::net::runtime::{
    DnsUdpSocket, RuntimeProvider, TokioHandle, TokioRuntimeProvider, TokioTime,
};
use tokio::io::{Interest, ReadBuf};
use tokio::net::UdpSocket;

use crate::overflow::{NotedTcp, Overflow};

type Opening<T> = Pin<Box<dyn Send + Future<Output = io::Result<T>>>>;

/// Opens sockets to one server, whatever address hickory names.
#[derive(Clone)]
pub(crate) struct Wire {
    tokio: TokioRuntimeProvider,
    server: SocketAddr,
    last_error: LastError,
    overflow: Overflow,
}

impl Wire {
    pub(crate) fn new(server: SocketAddr, last_error: LastError, overflow: Overflow) -> Self {
        Self {
            tokio: TokioRuntimeProvider::new(),
            server,
            last_error,
            overflow,
        }
    }
}

/// What the operating system said last. hickory's pool turns its errors into "no connections
/// available", which tells nobody that a port is closed or a network has no route.
#[derive(Clone, Default)]
pub(crate) struct LastError(Arc<Mutex<Option<String>>>);

impl LastError {
    pub(crate) fn text(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        outcome.inspect_err(|error| {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        })
    }
}

impl RuntimeProvider for Wire {
    type Handle = TokioHandle;
    type Timer = TokioTime;
    type Udp = ConnectedUdp;
    type Tcp = NotedTcp;

    fn create_handle(&self) -> Self::Handle {
        self.tokio.create_handle()
    }

    fn connect_tcp(
        &self,
        _bare: SocketAddr,
        bind: Option<SocketAddr>,
        timeout: Option<Duration>,
    ) -> Opening<Self::Tcp> {
        let connecting = self.tokio.connect_tcp(self.server, bind, timeout);
        let last_error = self.last_error.clone();
        let overflow = self.overflow.clone();
        overflow.connecting();
        Box::pin(async move {
            let outcome = connecting.await.inspect_err(|error| overflow.failed(error));
            last_error
                .note(outcome)
                .map(|stream| overflow.connected(stream))
        })
    }

    fn bind_udp(&self, local: SocketAddr, bare: SocketAddr) -> Opening<Self::Udp> {
        let server = self.server;
        let last_error = self.last_error.clone();
        let overflow = self.overflow.clone();
        Box::pin(async move {
            let socket = UdpSocket::bind(local).await?;
            last_error.note(socket.connect(server).await)?;
            Ok(ConnectedUdp {
                socket,
                bare,
                sent: OnceLock::new(),
                last_error,
                overflow,
            })
        })
    }
}

pub(crate) struct ConnectedUdp {
    socket: UdpSocket,
    /// The address hickory believes to talk to, and checks replies against.
    bare: SocketAddr,
    sent: OnceLock<Box<[u8]>>,
    last_error: LastError,
    overflow: Overflow,
}

impl ConnectedUdp {
    /// Waits for an error as well as for a datagram: tokio's own receiving calls sleep through
    /// a refused connection, which the kernel reports as an error and nothing to read.
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let ready = self
                .socket
                .ready(Interest::READABLE | Interest::ERROR)
                .await?;
            if ready.is_error() {
                let seen = || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into());
                let _ = self.socket.try_io(Interest::ERROR, seen);
                if let Some(error) = self.socket.take_error()? {
                    return Err(error);
                }
            }
            match self.socket.try_recv(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
        }
    }

    /// What arrived, as hickory should see it.
    fn received(&self, buffer: &mut [u8], length: usize) -> (usize, SocketAddr) {
        let length = match self.sent.get() {
            Some(sent) => {
                if is_cut_short(&buffer[..length], sent)
                    && let Some(question) = question(sent)
                {
                    self.overflow.cut_short(question);
                }
                restore_question(buffer, length, sent)
            }
            None => length,
        };
        (length, self.bare)
    }
}

#[async_trait]
impl DnsUdpSocket for ConnectedUdp {
    type Time = TokioTime;

    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let length = self.last_error.note(self.receive(buffer).await)?;
        Ok(self.received(buffer, length))
    }

    fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut read = ReadBuf::new(buffer);
        ready!(self.socket.poll_recv(cx, &mut read))?;
        let length = read.filled().len();
        Poll::Ready(Ok(self.received(buffer, length)))
    }

    fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        buffer: &[u8],
        _bare: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.sent.get_or_init(|| buffer.into());
        self.socket
            .poll_send(cx, buffer)
            .map(|sent| self.last_error.note(sent))
    }
}

const HEADER: usize = 12;

/// A reply to what was sent, with TC set (RFC 1035 §4.1.1).
fn is_cut_short(reply: &[u8], sent: &[u8]) -> bool {
    reply.len() >= HEADER && reply[..2] == sent[..2] && reply[2] & 0x82 == 0x82
}

/// A server too old for EDNS may answer FORMERR with nothing but a header. hickory takes a
/// reply without the question for a forgery and waits on; so the question goes back in.
fn restore_question(buffer: &mut [u8], length: usize, sent: &[u8]) -> usize {
    let is_bare_error = length == HEADER
        && buffer[..2] == sent[..2]
        && buffer[2] & 0x80 != 0
        && buffer[3] & 0x0f != 0
        && buffer[4..HEADER] == [0; 8];
    let question = match question(sent) {
        Some(question) if is_bare_error && HEADER + question.len() <= buffer.len() => question,
        _ => return length,
    };
    buffer[5] = 1;
    buffer[HEADER..HEADER + question.len()].copy_from_slice(question);
    HEADER + question.len()
}

/// Name, type and class of a message with one question, as bytes.
fn question(message: &[u8]) -> Option<&[u8]> {
    let body = message.get(HEADER..)?;
    let mut end = 0;
    while let label @ 1.. = usize::from(*body.get(end)?) {
        end += 1 + label;
    }
    body.get(..end + 1 + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &[u8] =
        b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x03app\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0";

    fn restored(reply: &[u8]) -> Vec<u8> {
        let mut buffer = [0; 512];
        buffer[..reply.len()].copy_from_slice(reply);
        let length = restore_question(&mut buffer, reply.len(), SENT);
        buffer[..length].to_vec()
    }

    #[test]
    fn a_bare_error_gets_its_question_back() {
        assert_eq!(
            restored(b"\x12\x34\x81\x81\0\0\0\0\0\0\0\0"),
            b"\x12\x34\x81\x81\0\x01\0\0\0\0\0\0\x03app\0\0\x01\0\x01"
        );
    }

    #[test]
    fn anything_else_stays_as_it_is() {
        for reply in [
            &b"\x99\x99\x81\x81\0\0\0\0\0\0\0\0"[..], // another id
            b"\x12\x34\x01\x01\0\0\0\0\0\0\0\0",      // not a reply
            b"\x12\x34\x81\x80\0\0\0\0\0\0\0\0",      // not an error
            b"\x12\x34\x81\x81\0\x01\0\0\0\0\0\0",    // claims a question
            b"\x12\x34",
            b"",
        ] {
            assert_eq!(restored(reply), reply, "{reply:?}");
        }
    }
}
