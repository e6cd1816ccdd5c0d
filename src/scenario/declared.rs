//! What a scenario file declares before its actors: hazards, parameters and locks.

use super::error::{ScenarioError, quoted};
use super::parameter::{Kind, MOST, Parameter};
use super::plan::{LockPlan, Value};
use super::read::{Field, Table};
use super::vocabulary::{Member, Shape, names, needed, optional, words};

/// What a parameter may say.
pub(super) const PARAMETER: [Member; 5] = [
    needed("type", Shape::Word(|| words(&TYPES)), "what it may be"),
    optional("default", Shape::Value, "its value if none is given"),
    optional("min", Shape::Whole, "the least that a count may be"),
    optional("max", Shape::Whole, "the most that a count may be"),
    needed("help", Shape::Line, "one line on what it is"),
];

const ANY_COUNT: Kind = Kind::Count { min: 1, max: MOST };
const TYPES: [(&str, Kind); 3] =
    [("count", ANY_COUNT), ("duration", Kind::Duration), ("ttl", Kind::Ttl)];

/// What a lock may say.
pub(super) const LOCK: [Member; 1] =
    [optional("run_suffix", Shape::Line, "what is appended to the run directory's path")];

/// The most locks, and the most parameters, that a file may have.
const MOST_DECLARED: usize = 100;

/// The ids of the hazards.
pub(super) fn hazards(root: &Table<'_>) -> Result<Vec<String>, ScenarioError> {
    let mut hazards = Vec::new();
    for field in root.need("hazards")?.items()? {
        let hazard = field.name('-')?;
        if hazards.contains(&hazard) {
            return Err(field.error(format!("hazard \"{hazard}\" is named twice")));
        }
        hazards.push(hazard);
        if hazards.len() > MOST_DECLARED {
            return Err(field.error(format!("at most {MOST_DECLARED} hazards")));
        }
    }
    Ok(hazards)
}

/// The members of a table of the file's own names, in order.
fn declared<'a>(field: Field<'a>, what: &'static str) -> Result<Vec<Field<'a>>, ScenarioError> {
    let fields = field.table(what)?.in_order();
    match fields.get(MOST_DECLARED) {
        None => Ok(fields),
        Some(field) => {
            Err(field.error_at_key(format!("at most {MOST_DECLARED} may stand in {what}")))
        }
    }
}

/// The parameters, in the order of the file.
pub(super) fn parameters(root: &Table<'_>) -> Result<Vec<Parameter>, ScenarioError> {
    let fields = root.get("parameters").map_or(Ok(Vec::new()), |f| declared(f, "parameters"))?;
    fields.into_iter().map(parameter).collect()
}

fn parameter(field: Field<'_>) -> Result<Parameter, ScenarioError> {
    let name = field.own_name()?;
    let table = field.table("a parameter")?;
    table.only(&names(&PARAMETER))?;
    let kind = kind(&table)?;
    let help = table.need("help")?.line()?;
    let mut parameter = Parameter { name, help, kind, default: None, declared_at: field.key_at };
    let default = match kind {
        Kind::Ttl => table.get("default"),
        Kind::Count { .. } | Kind::Duration => Some(table.need("default")?),
    };
    parameter.default = default.map(|field| value(&parameter, field)).transpose()?;
    Ok(parameter)
}

fn kind(table: &Table<'_>) -> Result<Kind, ScenarioError> {
    let kind = table.need("type")?.word(&TYPES)?;
    let (min, max) = (table.get("min"), table.get("max"));
    if kind != ANY_COUNT {
        return match min.or(max) {
            None => Ok(kind),
            Some(field) => {
                Err(field
                    .error_at_key(format!("\"{}\" goes with type = \"count\" only", field.name)))
            }
        };
    }
    let low = min.map_or(Ok(1), |field| field.count())?;
    let high = max.map_or(Ok(MOST), |field| field.count())?;
    match max.or(min) {
        Some(field) if low > high || high > MOST => Err(field
            .error(format!("a count is from \"min\" to \"max\", and \"max\" is at most {MOST}"))),
        _ => Ok(Kind::Count { min: low, max: high }),
    }
}

/// A value that a file gives to a parameter.
pub(super) fn value(parameter: &Parameter, field: Field<'_>) -> Result<Value, ScenarioError> {
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
pub(super) fn locks(root: &Table<'_>) -> Result<Vec<LockPlan>, ScenarioError> {
    let mut locks: Vec<LockPlan> = Vec::new();
    for field in declared(root.need("locks")?, "locks")? {
        let lock = lock(field)?;
        if let Some(same) = locks.iter().find(|other| other.run_suffix == lock.run_suffix) {
            let message = format!(
                "locks \"{}\" and \"{}\" are of one run; give each its own \"run_suffix\"",
                same.name, lock.name
            );
            return Err(field.error_at_key(message));
        }
        locks.push(lock);
    }
    if locks.is_empty() {
        return Err(root.need("locks")?.error_at_key("a scenario needs a lock: [locks.main]"));
    }
    Ok(locks)
}

fn lock(field: Field<'_>) -> Result<LockPlan, ScenarioError> {
    const LONGEST: usize = 40;
    let name = field.own_name()?;
    let table = field.table("a lock")?;
    table.only(&names(&LOCK))?;
    let suffix = table.get("run_suffix").map(|field| Ok((field, field.text()?))).transpose()?;
    let Some((field, suffix)) = suffix else {
        return Ok(LockPlan { name, run_suffix: String::new() });
    };
    // What means something in a glob is plain in a path.
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-*?[]".contains(c);
    if suffix.len() > LONGEST || !suffix.chars().all(plain) {
        let allowed = format!("up to {LONGEST} letters, digits, _, - and *?[]");
        return Err(field.error(format!("{} must be {allowed}", quoted(suffix))));
    }
    Ok(LockPlan { name, run_suffix: suffix.to_owned() })
}
