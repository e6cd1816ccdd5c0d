//! What is measured, and one measurement of it.

use crate::ours;
use crate::shuttle_model::{self, DFS_BOUND, Style};
use rustix::time::{ClockId, clock_gettime};
use shuttle::scheduler::{DfsScheduler, RandomScheduler};
use std::fmt::{self, Display};
use std::time::{Duration, Instant};

/// How many schedules are drawn.
pub const DRAWN: u64 = 100_000;
/// Both sides draw with it.
pub const SEED: u64 = 1;

/// Who explores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Shuttle.
    Shuttle(Style),
    /// We, with this lock protocol.
    Ours(&'static str),
}

impl Program {
    /// In the order of the table.
    pub const ALL: [Program; 4] = [
        Program::Shuttle(Style::Plain),
        Program::Shuttle(Style::Lean),
        Program::Ours("legacy"),
        Program::Ours("hardened"),
    ];
}

impl Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Program::Shuttle(Style::Plain) => f.pad("Shuttle, plain"),
            Program::Shuttle(Style::Lean) => f.pad("Shuttle, lean"),
            Program::Ours(protocol) => f.pad(&format!("nodb-trigger, {protocol}")),
        }
    }
}

/// How orderings are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Until there are no more.
    All,
    /// A number of them is drawn.
    Random,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// How many clients the model has.
    pub clients: u64,
    /// How orderings are chosen.
    pub strategy: Strategy,
    /// Who explores.
    pub program: Program,
}

impl Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let strategy = match self.strategy {
            Strategy::All => "all",
            Strategy::Random => "random",
        };
        write!(f, "{} clients, {strategy}, {}", self.clients, self.program)
    }
}

/// What an exploration did.
#[derive(Debug, Clone)]
pub struct Explored {
    /// How many orderings were run.
    pub run: u64,
    /// Whether there are no others.
    pub is_exhausted: bool,
    /// What else there is to say: what was found.
    pub note: String,
    /// How many orderings are covered by those that were run; set where it costs nothing to know.
    pub covered: Option<f64>,
}

/// One measurement.
#[derive(Debug, Clone)]
pub struct Measured {
    /// What was done.
    pub explored: Explored,
    /// On the wall clock.
    pub took: Duration,
    /// Processor time of all threads.
    pub cpu: Duration,
}

impl Case {
    /// Measures it once.
    pub fn measure(&self) -> Result<Measured, String> {
        let (began, cpu_before) = (Instant::now(), cpu());
        let explored = match self.program {
            Program::Shuttle(style) => Ok(self.shuttle(style, false)),
            Program::Ours(protocol) => ours::explore(self.clients, protocol, self.strategy),
        }?;
        let (took, cpu) = (began.elapsed(), cpu().saturating_sub(cpu_before));
        Ok(Measured { explored, took, cpu })
    }

    /// How many different orders of commands and expiry Shuttle's schedules were. Not for measuring.
    pub fn covered(&self) -> Option<f64> {
        match self.program {
            Program::Shuttle(style) => self.shuttle(style, true).covered,
            Program::Ours(_) => None,
        }
    }

    fn shuttle(&self, style: Style, count_orders: bool) -> Explored {
        let (clients, drawn) = (self.clients, DRAWN as usize);
        // Two clients are exhausted by both styles, three only by the lean one.
        let is_bounded = style == Style::Plain && clients > 2;
        let explored = match self.strategy {
            Strategy::All => {
                let scheduler = DfsScheduler::new(is_bounded.then_some(DFS_BOUND), false);
                shuttle_model::explore(style, clients, scheduler, count_orders)
            }
            Strategy::Random => {
                let scheduler = RandomScheduler::new_from_seed(SEED, drawn);
                shuttle_model::explore(style, clients, scheduler, count_orders)
            }
        };
        Explored {
            run: explored.schedules,
            is_exhausted: self.strategy == Strategy::All && !is_bounded,
            note: format!("a write without the lock in {} schedules", explored.bad),
            covered: explored.orders.map(|orders| orders as f64),
        }
    }
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
