//! What a scenario file declares before its actors: hazards, parameters and locks.

use super::error::quoted;
use super::form::*;
use super::parameter::{Kind, MOST, Parameter};
use super::plan::{LockPlan, Value};
use crate::lock::StateFile;

form! {
    /// What a parameter may say.
    ParameterForm<'a>: "parameter", "a parameter" {
        kind as "type": Word<Kind> = "what it may be",
        default: Option<Plain> = "its value if none is given",
        min: Option<At<Whole>> = "the least that a count may be",
        max: Option<At<Whole>> = "the most that a count may be",
        help: Line = "one line on what it is",
    }
}

form! {
    /// What a lock may say.
    LockForm<'a>: "lock", "a lock" {
        run_suffix: Option<At<Text>> = "what is appended to the run directory's path",
        file: Option<At<Text>> = "the state file, as a path below the run directory",
    }
}

const ANY_COUNT: Kind = Kind::Count { min: 1, max: MOST };

impl Words for Kind {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("count", ANY_COUNT), ("duration", Self::Duration), ("ttl", Self::Ttl)]
    }
}

/// The ids of the hazards.
pub(super) fn hazards(list: Field<'_>) -> Result<Vec<String>> {
    const MOST_HAZARDS: usize = 100;
    let mut hazards = Vec::new();
    for field in list.items()? {
        let hazard = field.name('-')?;
        if hazards.contains(&hazard) {
            return Err(field.error(format!("hazard \"{hazard}\" is named twice")));
        }
        hazards.push(hazard);
        if hazards.len() > MOST_HAZARDS {
            return Err(field.error(format!("at most {MOST_HAZARDS} hazards")));
        }
    }
    Ok(hazards)
}

/// A parameter.
pub(super) fn parameter(field: Field<'_>, scope: &mut Scope<'_>) -> Result<Parameter> {
    let name = field.own_name()?;
    let form = ParameterForm::open(field, scope)?;
    let kind = kind(&form)?;
    if kind != Kind::Ttl {
        form.table.need("default")?;
    }
    let declared_at = field.key_at;
    let mut parameter = Parameter { name, help: form.help, kind, default: None, declared_at };
    parameter.default = form.default.map(|field| value(&parameter, field)).transpose()?;
    Ok(parameter)
}

fn kind(form: &ParameterForm<'_>) -> Result<Kind> {
    let (min, max) = (&form.min, &form.max);
    let Some(last) = max.as_ref().or(min.as_ref()) else { return Ok(form.kind) };
    if form.kind != ANY_COUNT {
        let first = min.as_ref().unwrap_or(last).field;
        let message = format!("\"{}\" goes with type = \"count\" only", first.name);
        return Err(first.error_at_key(message));
    }
    let low = min.as_ref().map_or(1, |min| min.value);
    let high = max.as_ref().map_or(MOST, |max| max.value);
    if low > high || high > MOST {
        let message = format!("a count is from \"min\" to \"max\", and \"max\" is at most {MOST}");
        return Err(last.field.error(message));
    }
    Ok(Kind::Count { min: low, max: high })
}

/// A value that a file gives to a parameter.
pub(super) fn value(parameter: &Parameter, field: Field<'_>) -> Result<Value> {
    let value = match parameter.kind {
        Kind::Count { .. } => Value::Count(field.count()?),
        Kind::Duration | Kind::Ttl => {
            let text = field.text()?;
            let value = parameter.parse(text);
            return value.map_err(|right| field.error(format!("{}: {right}", quoted(text))));
        }
    };
    parameter.check(value).map_err(|message| field.error(message))
}

/// The locks, in the order of the file.
pub(super) fn locks(
    list: &Placed<'_, Vec<Field<'_>>>,
    scope: &mut Scope<'_>,
) -> Result<Vec<LockPlan>> {
    let mut locks: Vec<LockPlan> = Vec::new();
    for field in &list.value {
        let lock = lock(*field, scope)?;
        let is_same =
            |other: &&LockPlan| (&other.run_suffix, &other.file) == (&lock.run_suffix, &lock.file);
        if let Some(same) = locks.iter().find(is_same) {
            let message = format!(
                "locks \"{}\" and \"{}\" are of one file; give each its own \"run_suffix\" or \"file\"",
                same.name, lock.name
            );
            return Err(field.error_at_key(message));
        }
        locks.push(lock);
    }
    if locks.is_empty() {
        return Err(list.field.error_at_key("a scenario needs a lock: [locks.main]"));
    }
    Ok(locks)
}

fn lock(field: Field<'_>, scope: &mut Scope<'_>) -> Result<LockPlan> {
    const LONGEST: usize = 40;
    let name = field.own_name()?;
    let LockForm { run_suffix, file, .. } = LockForm::open(field, scope)?;
    // What means something in a glob is plain in a path.
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-*?[]".contains(c);
    if let Some(suffix) = &run_suffix
        && (suffix.value.len() > LONGEST || !suffix.value.chars().all(plain))
    {
        let allowed = format!("up to {LONGEST} letters, digits, _, - and *?[]");
        return Err(suffix.field.error(format!("{} must be {allowed}", quoted(suffix.value))));
    }
    if let Some(file) = &file {
        StateFile::check(file.value).map_err(|error| file.field.error(error.to_string()))?;
    }
    Ok(LockPlan {
        name,
        run_suffix: run_suffix.map(|it| it.value.to_owned()).unwrap_or_default(),
        file: file.map(|it| it.value.to_owned()),
    })
}
