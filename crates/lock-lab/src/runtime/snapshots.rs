//! How the locks look: snapshots before, in and after a run, and how each was left.

use super::{LabelledSnapshot, World};
use crate::controller::Controller;
use crate::intercept::Link;
use crate::lock::{Diagnosis, Knowledge, LockError, Snapshot, Token, is_dead};
use crate::server::{Connection, Server};
use lock_history::history::{Event, EventKind, Left};
use std::sync::Arc;
use std::time::Duration;

/// How the locks were left, by the last snapshots.
pub(super) fn left(world: &World) -> Vec<Event> {
    let snapshots = world.log.snapshots.lock().clone();
    let last = snapshots.iter().filter(|labelled| labelled.label == "after");
    let event = |labelled: &LabelledSnapshot| {
        let token = |token: &Token| token.as_str().to_string();
        let file = world.setup.files.get(labelled.lock);
        let instances = file.map(|file| world.services.controllers(labelled.lock, file));
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
            held_elsewhere: labelled.is_elsewhere,
        };
        let left = world.setup.for_good(left);
        Event { moment: world.log.moment(), actor: None, kind: EventKind::Left(left) }
    };
    last.map(event).collect()
}

/// Whether a fresh client can acquire a lock that was left, if that can be tried.
fn acquirable(world: &World, lock: usize) -> Option<bool> {
    let name = world.setup.files.get(lock)?.lock();
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

/// How often another snapshot is taken where flag and key disagree, and after which time: another client
/// may be between its two commands.
const AGAIN: (usize, Duration) = (5, Duration::from_millis(20));

pub(super) fn take_all(world: &World, link: &mut Connection, label: &str) {
    for lock in 0..world.setup.files.len() {
        if let Err(error) = take_settled(world, link, lock, label) {
            world.log.fail(world.explain_and_note(&error));
        }
    }
}

fn take_settled(
    world: &World,
    link: &mut Connection,
    lock: usize,
    label: &str,
) -> Result<(), LockError> {
    take(world, link, lock, None, label)?;
    let (most, pause) = AGAIN;
    for _ in 0..most {
        let last = world.log.snapshots.lock().last().map(|it| it.snapshot.diagnosis);
        let drifts = last == Some(Diagnosis::FlagDrift);
        let has_others = matches!(world.services.server, Server::Redis(_));
        if !drifts || !has_others || world.time().clock().sleep(pause).is_err() {
            break;
        }
        world.log.snapshots.lock().pop();
        take(world, link, lock, None, label)?;
    }
    Ok(())
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
    let (files, locks) = (&world.setup.files, &world.setup.locks);
    let Some((file, lock)) = files.get(lock_index).zip(locks.get(lock_index)) else {
        return Ok(());
    };
    let instances = world.services.controllers(lock_index, file);
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
    let is_elsewhere = is_elsewhere(world, &snapshot, &owners);
    let label = label.into();
    let taken = LabelledSnapshot { label, lock: lock_index, snapshot, is_elsewhere };
    world.log.snapshots.lock().push(taken);
    Ok(())
}

/// Whether a client that is none of the actors, and lives as far as can be seen, holds the lock. A value
/// that names no owner may be what an actor made of it.
fn is_elsewhere(world: &World, snapshot: &Snapshot, owners: &[String]) -> bool {
    let Some(held) = snapshot.payload.as_ref().filter(|_| !world.protocol().is_foreign()) else {
        return false;
    };
    let is_theirs = |owner: &str| !owners.iter().any(|our| our == owner) && !is_dead(owner);
    held.owner().is_some_and(is_theirs) && !world.setup.identity.issued(held.token())
}
