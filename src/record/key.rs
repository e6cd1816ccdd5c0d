//! One watched key: who holds it, and what each command did to it.
//!
//! MONITOR shows neither replies nor the end of a lease. As long as a lease surely lasts, or is surely
//! over, what a command did follows from what was done before it. Near the end of a lease it does
//! not: then the key is followed in several *worlds*, one for each moment at which the lease may have
//! ended, until what the clients do next tells which of them is the real one.

/// The position of an observation.
pub(super) type Id = usize;

/// What makes a world less likely: more than any number of deviations from the nominal time.
const UNLIKELY: u32 = 1000;
/// So many worlds are enough; the least likely are given up.
const MOST_WORLDS: usize = 128;
/// So many commands may wait for a decision.
const LONGEST_LOG: usize = 4096;

/// What a command did to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is not known yet.
    Open,
    /// Nothing: the key was free, or the command needed it free.
    Nothing,
    /// The key was free and was taken.
    Took,
    /// It was taken whoever held it: whose it was.
    Replaced(Id),
    /// It was held.
    Refused,
    /// It was read.
    Saw(Option<Id>),
    /// It was deleted: whose it was.
    Deleted(Id),
    /// The lease was set: whose.
    Extended(Id),
}

/// When something ran, in milliseconds of the server's clock since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct When {
    /// Not before.
    pub low: i64,
    /// As its time stamp says.
    pub nominal: i64,
    /// Not after.
    pub high: i64,
}

impl When {
    fn plus(self, milliseconds: i64) -> Self {
        let plus = |time: i64| time.saturating_add(milliseconds);
        Self { low: plus(self.low), nominal: plus(self.nominal), high: plus(self.high) }
    }

    fn exactly(at: i64) -> Self {
        Self { low: at, nominal: at, high: at }
    }
}

/// What is done to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// Taken, if it is free.
    Take(End),
    /// Written.
    Put {
        /// Until when.
        end: End,
        /// Only if it is held.
        only_if_held: bool,
    },
    /// Read.
    Read,
    /// Deleted.
    Delete,
    /// The lease is set.
    Expire(End),
}

/// The end of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// None.
    Never,
    /// As before.
    AsBefore,
    /// So many milliseconds after the command.
    After(i64),
    /// At this time.
    At(i64),
}

impl End {
    fn when(self, now: When, before: Option<When>) -> Option<When> {
        match self {
            End::Never => None,
            End::AsBefore => before,
            End::After(milliseconds) => Some(now.plus(milliseconds)),
            End::At(time) => Some(When::exactly(time)),
        }
    }

    /// Whether it deletes the key at once.
    fn is_over(self, now: When) -> bool {
        match self {
            End::After(milliseconds) => milliseconds <= 0,
            End::At(time) => time <= now.nominal,
            End::Never | End::AsBefore => false,
        }
    }
}

/// Who holds the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// The observation by which it was taken or written.
    pub by: Id,
    /// The end of the lease.
    pub until: Option<When>,
}

/// A command in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    id: Id,
    client: u32,
    outcome: Outcome,
    is_attempt: bool,
}

/// One way in which it may have gone.
#[derive(Debug, Clone, PartialEq, Eq)]
struct World {
    held: Option<Held>,
    against: u32,
    log: Vec<Entry>,
}

impl World {
    fn do_it(&mut self, deed: Deed, now: When, id: Id) -> Outcome {
        let (held, before) = (self.held, self.held.and_then(|held| held.until));
        let mut write = |end: End| {
            let until = end.when(now, before);
            self.held = Some(Held { by: id, until });
        };
        match (deed, held) {
            (Deed::Take(_), Some(_)) => Outcome::Refused,
            (Deed::Put { only_if_held: true, .. }, None) => Outcome::Nothing,
            (Deed::Take(end) | Deed::Put { end, .. }, None) => {
                write(end);
                Outcome::Took
            }
            (Deed::Put { end, .. }, Some(held)) => {
                write(end);
                Outcome::Replaced(held.by)
            }
            (Deed::Read, held) => Outcome::Saw(held.map(|held| held.by)),
            (Deed::Delete | Deed::Expire(_), None) => Outcome::Nothing,
            (Deed::Expire(end), Some(held)) if !end.is_over(now) => {
                self.held = Some(Held { by: held.by, until: end.when(now, before) });
                Outcome::Extended(held.by)
            }
            (Deed::Delete | Deed::Expire(_), Some(held)) => {
                self.held = None;
                Outcome::Deleted(held.by)
            }
        }
    }

    /// The last attempt of a client to take the key that is still open to doubt.
    fn attempt(&self, client: u32) -> Option<&Entry> {
        self.log.iter().rev().find(|entry| entry.client == client && entry.is_attempt)
    }

    /// What was done by this observation, if that is open to doubt.
    fn outcome(&self, id: Id) -> Option<Outcome> {
        self.log.iter().rev().find(|entry| entry.id == id).map(|entry| entry.outcome)
    }
}

/// A key that is followed.
#[derive(Debug)]
pub(super) struct Key {
    worlds: Vec<World>,
    /// Whether the server says when a lease has ended.
    tells_expiry: bool,
    /// The script that touched it last: no lease ends while it runs.
    script: Option<u32>,
    /// How many outcomes rest on nothing but the time that is most likely.
    pub undecided: u64,
    /// How often what the clients did fitted no world.
    pub contradictions: u64,
}

/// Outcomes that are certain now.
pub(super) type Decided = Vec<(Id, Outcome)>;

impl Key {
    /// A key that is free, or held.
    pub fn new(held: Option<Held>, tells_expiry: bool) -> Self {
        let world = World { held, against: 0, log: Vec::new() };
        let (undecided, contradictions) = (0, 0);
        Self { worlds: vec![world], tells_expiry, script: None, undecided, contradictions }
    }

    /// Who holds it, where that is certain.
    pub fn held(&self) -> Option<Held> {
        match self.worlds.as_slice() {
            [world] => world.held,
            _ => None,
        }
    }

    /// Whether there is more than one world.
    pub fn is_in_doubt(&self) -> bool {
        self.worlds.len() > 1
    }

    /// The acquisitions that may be the one that holds it, and those that may have been.
    pub fn candidates(&self) -> impl Iterator<Item = Id> {
        self.worlds.iter().flat_map(|world| {
            let attempts = world.log.iter().filter(|entry| entry.is_attempt);
            attempts.map(|entry| entry.id).chain(world.held.map(|held| held.by))
        })
    }

    /// Somebody does something.
    pub fn act(
        &mut self,
        (id, client): (Id, u32),
        deed: Deed,
        now: When,
        script: Option<u32>,
    ) -> Decided {
        let is_frozen = script.is_some() && script == self.script;
        self.script = script;
        if !self.tells_expiry && !is_frozen {
            self.let_leases_end(now);
        }
        let is_attempt = matches!(deed, Deed::Take(_));
        if self.is_in_doubt() && script.is_none() {
            self.weigh_next(client, deed);
        }
        for world in &mut self.worlds {
            let outcome = world.do_it(deed, now, id);
            world.log.push(Entry { id, client, outcome, is_attempt });
        }
        self.decide()
    }

    /// The server says that the lease has ended.
    pub fn expired(&mut self) -> Decided {
        for world in &mut self.worlds {
            world.held = None;
        }
        self.decide()
    }

    /// What a client does next about the key tells what its last attempt gave it.
    fn weigh_next(&mut self, client: u32, deed: Deed) {
        for world in &mut self.worlds {
            let Some(attempt) = world.attempt(client).copied() else { continue };
            let has_it = world.held.is_some_and(|held| held.by == attempt.id);
            world.against += match (deed, attempt.outcome) {
                // Who holds it does not ask for it again, and gives back what it holds.
                (Deed::Take(_), Outcome::Took) if has_it => UNLIKELY,
                (Deed::Read, Outcome::Took)
                    if world.log.last().is_some_and(|last| last.id == attempt.id) =>
                {
                    UNLIKELY / 2
                }
                (Deed::Delete | Deed::Expire(_), Outcome::Refused) => UNLIKELY,
                _ => 0,
            };
        }
    }

    /// A client says that it holds the key: it set its flag.
    pub fn claimed(&mut self, client: u32) -> Decided {
        self.keep(|world| {
            world.attempt(client).is_none_or(|attempt| attempt.outcome == Outcome::Took)
        })
    }

    /// A script that carries the tokens of these acquisitions found one of them in the key, or none.
    /// `or_free`: it also goes on where the key is free.
    pub fn compared(&mut self, carried: &[Id], found: bool, or_free: bool) -> Decided {
        if carried.is_empty() || !self.is_in_doubt() {
            return Vec::new();
        }
        let is_so = |held: Option<Held>| match held {
            Some(held) => carried.contains(&held.by) == found,
            None => !found || or_free,
        };
        // Who carries a token was most likely given it.
        for world in &mut self.worlds {
            let refused = |id: &Id| world.outcome(*id) == Some(Outcome::Refused);
            if carried.iter().any(refused) {
                world.against += UNLIKELY;
            }
        }
        self.keep(|world| is_so(world.held))
    }

    /// A script found the key free, or held, as what it did next shows.
    pub fn found(&mut self, free: bool) -> Decided {
        self.keep(|world| world.held.is_none() == free)
    }

    /// Gives up the worlds that are not so, unless that is all of them.
    fn keep(&mut self, is_so: impl Fn(&World) -> bool) -> Decided {
        if !self.is_in_doubt() {
            return Vec::new();
        }
        if self.worlds.iter().any(&is_so) {
            self.worlds.retain(is_so);
        } else {
            self.contradictions += 1;
        }
        self.decide()
    }

    /// Splits each world in which a lease may end between the last command and this one.
    fn let_leases_end(&mut self, now: When) {
        let mut ended = Vec::new();
        for world in &mut self.worlds {
            let Some(Held { by, until: Some(until) }) = world.held else { continue };
            if now.low > until.high {
                world.held = None;
            } else if now.high > until.low {
                let is_nominally_over = now.nominal > until.nominal;
                let mut gone = World { held: None, ..world.clone() };
                gone.against += u32::from(!is_nominally_over);
                world.against += u32::from(is_nominally_over);
                let low = until.low.max(now.low);
                world.held = Some(Held { by, until: Some(When { low, ..until }) });
                ended.push(gone);
            }
        }
        self.worlds.append(&mut ended);
    }

    /// Worlds that agree in what is now become one: the likeliest. What is certain leaves the logs.
    fn decide(&mut self) -> Decided {
        if self.worlds.len() > 1 {
            self.worlds.sort_by_key(|world| world.against);
            let mut kept: Vec<World> = Vec::with_capacity(self.worlds.len());
            for world in self.worlds.drain(..) {
                let same = kept.iter().find(|other| is_same(other.held, world.held));
                match same {
                    Some(other) if world.against < other.against + UNLIKELY / 2 => {
                        let differs = other.log.iter().zip(&world.log).filter(|(a, b)| a != b);
                        self.undecided += u64::from(differs.count() > 0);
                    }
                    Some(_) => {}
                    None => kept.push(world),
                }
            }
            self.worlds = kept;
            self.give_up();
        }
        match self.worlds.as_mut_slice() {
            [world] => {
                world.against = 0;
                world.log.drain(..).map(|entry| (entry.id, entry.outcome)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Gives up what is much less likely than the best, and what is too much.
    fn give_up(&mut self) {
        let best = self.worlds.first().map_or(0, |world| world.against);
        if self.worlds.len() > MOST_WORLDS {
            self.undecided += 1;
            self.worlds.truncate(MOST_WORLDS);
        }
        if self.worlds.first().is_some_and(|world| world.log.len() > LONGEST_LOG) {
            let close = |world: &&World| world.against < best + UNLIKELY / 2;
            self.undecided += u64::from(self.worlds.iter().filter(close).count() > 1);
            self.worlds.truncate(1);
        }
    }

    /// Nothing more will come: the likeliest world is taken.
    pub fn finish(&mut self) -> Decided {
        self.worlds.sort_by_key(|world| world.against);
        if let [first, second, ..] = self.worlds.as_slice() {
            self.undecided += u64::from(second.against < first.against + UNLIKELY / 2);
        }
        self.worlds.truncate(1);
        self.decide()
    }
}

/// Whether two worlds go on in the same way.
fn is_same(one: Option<Held>, other: Option<Held>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}
