//! The exploring process: all orderings of actors of a test, or one that is replayed.

use super::test::{REPLAY, Test};
use super::{Asked, Outcome};
use crate::probing::{Limits, doubt, explored, may_fail, stages};
use crate::report::exploration::{
    ClientRow, CounterexampleRow, Lanes, Ordering, ProtocolRow, StageRow, picture,
};
use lock_history::check::{Finding, Verdict};
use lock_lab::lock::{LockName, Ttl};
use lock_lab::probe::{
    MOST_LESSONS, PATIENCE, Preflight, Processes, SUBJECT, Start, SubjectError, Subjects,
};
use lock_lab::runtime::{
    self, Binding, Bounds, Model, ModelError, ReplayError, Schedule, Strategy, Timing,
};
use lock_lab::scenario::{Scenario, built_in};
use redis_sim::clock::WallClock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What the actors do: each takes the lock once, and releases it.
const SCENARIO: &str = "mutual_exclusion";

/// Why there is no verdict, and what to do.
#[derive(Debug, thiserror::Error)]
enum NoVerdict {
    #[error("{0}")]
    Said(String),
    #[error("the scenario can't be bound: {0}")]
    Model(#[from] ModelError),
    #[error("the replay parted from the schedule: {0}; unset {REPLAY} to explore again")]
    Replay(#[from] ReplayError),
}

impl From<SubjectError> for NoVerdict {
    fn from(error: SubjectError) -> Self {
        match error {
            SubjectError::Ended { last_words, .. } => Self::Said(format!(
                "the process of an actor ended{last_words}: it runs the test up to explore(...), so \
                 what comes before must not end it, and the name of the test's thread, or else of the \
                 function that calls explore(...), must be the test's"
            )),
            // The processes of closures are what elsewhere is a subject.
            other => {
                let said = other.to_string().replace("subject", "closure");
                Self::Said(said.replace("; see --patience", ""))
            }
        }
    }
}

/// The outcome of exploring, or of replaying the schedule in the environment.
pub(super) fn search(asked: &Asked, test: &Test) -> Outcome {
    let processes = Arc::<Processes>::default();
    let searched = match std::env::var(REPLAY) {
        Ok(word) => replay(asked, test, &processes, &word),
        Err(_) => explore(asked, test, &processes),
    };
    processes.kill();
    searched.unwrap_or_else(|why| Outcome::Inconclusive(format!("INCONCLUSIVE: {why}")))
}

fn explore(asked: &Asked, test: &Test, processes: &Arc<Processes>) -> Result<Outcome, NoVerdict> {
    if !test.explores_first() {
        return Err(NoVerdict::Said(
            "this test has explored already: the process of an actor runs the test up to its first \
             explore(...); put the second one into a test of its own"
                .into(),
        ));
    }
    let (model, preflight) = started(asked, test, processes)?;
    let limits = Limits {
        only: &asked.never,
        is_real: false,
        is_strict: false,
        never_extends: false,
        has_threads: false,
        may_fail: bounds(asked).iter().any(may_fail),
        preflight,
        shared: None,
    };
    let judged = limits.judged(&model.plan, Vec::new());
    let judged = judged.map_err(|why| NoVerdict::Said(why.to_string()))?;
    let row = explored(&model, &bounds(asked), &judged, &mut |_| true);
    let row = row.map_err(|error| NoVerdict::Said(error.to_string()))?;
    let row = ProtocolRow { lease_in_value: preflight.lease_in_value, ..row };
    let row = limits.named(&judged, row).of_client(&ClientRow::default(), None);
    if let Some(doubt) = doubt(preflight.exclusion) {
        let shown = doubt.check(&row, SCENARIO);
        shown.map_err(|doubtful| NoVerdict::Said(doubtful.to_string()))?;
    }
    Ok(outcome(&row, test))
}

/// A model of the test's actors, and what their lock is like without any race.
fn started(
    asked: &Asked,
    test: &Test,
    processes: &Arc<Processes>,
) -> Result<(Model, Preflight), NoVerdict> {
    let said = |why: String| NoVerdict::Said(why);
    let scenario = built_in(SCENARIO).map_err(|error| said(error.to_string()))?;
    let scenario = scenario.ok_or_else(|| said(format!("there is no {SCENARIO}")))?;
    let binding = binding(&scenario, asked).map_err(said)?;
    let start = Start {
        command: test.command().map_err(said)?,
        patience: PATIENCE,
        clock: Arc::new(WallClock::new(None)),
        processes: Arc::clone(processes),
        upstream: None,
    };
    let mut known = Preflight::default();
    let model = Model::of_subjects(&scenario, &binding, |_, locks: &[LockName]| {
        let subjects = Arc::new(Subjects::new(start, locks)?);
        known = subjects.preflight(locks)?;
        Ok::<_, NoVerdict>(subjects)
    })?;
    Ok((model, known))
}

fn binding(scenario: &Scenario, asked: &Asked) -> Result<Binding, String> {
    let mut values = BTreeMap::new();
    for parameter in scenario.parameters().iter().filter(|it| it.name == "clients") {
        let value = parameter.parse(&asked.clients.to_string());
        let value = value.map_err(|right| format!("{} clients: {right}", asked.clients))?;
        values.insert(parameter.name.clone(), value);
    }
    let (default_ttl, wait) = (Ttl::DEFAULT, Duration::ZERO);
    Ok(Binding { values, default_ttl, wait, timing: Timing::Async })
}

fn bounds(asked: &Asked) -> Vec<Bounds> {
    let bounds = Bounds {
        timing: Timing::Async,
        crashes: asked.crashes.unwrap_or_default(),
        faults: asked.faults.unwrap_or_default(),
        preemptions: None,
        max_schedules: None,
        max_time: Some(asked.max_time),
        until: Vec::new(),
        strategy: Strategy::Exhaustive,
    };
    match (asked.crashes, asked.faults) {
        (None, None) => stages(&bounds),
        _ => vec![bounds],
    }
}

/// Without what is said of a flag in parentheses.
fn without_flags(text: &str) -> String {
    let (mut kept, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(" (--property") {
        kept.push_str(before);
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    kept + rest
}

/// The outcome in words.
fn outcome(row: &ProtocolRow, test: &Test) -> Outcome {
    let also = row.not_found(false).into_iter().chain(row.untried()).collect::<Vec<_>>();
    // Methods of the builder, and not flags of the command line.
    let also = without_flags(&also.join("\n"));
    let also = also.replace("--max-time", "max_time").replace("--property", "never");
    match row.verdict {
        Verdict::Expected => Outcome::Safe(format!("PASS: {also}")),
        Verdict::Unexpected => {
            let found: Vec<_> =
                row.wrongly_found().map(|it| counterexample(row, it, test)).collect();
            let parts =
                [&*found.join("\n"), &also, &format!("BROKEN: {} {}", row.name, row.broken())];
            let parts = parts.into_iter().filter(|part| !part.is_empty());
            Outcome::Broken(parts.collect::<Vec<_>>().join("\n"))
        }
        Verdict::Inconclusive => {
            let why = row.inconclusive();
            let remedy = match row.covered.iter().all(StageRow::is_covered) {
                true => "do what is said above",
                false => {
                    "explore fewer clients, crashes and faults, or allow a longer max_time(...)"
                }
            };
            Outcome::Inconclusive(format!("{also}\nINCONCLUSIVE: {why}; {remedy}"))
        }
    }
}

fn counterexample(row: &ProtocolRow, found: &CounterexampleRow, test: &Test) -> String {
    let (how, lanes) = (row.found(found), picture(&found.lanes));
    format!("{how}\n{lanes}{}\n{}\n", found.text, test.replay(&found.schedule))
}

/// Runs one schedule again. That it shows nothing proves no lock safe.
fn replay(
    asked: &Asked,
    test: &Test,
    processes: &Arc<Processes>,
    word: &str,
) -> Result<Outcome, NoVerdict> {
    let schedule: Schedule =
        word.parse().map_err(|error| NoVerdict::Said(format!("{REPLAY}: {error}")))?;
    let (model, _) = started(asked, test, processes)?;
    let origin = Schedule { turns: Vec::new(), shows: None, ..schedule.clone() };
    if schedule.protocol != SUBJECT || origin != model.origin {
        return Err(NoVerdict::Said(format!(
            "the schedule in {REPLAY} is of another test, or of another version of nodb-trigger"
        )));
    }
    let mut replayed = runtime::replay(&model, &schedule.turns);
    for _ in 0..MOST_LESSONS {
        if !model.host.take_learned() {
            break;
        }
        replayed = runtime::replay(&model, &schedule.turns);
    }
    let replayed = replayed?;
    if let Some(failure) = &replayed.failure {
        return Err(NoVerdict::Said(failure.to_string()));
    }
    let findings = replayed.judge(&model.plan).checked.findings;
    let locks: Vec<String> = model.plan.locks.iter().map(|lock| lock.name.clone()).collect();
    let ordering = Ordering {
        history: &replayed.history,
        locks: &locks,
        is_foreign: true,
        timing: schedule.timing,
    };
    Ok(of_replay(ordering, &findings, &schedule))
}

fn of_replay(ordering: Ordering<'_>, findings: &[Finding], schedule: &Schedule) -> Outcome {
    let shown = findings.iter().position(|finding| Some(finding.property) == schedule.shows);
    let lanes = Lanes::of(ordering, findings, shown.unwrap_or_default());
    let property = schedule.shows.map_or("nothing", |property| property.word());
    let picture = picture(&lanes.rows);
    match shown.and_then(|shown| findings.get(shown)) {
        Some(finding) => Outcome::Broken(format!(
            "{picture}{}\nREPRODUCED: it shows {property} again",
            lanes.say(&finding.text)
        )),
        None => Outcome::Inconclusive(format!(
            "{picture}NOT REPRODUCED: it went as the schedule says, without {property}; one ordering \
             proves no lock safe: unset {REPLAY} to explore all"
        )),
    }
}
