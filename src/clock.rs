//! The only source of time: nothing else in this crate asks what time it is or sleeps.
//!
//! A [`WallClock`] is the machine's; a [`VirtualClock`] stands still until somebody moves it, so a
//! run on it takes no time and gives the same result each time. Both can be stopped: who sleeps on a
//! stopped clock is told so at once, which is how Ctrl-C and `--timeout` reach every actor.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Why a sleep ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// Somebody asked the run to end (Ctrl-C, SIGTERM).
    #[error("interrupted")]
    Interrupted,
    /// Something that the run needs could not be had.
    #[error("called off")]
    CalledOff,
    /// The run's deadline passed.
    #[error("timed out")]
    TimedOut,
}

/// What time it is, and how to let some of it pass.
pub trait Clock: Send + Sync {
    /// Monotonic time since this clock was made.
    fn now(&self) -> Duration;

    /// Time since 1970-01-01 00:00 UTC. Moves with [`now`](Clock::now): a change of the machine's
    /// date during a run is not seen.
    fn unix(&self) -> Duration;

    /// Lets `duration` pass, or less if the clock is stopped or its deadline comes first.
    fn sleep(&self, duration: Duration) -> Result<(), Stopped>;

    /// Whether the clock was stopped or its deadline passed.
    fn check(&self) -> Result<(), Stopped> {
        self.sleep(Duration::ZERO)
    }
}

/// The machine's clock.
#[derive(Debug)]
pub struct WallClock {
    started: Instant,
    started_unix: Duration,
    deadline: Option<Duration>,
    stopped: Mutex<Option<Stopped>>,
    changed: Condvar,
}

impl WallClock {
    /// A clock that starts now and, with a deadline, lets nobody sleep past it.
    pub fn new(deadline: Option<Duration>) -> Self {
        let started_unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            started: Instant::now(),
            started_unix,
            deadline,
            stopped: Mutex::new(None),
            changed: Condvar::new(),
        }
    }

    /// Wakes everyone who sleeps on this clock and lets nobody sleep on it again.
    pub fn stop(&self, why: Stopped) {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        stopped.get_or_insert(why);
        self.changed.notify_all();
    }
}

impl Clock for WallClock {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn unix(&self) -> Duration {
        self.started_unix + self.now()
    }

    fn sleep(&self, duration: Duration) -> Result<(), Stopped> {
        let wake = self.now().saturating_add(duration);
        let (until, late) = match self.deadline {
            Some(deadline) if deadline < wake => (deadline, true),
            _ => (wake, false),
        };
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(why) = *stopped {
                return Err(why);
            }
            let left = until.saturating_sub(self.now());
            if left.is_zero() {
                return if late { Err(Stopped::TimedOut) } else { Ok(()) };
            }
            stopped =
                self.changed.wait_timeout(stopped, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A clock that moves only when told to: [`advance_to`](VirtualClock::advance_to), or a sleep.
///
/// ```
/// use nodb_trigger::clock::{Clock, VirtualClock};
/// use std::time::Duration;
///
/// let clock = VirtualClock::new(None);
/// clock.sleep(Duration::from_secs(6 * 3600)).unwrap();
/// assert_eq!(clock.now(), Duration::from_secs(21_600));
/// ```
#[derive(Debug)]
pub struct VirtualClock {
    nanos: AtomicU64,
    deadline: Option<Duration>,
}

impl VirtualClock {
    /// Where every virtual run begins: 2025-01-01 00:00:00 UTC.
    pub const EPOCH: Duration = Duration::from_secs(1_735_689_600);

    /// A clock at [`VirtualClock::EPOCH`] that, with a deadline, lets nobody sleep past it.
    pub fn new(deadline: Option<Duration>) -> Self {
        Self { nanos: AtomicU64::new(0), deadline }
    }

    /// Moves the clock forward to `time` (as [`Clock::now`] counts it); it never goes back.
    /// Time ends 584 years after the epoch.
    pub fn advance_to(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_max(nanos, Ordering::Relaxed);
    }

    /// The moment at which a sleep of `duration` that starts now ends, and how it ends.
    pub fn wake(&self, duration: Duration) -> (Duration, Result<(), Stopped>) {
        let wake = self.now().saturating_add(duration);
        match self.deadline {
            Some(deadline) if deadline < wake => (deadline, Err(Stopped::TimedOut)),
            _ => (wake, Ok(())),
        }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    fn unix(&self) -> Duration {
        Self::EPOCH + self.now()
    }

    fn sleep(&self, duration: Duration) -> Result<(), Stopped> {
        let (wake, result) = self.wake(duration);
        self.advance_to(wake);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn stopping_the_wall_clock_wakes_a_sleeper_and_refuses_the_next() {
        let clock = Arc::new(WallClock::new(None));
        let sleeper = std::thread::spawn({
            let clock = Arc::clone(&clock);
            move || clock.sleep(Duration::from_secs(3600))
        });
        clock.stop(Stopped::Interrupted);
        assert_eq!(sleeper.join().unwrap(), Err(Stopped::Interrupted));
        assert_eq!(clock.check(), Err(Stopped::Interrupted));
    }

    #[test]
    fn nobody_sleeps_past_the_deadline() {
        let wall = WallClock::new(Some(Duration::from_millis(1)));
        assert_eq!(wall.sleep(Duration::from_secs(3600)), Err(Stopped::TimedOut));

        let clock = VirtualClock::new(Some(Duration::from_secs(2)));
        assert_eq!(clock.sleep(Duration::from_secs(2)), Ok(()));
        assert_eq!(clock.sleep(Duration::from_nanos(1)), Err(Stopped::TimedOut));
        assert_eq!(clock.now(), Duration::from_secs(2));
    }

    #[test]
    fn virtual_time_never_goes_back_and_survives_absurd_sleeps() {
        let clock = VirtualClock::new(None);
        clock.sleep(Duration::MAX).unwrap();
        let end = clock.now();
        clock.advance_to(Duration::ZERO);
        clock.sleep(Duration::MAX).unwrap();
        assert_eq!(clock.now(), end);
    }
}
