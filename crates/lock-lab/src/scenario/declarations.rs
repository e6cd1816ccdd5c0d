//! What a scenario file declares before its actors: hazards, parameters and locks.

use super::error::quoted;
use super::form::*;
use super::parameter::{Kind, MOST, Parameter};
use super::plan::{LockPlan, Value};
use crate::lock::StateFile;
use std::collections::BTreeMap;

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
pub(super) fn hazards(list: Field<'_>, scope: &mut Scope<'_>) -> Result<Vec<String>> {
    const MOST_HAZARDS: usize = 100;
    let mut hazards = Vec::new();
    for field in list.items()? {
        if hazards.len() >= MOST_HAZARDS {
            return Err(field.error(format!("at most {MOST_HAZARDS} hazards")));
        }
        let Some(hazard) = scope.note(field.name('-')) else { continue };
        if hazards.contains(&hazard) {
            scope.flaws.push(field.error(format!("hazard \"{hazard}\" is named twice")));
        }
        hazards.push(hazard);
    }
    Ok(hazards)
}

/// Reads the parameters into the scope.
pub(super) fn parameters(list: &[Field<'_>], scope: &mut Scope<'_>) {
    for field in list {
        let parameter = parameter(*field, scope);
        let read = scope.note(parameter);
        let parameters = &mut scope.parameters;
        if read.is_none() {
            parameters.unread.insert(parameters.declared.len());
        }
        parameters.declared.push(read.unwrap_or_else(|| Parameter {
            name: field.name.to_owned(),
            help: String::new(),
            kind: ANY_COUNT,
            default: None,
            declared_at: field.key_at,
        }));
    }
}

/// A parameter; nothing, if what values it has can't be read.
fn parameter(field: Field<'_>, scope: &mut Scope<'_>) -> Result<Parameter> {
    scope.note(field.own_name());
    let form = ParameterForm::open(field, scope)?;
    let kind = kind(&form)?;
    if kind != Kind::Ttl {
        form.table.need("default")?;
    }
    let (name, help, declared_at) =
        (field.name.to_owned(), form.help.unwrap_or_default(), field.key_at);
    let mut parameter = Parameter { name, help, kind, default: None, declared_at };
    parameter.default = form.default.map(|field| value(&parameter, field)).transpose()?;
    Ok(parameter)
}

fn kind(form: &ParameterForm<'_>) -> Result<Kind> {
    let (min, max) = (&form.min, &form.max);
    let unread = |name: &str, member: &Option<_>| form.table.may_have(name) && member.is_none();
    let kind = form.kind.ok_or(Unread::Noted)?;
    if kind == ANY_COUNT && (unread("min", min) || unread("max", max)) {
        return Err(Unread::Noted);
    }
    let Some(last) = max.as_ref().or(min.as_ref()) else { return Ok(kind) };
    if kind != ANY_COUNT {
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
pub(super) fn locks(list: &Placed<'_, Vec<Field<'_>>>, scope: &mut Scope<'_>) -> Vec<LockPlan> {
    let mut locks: Vec<LockPlan> = Vec::new();
    let mut guarded: BTreeMap<(String, Option<String>), &str> = BTreeMap::new();
    for field in &list.value {
        scope.note(field.own_name());
        let read = lock(*field, scope);
        let lock = scope.note(read);
        if let Some(lock) = &lock
            && let Some(same) =
                guarded.insert((lock.run_suffix.clone(), lock.file.clone()), field.name)
        {
            let (same, own) = (quoted(same), quoted(field.name));
            let message = format!(
                "locks {same} and {own} are of one file; give each its own \"run_suffix\" or \"file\""
            );
            scope.flaws.push(field.error_at_key(message));
        }
        let unread = || LockPlan { name: field.name.into(), run_suffix: String::new(), file: None };
        locks.push(lock.unwrap_or_else(unread));
    }
    if locks.is_empty() {
        scope.flaws.push(list.field.error_at_key("a scenario needs a lock: [locks.main]"));
    }
    locks
}

fn lock(field: Field<'_>, scope: &mut Scope<'_>) -> Result<LockPlan> {
    const LONGEST: usize = 40;
    let form = LockForm::open(field, scope)?;
    let mut is_read = !(form.run_suffix.is_none() && form.table.may_have("run_suffix")
        || form.file.is_none() && form.table.may_have("file"));
    // What means something in a glob is plain in a path.
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-*?[]".contains(c);
    if let Some(suffix) = &form.run_suffix
        && (suffix.value.len() > LONGEST || !suffix.value.chars().all(plain))
    {
        let allowed = format!("up to {LONGEST} letters, digits, _, - and *?[]");
        let message = format!("{} must be {allowed}", quoted(suffix.value));
        scope.flaws.push(suffix.field.error(message));
        is_read = false;
    }
    if let Some(file) = &form.file
        && let Err(error) = StateFile::check(file.value)
    {
        scope.flaws.push(file.field.error(error.to_string()));
        is_read = false;
    }
    if !is_read {
        return Err(Unread::Noted);
    }
    Ok(LockPlan {
        name: field.name.to_owned(),
        run_suffix: form.run_suffix.map(|it| it.value.to_owned()).unwrap_or_default(),
        file: form.file.map(|it| it.value.to_owned()),
    })
}
