//! What happens without a choice of a task: TTLs end, time passes, waiting tasks check again, and at the end
//! each lock is looked at.

use super::super::super::Turn;
use super::super::ExploreError;
use super::super::automata::{Place, Push};
use super::super::visited::Draft;
use super::{Machine, failed, is_step};
use crate::lock::StateFile;
use lock_history::history::{Left, Verb};
use redis_sim::clock::VirtualClock;
use std::time::Duration;

impl Machine {
    /// Lets a TTL end, and those that end at the same moment.
    pub(super) fn expire_tied(
        &mut self,
        draft: &mut Draft,
        turn: Turn,
    ) -> Result<(), ExploreError> {
        let tied = self.shared.servers.tied(draft.server, turn).map_err(failed)?;
        self.expire(draft, turn)?;
        for key in tied {
            let turn = self.shared.servers.expiry_of(draft.server, &key).map_err(failed)?;
            if let Some(turn) = turn {
                self.expire(draft, turn)?;
                draft.ended.push(turn);
            }
        }
        Ok(())
    }

    /// Lets a TTL end.
    fn expire(&mut self, draft: &mut Draft, turn: Turn) -> Result<(), ExploreError> {
        let servers = &mut self.shared.servers;
        let ended = match turn {
            Turn::Expire(lock) => servers.expire(draft.server, lock),
            Turn::ExpireKey(key) => servers.expire_other(draft.server, key),
            _ => return Ok(()),
        };
        let (server, event) = ended.map_err(failed)?;
        draft.server = server;
        let servers = &self.shared.servers;
        draft.monitor = self.monitors.after(draft.monitor, event, None, servers, draft.time);
        Ok(())
    }

    /// Lets everything happen that needs no choice: waiting tasks check again, sleepers whose time
    /// has come wake up, and time advances when no task can go on.
    pub(super) fn settle(&mut self, draft: &mut Draft) -> Result<(), ExploreError> {
        let tasks = 0..self.tasks.len();
        loop {
            let mut moved = false;
            for task in tasks.clone() {
                let goes_on = match self.place(draft, task) {
                    Place::Blocked => true,
                    Place::Sleep(_) => {
                        draft.wakes.get(task).is_some_and(|wake| *wake <= draft.time)
                    }
                    _ => false,
                };
                moved |= goes_on && self.push(draft, task, Push::Go)?;
            }
            if moved {
                continue;
            }
            let mut places = tasks.clone().map(|task| self.place(draft, task));
            if places.clone().any(is_step) {
                return Ok(());
            }
            if places.clone().any(|place| matches!(place, Place::Sleep(_))) {
                self.let_time_pass(draft)?;
            } else if places.any(|place| place == Place::Blocked) {
                for task in tasks.clone() {
                    if self.place(draft, task) == Place::Blocked {
                        self.push(draft, task, Push::GiveUp)?;
                    }
                }
            } else if self.in_flight(draft).is_empty() {
                return self.take_last_snapshots(draft);
            } else {
                return Ok(());
            }
        }
    }

    /// Time advances until the first sleeper wakes.
    fn let_time_pass(&mut self, draft: &mut Draft) -> Result<(), ExploreError> {
        let wakes = draft.wakes.iter().filter(|wake| **wake > draft.time);
        let Some(wake) = wakes.min().copied() else { return Ok(()) };
        self.pass(draft, wake)
    }

    /// Where leases are times in values and a lock is there that has no TTL or a longer one: so much time
    /// passes that its lease is over. In an ordering it does as often as there are tasks.
    pub(super) fn later(&mut self, draft: &Draft) -> Result<Option<Turn>, ExploreError> {
        let Some(step) = self.time_step else { return Ok(None) };
        if draft.time / step >= self.tasks.len() as u64 {
            return Ok(None);
        }
        // What a client sends next depends on a clock that it has read already. A release that comes late is no
        // different from one that was sent late.
        let acts = |(task, node): (usize, &u32)| {
            let node = self.tasks.node(task, *node);
            node.is_some_and(|node| {
                matches!(node.place, Place::Request(_)) && node.verb != Verb::Release
            })
        };
        let is_late = self.in_flight(draft).senders().any(|sender| sender.verb != Verb::Release);
        if is_late || draft.nodes.iter().enumerate().any(acts) {
            return Ok(None);
        }
        let lasting = self.shared.servers.lasting(draft.server, draft.time.saturating_add(step));
        Ok((!lasting.map_err(failed)?.is_empty()).then_some(Turn::Later(0)))
    }

    /// So much time passes that all leases are over.
    pub(super) fn let_leases_pass(&mut self, draft: &mut Draft) -> Result<(), ExploreError> {
        let until = draft.time.saturating_add(self.time_step.unwrap_or_default());
        self.pass(draft, until)?;
        for lock in self.shared.servers.lasting(draft.server, until).map_err(failed)? {
            let event = self.shared.servers.lease_over(draft.server, lock).map_err(failed)?;
            let servers = &self.shared.servers;
            draft.monitor = self.monitors.after(draft.monitor, event, None, servers, until);
        }
        Ok(())
    }

    /// Time advances until then; TTLs end meanwhile.
    fn pass(&mut self, draft: &mut Draft, wake: u64) -> Result<(), ExploreError> {
        let until = VirtualClock::EPOCH + Duration::from_nanos(wake);
        let mut first = self.shared.servers.first_expiry(draft.server).map_err(failed)?;
        while let Some((_, turn)) = first.filter(|(end, _)| *end <= until) {
            self.expire(draft, turn)?;
            draft.ended.push(turn);
            first = self.shared.servers.first_expiry(draft.server).map_err(failed)?;
        }
        draft.time = wake;
        Ok(())
    }

    /// All is over: how each lock was left.
    fn take_last_snapshots(&mut self, draft: &mut Draft) -> Result<(), ExploreError> {
        let mut lefts = Vec::new();
        for lock in 0..self.world.setup.locks.len() {
            let seen = self.shared.servers.left(draft.server, lock, draft.time);
            let seen = seen.map_err(failed)?;
            let mut remembered = self.shared.cells.remembered(draft.cells, lock);
            for (task, node) in draft.nodes.iter().enumerate() {
                let node = self.tasks.node(task, *node);
                let own = node.into_iter().flat_map(|node| node.remembered.iter());
                remembered
                    .extend(own.filter(|(of, _)| *of == lock).map(|(_, token)| token.clone()));
            }
            let (host, file) = (&*self.world.setup.host, self.world.setup.files.get(lock));
            let name = file.map(StateFile::lock);
            let acquirable = match &name {
                Some(name) => {
                    let servers = &mut self.shared.servers;
                    let tried = servers.is_available(draft.server, (lock, name), draft.time, host);
                    tried.map_err(failed)?
                }
                None => None,
            };
            lefts.push(self.world.setup.for_good(Left {
                lock,
                token: seen.payload.as_ref().map(|payload| payload.token().as_str().to_string()),
                ttl_ms: seen.ttl_ms,
                flag: seen.flag.as_deref().is_some_and(|flag| flag != "false"),
                remembered,
                acquirable,
                held_elsewhere: false,
            }));
        }
        draft.monitor = self.monitors.after_all(draft.monitor, lefts, draft.time);
        Ok(())
    }
}
