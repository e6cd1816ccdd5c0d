//! Small random scenarios of all kinds, as files.

use crate::rng::Rng;
use std::fmt::Write;

/// The text of a scenario; not all of them can be bound.
pub(super) fn scenario(seed: u64) -> String {
    let mut writer = Writer { rng: Rng::new(seed), text: String::new(), names: 0, locks: 1 };
    writer.write();
    writer.text
}

struct Writer {
    rng: Rng,
    text: String,
    /// How many steps have a name.
    names: usize,
    locks: usize,
}

/// How many names steps are given at most; those that wait name one of them.
const NAMES: usize = 3;

impl Writer {
    fn write(&mut self) {
        self.text.push_str(
            "format = 1\nname = \"generated\"\ntitle = \"Generated.\"\ntext = \"Generated.\"\n\
             hazards = []\n",
        );
        self.locks = if self.rng.one_in(4) { 2 } else { 1 };
        for lock in 0..self.locks {
            let _ = writeln!(self.text, "[locks.l{lock}]\nrun_suffix = \"_{lock}\"");
        }
        let actors = if self.rng.one_in(6) { 3 } else { 2 };
        let most = if actors == 2 { 3 } else { 1 };
        for actor in 0..actors {
            self.actor(actor, most);
        }
        if self.rng.one_in(6) {
            self.rule();
        }
    }

    fn actor(&mut self, actor: usize, most: usize) {
        let start = match self.rng.below(8) {
            0 if actor > 0 => "\"in_sequence\"\npause = \"0s\"",
            1 if actor > 0 => "\"in_sequence\"\npause = \"1s\"",
            2 => "\"after\"\ndelay = \"500ms\"",
            3 => "\"together\"",
            _ => "\"after\"\ndelay = \"0s\"",
        };
        let instance = self.pick(&["own", "own", "own", "shared", "shared", "racy"]);
        let _ = write!(
            self.text,
            "[[actors]]\nname = \"a{actor}\"\nstart = {start}\ninstance = \"{instance}\"\n"
        );
        self.text.push_str("steps = [\n");
        let lock = self.lock();
        let acquire = self.acquire(lock);
        let mut steps = match self.rng.below(6) {
            // What can go wrong at all takes an acquire and a few steps more.
            0 => vec![format!("{{ {acquire} }}")],
            1 if most > 1 => {
                vec![format!("{{ {acquire} }}"), format!("{{ dump = \"l{lock}\", go_on = true }}")]
            }
            2 if most > 1 => vec![
                format!("{{ {acquire} }}"),
                format!("{{ redis = [\"DEL\", \"{{key}}\"], lock = \"l{lock}\" }}"),
            ],
            3 if most > 1 => vec![
                format!("{{ {acquire} }}"),
                format!("{{ release = \"l{lock}\", go_on = true }}"),
            ],
            _ => vec![self.step(1)],
        };
        let more = self.rng.below(most);
        steps.extend((0..more).map(|_| self.step(1)));
        for step in steps {
            let _ = writeln!(self.text, "{step},");
        }
        self.text.push_str("]\n");
    }

    fn step(&mut self, depth: usize) -> String {
        let lock = self.lock();
        let action = match self.rng.below(27) {
            0..=3 => self.acquire(lock),
            4..=6 => format!("release = \"l{lock}\""),
            7 | 8 => format!("dump = \"l{lock}\""),
            9 => format!("force_release = \"l{lock}\""),
            10 => format!("extend = \"l{lock}\""),
            11 => format!("work = \"{}\", lock = \"l{lock}\"", self.time()),
            12 => format!("pause = \"{}\"", self.time()),
            13 => format!("forget_token = \"l{lock}\""),
            14 => format!("get_instance = \"l{lock}\""),
            15 => format!("clear_locks = \"l{lock}\""),
            16 => format!("redis = {}, lock = \"l{lock}\"", self.command()),
            17 => format!("await = \"s{}\"", self.rng.below(NAMES)),
            18 if depth > 0 => format!("repeat = 2, body = [{}]", self.step(depth - 1)),
            19 | 20 if depth > 0 => {
                format!("locked = \"l{lock}\", body = [{}]", self.step(depth - 1))
            }
            21 => format!("external_dump = \"l{lock}\""),
            22 => self.pick(&["amnesia = true", "crash = true", "clock_jump = \"2s\""]).into(),
            23 => format!("evict = \"l{lock}\""),
            24 => format!("replace_token = \"l{lock}\""),
            25 => format!("make_readonly = \"l{lock}\""),
            26 => match self.rng.below(3) {
                0 => format!("sees = 1, lock = \"l{lock}\", fresh = {}", self.rng.one_in(2)),
                1 => format!("cached = true, lock = \"l{lock}\""),
                _ => format!("plant_orphan = \"l{lock}\", ttl = \"1s\""),
            },
            _ => format!("work = \"0s\", lock = \"l{lock}\""),
        };
        let go_on = if self.rng.one_in(2) { ", go_on = true" } else { "" };
        // A name in a body that is repeated would be of several steps.
        let name = match self.names < NAMES && depth > 0 && self.rng.one_in(2) {
            true => {
                self.names += 1;
                format!(", name = \"s{}\"", self.names - 1)
            }
            false => String::new(),
        };
        format!("{{ {action}{name}{go_on} }}")
    }

    fn acquire(&mut self, lock: usize) -> String {
        let ttl = match self.rng.below(3) {
            0 => ", ttl = \"1s\"",
            1 => ", ttl = \"2s\"",
            _ => "",
        };
        let wait = if self.rng.one_in(5) { ", wait = \"150ms\"" } else { "" };
        format!("acquire = \"l{lock}\"{ttl}{wait}")
    }

    fn command(&mut self) -> &'static str {
        self.pick(&[
            "[\"DEL\", \"{key}\"]",
            "[\"GET\", \"{key}\"]",
            "[\"SET\", \"{key}\", \"{payload}\"]",
            "[\"SET\", \"{key}\", \"{payload}\", \"PX\", \"700\"]",
            "[\"PERSIST\", \"{key}\"]",
            "[\"PEXPIRE\", \"{key}\", \"1500\"]",
            "[\"HSET\", \"{runid}\", \"{flag}\", \"true\"]",
            "[\"SET\", \"{key}\", \"{payload}\", \"IFEQ\", \"{payload}\"]",
            "[\"SET\", \"{key}\", \"{token}\", \"IFEQ\", \"{token}\", \"PX\", \"900\"]",
            "[\"SET\", \"{key}\", \"{token}\", \"IFNE\", \"{token}\", \"PX\", \"900\"]",
            "[\"SET\", \"{key}\", \"{token}\", \"NX\", \"PX\", \"900\"]",
            "[\"DELEX\", \"{key}\"]",
            "[\"DELEX\", \"{key}\", \"IFEQ\", \"{token}\"]",
            "[\"DELIFEQ\", \"{key}\", \"{payload}\"]",
        ])
    }

    fn rule(&mut self) {
        let matched = match self.rng.below(3) {
            0 => "operation = \"acquire\"",
            1 => "operation = \"release\"",
            _ => "pause = \"file_write\"",
        };
        let effect = match self.rng.below(5) {
            _ if matched.starts_with("pause") => "crash = true",
            0 => "fail = \"ERR no\"",
            1 => "drop_reply = true",
            2 => "forget = true",
            3 => "run_late = \"s0\"",
            _ => "crash = true",
        };
        let occurrence = if self.rng.one_in(2) { "occurrence = 1\n" } else { "" };
        let actor = if self.rng.one_in(2) { "actor = \"a0\"\n" } else { "" };
        let _ =
            write!(self.text, "[[rules]]\nname = \"r\"\n{matched}\n{effect}\n{occurrence}{actor}");
    }

    fn lock(&mut self) -> usize {
        self.rng.below(self.locks)
    }

    fn time(&mut self) -> &'static str {
        self.pick(&["0s", "500ms", "1s", "2500ms"])
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        self.rng.pick(from)
    }
}
