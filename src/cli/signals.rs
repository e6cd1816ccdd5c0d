//! Ctrl-C, SIGTERM and a terminal that is closed: the first one ends the run, lets it clean up, and
//! lets no other run begin; one that comes a second later or more ends the program at once and says
//! what is left behind.

use super::exit::{Exit, Refusal};
use super::{say, screen};
use lock_lab::runtime::Time;
use lock_lab::server::{hurry, is_hurried};
use nix::sys::signal::{SigSet, Signal};
use parking_lot::{Mutex, MutexGuard};
use redis_sim::clock::{Clock, Stopped, WallClock};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How long after the first signal others belong to the same interruption. GNU `timeout` sends two: one
/// to the process and one to its group.
const ONE_INTERRUPTION: Duration = Duration::from_secs(1);

/// What the one handler of the process knows. Without [`handle`](Signals::handle) nothing ever
/// comes.
#[derive(Clone, Default)]
pub(super) struct Signals(Arc<Mutex<SignalState>>);

#[derive(Default)]
struct SignalState {
    interrupted: bool,
    /// Those of the runs at work.
    clocks: Vec<Time>,
    /// What the run at work would leave behind now: the commands that clean it.
    leftovers: Vec<String>,
    /// What is left on a server in exclusive use: the command that cleans it.
    exclusive_server: Option<String>,
    /// What the program would leave behind whatever runs: the commands that clean it.
    outputs: Vec<String>,
    /// What is done before the program ends at once.
    at_last: Option<Box<dyn FnOnce() + Send>>,
}

impl Signals {
    /// Waits for signals from now on: they break off what is at work.
    ///
    /// To be called before other threads are started: they must all leave the signals to the thread
    /// that waits for them. A handler would break off whatever read of a reply it happens to
    /// interrupt, and the release of a lock with it.
    pub fn handle() -> io::Result<Self> {
        Self::handle_saying(
            "interrupted, cleaning up; to leave at once, interrupt again after a second",
        )
    }

    /// The same; this is said when the first one comes.
    pub fn handle_saying(what: &'static str) -> io::Result<Self> {
        let wanted = |signal: &Signal| *signal != Signal::SIGHUP || !is_ignored(*signal);
        let set = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
        let set: SigSet = set.into_iter().filter(wanted).collect();
        set.thread_block()?;
        let signals = Self::default();
        let handler = signals.clone();
        thread::Builder::new().name("signals".into()).spawn(move || {
            let clock = WallClock::new(None);
            if set.wait().is_err() {
                return;
            }
            let first = clock.now();
            hurry();
            // A program with nothing left to do ends at once, so the message goes first. A full pipe or a
            // stopped terminal must not keep the runs from stopping.
            if stderr_takes_a_line() {
                say(what);
                handler.interrupt();
            } else {
                handler.interrupt();
                say(what);
            }
            while set.wait().is_ok() {
                if !is_another_interruption(first, clock.now()) {
                    continue;
                }
                screen::restore();
                let at_last = handler.state().at_last.take();
                at_last.into_iter().for_each(|end| end());
                for by_hand in handler.left() {
                    say(&format!("not cleaned up; run: {by_hand}"));
                }
                std::process::exit(Exit::Interrupted.code().into());
            }
        })?;
        Ok(signals)
    }

    /// Whether the first signal has come.
    pub fn interrupted(&self) -> bool {
        self.state().interrupted
    }

    /// One more clock to stop: that of the run that begins now. Those of runs that have ended are
    /// forgotten.
    pub fn add_clock(&self, clock: &Time) {
        let mut state = self.state();
        if state.interrupted {
            clock.stop(Stopped::Interrupted);
        }
        state.clocks.retain(Time::is_shared);
        state.clocks.push(clock.clone());
    }

    /// What the run at work would leave behind now.
    pub fn set_leftovers(&self, leftovers: Vec<String>) {
        self.state().leftovers = leftovers;
    }

    /// The command that removes what is on a server in exclusive use now.
    pub fn set_exclusive_server(&self, by_hand: Option<String>) {
        self.state().exclusive_server = by_hand;
    }

    /// The commands that remove the files for what is to be written.
    pub fn set_outputs(&self, by_hand: impl IntoIterator<Item = Option<String>>) {
        self.state().outputs = by_hand.into_iter().flatten().collect();
    }

    /// What is to be done before the program ends at once; it must not take long.
    pub fn set_at_last(&self, end: impl FnOnce() + Send + 'static) {
        self.state().at_last = Some(Box::new(end));
    }

    fn interrupt(&self) {
        let mut state = self.state();
        state.interrupted = true;
        for clock in &state.clocks {
            clock.stop(Stopped::Interrupted);
        }
    }

    fn left(&self) -> Vec<String> {
        let state = self.state();
        state
            .leftovers
            .iter()
            .chain(&state.exclusive_server)
            .chain(&state.outputs)
            .cloned()
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, SignalState> {
        self.0.lock()
    }
}

/// Lets a write beyond `ulimit -f` fail with EFBIG, as on a full disk, instead of SIGXFSZ ending the
/// program without cleanup. To be called before other threads are started: they inherit it. Processes
/// that are started don't: the standard library clears their mask.
pub(super) fn outlive_file_size_limit() {
    let set: SigSet = [Signal::SIGXFSZ].into_iter().collect();
    // Without it, the limit ends the program, as it would any other.
    let _ = set.thread_block();
}

/// The status of what failed after a signal had come: what it waited for was not wanted any more.
pub(super) fn or_interrupted(refusal: Refusal) -> Refusal {
    match refusal.exit {
        Exit::Environment if is_hurried() => Refusal { exit: Exit::Interrupted, ..refusal },
        _ => refusal,
    }
}

/// Whether a line can be written to stderr without waiting.
fn stderr_takes_a_line() -> bool {
    let stderr = io::stderr();
    let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
    poll(&mut ready, Some(&Timespec::default())).is_ok_and(|count| count > 0)
}

/// Whether a signal at `now` is another interruption than the one at `first`.
fn is_another_interruption(first: Duration, now: Duration) -> bool {
    now.saturating_sub(first) >= ONE_INTERRUPTION
}

/// Whether the parent process wants this signal to do nothing, as `nohup` does.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal as i32 - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_within_a_second_of_the_first_are_one_interruption() {
        let first = Duration::from_secs(70);
        for (later_ms, is_another) in
            [(0, false), (1, false), (999, false), (1000, true), (1001, true), (3_600_000, true)]
        {
            let now = first + Duration::from_millis(later_ms);
            assert_eq!(is_another_interruption(first, now), is_another, "{later_ms} ms");
        }
    }

    #[test]
    fn a_run_that_begins_after_a_signal_finds_its_clock_stopped() {
        let signals = Signals::default();
        let clock = || Time::Wall(Arc::new(WallClock::new(None)));
        let (first, second) = (clock(), clock());
        signals.add_clock(&first);
        assert_eq!(first.clock().check(), Ok(()));
        signals.interrupt();
        assert!(signals.interrupted());
        assert_eq!(first.clock().check(), Err(Stopped::Interrupted));
        signals.add_clock(&second);
        assert_eq!(second.clock().check(), Err(Stopped::Interrupted));
    }

    #[test]
    fn what_is_left_is_the_run_s_and_the_report_s() {
        let signals = Signals::default();
        signals.set_outputs([Some("rm report".into()), None]);
        signals.set_leftovers(vec!["rm state".into()]);
        assert_eq!(signals.left(), ["rm state", "rm report"]);
        signals.set_exclusive_server(Some("DEL key".into()));
        assert_eq!(signals.left(), ["rm state", "DEL key", "rm report"]);
        signals.set_exclusive_server(None);
        signals.set_leftovers(Vec::new());
        assert_eq!(signals.left(), ["rm report"]);
    }
}
