//! A scenario file as a whole: what it says of itself, its actors, rules and expectations, what its
//! exploration must come to; and how it becomes a plan.

use super::actor::{ActorForm, Actors};
use super::declarations::{LockForm, ParameterForm, locks, parameters};
use super::error::{ScenarioError, quoted};
use super::expect::{About, CaseForm, expectations};
use super::exploration::{Exploration, ExplorationForm, explorations};
use super::flaw::{Flaw, Flaws};
use super::form::*;
use super::names::{Names, Wait};
use super::parameter::{self, Parameter};
use super::plan::{Action, Plan, Rule, Value};
use super::read::SourceText;
use super::rule::{RuleForm, rule};
use super::wait_cycle::{self, Stuck};
use crate::lock::{Ttl, default_protocol, protocols};
use std::collections::BTreeMap;
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
        moment: Option<At<Line>> = "the name of the step in which the race shows; reports mark its row",
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
}

/// What a file is bound with.
struct Binding<'a> {
    given: &'a BTreeMap<String, Value>,
    protocol: &'a str,
    default_ttl: Ttl,
    wait: Duration,
}

/// What comes of a file with the values of its parameters, for one lock protocol.
struct Bound {
    plan: Plan,
    explorations: Vec<Exploration>,
    /// A step or a rule that is there under one lock protocol only, and that protocol.
    only_under: Option<(String, Only)>,
    /// What is wrong with the file, and with the plan.
    flaws: Flaws,
    /// What is wrong with the explorations under their own values.
    flaws_of_explorations: Flaws,
}

impl Scenario {
    /// Reads a scenario file. `file` is its name, for messages only.
    ///
    /// # Errors
    ///
    /// [`ScenarioError`] with the line and column of each mistake. What only follows from a mistake is no
    /// other, and a file that isn't TOML has one.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        let source = SourceText::new(file, text)?;
        validate(&source)?;
        Self::declared(source)
    }

    /// Reads a file that is known to be sound: of what can be wrong with it, only what it says of
    /// itself and declares is looked at now.
    pub(super) fn sound(file: &str, text: &str) -> Result<Self, ScenarioError> {
        Self::declared(SourceText::new(file, text)?)
    }

    fn declared(source: SourceText) -> Result<Self, ScenarioError> {
        let mut scope = Scope::default();
        let form = form(&source, &mut scope);
        if let Some(form) = &form {
            declare(form, &mut scope);
        }
        let (Some(form), true) = (form, scope.flaws.is_empty()) else {
            return Err(source.error(scope.flaws.sorted()));
        };
        let FileForm { name, title, text, hazards, .. } = form;
        Ok(Self {
            name: name.unwrap_or_default(),
            title: title.unwrap_or_default(),
            text: text.unwrap_or_default(),
            hazards: hazards.unwrap_or_default(),
            parameters: scope.parameters.declared,
            source,
        })
    }

    /// Fails if it makes no plan with its own defaults, or with the values of its explorations.
    #[cfg(test)]
    pub(super) fn validate(&self) -> Result<(), ScenarioError> {
        validate(&self.source)
    }

    /// Whether it need not be for this lock protocol.
    pub fn may_lack(&self, protocol: &str) -> bool {
        !meant(&self.source).has(protocol)
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
        let bound = self.bound(&Binding { given, protocol, default_ttl, wait })?;
        self.if_sound(bound.plan, bound.flaws)
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
        let wait = Duration::ZERO;
        let bound = self.bound(&Binding { given, protocol, default_ttl, wait })?;
        self.if_sound(bound.explorations, bound.flaws_of_explorations)
    }

    /// A step or a rule that is there under one lock protocol only, and that protocol.
    pub(super) fn only_under(&self) -> Option<(String, Only)> {
        let (given, default_ttl, wait) = (&BTreeMap::new(), Ttl::DEFAULT, Duration::ZERO);
        self.bound(&Binding { given, protocol: "", default_ttl, wait }).ok()?.only_under
    }

    fn if_sound<T>(&self, made: T, flaws: Flaws) -> Result<T, ScenarioError> {
        if flaws.is_empty() { Ok(made) } else { Err(self.source.error(flaws.sorted())) }
    }

    fn bound(&self, binding: &Binding<'_>) -> Result<Bound, ScenarioError> {
        let wrong =
            |name: &str, message| ScenarioError::Parameter { name: name.to_owned(), message };
        for (name, value) in binding.given {
            let found = parameter::find(&self.parameters, name);
            let checked = found.and_then(|(_, parameter)| parameter.check(*value));
            checked.map_err(|message| wrong(name, message))?;
        }
        bound(&self.source, binding).map_err(|flaws| self.source.error(flaws.sorted()))
    }
}

/// Fails if a file makes no plan with its own defaults, or with the values of its explorations.
fn validate(source: &SourceText) -> Result<(), ScenarioError> {
    let mut flaws = Flaws::default();
    for protocol in meant(source).names() {
        if let Err(wrong) = validate_for(protocol, source, &mut flaws) {
            flaws.add(wrong);
        }
    }
    if flaws.is_empty() { Ok(()) } else { Err(source.error(flaws.sorted())) }
}

fn validate_for(protocol: &str, source: &SourceText, flaws: &mut Flaws) -> Result<(), Flaws> {
    let binding = |given| {
        let (default_ttl, wait) = (Ttl::DEFAULT, Duration::ZERO);
        Binding { given, protocol, default_ttl, wait }
    };
    let none = BTreeMap::new();
    let Bound { explorations, flaws: own, flaws_of_explorations, .. } =
        bound(source, &binding(&none))?;
    flaws.add(own.and(flaws_of_explorations));
    for exploration in &explorations {
        if flaws.is_full() {
            break;
        }
        flaws.add(bound(source, &binding(&exploration.with))?.flaws);
    }
    Ok(())
}

/// The lock protocols that a file has to be for: those that it names and the default one; if it names
/// none, all that are built in.
fn meant(source: &SourceText) -> Only {
    let built_in = protocols().iter().filter(|protocol| !protocol.is_foreign());
    match named(source) {
        named if named.is_empty() => Only::named(built_in.map(|protocol| protocol.name())),
        named => named.or(Only::named([default_protocol().name()])),
    }
}

/// The lock protocols that parts of a file are for.
fn named(source: &SourceText) -> Only {
    Only::named(source.texts(|member| member == "protocol"))
}

/// Reads a file; fails if it is of another format.
fn bound(source: &SourceText, binding: &Binding<'_>) -> Result<Bound, Flaws> {
    let &Binding { given, protocol, default_ttl, wait } = binding;
    let mut scope = Scope::new(protocol, named(source));
    let Some(form) = form(source, &mut scope) else { return Err(scope.flaws) };
    let before = scope.flaws.len();
    declare(&form, &mut scope);
    scope.parameters.bind(given, default_ttl);
    let actors = form.actors.as_ref().map(|actors| Actors::read(actors, &mut scope));
    let actors = actors.unwrap_or_default();
    let (rules, effects) = rules(form.rules.unwrap_or_default(), &mut scope);
    check_waits(&mut scope);
    let moment = form.moment.as_ref().map(|moment| scope.steps.known(moment.field, "step", None));
    let moment = moment.and_then(|moment| scope.note(moment));
    let is_complete = scope.flaws.len() == before
        && scope.late.is_empty()
        && scope.steps.is_complete()
        && scope.rules.is_complete();
    let is_raw = |action: &Action| matches!(action, Action::Redis { .. });
    let file = About {
        is_explored: form.explore.is_some(),
        has_careless_clients: actors.iter().any(|actor| actor.has(is_raw)),
    };
    let expectations = expectations(form.expect.unwrap_or_default(), file, &mut scope);
    let plan = Plan {
        scenario: form.name.unwrap_or_default(),
        title: form.title.unwrap_or_default(),
        parameters: scope.parameters.values(),
        locks: scope.locks.clone().unwrap_or_default(),
        actors,
        rules,
        moment,
        expectations,
        default_ttl,
        wait,
    };
    if is_complete {
        check_for_waits_in_vain(&plan, &effects, &mut scope);
    }
    let late = mem::take(&mut scope.late);
    let explorations =
        explorations(form.explore.unwrap_or_default(), given, default_ttl, &mut scope);
    check_for_unused_parameters(source, &mut scope);
    Ok(Bound {
        plan,
        explorations,
        only_under: scope.only_under,
        flaws: scope.flaws.and(late),
        flaws_of_explorations: scope.late,
    })
}

/// The whole file; nothing, if it is of another format.
fn form<'a>(source: &'a SourceText, scope: &mut Scope<'_>) -> Option<FileForm<'a>> {
    let mut table = Table::root(source, FileForm::WHAT);
    if let Some(format) = table.get("format")
        && format.count().is_ok_and(|format| format != FORMAT)
    {
        let read = Format::read(format, scope);
        scope.note(read);
        return None;
    }
    scope.only(&mut table, FileForm::MEMBERS);
    Some(FileForm::read(table, scope))
}

/// Takes what the file declares, and notes where it can't be read.
fn declare(form: &FileForm<'_>, scope: &mut Scope<'_>) {
    match &form.parameters {
        Some(list) => parameters(list, scope),
        None => scope.parameters.is_open = form.table.has("parameters"),
    }
    let locks = form.locks.as_ref().map(|list| locks(list, scope));
    scope.locks = locks.filter(|locks| !locks.is_empty());
    if form.actors.is_none() {
        let names = [&mut scope.groups, &mut scope.steps, &mut scope.labels];
        names.into_iter().for_each(Names::open);
    }
    if form.rules.is_none() && form.table.has("rules") {
        scope.rules.open();
    }
}

/// The rules for the protocol that is bound, and the places of their effects.
fn rules(items: Vec<Field<'_>>, scope: &mut Scope<'_>) -> (Vec<Rule>, Vec<usize>) {
    let mut rules = Vec::new();
    for item in items {
        if scope.flaws.is_full() {
            break;
        }
        let read = rule(item, scope);
        rules.extend(scope.note(read).flatten());
    }
    rules.into_iter().unzip()
}

fn check_waits(scope: &mut Scope<'_>) {
    for wait in &scope.waits {
        if scope.flaws.is_full() {
            break;
        }
        if let Some(message) = wait.mistake(&scope.steps, &scope.rules) {
            scope.flaws.push(Unread::Flaw(Flaw { at: wait.at, message }));
        }
    }
}

fn check_for_waits_in_vain(plan: &Plan, effects: &[usize], scope: &mut Scope<'_>) {
    for Stuck { group, name, rule } in wait_cycle::stuck(plan, scope.protocol) {
        let until = quoted(name);
        let (at, message) = if let Some(held) = rule {
            let mut rules = plan.rules.iter().zip(effects);
            let at = rules.find(|(rule, _)| rule.name == *held).map_or(0, |(_, at)| *at);
            let message = format!(
                "this holds the first command of \"{group}\", and no actor can get to {until} before \
                 all who start together have sent theirs; use start = \"after\" with delay = \"0s\""
            );
            (at, message)
        } else {
            let is_it = |wait: &&Wait| wait.group.as_deref() == Some(group) && wait.name == *name;
            let at = scope.waits.iter().find(is_it).map_or(0, |wait| wait.at);
            (at, format!("this waits for ever: no actor can get to {until} before it"))
        };
        scope.late.push(Unread::Flaw(Flaw { at, message }));
    }
}

/// Notes parameters that are not used, not even by what could not be read.
fn check_for_unused_parameters(source: &SourceText, scope: &mut Scope<'_>) {
    let texts = match scope.flaws.is_empty() {
        true => Vec::new(),
        false => source.texts(|member| !["title", "text", "help"].contains(&member)),
    };
    for Parameter { name, declared_at, .. } in scope.parameters.unused() {
        if !texts.iter().any(|text| mentions(text, name)) {
            let (name, used) = (quoted(name), quoted(&format!("${name}")));
            let message = format!("parameter {name} is not used; use it as {used}");
            scope.flaws.push(Unread::Flaw(Flaw { at: *declared_at, message }));
        }
    }
}

/// Whether a text has this parameter: `$name`.
fn mentions(text: &str, parameter: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let rests = text.split('$').skip(1).filter_map(|rest| rest.strip_prefix(parameter));
    rests.into_iter().any(|rest| !rest.starts_with(is_part))
}
