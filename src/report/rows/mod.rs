//! The run as rows: one for each event that changed a lock key, a flag, a token or a belief, and for
//! each step that failed. A row says what Redis holds after it as far as events show it; nothing is
//! judged here.

mod draft;
mod states;
mod words;

use super::build::milliseconds;
use draft::{Draft, Drafts};
use lock_history::check::{Belief, Key, possessions};
use lock_history::history::History;
use lock_lab::runtime::{LabelledSnapshot, Outcome, Remembered};
use lock_lab::scenario::Plan;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// What one event changed, and how things stand after it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventRow {
    /// When, in milliseconds since the run began.
    pub at_ms: f64,
    /// The actor; none for what happens by itself.
    pub actor: Option<String>,
    /// The actors that the file declares together with it.
    #[serde(skip)]
    pub group: Option<String>,
    /// The lock, as the scenario calls it.
    pub lock: String,
    /// What happened.
    pub did: String,
    /// The names of the commands that did it.
    pub commands: Vec<String>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// What the lock key holds then.
    pub key: KeyState,
    /// Whose lock it is, where that is known.
    pub owner: Option<String>,
    /// What is left of its TTL in milliseconds; -1 if it has none. Nothing where that is unknown.
    pub ttl_ms: Option<f64>,
    /// Whether the flag says that it is locked; nothing where that is unknown.
    pub flag: Option<bool>,
    /// What the actor remembers then, where that was seen.
    pub local_token: Option<LocalToken>,
    /// The actors that believe to hold the lock then.
    pub believers: Vec<String>,
    /// Whether key, flag, token and beliefs agree; nothing where that is unknown.
    pub states_consistent: Option<bool>,
    /// The same in words, or why not.
    pub explanation: String,
    /// Whether this is the moment that the scenario is about.
    pub is_moment: bool,
}

/// What a lock key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// That was not seen.
    Unknown,
    /// There is no lock.
    Gone,
    /// There is a lock.
    Held,
}

/// What an actor, or its controller, remembers of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LocalToken {
    /// No token.
    None,
    /// The token in Redis.
    Held,
    /// Another one.
    Stale,
    /// A token; what Redis holds is unknown.
    Unknown,
}

impl LocalToken {
    /// The word that reports use.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Held => "held",
            Self::Stale => "stale",
            Self::Unknown => "kept",
        }
    }
}

/// What rows are made from.
struct Source<'a> {
    plan: &'a Plan,
    history: &'a History,
    snapshots: &'a [LabelledSnapshot],
    remembered: &'a [Remembered],
    beliefs: Vec<Belief>,
    /// The token of each tenure, by its position.
    tokens: Vec<String>,
    /// Whose acquisition each token is.
    owners: HashMap<String, usize>,
    /// The tokens that raw commands put into lock keys.
    raw: BTreeSet<&'a str>,
    /// Whether no other client can have changed a lock meanwhile.
    is_exclusive: bool,
}

/// The rows of a run. `is_exclusive` says whether nothing but its actors can have changed the locks.
pub(super) fn rows(plan: &Plan, outcome: &Outcome, is_exclusive: bool) -> Vec<EventRow> {
    let possessions = possessions(&outcome.history);
    let mut owners = HashMap::new();
    for tenure in &possessions.tenures {
        if let Some(actor) = tenure.actor {
            owners.entry(tenure.token.clone()).or_insert(actor);
        }
    }
    let mut source = Source {
        plan,
        history: &outcome.history,
        snapshots: &outcome.snapshots,
        remembered: &outcome.remembered,
        beliefs: possessions.beliefs,
        tokens: possessions.tenures.into_iter().map(|tenure| tenure.token).collect(),
        owners,
        raw: BTreeSet::new(),
        is_exclusive,
    };
    let mut drafts = Drafts::read(&source);
    source.raw = std::mem::take(&mut drafts.raw);
    let moment = moment(&source, &drafts);
    let row = |(position, draft): (usize, &Draft<'_>)| EventRow {
        is_moment: moment == Some(position),
        ..source.row(draft)
    };
    drafts.all.iter().enumerate().map(row).collect()
}

/// The row that the scenario is about. Of those made while the step lasted that it names: the first of its actor
/// that failed or is not consistent, or else the first such one of any actor, or else the last of its own. Where
/// the step was not reached: the last row that failed or is not consistent, or else the last.
fn moment(source: &Source<'_>, drafts: &Drafts<'_>) -> Option<usize> {
    let name = source.plan.moment.as_deref()?;
    let spans: Vec<_> = drafts.spans.iter().filter(|span| span.name == name).collect();
    let is_odd = |draft: &Draft<'_>| {
        let consistent = || source.row(draft).states_consistent;
        draft.is_telling() && (draft.failure.is_some() || consistent() == Some(false))
    };
    let is_its = |draft: &Draft<'_>| spans.iter().any(|span| Some(span.actor) == draft.actor);
    let during = |draft: &Draft<'_>| {
        let lasts = spans.iter().any(|span| (span.begun..=span.ended).contains(&draft.last));
        lasts || draft.is_end() && is_its(draft)
    };
    let own = |draft: &Draft<'_>| during(draft) && is_its(draft);
    let all = &drafts.all;
    let odd = all.iter().position(|draft| own(draft) && is_odd(draft));
    let odd = odd.or_else(|| all.iter().position(|draft| during(draft) && is_odd(draft)));
    let its = odd.or_else(|| all.iter().rposition(own));
    its.or_else(|| all.iter().rposition(is_odd)).or(all.len().checked_sub(1))
}

impl<'a> Source<'a> {
    fn actor(&self, actor: usize) -> String {
        self.plan.actors.get(actor).map(|actor| actor.name.clone()).unwrap_or_default()
    }

    /// Whose acquisition a token is.
    fn owner(&self, token: &str) -> Option<String> {
        self.owners.get(token).map(|actor| self.actor(*actor))
    }

    fn row(&self, draft: &Draft<'a>) -> EventRow {
        let state = states::state(self, draft);
        let group = draft.actor.and_then(|actor| self.plan.actors.get(actor));
        let (states_consistent, explanation) = words::explain(self, draft, &state);
        let token = match state.key {
            Key::Held(token, _) => token,
            _ => None,
        };
        let before = self.snapshots.iter().find(|it| it.label == "before" && it.lock == draft.lock);
        let foreign = before.and_then(|it| it.snapshot.payload.as_ref());
        let foreign = foreign.filter(|it| Some(it.token().as_str()) == token);
        let foreign = foreign.and_then(|it| it.owner()).map(str::to_owned);
        EventRow {
            at_ms: milliseconds(Duration::from_nanos(draft.at)),
            actor: draft.actor.map(|actor| self.actor(actor)),
            group: group.map(|actor| actor.group.clone()),
            lock: self.plan.locks.get(draft.lock).map(|it| it.name.clone()).unwrap_or_default(),
            did: words::did(self, draft),
            commands: draft.commands.iter().map(|name| (*name).to_owned()).collect(),
            failure: draft.failure.map(|failure| failure.message.clone()),
            key: match state.key {
                Key::Unknown => KeyState::Unknown,
                Key::Free => KeyState::Gone,
                Key::Held(..) => KeyState::Held,
            },
            owner: token.and_then(|token| self.owner(token)).or(foreign),
            ttl_ms: state.ttl_ms,
            flag: state.flag,
            local_token: state.local_token,
            believers: state.believers.iter().map(|(actor, _)| self.actor(*actor)).collect(),
            states_consistent,
            explanation,
            is_moment: false,
        }
    }
}
