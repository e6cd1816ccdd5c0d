//! The steps of a scenario file: one verb each, and what stands beside it.

use super::action::{StepReader, VERBS, Verb};
use super::error::list;
use super::form::*;
use super::plan::Step;

form! {
    /// What can stand beside a verb.
    StepForm<'a>: "step", "a step" {
        name: Option<Line> = "what expectations and those who wait for it call it",
        go_on: Option<Flag> = "whether the actor goes on when the step fails",
        protocol: Option<At<Protocols>> = ONLY_UNDER,
        ttl: Option<Lease> = "for how long",
        wait: Option<Time> = "how long it keeps trying",
        lock: Option<Lock> = "which lock",
        body: Option<List<StepForm<'a>>> = "the steps in it",
        label: Option<Line> = "what reports and expectations call it",
        fresh: Option<Flag> = "whether to read the file into a controller of its own",
    }
}

/// What can stand beside every verb.
pub(super) const BESIDE_ALL: [&str; 3] = ["name", "go_on", "protocol"];

/// How deep bodies may stand in each other.
const DEEPEST: usize = 16;

/// What stands around a step.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    /// Whose step it is.
    pub(super) group: &'a str,
    /// The lock of the innermost `locked`.
    pub(super) lock: Option<usize>,
    pub(super) protocol: OnlyFor,
    /// How many bodies it is in.
    depth: usize,
    /// The name of the step around it, or of itself.
    name: Option<&'a str>,
    outer: Option<&'a Around<'a>>,
}

impl<'a> Around<'a> {
    pub(super) fn actor(group: &'a str) -> Self {
        Self { group, lock: None, protocol: None, depth: 0, name: None, outer: None }
    }

    /// Whether this is the name of the step itself, or of one around it.
    pub(super) fn is_in(&self, name: &str) -> bool {
        self.name == Some(name) || self.outer.is_some_and(|outer| outer.is_in(name))
    }

    /// What stands around the steps of a body, which may be under a lock.
    pub(super) fn body(&self, of: Field<'_>, lock: Option<usize>) -> Result<Around<'_>> {
        let depth = self.depth + 1;
        if depth > DEEPEST {
            return Err(
                of.error_at_key(format!("at most {DEEPEST} bodies may stand in each other"))
            );
        }
        Ok(Around { depth, lock: lock.or(self.lock), name: None, outer: Some(self), ..*self })
    }
}

/// Reads a list of steps. Those that are for another protocol are left out.
pub(super) fn steps(items: &[Field<'_>], scope: &mut Scope<'_>, around: &Around<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    for item in items {
        if scope.flaws.is_full() {
            break;
        }
        let read = step(*item, scope, around);
        steps.extend(scope.note(read).flatten());
    }
    steps
}

fn step(item: Field<'_>, scope: &mut Scope<'_>, around: &Around<'_>) -> Result<Option<Step>> {
    let mut table = scope.table(item, StepForm::WHAT)?;
    let verbs = VERBS.map(|verb| verb.member);
    scope.only(&mut table, &[&verbs[..], StepForm::MEMBERS].concat());
    let chosen = table.one_of(&VERBS, |verb| verb.member.name, &mut scope.flaws);
    let chosen = scope.note(chosen);
    if let Some((_, verb)) = chosen {
        beside(&table, verb, scope);
    }
    let late = scope.late.len();
    let form = StepForm::read(table, scope);
    let protocol = protocol(&form, around, scope);
    let protocol = scope.only_for(&form.table, protocol);
    if let (Some(only), Some((field, _))) = (protocol, chosen) {
        let what = || (format!("the step \"{}\" of \"{}\"", field.name, around.group), only);
        scope.only_under.get_or_insert_with(what);
    }
    scope.name(&form.table, protocol, false);
    scope.label(&form.table, protocol);
    let name = form.name.clone();
    let around = Around { protocol, name: name.as_deref(), outer: Some(around), ..*around };
    let lock = chosen.and_then(|(_, verb)| lock(&form, verb, &around, scope));
    let field = chosen.map_or(item, |(field, _)| field);
    let mut reader = StepReader { field, lock, form: &form, scope, around: &around };
    let action = match chosen {
        Some((_, verb)) => (verb.read)(&mut reader),
        None => reader.skim(),
    };
    let action = scope.note(action);
    if !scope.is_for(protocol) {
        scope.late.truncate(late);
        return Ok(None);
    }
    Ok(action.map(|action| Step { go_on: form.go_on.unwrap_or(false), action, name }))
}

/// The lock that is meant by a step that may name one: the one that it names, or that of the innermost
/// `locked`, or the file's only one.
fn lock(
    form: &StepForm<'_>,
    verb: &Verb,
    around: &Around<'_>,
    scope: &mut Scope<'_>,
) -> Option<usize> {
    if !verb.beside.contains(&"lock") {
        return None;
    }
    let lock = form.lock.or(around.lock).map_or_else(|| scope.only_lock(&form.table), Ok);
    scope.note(lock)
}

/// Notes what doesn't go with a verb.
fn beside(table: &Table<'_>, verb: &Verb, scope: &mut Scope<'_>) {
    let fitting = [&BESIDE_ALL, verb.needs, verb.beside].concat();
    let what_does = format!("; what does: {}", list(&fitting));
    table.fits(verb.member.name, |name| fitting.contains(&name), &what_does, &mut scope.flaws);
}

/// The protocols that a step is for: its own, if the step around it is for these, too.
fn protocol(form: &StepForm<'_>, around: &Around<'_>, scope: &mut Scope<'_>) -> OnlyFor {
    let (Some(own), Some(outer)) = (&form.protocol, around.protocol) else {
        return form.protocol.as_ref().map(|own| own.value).or(around.protocol);
    };
    let both = own.value.and(outer);
    if both.is_empty() && !own.value.is_empty() && !outer.is_empty() {
        let message =
            format!("it would never be taken: the step around it is for \"{}\"", outer.words());
        scope.flaws.push(own.field.error(message));
    }
    Some(both)
}
