//! Which step an actor takes next, and of what it is made.

use super::Random;
use super::{Act, Model};

impl Model {
    pub(super) fn plan(&mut self, actor: usize, random: &mut Random) {
        let lock = random.below(self.locks.len());
        let mut acts = Vec::new();
        if self.crosses && !random.one_in(4) {
            let outer = random.pick(&[None, Some(("repeat", None)), Some(("locked", Some(lock)))]);
            acts.extend(outer.map(|(verb, lock)| Act::Invoke(verb, lock)));
            let other = (lock + 1 + random.below(self.locks.len() - 1)) % self.locks.len();
            for lock in [lock, other] {
                acts.extend(self.step("acquire", lock, random));
            }
            if random.one_in(3) {
                acts.extend(self.step("release", lock, random));
            }
            acts.extend(outer.map(|_| Act::Complete));
        } else if random.one_in(4) {
            let outer = random.pick(&[("locked", Some(lock)), ("repeat", None)]);
            acts.push(Act::Invoke(outer.0, outer.1));
            acts.extend(self.step("acquire", lock, random));
            for _ in 0..random.below(3) {
                acts.extend(self.any_step(random));
            }
            acts.extend(self.step("dump", lock, random));
            acts.extend(self.step("release", lock, random));
            if random.one_in(2) {
                acts.push(Act::Ask);
            }
            acts.push(Act::Complete);
        } else {
            acts = self.any_step(random);
        }
        self.actors[actor].acts = acts.into();
    }

    fn any_step(&self, random: &mut Random) -> Vec<Act> {
        let verb = random.pick(&[
            "acquire",
            "acquire",
            "acquire",
            "acquire",
            "dump",
            "dump",
            "dump",
            "release",
            "release",
            "release",
            "external_dump",
            "force_release",
            "forget_token",
            "extend",
            "work",
            "sleep",
            "redis",
            "plant_orphan",
            "replace_token",
            "clear_locks",
            "load",
        ]);
        let lock = random.below(self.locks.len());
        self.step(verb, lock, random)
    }

    pub(super) fn step(&self, verb: &'static str, lock: usize, random: &mut Random) -> Vec<Act> {
        let hardened = self.hardened != random.one_in(5);
        let mut acts = vec![Act::Invoke(verb, Some(lock))];
        if random.one_in(4) {
            acts.push(Act::Ask);
        }
        match verb {
            "acquire" if random.one_in(12) => acts.push(Act::Seize(lock)),
            "acquire" if random.one_in(12) => acts.push(Act::Adopt(lock)),
            "acquire" if random.one_in(12) => {
                acts.push(Act::Mark { lock, granted: random.one_in(2) });
            }
            "acquire" => {
                acts.push(Act::Take { lock, left: random.below(6), atomic: hardened });
                if !hardened {
                    acts.push(Act::Flag(lock, true));
                }
                acts.push(Act::Read(lock));
            }
            "release" if random.one_in(12) => acts.push(Act::Free(lock)),
            // Its client says that it is done, and has sent nothing.
            "release" if random.one_in(12) => {}
            "release" if hardened => acts.push(Act::Delete { lock, compares: true }),
            "release" => {
                acts.push(Act::CheckLock { lock, must_be_own: random.one_in(2) });
                acts.push(Act::Delete { lock, compares: false });
                acts.push(Act::Flag(lock, false));
            }
            "force_release" | "clear_locks" => acts.push(Act::Delete { lock, compares: false }),
            "dump" => {
                if random.one_in(2) {
                    acts.push(Act::CheckLock { lock, must_be_own: random.one_in(2) });
                }
                acts.push(Act::Write(lock));
                if random.one_in(2) {
                    acts.push(Act::CheckLock { lock, must_be_own: false });
                }
            }
            "external_dump" => acts.extend([Act::Write(lock), Act::Ask]),
            "load" => acts.push(Act::Read(lock)),
            "extend" => acts.push(Act::Extend { lock, compares: hardened }),
            "work" => {
                acts[0] = Act::Invoke(verb, random.one_in(2).then_some(lock));
                acts.push(Act::Invoke("extend", Some(lock)));
                acts.push(Act::Extend { lock, compares: random.one_in(2) });
                acts.push(Act::Complete);
            }
            "redis" => acts.push(random.pick(&[
                Act::Delete { lock, compares: false },
                Act::Overwrite(lock),
                Act::Flag(lock, true),
            ])),
            "plant_orphan" => acts.push(Act::Take { lock, left: 0, atomic: false }),
            "replace_token" => acts.push(Act::Overwrite(lock)),
            _ => {}
        }
        acts.push(Act::Complete);
        acts
    }
}
