//! One question to one server.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use tokio::time::{Instant, timeout_at};

use crate::error::{Reason, Trouble};
use crate::overflow::Overflow;
use crate::permits::MAX_QUESTIONS;
use crate::reply::Reply;
use crate::wire::{LastError, Wire};

/// The DNS flag day's size: larger replies risk fragments, which get lost.
const EDNS_PAYLOAD: u16 = 1232;

/// hickory's transport to a single server, one with EDNS and one without.
///
/// The pool, not hickory's `Resolver`: that one loses SRV records behind a CNAME and asks
/// again by itself, where a race has to see every reply. Two pools, because a pool merges
/// equal questions in flight whether they carry EDNS or not.
pub struct NameServer {
    address: SocketAddr,
    options: Options,
    overflow: Overflow,
    with_edns: Transport,
    without_edns: Transport,
}

/// What resolv.conf says about each server.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long one try may take.
    pub timeout: Duration,
    pub tcp_only: bool,
}

impl NameServer {
    pub fn new(address: SocketAddr, options: Options) -> Self {
        let overflow = Overflow::default();
        Self {
            address,
            options,
            with_edns: Transport::new(address, options, overflow.clone()),
            without_edns: Transport::new(address, options, overflow.clone()),
            overflow,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends at `deadline`, or when one try's time is over.
    pub async fn ask(&self, question: Query, deadline: Instant) -> Result<Reply, Trouble> {
        let give_up = deadline.min(Instant::now() + self.options.timeout);
        let watch = self.overflow.watch(&question);
        match timeout_at(give_up, self.exchange(&question)).await {
            Ok(Ok(response)) => Reply::read(&question, response),
            Ok(Err(trouble)) => Err(Trouble {
                reason: watch.explain(trouble.reason),
                ..trouble
            }),
            Err(_) => Err(watch.explain(Reason::Timeout).into()),
        }
    }

    async fn exchange(&self, question: &Query) -> Result<DnsResponse, Trouble> {
        match self.with_edns.exchange(question, true).await {
            Err(trouble) if is_edns_refused(&trouble) => {
                self.without_edns.exchange(question, false).await
            }
            outcome => outcome,
        }
    }
}

fn is_edns_refused(trouble: &Trouble) -> bool {
    matches!(trouble.reason, Reason::FormErr | Reason::NotImp)
}

type Pool = NameServerPool<Wire>;

struct Transport {
    address: SocketAddr,
    options: Options,
    last_error: LastError,
    overflow: Overflow,
    pool: Mutex<Pool>,
}

impl Transport {
    fn new(address: SocketAddr, options: Options, overflow: Overflow) -> Self {
        let last_error = LastError::default();
        Self {
            address,
            options,
            pool: Mutex::new(pool(
                address,
                options,
                Wire::new(address, last_error.clone(), overflow.clone()),
            )),
            last_error,
            overflow,
        }
    }

    async fn exchange(&self, question: &Query, use_edns: bool) -> Result<DnsResponse, Trouble> {
        let mut options = DnsRequestOptions::default();
        options.use_edns = use_edns;
        options.edns_payload_len = EDNS_PAYLOAD;

        let pool = self.lock().clone();
        let mut unanswered = Unanswered(Some(self));
        let outcome = pool.lookup(question.clone(), options).first_answer().await;
        if !matches!(outcome, Err(NetError::Timeout)) {
            unanswered.0 = None;
        }
        outcome.map_err(|error| match error {
            // Over TCP hickory does not look whether the reply is to our question.
            NetError::Dns(DnsError::NoRecordsFound(none)) if *none.query != *question => {
                Reason::BadReply.into()
            }
            NetError::NoConnections => match self.last_error.text() {
                Some(text) => Reason::Network(text).into(),
                None => NetError::NoConnections.into(),
            },
            error => error.into(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that was given up retires the pool. Its TCP connection may be one that a
/// firewall has forgotten: hickory would keep it, and every question put to it would be lost
/// until the kernel noticed, a quarter of an hour later. Others in flight keep their pool.
struct Unanswered<'a>(Option<&'a Transport>);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(transport) = self.0 {
            let wire = Wire::new(
                transport.address,
                transport.last_error.clone(),
                transport.overflow.clone(),
            );
            *transport.lock() = pool(transport.address, transport.options, wire);
        }
    }
}

fn pool(address: SocketAddr, options: Options, wire: Wire) -> Pool {
    let udp = ConnectionConfig::udp();
    let tcp = ConnectionConfig::tcp();
    let mut connections = if options.tcp_only {
        vec![tcp]
    } else {
        vec![udp, tcp]
    };
    for connection in &mut connections {
        connection.port = address.port();
    }
    let mut resolver_options = ResolverOpts::default();
    resolver_options.timeout = options.timeout;
    resolver_options.num_concurrent_reqs = 1;
    resolver_options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    // More would be asked of one TCP connection only if there were more permits.
    resolver_options.max_active_requests = MAX_QUESTIONS;

    let tls = TlsConfig::new().expect("without TLS features there is nothing to set up");
    NameServerPool::from_config(
        [NameServerConfig::new(address.ip(), true, connections)],
        Arc::new(PoolContext::new(resolver_options, tls)),
        wire,
    )
}
