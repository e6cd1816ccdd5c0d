//! What the scenarios show, from their own expectations.

use super::wording::status_word;
use lock_history::check::Property;
use lock_lab::scenario::{Expectation, Plan, Scenario, Status};
use serde::{Serialize, Serializer};

/// What every scenario shows. The members and their names are the JSON format
/// `nodb-trigger/catalogue/v1`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Catalogue {
    /// [`Catalogue::SCHEMA`].
    pub schema: &'static str,
    /// One entry a scenario, in the order in which they are listed.
    pub scenarios: Vec<CatalogueRow>,
}

/// What one scenario shows, with its parameters at their defaults.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CatalogueRow {
    /// Its name.
    pub name: String,
    /// Its one line.
    pub title: String,
    /// The ids of its hazards.
    pub hazards: Vec<String>,
    /// The outcome that must come under each lock protocol, by its name; none where it can't run.
    #[serde(flatten, serialize_with = "by_protocol")]
    pub protocols: Vec<(String, Option<Shown>)>,
}

/// What must come out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// What the checkers must find.
    pub finds: Vec<Property>,
    /// What they must not find.
    pub free_of: Vec<Property>,
    /// How the actors must end, or where that is not said, which steps must fail.
    pub ends: Vec<String>,
}

impl Catalogue {
    /// The name of the JSON format, and its version.
    pub const SCHEMA: &'static str = "nodb-trigger/catalogue/v1";

    /// The names of the protocols, in their order.
    pub fn protocols(&self) -> impl Iterator<Item = &str> {
        self.scenarios.first().into_iter().flat_map(|row| &row.protocols).map(|(name, _)| &**name)
    }

    /// The catalogue of these rows.
    pub fn new(scenarios: Vec<CatalogueRow>) -> Self {
        Self { schema: Self::SCHEMA, scenarios }
    }
}

impl CatalogueRow {
    /// What a scenario's plans for each protocol expect.
    pub fn new(scenario: &Scenario, plans: Vec<(String, Option<Plan>)>) -> Self {
        let shown = |(name, plan): (String, Option<Plan>)| (name, plan.as_ref().map(Shown::of));
        Self {
            name: scenario.name().into(),
            title: scenario.title().into(),
            hazards: scenario.hazards().to_vec(),
            protocols: plans.into_iter().map(shown).collect(),
        }
    }
}

fn by_protocol<S: Serializer>(
    protocols: &[(String, Option<Shown>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(protocols.iter().map(|(name, shown)| (name, shown)))
}

/// What is said of a scenario under a protocol.
pub(super) fn in_words(shown: Option<&Shown>) -> String {
    shown.map_or_else(|| "can't be played".into(), Shown::words)
}

impl Shown {
    fn of(plan: &Plan) -> Self {
        let mut shown = Self::default();
        let mut failing_steps = Vec::new();
        for expectation in &plan.expectations {
            match expectation {
                Expectation::Finding { property, found: true } => shown.finds.push(*property),
                Expectation::Finding { property, found: false } => shown.free_of.push(*property),
                Expectation::Total { group, status, count } if *count > 0 => {
                    let whose = group.as_ref().map(|group| format!("{group}: "));
                    let status = counted(*status, *count);
                    shown.ends.push(format!("{}{count} {status}", whose.unwrap_or_default()));
                }
                Expectation::Actor { group, status, .. } => {
                    shown.ends.push(format!("{group}: {}", status_word(*status)));
                }
                Expectation::Step { step, status, .. } if *status != Status::Success => {
                    failing_steps.push(format!("{step}: {}", status_word(*status)));
                }
                _ => {}
            }
        }
        if shown.ends.is_empty() {
            shown.ends = failing_steps;
        }
        shown.ends.dedup();
        shown
    }

    /// The same in words.
    pub fn words(&self) -> String {
        let mut parts = Vec::new();
        let list = |properties: &[Property]| {
            properties.iter().map(|property| property.word()).collect::<Vec<_>>().join(", ")
        };
        if !self.finds.is_empty() {
            parts.push(format!("finds {}", list(&self.finds)));
        }
        let all_six = Property::RULED_OUT.iter().all(|one| self.free_of.contains(one));
        let mut others = self.free_of.clone();
        if all_six {
            parts.push("none of the six".into());
            others.retain(|property| !Property::RULED_OUT.contains(property));
        }
        if !others.is_empty() {
            parts.push(format!("free of {}", list(&others)));
        }
        if !self.ends.is_empty() {
            parts.push(self.ends.join(", "));
        }
        if parts.is_empty() { "-".into() } else { parts.join("; ") }
    }
}

fn counted(status: Status, count: u64) -> &'static str {
    match (status, count) {
        (Status::Success, 1) => "succeeds",
        (Status::Success, _) => "succeed",
        (Status::AlreadyLocked, _) => "already locked",
        (Status::Error, 1) => "error",
        (Status::Error, _) => "errors",
    }
}
