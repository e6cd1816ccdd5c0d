//! How the locks look: snapshots before, in and after a run, and how each was left.

use super::{LabelledSnapshot, World};
use crate::controller::{Controller, STATE_FILE};
use crate::intercept::Link;
use crate::lock::{Knowledge, LockError, Snapshot, Token};
use crate::server::{Connection, Server};
use lock_history::history::{Event, EventKind, Left};
use std::sync::Arc;

/// How the locks were left, by the last snapshots.
pub(super) fn left(world: &World) -> Vec<Event> {
    let snapshots = world.log.snapshots.lock().clone();
    let last = snapshots.iter().filter(|labelled| labelled.label == "after");
    let event = |labelled: &LabelledSnapshot| {
        let token = |token: &Token| token.as_str().to_string();
        let instances = world
            .setup
            .runs
            .get(labelled.lock)
            .map(|run| world.services.controllers(labelled.lock, run));
        let remembered = instances.unwrap_or_default();
        let left = Left {
            lock: labelled.lock,
            token: labelled.snapshot.payload.as_ref().map(|payload| token(payload.token())),
            ttl_ms: labelled.snapshot.ttl_ms,
            flag: labelled.snapshot.flag.as_deref().is_some_and(|flag| flag != "false"),
            remembered: remembered
                .iter()
                .filter_map(|controller| controller.local_token())
                .map(|remembered| token(&remembered))
                .collect(),
            acquirable: acquirable(world, labelled.lock),
        };
        let left = world.setup.for_good(left);
        Event { moment: world.log.moment(), actor: None, kind: EventKind::Left(left) }
    };
    last.map(event).collect()
}

/// Whether a fresh client can acquire a lock that was left, if that can be tried.
fn acquirable(world: &World, lock: usize) -> Option<bool> {
    let name = world.setup.runs.get(lock)?.lock(STATE_FILE);
    let Server::Embedded(engine) = &world.services.server else { return None };
    let mut link = world.services.connect(0).ok()?;
    let before = engine.save();
    let tried = world.setup.host.is_available(&name, &mut link);
    engine.restore(&before);
    tried.unwrap_or_else(|error| {
        world.log.fail(error.to_string());
        None
    })
}

pub(super) fn take_all(world: &World, link: &mut Connection, label: &str) {
    for lock in 0..world.setup.runs.len() {
        if let Err(error) = take(world, link, lock, None, label) {
            world.log.fail(world.services.explain(&error));
        }
    }
}

/// Takes a snapshot, through the eyes of `viewer` or, without one, of the controller that
/// remembers an acquisition.
pub(super) fn take(
    world: &World,
    link: &mut dyn Link,
    lock_index: usize,
    viewer: Option<&Arc<Controller>>,
    label: &str,
) -> Result<(), LockError> {
    let (runs, locks) = (&world.setup.runs, &world.setup.locks);
    let Some((run, lock)) = runs.get(lock_index).zip(locks.get(lock_index)) else { return Ok(()) };
    let instances = world.services.controllers(lock_index, run);
    let remembers = |controller: &&Arc<Controller>| controller.local_token().is_some();
    let viewer = viewer.or_else(|| instances.iter().find(remembers));
    let local_token = viewer.and_then(|viewer| viewer.local_token());
    let other_tokens: Vec<Token> = instances
        .iter()
        .filter(|other| viewer.is_none_or(|viewer| !Arc::ptr_eq(viewer, other)))
        .filter_map(|other| other.local_token())
        .collect();
    let mut owners = world.setup.host.owners().to_vec();
    owners.push(world.setup.identity.owner().to_owned());
    let knowledge = Knowledge {
        local_token: local_token.as_ref(),
        other_tokens: &other_tokens,
        owners: &owners,
    };
    let snapshot_of = match world.protocol().is_foreign() {
        true => Snapshot::of_any_kind,
        false => Snapshot::take,
    };
    let snapshot = snapshot_of(link, lock, knowledge)?;
    world.log.snapshots.lock().push(LabelledSnapshot {
        label: label.into(),
        lock: lock_index,
        snapshot,
    });
    Ok(())
}
