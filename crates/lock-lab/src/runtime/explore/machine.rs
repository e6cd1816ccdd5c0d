//! All actors, the server and the files as one machine: its states, and the choices that lead from
//! one to another. Orderings that differ only in steps that commute meet in the same state again,
//! and are continued once.
//!
//! A state is: the state of the server; what the shared cells hold; where each strand is; what the
//! past can still mean for a violation (`pasts`); how many crashes and faults there were; which
//! commands are still on their way though their senders gave them up; and, where time counts, the
//! time and who sleeps until when.

use super::super::afloat::{Afloat, Sender};
use super::super::{Model, Time, Turn, World};
use super::cells::Cells;
use super::embedded::Embedded;
use super::intern::{Interner, bytes_of_list};
use super::journal::Watched;
use super::pasts::Pasts;
use super::servers::Servers;
use super::states::{Draft, States};
use super::store::Store;
use super::strands::{Around, Node, Place, Push, Shared, Strands, UNBORN};
use super::upstream::Upstream;
use super::{Bounds, ExploreError};
use crate::scenario::{Rule, RuleEffect, Timing};
use crate::server::ServerError;
use lock_history::check::Properties;
use lock_history::history::Left;
use redis_sim::clock::VirtualClock;
use std::sync::Arc;
use std::time::Duration;

/// How many states are kept at most.
const STATES: usize = 8_000_000;
/// How much memory what is known may take: 2 GiB. Eight million states of three or four actors take
/// about 1.3.
const BYTES: usize = 2 << 30;

/// A state's number.
pub(super) type StateId = u32;

/// One choice, and the state that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub turn: Turn,
    pub to: StateId,
    /// The leases that ended by themselves after it, as time came: a number of such lists.
    ended: u32,
}

/// The machine, as far as it is known.
pub(super) struct Machine {
    world: Arc<Watched>,
    bounds: Bounds,
    strands: Strands,
    shared: Shared,
    pasts: Pasts,
    states: States,
    afloat: Interner<Afloat<u32>>,
    /// For each state where its choices begin, and how many there are; none, if that is not known.
    known: Vec<Option<(u32, u32)>>,
    choices: Vec<Choice>,
    ended: Interner<Vec<usize>>,
    first: StateId,
}

impl Machine {
    /// The machine of a model before anything happened.
    pub fn new(model: &Model, bounds: &Bounds) -> Result<Self, ExploreError> {
        let embedded = Embedded::new();
        let time = Time::Virtual(Arc::new(VirtualClock::new(None)));
        let world = Arc::new(Watched::new(World::of_model(model, embedded.server(), time)));
        world.prepare().map_err(failed)?;
        let observes = world.protocol().is_foreign();
        let store: Box<dyn Store> = match &model.upstream {
            // Nothing reaches the embedded one.
            Some(upstream) => Box::new(Upstream::new(&upstream.borrowed).map_err(failed)?),
            None => Box::new(embedded),
        };
        let (servers, server) =
            Servers::new(store, world.setup.locks.clone(), observes).map_err(failed)?;
        let strands = Strands::new(Arc::clone(&world), bounds.timing);
        let mut cells = Cells::default();
        let mut afloat = Interner::default();
        let runs_late = |rule: &Rule| matches!(rule.effect, RuleEffect::RunLate(_));
        let may_come_late = bounds.faults > 0 || world.setup.plan.rules.iter().any(runs_late);
        let (pasts, past) =
            Pasts::new(world.setup.plan.actors.len(), world.setup.locks.len(), may_come_late);
        let sleepers = match bounds.timing {
            Timing::Async => 0,
            Timing::Strict => strands.len(),
        };
        let mut draft = Draft {
            server,
            cells: cells.untouched(),
            past,
            crashes: 0,
            faults: 0,
            afloat: afloat.number(Afloat::default()),
            time: 0,
            nodes: vec![UNBORN; strands.len()],
            wakes: vec![0; sleepers],
            ended: Vec::new(),
        };
        let mut machine = Self {
            states: States::new(strands.len(), sleepers),
            world,
            bounds: bounds.clone(),
            strands,
            shared: Shared { cells, servers },
            pasts,
            afloat,
            known: Vec::new(),
            choices: Vec::new(),
            ended: Interner::default(),
            first: 0,
        };
        for strand in 0..machine.strands.len() {
            machine.push(&mut draft, strand, Push::Go)?;
        }
        machine.settle(&mut draft)?;
        machine.first = machine.states.number(&draft);
        Ok(machine)
    }

    /// The state before the first choice.
    pub fn first(&self) -> StateId {
        self.first
    }

    /// How many states are known.
    pub fn states(&self) -> usize {
        self.states.len()
    }

    /// Whether there is room for more states.
    pub fn has_room(&self) -> bool {
        self.states.len() <= STATES && self.bytes() <= BYTES
    }

    /// About how much memory is taken by what is known.
    pub(super) fn bytes(&self) -> usize {
        let tables = [
            self.states.bytes(),
            bytes_of_list(&self.known),
            bytes_of_list(&self.choices),
            self.ended.bytes(),
            self.strands.bytes(),
            self.shared.servers.bytes(),
            self.shared.cells.bytes(),
            self.pasts.bytes(),
            self.afloat.bytes(),
        ];
        tables.into_iter().sum()
    }

    /// How many strands there are.
    pub fn strands(&self) -> usize {
        self.strands.len()
    }

    /// The choices in a state; none when all is over.
    pub fn choices(&mut self, state: StateId) -> Result<&[Choice], ExploreError> {
        let known = self.known.get(state as usize).copied().flatten();
        let (from, count) = match known {
            Some(range) => range,
            None => self.find_choices(state)?,
        };
        Ok(self.choices.get(from as usize..(from + count) as usize).unwrap_or_default())
    }

    /// The choices in a state, if they were asked for before.
    pub fn known_choices(&self, state: StateId) -> &[Choice] {
        let known = self.known.get(state as usize).copied().flatten();
        let (from, count) = known.unwrap_or_default();
        self.choices.get(from as usize..(from + count) as usize).unwrap_or_default()
    }

    fn find_choices(&mut self, state: StateId) -> Result<(u32, u32), ExploreError> {
        let mut draft = Draft::default();
        self.states.read(state, &mut draft);
        let from = self.choices.len();
        for turn in self.turns(&draft)? {
            let choice = self.take(state, turn, &mut draft)?;
            self.choices.push(choice);
        }
        let short = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let range = (short(from), short(self.choices.len() - from));
        if self.known.len() <= state as usize {
            self.known.resize(self.states.len(), None);
        }
        if let Some(known) = self.known.get_mut(state as usize) {
            *known = Some(range);
        }
        Ok(range)
    }

    /// Whether a strand could go on from here without having rested: to switch away from it is a
    /// preemption.
    pub fn goes_on(&self, state: StateId, strand: usize) -> bool {
        let node = self.states.node(state, strand);
        let node = node.and_then(|node| self.strands.node(strand, node));
        node.is_some_and(|node| is_step(node.place) && !node.is_rested)
    }

    /// What was violated on the way to a state.
    pub fn found(&self, state: StateId) -> Properties {
        self.pasts.found(self.states.past(state))
    }

    /// A choice's turn, and the leases that ended by themselves after it.
    pub fn turns_of(&self, choice: Choice) -> impl Iterator<Item = Turn> {
        let ended = self.ended.get(choice.ended).map(|ended| Vec::clone(ended)).unwrap_or_default();
        std::iter::once(choice.turn).chain(ended.into_iter().map(Turn::Expire))
    }

    fn turns(&mut self, draft: &Draft) -> Result<Vec<Turn>, ExploreError> {
        let mut turns = Vec::new();
        for (strand, node) in draft.nodes.iter().enumerate() {
            let Some(node) = self.strands.node(strand, *node) else { continue };
            if !is_step(node.place) {
                continue;
            }
            turns.push(Turn::Step(strand));
            if let Place::Request(request) = node.place
                && draft.faults < self.bounds.faults
            {
                turns.extend([Turn::LoseReply(strand), Turn::Forget(strand)]);
                // Under strict timing nothing takes longer than the steps say.
                if self.bounds.timing == Timing::Async && self.shared.servers.may_be_late(request) {
                    turns.push(Turn::Postpone(strand));
                }
            }
            if draft.crashes < self.bounds.crashes {
                turns.push(Turn::Crash(strand));
            }
        }
        turns.extend((0..self.afloat(draft).len()).map(Turn::Arrive));
        // When all is over, the end of a lease changes nothing for anybody.
        if self.bounds.timing == Timing::Async && !turns.is_empty() {
            for lock in 0..self.world.setup.locks.len() {
                let lease = self.shared.servers.lease(draft.server, lock).map_err(failed)?;
                turns.extend(lease.map(|_| Turn::Expire(lock)));
            }
        }
        Ok(turns)
    }

    fn take(
        &mut self,
        from: StateId,
        turn: Turn,
        draft: &mut Draft,
    ) -> Result<Choice, ExploreError> {
        self.states.read(from, draft);
        match turn {
            Turn::Step(strand) => {
                let push = match self.request_of(draft, strand) {
                    Some(request) => Push::Answer(self.send(draft, strand, request)?),
                    None => Push::Go,
                };
                self.push(draft, strand, push)?;
            }
            Turn::LoseReply(strand) => {
                if let Some(request) = self.request_of(draft, strand) {
                    self.send(draft, strand, request)?;
                }
                self.get_no_answer(draft, strand)?;
            }
            Turn::Forget(strand) => self.get_no_answer(draft, strand)?,
            Turn::Postpone(strand) => {
                self.postpone(draft, strand);
                self.get_no_answer(draft, strand)?;
            }
            Turn::Arrive(number) => self.arrive(draft, number)?,
            Turn::Crash(strand) => {
                draft.crashes += 1;
                self.push(draft, strand, Push::Crash)?;
            }
            Turn::Expire(lock) => self.expire(draft, lock)?,
        }
        self.settle(draft)?;
        let ended = self.ended.number(std::mem::take(&mut draft.ended));
        Ok(Choice { turn, to: self.states.number(draft), ended })
    }

    fn request_of(&self, draft: &Draft, strand: usize) -> Option<u32> {
        let node = self.strands.node(strand, *draft.nodes.get(strand)?)?;
        match node.place {
            Place::Request(request) => Some(request),
            _ => None,
        }
    }

    /// Lets a request reach the server; gives the reply's number.
    fn send(
        &mut self,
        draft: &mut Draft,
        strand: usize,
        request: u32,
    ) -> Result<u32, ExploreError> {
        let done = self.shared.servers.run(draft.server, request, draft.time).map_err(failed)?;
        draft.server = done.server;
        let node = draft.nodes.get(strand).and_then(|node| self.strands.node(strand, *node));
        let actor = node.map(|node| node.actor);
        draft.past = self.pasts.after(draft.past, done.event, actor, &self.shared.servers);
        Ok(done.reply)
    }

    fn get_no_answer(&mut self, draft: &mut Draft, strand: usize) -> Result<(), ExploreError> {
        draft.faults += 1;
        self.push(draft, strand, Push::NoAnswer).map(drop)
    }

    fn afloat(&self, draft: &Draft) -> Afloat<u32> {
        self.afloat.get(draft.afloat).map(|afloat| Afloat::clone(afloat)).unwrap_or_default()
    }

    fn postpone(&mut self, draft: &mut Draft, strand: usize) {
        let node = draft.nodes.get(strand).and_then(|node| self.strands.node(strand, *node));
        let Some(&Node { place: Place::Request(request), actor, ref verb, .. }) = node else {
            return;
        };
        let sender = Sender { actor, verb: verb.clone() };
        let mut afloat = self.afloat(draft);
        afloat.add(strand, sender, request);
        draft.afloat = self.afloat.number(afloat);
    }

    fn arrive(&mut self, draft: &mut Draft, number: usize) -> Result<(), ExploreError> {
        let mut afloat = self.afloat(draft);
        let Some((sender, request)) = afloat.take(number) else { return Ok(()) };
        draft.afloat = self.afloat.number(afloat);
        let done = self.shared.servers.run(draft.server, request, draft.time).map_err(failed)?;
        draft.server = done.server;
        draft.past = self.pasts.after_late(draft.past, done.event, &sender, &self.shared.servers);
        Ok(())
    }

    /// Lets a strand go on to its next place; says whether it went anywhere.
    fn push(&mut self, draft: &mut Draft, strand: usize, push: Push) -> Result<bool, ExploreError> {
        let Draft { cells, server, time, .. } = *draft;
        let around = Around { cells, server, time };
        let from = draft.nodes.get(strand).copied().unwrap_or(UNBORN);
        let way = self.strands.way(strand, from, push, around, &mut self.shared)?;
        draft.past = self.pasts.after_way(draft.past, way);
        draft.cells = self.shared.cells.after(cells, way.number, &way.writes);
        if let Some((_, after)) = way.server {
            draft.server = after;
        }
        let to = way.to;
        if let Some(node) = draft.nodes.get_mut(strand) {
            *node = to;
        }
        if let Some(wake) = draft.wakes.get_mut(strand) {
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
        let (server, event) = self.shared.servers.expire(draft.server, lock).map_err(failed)?;
        draft.server = server;
        draft.past = self.pasts.after(draft.past, event, None, &self.shared.servers);
        Ok(())
    }

    fn place(&self, draft: &Draft, strand: usize) -> Place {
        let node = draft.nodes.get(strand).and_then(|node| self.strands.node(strand, *node));
        node.map_or(Place::Ended, |node| node.place)
    }

    /// Lets everything happen that needs no choice: those who wait look again, those whose sleep is
    /// over get up, and time passes when nobody can go on.
    fn settle(&mut self, draft: &mut Draft) -> Result<(), ExploreError> {
        let strands = 0..self.strands.len();
        loop {
            let mut moved = false;
            for strand in strands.clone() {
                let goes_on = match self.place(draft, strand) {
                    Place::Blocked => true,
                    Place::Sleep(_) => {
                        draft.wakes.get(strand).is_some_and(|wake| *wake <= draft.time)
                    }
                    _ => false,
                };
                moved |= goes_on && self.push(draft, strand, Push::Go)?;
            }
            if moved {
                continue;
            }
            let mut places = strands.clone().map(|strand| self.place(draft, strand));
            if places.clone().any(is_step) {
                return Ok(());
            }
            if places.clone().any(|place| matches!(place, Place::Sleep(_))) {
                self.let_time_pass(draft)?;
            } else if places.any(|place| place == Place::Blocked) {
                for strand in strands.clone() {
                    if self.place(draft, strand) == Place::Blocked {
                        self.push(draft, strand, Push::GiveUp)?;
                    }
                }
            } else if self.afloat(draft).is_empty() {
                return self.look_at_the_end(draft);
            } else {
                return Ok(());
            }
        }
    }

    /// Time passes until the first sleeper wakes; the leases that end meanwhile end.
    fn let_time_pass(&mut self, draft: &mut Draft) -> Result<(), ExploreError> {
        let wakes = draft.wakes.iter().filter(|wake| **wake > draft.time);
        let Some(wake) = wakes.min().copied() else { return Ok(()) };
        let until = VirtualClock::EPOCH + Duration::from_nanos(wake);
        let mut ending: Vec<(Duration, usize)> = Vec::new();
        for lock in 0..self.world.setup.locks.len() {
            let end = self.shared.servers.lease(draft.server, lock).map_err(failed)?;
            ending.extend(end.filter(|end| *end <= until).map(|end| (end, lock)));
        }
        ending.sort_unstable();
        for (_, lock) in ending {
            self.expire(draft, lock)?;
            draft.ended.push(lock);
        }
        draft.time = wake;
        Ok(())
    }

    /// All is over: how each lock was left.
    fn look_at_the_end(&mut self, draft: &mut Draft) -> Result<(), ExploreError> {
        let mut lefts = Vec::new();
        for lock in 0..self.world.setup.locks.len() {
            let seen = self.shared.servers.left(draft.server, lock, draft.time);
            let seen = seen.map_err(failed)?;
            let mut remembered = self.shared.cells.remembered(draft.cells, lock);
            for (strand, node) in draft.nodes.iter().enumerate() {
                let node = self.strands.node(strand, *node);
                let own = node.into_iter().flat_map(|node| node.remembered.iter());
                remembered
                    .extend(own.filter(|(of, _)| *of == lock).map(|(_, token)| token.clone()));
            }
            lefts.push(self.world.setup.for_good(Left {
                lock,
                token: seen.payload.as_ref().map(|payload| payload.token().as_str().to_string()),
                ttl_ms: seen.ttl_ms,
                flag: seen.flag.as_deref().is_some_and(|flag| flag != "false"),
                remembered,
            }));
        }
        draft.past = self.pasts.after_all(draft.past, lefts);
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
