//! One question, several name servers.
//!
//! The first server is asked at once, the next one 250 ms later or as soon as one is in
//! trouble. Whoever knows ends the race: records, "no such name" and "no such records" are
//! all knowledge. A server in trouble (SERVFAIL, REFUSED, silence, …) is not, and loses.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::select_all;
use hickory_resolver::proto::op::Query;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::error::{Reason, Trouble};
use crate::name_server::NameServer;
use crate::permits::Permits;
use crate::reply::Reply;

pub const STAGGER: Duration = Duration::from_millis(250);

/// How a race ended, and whose word that is.
pub type Outcome = (Result<Reply, Trouble>, Option<String>);

/// Goes through the servers up to `attempts` times; never past `deadline`.
pub async fn race(
    servers: &[Arc<NameServer>],
    question: &Query,
    attempts: usize,
    deadline: Instant,
) -> Outcome {
    let mut worst = Loser::nobody();
    let mut next_round = Instant::now();
    for _ in 0..attempts {
        // Servers that fail at once would fail again at once: not faster than the stagger. Not for
        // the first round: tokio rounds up, and to sleep until now takes it a millisecond.
        if next_round > Instant::now() {
            sleep_until(next_round.min(deadline)).await;
        }
        if Instant::now() >= deadline {
            break;
        }
        next_round = Instant::now() + STAGGER;
        if let Some(winner) = round(servers, question, deadline, &mut worst).await {
            return winner;
        }
    }
    (Err(worst.trouble), worst.server)
}

/// Dropping the round drops the questions still in flight, and with them their sockets.
async fn round(
    servers: &[Arc<NameServer>],
    question: &Query,
    deadline: Instant,
    worst: &mut Loser,
) -> Option<Outcome> {
    let Some(mut permits) = Permits::first(deadline).await else {
        worst.compare(Reason::Timeout.into(), servers.first()?);
        return None;
    };
    let mut waiting = servers.iter();
    let mut tries = Vec::new();
    loop {
        if let Some(server) = waiting.next() {
            // When permits are short, the server that has been silent longest gives up its
            // own: with the first server dead, all permits would end up waiting for it.
            if tries.len() == permits.count() && !permits.one_more() {
                drop(tries.remove(0));
            }
            let answer = server.ask(question.clone(), deadline);
            tries.push(answer.map(move |outcome| (server, outcome)).boxed());
        }
        if tries.is_empty() {
            return None;
        }
        let next_at = if waiting.as_slice().is_empty() {
            deadline
        } else {
            deadline.min(Instant::now() + STAGGER)
        };
        match timeout_at(next_at, select_all(&mut tries)).await {
            Ok(((server, Err(trouble)), index, _)) if !trouble.reason.is_conclusive() => {
                drop(tries.remove(index));
                worst.compare(trouble, server);
            }
            Ok(((server, outcome), ..)) => return Some((outcome, Some(text(server)))),
            Err(_) if Instant::now() >= deadline => {
                worst.compare(Reason::Timeout.into(), servers.first()?);
                return None;
            }
            Err(_) => {}
        }
    }
}

struct Loser {
    trouble: Trouble,
    server: Option<String>,
}

impl Loser {
    fn nobody() -> Self {
        Self {
            trouble: Reason::Timeout.into(),
            server: None,
        }
    }

    /// Keeps what tells most: a response code beats a timeout.
    fn compare(&mut self, trouble: Trouble, server: &NameServer) {
        let is_heavier = trouble.reason.weight() > self.trouble.reason.weight();
        if self.server.is_none() || is_heavier {
            self.trouble = trouble;
            self.server = Some(text(server));
        }
    }
}

fn text(server: &NameServer) -> String {
    server.address().to_string()
}
