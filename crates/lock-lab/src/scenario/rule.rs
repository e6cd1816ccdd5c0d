//! The rules of a scenario file: what is done to single commands and pause points.

use super::error::{quoted, unknown};
use super::expr::Sum;
use super::form::*;
use super::names::Wait;
use super::plan::{Matches, Rule, RuleEffect};
use crate::intercept::PausePoint;
use crate::lock::Operation;

/// What a rule matches: one of these.
pub(super) const MATCHES: [Choice<Matches>; 3] = [
    choice!("command": Command, "a Redis command's name, in capitals" => Matches::Command),
    choice!(
        "operation": Word<Operation>,
        "the command by which the lock protocol does this to the lock key; of a real client each one \
         that names the key while it does this"
        => Matches::Operation
    ),
    choice!("pause": Word<PausePoint>, "a place where local state is shared" => Matches::Pause),
];

/// What a rule does: one of these.
pub(super) const EFFECTS: [Choice<RuleEffect>; 7] = [
    choice!("hold_until": Text, "waits until this step ended or rule matched" => |name| {
        RuleEffect::HoldUntil(name.to_owned())
    }),
    choice!("fail": Reply, "never reaches the server; this error comes back" => RuleEffect::Fail),
    choice!("drop_reply": True, "runs, but its reply never comes" => |()| RuleEffect::DropReply),
    choice!("forget": True, "never reaches the server, and no reply comes" => |()| RuleEffect::Forget),
    choice!("delay": Time, "waits this long" => RuleEffect::Delay),
    choice!("run_late": Text, "the client gives up; runs after this step or rule" => |name| {
        RuleEffect::RunLate(name.to_owned())
    }),
    choice!("crash": True, "kills the actor before it" => |()| RuleEffect::Crash),
];

form! {
    /// What else a rule may say.
    RuleForm<'a>: "rule", "a rule" {
        name: Line = "what steps and rules that wait for it call it",
        actor: Option<At<Text>> = "whose: the name of an actor or of a group",
        lock: Option<Lock> = "only if it is about this lock",
        occurrence: Option<AnyCount> = "the only match that it is for, from 1",
        from: Option<AnyCount> = "the first match that it is for, from 1",
        to: Option<AnyCount> = "the last match that it is for",
        protocol: Option<Protocols> = ONLY_UNDER,
    }
}

shapes! {
    /// A Redis command's name.
    Command: String, json!({ "type": "string", "pattern": "^[A-Z]{1,20}$" }), |field, _| {
        const LONGEST: usize = 20;
        let name = field.text()?;
        let length = 1..=LONGEST;
        if length.contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Ok(name.to_owned());
        }
        let name = quoted(name);
        Err(field.error(format!("{name} is no command; write its name in capitals: \"DEL\"")))
    };
    /// What a server says that refuses: a word in capitals, and the rest of the line.
    Reply: String, text(), |field, _| {
        let reply = field.line()?;
        let code = reply.split(' ').next().unwrap_or_default();
        if code.is_empty() || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
            let example = "READONLY You can't write against a read only replica.";
            let message = format!("an error reply begins with a word in capitals: \"{example}\"");
            return Err(field.error(message));
        }
        Ok(reply)
    };
}

impl Words for Operation {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("acquire", Self::Acquire), ("extend", Self::Extend), ("release", Self::Release)]
    }
}

impl Words for PausePoint {
    fn words() -> Vec<(&'static str, Self)> {
        vec![
            ("token_read", Self::TokenRead),
            ("token_write", Self::TokenWrite),
            ("registry", Self::Registry),
            ("file_read", Self::FileRead),
            ("file_write", Self::FileWrite),
        ]
    }
}

/// What doesn't go with a pause point, where nothing is sent.
const NOT_WITH_PAUSE: [&str; 5] = ["lock", "fail", "drop_reply", "forget", "run_late"];

/// All members of a rule.
pub(super) fn all_members() -> Vec<Member> {
    [members(&MATCHES), members(&EFFECTS), RuleForm::MEMBERS.to_vec()].concat()
}

/// Reads a rule; gives it and the place of its effect, if it is for the protocol that is bound.
pub(super) fn rule(item: Field<'_>, scope: &mut Scope<'_>) -> Result<Option<(Rule, usize)>> {
    let mut table = scope.table(item, RuleForm::WHAT)?;
    scope.only(&mut table, &all_members());
    let flaws = &mut scope.flaws;
    let matches = table.one_of(&MATCHES, |choice| choice.member.name, flaws);
    let matches = flaws.note(matches);
    let effect = table.one_of(&EFFECTS, |choice| choice.member.name, flaws);
    let effect = flaws.note(effect);
    if table.has("pause") {
        table.fits("pause", |name| !NOT_WITH_PAUSE.contains(&name), "", flaws);
    }
    if table.has("occurrence") {
        table.fits("occurrence", |name| !["from", "to"].contains(&name), "", flaws);
    }
    let late = scope.late.len();
    let effect_at = effect.map_or(item, |(field, _)| field);
    let matches = matches.and_then(|(field, choice)| chosen(choice, field, scope));
    let effect = effect.and_then(|(field, choice)| chosen(choice, field, scope));
    let form = RuleForm::read(table, scope);
    let protocol = scope.only_for(&form.table, form.protocol);
    scope.name(&form.table, protocol, true);
    match &form.name {
        Some(name) => {
            let only = protocol.map(|only| (format!("the rule \"{name}\""), only));
            scope.only_under = scope.only_under.take().or(only);
        }
        None if !form.table.has("name") => scope.rules.open(),
        None => {}
    }
    if let Some(RuleEffect::HoldUntil(signal) | RuleEffect::RunLate(signal)) = &effect {
        wait_for(signal, effect_at, (form.name.as_deref(), protocol), scope);
    }
    let range = range(&form, scope);
    if let Some(actor) = &form.actor
        && !scope.may_be_an_actor(actor.value)
    {
        scope.late.push(actor.field.error(unknown("actor", actor.value, scope.groups.all())));
    }
    if !scope.is_for(protocol) {
        // Where its protocols can't be read, it may be for this one.
        if protocol.is_some_and(|only| !only.is_empty()) {
            scope.late.truncate(late);
        }
        return Ok(None);
    }
    let actor = form.actor.map(|actor| actor.value.to_owned());
    let lock = form.lock;
    let parts = form.name.zip(matches).zip(effect).zip(range);
    let (((name, matches), effect), (from, to)) = parts.ok_or(Unread::Noted)?;
    Ok(Some((Rule { name, actor, matches, lock, from, to, effect }, effect_at.at)))
}

/// What is made of a choice.
fn chosen<T>(choice: &Choice<T>, field: Field<'_>, scope: &mut Scope<'_>) -> Option<T> {
    let read = (choice.read)(field, scope);
    scope.note(read)
}

/// Has the rule wait for this step or rule.
fn wait_for(
    signal: &str,
    field: Field<'_>,
    (name, protocol): (Option<&str>, OnlyFor),
    scope: &mut Scope<'_>,
) {
    if name == Some(signal) {
        return scope.flaws.push(field.error(format!("{} waits for itself", quoted(signal))));
    }
    let (name, at) = (signal.to_owned(), field.at);
    scope.waits.push(Wait { name, at, group: None, protocol });
}

/// The first and the last of the matches that it is for.
fn range(form: &RuleForm<'_>, scope: &mut Scope<'_>) -> Option<(u32, Option<u32>)> {
    let (from, to) = match &form.occurrence {
        Some(only) => (Some(only), Some(only)),
        None => (form.from.as_ref(), form.to.as_ref()),
    };
    let mut bound = |sum: Option<&Sum<'_>>, least| {
        let count = sum.map(|sum| sum.within(least, u32::MAX, scope)).transpose();
        scope.note(count)
    };
    let first = bound(from, 1);
    let last = bound(to, first.flatten().unwrap_or(1));
    Some((first?.unwrap_or(1), last?))
}
