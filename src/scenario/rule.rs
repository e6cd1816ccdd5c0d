//! The rules of a scenario file: what is done to single commands and pause points.

use super::error::{ScenarioError, quoted, unknown};
use super::names::{OnlyFor, Wait, only_for};
use super::plan::{Matches, Rule, RuleEffect};
use super::read::{Field, Table};
use super::step::Scope;
use super::sum::{Binding, Sum};
use super::vocabulary::{Member, PROTOCOL, Shape, names, needed, optional, words};
use crate::gate::PausePoint;
use std::collections::BTreeSet;

const PAUSES: [(&str, PausePoint); 5] = [
    ("token_read", PausePoint::TokenRead),
    ("token_write", PausePoint::TokenWrite),
    ("registry", PausePoint::Registry),
    ("file_read", PausePoint::FileRead),
    ("file_write", PausePoint::FileWrite),
];

/// The operations of a lock protocol that a rule can name.
const OPERATIONS: [(&str, &str); 3] =
    [("acquire", "acquire"), ("extend", "extend"), ("release", "release")];

/// What a rule matches: one of these.
pub(super) const MATCHES: [Member; 3] = [
    optional("command", Shape::Command, "a Redis command's name, in capitals"),
    optional(
        "operation",
        Shape::Word(|| words(&OPERATIONS)),
        "the command by which the lock protocol does this to the lock key; of a real client each one \
         that names the key while it does this",
    ),
    optional("pause", Shape::Word(|| words(&PAUSES)), "a place where local state is shared"),
];

/// What a rule does: one of these.
pub(super) const EFFECTS: [Member; 7] = [
    optional("hold_until", Shape::Reference, "waits until this step ended or rule matched"),
    optional("fail", Shape::Line, "never reaches the server; this error comes back"),
    optional("drop_reply", Shape::True, "runs, but its reply never comes"),
    optional("forget", Shape::True, "never reaches the server, and no reply comes"),
    optional("delay", Shape::Time, "waits this long"),
    optional("run_late", Shape::Reference, "the client gives up; runs after this step or rule"),
    optional("crash", Shape::True, "kills the actor before it"),
];

/// What else a rule may say.
pub(super) const DETAILS: [Member; 7] = [
    needed("name", Shape::Line, "what steps and rules that wait for it call it"),
    optional("actor", Shape::Reference, "whose: the name of an actor or of a group"),
    optional("lock", Shape::Reference, "only if it is about this lock"),
    optional("occurrence", Shape::Count, "the only match that it is for, from 1"),
    optional("from", Shape::Count, "the first match that it is for, from 1"),
    optional("to", Shape::Count, "the last match that it is for"),
    PROTOCOL,
];

/// The effects that a pause point can have: nothing is sent there.
const EFFECTS_OF_PAUSES: [&str; 3] = ["hold_until", "delay", "crash"];

/// A rule with its sums not worked out.
#[derive(Debug, Clone)]
pub(super) struct RuleSpec {
    name: String,
    protocol: OnlyFor,
    actor: Option<(String, usize)>,
    matches: Matches,
    lock: Option<usize>,
    range: Range,
    effect: EffectSpec,
    /// Where the file says what it does.
    pub(super) effect_at: usize,
}

/// For which matches a rule is.
#[derive(Debug, Clone)]
enum Range {
    Only(Sum),
    Between { from: Option<Sum>, to: Option<Sum> },
}

#[derive(Debug, Clone)]
enum EffectSpec {
    Delay(Sum),
    Fixed(RuleEffect),
}

impl RuleSpec {
    /// Its name and its protocol, if it is for one only.
    pub(super) fn only_for_a_protocol(&self) -> Option<(&str, &'static str)> {
        Some((&self.name, self.protocol?))
    }

    pub(super) fn read(item: Field<'_>, scope: &mut Scope<'_>) -> Result<Self, ScenarioError> {
        let table = item.table("a rule")?;
        let (matches, effects) = (names(&MATCHES), names(&EFFECTS));
        table.only(&[&matches[..], &effects[..], &names(&DETAILS)[..]].concat())?;
        let protocol = only_for(&table)?;
        let name = scope.name_of_rule(table.need("name")?, protocol)?;
        let matched = table.one_of(&matches)?;
        let actor = table.get("actor").map(|field| Ok((field.text()?.to_owned(), field.at)));
        let lock = table.get("lock").map(|field| scope.lock(field)).transpose()?;
        let effect = table.one_of(&effects)?;
        if matched.name == "pause" {
            let unfit = |field: &Field<'_>| {
                field.name == "lock"
                    || effects.contains(&field.name) && !EFFECTS_OF_PAUSES.contains(&field.name)
            };
            if let Some(field) = table.in_order().into_iter().find(unfit) {
                let message = format!("\"{}\" does not go with \"pause\"", field.name);
                return Err(field.error_at_key(message));
            }
        }
        Ok(Self {
            effect_at: effect.at,
            effect: EffectSpec::read(effect, &name, protocol, scope)?,
            name,
            protocol,
            actor: actor.transpose()?,
            matches: matches_of(matched)?,
            lock,
            range: Range::read(&table, scope)?,
        })
    }

    /// Whether it has this name under this protocol.
    pub(super) fn is(&self, name: &str, protocol: &str) -> bool {
        self.name == name && self.protocol.is_none_or(|own| own == protocol)
    }

    /// The rule; nothing if it isn't for this protocol. `groups` and `actors` are whom it can name.
    pub(super) fn bind(
        &self,
        binding: &Binding,
        groups: &BTreeSet<&str>,
        actors: &BTreeSet<&str>,
    ) -> Result<Option<Rule>, ScenarioError> {
        if !self.is(&self.name, binding.protocol) {
            return Ok(None);
        }
        if let Some((name, at)) = &self.actor
            && !groups.contains(&**name)
            && !actors.contains(&**name)
        {
            let known = groups.iter().copied();
            return Err(binding.source.error(*at, unknown("actor", name, known)));
        }
        let (from, to) = self.range.bind(binding)?;
        let effect = match &self.effect {
            EffectSpec::Delay(sum) => RuleEffect::Delay(sum.to_duration(binding)?),
            EffectSpec::Fixed(effect) => effect.clone(),
        };
        Ok(Some(Rule {
            name: self.name.clone(),
            actor: self.actor.as_ref().map(|(name, _)| name.clone()),
            matches: self.matches.clone(),
            lock: self.lock,
            from,
            to,
            effect,
        }))
    }
}

fn matches_of(field: Field<'_>) -> Result<Matches, ScenarioError> {
    const LONGEST: usize = 20;
    match field.name {
        "pause" => Ok(Matches::Pause(field.word(&PAUSES)?)),
        "operation" => Ok(Matches::Command(field.word(&OPERATIONS)?.to_owned())),
        _ => {
            let name = field.text()?;
            let is_one = (1..=LONGEST).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_uppercase());
            if is_one {
                return Ok(Matches::Command(name.to_owned()));
            }
            let name = quoted(name);
            Err(field.error(format!("{name} is no command; write its name in capitals: \"DEL\"")))
        }
    }
}

impl Range {
    fn read(table: &Table<'_>, scope: &mut Scope<'_>) -> Result<Self, ScenarioError> {
        let mut count = |name| {
            let sum = table.get(name).map(|field| Sum::count(field, &mut scope.parameters));
            sum.transpose()
        };
        let Some(only) = count("occurrence")? else {
            return Ok(Self::Between { from: count("from")?, to: count("to")? });
        };
        match table.get("from").or(table.get("to")) {
            None => Ok(Self::Only(only)),
            Some(field) => {
                let message = format!("\"{}\" does not go with \"occurrence\"", field.name);
                Err(field.error_at_key(message))
            }
        }
    }

    fn bind(&self, binding: &Binding) -> Result<(u32, Option<u32>), ScenarioError> {
        let (from, to) = match self {
            Self::Only(only) => (Some(only), Some(only)),
            Self::Between { from, to } => (from.as_ref(), to.as_ref()),
        };
        let first = from.map_or(Ok(1), |sum| sum.to_count_from(1, binding, u32::MAX))?;
        let last = to.map(|sum| sum.to_count_from(first, binding, u32::MAX)).transpose()?;
        Ok((first, last))
    }
}

impl EffectSpec {
    fn read(
        field: Field<'_>,
        rule: &str,
        protocol: OnlyFor,
        scope: &mut Scope<'_>,
    ) -> Result<Self, ScenarioError> {
        let mut signal = |field: Field<'_>| {
            let name = field.text()?.to_owned();
            if name == rule {
                return Err(field.error(format!("{} waits for itself", quoted(rule))));
            }
            scope.waits.push(Wait { name: name.clone(), at: field.at, group: None, protocol });
            Ok(name)
        };
        let effect = match field.name {
            "hold_until" => RuleEffect::HoldUntil(signal(field)?),
            "run_late" => RuleEffect::RunLate(signal(field)?),
            "fail" => RuleEffect::Fail(error_reply(field)?),
            "delay" => return Ok(Self::Delay(Sum::time(field, &mut scope.parameters)?)),
            only_true => {
                field.only_true()?;
                match only_true {
                    "drop_reply" => RuleEffect::DropReply,
                    "forget" => RuleEffect::Forget,
                    _ => RuleEffect::Crash,
                }
            }
        };
        Ok(Self::Fixed(effect))
    }
}

/// What a server says that refuses: a word in capitals, and the rest of the line.
fn error_reply(field: Field<'_>) -> Result<String, ScenarioError> {
    let reply = field.line()?;
    let code = reply.split(' ').next().unwrap_or_default();
    if code.is_empty() || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        let example = "READONLY You can't write against a read only replica.";
        let message = format!("an error reply begins with a word in capitals: \"{example}\"");
        return Err(field.error(message));
    }
    Ok(reply)
}
