//! So many at a time, and to each a fair part of the time that is left.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

/// Whom a crowd of silent hosts must not starve: were each of them waited for until the deadline,
/// those behind them would never be asked.
pub(crate) struct Turns {
    permits: Semaphore,
    at_once: usize,
    longest: Duration,
    /// Those in their turn and those who wait for one.
    pending: AtomicUsize,
}

/// The right to one turn. To be taken for all of a crowd before the first of them begins.
pub(crate) struct Ticket<'a>(&'a Turns);

/// A turn: it lasts until dropped, and should not go on after `until`.
pub(crate) struct Turn<'a> {
    pub(crate) until: Instant,
    _permit: SemaphorePermit<'a>,
}

impl Turns {
    pub(crate) const fn new(at_once: usize, longest: Duration) -> Self {
        Self {
            permits: Semaphore::const_new(at_once),
            at_once,
            longest,
            pending: AtomicUsize::new(0),
        }
    }

    pub(crate) fn ticket(&self) -> Ticket<'_> {
        self.pending.fetch_add(1, Ordering::Relaxed);
        Ticket(self)
    }

    /// With three times as many pending as may begin at once, a third of the time that is left.
    fn share(&self, left: Duration) -> Duration {
        let waves = self
            .pending
            .load(Ordering::Relaxed)
            .div_ceil(self.at_once)
            .max(1);
        let waves = u32::try_from(waves).unwrap_or(u32::MAX);
        (left / waves).min(self.longest)
    }
}

impl<'a> Ticket<'a> {
    /// Waits for its turn, but not beyond `deadline`.
    pub(crate) async fn turn(&self, deadline: Instant) -> Option<Turn<'a>> {
        let permit = timeout_at(deadline, self.0.permits.acquire())
            .await
            .ok()?
            .ok()?;
        let now = Instant::now();
        (now < deadline).then(|| Turn {
            until: now + self.0.share(deadline - now),
            _permit: permit,
        })
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_time_is_shared_by_waves() {
        let turns = Turns::new(4, 10 * SECOND);
        for (pending, expected) in [(1, 6), (4, 6), (5, 3), (8, 3), (9, 2), (12, 2), (21, 1)] {
            let tickets = (0..pending).map(|_| turns.ticket()).collect::<Vec<_>>();
            assert_eq!(turns.share(6 * SECOND), expected * SECOND, "{pending}");
            drop(tickets);
        }
        let _one = turns.ticket();
        assert_eq!(turns.share(60 * SECOND), 10 * SECOND, "no turn is longer");
    }

    #[tokio::test]
    async fn a_turn_comes_when_another_ends_or_never() {
        let turns = Turns::new(1, SECOND);
        let (first, second) = (turns.ticket(), turns.ticket());
        let turn = first.turn(Instant::now() + 20 * SECOND).await.unwrap();
        let soon = Instant::now() + Duration::from_millis(50);
        assert!(second.turn(soon).await.is_none());
        drop(turn);
        assert!(second.turn(Instant::now() + 20 * SECOND).await.is_some());
        assert!(second.turn(Instant::now()).await.is_none(), "too late");
    }
}
