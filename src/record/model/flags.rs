//! The mirror flags of NoDb locks.

use super::KeysModel;
use crate::record::key::Outcome;
use crate::record::monitor_line::MonitorLine;
use crate::record::observations::{Observation, What};
use crate::record::watch::Watch;

impl KeysModel {
    /// What a command does to mirror flags.
    pub(super) fn flags(&mut self, line: &MonitorLine, address: &str) {
        let Some((name, [hash, fields @ ..])) = line.arguments.split_first() else { return };
        let mut set: Vec<(&[u8], What)> = Vec::new();
        match name.to_ascii_uppercase().as_slice() {
            b"HSET" | b"HMSET" | b"HSETNX" => {
                for pair in fields.chunks_exact(2) {
                    if let [field, value] = pair {
                        set.push((field, What::Flag { locked: value != b"false" }));
                    }
                }
            }
            b"HDEL" => {
                let what = What::Flag { locked: false };
                set.extend(fields.iter().map(|field| (field.as_slice(), what.clone())));
            }
            b"HGET" => {
                set.extend(fields.iter().map(|field| (field.as_slice(), What::AskedFlag)));
            }
            _ => {}
        }
        for (field, what) in set {
            let Some(key) = Watch::key_of_flag(hash, field) else { continue };
            let Some(lock) = self.lock(&key) else { continue };
            let client = self.client(address);
            if what == (What::Flag { locked: true }) && self.running.is_none() {
                self.decide(lock, |key| key.claimed(client));
            }
            if let What::Flag { locked } = what
                && let Some(lock) = self.seen.locks.get_mut(lock)
            {
                lock.flag = locked;
            }
            let (at, call, command, outcome) = (line.at, self.call(), None, Outcome::Nothing);
            let observation = Observation { at, client, lock, call, command, what, outcome };
            self.seen.observations.push(observation);
        }
    }
}
