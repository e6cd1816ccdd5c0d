//! Scripts: whose commands are whose, and what a script does after it has read a key shows what it
//! found there.

use super::{Model, when};
use crate::lock::{self, Payload, token_at_beginning};
use crate::record::act::{Act, acts};
use crate::record::key::{Id, Key};
use crate::record::line::Line;
use crate::record::seen::{Call, Seen, text_token};
use std::rc::Rc;

/// A script that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub number: u32,
    pub client: u32,
    pub at: u64,
    pub since: u64,
    pub carried: Vec<Rc<str>>,
    pub purpose: Option<lock::Operation>,
    /// The locks that it read and did not change since.
    pub read: Vec<usize>,
    pub is_noted: bool,
}

impl Model {
    /// A script begins to run.
    pub(super) fn begin_script(&mut self, line: &Line, address: &str, since: u64) {
        let arguments: Vec<&[u8]> = line.arguments.iter().map(Vec::as_slice).collect();
        let keys = arguments.get(2).and_then(|number| std::str::from_utf8(number).ok());
        let keys: usize = keys.and_then(|number| number.parse().ok()).unwrap_or(0);
        let names = arguments.get(3..).unwrap_or_default();
        let is_ours = names.iter().take(keys).any(|key| self.watch.has(key));
        if !is_ours && !names.is_empty() && keys > 0 {
            return;
        }
        let rest = names.get(keys..).unwrap_or_default();
        let carried = rest.iter().map(|argument| match token_at_beginning(argument) {
            Some(token) => Rc::from(token),
            None => text_token(&Payload::decode(argument)),
        });
        let carried: Vec<Rc<str>> = carried.collect();
        let purpose = lock::script_operation(&arguments);
        let client = self.client(address);
        if purpose == Some(lock::Operation::Acquire)
            && let Some(open) = rest.first()
        {
            // The script adds the fencing token and closes the payload.
            let payload = Payload::decode(&[open, &b"0}"[..]].concat());
            self.seen.own(client, payload.owner());
        }
        self.running = Some(Running {
            number: u32::try_from(self.seen.calls.len()).unwrap_or(u32::MAX),
            client,
            at: line.at,
            since,
            carried,
            purpose,
            read: Vec::new(),
            is_noted: false,
        });
    }

    /// A command of the script that runs.
    pub(super) fn inner(&mut self, line: &Line) {
        let Some(running) = &self.running else { return };
        if line.db != 0 {
            return;
        }
        let (client, began) = (running.client, running.at);
        let when = when(running.since, began, line.at.max(began));
        for (key, act) in acts(&line.arguments) {
            let Some(lock) = self.lock(key) else { continue };
            self.note_call();
            self.learn_from_script(lock, &act);
            self.act(lock, act, client, line.at, when);
        }
        let Some(address) = self.seen.address(client).map(str::to_owned) else { return };
        self.flags(line, &address);
    }

    /// What a script does after it has read a key shows what it found.
    fn learn_from_script(&mut self, lock: usize, act: &Act) {
        let Some(running) = &mut self.running else { return };
        if *act == Act::Read {
            running.read.push(lock);
            return;
        }
        let Some(read) = running.read.iter().position(|read| *read == lock) else { return };
        running.read.swap_remove(read);
        let carried = running.carried.clone();
        let purpose = running.purpose;
        let Some(key) = self.states.get_mut(lock).and_then(|state| state.key.as_mut()) else {
            return;
        };
        let ids = carried_ids(key, &self.seen, &carried);
        let decided = match act {
            Act::Put { .. } if ids.is_empty() => key.found(true),
            _ => key.compared(&ids, true, purpose == Some(lock::Operation::Release)),
        };
        self.settle(lock, decided);
    }

    /// The script is over: what it read and left alone was not what it looked for.
    pub(super) fn end_script(&mut self) {
        let Some(running) = self.running.take() else { return };
        for lock in running.read {
            let Some(key) = self.states.get_mut(lock).and_then(|state| state.key.as_mut()) else {
                continue;
            };
            let ids = carried_ids(key, &self.seen, &running.carried);
            let decided = if running.purpose == Some(lock::Operation::Acquire) {
                key.found(false)
            } else {
                key.compared(&ids, false, true)
            };
            self.settle(lock, decided);
        }
    }

    fn note_call(&mut self) {
        let Some(running) = &mut self.running else { return };
        if !std::mem::replace(&mut running.is_noted, true) {
            let carried = running.carried.clone();
            self.seen.calls.push(Call { carried, purpose: running.purpose });
        }
    }
}

/// The acquisitions in doubt whose tokens a script carries.
fn carried_ids(key: &Key, seen: &Seen, carried: &[Rc<str>]) -> Vec<Id> {
    let is_carried = |id: &Id| seen.token(*id).is_some_and(|token| carried.contains(token));
    key.candidates().filter(is_carried).collect()
}
