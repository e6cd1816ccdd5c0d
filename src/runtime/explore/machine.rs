//! All actors, the server and the files as one machine: its states, and the choices that lead from
//! one to another. Orderings that differ only in steps that commute meet in the same state again,
//! and are continued once.
//!
//! A state is: the state of the server; what the shared cells hold; where each strand is; what the
//! past can still mean for a violation (the [`Monitor`]); how many crashes and losses there were;
//! and, where time counts, the time and who sleeps until when.

use super::super::{Model, Turn, World};
use super::cells::Cells;
use super::intern::Interner;
use super::servers::{Hands, Servers};
use super::strands::{Around, Place, Push, Strands, UNBORN, Way};
use super::{Bounds, ExploreError};
use crate::check::{Monitor, Properties};
use crate::clock::VirtualClock;
use crate::engine::Engine;
use crate::history::{EventKind, Left};
use crate::scenario::Timing;
use crate::server::{Server, ServerError};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A state's number.
pub(super) type StateId = u32;

/// One choice, and the state that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub turn: Turn,
    pub to: StateId,
}

/// Everything about one moment, as numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    server: u32,
    cells: u32,
    monitor: u32,
    crashes: u32,
    faults: u32,
    /// In nanoseconds since the run began; stays 0 where each strand has a time of its own.
    time: u64,
    /// Where each strand is.
    nodes: Box<[u32]>,
    /// When those wake who sleep; empty where sleep costs nothing.
    wakes: Box<[u64]>,
    /// The leases that ended by themselves on the way here, as the time came.
    ended: Box<[u8]>,
}

/// The machine, as far as it is known.
pub(super) struct Machine {
    world: Arc<World>,
    bounds: Bounds,
    strands: Strands,
    servers: Servers,
    cells: Cells,
    monitors: Interner<Monitor>,
    states: Interner<State>,
    /// For each state the range of its choices, where they are known.
    known: Vec<Option<Range<u32>>>,
    choices: Vec<Choice>,
    /// The leases that end by themselves after a choice: by the choice's number.
    first: StateId,
}

/// A state that is being made.
struct Draft {
    state: State,
    monitor: Monitor,
}

impl Machine {
    /// The machine of a model before anything happened.
    pub fn new(model: &Model, bounds: &Bounds) -> Result<Self, ExploreError> {
        let hands = Arc::new(Hands::default());
        let engine = Engine::new(hands.clone());
        let time = super::super::Time::Virtual(Arc::new(VirtualClock::new(None)));
        let (plan, runs) = (model.plan.clone(), model.runs.clone());
        let server = Server::Embedded(engine.clone());
        let world = World::new(plan, server, model.protocol, runs, time, Box::new(|| ())).watched();
        let world = Arc::new(world);
        world.prepare().map_err(failed)?;
        let (servers, server) = Servers::new(engine, hands, world.locks.clone());
        let strands = Strands::new(Arc::clone(&world), bounds.timing);
        let mut cells = Cells::default();
        let wakes = match bounds.timing {
            Timing::Async => Box::default(),
            Timing::Strict => vec![0; strands.len()].into(),
        };
        let state = State {
            server,
            cells: cells.untouched(),
            monitor: 0,
            crashes: 0,
            faults: 0,
            time: 0,
            nodes: vec![UNBORN; strands.len()].into(),
            wakes,
            ended: Box::default(),
        };
        let monitor = Monitor::new(world.plan.actors.len(), world.locks.len());
        let mut machine = Self {
            world,
            bounds: bounds.clone(),
            strands,
            servers,
            cells,
            monitors: Interner::default(),
            states: Interner::default(),
            known: Vec::new(),
            choices: Vec::new(),
            first: 0,
        };
        let mut draft = Draft { state, monitor };
        for strand in 0..machine.strands.len() {
            machine.push(&mut draft, strand, Push::Go)?;
        }
        machine.first = machine.settle(draft)?;
        Ok(machine)
    }

    /// The state before the first choice.
    pub fn first(&self) -> StateId {
        self.first
    }

    #[allow(missing_docs)]
    pub fn debug(&self) {
        eprintln!("nodes {:?} servers {} cells {} monitors {}", (0..self.strands.len()).map(|s| self.strands.count(s)).collect::<Vec<_>>(), self.servers.count(), self.cells.count(), self.monitors.len());
    }

    /// How many states are known.
    pub fn states(&self) -> usize {
        self.states.len()
    }

    /// The choices in a state; none when all have ended.
    pub fn choices(&mut self, state: StateId) -> Result<&[Choice], ExploreError> {
        if self.known.len() <= state as usize {
            self.known.resize(state as usize + 1, None);
        }
        let known = self.known.get(state as usize).cloned().flatten();
        let range = match known {
            Some(range) => range,
            None => {
                let from = self.choices.len() as u32;
                for turn in self.turns(state) {
                    let to = self.take(state, turn)?;
                    self.choices.push(Choice { turn, to });
                }
                let range = from..self.choices.len() as u32;
                if let Some(known) = self.known.get_mut(state as usize) {
                    *known = Some(range.clone());
                }
                range
            }
        };
        Ok(self.choices.get(range.start as usize..range.end as usize).unwrap_or_default())
    }

    /// Whether a strand could go on from here without having rested: to switch away from it is a
    /// preemption.
    pub fn goes_on(&self, state: StateId, strand: usize) -> bool {
        let node = self.states.get(state).and_then(|state| state.nodes.get(strand).copied());
        let node = node.and_then(|node| self.strands.node(strand, node));
        node.is_some_and(|node| is_step(node.place) && !node.is_rested)
    }

    /// What was violated on the way to a state.
    pub fn found(&self, state: StateId) -> Properties {
        let monitor = self.states.get(state).and_then(|state| self.monitors.get(state.monitor));
        monitor.map(|monitor| monitor.found()).unwrap_or_default()
    }

    /// The leases that ended by themselves right after the last choice before a state.
    pub fn ended_leases(&self, state: StateId) -> impl Iterator<Item = Turn> {
        let ended = self.states.get(state).map(|state| state.ended.clone()).unwrap_or_default();
        ended.into_iter().map(|lock| Turn::Expire(usize::from(lock)))
    }

    fn turns(&mut self, state: StateId) -> Vec<Turn> {
        let Some(state) = self.states.get(state).cloned() else { return Vec::new() };
        let mut turns = Vec::new();
        for (strand, node) in state.nodes.iter().enumerate() {
            let Some(node) = self.strands.node(strand, *node) else { continue };
            if !is_step(node.place) {
                continue;
            }
            turns.push(Turn::Step(strand));
            if state.faults < self.bounds.faults && matches!(node.place, Place::Request(_)) {
                turns.push(Turn::LoseReply(strand));
            }
            if state.crashes < self.bounds.crashes {
                turns.push(Turn::Crash(strand));
            }
        }
        // When all have ended, the end of a lease changes nothing for anybody.
        if self.bounds.timing == Timing::Async && !turns.is_empty() {
            let locks = 0..self.world.locks.len();
            let leased = locks.filter(|lock| self.servers.lease(state.server, *lock).is_some());
            turns.extend(leased.map(Turn::Expire));
        }
        turns
    }

    fn take(&mut self, from: StateId, turn: Turn) -> Result<StateId, ExploreError> {
        let state = self.states.get(from).map(|state| State::clone(state));
        let mut state = state.ok_or_else(|| unknown("state"))?;
        state.ended = Box::default();
        let monitor = self.monitors.get(state.monitor).map(|it| Monitor::clone(it));
        let mut draft = Draft { state, monitor: monitor.ok_or_else(|| unknown("monitor"))? };
        match turn {
            Turn::Step(strand) => {
                let push = match self.request_of(&draft, strand) {
                    Some(request) => Push::Answer(self.send(&mut draft, strand, request)?),
                    None => Push::Go,
                };
                self.push(&mut draft, strand, push)?;
            }
            Turn::LoseReply(strand) => {
                if let Some(request) = self.request_of(&draft, strand) {
                    self.send(&mut draft, strand, request)?;
                }
                draft.state.faults += 1;
                self.push(&mut draft, strand, Push::NoAnswer)?;
            }
            Turn::Crash(strand) => {
                draft.state.crashes += 1;
                self.push(&mut draft, strand, Push::Crash)?;
            }
            Turn::Expire(lock) => self.expire(&mut draft, lock)?,
        }
        self.settle(draft)
    }

    fn request_of(&self, draft: &Draft, strand: usize) -> Option<u32> {
        let node = self.strands.node(strand, *draft.state.nodes.get(strand)?)?;
        match node.place {
            Place::Request(request) => Some(request),
            _ => None,
        }
    }

    /// Lets a request reach the server; gives the reply's number.
    fn send(&mut self, draft: &mut Draft, strand: usize, request: u32) -> Result<u32, ExploreError> {
        let State { server, time, .. } = draft.state;
        let done = self.servers.run(server, request, time).map_err(failed)?;
        draft.state.server = done.server;
        let node = draft.state.nodes.get(strand).and_then(|node| self.strands.node(strand, *node));
        draft.monitor.read(node.map(|node| node.actor), &done.event);
        Ok(done.reply)
    }

    /// Lets a strand go on to its next place; says whether it went anywhere.
    fn push(&mut self, draft: &mut Draft, strand: usize, push: Push) -> Result<bool, ExploreError> {
        let State { cells, server, time, .. } = draft.state;
        let around = Around { cells, server, time };
        let from = draft.state.nodes.get(strand).copied().unwrap_or(UNBORN);
        let (known_cells, servers) = (&mut self.cells, &mut self.servers);
        let way = self.strands.way(strand, from, push, around, known_cells, servers)?;
        let Way { writes, server, events, to, .. } = way;
        for (actor, event) in events.iter() {
            draft.monitor.read(*actor, event);
        }
        draft.state.cells = known_cells.after(cells, writes);
        if let Some((_, after)) = server {
            draft.state.server = *after;
        }
        let to = *to;
        if let Some(node) = draft.state.nodes.get_mut(strand) {
            *node = to;
        }
        if let Some(wake) = draft.state.wakes.get_mut(strand) {
            *wake = match self.strands.node(strand, to).map(|node| node.place) {
                Some(Place::Sleep(duration)) => {
                    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
                    time.saturating_add(nanos)
                }
                _ => 0,
            };
        }
        Ok(to != from)
    }

    fn expire(&mut self, draft: &mut Draft, lock: usize) -> Result<(), ExploreError> {
        let (server, event) = self.servers.expire(draft.state.server, lock).map_err(failed)?;
        draft.state.server = server;
        draft.monitor.read(None, &event);
        Ok(())
    }

    fn place(&self, draft: &Draft, strand: usize) -> Place {
        let node = draft.state.nodes.get(strand).and_then(|node| self.strands.node(strand, *node));
        node.map_or(Place::Ended, |node| node.place)
    }

    /// Lets everything happen that needs no choice: those who wait look again, those whose sleep is
    /// over get up, and time passes when nobody can go on.
    fn settle(&mut self, mut draft: Draft) -> Result<StateId, ExploreError> {
        let strands = 0..self.strands.len();
        loop {
            let mut moved = false;
            for strand in strands.clone() {
                let goes_on = match self.place(&draft, strand) {
                    Place::Blocked => true,
                    Place::Sleep(_) => {
                        draft.state.wakes.get(strand).is_some_and(|wake| *wake <= draft.state.time)
                    }
                    _ => false,
                };
                moved |= goes_on && self.push(&mut draft, strand, Push::Go)?;
            }
            if moved {
                continue;
            }
            let places: Vec<Place> =
                strands.clone().map(|strand| self.place(&draft, strand)).collect();
            if places.iter().any(|place| is_step(*place)) {
                break;
            }
            if places.iter().any(|place| matches!(place, Place::Sleep(_))) {
                self.let_time_pass(&mut draft)?;
            } else if places.contains(&Place::Blocked) {
                for strand in strands.clone() {
                    if self.place(&draft, strand) == Place::Blocked {
                        self.push(&mut draft, strand, Push::GiveUp)?;
                    }
                }
            } else {
                self.look_at_the_end(&mut draft)?;
                break;
            }
        }
        draft.state.monitor = self.monitors.number(draft.monitor);
        Ok(self.states.number(draft.state))
    }

    /// Time passes until the first sleeper wakes; the leases that end meanwhile end.
    fn let_time_pass(&mut self, draft: &mut Draft) -> Result<(), ExploreError> {
        let wakes = draft.state.wakes.iter().filter(|wake| **wake > draft.state.time);
        let Some(wake) = wakes.min().copied() else { return Ok(()) };
        let until = VirtualClock::EPOCH + Duration::from_nanos(wake);
        let mut ending: Vec<(Duration, usize)> = Vec::new();
        for lock in 0..self.world.locks.len() {
            let end = self.servers.lease(draft.state.server, lock);
            ending.extend(end.filter(|end| *end <= until).map(|end| (end, lock)));
        }
        ending.sort_unstable();
        let mut ended = std::mem::take(&mut draft.state.ended).into_vec();
        for (_, lock) in ending {
            self.expire(draft, lock)?;
            ended.push(u8::try_from(lock).unwrap_or(u8::MAX));
        }
        draft.state.ended = ended.into();
        draft.state.time = wake;
        Ok(())
    }

    /// All have ended: how each lock was left.
    fn look_at_the_end(&mut self, draft: &mut Draft) -> Result<(), ExploreError> {
        for lock in 0..self.world.locks.len() {
            let seen = self.servers.left(draft.state.server, lock, draft.state.time);
            let seen = seen.map_err(failed)?;
            let mut remembered = self.cells.remembered(draft.state.cells, lock);
            for (strand, node) in draft.state.nodes.iter().enumerate() {
                let node = self.strands.node(strand, *node);
                let own = node.into_iter().flat_map(|node| node.remembered.iter());
                remembered.extend(own.filter(|(of, _)| *of == lock).map(|(_, token)| token.clone()));
            }
            let left = Left {
                lock,
                token: seen.payload.as_ref().map(|payload| payload.token().as_str().to_string()),
                ttl_ms: seen.ttl_ms,
                flag: seen.flag.as_deref().is_some_and(|flag| flag != "false"),
                remembered,
            };
            draft.monitor.read(None, &EventKind::Left(left));
        }
        Ok(())
    }
}

/// Whether going on from a place is a step that a schedule counts.
fn is_step(place: Place) -> bool {
    matches!(place, Place::Request(_) | Place::Pause(_))
}

fn failed(error: ServerError) -> ExploreError {
    ExploreError::Failed(error.to_string())
}

fn unknown(what: &str) -> ExploreError {
    ExploreError::Failed(format!("the exploration lost a {what}; please report this"))
}
