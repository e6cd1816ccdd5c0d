//! What is notified of the state that actors share and of where they stand in their plans: an
//! exploration is, a run is not. (Files, registries, controllers and token slots keep a flag that an
//! observer reads.)

use super::World;
use super::merge_point::MergePoint;
use std::path::PathBuf;

/// One piece of local state that actors share.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Cell {
    /// The content of a file.
    File(PathBuf),
    /// Which controller the registry hands out for a run (by number), and how many were made.
    Shelf(usize),
    /// What a controller of a run knows of its file.
    Controller(usize, usize),
    /// The token slot of a controller of a run. It is a cell of its own, separate from
    /// the controller: a read of one does not depend on a write of the other.
    Slot(usize, usize),
    /// The memory of a process outside that actors share.
    Process,
    /// Whether something has happened.
    Signal(String),
    /// The commands that run later.
    Late,
    /// How often a rule has matched.
    Rule(usize),
    /// The server, where something other than an actor's command changed it.
    Server,
}

/// What is notified.
pub(super) trait Observer: Send + Sync {
    /// A cell is touched.
    fn touched(&self, _cell: &dyn Fn() -> Cell) {}

    /// An actor passes a merge point.
    fn passed(&self, _world: &World, _point: &dyn Fn() -> MergePoint) {}
}

/// Observes nothing.
pub(super) struct Unobserved;

impl Observer for Unobserved {}
