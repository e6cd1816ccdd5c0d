//! What a generated client does: some lines for each verb, drawn at random. Most programs have one flaw, and
//! most flaws show only where the client remembers something of an earlier verb.

use crate::rng::Rng;
use serde::Serialize;

/// The most commands that a client sends for one verb.
pub(super) const COMMANDS: usize = 4;

/// A command about the lock, or about a key beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    SetNx,
    /// Without a TTL.
    SetNxForever,
    /// With a TTL that is shorter than the lease.
    SetNxShort,
    Set,
    Get,
    Delete,
    CompareAndDelete,
    Extend,
    CompareAndExtend,
    Persist,
    Count,
    /// A key beside the lock, which expires.
    Guard,
    /// A key beside the lock that is set with it, and expires with it.
    TakeWithCompanion,
    /// A key beside the lock that is set with it, and never expires.
    TakeWithFlag,
    DropFlag,
}

impl Command {
    /// Its words. Those in braces stand for values.
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::SetNx => &["SET", "{lock}", "{token}", "NX", "PX", "{ttl}"],
            Self::SetNxForever => &["SET", "{lock}", "{token}", "NX"],
            Self::SetNxShort => &["SET", "{lock}", "{token}", "NX", "PX", "2"],
            Self::Set => &["SET", "{lock}", "{token}", "PX", "{ttl}"],
            Self::Get => &["GET", "{lock}"],
            Self::Delete => &["DEL", "{lock}"],
            Self::CompareAndDelete => &[
                "EVAL",
                "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end \
                 return 0",
                "1",
                "{lock}",
                "{token}",
            ],
            Self::Extend => &["PEXPIRE", "{lock}", "{ttl}"],
            Self::CompareAndExtend => &[
                "EVAL",
                "if redis.call('GET', KEYS[1]) == ARGV[1] then \
                 return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0",
                "1",
                "{lock}",
                "{token}",
                "{ttl}",
            ],
            Self::Persist => &["PERSIST", "{lock}"],
            Self::Count => &["INCR", "beside"],
            Self::Guard => &["SET", "guard", "1", "NX", "PX", "2"],
            Self::TakeWithCompanion => &[
                "EVAL",
                "if redis.call('EXISTS', 'companion') == 1 then return 0 end \
                 redis.call('SET', 'companion', '1', 'PX', ARGV[2]) \
                 redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1",
                "1",
                "{lock}",
                "{token}",
                "{ttl}",
            ],
            Self::TakeWithFlag => &[
                "EVAL",
                "if redis.call('SETNX', 'flag', '1') == 0 then return 0 end \
                 redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1",
                "1",
                "{lock}",
                "{token}",
                "{ttl}",
            ],
            Self::DropFlag => &["DEL", "flag"],
        }
    }

    fn serialize<S: serde::Serializer>(it: &Option<Self>, to: S) -> Result<S::Ok, S::Error> {
        it.map(Self::words).serialize(to)
    }
}

/// What a reply says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Seen {
    Yes,
    No,
    /// The lock is free.
    Free,
    /// No reply came.
    Lost,
}

/// What a client remembers from one verb to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Memory {
    /// A flag that a line sets.
    Flag,
    /// Whether an acquire was refused.
    Refused,
    /// Whether it counted more than 0 releases.
    Again,
    /// Whether the first reply to the latest acquire, which it keeps, was lost.
    Lost,
}

/// A line of a program, which is skipped where a condition does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Line {
    /// What the last reply of this verb must have said.
    pub after: Option<Seen>,
    /// What must be remembered, or not.
    pub memory: Option<(Memory, bool)>,
    /// The command to send; without one, a flag is set.
    #[serde(serialize_with = "Command::serialize")]
    pub send: Option<Command>,
}

impl Line {
    fn send(command: Command) -> Self {
        Self { after: None, memory: None, send: Some(command) }
    }

    fn after(seen: Seen, command: Command) -> Self {
        Self { after: Some(seen), ..Self::send(command) }
    }

    fn set_flag(seen: Seen) -> Self {
        Self { after: Some(seen), memory: None, send: None }
    }
}

/// What a client does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Program {
    pub(super) acquire: Vec<Line>,
    pub(super) extend: Vec<Line>,
    pub(super) release: Vec<Line>,
    /// Whether it forgets all but its token from one verb to the next.
    #[serde(skip)]
    pub(super) forgets: bool,
}

/// How a client is explored: what can go wrong with it depends on that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances {
    /// Whether its commands and replies may be lost.
    pub has_faults: bool,
    pub may_crash: bool,
    /// Whether it extends the lock.
    pub extends: bool,
    /// Whether a client keeps the lock at its end: then one without a TTL is stuck.
    pub may_keep: bool,
}

impl Program {
    /// The same seed gives the same program.
    pub fn new(seed: u64, around: Circumstances) -> Self {
        let mut rng = Rng::new(seed);
        // What a client that ends early leaves behind of these needs no memory.
        let is_disturbed = around.has_faults || around.may_crash || around.may_keep;
        let base = match rng.below(if is_disturbed { 48 } else { 6 }) {
            0 | 1 => Command::TakeWithFlag,
            2 | 3 => Command::SetNxForever,
            _ => Command::SetNx,
        };
        let mut acquire = acquire(&mut rng, base);
        let mut extend = vec![Line::send(Command::CompareAndExtend)];
        let mut release = vec![Line::send(Command::CompareAndDelete)];
        if base == Command::TakeWithFlag {
            release.push(Line::send(Command::DropFlag));
        }
        let worth = match around.has_faults {
            true => [Memory::Lost, Memory::Lost, Memory::Flag, Memory::Flag],
            false => [Memory::Flag, Memory::Refused, Memory::Again, Memory::Again],
        };
        let memory = (!rng.one_in(8)).then(|| rng.pick(&worth));
        match rng.below(8) {
            0 => {}
            // No lease expires there, so that it always releases its own lock.
            _ if around.may_crash => add_flaw(&mut acquire, memory, of_acquire(&mut rng)),
            1..5 if around.extends => add_flaw(&mut extend, memory, of_extend(&mut rng)),
            1..3 => add_flaw(&mut acquire, memory, of_acquire(&mut rng)),
            _ => add_flaw(&mut release, memory, of_release(&mut rng, base)),
        }
        if !rng.one_in(4) {
            acquire.push(Line::set_flag(Seen::Lost));
            acquire.push(Line::after(Seen::Lost, Command::Get));
        }
        if !rng.one_in(4) {
            acquire.push(Line::set_flag(Seen::No));
        }
        Self { acquire, extend, release, forgets: false }
    }

    /// The same program without memory.
    pub fn forgetful(&self) -> Self {
        Self { forgets: true, ..self.clone() }
    }
}

/// How a client acquires the lock where it has no flaw; a few ways are never sound.
fn acquire(rng: &mut Rng, base: Command) -> Vec<Line> {
    use Command::*;
    match (base, rng.below(16)) {
        (SetNx, 0) => vec![Line::send(Set)],
        (SetNx, 1) => vec![Line::send(Get), Line::after(Seen::Free, Set)],
        (SetNx, 2) => {
            vec![Line::send(Guard), Line::after(Seen::Yes, Get), Line::after(Seen::Free, Set)]
        }
        (SetNx, 3) => vec![Line::send(TakeWithCompanion)],
        (SetNx, 4) => vec![Line::send(Count), Line::send(SetNx)],
        (SetNxForever, 0..4) => vec![Line::send(SetNxForever), Line::after(Seen::Yes, Extend)],
        (base, _) => vec![Line::send(base)],
    }
}

/// What an acquire with a flaw does.
fn of_acquire(rng: &mut Rng) -> Vec<Line> {
    use Command::*;
    match rng.below(6) {
        0 | 1 => vec![Line::send(Set)],
        2 => vec![Line::send(Get), Line::after(Seen::Free, Set)],
        3 => vec![Line::send(SetNxShort)],
        4 => vec![Line::send(SetNxForever)],
        // It takes a lock for its own that it was refused.
        _ => vec![Line::send(SetNx), Line::after(Seen::No, Extend)],
    }
}

fn of_extend(rng: &mut Rng) -> Vec<Line> {
    use Command::*;
    match rng.below(4) {
        0 => vec![Line::send(Set)],
        1 => vec![Line::send(Persist)],
        _ => vec![Line::send(Extend)],
    }
}

fn of_release(rng: &mut Rng, base: Command) -> Vec<Line> {
    use Command::*;
    match (base, rng.below(5)) {
        (TakeWithFlag, _) => vec![Line::send(CompareAndDelete)],
        (SetNxForever, _) | (_, 0) => vec![],
        (_, 1) => vec![Line::send(Extend), Line::send(CompareAndDelete)],
        _ => vec![Line::send(Delete)],
    }
}

/// Has a verb do something else: always, or where this is remembered.
fn add_flaw(verb: &mut Vec<Line>, memory: Option<Memory>, flaw: Vec<Line>) {
    let Some(memory) = memory else {
        *verb = flaw;
        return;
    };
    let when = |is_so: bool| move |line| Line { memory: Some((memory, is_so)), ..line };
    let usual = std::mem::take(verb).into_iter().map(when(false));
    *verb = flaw.into_iter().map(when(true)).chain(usual).collect();
}
