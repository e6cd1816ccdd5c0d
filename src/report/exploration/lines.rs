//! What all writers say of an exploration, in the same words.

use super::{BoundsRow, ClientRow, CounterexampleRow, JudgedRow, Own, ProtocolRow, StageRow};
use crate::report::wording::{duration, large};
use lock_history::check::Property;
use lock_lab::runtime::{Limit, quoted};
use lock_lab::scenario::Timing;
use std::fmt::Write;

const IN_VALUE: &str = "a lease in a value may expire before an instruction or in a release";
const STRICT: &str = "a lease expires only as time passes";

impl ProtocolRow {
    /// What was looked for and not found, and how far that goes; with the flags that go further, if
    /// the command has them.
    pub fn not_found(&self, with_flags: bool) -> Option<String> {
        let absent = self.judged.iter().filter(|it| !it.found && it.not_tried.is_none());
        let absent = match absent.map(|it| it.property.word()).collect::<Vec<_>>().as_slice() {
            [] => return None,
            [one] => format!("no {one}"),
            several => format!("none of {}", several.join(", ")),
        };
        let name = &self.name;
        let mut tried = self.tried();
        if let Some(flags) = self.flags_to_try().filter(|_| with_flags) {
            let _ = write!(tried, ": {flags}");
        }
        let lease = self.leases().unwrap_or("a lease may expire at any step");
        let actors = count(self.actor_count as f64, "actor", "actors");
        let own = match (self.client.is_some(), self.threads) {
            (false, _) => String::new(),
            (true, 0) => ", each with a client of its own".into(),
            (true, threads) if threads == self.actor_count => {
                ", in one process of the client".into()
            }
            (true, threads) => format!(", {threads} of them in one process of the client"),
        };
        let how = format!("{actors}{own}; {lease}; {tried}");
        let first_open = self.covered.iter().find(|stage| !stage.is_covered());
        if let Some(stage) = first_open {
            let bound = self.bound(stage);
            return Some(format!("{name}: inconclusive: {bound}; {absent} so far ({how})"));
        }
        let number = self.orderings.unwrap_or(self.orderings_run as f64);
        let any = if number == 1.0 {
            "the only ordering"
        } else {
            &format!("any of {}", orderings(number))
        };
        let states = count(self.states as f64, "state", "states");
        Some(format!("{name}: {absent} in {any} ({states}; {how})"))
    }

    /// What was looked for and never put to the test, with the reasons.
    pub fn untried(&self) -> Option<String> {
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for row in &self.judged {
            let Some(why) = row.not_tried else { continue };
            match reasons.iter_mut().find(|(known, _)| *known == why) {
                Some((_, words)) => words.push(row.property.word()),
                None => reasons.push((why, vec![row.property.word()])),
            }
        }
        let reasons: Vec<String> = reasons
            .into_iter()
            .map(|(why, words)| format!("{} ({why})", words.join(", ")))
            .collect();
        (!reasons.is_empty()).then(|| format!("{}: not tried: {}", self.name, reasons.join("; ")))
    }

    /// Which crashes and faults were tried, and which were not.
    fn tried(&self) -> String {
        if self.is_staged() {
            return self.stages();
        }
        let beyond = |own: bool| if own { " beyond the scenario's own" } else { "" };
        let BoundsRow { crashes, faults, .. } = self.bounds;
        let (crash, fault) = (beyond(self.own.crash), beyond(self.own.fault));
        let (mut tried, mut not_tried) = (Vec::new(), Vec::new());
        match crashes {
            0 => not_tried.push(format!("no crash{crash}")),
            most => tried.push(format!("up to {}{crash}", count(most.into(), "crash", "crashes"))),
        }
        match faults {
            0 => not_tried.push(format!("no lost command{fault}")),
            most => {
                // Under strict timing no command is late.
                let lost = if self.is_strict() { "lost" } else { "lost or delayed" };
                let (one, many) = (format!("{lost} command"), format!("{lost} commands"));
                tried.push(format!("up to {}{fault}", count(most.into(), &one, &many)));
            }
        }
        let mut parts = Vec::new();
        if !tried.is_empty() {
            parts.push(format!("with {}", tried.join(" and ")));
        }
        if !not_tried.is_empty() {
            parts.push(format!("{} tried", not_tried.join(" and ")));
        }
        parts.join("; ")
    }

    fn is_staged(&self) -> bool {
        self.covered.len() > 1
    }

    /// Which kinds of orderings were covered, cut short and left out.
    fn stages(&self) -> String {
        let of = |is_such: fn(&StageRow) -> bool| {
            let names = self.covered.iter().filter(|stage| is_such(stage)).map(|it| self.stage(it));
            names.collect::<Vec<_>>().join(", ")
        };
        let kinds = [
            ("covered", of(StageRow::is_covered)),
            ("cut short", of(|stage| !stage.is_covered() && !stage.left_out)),
            ("left out", of(|stage| stage.left_out)),
        ];
        let kinds = kinds.into_iter().filter(|(_, names)| !names.is_empty());
        kinds.map(|(kind, names)| format!("{kind}: {names}")).collect::<Vec<_>>().join("; ")
    }

    /// What goes wrong in the orderings of a stage.
    fn stage(&self, stage: &StageRow) -> String {
        let lost = if self.is_strict() { "lost" } else { "lost or delayed" };
        let more = |own: bool| if own { "more " } else { "" };
        let (more_crashes, more_faults) = (more(self.own.crash), more(self.own.fault));
        let crash = |number: u32| {
            let (one, many) = (format!("{more_crashes}crash"), format!("{more_crashes}crashes"));
            count(number.into(), &one, &many)
        };
        let fault = |number: u32| {
            let one = format!("{more_faults}{lost} command");
            count(number.into(), &one, &format!("{one}s"))
        };
        match (stage.crashes, stage.faults) {
            (0, 0) if self.own != Own::default() => {
                "no crash or fault beyond the scenario's own".into()
            }
            (0, 0) => "no crash or fault".into(),
            (crashes, 0) => crash(crashes),
            (0, faults) => fault(faults),
            (crashes, faults) => format!("{} and {}", crash(crashes), fault(faults)),
        }
    }

    /// The limits of the verdict, in short.
    pub fn scope(&self) -> String {
        let lease = self.leases().map(|lease| format!("{lease}; ")).unwrap_or_default();
        let flags = self.flags_to_try().map(|flags| format!(" ({flags})")).unwrap_or_default();
        format!("{lease}{}{flags}", self.tried())
    }

    /// How leases expired, where it was not at any step.
    fn leases(&self) -> Option<&'static str> {
        let has_none = self.client.is_some() && !self.lease_expired;
        match self.is_strict() {
            true => Some(STRICT),
            false if has_none => Some("no lease expired"),
            false => self.lease_in_value.then_some(IN_VALUE),
        }
    }

    fn is_strict(&self) -> bool {
        self.timing == Timing::Strict.word()
    }

    /// The flags of `explore` and `probe` that try what was not tried.
    fn flags_to_try(&self) -> Option<String> {
        if self.is_staged() {
            return None;
        }
        let BoundsRow { crashes, faults, .. } = self.bounds;
        let flags = [("--crashes 1", crashes), ("--faults 1", faults)];
        // One thread of a process can't crash alone.
        let from = if self.threads > 0 { 1 } else { 0 };
        let flags = flags.into_iter().skip(from);
        let flags = flags.filter(|(_, most)| *most == 0).map(|(flag, _)| flag);
        Some(flags.collect::<Vec<_>>().join(", ")).filter(|flags| !flags.is_empty())
    }

    /// Mutual exclusion, where it is not judged of a client.
    pub fn not_judged(&self) -> Option<&'static str> {
        let excludes = |property| matches!(property, Property::DoubleGrant | Property::Overlap);
        let is_judged = self.judged.iter().any(|it| excludes(it.property));
        let is_open = self.client.is_some() && !is_judged;
        is_open.then_some("not judged: whether two clients hold the lock at once")
    }

    /// What kept a stage from covering all of its orderings.
    fn bound(&self, stage: &StageRow) -> String {
        let bounds = &self.bounds;
        let kind = self.is_staged().then(|| self.stage(stage));
        if let Some(failure) = &stage.failure {
            let kind = kind.map(|kind| format!("in orderings with {kind}: "));
            return format!("{}{failure}", kind.unwrap_or_default());
        }
        // Bounds are of all stages together.
        let run = orderings(self.orderings_run as f64);
        let flag = |name: &str, value: Option<String>| {
            let value = value.map(|value| format!(" {value}")).unwrap_or_default();
            format!("--{name}{value} was reached")
        };
        let limit = stage.stopped_by.unwrap_or(Limit::Interrupted);
        let hit = match limit {
            Limit::Schedules => {
                flag("max-schedules", bounds.max_schedules.map(|most| most.to_string()))
            }
            Limit::Time => flag("max-time", bounds.max_time.clone()),
            Limit::Preemptions => {
                flag("preemptions", bounds.preemptions.map(|most| most.to_string()))
            }
            Limit::Memory => "the memory for states was full".into(),
            Limit::Interrupted => "it was interrupted".into(),
            Limit::Satisfied => "all that was looked for was found".into(),
        };
        let most = bounds.preemptions.filter(|_| limit != Limit::Preemptions);
        let most = most.map(|most| format!(" with up to {}", preemptions(most)));
        let kind = kind.map(|kind| format!(", in those with {kind}"));
        format!("{hit} after {run}{}{}", most.unwrap_or_default(), kind.unwrap_or_default())
    }

    /// Why there is no verdict.
    pub fn inconclusive(&self) -> &'static str {
        match self.covered.iter().all(StageRow::is_covered) {
            true => "not all that is judged was tried",
            false => "not all orderings were covered",
        }
    }

    /// What did not come out as it must; empty, if all did. What was not found is wrongly absent only
    /// if all orderings were covered.
    pub fn wrong(&self) -> String {
        let is_covered = self.covered.iter().all(StageRow::is_covered);
        let is_wrong = |it: &&JudgedRow| it.found != it.must_be_found && (it.found || is_covered);
        let wrong = self.judged.iter().filter(is_wrong);
        let wrong = wrong.map(|it| {
            format!("{} was {}found", it.property.word(), if it.found { "" } else { "not " })
        });
        wrong.collect::<Vec<_>>().join(", ")
    }

    /// What is not judged, and why.
    pub fn unjudged(&self) -> Option<String> {
        let all = self.unjudged.join("; ");
        (!all.is_empty()).then(|| format!("{}: not judged: {all}", self.name))
    }

    /// What is wrong with a client.
    pub fn broken(&self) -> String {
        let found = self.judged.iter().filter(|it| it.found && !it.must_be_found);
        let is_shared = |property| {
            let mut of_it = self.counterexamples.iter().filter(|it| it.property == property);
            of_it.any(|it| it.history.head.sharing.is_some())
        };
        let found: Vec<String> = found
            .map(|it| {
                let does = match it.property {
                    Property::DoubleGrant if is_shared(it.property) => {
                        "can grant the lock to more clients than may hold it"
                    }
                    property => does(property),
                };
                format!("{does} ({})", it.property.word())
            })
            .collect();
        match found.split_last() {
            Some((last, rest @ [_, ..])) => format!("{} and {last}", rest.join(", ")),
            _ => found.concat(),
        }
    }

    /// How a counterexample was found.
    pub fn found(&self, found: &CounterexampleRow) -> String {
        let is_shortest = if found.is_shortest { "shortest: " } else { "" };
        format!(
            "{}: {} after {} ({}); {is_shortest}{}",
            self.name,
            found.property.word(),
            orderings(found.after as f64),
            duration(found.took.as_secs_f64() * 1e3),
            preemptions(found.preemptions),
        )
    }

    /// What was found that is not judged: of a client, apart what every lock with a TTL allows.
    pub fn also_possible(&self) -> Vec<String> {
        let found = self.counterexamples.iter().filter(|found| !found.judged);
        let is_common = |property| matches!(property, Property::Overlap | Property::LostUpdate);
        let (common, own): (Vec<_>, Vec<_>) = found
            .map(|found| found.property)
            .partition(|property| self.client.is_some() && is_common(*property));
        let mut lines = Vec::new();
        if let Some((words, which, shows)) = listed(&own) {
            let name = &self.name;
            lines
                .push(format!("{name}: also possible: {words} (--property {which} shows {shows})"));
        }
        if let Some((words, which, shows)) = listed(&common) {
            lines.push(format!(
                "Every lock with a TTL allows: {words} (when a client sleeps past its TTL; --property \
                 {which} shows {shows})"
            ));
        }
        lines
    }
}

/// Words, which of them to ask for, and what that shows.
fn listed(properties: &[Property]) -> Option<(String, &'static str, &'static str)> {
    let words: Vec<_> = properties.iter().map(|property| property.word()).collect();
    let (first, more) = words.split_first()?;
    let (which, shows) = if more.is_empty() { (*first, "it") } else { ("WORD", "one") };
    Some((words.join(", "), which, shows))
}

/// What a client does that violates a property.
fn does(property: Property) -> &'static str {
    match property {
        Property::DoubleGrant => "can grant the lock to two clients at once",
        Property::Overlap => "can let two clients believe that they hold the lock",
        Property::ForeignRelease => "can take another client's lock away",
        Property::ForeignOverwrite => "can overwrite another client's lock",
        Property::ForeignExtend => "can change the lease of another client's lock",
        Property::LostUpdate => "can let a client overwrite an update that it never read",
        Property::SilentLoss => "can lose the lock without notice",
        Property::StuckLock => "can leave the lock behind for good",
        Property::Unavailable => "can leave a free lock that no client can acquire",
        Property::FlagDrift => "can show a wrong flag",
        Property::TokenDrift => "can remember a token that is not the lock's",
        Property::FencingOrder => "can give out a fencing token that does not rise",
        Property::Starvation => "can starve a client",
        Property::Deadlock => "can let clients wait for each other",
        Property::LeaseTooShort => "can outlast its lease",
        Property::Registered(_) => "violates a property",
    }
}

impl CounterexampleRow {
    /// The command that replays it.
    pub fn replay(&self) -> String {
        let redis = self.redis.iter().map(|redis| ("--redis", &**redis));
        let flags = self.client.iter().flat_map(ClientRow::flags).chain(redis);
        let flags = flags.map(|(flag, value)| format!(" {flag} {}", quoted(value)));
        format!("nodb-trigger replay {}{}", quoted(&self.schedule), flags.collect::<String>())
    }
}

fn orderings(number: f64) -> String {
    count(number, "ordering", "orderings")
}

fn preemptions(number: u32) -> String {
    count(number.into(), "preemption", "preemptions")
}

fn count(number: f64, one: &str, many: &str) -> String {
    format!("{} {}", large(number), if number == 1.0 { one } else { many })
}
