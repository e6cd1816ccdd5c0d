//! All actors, the server and the files as one machine: its states, and the choices that lead from
//! one to another. Orderings that differ only in steps that commute meet in the same state again,
//! and are continued once.
//!
//! A state is: the state of the server; what the shared cells hold; where each task is; what the
//! past can still mean for a violation (`monitors`); how many crashes and faults there were; which
//! commands are in flight though their senders gave them up; and, where time counts, the time and
//! until when each sleeper sleeps.

mod passing;

use super::super::in_flight::{InFlight, Sender};
use super::super::longest::until_all_are_over;
use super::super::{Model, Time, Turn, World};
use super::automata::{Around, Automata, Node, Place, Push, Shared, UNBORN};
use super::embedded::Embedded;
use super::instrumented::Instrumented;
use super::intern::{Interner, bytes_of_list};
use super::monitors::Monitors;
use super::servers::Servers;
use super::shared_state::Cells;
use super::snapshot_store::SnapshotStore;
use super::upstream::Upstream;
use super::visited::{Draft, Visited};
use super::{Bounds, ExploreError};
use crate::scenario::{Rule, RuleEffect, Timing};
use crate::server::ServerError;
use lock_history::check::{Properties, Tried};
use redis_sim::clock::VirtualClock;
use std::sync::Arc;

/// How many states are kept at most.
const STATES: usize = 8_000_000;
/// How much memory one exploration may take for what is known, its tables about to grow included: 2 GiB.
const BYTES: usize = 2 << 30;

/// A state's number.
pub(super) type StateId = u32;

/// One choice, and the state that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub turn: Turn,
    pub to: StateId,
    /// The number of its move.
    number: u32,
}

/// What a choice does: a turn, and the TTLs that ended by themselves after it, as time came.
type Move = (Turn, Vec<Turn>);

/// The machine, as far as it is known.
pub(super) struct Machine {
    world: Arc<Instrumented>,
    bounds: Bounds,
    tasks: Automata,
    shared: Shared,
    monitors: Monitors,
    states: Visited,
    in_flight: Interner<InFlight<u32>>,
    /// For each state where its choices begin; 0, if they are not known.
    known: Vec<u32>,
    /// The choices of one state after the other: how many there are, and for each the state that it leads
    /// to and the number of its move.
    choices: Vec<u32>,
    moves: Interner<Move>,
    /// The choices that were asked for last.
    asked: Vec<Choice>,
    first: StateId,
    /// How many bytes may be taken. What else the process does has no part in it.
    pub(super) room: usize,
    /// How much time passes at once until all leases are over, in nanoseconds; none, where it does not.
    time_step: Option<u64>,
}

/// How far time goes at once, where leases are times in values.
fn time_step(world: &World) -> Option<u64> {
    let step = until_all_are_over(&world.setup.plan).as_nanos();
    let step = u64::try_from(step).unwrap_or(u64::MAX);
    world.setup.host.leases_are_values().then_some(step)
}

impl Machine {
    /// The machine of a model before anything happened.
    pub fn new(model: &Model, bounds: &Bounds) -> Result<Self, ExploreError> {
        let embedded = Embedded::new();
        let time = Time::Virtual(Arc::new(VirtualClock::new(None)));
        let world = Arc::new(Instrumented::new(World::of_model(model, embedded.server(), time)));
        world.setup.host.begin();
        world.prepare().map_err(failed)?;
        let observes = world.protocol().is_foreign();
        let store: Box<dyn SnapshotStore> = match &model.upstream {
            // Nothing reaches the embedded one.
            Some(upstream) => Box::new(Upstream::new(&upstream.exclusive).map_err(failed)?),
            None => Box::new(embedded),
        };
        let (servers, server) =
            Servers::new(store, world.setup.locks.clone(), observes).map_err(failed)?;
        let tasks = Automata::new(Arc::clone(&world), bounds.timing);
        let mut cells = Cells::default();
        let mut in_flight = Interner::default();
        let runs_late = |rule: &Rule| matches!(rule.effect, RuleEffect::RunLate(_));
        let may_come_late = bounds.faults > 0 || world.setup.plan.rules.iter().any(runs_late);
        let (actors, locks) = (world.setup.plan.actors.len(), world.setup.locks.len());
        let sharing = world.setup.host.sharing(actors);
        let (monitors, monitor) = Monitors::new(actors, locks, may_come_late, sharing);
        let sleepers = match bounds.timing {
            Timing::Async => 0,
            Timing::Strict => tasks.len(),
        };
        let mut draft = Draft {
            server,
            cells: cells.untouched(),
            monitor,
            crashes: 0,
            faults: 0,
            in_flight: in_flight.number(InFlight::default()),
            time: 0,
            nodes: vec![UNBORN; tasks.len()],
            wakes: vec![0; sleepers],
            ended: Vec::new(),
        };
        let mut machine = Self {
            states: Visited::new(tasks.len(), sleepers),
            time_step: time_step(&world),
            world,
            bounds: bounds.clone(),
            tasks,
            shared: Shared { cells, servers },
            monitors,
            in_flight,
            known: Vec::new(),
            // No state's choices begin at 0.
            choices: vec![0],
            moves: Interner::default(),
            asked: Vec::new(),
            first: 0,
            room: BYTES,
        };
        for task in 0..machine.tasks.len() {
            machine.push(&mut draft, task, Push::Go)?;
        }
        machine.settle(&mut draft)?;
        machine.first = machine.states.number(&draft);
        Ok(machine)
    }

    /// Whether clients from outside take its steps.
    pub fn is_foreign(&self) -> bool {
        self.world.protocol().is_foreign()
    }

    /// The state before the first choice.
    pub fn first(&self) -> StateId {
        self.first
    }

    /// How many states are known.
    pub fn states(&self) -> usize {
        self.states.len()
    }

    /// No task goes on from where it is: each is led there again.
    pub fn forget_live(&mut self) {
        self.tasks.forget_live();
    }

    /// Whether there is room for more states beside what the scheduler keeps.
    pub fn has_room(&self, of_scheduler: usize) -> bool {
        self.states.len() <= STATES && self.bytes() + of_scheduler <= self.room
    }

    /// About how much memory is taken by what is known.
    pub(super) fn bytes(&self) -> usize {
        let tables = [
            self.states.bytes(),
            bytes_of_list(&self.known),
            bytes_of_list(&self.choices),
            self.moves.bytes(),
            self.tasks.bytes(),
            self.shared.servers.bytes(),
            self.shared.cells.bytes(),
            self.monitors.bytes(),
            self.in_flight.bytes(),
            self.world.setup.host.bytes(),
        ];
        tables.into_iter().sum()
    }

    /// How many tasks there are.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// The choices in a state; none when all is over.
    pub fn choices(&mut self, state: StateId) -> Result<&[Choice], ExploreError> {
        if self.begin(state).is_none() {
            self.find_choices(state)?;
        }
        Ok(self.known_choices(state))
    }

    /// The choices in a state, if they were asked for before.
    pub fn known_choices(&mut self, state: StateId) -> &[Choice] {
        self.asked.clear();
        let packed = self.begin(state).and_then(|begin| self.choices.get(begin..));
        if let Some([count, packed @ ..]) = packed {
            let choice = |[to, number]: &[u32; 2]| {
                let (turn, _) = **self.moves.get(*number)?;
                Some(Choice { turn, to: *to, number: *number })
            };
            let (pairs, _) = packed.as_chunks();
            self.asked.extend(pairs.iter().take(*count as usize).filter_map(choice));
        }
        &self.asked
    }

    /// Where the choices in a state begin.
    fn begin(&self, state: StateId) -> Option<usize> {
        let begin = *self.known.get(state as usize)? as usize;
        (begin > 0).then_some(begin)
    }

    fn find_choices(&mut self, state: StateId) -> Result<(), ExploreError> {
        let mut draft = Draft::default();
        self.states.read(state, &mut draft);
        let turns = self.turns(&draft)?;
        let mut packed = vec![u32::try_from(turns.len()).unwrap_or(u32::MAX)];
        for turn in turns {
            packed.extend(self.take(state, turn, &mut draft)?);
        }
        let begin = u32::try_from(self.choices.len()).unwrap_or_default();
        self.choices.extend(packed);
        if self.known.len() <= state as usize {
            self.known.resize(self.states.len(), 0);
        }
        if let Some(known) = self.known.get_mut(state as usize) {
            *known = begin;
        }
        Ok(())
    }

    /// Whether a task could go on from here without having rested: to switch away from it is a
    /// preemption.
    pub fn goes_on(&self, state: StateId, task: usize) -> bool {
        let node = self.states.node(state, task);
        let node = node.and_then(|node| self.tasks.node(task, node));
        node.is_some_and(|node| is_step(node.place) && !node.is_rested)
    }

    /// What was violated on the way to a state.
    pub fn found(&self, state: StateId) -> Properties {
        self.monitors.found(self.states.monitor(state))
    }

    /// What was put to the test on any way so far.
    pub fn tried(&self) -> Tried {
        self.monitors.tried()
    }

    /// A choice's turn, and the TTLs that ended by themselves after it.
    pub fn turns_of(&self, choice: Choice) -> impl Iterator<Item = Turn> {
        let ended = self.moves.get(choice.number).map(|made| made.1.clone()).unwrap_or_default();
        std::iter::once(choice.turn).chain(ended)
    }

    fn turns(&mut self, draft: &Draft) -> Result<Vec<Turn>, ExploreError> {
        let mut turns = Vec::new();
        for (task, node) in draft.nodes.iter().enumerate() {
            let Some(node) = self.tasks.node(task, *node) else { continue };
            if !is_step(node.place) {
                continue;
            }
            turns.push(Turn::Step(task));
            if let Place::Request(request) = node.place
                && draft.faults < self.bounds.faults
            {
                turns.extend([Turn::LoseReply(task), Turn::Forget(task)]);
                // Under strict timing nothing takes longer than the steps say.
                if self.bounds.timing == Timing::Async && self.shared.servers.may_be_late(request) {
                    turns.push(Turn::Postpone(task));
                }
            }
            if draft.crashes < self.bounds.crashes {
                turns.push(Turn::Crash(task));
            }
        }
        turns.extend((0..self.in_flight(draft).len()).map(Turn::Arrive));
        // When all is over, the expiry of a lease changes nothing for any actor.
        if self.bounds.timing == Timing::Async && !turns.is_empty() {
            turns.extend(self.shared.servers.expiries(draft.server).map_err(failed)?);
            turns.extend(self.later(draft)?);
        }
        Ok(turns)
    }

    /// The state to which a turn leads, and the number of the move.
    fn take(
        &mut self,
        from: StateId,
        turn: Turn,
        draft: &mut Draft,
    ) -> Result<[u32; 2], ExploreError> {
        self.states.read(from, draft);
        match turn {
            Turn::Step(task) => {
                let push = match self.request_of(draft, task) {
                    Some(request) => Push::Answer(self.send(draft, task, request)?),
                    None => Push::Go,
                };
                self.push(draft, task, push)?;
            }
            Turn::LoseReply(task) => {
                if let Some(request) = self.request_of(draft, task) {
                    self.send(draft, task, request)?;
                }
                self.get_no_answer(draft, task)?;
            }
            Turn::Forget(task) => self.get_no_answer(draft, task)?,
            Turn::Postpone(task) => {
                self.postpone(draft, task);
                self.get_no_answer(draft, task)?;
            }
            Turn::Arrive(number) => self.arrive(draft, number)?,
            Turn::Crash(task) => {
                draft.crashes += 1;
                self.push(draft, task, Push::Crash)?;
            }
            Turn::Expire(_) | Turn::ExpireKey(_) => self.expire_tied(draft, turn)?,
            Turn::Later(_) => self.let_leases_pass(draft)?,
        }
        self.settle(draft)?;
        let number = self.moves.number((turn, std::mem::take(&mut draft.ended)));
        Ok([self.states.number(draft), number])
    }

    fn request_of(&self, draft: &Draft, task: usize) -> Option<u32> {
        let node = self.tasks.node(task, *draft.nodes.get(task)?)?;
        match node.place {
            Place::Request(request) => Some(request),
            _ => None,
        }
    }

    /// Lets a request reach the server; gives the reply's number.
    fn send(&mut self, draft: &mut Draft, task: usize, request: u32) -> Result<u32, ExploreError> {
        let done = self.shared.servers.run(draft.server, request, draft.time).map_err(failed)?;
        draft.server = done.server;
        let node = draft.nodes.get(task).and_then(|node| self.tasks.node(task, *node));
        let actor = node.map(|node| node.actor);
        let servers = &self.shared.servers;
        draft.monitor = self.monitors.after(draft.monitor, done.event, actor, servers, draft.time);
        Ok(done.reply)
    }

    fn get_no_answer(&mut self, draft: &mut Draft, task: usize) -> Result<(), ExploreError> {
        draft.faults += 1;
        self.push(draft, task, Push::NoAnswer).map(drop)
    }

    fn in_flight(&self, draft: &Draft) -> InFlight<u32> {
        self.in_flight
            .get(draft.in_flight)
            .map(|in_flight| InFlight::clone(in_flight))
            .unwrap_or_default()
    }

    fn postpone(&mut self, draft: &mut Draft, task: usize) {
        let node = draft.nodes.get(task).and_then(|node| self.tasks.node(task, *node));
        let Some(&Node { place: Place::Request(request), actor, ref verb, .. }) = node else {
            return;
        };
        let sender = Sender { actor, verb: verb.clone() };
        let mut in_flight = self.in_flight(draft);
        in_flight.add(task, sender, request);
        draft.in_flight = self.in_flight.number(in_flight);
    }

    fn arrive(&mut self, draft: &mut Draft, number: usize) -> Result<(), ExploreError> {
        let mut in_flight = self.in_flight(draft);
        let Some((sender, request)) = in_flight.take(number) else { return Ok(()) };
        draft.in_flight = self.in_flight.number(in_flight);
        let done = self.shared.servers.run(draft.server, request, draft.time).map_err(failed)?;
        draft.server = done.server;
        let servers = &self.shared.servers;
        draft.monitor =
            self.monitors.after_late(draft.monitor, done.event, &sender, servers, draft.time);
        Ok(())
    }

    /// Lets a task go on to its next place; says whether it went anywhere.
    fn push(&mut self, draft: &mut Draft, task: usize, push: Push) -> Result<bool, ExploreError> {
        let Draft { cells, server, time, .. } = *draft;
        let around = Around { cells, server, time };
        let from = draft.nodes.get(task).copied().unwrap_or(UNBORN);
        let way = self.tasks.way(task, from, push, around, &mut self.shared)?;
        draft.monitor = self.monitors.after_way(draft.monitor, way, time);
        draft.cells = self.shared.cells.after(cells, way.number, &way.writes);
        if let Some((_, after)) = way.server {
            draft.server = after;
        }
        let to = way.to;
        if let Some(node) = draft.nodes.get_mut(task) {
            *node = to;
        }
        if let Some(wake) = draft.wakes.get_mut(task) {
            *wake = match self.tasks.node(task, to).map(|node| node.place) {
                Some(Place::Sleep(duration)) => {
                    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
                    time.saturating_add(nanos)
                }
                _ => 0,
            };
        }
        Ok(to != from)
    }

    fn place(&self, draft: &Draft, task: usize) -> Place {
        let node = draft.nodes.get(task).and_then(|node| self.tasks.node(task, *node));
        node.map_or(Place::Ended, |node| node.place)
    }
}

/// Whether going on from a place is a step that a schedule counts.
fn is_step(place: Place) -> bool {
    matches!(place, Place::Request(_) | Place::Pause(_))
}

fn failed(error: ServerError) -> ExploreError {
    ExploreError::Failed(error.to_string())
}
