//! The steps of a scenario file: one verb each.

use super::error::{ScenarioError, list, unknown};
use super::plan::{Action, LockPlan, Step};
use super::read::{Field, Table};
use super::sum::{Binding, Parameters, Sum};
use std::collections::BTreeSet;

/// What a step can do, as files say it: [`Action::verb`].
const VERBS: [&str; 12] = [
    "acquire",
    "release",
    "force_release",
    "dump",
    "work",
    "sleep",
    "locked",
    "forget_token",
    "replace_token",
    "plant_orphan",
    "clear_locks",
    "snapshot",
];

/// What can stand beside a verb.
const BESIDE: [&str; 6] = ["name", "go_on", "ttl", "lock", "body", "label"];

/// How deep `locked` bodies may stand in each other.
const DEEPEST: usize = 16;

/// Labels of the snapshots that the runtime takes of every lock, around all actors.
pub(super) const AROUND: [&str; 2] = ["before", "after"];

/// A step with its sums not worked out.
#[derive(Debug, Clone)]
pub(super) struct StepSpec {
    name: Option<String>,
    go_on: bool,
    action: ActionSpec,
}

#[derive(Debug, Clone)]
enum ActionSpec {
    Acquire { lock: usize, ttl: Option<Sum> },
    Work { lock: usize, duration: Sum },
    Sleep { duration: Sum },
    Locked { lock: usize, ttl: Option<Sum>, body: Vec<StepSpec> },
    PlantOrphan { lock: usize, ttl: Sum },
    Fixed(Action),
}

/// What the steps of a file may speak of, and what they are called.
pub(super) struct Scope<'a> {
    pub(super) parameters: Parameters<'a>,
    pub(super) locks: &'a [LockPlan],
    pub(super) steps: BTreeSet<String>,
    pub(super) labels: BTreeSet<String>,
}

impl Scope<'_> {
    /// The position of the lock that this member names.
    pub(super) fn lock(&self, field: Field<'_>) -> Result<usize, ScenarioError> {
        let name = field.text()?;
        let position = self.locks.iter().position(|lock| lock.name == name);
        let known = || self.locks.iter().map(|lock| &*lock.name);
        position.ok_or_else(|| field.error(unknown("lock", name, known())))
    }

    /// The lock that is meant where none is named and none is around: the file's only one.
    pub(super) fn only_lock(&self, table: &Table<'_>) -> Result<usize, ScenarioError> {
        if self.locks.len() == 1 {
            return Ok(0);
        }
        let names: Vec<&str> = self.locks.iter().map(|lock| &*lock.name).collect();
        Err(table.error(format!("say which lock: lock = one of {}", list(&names))))
    }

    /// The sum of a member that may be left out.
    fn ttl(&mut self, table: &Table<'_>) -> Result<Option<Sum>, ScenarioError> {
        table.get("ttl").map(|field| Sum::time(field, &mut self.parameters)).transpose()
    }
}

impl StepSpec {
    /// Reads a list of steps; `around` is the lock and the depth of the `locked` around it.
    pub(super) fn read_all(
        list: Field<'_>,
        scope: &mut Scope<'_>,
        around: Option<(usize, usize)>,
    ) -> Result<Vec<Self>, ScenarioError> {
        list.items()?.into_iter().map(|item| Self::read(item, scope, around)).collect()
    }

    fn read(
        item: Field<'_>,
        scope: &mut Scope<'_>,
        around: Option<(usize, usize)>,
    ) -> Result<Self, ScenarioError> {
        let table = item.table("a step")?;
        table.only(&[&VERBS[..], &BESIDE[..]].concat())?;
        let verb = table.one_of(&VERBS)?;
        let fitting = beside(verb.name);
        if let Some(field) = table
            .in_order()
            .into_iter()
            .find(|field| field.name != verb.name && !fitting.contains(&field.name))
        {
            let message = format!(
                "\"{}\" does not go with \"{}\"; what does: {}",
                field.name,
                verb.name,
                list(&fitting)
            );
            return Err(field.error_at_key(message));
        }
        let name = table.get("name").map(|field| unique(field, &mut scope.steps)).transpose()?;
        let go_on = table.get("go_on").map_or(Ok(false), |field| field.flag())?;
        let action = ActionSpec::read(&table, verb, scope, around)?;
        Ok(Self { name, go_on, action })
    }

    /// The step with its sums worked out.
    pub(super) fn bind(&self, binding: &Binding) -> Result<Step, ScenarioError> {
        let action = self.action.bind(binding)?;
        Ok(Step { name: self.name.clone(), go_on: self.go_on, action })
    }
}

/// What may stand beside this verb.
fn beside(verb: &str) -> Vec<&'static str> {
    let own: &[&str] = match verb {
        "acquire" | "plant_orphan" => &["ttl"],
        "locked" => &["ttl", "body"],
        "work" => &["lock"],
        "snapshot" => &["label"],
        _ => &[],
    };
    [&["name", "go_on"], own].concat()
}

/// A name that no other step (or label that no other snapshot) has.
fn unique(field: Field<'_>, taken: &mut BTreeSet<String>) -> Result<String, ScenarioError> {
    let name = field.line()?;
    if taken.insert(name.clone()) {
        return Ok(name);
    }
    Err(field.error(format!("two steps have the {} {name:?}; each needs its own", field.name)))
}

impl ActionSpec {
    fn read(
        table: &Table<'_>,
        verb: Field<'_>,
        scope: &mut Scope<'_>,
        around: Option<(usize, usize)>,
    ) -> Result<Self, ScenarioError> {
        match verb.name {
            "work" => {
                let lock = match (table.get("lock"), around) {
                    (Some(field), _) => scope.lock(field)?,
                    (None, Some((lock, _))) => lock,
                    (None, None) => scope.only_lock(table)?,
                };
                Ok(Self::Work { lock, duration: Sum::time(verb, &mut scope.parameters)? })
            }
            "sleep" => Ok(Self::Sleep { duration: Sum::time(verb, &mut scope.parameters)? }),
            _ => Self::of_lock(table, verb, scope.lock(verb)?, scope, around),
        }
    }

    /// Those whose verb has a lock for its value.
    fn of_lock(
        table: &Table<'_>,
        verb: Field<'_>,
        lock: usize,
        scope: &mut Scope<'_>,
        around: Option<(usize, usize)>,
    ) -> Result<Self, ScenarioError> {
        Ok(Self::Fixed(match verb.name {
            "acquire" => return Ok(Self::Acquire { lock, ttl: scope.ttl(table)? }),
            "locked" => {
                let ttl = scope.ttl(table)?;
                let depth = around.map_or(1, |(_, depth)| depth + 1);
                if depth > DEEPEST {
                    let message = format!("at most {DEEPEST} \"locked\" may stand in each other");
                    return Err(verb.error_at_key(message));
                }
                let body = StepSpec::read_all(table.need("body")?, scope, Some((lock, depth)))?;
                return Ok(Self::Locked { lock, ttl, body });
            }
            "plant_orphan" => {
                let ttl = Sum::time(table.need("ttl")?, &mut scope.parameters)?;
                return Ok(Self::PlantOrphan { lock, ttl });
            }
            "snapshot" => {
                let field = table.need("label")?;
                if let Ok(text) = field.text()
                    && AROUND.contains(&text)
                {
                    let message = "the run's own snapshots are labelled before and after; \
                                   choose another label";
                    return Err(field.error(message));
                }
                Action::Snapshot { lock, label: unique(field, &mut scope.labels)? }
            }
            "dump" => Action::Dump { lock },
            "release" => Action::Release { lock, force: false },
            "force_release" => Action::Release { lock, force: true },
            "forget_token" => Action::ForgetToken { lock },
            "replace_token" => Action::ReplaceToken { lock },
            "clear_locks" => Action::ClearLocks { lock },
            other => return Err(verb.error_at_key(unknown("verb", other, VERBS))),
        }))
    }

    fn bind(&self, binding: &Binding) -> Result<Action, ScenarioError> {
        let ttl = |ttl: &Option<Sum>| ttl.as_ref().map(|sum| sum.to_ttl(binding)).transpose();
        Ok(match self {
            Self::Acquire { lock, ttl: sum } => Action::Acquire { lock: *lock, ttl: ttl(sum)? },
            Self::Work { lock, duration } => {
                Action::Work { lock: *lock, duration: duration.to_duration(binding)? }
            }
            Self::Sleep { duration } => Action::Sleep { duration: duration.to_duration(binding)? },
            Self::Locked { lock, ttl: sum, body } => {
                let body = body.iter().map(|step| step.bind(binding)).collect::<Result<_, _>>()?;
                Action::Locked { lock: *lock, ttl: ttl(sum)?, body }
            }
            Self::PlantOrphan { lock, ttl } => {
                Action::PlantOrphan { lock: *lock, ttl: ttl.to_ttl(binding)? }
            }
            Self::Fixed(action) => action.clone(),
        })
    }
}
