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
    shortest: Duration,
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
    /// `shortest` is what a turn must have to be worth anything, even if some then get none.
    pub(crate) const fn new(at_once: usize, shortest: Duration, longest: Duration) -> Self {
        Self {
            permits: Semaphore::const_new(at_once),
            at_once,
            shortest,
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
        (left / waves)
            .max(self.shortest)
            .min(self.longest)
            .min(left)
    }
}

impl<'a> Ticket<'a> {
    /// Waits for its turn, but not beyond `deadline`, nor for one that would be too short.
    pub(crate) async fn turn(&self, deadline: Instant) -> Option<Turn<'a>> {
        let turns = self.0;
        let (permit, shortest) = match turns.permits.try_acquire() {
            Ok(permit) => (permit, Duration::ZERO),
            Err(_) => {
                let permit = timeout_at(deadline, turns.permits.acquire()).await;
                (permit.ok()?.ok()?, turns.shortest)
            }
        };
        let now = Instant::now();
        let left = deadline.saturating_duration_since(now);
        (!left.is_zero() && left >= shortest).then(|| Turn {
            until: now + turns.share(left),
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
        let turns = Turns::new(4, SECOND, 10 * SECOND);
        for (pending, expected) in [(1, 6), (4, 6), (5, 3), (8, 3), (9, 2), (12, 2), (21, 1)] {
            let tickets = (0..pending).map(|_| turns.ticket()).collect::<Vec<_>>();
            assert_eq!(turns.share(6 * SECOND), expected * SECOND, "{pending}");
            drop(tickets);
        }
        let _one = turns.ticket();
        assert_eq!(turns.share(60 * SECOND), 10 * SECOND, "no turn is longer");
        assert_eq!(turns.share(SECOND / 2), SECOND / 2, "nor than what is left");
        let _others = (0..99).map(|_| turns.ticket()).collect::<Vec<_>>();
        assert_eq!(turns.share(6 * SECOND), SECOND, "nor shorter than that");
    }

    #[tokio::test]
    async fn a_turn_comes_when_another_ends_or_never() {
        let turns = Turns::new(1, Duration::ZERO, SECOND);
        let (first, second) = (turns.ticket(), turns.ticket());
        let turn = first.turn(Instant::now() + 20 * SECOND).await.unwrap();
        let soon = Instant::now() + Duration::from_millis(50);
        assert!(second.turn(soon).await.is_none());
        drop(turn);
        assert!(second.turn(Instant::now() + 20 * SECOND).await.is_some());
        assert!(second.turn(Instant::now()).await.is_none(), "too late");
    }

    #[tokio::test]
    async fn whoever_had_to_wait_gets_no_turn_that_is_too_short() {
        let turns = Turns::new(1, SECOND, SECOND);
        let (first, second) = (turns.ticket(), turns.ticket());
        let deadline = Instant::now() + SECOND / 2;
        let turn = first.turn(deadline).await.expect("all there was to have");
        assert_eq!(turn.until, deadline);
        let waiting = second.turn(deadline);
        let (waited, ()) = futures_util::future::join(waiting, async { drop(turn) }).await;
        assert!(waited.is_none());
        assert!(second.turn(deadline).await.is_some());
    }
}
