//! Scripts: whose commands are whose, and what a script does after it has read a key shows what it
//! found there.

use super::{KeysModel, when};
use crate::record::effects::Act;
use crate::record::key::{Id, Key, Outcome};
use crate::record::monitor_line::MonitorLine;
use crate::record::observations::{Observation, ScriptCall, Seen, text_token};
use crate::record::operation::Unit;
use crate::record::reasons::shown;
use lock_lab::lock::{self, Payload, token_at_beginning};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// A script that runs.
#[derive(Debug)]
pub(super) struct Running {
    /// The line that called it.
    line: MonitorLine,
    address: String,
    since: u64,
    /// The position of its call, once it has touched a watched key.
    pub noted: Option<u32>,
    /// The locks that it read and did not change since.
    pub read: Vec<usize>,
}

/// The scripts that were called, each with a number.
#[derive(Debug, Default)]
pub(super) struct Scripts(HashMap<String, usize>);

impl Scripts {
    /// The number of the script that a command calls.
    fn number(&mut self, arguments: &[&[u8]]) -> usize {
        let name = arguments.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
        let script = arguments.get(1).copied().unwrap_or_default();
        let script = match name.as_slice() {
            b"EVAL" | b"EVAL_RO" => sha1_smol::Sha1::from(script).digest().to_string(),
            b"FCALL" | b"FCALL_RO" => format!("function {}", shown(script)),
            _ => String::from_utf8_lossy(script).to_ascii_lowercase(),
        };
        let next = self.0.len();
        *self.0.entry(script).or_insert(next)
    }
}

impl KeysModel {
    /// A script that takes locks, and deletes none, was refused where it took none and left a lock as it
    /// found it, held by another client.
    pub(super) fn find_refusals(&mut self) {
        let call = |seen: &Seen, call: Option<u32>| {
            let call = seen.calls.get(usize::try_from(call?).ok()?)?;
            call.purpose.is_none().then_some(call.script)
        };
        let (mut takes, mut deletes) = (HashSet::new(), HashSet::new());
        let mut took = HashSet::new();
        for one in &self.seen.observations {
            match one.outcome {
                Outcome::Took => {
                    took.extend(one.call);
                    takes.extend(call(&self.seen, one.call));
                }
                Outcome::Deleted(_) => deletes.extend(call(&self.seen, one.call)),
                _ => {}
            }
        }
        let mut from = 0;
        while let Some(unit) = Unit::next(&self.seen, from) {
            let last = from + unit.observations.len().max(1) - 1;
            let of = unit.observations.first().and_then(|one| one.call);
            let script = call(&self.seen, of.filter(|of| !took.contains(of)));
            let acquires =
                script.is_some_and(|script| takes.contains(&script) && !deletes.contains(&script));
            let is_held = |one: &Observation| match one.outcome {
                Outcome::Saw(Some(held)) => {
                    self.seen.token(held).is_some_and(|token| !unit.carries(token))
                }
                _ => false,
            };
            let is_refused = acquires && unit.observations.iter().all(is_held);
            if let Some(one) = self.seen.observations.get_mut(last).filter(|_| is_refused) {
                one.outcome = Outcome::Refused;
                self.counts.refusals += 1;
            }
            from = last + 1;
        }
    }

    /// A script begins to run. Which keys it touches, the commands that it runs will show.
    pub(super) fn begin_script(&mut self, line: &MonitorLine, address: &str, since: u64) {
        let (line, address) = (line.clone(), address.to_owned());
        self.running = Some(Running { line, address, since, noted: None, read: Vec::new() });
    }

    /// A command of the script that runs.
    pub(super) fn inner(&mut self, line: &MonitorLine) {
        let Some(running) = &self.running else { return };
        let (address, began) = (running.address.clone(), running.line.at);
        let when = when(running.since, began, line.at.max(began));
        self.command(line, &address, when);
    }

    /// What a script does after it has read a key shows what it found. Gives whether it has.
    pub(super) fn learn_from_script(&mut self, lock: usize, act: &Act) -> bool {
        let Some(running) = &mut self.running else { return false };
        if act.is_read() {
            running.read.push(lock);
            return true;
        }
        let has_read = running.read.contains(&lock);
        running.read.retain(|read| *read != lock);
        let noted = running.noted;
        if has_read && !matches!(act, Act::Members(..)) {
            self.learn(lock, noted, act);
        }
        has_read
    }

    fn learn(&mut self, lock: usize, noted: Option<u32>, act: &Act) {
        let Some((key, call)) = self.key_and_call(lock, noted) else { return };
        let ids = carried_ids(key, &self.seen, &call.carried);
        let purpose = call.purpose;
        self.decide(lock, |key| match act {
            Act::Put { .. } if ids.is_empty() => key.found(true),
            _ => key.compared(&ids, true, purpose == Some(lock::Operation::Release)),
        });
    }

    /// The script is over: what it read and left alone was not what it looked for.
    pub(super) fn end_script(&mut self) {
        let Some(running) = self.running.take() else { return };
        for lock in running.read {
            let Some((key, call)) = self.key_and_call(lock, running.noted) else { continue };
            let ids = carried_ids(key, &self.seen, &call.carried);
            let purpose = call.purpose;
            self.decide(lock, |key| match purpose {
                Some(lock::Operation::Acquire) => key.found(false),
                _ => key.compared(&ids, false, true),
            });
        }
    }

    fn key_and_call(&self, lock: usize, noted: Option<u32>) -> Option<(&Key, &ScriptCall)> {
        let key = self.states.get(lock)?.key.as_ref()?;
        let call = self.seen.calls.get(usize::try_from(noted?).ok()?)?;
        Some((key, call))
    }

    /// Notes the call of the script that runs, now that it touches a watched key.
    pub(super) fn note_call(&mut self) {
        let Some(running) = self.running.as_mut().filter(|running| running.noted.is_none()) else {
            return;
        };
        running.noted = u32::try_from(self.seen.calls.len()).ok();
        let address = running.address.clone();
        let arguments: Vec<&[u8]> = running.line.arguments.iter().map(Vec::as_slice).collect();
        let keys = arguments.get(2).and_then(|number| std::str::from_utf8(number).ok());
        let keys: usize = keys.and_then(|number| number.parse().ok()).unwrap_or(0);
        let rest = arguments.get(3..).and_then(|names| names.get(keys..)).unwrap_or_default();
        let carried = rest.iter().map(|argument| match token_at_beginning(argument) {
            Some(token) => Rc::from(token),
            None => text_token(&Payload::decode(argument)),
        });
        let carried: Vec<Rc<str>> = carried.collect();
        let purpose = lock::script_operation(&arguments);
        // The script of an acquire adds the fencing token and closes the payload.
        let open = rest.first().filter(|_| purpose == Some(lock::Operation::Acquire));
        let payload = open.map(|open| Payload::decode(&[open, &b"0}"[..]].concat()));
        let script = self.scripts.number(&arguments);
        self.seen.calls.push(ScriptCall { carried, purpose, script });
        if let Some(payload) = payload {
            let client = self.client(&address);
            self.seen.own(client, payload.owner());
        }
    }
}

/// The acquisitions in doubt whose tokens a script carries.
fn carried_ids(key: &Key, seen: &Seen, carried: &[Rc<str>]) -> Vec<Id> {
    let is_carried = |id: &Id| seen.token(*id).is_some_and(|token| carried.contains(token));
    key.candidates().filter(is_carried).collect()
}
