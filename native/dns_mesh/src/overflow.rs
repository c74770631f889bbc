//! Replies that are too large for UDP: the server cuts them short, and TCP has to carry them.
//!
//! hickory's pool reports what TCP came to as what UDP said ("truncated"), or as silence; which
//! leads people to the name server, where a firewall is to be opened. So it is noted beside it.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::io::{AsyncRead, AsyncWrite};
use hickory_resolver::net::runtime::{
    DnsTcpStream, RuntimeProvider, TokioRuntimeProvider, TokioTime,
};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::serialize::binary::BinEncodable;
use tokio::time::Instant;

use crate::error::{Reason, TcpFault};

/// A server that has had less time than this to answer over TCP is not silent there.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is known of one server, over all questions that are put to it.
#[derive(Clone, Default)]
pub(crate) struct Overflow(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The questions under way, as they are on the wire.
    asked: HashMap<Vec<u8>, Asked>,
    tcp: Tcp,
}

#[derive(Default)]
struct Asked {
    /// Equal questions share one exchange.
    times: usize,
    is_cut_short: bool,
}

/// How it went over TCP, the last time that it was tried.
#[derive(Default)]
enum Tcp {
    #[default]
    Untried,
    Waiting(Instant),
    Failed(TcpFault),
    /// Whatever was asked was answered.
    Heard,
}

impl Overflow {
    /// Heeds what becomes of a question, until what this gives is dropped.
    pub(crate) fn watch(&self, question: &Query) -> Watch {
        let question = question.to_bytes().unwrap_or_default();
        self.lock().asked.entry(question.clone()).or_default().times += 1;
        Watch {
            overflow: self.clone(),
            question,
        }
    }

    pub(crate) fn cut_short(&self, question: &[u8]) {
        if let Some(asked) = self.lock().asked.get_mut(question) {
            asked.is_cut_short = true;
        }
    }

    pub(crate) fn connecting(&self) {
        self.lock().tcp = Tcp::Waiting(Instant::now());
    }

    pub(crate) fn connected(&self, stream: TokioTcp) -> NotedTcp {
        NotedTcp {
            stream,
            overflow: self.clone(),
            first: First::default(),
        }
    }

    pub(crate) fn failed(&self, error: &io::Error) {
        self.lock().tcp = Tcp::Failed(match error.kind() {
            io::ErrorKind::ConnectionRefused => TcpFault::Refused,
            io::ErrorKind::TimedOut => TcpFault::Silent,
            _ => TcpFault::Unreachable(error.to_string()),
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Watch {
    overflow: Overflow,
    question: Vec<u8>,
}

impl Watch {
    /// The same reason, or what TCP had to do with it.
    pub(crate) fn explain(&self, reason: Reason) -> Reason {
        let state = self.overflow.lock();
        let is_cut_short = state
            .asked
            .get(&self.question)
            .is_some_and(|asked| asked.is_cut_short);
        if !is_cut_short {
            return reason;
        }
        match (&state.tcp, reason) {
            (Tcp::Failed(fault), Reason::Truncated | Reason::Network(_) | Reason::Timeout) => {
                Reason::NoTcp(fault.clone())
            }
            (Tcp::Waiting(since), Reason::Timeout) if since.elapsed() >= PATIENCE => {
                Reason::NoTcp(TcpFault::Silent)
            }
            (_, reason) => reason,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.overflow.lock();
        if let Some(asked) = state.asked.get_mut(&self.question) {
            asked.times -= 1;
            if asked.times == 0 {
                state.asked.remove(&self.question);
            }
        }
    }
}

pub(crate) type TokioTcp = <TokioRuntimeProvider as RuntimeProvider>::Tcp;

/// Notes whether an answer comes, and who hangs up before it does.
pub(crate) struct NotedTcp {
    stream: TokioTcp,
    overflow: Overflow,
    first: First,
}

/// How much of the first message has come: two bytes of length, and as many as they say.
#[derive(Default)]
struct First {
    length: [u8; 2],
    seen: usize,
}

impl First {
    fn add(&mut self, bytes: &[u8]) {
        for (place, byte) in self.length.iter_mut().skip(self.seen).zip(bytes) {
            *place = *byte;
        }
        self.seen += bytes.len();
    }

    fn is_whole(&self) -> bool {
        self.seen >= 2 + usize::from(u16::from_be_bytes(self.length))
    }
}

impl AsyncRead for NotedTcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        if !self.first.is_whole() {
            match outcome {
                Ok(0) | Err(_) => self.overflow.lock().tcp = Tcp::Failed(TcpFault::Closed),
                Ok(length) => {
                    self.first.add(&buffer[..length]);
                    if self.first.is_whole() {
                        self.overflow.lock().tcp = Tcp::Heard;
                    }
                }
            }
        }
        Poll::Ready(outcome)
    }
}

impl AsyncWrite for NotedTcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

impl DnsTcpStream for NotedTcp {
    type Time = TokioTime;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_message_is_whole_with_its_last_byte_however_it_is_cut() {
        for parts in [
            &[&b"\0\x03abc"[..]][..],
            &[b"\0", b"\x03", b"ab", b"c"],
            &[b"\0\x03ab", b"cd"],
        ] {
            let mut first = First::default();
            for (index, part) in parts.iter().enumerate() {
                first.add(part);
                assert_eq!(first.is_whole(), index == parts.len() - 1, "{parts:?}");
            }
        }
    }
}
