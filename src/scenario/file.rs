//! A scenario file as a whole: what it says of itself, its actors, rules and expectations, what its
//! exploration must come to; and how it becomes a plan.

use super::actor::{ActorSpec, MOST_STEPS, unrolled};
use super::declared::{hazards, locks, parameters};
use super::error::{ScenarioError, quoted};
use super::expect::ExpectSpec;
use super::exploration::{Exploration, ExplorationSpec, explorations};
use super::names::Wait;
use super::parameter::{self, MOST, Parameter};
use super::plan::{ActorPlan, LockPlan, Plan, Rule, Value};
use super::read::{Field, Source, Table};
use super::rule::RuleSpec;
use super::step::Scope;
use super::sum::{Binding, Parameters};
use super::vocabulary::{Member, Shape, names, needed, optional, protocol_names};
use super::waits::{self, Stuck};
use crate::lock::Ttl;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The format that this program reads.
pub(super) const FORMAT: u32 = 1;

/// What a file may say.
pub(super) const MEMBERS: [Member; 11] = [
    needed("format", Shape::Format, "the number of the format"),
    needed("name", Shape::Name, "the scenario's name"),
    needed("title", Shape::Line, "one line that says what happens"),
    needed("text", Shape::Lines, "what happens, why it matters, what to look at"),
    needed("hazards", Shape::Hazards, "ids of hazards; may be empty"),
    optional("parameters", Shape::Table("parameter"), "what can be chosen; each becomes a flag"),
    needed("locks", Shape::Table("lock"), "the state file of one run each"),
    needed("actors", Shape::List("actor"), "who takes part"),
    optional("rules", Shape::List("rule"), "what is done to single commands and pause points"),
    optional("expect", Shape::List("expectation"), "what must come out"),
    optional("explore", Shape::List("exploration"), "what exploring all orderings must come to"),
];

/// A scenario file, read and found sound: it binds with its own defaults.
///
/// ```
/// use nodb_trigger::{lock::Ttl, scenario::Scenario};
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
/// # Ok::<(), nodb_trigger::scenario::ScenarioError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Scenario {
    source: Source,
    name: String,
    title: String,
    text: String,
    hazards: Vec<String>,
    parameters: Vec<Parameter>,
    locks: Vec<LockPlan>,
    actors: Vec<ActorSpec>,
    rules: Vec<RuleSpec>,
    waits: Vec<Wait>,
    expectations: Vec<ExpectSpec>,
    explorations: Vec<ExplorationSpec>,
}

impl Scenario {
    /// Reads a scenario file. `file` is its name, for messages only.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        let source = Source::new(file, text)?;
        let scenario = Self::read(&source)?;
        for protocol in protocol_names() {
            let bind = |given: &BTreeMap<_, _>| {
                scenario.bind(given, protocol, Ttl::DEFAULT, Duration::ZERO)
            };
            let none = BTreeMap::new();
            bind(&none)?;
            for exploration in scenario.explorations(&none, protocol, Ttl::DEFAULT)? {
                bind(&exploration.with)?;
            }
        }
        Ok(scenario)
    }

    fn read(source: &Source) -> Result<Self, ScenarioError> {
        let tree = source.tree()?;
        let root = Table::root(source, tree.get_ref());
        format(root.need("format")?)?;
        root.only(&names(&MEMBERS))?;
        let parameters = parameters(&root)?;
        let locks = locks(&root)?;
        let mut scope = Scope::new(Parameters::new(&parameters), &locks);
        let actors = actors(source, &root, &mut scope)?;
        let rules = root.items("rules")?.into_iter();
        let rules = rules.map(|item| RuleSpec::read(item, &mut scope)).collect::<Result<_, _>>()?;
        for wait in &scope.waits {
            if let Some(message) = wait.mistake(&scope.steps, &scope.rules) {
                return Err(source.error(wait.at, message));
            }
        }
        let expectations = root.items("expect")?.into_iter();
        let expectations = expectations.map(|item| ExpectSpec::read(item, &mut scope));
        let expectations = expectations.collect::<Result<_, _>>()?;
        let explorations = explorations(&root, &mut scope)?;
        if let Some(parameter) = scope.parameters.unused() {
            let name = &parameter.name;
            let message = format!("parameter \"{name}\" is not used; use it as \"${name}\"");
            return Err(source.error(parameter.declared_at, message));
        }
        let waits = scope.waits;
        Ok(Self {
            source: source.clone(),
            name: root.need("name")?.name('_')?,
            title: root.need("title")?.line()?,
            text: root.need("text")?.lines()?,
            hazards: hazards(&root)?,
            parameters,
            locks,
            actors,
            rules,
            waits,
            expectations,
            explorations,
        })
    }

    /// The name in snake_case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file as it was read.
    pub fn file_text(&self) -> &str {
        self.source.text()
    }

    /// Tells one version of the file from the next: the beginning of its SHA-1.
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
    pub fn bind(
        &self,
        given: &BTreeMap<String, Value>,
        protocol: &str,
        default_ttl: Ttl,
        wait: Duration,
    ) -> Result<Plan, ScenarioError> {
        let values = self.values(given, default_ttl)?;
        let (source, parameters) = (&self.source, &self.parameters);
        let binding = Binding { source, parameters, values: &values, protocol };
        let mut expectations = Vec::new();
        for expectation in &self.expectations {
            expectations.extend(expectation.bind(&binding)?);
        }
        let actors = self.bind_actors(&binding)?;
        let names = self.parameters.iter().map(|parameter| parameter.name.clone());
        let plan = Plan {
            scenario: self.name.clone(),
            title: self.title.clone(),
            parameters: names.zip(values.iter().copied()).collect(),
            locks: self.locks.clone(),
            rules: self.bind_rules(&binding, &actors)?,
            actors,
            expectations,
            default_ttl,
            wait,
        };
        match waits::stuck(&plan, protocol) {
            None => Ok(plan),
            Some(stuck) => Err(self.waits_in_vain(&stuck, protocol)),
        }
    }

    /// What the file asks of exploration under this protocol. Values of parameters that are given
    /// go before those that the file names for the exploration, and these before the defaults.
    pub fn explorations(
        &self,
        given: &BTreeMap<String, Value>,
        protocol: &str,
        default_ttl: Ttl,
    ) -> Result<Vec<Exploration>, ScenarioError> {
        let (source, parameters) = (&self.source, &self.parameters);
        let bind = |spec: &ExplorationSpec| {
            let with = spec.with(given);
            let values = self.values(&with, default_ttl)?;
            spec.bind(&Binding { source, parameters, values: &values, protocol }, with)
        };
        self.explorations.iter().filter(|spec| spec.is_for(protocol)).map(bind).collect()
    }

    /// A step or a rule that is there under one lock protocol only, and that protocol.
    pub(super) fn only_for_a_protocol(&self) -> Option<(String, &'static str)> {
        let step = |actor: &ActorSpec| {
            let (verb, protocol) = actor.only_for_a_protocol()?;
            Some((format!("the step \"{verb}\" of \"{}\"", actor.name), protocol))
        };
        let rules = || self.rules.iter().find_map(RuleSpec::only_for_a_protocol);
        let rule = || rules().map(|(name, protocol)| (format!("the rule \"{name}\""), protocol));
        self.actors.iter().find_map(step).or_else(rule)
    }

    fn bind_rules(
        &self,
        binding: &Binding,
        actors: &[ActorPlan],
    ) -> Result<Vec<Rule>, ScenarioError> {
        let groups: BTreeSet<&str> = self.actors.iter().map(|actor| &*actor.name).collect();
        let names: BTreeSet<&str> = actors.iter().map(|actor| &*actor.name).collect();
        let rules = self.rules.iter().map(|rule| rule.bind(binding, &groups, &names));
        rules.filter_map(Result::transpose).collect()
    }

    fn waits_in_vain(&self, stuck: &Stuck<'_>, protocol: &str) -> ScenarioError {
        let Stuck { group, name, rule } = stuck;
        let until = quoted(name);
        if let Some(rule) = rule {
            let rule = self.rules.iter().find(|spec| spec.is(rule, protocol));
            let at = rule.map_or(0, |rule| rule.effect_at);
            let message = format!(
                "this holds the first command of \"{group}\", and nobody can get to {until} before \
                 all who start together have sent theirs; use start = \"after\" with delay = \"0s\""
            );
            return self.source.error(at, message);
        }
        let is_it = |wait: &&Wait| wait.group.as_deref() == Some(group) && wait.name == *name;
        let at = self.waits.iter().find(is_it).map_or(0, |wait| wait.at);
        self.source.error(at, format!("this waits for ever: nobody can get to {until} before it"))
    }

    /// Each parameter's value.
    fn values(
        &self,
        given: &BTreeMap<String, Value>,
        default_ttl: Ttl,
    ) -> Result<Vec<Value>, ScenarioError> {
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

    fn bind_actors(&self, binding: &Binding) -> Result<Vec<ActorPlan>, ScenarioError> {
        let mut total = 0;
        let mut steps: u64 = 0;
        let mut counts = Vec::new();
        for actor in &self.actors {
            let count = actor.count(binding)?;
            total += u64::from(count);
            if total > u64::from(MOST) {
                let message = format!("a plan has at most {MOST} actors; this makes it {total}");
                return Err(self.source.error(actor.count_at, message));
            }
            counts.push(count);
        }
        let mut plans: Vec<ActorPlan> = Vec::new();
        let mut names = BTreeSet::new();
        for (actor, count) in self.actors.iter().zip(counts) {
            for plan in actor.bind(binding, count)? {
                steps = steps.saturating_add(unrolled(&plan.steps));
                if steps > MOST_STEPS {
                    let message =
                        format!("a plan has at most {MOST_STEPS} steps, repeats unrolled");
                    return Err(self.source.error(actor.name_at, message));
                }
                if !names.insert(plan.name.clone()) {
                    let message = format!("two actors would be called \"{}\"", plan.name);
                    return Err(self.source.error(actor.name_at, message));
                }
                plans.push(plan);
            }
        }
        if plans.is_empty() {
            let at = self.actors.first().map_or(0, |actor| actor.count_at);
            return Err(self.source.error(at, "a plan needs at least one actor"));
        }
        Ok(plans)
    }
}

fn format(field: Field<'_>) -> Result<(), ScenarioError> {
    match field.count()? {
        FORMAT => Ok(()),
        other => Err(field.error(format!("this program reads format {FORMAT}, not {other}"))),
    }
}

fn actors(
    source: &Source,
    root: &Table<'_>,
    scope: &mut Scope<'_>,
) -> Result<Vec<ActorSpec>, ScenarioError> {
    let mut actors = Vec::new();
    for item in root.need("actors")?.items()? {
        let actor = ActorSpec::read(item, scope)?;
        if !scope.groups.insert(actor.name.clone()) {
            let message = format!("two actors are called \"{}\"", actor.name);
            return Err(source.error(actor.name_at, message));
        }
        actors.push(actor);
    }
    if actors.is_empty() {
        return Err(root.need("actors")?.error("a scenario needs at least one actor"));
    }
    Ok(actors)
}
