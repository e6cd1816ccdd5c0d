//! The only source of time: nothing else in this crate asks what time it is or sleeps.
//!
//! A [`WallClock`] is the machine's; a [`VirtualClock`] stands still until it is advanced, so a run
//! on it takes no time and gives the same result each time. Both can be stopped: a sleep on a
//! stopped clock fails at once, which is how Ctrl-C and `--timeout` reach every actor.

mod words;

pub use words::in_words;

use parking_lot::{Condvar, Mutex};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Why a sleep ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// The user asked the run to end (Ctrl-C, SIGTERM).
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
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the clock is stopped or its deadline comes before the sleep is over.
    fn sleep(&self, duration: Duration) -> Result<(), Stopped>;

    /// Whether the clock was stopped or its deadline passed.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the clock was stopped or its deadline passed.
    fn check(&self) -> Result<(), Stopped> {
        self.sleep(Duration::ZERO)
    }

    /// What is left until the clock's deadline; nothing if there is none, or if it is not the
    /// machine's time that passes.
    fn left(&self) -> Option<Duration> {
        None
    }

    /// Waits until `done`, which is asked again after each [`notify`](Clock::notify), or until the
    /// clock is stopped or its deadline passes.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the clock is stopped or its deadline passes before `done` holds.
    fn wait_until(&self, done: &dyn Fn() -> bool) -> Result<(), Stopped>;

    /// Says that something happened for which a sleeper may wait.
    fn notify(&self) {}
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
    /// A clock that starts now and, with a deadline, lets no sleep exceed it.
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

    /// Wakes every sleeper on this clock and lets no later sleep begin.
    pub fn stop(&self, why: Stopped) {
        let mut stopped = self.stopped.lock();
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
        match self.deadline {
            Some(deadline) if deadline < wake => {
                self.rest(deadline, &|| false).and(Err(Stopped::TimedOut))
            }
            _ => self.rest(wake, &|| false),
        }
    }

    fn left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_sub(self.now()))
    }

    fn wait_until(&self, done: &dyn Fn() -> bool) -> Result<(), Stopped> {
        self.rest(self.deadline.unwrap_or(Duration::MAX), done)?;
        if done() { Ok(()) } else { Err(Stopped::TimedOut) }
    }

    fn notify(&self) {
        // A thread that has found that it must wait waits by the time we get the lock.
        let _stopped = self.stopped.lock();
        self.changed.notify_all();
    }
}

impl WallClock {
    /// Rests until then, or until `done`, or until the clock is stopped.
    fn rest(&self, until: Duration, done: &dyn Fn() -> bool) -> Result<(), Stopped> {
        let mut stopped = self.stopped.lock();
        loop {
            if let Some(why) = *stopped {
                return Err(why);
            }
            let left = until.saturating_sub(self.now());
            if left.is_zero() || done() {
                return Ok(());
            }
            self.changed.wait_for(&mut stopped, left);
        }
    }
}

/// A clock that advances only by [`advance_to`](VirtualClock::advance_to), or by a sleep.
///
/// ```
/// use redis_sim::clock::{Clock, VirtualClock};
/// use std::time::Duration;
///
/// let clock = VirtualClock::new(None);
/// clock.sleep(Duration::from_secs(6 * 3600)).unwrap();
/// assert_eq!(clock.now(), Duration::from_secs(21_600));
/// ```
#[derive(Debug)]
pub struct VirtualClock {
    nanos: AtomicU64,
    happenings: AtomicU64,
    stopped: OnceLock<Stopped>,
    deadline: Option<Duration>,
}

impl VirtualClock {
    /// Where every virtual run begins: 2025-01-01 00:00:00 UTC.
    pub const EPOCH: Duration = Duration::from_secs(1_735_689_600);

    /// A clock at [`VirtualClock::EPOCH`] that, with a deadline, lets no sleep exceed it.
    pub fn new(deadline: Option<Duration>) -> Self {
        Self {
            nanos: AtomicU64::new(0),
            happenings: AtomicU64::new(0),
            stopped: OnceLock::new(),
            deadline,
        }
    }

    /// Moves the clock forward to `time` (as [`Clock::now`] counts it); it never goes back.
    /// Time ends 584 years after the epoch.
    pub fn advance_to(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_max(nanos, Ordering::Relaxed);
    }

    /// How often it was said that something happened.
    pub fn happenings(&self) -> u64 {
        self.happenings.load(Ordering::Relaxed)
    }

    /// Lets no later sleep on this clock begin.
    pub fn stop(&self, why: Stopped) {
        let _ = self.stopped.set(why);
    }

    /// The time at which every sleep fails, if there is one.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// The moment at which a sleep of `duration` that starts now ends, and how it ends.
    pub fn wake(&self, duration: Duration) -> (Duration, Result<(), Stopped>) {
        if let Some(why) = self.stopped.get() {
            return (self.now(), Err(*why));
        }
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

    /// Nothing happens while a virtual clock stands still, so what is not done is never done.
    fn wait_until(&self, done: &dyn Fn() -> bool) -> Result<(), Stopped> {
        if done() { Ok(()) } else { Err(Stopped::TimedOut) }
    }

    fn notify(&self) {
        self.happenings.fetch_add(1, Ordering::Relaxed);
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
        assert_eq!(clock.sleep(Duration::ZERO), Err(Stopped::Interrupted));
    }

    #[test]
    fn who_waits_is_woken_by_what_happens_or_by_the_deadline() {
        let clock = Arc::new(WallClock::new(None));
        let happened = Arc::new(AtomicU64::new(0));
        let waiter = std::thread::spawn({
            let (clock, happened) = (Arc::clone(&clock), Arc::clone(&happened));
            move || clock.wait_until(&|| happened.load(Ordering::SeqCst) == 1)
        });
        happened.store(1, Ordering::SeqCst);
        clock.notify();
        assert_eq!(waiter.join().unwrap(), Ok(()));
        let short = WallClock::new(Some(Duration::from_millis(1)));
        assert_eq!(short.wait_until(&|| false), Err(Stopped::TimedOut));
    }

    #[test]
    fn a_sleep_ends_at_the_deadline() {
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
