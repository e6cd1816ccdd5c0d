//! From plan, history and snapshots to the report.

use super::Outcome as Word;
use super::rows::rows;
use super::{ActorRow, FindingRow, Repetition, Report, SnapshotRow, Summary};
use lock_history::check::{ActorEnd, Finding, Property, Ruling, Status, Verdict};
use lock_history::history::{Event, EventKind, FailureKind, Verb};
use lock_lab::lock::{StateFile, Token, WriteGuard};
use lock_lab::runtime::{LabelledSnapshot, Outcome, Time, World};
use lock_lab::scenario::{ActorPlan, Plan, Value};
use lock_lab::server::Server;
use std::time::Duration;

/// What a report says besides the outcome of the run.
#[derive(Debug, Default)]
pub struct Besides {
    /// The file that the scenario was read from, as the user wrote it.
    pub file: Option<String>,
    /// What decided the order among equals.
    pub seed: Option<u64>,
    /// The command that runs it again.
    pub replay: Option<String>,
    /// What the user should know first.
    pub notices: Vec<String>,
    /// What the user should know where the expectations were not met.
    pub hint: Option<String>,
}

impl Report {
    /// The report on a run that was judged.
    pub fn new(world: &World, outcome: &Outcome, ruling: &Ruling, besides: Besides) -> Self {
        let plan = world.plan();
        let Besides { file, seed, replay, mut notices, hint } = besides;
        let actors = actor_rows(plan, &ruling.ends);
        let never = |rule| format!("rule {rule:?} never matched anything");
        notices.extend(outcome.unmatched.iter().map(never));
        let findings = &ruling.checked.findings;
        let found = |property| findings.iter().any(|finding| finding.property == property);
        if world.protocol().write_guard() == WriteGuard::Fence
            && found(Property::Overlap)
            && !found(Property::LostUpdate)
        {
            notices.push(HARMLESS_OVERLAP.into());
        }
        notices.extend(hint);
        let lock = |index: usize| Some(plan.locks.get(index)?.name.clone());
        let actor = |index: usize| Some(plan.actors.get(index)?.name.clone());
        let first = world.files().first().map(StateFile::run);
        Self {
            schema: Self::SCHEMA,
            scenario: plan.scenario.clone(),
            title: plan.title.clone(),
            file,
            server: world.server().name().into(),
            server_from: world.server().variables(),
            clock: match world.time() {
                Time::Wall(_) => "wall",
                Time::Virtual(_) => "virtual",
            },
            processes: world.has_processes(),
            seed,
            protocol: world.protocol().name().into(),
            working_directory: first
                .map(|run| run.path().display().to_string())
                .unwrap_or_default(),
            runid: first.map(|run| run.runid().to_string()).unwrap_or_default(),
            state_files: world.files().iter().map(|file| file.name().to_owned()).collect(),
            lock_only: world.is_lock_only(),
            parameters: parameters(plan),
            summary: summary(&actors, outcome),
            actors,
            consistency: outcome
                .snapshots
                .iter()
                .map(|labelled| snapshot_row(world, labelled))
                .collect(),
            rows: rows(plan, outcome, matches!(world.server(), Server::Embedded(_))),
            findings: findings.iter().map(|it| FindingRow::new(it, lock, actor)).collect(),
            expectations: ruling.expectations.clone(),
            verdict: ruling.verdict,
            outcome: Word::of_run(ruling.verdict, &plan.expectations),
            notices,
            replay,
            repetition: None,
        }
    }

    /// The same as the report on several runs, of which it shows the worst. They were broken off if a
    /// notice says so.
    pub fn of_runs(self, repetition: Repetition, broken_off: Option<String>) -> Self {
        let verdict = Verdict::of_runs(self.verdict, broken_off.is_none());
        let outcome = if verdict == self.verdict { self.outcome } else { Word::Inconclusive };
        Self {
            verdict,
            outcome,
            notices: self.notices.into_iter().chain(broken_off).collect(),
            repetition: Some(repetition),
            ..self
        }
    }
}

/// What is said where two believed at once that they hold a hardened lock.
const HARMLESS_OVERLAP: &str = "an overlap remains possible: no lock with a TTL can rule it out when \
    a holder can be paused. It did no harm: the state file had the later holder's fencing token, \
    so the earlier one could no longer write, and was told";

/// Each parameter as the user would write it.
pub(super) fn parameters(plan: &Plan) -> serde_json::Map<String, serde_json::Value> {
    let written = |value: &Value| match value {
        Value::Count(count) => (*count).into(),
        other => other.to_string().into(),
    };
    plan.parameters.iter().map(|(name, value)| (name.clone(), written(value))).collect()
}

pub(super) fn milliseconds(duration: Duration) -> f64 {
    // Whole nanoseconds, so that the same run prints the same digits.
    duration.as_nanos() as f64 / 1e6
}

fn actor_rows(plan: &Plan, ends: &[ActorEnd]) -> Vec<ActorRow> {
    let row = |(index, (actor, end)): (usize, (&ActorPlan, &ActorEnd))| ActorRow {
        name: actor.name.clone(),
        index,
        status: end.status,
        duration_ms: milliseconds(end.took),
        error: end.error.clone(),
    };
    plan.actors.iter().zip(ends).enumerate().map(row).collect()
}

fn summary(actors: &[ActorRow], outcome: &Outcome) -> Summary {
    let count = |status| actors.iter().filter(|row| row.status == status).count();
    let events = &outcome.history.events;
    let began = events.iter().find(|event| matches!(event.kind, EventKind::Started));
    let ended = events.iter().rfind(|event| matches!(event.kind, EventKind::Ended { .. }));
    let elapsed = match (began, ended) {
        (Some(began), Some(ended)) => ended.moment.time().saturating_sub(began.moment.time()),
        _ => Duration::ZERO,
    };
    Summary {
        attempts: actors.len(),
        succeeded: count(Status::Success),
        already_locked: count(Status::AlreadyLocked),
        errors: count(Status::Error),
        refused_steps: refused(events).saturating_sub(count(Status::AlreadyLocked)),
        elapsed_ms: milliseconds(elapsed),
        start_skew_us: outcome.start_skew.map(|skew| skew.as_nanos() as f64 / 1e3),
    }
}

/// How many acquires found the lock taken.
fn refused(events: &[Event]) -> usize {
    let is_refused = |event: &&Event| match &event.kind {
        EventKind::Failed { operation, failure } => {
            operation.verb == Verb::Acquire && failure.kind == FailureKind::AlreadyLocked
        }
        _ => false,
    };
    events.iter().filter(is_refused).count()
}

impl FindingRow {
    /// A finding; `lock` and `actor` give the names.
    pub(super) fn new(
        finding: &Finding,
        lock: impl Fn(usize) -> Option<String>,
        actor: impl Fn(usize) -> Option<String>,
    ) -> Self {
        Self {
            property: finding.property,
            lock: lock(finding.lock).unwrap_or_default(),
            actors: finding.actors.iter().filter_map(|index| actor(*index)).collect(),
            at_ms: milliseconds(Duration::from_nanos(finding.at)),
            time: None,
            text: finding.text.to_string(),
            cause: finding.cause,
        }
    }
}

fn snapshot_row(world: &World, labelled: &LabelledSnapshot) -> SnapshotRow {
    let snapshot = &labelled.snapshot;
    let payload = snapshot.payload.as_ref();
    let text = |token: &Token| token.as_str().to_string();
    SnapshotRow {
        label: labelled.label.clone(),
        lock_key: world
            .files()
            .get(labelled.lock)
            .map(|file| file.lock().key().to_string())
            .unwrap_or_default(),
        redis_lock_exists: payload.is_some(),
        redis_payload: payload.map(|found| String::from_utf8_lossy(found.raw()).into_owned()),
        redis_token: payload.map(|found| text(found.token())),
        owner: payload.and_then(|found| found.owner()).map(str::to_string),
        ttl_ms: snapshot.ttl_ms,
        hash_value: snapshot.flag.clone(),
        local_token: snapshot.local_token.as_ref().map(text),
        controller_locked: payload.is_some(),
        states_consistent: snapshot.diagnosis.is_consistent(),
        diagnosis: snapshot.diagnosis.word(),
        explanation: snapshot.diagnosis.explanation(),
    }
}
