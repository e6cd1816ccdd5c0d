//! Merge points: moments at which all that an actor has seen so far is of no more consequence than
//! what it holds and remembers. Exploration merges the ways that lead to equal ones.

use super::strand::Strand;
use super::{World, lock};
use crate::controller::{Controller, Memory};
use crate::lock::Acquisition;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// All that what an actor does next can depend on, besides what it will see: where it is in its
/// plan, and whatever else its strand keeps from one step to the next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct MergePoint {
    actor: usize,
    position: Vec<u32>,
    began: Duration,
    now: Duration,
    /// How many tokens and random numbers it has drawn.
    drawn: u64,
    held: Vec<(usize, Acquisition)>,
    own: Vec<(usize, Option<Acquisition>)>,
    controllers: Vec<Option<Mine>>,
    /// What the controllers remember that its strand has made for itself, also before.
    remembered: Vec<(usize, Memory)>,
    /// Whether its last failure was wanted.
    injected: bool,
}

/// A controller that an actor has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Mine {
    /// One of the process's, by its number.
    Shared(usize),
    /// One that nobody else has.
    Own(Memory),
}

impl Strand<'_> {
    /// Notifies the observer that the actor passes a merge point.
    pub(super) fn pass_merge_point(&self) {
        self.world.observer.passed(self.world, &|| self.merge_point());
    }

    fn merge_point(&self) -> MergePoint {
        let world = self.world;
        let mine = |(lock, controller): (usize, &Option<Arc<Controller>>)| {
            controller.as_ref().map(|controller| world.whose(lock, controller))
        };
        let own_instances = lock(&world.own_instances);
        let remembered = own_instances.iter().filter(|own| self.has_been(own.actor));
        MergePoint {
            actor: self.actor,
            position: self.position.clone(),
            began: self.began,
            now: self.clock.now(),
            drawn: self.identity.drawn(),
            held: self.held.iter().map(|(lock, own)| (*lock, own.clone())).collect(),
            own: self.own.iter().map(|(lock, own)| (*lock, own.memory())).collect(),
            controllers: self.controllers.iter().enumerate().map(mine).collect(),
            injected: self.fate.injected.load(Ordering::Relaxed),
            remembered: remembered.map(|own| (own.lock, own.controller.memory())).collect(),
        }
    }
}

impl World {
    fn whose(&self, lock: usize, controller: &Arc<Controller>) -> Mine {
        let shared = self.runs.get(lock).map(|run| self.registry.controllers(run.path()));
        let number = shared.and_then(|it| it.iter().position(|it| Arc::ptr_eq(it, controller)));
        number.map_or_else(|| Mine::Own(controller.memory()), Mine::Shared)
    }
}
