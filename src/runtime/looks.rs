//! How the locks look: snapshots before, in and after a run, and how each was left.

use super::{Look, World, lock};
use crate::controller::{Controller, STATE_FILE};
use crate::gate::Link;
use crate::history::{Event, EventKind, Left};
use crate::lock::{Knowledge, LockError, RunDirectory, Snapshot, Token};
use crate::server::Connection;
use std::sync::Arc;

impl World {
    /// How the locks were left, by the last snapshots.
    pub(super) fn left(&self) -> Vec<Event> {
        let looks = lock(&self.looks);
        let last = looks.iter().filter(|look| look.label == "after");
        let event = |look: &Look| {
            let token = |token: &Token| token.as_str().to_string();
            let instances = self.runs.get(look.lock).map(|run| self.instances(look.lock, run));
            let remembered = instances.unwrap_or_default();
            let left = Left {
                lock: look.lock,
                token: look.snapshot.payload.as_ref().map(|payload| token(payload.token())),
                ttl_ms: look.snapshot.ttl_ms,
                flag: look.snapshot.flag.as_deref().is_some_and(|flag| flag != "false"),
                remembered: remembered
                    .iter()
                    .filter_map(|controller| controller.local_token())
                    .map(|remembered| token(&remembered))
                    .collect(),
            };
            let left = self.for_good(left);
            Event { moment: self.moment(), actor: None, kind: EventKind::Left(left) }
        };
        last.map(event).collect()
    }

    /// How a lock is left when its lease has ended, too, where the protocol is somebody else's: of
    /// such a client only a lock that stays for good counts as left behind.
    pub(super) fn for_good(&self, left: Left) -> Left {
        if self.protocol().is_foreign() && left.ttl_ms >= 0 {
            return Left { token: None, ttl_ms: -2, ..left };
        }
        left
    }

    pub(super) fn look_at_all(&self, link: &mut Connection, label: &str) {
        for lock in 0..self.runs.len() {
            if let Err(error) = self.look(link, lock, None, label) {
                self.fail(self.explain(&error));
            }
        }
    }

    /// Takes a snapshot, through the eyes of `viewer` or, without one, of the controller that
    /// remembers an acquisition.
    pub(super) fn look(
        &self,
        link: &mut dyn Link,
        lock_index: usize,
        viewer: Option<&Arc<Controller>>,
        label: &str,
    ) -> Result<(), LockError> {
        let Some(run) = self.runs.get(lock_index) else { return Ok(()) };
        let instances = self.instances(lock_index, run);
        let remembers = |controller: &&Arc<Controller>| controller.local_token().is_some();
        let viewer = viewer.or_else(|| instances.iter().find(remembers));
        let local_token = viewer.and_then(|viewer| viewer.local_token());
        let other_tokens: Vec<Token> = instances
            .iter()
            .filter(|other| viewer.is_none_or(|viewer| !Arc::ptr_eq(viewer, other)))
            .filter_map(|other| other.local_token())
            .collect();
        let mut owners = self.host.owners().to_vec();
        owners.push(self.identity.owner().to_owned());
        let knowledge = Knowledge {
            local_token: local_token.as_ref(),
            other_tokens: &other_tokens,
            owners: &owners,
        };
        let take = match self.protocol().is_foreign() {
            true => Snapshot::of_any_kind,
            false => Snapshot::take,
        };
        let snapshot = take(link, &run.lock(STATE_FILE), knowledge)?;
        lock(&self.looks).push(Look { label: label.into(), lock: lock_index, snapshot });
        Ok(())
    }

    pub(super) fn instances(&self, lock_index: usize, run: &RunDirectory) -> Vec<Arc<Controller>> {
        let own = lock(&self.own_instances);
        let own = own.iter().filter(|own| own.lock == lock_index).map(|own| &own.controller);
        self.registry.made(run).iter().chain(own).cloned().collect()
    }
}
