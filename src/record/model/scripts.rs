//! Scripts: whose commands are whose, and what a script does after it has read a key shows what it
//! found there.

use super::{KeysModel, when};
use crate::record::effects::Act;
use crate::record::key::{Id, Key};
use crate::record::monitor_line::MonitorLine;
use crate::record::observations::{ScriptCall, Seen, text_token};
use lock_lab::lock::{self, Payload, token_at_beginning};
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

impl KeysModel {
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

    /// What a script does after it has read a key shows what it found.
    pub(super) fn learn_from_script(&mut self, lock: usize, act: &Act) {
        let Some(running) = &mut self.running else { return };
        if *act == Act::Read {
            running.read.push(lock);
            return;
        }
        let Some(read) = running.read.iter().position(|read| *read == lock) else { return };
        running.read.swap_remove(read);
        let noted = running.noted;
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
        self.seen.calls.push(ScriptCall { carried, purpose });
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
