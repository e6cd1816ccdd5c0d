//! What is judged of a client, and what its scenario can't show.

use crate::report::exploration::{CounterexampleRow, JudgedRow, ProtocolRow};
use lock_history::check::{Expectation, Judged, Property};
use lock_history::history::{Event, EventKind};
use lock_lab::probe::{Fencing, Preflight, Shared};
use lock_lab::scenario::Plan;

/// Why what was asked for can't be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotJudged(String);

/// What is known of a client, a scenario and a server before orderings are explored.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// The properties that were asked for; if none, all that can be judged.
    pub only: &'a [Property],
    /// Whether the server is a real one.
    pub is_real: bool,
    /// Whether leases expire only as time passes.
    pub is_strict: bool,
    /// Whether the client can extend a lock and is never told to.
    pub never_extends: bool,
    /// Whether actors share a process of the client.
    pub has_threads: bool,
    /// Whether a client may crash, or a command be lost or late. No client can reset its flag after that.
    pub may_fail: bool,
    /// What its lock is like without any race.
    pub preflight: Preflight,
    /// How clients share the lock.
    pub shared: Option<Shared>,
}

/// Why fencing tokens that are times are not compared.
const FENCE_IS_TIME: &str =
    "the fencing token is a time, and times don't grow while orderings are explored";

const NEVER_EXTENDS: &str =
    "the client can extend a lock, and no step of this scenario does; extend_after_expiry does";

const MAY_FAIL: &str = "a client that crashes, or whose command is lost or late, leaves its flag; \
                        --property flag_drift judges it all the same";

const FLAG_OF_SCRIPTS: &str = "whether a script of the client sets the flag to free under another holder: \
                               what scripts do to a flag is seen only at the end";

const LEASE_ELSEWHERE: &str = "the lease may be the TTL of another key than the lock's, and it is seen only after such a TTL has ended";

impl Limits<'_> {
    /// Judges what no lock client may do, or only what was asked for, and that some orderings violate each of
    /// `must_find`.
    ///
    /// # Errors
    ///
    /// [`NotJudged`] if the plan or the server can't show what was asked for.
    pub fn judged(&self, plan: &Plan, must_find: Vec<Property>) -> Result<Judged, NotJudged> {
        let judged = match self.shared {
            None => self.of_one_owner(plan, must_find)?,
            Some(shared) => self.of_shared(plan, shared)?,
        };
        let mut judged = if self.only.is_empty() { judged } else { judged.only(self.only) };
        if let Some(why) = self.why_no_lease_expires() {
            judged.untested.extend(Property::FOREIGN.map(|property| (property, why)));
        }
        if self.never_extends && self.only.contains(&Property::ForeignExtend) {
            judged.untested.push((Property::ForeignExtend, NEVER_EXTENDS));
        }
        Ok(judged)
    }

    /// The same outcome; what is left of the client's `extend`, which was never called, is named as not judged.
    pub fn named(&self, judged: &Judged, mut row: ProtocolRow) -> ProtocolRow {
        if self.never_extends && self.only.is_empty() {
            row.judged.retain(|it| it.found || it.property != Property::ForeignExtend);
            row.unjudged.push(format!("extend, and foreign_extend with it ({NEVER_EXTENDS})"));
        }
        if self.preflight.writes_flag && self.only.is_empty() && !self.judges_flag() {
            row.unjudged.push(format!("flag_drift ({MAY_FAIL})"));
        }
        let is_clean = |it: &JudgedRow| it.property == Property::FlagDrift && !it.found;
        if row.judged.iter().any(is_clean) {
            row.unjudged.push(FLAG_OF_SCRIPTS.to_owned());
        }
        if self.preflight.lease_elsewhere {
            return row.withhold(judged, is_after_another_ttl, LEASE_ELSEWHERE);
        }
        row
    }

    /// An actor that is alone can't do all that no lock client may do. That leases expire under holders, no client
    /// can rule out; what follows from that is reported as possible. On a real Redis it is not tried whether the
    /// lock can be acquired at the end.
    fn of_one_owner(&self, plan: &Plan, must_find: Vec<Property>) -> Result<Judged, NotJudged> {
        self.check_asked(plan)?;
        let mut must_not_find = vec![
            Property::DoubleGrant,
            Property::ForeignRelease,
            Property::ForeignOverwrite,
            Property::ForeignExtend,
            Property::StuckLock,
            Property::Unavailable,
            Property::FlagDrift,
            Property::Deadlock,
        ];
        let mut untested = Vec::new();
        match self.preflight.fencing {
            Fencing::None => {}
            Fencing::Numbers => must_not_find.push(Property::FencingOrder),
            Fencing::Times => {
                must_not_find.push(Property::FencingOrder);
                untested.push((Property::FencingOrder, FENCE_IS_TIME));
            }
        }
        must_not_find.retain(|property| {
            let is_left_out = match property {
                Property::Unavailable => self.is_real,
                Property::FlagDrift => !self.judges_flag(),
                Property::Deadlock => plan.locks.len() < 2 || is_alone(plan),
                other => is_alone(plan) && needs_two(*other),
            };
            !is_left_out && !must_find.contains(property)
        });
        Ok(Judged { must_find, must_not_find, untested })
    }

    /// Whether flag_drift is judged.
    pub fn judges_flag(&self) -> bool {
        let is_asked = self.only.contains(&Property::FlagDrift);
        self.preflight.writes_flag && (is_asked || !self.may_fail)
    }

    fn check_asked(&self, plan: &Plan) -> Result<(), NotJudged> {
        let (only, scenario) = (self.only, &plan.scenario);
        if self.is_real && only.contains(&Property::Unavailable) {
            return Err(NotJudged(
                "unavailable is not tried on a real Redis: leave out --upstream".into(),
            ));
        }
        if !self.preflight.writes_flag && only.contains(&Property::FlagDrift) {
            return Err(NotJudged(
                "the client does not set the flag that mirrors its lock, and flag_drift is about that flag"
                    .into(),
            ));
        }
        if self.has_threads && only.contains(&Property::LostUpdate) {
            return Err(NotJudged(
                "lost_update is not judged of actors that share a process: what they read is not known"
                    .into(),
            ));
        }
        let mut asked = only.iter().filter(|_| is_alone(plan));
        if let Some(property) = asked.find(|property| needs_two(**property)) {
            let property = property.word();
            return Err(NotJudged(format!("{scenario} has one actor, and {property} takes two")));
        }
        if plan.locks.len() < 2 && only.contains(&Property::Deadlock) {
            return Err(NotJudged(format!("{scenario} has one lock, and deadlock takes two")));
        }
        Ok(())
    }

    /// A lock that clients share has no single owner. On a real Redis its key may stay for good.
    fn of_shared(&self, plan: &Plan, shared: Shared) -> Result<Judged, NotJudged> {
        let mut must_not_find = Vec::new();
        if shared.excludes() {
            must_not_find.push(Property::DoubleGrant);
        }
        if !self.is_real {
            must_not_find.extend([Property::StuckLock, Property::Unavailable]);
        }
        let on = if self.is_real { " on a real Redis" } else { "" };
        if must_not_find.is_empty() {
            return Err(NotJudged(format!(
                "nothing is judged of a lock with any number of permits{on}: leave out --upstream"
            )));
        }
        if let Some(other) = self.only.iter().find(|property| !must_not_find.contains(property)) {
            let known: Vec<_> = must_not_find.iter().map(|property| property.word()).collect();
            return Err(NotJudged(format!(
                "{} is not judged of a lock that clients share{on}; judged are: {}",
                other.word(),
                known.join(", ")
            )));
        }
        let has_too_few = plan.actors.len() < shared.clients() as usize;
        let untested = has_too_few.then_some((Property::DoubleGrant, shared.why_too_few()));
        let untested = untested.into_iter().collect();
        Ok(Judged { must_not_find, untested, ..Judged::default() })
    }

    /// Why no actor loses a lock whose lease is a time in its value, where that is so.
    fn why_no_lease_expires(&self) -> Option<&'static str> {
        match self.preflight.lease_in_value {
            true if self.is_real => Some(
                "the lease is a time in the value of the key, and the clock of a real server can't be moved",
            ),
            true if self.is_strict => Some(
                "the lease is a time in the value of the key, and the clients' clocks stand still under \
                 --timing strict",
            ),
            _ => None,
        }
    }
}

/// Whether a lock was taken from a holder, or granted beside one, after the TTL of another key had ended.
fn is_after_another_ttl(found: &CounterexampleRow) -> bool {
    let is_expiry =
        |event: &Event| matches!(&event.kind, EventKind::Fault { expired_key: Some(_), .. });
    let is_about_holders =
        found.property == Property::DoubleGrant || Property::FOREIGN.contains(&found.property);
    is_about_holders && found.history.events.iter().any(is_expiry)
}

fn is_alone(plan: &Plan) -> bool {
    plan.actors.len() < 2
}

/// Whether it takes two actors to violate it.
fn needs_two(property: Property) -> bool {
    use Property::{Deadlock, DoubleGrant, LostUpdate, Overlap};
    matches!(property, DoubleGrant | Overlap | LostUpdate | Deadlock)
        || Property::FOREIGN.contains(&property)
}

/// What a scenario file expects, whatever the protocol.
pub struct Expected {
    /// The properties that some ordering must violate.
    pub finds: Vec<Property>,
    /// What is not about all orderings, or not for every lock, with the reason.
    pub unjudged: Vec<String>,
}

impl Expected {
    /// What this plan expects of a client.
    pub fn of(plan: &Plan, is_shared: bool, judges_flag: bool) -> Self {
        let (mut finds, mut unjudged) = (Vec::new(), Vec::new());
        let locks: Vec<&str> = plan.locks.iter().map(|lock| &*lock.name).collect();
        for expectation in &plan.expectations {
            match expectation {
                Expectation::Finding { property, found: true }
                    if !is_shared && property.not_explored().is_none() =>
                {
                    finds.push(*property);
                }
                // These are judged whatever a file says.
                Expectation::Finding { property, found: false } if is_ruled_out(*property) => {}
                Expectation::Finding { property: Property::FlagDrift, found: false }
                    if judges_flag => {}
                other => {
                    unjudged.push(format!("{} ({})", other.words(&locks), why_unjudged(other)))
                }
            }
        }
        Self { finds, unjudged }
    }
}

/// Why `probe` does not judge what a scenario file expects.
fn why_unjudged(expectation: &Expectation) -> &'static str {
    use Property::{LostUpdate, Overlap};
    match expectation {
        Expectation::Finding { property: Overlap | LostUpdate, found: false } => {
            "every lock with a TTL allows it"
        }
        Expectation::Finding { .. } => "not judged of clients from outside",
        _ => "about a single run",
    }
}

/// Whether no lock client may violate a property.
fn is_ruled_out(property: Property) -> bool {
    use Property::{Deadlock, DoubleGrant, StuckLock, Unavailable};
    matches!(property, DoubleGrant | StuckLock | Unavailable | Deadlock)
        || Property::FOREIGN.contains(&property)
}
