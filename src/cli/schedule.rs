//! Finds the schedule that the user named, and makes of its scenario what is replayed.

use super::args::ReplayArgs;
use super::builtin::BuiltIn;
use super::exit::{Refusal, usage};
use super::input;
use super::probe::Keeper;
use anyhow::{Context, anyhow};
use lock_lab::lock::{LockName, RunGroup, StateFile, Ttl, in_process, protocol, protocols};
use lock_lab::probe::{PATIENCE, SUBJECT};
use lock_lab::runtime::{Model, Schedule};
use lock_lab::scenario::{Expectation, Scenario, parse_duration, unknown};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The largest file in which a schedule is looked for: 64 MiB.
const LARGEST: u64 = 64 << 20;
/// How the text of every schedule begins, whatever its version.
const BEGINNING: char = 'v';
/// The members of a report in which a schedule may stand.
const MEMBERS: [&str; 2] = ["schedule", "replay"];

/// The schedule that these words are, or that the file of this name holds.
pub(super) fn find(what: &str) -> Result<Schedule, Refusal> {
    let no_schedule = match what.parse() {
        Ok(schedule) => return Ok(schedule),
        Err(error) => error,
    };
    if is_meant_as_one(what) {
        return Err(usage(no_schedule));
    }
    let text = read(Path::new(what))?;
    let found = if is_meant_as_one(text.trim()) {
        text.parse()
    } else {
        let report: Option<Value> = serde_json::from_str(&text).ok();
        match report.as_ref().and_then(first_in) {
            Some(found) => found.parse(),
            None => {
                let why = "there is no schedule in it, and no report of explore with one";
                return Err(usage(anyhow!("{what}: {why}")));
            }
        }
    };
    found.with_context(|| what.to_owned()).map_err(usage)
}

fn is_meant_as_one(text: &str) -> bool {
    let version = text.strip_prefix(BEGINNING).and_then(|rest| rest.split_once(':'));
    version.is_some_and(|(version, _)| version.parse::<u32>().is_ok())
}

/// The first schedule in a report; it may stand in the command that replays it.
fn first_in(report: &Value) -> Option<&str> {
    match report {
        Value::Array(items) => items.iter().find_map(first_in),
        Value::Object(members) => {
            let own = MEMBERS.iter().find_map(|name| members.get(*name)?.as_str());
            let own = own.and_then(|text| text.split_whitespace().find(|it| is_meant_as_one(it)));
            own.or_else(|| members.values().find_map(first_in))
        }
        _ => None,
    }
}

fn read(path: &Path) -> Result<String, Refusal> {
    let shown = path.display();
    let mut text = String::new();
    let read = input::open(path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text));
    match read {
        Ok(length) if length as u64 > LARGEST => {
            Err(usage(anyhow!("{shown} is larger than {LARGEST} bytes")))
        }
        Ok(_) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let meant =
                input::similar(path).map(|near| format!("; did you mean {}?", near.display()));
            let meant = meant.unwrap_or_default();
            Err(usage(anyhow!("{shown:?} is neither a schedule (v1:...) nor a file{meant}")))
        }
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err(usage(anyhow!("{shown}: this is no text")))
        }
        Err(error) => Err(input::unreadable(path, &error)),
    }
}

/// The scenario that a schedule is about, and its file unless it is built in.
pub(super) fn scenario(
    schedule: &Schedule,
    instead: Option<&PathBuf>,
    builtin: &BuiltIn,
) -> Result<(Scenario, Option<String>), Refusal> {
    let path = instead.map_or(Path::new(&schedule.scenario), PathBuf::as_path);
    input::only(path, builtin)?.ok_or_else(|| {
        usage(anyhow!("{} holds several scenarios; name one of them", path.display()))
    })
}

/// What is replayed: the schedule's scenario with its parameters, which must show what it shows.
pub(super) fn model(
    schedule: &Schedule,
    scenario: &Scenario,
    args: &ReplayArgs,
    keeper: &Keeper,
) -> Result<Model, Refusal> {
    let (mut ttl, mut wait) = (Ttl::DEFAULT, Duration::ZERO);
    let mut values = BTreeMap::new();
    for (name, text) in &schedule.parameters {
        let wrong = |right| usage(anyhow!("the schedule's parameter {name}={text}: {right}"));
        let parameter = scenario.parameters().iter().find(|parameter| parameter.name == *name);
        match (parameter, name.as_str()) {
            (Some(parameter), _) => {
                values.insert(name.clone(), parameter.parse(text).map_err(wrong)?);
            }
            (None, "default_ttl") => {
                let duration = parse_duration(text).map_err(wrong)?;
                ttl = Ttl::try_from(duration).map_err(|error| wrong(error.to_string()))?;
            }
            (None, "wait") => wait = parse_duration(text).map_err(wrong)?,
            (None, _) => {
                let known = scenario.parameters().iter().map(|parameter| &*parameter.name);
                return Err(wrong(unknown("parameter", name, known)));
            }
        }
    }
    let mut plan =
        scenario.bind(&values, &schedule.protocol, ttl, wait).map_err(usage)?.unconstrained();
    // What the scenario expects is meant for the order that its rules force.
    let shown = schedule.shows.map(|property| Expectation::Finding { property, found: true });
    plan.expectations = shown.into_iter().collect();
    let group = args.stage.run_group.clone().map(|(group, name)| RunGroup { group, name });
    let file = args.stage.file.as_deref();
    let files = plan.state_files(&args.directory, group.as_ref(), file).map_err(usage)?;
    let origin = Schedule { turns: Vec::new(), ..schedule.clone() };
    if schedule.protocol == SUBJECT {
        let Some(command) = args.client.command() else {
            let why = "this schedule needs a client: add --subject or --python";
            return Err(usage(anyhow!(why)));
        };
        let locks: Vec<LockName> = files.iter().map(StateFile::lock).collect();
        let host = keeper.start(&command, &locks, args.client.patience.unwrap_or(PATIENCE))?;
        // Where leases are times in values, time can pass at more places.
        keeper.preflight(&host, &locks)?;
        let plan = Model::plan_of_subjects(plan, &host);
        return Ok(Model { plan, host, files, origin, upstream: None });
    }
    let Some(protocol) = protocol(&schedule.protocol) else {
        let known = protocols().iter().map(|known| known.name());
        return Err(usage(anyhow!("{}", unknown("protocol", &schedule.protocol, known))));
    };
    Ok(Model { plan, host: in_process(Arc::clone(protocol)), files, origin, upstream: None })
}
