//! The script that runs, as other threads see it while the server is locked.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Stopped, WallClock};
use crate::error::Error;

/// How long a script may take, on the machine's clock: what counts for little may take long.
pub(super) const LONGEST: Duration = Duration::from_secs(10);

/// How long other clients wait for a script, as in Redis.
const BUSY_AFTER: Duration = Duration::from_secs(5);

/// The script that runs.
#[derive(Debug)]
pub(crate) struct Watch {
    script: Mutex<Option<Script>>,
    pub(crate) longest: Duration,
    pub(crate) busy_after: Duration,
}

#[derive(Debug)]
struct Script {
    clock: Arc<WallClock>,
    has_written: bool,
}

impl Default for Watch {
    fn default() -> Self {
        Self { script: Mutex::new(None), longest: LONGEST, busy_after: BUSY_AFTER }
    }
}

impl Watch {
    /// A script begins; gives the clock that it has to look at.
    pub(super) fn begin(&self) -> Arc<WallClock> {
        let clock = Arc::new(WallClock::new(Some(self.longest)));
        *self.script.lock() = Some(Script { clock: Arc::clone(&clock), has_written: false });
        clock
    }

    pub(super) fn end(&self) {
        *self.script.lock() = None;
    }

    /// The script calls a command that writes; says whether it may: not once it was killed.
    pub(super) fn writes(&self) -> bool {
        let mut script = self.script.lock();
        let Some(script) = &mut *script else { return true };
        script.has_written |= script.clock.check().is_ok();
        script.has_written
    }

    /// How much longer a client waits for its turn.
    pub(crate) fn patience(&self) -> Duration {
        let taken = self.script.lock().as_ref().map_or(Duration::ZERO, |it| it.clock.now());
        self.busy_after.saturating_sub(taken)
    }

    /// SCRIPT KILL: the script ends at its next step, unless it has changed something.
    pub(crate) fn kill(&self) -> Result<(), Error> {
        match &*self.script.lock() {
            None => Err(Error::NotBusy),
            Some(script) if script.has_written => Err(Error::Unkillable),
            Some(script) => {
                script.clock.stop(Stopped::CalledOff);
                Ok(())
            }
        }
    }
}
