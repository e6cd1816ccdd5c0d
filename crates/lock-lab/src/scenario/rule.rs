//! The rules of a scenario file: what is done to single commands and pause points.

use super::error::{quoted, unknown};
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
        name: At<Line> = "what steps and rules that wait for it call it",
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
    let table = item.table(RuleForm::WHAT)?;
    table.only(&all_members())?;
    table.need("name")?;
    let (matched, matches) = table.one_of(&MATCHES, |choice| choice.member.name)?;
    let (field, effect) = table.one_of(&EFFECTS, |choice| choice.member.name)?;
    if matched.name == "pause" {
        table.fits("pause", |name| !NOT_WITH_PAUSE.contains(&name), "")?;
    }
    if table.get("occurrence").is_some() {
        table.fits("occurrence", |name| !["from", "to"].contains(&name), "")?;
    }
    let late = scope.late.len();
    let (matches, effect) = ((matches.read)(matched, scope)?, (effect.read)(field, scope)?);
    let form = RuleForm::read(table, scope)?;
    let name = &form.name.value;
    scope.name(&form.name, form.protocol, true)?;
    if let Some(only) = form.protocol {
        scope.only_under.get_or_insert_with(|| (format!("the rule \"{name}\""), only));
    }
    if let RuleEffect::HoldUntil(signal) | RuleEffect::RunLate(signal) = &effect {
        if signal == name {
            return Err(field.error(format!("{} waits for itself", quoted(name))));
        }
        let (name, at, protocol) = (signal.clone(), field.at, form.protocol);
        scope.waits.push(Wait { name, at, group: None, protocol });
    }
    let (from, to) = range(&form, scope);
    if let Some(actor) = &form.actor
        && !scope.groups.contains(actor.value)
        && !scope.actors.contains(actor.value)
    {
        let known = scope.groups.iter().map(|name| &**name);
        scope.late.push(actor.field.error(unknown("actor", actor.value, known)));
    }
    if !scope.is_for(form.protocol) {
        scope.late.truncate(late);
        return Ok(None);
    }
    let actor = form.actor.map(|actor| actor.value.to_owned());
    let rule = Rule { name: form.name.value, actor, matches, lock: form.lock, from, to, effect };
    Ok(Some((rule, field.at)))
}

/// The first and the last of the matches that it is for.
fn range(form: &RuleForm<'_>, scope: &mut Scope<'_>) -> (u32, Option<u32>) {
    let (from, to) = match &form.occurrence {
        Some(only) => (Some(only), Some(only)),
        None => (form.from.as_ref(), form.to.as_ref()),
    };
    let first = from.map_or(1, |sum| sum.within(1, u32::MAX, scope));
    (first, to.map(|sum| sum.within(first, u32::MAX, scope)))
}
