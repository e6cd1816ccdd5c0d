//! A scenario file as a whole: what it says of itself, its parameters, locks, actors, rules and
//! expectations; and how it becomes a plan.

use super::actor::{ActorSpec, MOST_STEPS, unrolled};
use super::error::{ScenarioError, quoted};
use super::expect::ExpectSpec;
use super::names::Wait;
use super::parameter::{self, Kind, MOST, Parameter};
use super::plan::{ActorPlan, LockPlan, Plan, Rule, Value};
use super::read::{Field, Source, Table};
use super::rule::RuleSpec;
use super::step::Scope;
use super::sum::{Binding, Parameters};
use super::vocabulary::{Member, PROTOCOLS, Shape, names, needed, optional, words};
use super::waits;
use crate::lock::Ttl;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The format that this program reads.
pub(super) const FORMAT: u32 = 1;

/// What a file may say.
pub(super) const MEMBERS: [Member; 10] = [
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
];

/// What a parameter may say.
pub(super) const PARAMETER: [Member; 5] = [
    needed("type", Shape::Word(|| words(&TYPES)), "what it may be"),
    optional("default", Shape::Value, "its value if none is given"),
    optional("min", Shape::Whole, "the least that a count may be"),
    optional("max", Shape::Whole, "the most that a count may be"),
    needed("help", Shape::Line, "one line on what it is"),
];

const ANY_COUNT: Kind = Kind::Count { min: 1, max: MOST };
const TYPES: [(&str, Kind); 3] =
    [("count", ANY_COUNT), ("duration", Kind::Duration), ("ttl", Kind::Ttl)];

/// What a lock may say.
pub(super) const LOCK: [Member; 1] =
    [optional("run_suffix", Shape::Line, "what is appended to the run directory's path")];

/// The most locks, and the most parameters, that a file may have.
const MOST_DECLARED: usize = 100;

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
}

impl Scenario {
    /// Reads a scenario file. `file` is its name, for messages only.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        let source = Source::new(file, text)?;
        let scenario = Self::read(&source)?;
        for protocol in words(&PROTOCOLS) {
            scenario.bind(&BTreeMap::new(), protocol, Ttl::DEFAULT, Duration::ZERO)?;
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

    /// Tells one version of the file from the next: the first four bytes of its text's SHA-1.
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
        match waits::stuck(&plan) {
            None => Ok(plan),
            Some((group, name)) => Err(self.waits_in_vain(group, name)),
        }
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

    fn waits_in_vain(&self, group: &str, name: &str) -> ScenarioError {
        let is_it = |wait: &&Wait| wait.group.as_deref() == Some(group) && wait.name == name;
        let at = self.waits.iter().find(is_it).map_or(0, |wait| wait.at);
        let name = quoted(name);
        self.source.error(at, format!("this waits for ever: nobody can get to {name} before it"))
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

fn hazards(root: &Table<'_>) -> Result<Vec<String>, ScenarioError> {
    let mut hazards = Vec::new();
    for field in root.need("hazards")?.items()? {
        let hazard = field.name('-')?;
        if hazards.contains(&hazard) {
            return Err(field.error(format!("hazard \"{hazard}\" is named twice")));
        }
        hazards.push(hazard);
        if hazards.len() > MOST_DECLARED {
            return Err(field.error(format!("at most {MOST_DECLARED} hazards")));
        }
    }
    Ok(hazards)
}

/// The members of a table of the file's own names, in order.
fn declared<'a>(field: Field<'a>, what: &'static str) -> Result<Vec<Field<'a>>, ScenarioError> {
    let fields = field.table(what)?.in_order();
    match fields.get(MOST_DECLARED) {
        None => Ok(fields),
        Some(field) => {
            Err(field.error_at_key(format!("at most {MOST_DECLARED} may stand in {what}")))
        }
    }
}

fn parameters(root: &Table<'_>) -> Result<Vec<Parameter>, ScenarioError> {
    let fields = root.get("parameters").map_or(Ok(Vec::new()), |f| declared(f, "parameters"))?;
    fields.into_iter().map(parameter).collect()
}

fn parameter(field: Field<'_>) -> Result<Parameter, ScenarioError> {
    let name = field.own_name()?;
    let table = field.table("a parameter")?;
    table.only(&names(&PARAMETER))?;
    let kind = kind(&table)?;
    let help = table.need("help")?.line()?;
    let mut parameter = Parameter { name, help, kind, default: None, declared_at: field.key_at };
    let default = match kind {
        Kind::Ttl => table.get("default"),
        Kind::Count { .. } | Kind::Duration => Some(table.need("default")?),
    };
    parameter.default = default.map(|field| default_value(&parameter, field)).transpose()?;
    Ok(parameter)
}

fn kind(table: &Table<'_>) -> Result<Kind, ScenarioError> {
    let kind = table.need("type")?.word(&TYPES)?;
    let (min, max) = (table.get("min"), table.get("max"));
    if kind != ANY_COUNT {
        return match min.or(max) {
            None => Ok(kind),
            Some(field) => {
                Err(field
                    .error_at_key(format!("\"{}\" goes with type = \"count\" only", field.name)))
            }
        };
    }
    let low = min.map_or(Ok(1), |field| field.count())?;
    let high = max.map_or(Ok(MOST), |field| field.count())?;
    match max.or(min) {
        Some(field) if low > high || high > MOST => Err(field
            .error(format!("a count is from \"min\" to \"max\", and \"max\" is at most {MOST}"))),
        _ => Ok(Kind::Count { min: low, max: high }),
    }
}

fn default_value(parameter: &Parameter, field: Field<'_>) -> Result<Value, ScenarioError> {
    let value = match parameter.kind {
        Kind::Count { .. } => Value::Count(field.count()?),
        Kind::Duration | Kind::Ttl => {
            let text = field.text()?;
            let value = parameter.parse(text);
            return value.map_err(|right| field.error(format!("{}: {right}", quoted(text))));
        }
    };
    parameter.check(value).map_err(|message| field.error(message))
}

fn locks(root: &Table<'_>) -> Result<Vec<LockPlan>, ScenarioError> {
    let mut locks: Vec<LockPlan> = Vec::new();
    for field in declared(root.need("locks")?, "locks")? {
        let lock = lock(field)?;
        if let Some(same) = locks.iter().find(|other| other.run_suffix == lock.run_suffix) {
            let message = format!(
                "locks \"{}\" and \"{}\" are of one run; give each its own \"run_suffix\"",
                same.name, lock.name
            );
            return Err(field.error_at_key(message));
        }
        locks.push(lock);
    }
    if locks.is_empty() {
        return Err(root.need("locks")?.error_at_key("a scenario needs a lock: [locks.main]"));
    }
    Ok(locks)
}

fn lock(field: Field<'_>) -> Result<LockPlan, ScenarioError> {
    const LONGEST: usize = 40;
    let name = field.own_name()?;
    let table = field.table("a lock")?;
    table.only(&names(&LOCK))?;
    let suffix = table.get("run_suffix").map(|field| Ok((field, field.text()?))).transpose()?;
    let Some((field, suffix)) = suffix else {
        return Ok(LockPlan { name, run_suffix: String::new() });
    };
    // What means something in a glob is plain in a path.
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-*?[]".contains(c);
    if suffix.len() > LONGEST || !suffix.chars().all(plain) {
        let allowed = format!("up to {LONGEST} letters, digits, _, - and *?[]");
        return Err(field.error(format!("{} must be {allowed}", quoted(suffix))));
    }
    Ok(LockPlan { name, run_suffix: suffix.to_owned() })
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
