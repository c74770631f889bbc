//! How many questions may be on the wire at once.

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

/// In the whole process: each question costs a socket, and a poller of many names must not
/// run its host out of file descriptors.
pub(crate) const MAX_QUESTIONS: usize = 64;

static QUESTIONS: Semaphore = Semaphore::const_new(MAX_QUESTIONS);

/// The permits of one round: one for each question it has on the wire.
pub(crate) struct Permits(Vec<SemaphorePermit<'static>>);

impl Permits {
    /// Waits for its turn, but not beyond `deadline`.
    pub(crate) async fn first(deadline: Instant) -> Option<Self> {
        let permit = timeout_at(deadline, QUESTIONS.acquire()).await.ok()?.ok()?;
        // A permit that comes with the deadline comes too late: nothing is sent any more.
        (Instant::now() < deadline).then(|| Self(vec![permit]))
    }

    /// Never waits: whoever has a permit and waits for another may wait for one who does too.
    pub(crate) fn one_more(&mut self) -> bool {
        QUESTIONS.try_acquire().is_ok_and(|permit| {
            self.0.push(permit);
            true
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}
