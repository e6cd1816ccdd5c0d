//! The actors as machines: where each can be, and what leads from one place to the next. A place is
//! all that an actor has seen so far. Its code runs, in a coroutine, once for each thing that it
//! can see next; after that the result is known.
//!
//! What an actor sees is the replies to its commands, and the shared local state that it touches.
//! That it does the same each time that it sees the same is checked whenever its code is run again.

use super::super::in_flight::Sender;
use super::super::merge_point::MergePoint;
use super::super::services::Own;
use super::super::setup::tasks as tasks_of;
use super::super::task::CoroutineTask;
use super::super::yield_point::{Resume, Yield, YieldPoints};
use super::ExploreError;
use super::differing::another_step;
use super::instrumented::Instrumented;
use super::intern::Interner;
use super::servers::{OutgoingRequest, Servers};
use super::shared_state::{Cells, Held};
use crate::intercept::PausePoint;
use crate::lock::Identity;
use crate::scenario::Timing;
use crate::server::ServerError;
use lock_history::history::{EventKind, Verb};
use redis_sim::clock::{Clock, Stopped, VirtualClock};
use rustc_hash::FxHashMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Where an actor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// Before commands, by their number.
    Request(u32),
    /// Before it touches shared local state.
    Pause(PausePoint),
    /// Asleep.
    Sleep(Duration),
    /// Waiting for something to happen.
    Blocked,
    /// At its end.
    Ended,
}

/// What lets an actor go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Push {
    /// It does what it yielded for, or checks again whether it can.
    Go,
    /// The reply of this number comes.
    Answer(u32),
    /// No reply comes, whatever became of its commands.
    NoAnswer,
    /// It crashes.
    Crash,
    /// The deadline of the run comes.
    GiveUp,
}

/// A place of a task, and what is known of how it goes on from there.
pub(super) struct Node {
    pub place: Place,
    /// Which actor of the task is active.
    pub actor: usize,
    /// The verb of the step that this one is in.
    pub verb: Verb,
    /// Whether it slept or waited right before: to switch away from it then is no preemption.
    pub is_rested: bool,
    /// What its own controllers remember, at its end: locks and tokens.
    pub remembered: Rc<[(usize, String)]>,
    /// Where it came from: the place, and which of the ways on from there.
    from: Option<(u32, Key, usize)>,
    ways: FxHashMap<Key, Vec<Way>>,
}

/// What decides how an actor goes on, but for the cells: the push, and the time if it can see it.
type Key = (Push, u64);

/// How an actor went on once.
pub(super) struct Way {
    /// Distinguishes it from all others.
    pub number: u32,
    /// What the cells held that it touched.
    reads: Box<[Held]>,
    /// What it made of them.
    pub writes: Box<[Held]>,
    /// The server's state before and after, if it touched that by itself.
    pub server: Option<(u32, u32)>,
    /// What it wrote down, and by which actor.
    pub events: Rc<[(Option<usize>, EventKind)]>,
    /// Where it came to.
    pub to: u32,
}

impl Way {
    /// About how much memory it takes, and its entry at the place that it leads from.
    fn bytes(&self) -> usize {
        let events = self.events.len() * size_of::<(Option<usize>, EventKind)>();
        let held = (self.reads.len() + self.writes.len()) * size_of::<Held>();
        size_of::<(Key, Vec<Way>)>() + size_of::<Way>() + events + held
    }
}

/// A task's coroutine, and its place.
struct Live {
    at: u32,
    task: CoroutineTask,
}

/// One task.
struct Track {
    actors: Range<usize>,
    nodes: Vec<Node>,
    live: Option<Live>,
    /// The places right after merge_points, by what leads to the same from there on.
    after: FxHashMap<AfterMergePoint, u32>,
}

/// The merge_point's number, what was seen since, where the task is, and whether it has rested.
type AfterMergePoint = (u32, Box<[Held]>, Place, bool);

impl Track {
    /// The place from which the task goes on as from the one that it reached; `new` if none is known.
    fn like(&mut self, reached: &Node, after: Option<(u32, Box<[Held]>)>, new: u32) -> u32 {
        // However an actor came to its end, nothing more follows.
        if reached.place == Place::Ended {
            return self.ended_like(reached).unwrap_or(new);
        }
        let Some((merge_point, seen)) = after else { return new };
        let after = (merge_point, seen, reached.place, reached.is_rested);
        *self.after.entry(after).or_insert(new)
    }

    /// The end of the task that is known and leaves the same behind.
    fn ended_like(&self, reached: &Node) -> Option<u32> {
        let is_like =
            |node: &Node| node.place == Place::Ended && node.remembered == reached.remembered;
        let position = self.nodes.iter().position(is_like)?;
        u32::try_from(position).ok()
    }
}

/// What all tasks touch: local state, and the server.
pub(super) struct Shared {
    pub cells: Cells,
    pub servers: Servers,
}

/// The state around a task when it goes on.
#[derive(Clone, Copy)]
pub(super) struct Around {
    pub cells: u32,
    pub server: u32,
    /// In nanoseconds since the run began. Where each actor has a time of its own, only what passes for all of
    /// them counts.
    pub time: u64,
}

/// All tasks.
pub(super) struct Automata {
    world: Arc<Instrumented>,
    timing: Timing,
    tracks: Vec<Track>,
    /// How many ways are known.
    ways: u32,
    /// About how much memory they and the places take.
    bytes: usize,
    merge_points: Interner<MergePoint>,
}

/// The place of every task before it has done anything.
pub(super) const UNBORN: u32 = 0;

impl Automata {
    pub fn new(world: Arc<Instrumented>, timing: Timing) -> Self {
        let track = |actors: Range<usize>| {
            let unborn = Node {
                place: Place::Pause(PausePoint::Registry),
                actor: actors.start,
                verb: Verb::default(),
                is_rested: true,
                remembered: Rc::new([]),
                from: None,
                ways: FxHashMap::default(),
            };
            Track { actors, nodes: vec![unborn], live: None, after: FxHashMap::default() }
        };
        let tracks = tasks_of(&world.setup.plan).into_iter().map(track).collect();
        Self { world, timing, tracks, ways: 0, bytes: 0, merge_points: Interner::default() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tracks.len()
    }

    /// About how much memory is taken by what is known of them.
    pub fn bytes(&self) -> usize {
        self.bytes + self.merge_points.bytes()
    }

    /// Ends all coroutines.
    pub fn forget_live(&mut self) {
        self.tracks.iter_mut().for_each(|track| track.live = None);
    }

    /// A place of a task.
    pub fn node(&self, task: usize, node: u32) -> Option<&Node> {
        self.tracks.get(task)?.nodes.get(node as usize)
    }

    /// How a task goes on from a place.
    pub fn way(
        &mut self,
        task: usize,
        node: u32,
        push: Push,
        around: Around,
        shared: &mut Shared,
    ) -> Result<&Way, ExploreError> {
        let key = (push, around.time);
        let known = self.known(task, node, key, around, &shared.cells);
        let position = match known {
            Some(position) => position,
            None => self.discover(task, node, key, around, shared)?,
        };
        let ways = self.node(task, node).and_then(|node| node.ways.get(&key));
        ways.and_then(|ways| ways.get(position)).ok_or_else(lost)
    }

    fn known(
        &self,
        task: usize,
        node: u32,
        key: Key,
        around: Around,
        cells: &Cells,
    ) -> Option<usize> {
        let ways = self.node(task, node)?.ways.get(&key)?;
        ways.iter().position(|way| {
            way.server.is_none_or(|(before, _)| before == around.server)
                && way.reads.iter().all(|(cell, held)| cells.value(around.cells, *cell) == *held)
        })
    }

    /// Runs the task's code from a place on, to learn how it goes on.
    fn discover(
        &mut self,
        task: usize,
        node: u32,
        key: Key,
        around: Around,
        shared: &mut Shared,
    ) -> Result<usize, ExploreError> {
        let mut live = self.live_at(task, node, shared)?;
        shared.cells.restore(&self.world, around.cells);
        shared.servers.restore(around.server, around.time).map_err(failed)?;
        let reached = self.resume(task, &mut live, key, &mut shared.servers)?;
        let touched = shared.cells.take_touched(&self.world, around.cells);
        let server = touched.server.then(|| Ok((around.server, shared.servers.save()?)));
        let server = server.transpose().map_err(failed)?;
        let events = self.written_down(&live);
        let before = self.node(task, node).map(|node| node.place);
        let was_blocked = before == Some(Place::Blocked);
        let has_slept = matches!(before, Some(Place::Sleep(_)));
        let is_rested = reached.is_rested || was_blocked || has_slept;
        let reached = Node { is_rested, ..reached };
        let merge_point =
            touched.merge_point.map(|(it, seen)| (self.merge_points.number(it), seen));
        let track = self.tracks.get_mut(task).ok_or_else(lost)?;
        let new = u32::try_from(track.nodes.len()).unwrap_or(u32::MAX);
        let to = match reached.place {
            // To look again and wait on is to stay.
            Place::Blocked if was_blocked && events.is_empty() => node,
            _ => track.like(&reached, merge_point, new),
        };
        let from = track.nodes.get_mut(node as usize).ok_or_else(lost)?;
        let ways = from.ways.entry(key).or_default();
        let position = ways.len();
        let way = Way {
            number: self.ways,
            reads: touched.reads.into(),
            writes: touched.writes.into(),
            server,
            events: events.into(),
            to,
        };
        self.bytes += way.bytes();
        ways.push(way);
        self.ways += 1;
        if to == new {
            self.bytes += size_of::<Node>();
            track.nodes.push(Node { from: Some((node, key, position)), ..reached });
        }
        live.at = to;
        let has_ended = track.nodes.get(to as usize).is_none_or(|to| to.place == Place::Ended);
        track.live = (!has_ended).then_some(live);
        Ok(position)
    }

    /// The task's coroutine at a place: the one that is there, or a new one that is led there.
    fn live_at(
        &mut self,
        task: usize,
        node: u32,
        shared: &mut Shared,
    ) -> Result<Live, ExploreError> {
        let track = self.tracks.get_mut(task).ok_or_else(lost)?;
        if let Some(live) = track.live.take_if(|live| live.at == node) {
            return Ok(live);
        }
        let actors = track.actors.clone();
        // The old one ends first: it drops what it holds.
        track.live = None;
        self.world.services.own.lock().retain(|own| !actors.contains(&own.actor));
        let mut path = Vec::new();
        let mut at = node;
        while let Some((from, key, way)) = self.node(task, at).and_then(|node| node.from) {
            path.push((from, key, way, at));
            at = from;
        }
        let mut live = self.born(task)?;
        for (from, key, position, to) in path.into_iter().rev() {
            let way = self.node(task, from).and_then(|node| node.ways.get(&key)?.get(position));
            let way = way.ok_or_else(lost)?;
            shared.cells.restore_only(&self.world, &way.reads);
            if let Some((before, _)) = way.server {
                shared.servers.restore(before, key.1).map_err(failed)?;
            }
            let place = self.node(task, to).map(|node| node.place);
            let reached = self.resume(task, &mut live, key, &mut shared.servers)?;
            if Some(reached.place) != place {
                return Err(self.differs(
                    [place, Some(reached.place)],
                    reached.actor,
                    &shared.servers,
                ));
            }
            self.written_down(&live);
            self.world.touched();
            self.world.take_passed();
            live.at = to;
        }
        Ok(live)
    }

    /// A coroutine of a task that has not begun.
    fn born(&self, task: usize) -> Result<Live, ExploreError> {
        let actors = self.tracks.get(task).map(|track| track.actors.clone()).ok_or_else(lost)?;
        let identity = Arc::new(Identity::repeatable_of(task));
        let time = Arc::new(VirtualClock::new(None));
        let task = CoroutineTask::new(
            &self.world.world,
            actors,
            &identity,
            time,
            YieldPoints::WhereShared,
        );
        Ok(Live { at: UNBORN, task: task.map_err(failed)? })
    }

    /// Lets a coroutine run on to the next place that counts.
    fn resume(
        &self,
        task: usize,
        live: &mut Live,
        (push, time): Key,
        servers: &mut Servers,
    ) -> Result<Node, ExploreError> {
        let mut push = match push {
            Push::Go => Resume::Go,
            Push::Answer(reply) => Resume::Answer(servers.reply(reply)),
            Push::NoAnswer => Resume::NoAnswer,
            Push::Crash => Resume::Crash,
            Push::GiveUp => Resume::GiveUp(Stopped::TimedOut),
        };
        let own_time = Arc::clone(&live.task.outside.time);
        own_time.advance_to(Duration::from_nanos(time));
        if self.timing == Timing::Async {
            live.task.outside.fault_state.set_ahead(Duration::from_nanos(time));
        }
        let mut is_rested = false;
        let place = loop {
            match live.task.resume(push) {
                Some(Yield::Sleep(duration)) if self.timing == Timing::Async => {
                    own_time.advance_to(own_time.now().saturating_add(duration));
                    is_rested = true;
                    push = Resume::Go;
                }
                Some(Yield::Sleep(duration)) => break Place::Sleep(duration),
                Some(Yield::Commands(commands)) => {
                    break Place::Request(servers.request(OutgoingRequest::new(task, commands)));
                }
                Some(Yield::Pause(point)) => break Place::Pause(point),
                Some(Yield::Blocked) => break Place::Blocked,
                None => break Place::Ended,
            }
        };
        if let Some(failure) = self.world.log.take_failure() {
            return Err(ExploreError::Failed(failure));
        }
        let remembered = match place {
            Place::Ended => self.remembered(task),
            _ => Rc::new([]),
        };
        let Sender { actor, verb } = live.task.outside.fault_state.sender();
        Ok(Node {
            place,
            actor,
            verb,
            is_rested,
            remembered,
            from: None,
            ways: FxHashMap::default(),
        })
    }

    /// What the controllers remember that the actors of a task have for themselves.
    fn remembered(&self, task: usize) -> Rc<[(usize, String)]> {
        let actors = self.tracks.get(task).map(|track| track.actors.clone()).unwrap_or_default();
        let token = |own: Own| Some((own.lock, own.controller.local_token()?.as_str().into()));
        self.world.services.own_of(actors).into_iter().filter_map(token).collect()
    }

    /// What was written down since the last time, in order.
    fn written_down(&self, live: &Live) -> Vec<(Option<usize>, EventKind)> {
        let mut events = live.task.outside.take_events();
        events.append(&mut live.task.outside.fault_state.events.lock());
        events.append(&mut self.world.log.late_events.lock());
        self.world.log.snapshots.lock().clear();
        events.sort_by_key(|event| event.moment);
        events.into_iter().map(|event| (event.actor, event.kind)).collect()
    }

    /// An actor went on in another way than before, after the same replies.
    fn differs(&self, places: [Option<Place>; 2], actor: usize, servers: &Servers) -> ExploreError {
        let setup = &self.world.setup;
        let name = setup.plan.actors.get(actor).map_or("", |actor| &actor.name);
        let differing = places.map(|place| match place {
            Some(Place::Request(number)) => servers.words_of(number),
            _ => Vec::new(),
        });
        let [before, now] =
            differing.each_ref().map(|words| words.iter().map(Vec::as_slice).collect::<Vec<_>>());
        setup.host.learn_from([&before, &now]);
        ExploreError::NotRepeatable(another_step(name, [&before, &now]))
    }
}

fn failed(error: ServerError) -> ExploreError {
    ExploreError::Failed(error.to_string())
}

/// The tables don't fit each other: a mistake of ours.
fn lost() -> ExploreError {
    ExploreError::Failed("the exploration lost its way; please report this".into())
}
