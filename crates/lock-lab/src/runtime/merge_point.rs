//! Merge points: moments at which all that an actor has seen so far is of no more consequence than
//! what it holds and remembers. Exploration merges the ways that lead to equal ones.

use super::World;
use super::task_body::TaskBody;
use crate::controller::{Controller, Memory};
use crate::lock::{Acquisition, Token};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// All that what an actor does next can depend on, besides what it will see: where it is in its
/// plan, and whatever else its task keeps from one step to the next.
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
    raw_token: Option<Token>,
    controllers: Vec<Option<Mine>>,
    /// What the controllers remember that its task has made for itself, also before.
    remembered: Vec<(usize, Memory)>,
    /// Whether its last failure was wanted.
    injected: bool,
    /// What a client from outside may remember.
    client: u32,
}

/// A controller that an actor has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Mine {
    /// One of the process's, by its number.
    Shared(usize),
    /// A value that no other state has.
    Own(Memory),
}

impl MergePoint {
    pub fn of(task: &TaskBody<'_>) -> Self {
        let services = &task.world.services;
        let mine = |(lock, controller): (usize, &Option<Arc<Controller>>)| {
            controller.as_ref().map(|controller| Mine::of(task.world, lock, controller))
        };
        let remembered = services.own_of(task.actors_so_far()).into_iter();
        Self {
            actor: task.actor,
            position: task.position.clone(),
            began: task.began,
            now: task.clock.now(),
            drawn: task.identity.drawn(),
            held: task.held.iter().map(|(lock, own)| (*lock, own.clone())).collect(),
            own: task.own.iter().map(|(lock, own)| (*lock, own.memory())).collect(),
            raw_token: task.raw_token.clone(),
            controllers: task.controllers.iter().enumerate().map(mine).collect(),
            injected: task.fault_state.injected.load(Ordering::Relaxed),
            client: task.world.setup.host.memory(task.who()),
            remembered: remembered.map(|own| (own.lock, own.controller.memory())).collect(),
        }
    }
}

impl Mine {
    fn of(world: &World, lock: usize, controller: &Arc<Controller>) -> Self {
        let shared =
            world.files().get(lock).map(|file| world.services.registry.controllers(file.path()));
        let number = shared.and_then(|it| it.iter().position(|it| Arc::ptr_eq(it, controller)));
        number.map_or_else(|| Self::Own(controller.memory()), Self::Shared)
    }
}
