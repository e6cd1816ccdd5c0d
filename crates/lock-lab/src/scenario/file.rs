//! A scenario file as a whole: what it says of itself, its actors, rules and expectations, what its
//! exploration must come to; and how it becomes a plan.

use super::actor::{ActorForm, Actors};
use super::declarations::{LockForm, ParameterForm, locks, parameter};
use super::error::quoted;
use super::expect::{About, CaseForm, expectations};
use super::exploration::{Exploration, ExplorationForm, explorations};
use super::expr::Parameters;
use super::form::*;
use super::names::Wait;
use super::parameter::{self, Parameter};
use super::plan::{Action, LockPlan, Plan, Value};
use super::read::SourceText;
use super::rule::{RuleForm, rule};
use super::wait_cycle::{self, Stuck};
use crate::lock::{Ttl, default_protocol, protocols};
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

/// The format that this program reads.
const FORMAT: u32 = 1;

form! {
    /// What a file may say.
    FileForm<'a>: "scenario", "a scenario" {
        format: Format = "the number of the format",
        name: Name = "the scenario's name",
        title: Line = "one line that says what happens",
        text: Lines = "what happens, why it matters, what to look at",
        hazards: Option<Hazards> = "ids of hazards",
        parameters: Option<Named<ParameterForm<'a>>> = "what can be chosen; each becomes a flag",
        locks: At<Named<LockForm<'a>>> = "the state file of one run each",
        actors: At<List<ActorForm<'a>>> = "who takes part",
        rules: Option<List<RuleForm<'a>>> = "what is done to single commands and pause points",
        expect: Option<List<CaseForm<'a>>> = "what must come out",
        explore: Option<List<ExplorationForm<'a>>> = "what exploring all orderings must come to",
    }
}

shapes! {
    /// The number of the format.
    Format: (), json!({ "const": FORMAT }), |field, _| match field.count()? {
        FORMAT => Ok(()),
        other => Err(field.error(format!("this program reads format {FORMAT}, not {other}"))),
    };
}

/// A scenario file, read and found sound: it binds with its own defaults.
///
/// ```
/// use lock_lab::{lock::Ttl, scenario::Scenario};
/// use std::{collections::BTreeMap, time::Duration};
///
/// let file = r#"
///     format = 1
///     name = "one_after_another"
///     title = "Two take the lock, the second after the first."
///     text = "Nothing goes wrong here."
///     hazards = []
///
///     [locks.main]
///
///     [[actors]]
///     name = "worker"
///     count = 2
///     start = "in_sequence"
///     steps = [{ locked = "main", body = [{ work = "500ms" }] }]
///
///     [[expect]]
///     succeeded = 2
/// "#;
/// let scenario = Scenario::parse("example.toml", file)?;
/// let plan = scenario.bind(&BTreeMap::new(), "legacy", Ttl::DEFAULT, Duration::ZERO)?;
/// assert_eq!(plan.actors.len(), 2);
/// # Ok::<(), lock_lab::scenario::ScenarioError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Scenario {
    source: SourceText,
    name: String,
    title: String,
    text: String,
    hazards: Vec<String>,
    parameters: Vec<Parameter>,
    locks: Vec<LockPlan>,
}

/// What comes of a file with the values of its parameters, for one lock protocol.
struct Bound {
    plan: Result<Plan>,
    explorations: Result<Vec<Exploration>>,
    /// A step or a rule that is there under one lock protocol only, and that protocol.
    only_under: Option<(String, Only)>,
}

impl Scenario {
    /// Reads a scenario file. `file` is its name, for messages only.
    ///
    /// # Errors
    ///
    /// [`ScenarioError`] with the line and column of the first mistake.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        let scenario = Self::sound(file, text)?;
        scenario.validate()?;
        Ok(scenario)
    }

    /// Reads a file that is known to be sound: of what can be wrong with it, only what it says of
    /// itself and declares is looked at now.
    pub(super) fn sound(file: &str, text: &str) -> Result<Self> {
        let source = SourceText::new(file, text)?;
        let mut scope = Scope::default();
        let table = root(&source, &mut scope)?;
        let parameters =
            Option::<Named<ParameterForm<'_>>>::member(&table, "parameters", &mut scope)?;
        let parameters = each(parameters, |field| parameter(field, &mut scope))?;
        let declared = At::<Named<LockForm<'_>>>::member(&table, "locks", &mut scope)?;
        let locks = locks(&declared, &mut scope)?;
        let FileForm { name, title, text, hazards, .. } = FileForm::read(table, &mut scope)?;
        let hazards = hazards.unwrap_or_default();
        Ok(Self { source: source.clone(), name, title, text, hazards, parameters, locks })
    }

    /// Fails if it makes no plan with its own defaults, or with the values of its explorations.
    pub(super) fn validate(&self) -> Result<()> {
        let none = BTreeMap::new();
        for protocol in self.meant().names() {
            let bound = self.bound(&none, protocol, Ttl::DEFAULT, Duration::ZERO)?;
            bound.plan?;
            for exploration in bound.explorations? {
                self.bind(&exploration.with, protocol, Ttl::DEFAULT, Duration::ZERO)?;
            }
        }
        Ok(())
    }

    /// The lock protocols that it has to be for: those that it names and the default one; if it names none,
    /// all that are built in.
    fn meant(&self) -> Only {
        let built_in = protocols().iter().filter(|protocol| !protocol.is_foreign());
        match self.named() {
            named if named.is_empty() => Only::named(built_in.map(|protocol| protocol.name())),
            named => named.or(Only::named([default_protocol().name()])),
        }
    }

    /// Whether it need not be for this lock protocol.
    pub fn may_lack(&self, protocol: &str) -> bool {
        !self.meant().has(protocol)
    }

    /// The lock protocols that parts of it are for.
    fn named(&self) -> Only {
        Only::named(self.source.texts("protocol"))
    }

    /// The name in snake_case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file as it was read.
    pub fn file_text(&self) -> &str {
        self.source.text()
    }

    /// Distinguishes versions of the file: the beginning of its SHA-1.
    pub fn digest(&self) -> u32 {
        let [a, b, c, d, ..] = sha1_smol::Sha1::from(self.file_text()).digest().bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// One line that says what happens.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What happens, why it matters and what to look at, in lines of plain text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The ids of the hazards that it provokes.
    pub fn hazards(&self) -> &[String] {
        &self.hazards
    }

    /// What can be chosen, in the order of the file.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The plan for these values of parameters, and the defaults of the others. `default_ttl` is
    /// the TTL of parameters and acquisitions that name none, and `wait` how long an acquisition
    /// keeps trying that doesn't say it.
    ///
    /// # Errors
    ///
    /// [`ScenarioError`] if a value is not one that its parameter may have, or makes the plan
    /// impossible.
    pub fn bind(
        &self,
        given: &BTreeMap<String, Value>,
        protocol: &str,
        default_ttl: Ttl,
        wait: Duration,
    ) -> Result<Plan, ScenarioError> {
        self.bound(given, protocol, default_ttl, wait)?.plan
    }

    /// What the file asks of exploration under this protocol. Values of parameters that are given
    /// go before those that the file names for the exploration, and these before the defaults.
    ///
    /// # Errors
    ///
    /// [`ScenarioError`] if a value is not one that its parameter may have, or if the file asks for
    /// an exploration that is impossible with it.
    pub fn explorations(
        &self,
        given: &BTreeMap<String, Value>,
        protocol: &str,
        default_ttl: Ttl,
    ) -> Result<Vec<Exploration>, ScenarioError> {
        self.bound(given, protocol, default_ttl, Duration::ZERO)?.explorations
    }

    /// A step or a rule that is there under one lock protocol only, and that protocol.
    pub(super) fn only_under(&self) -> Option<(String, Only)> {
        self.bound(&BTreeMap::new(), "", Ttl::DEFAULT, Duration::ZERO).ok()?.only_under
    }

    /// Reads the file with these values.
    fn bound(
        &self,
        given: &BTreeMap<String, Value>,
        protocol: &str,
        default_ttl: Ttl,
        wait: Duration,
    ) -> Result<Bound> {
        let values = self.values(given, default_ttl)?;
        let names = self.parameters.iter().map(|parameter| parameter.name.clone());
        let parameters = names.zip(values.iter().copied()).collect();
        let declared = Parameters { declared: &self.parameters, values, used: BTreeSet::new() };
        let mut scope = Scope::new(declared, &self.locks, protocol, self.named());
        let form = FileForm::read(root(&self.source, &mut scope)?, &mut scope)?;
        let actors = Actors::read(&form.actors, &mut scope)?;
        let rules = each(form.rules, |item| rule(item, &mut scope))?;
        let (rules, effects): (Vec<_>, Vec<usize>) = rules.into_iter().flatten().unzip();
        for wait in &scope.waits {
            if let Some(message) = wait.mistake(&scope.steps, &scope.rules) {
                return Err(self.source.error(wait.at, message));
            }
        }
        // Mistakes in the expectations are reported first.
        let late = mem::take(&mut scope.late);
        let file = About {
            is_explored: form.explore.is_some(),
            has_careless_clients: actors
                .iter()
                .any(|actor| actor.has(|action| matches!(action, Action::Redis { .. }))),
        };
        let expectations = expectations(form.expect.unwrap_or_default(), file, &mut scope)?;
        let late = mem::take(&mut scope.late).into_iter().chain(late).next();
        let values = |with: &BTreeMap<_, _>| self.values(with, default_ttl);
        let explorations =
            explorations(form.explore.unwrap_or_default(), given, values, &mut scope)?;
        if let Some(parameter) = scope.parameters.unused() {
            let name = &parameter.name;
            let message = format!("parameter \"{name}\" is not used; use it as \"${name}\"");
            return Err(self.source.error(parameter.declared_at, message));
        }
        let (scenario, title, locks) = (self.name.clone(), self.title.clone(), self.locks.clone());
        let plan = Plan {
            scenario,
            title,
            parameters,
            locks,
            actors,
            rules,
            expectations,
            default_ttl,
            wait,
        };
        let stuck = || wait_cycle::stuck(&plan, protocol);
        let late =
            late.or_else(|| Some(self.waits_in_vain(&stuck()?, &scope.waits, &plan, &effects)));
        Ok(Bound {
            plan: late.map_or(Ok(plan), Err),
            explorations: scope.late.into_iter().next().map_or(Ok(explorations), Err),
            only_under: scope.only_under,
        })
    }

    fn waits_in_vain(
        &self,
        stuck: &Stuck<'_>,
        waits: &[Wait],
        plan: &Plan,
        effects: &[usize],
    ) -> ScenarioError {
        let Stuck { group, name, rule } = stuck;
        let until = quoted(name);
        if let Some(held) = rule {
            let mut rules = plan.rules.iter().zip(effects);
            let at = rules.find(|(rule, _)| rule.name == *held).map_or(0, |(_, at)| *at);
            let message = format!(
                "this holds the first command of \"{group}\", and nobody can get to {until} before \
                 all who start together have sent theirs; use start = \"after\" with delay = \"0s\""
            );
            return self.source.error(at, message);
        }
        let is_it = |wait: &&Wait| wait.group.as_deref() == Some(group) && wait.name == *name;
        let at = waits.iter().find(is_it).map_or(0, |wait| wait.at);
        self.source.error(at, format!("this waits for ever: nobody can get to {until} before it"))
    }

    /// Each parameter's value.
    fn values(&self, given: &BTreeMap<String, Value>, default_ttl: Ttl) -> Result<Vec<Value>> {
        let wrong =
            |name: &str, message| ScenarioError::Parameter { name: name.to_owned(), message };
        for name in given.keys() {
            parameter::find(&self.parameters, name).map_err(|message| wrong(name, message))?;
        }
        let value = |parameter: &Parameter| match given.get(&parameter.name) {
            Some(value) => {
                parameter.check(*value).map_err(|message| wrong(&parameter.name, message))
            }
            None => Ok(parameter.default.unwrap_or(Value::Ttl(default_ttl))),
        };
        self.parameters.iter().map(value).collect()
    }
}

/// The whole file, of the right format and with known members only.
fn root<'a>(source: &'a SourceText, scope: &mut Scope<'_>) -> Result<Table<'a>> {
    let table = Table::root(source, FileForm::WHAT);
    Format::member(&table, "format", scope)?;
    table.only(FileForm::MEMBERS)?;
    Ok(table)
}

/// Reads each item of a list that may be left out.
fn each<'a, T>(
    items: Option<Vec<Field<'a>>>,
    read: impl FnMut(Field<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    items.unwrap_or_default().into_iter().map(read).collect()
}
