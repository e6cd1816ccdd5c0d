//! Clients that we don't see into, as `probe` explores them, against orderings that are run for real, each
//! from an empty server and without merging anything: some drawn at random for each client, and all of them
//! where `PROBE_ORDERINGS` allows it.

use super::brute::Brute;
use super::*;
use crate::lock::{ActorHost, Who};
use crate::probe::{Program, Subjects};
use crate::rng::Rng;
use crate::runtime::replay::{Chooser, Now, run_chosen};

/// How many clients are drawn; `PROBE_CLIENTS` asks for another number.
const CLIENTS: u64 = 200;
/// How many orderings are drawn for each.
const WALKS: u64 = 12;

/// What is tallied: what `probe` judges.
const JUDGED: [Property; 3] =
    [Property::DoubleGrant, Property::ForeignRelease, Property::StuckLock];

/// Two clients take the lock, the first of them N times. Where time passes, it does while they hold it.
fn scenario(times: usize, timing: Timing) -> Scenario {
    let sleep = if timing == Timing::Strict { "{ sleep = \"5ms\" }, " } else { "" };
    let round = format!(
        "{{ acquire = \"main\", go_on = true }}, {sleep}{{ release = \"main\", go_on = true }}, "
    );
    let actor = |name: &str, times: usize| {
        let steps = round.repeat(times);
        format!(
            "[[actors]]\nname = \"{name}\"\nstart = \"together\"\ninstance = \"own\"\nsteps = [{steps}]\n"
        )
    };
    let text = format!(
        "format = 1\nname = \"generated\"\ntitle = \"Generated.\"\ntext = \"Generated.\"\nhazards = []\n\
         [locks.main]\n{}{}",
        actor("one", times),
        actor("other", 1)
    );
    Scenario::parse("generated.toml", &text).unwrap()
}

/// All orderings, each after the other.
struct All<'a> {
    bounds: &'a Bounds,
    /// The choices of the ordering that is run now: what was possible, and what was taken.
    forks: Vec<(Vec<Turn>, usize)>,
    depth: usize,
}

impl Chooser for All<'_> {
    fn choose(&mut self, now: &Now) -> Turn {
        let count = |is_such: fn(&Turn) -> bool| now.taken.iter().filter(|it| is_such(it)).count();
        let crashes = count(|turn| matches!(turn, Turn::Crash(_))) as u32;
        let faults = count(|turn| turn.is_fault()) as u32;
        let is_affordable = |turn: &&Turn| match turn {
            Turn::Crash(_) => crashes < self.bounds.crashes,
            turn if turn.is_fault() => faults < self.bounds.faults,
            _ => true,
        };
        if self.depth == self.forks.len() {
            let possible = now.possible.iter().filter(is_affordable).copied().collect();
            self.forks.push((possible, 0));
        }
        let (possible, taken) = &self.forks[self.depth];
        self.depth += 1;
        possible[*taken]
    }
}

fn by_brute_force(model: &Model, bounds: &Bounds) -> Properties {
    let mut all = All { bounds, forks: Vec::new(), depth: 0 };
    let mut found = Properties::default();
    loop {
        all.depth = 0;
        let (_, outcome) = run_chosen(model, &mut all).unwrap();
        found_by_check(&outcome).iter().for_each(|property| found.insert(property));
        while all.forks.pop_if(|(possible, taken)| *taken + 1 == possible.len()).is_some() {}
        let Some((_, taken)) = all.forks.last_mut() else { return found };
        *taken += 1;
    }
}

/// A host whose clients are taken for ones that remember nothing.
struct Forgetful(Arc<dyn ActorHost>);

impl ActorHost for Forgetful {
    fn protocol(&self) -> &Arc<dyn LockProtocol> {
        self.0.protocol()
    }

    fn protocol_of(&self, who: Who) -> Arc<dyn LockProtocol> {
        self.0.protocol_of(who)
    }

    fn kill(&self, who: Who) {
        self.0.kill(who);
    }
}

/// A client, and how it is explored.
struct Case {
    program: Program,
    times: usize,
    bounds: Bounds,
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(!seed);
        let (timing, times, crashes, faults) = rng.pick(&[
            (Timing::Async, 2, 0, 0),
            (Timing::Async, 1, 0, 1),
            (Timing::Async, 1, 0, 1),
            (Timing::Async, 1, 0, 1),
            (Timing::Strict, 2, 1, 0),
        ]);
        Self { program: Program::new(seed), times, bounds: bounds(timing, crashes, faults) }
    }

    fn model(&self, forgets: bool) -> Model {
        let scenario = scenario(self.times, self.bounds.timing);
        let binding = Binding { timing: self.bounds.timing, ..Binding::default() };
        let program = if forgets { self.program.forgetful() } else { self.program.clone() };
        let start =
            |_: &_, _: &[_]| Ok::<_, crate::runtime::ModelError>(Subjects::programmed(&program));
        Model::of_subjects(&scenario, &binding, start).unwrap()
    }

    fn explored(&self, model: &Model) -> (Properties, f64) {
        let explored = explore(model, &self.bounds, &mut |_| true).unwrap();
        let found = explored.found.iter().map(|it| it.property).collect();
        (found, explored.orderings.unwrap())
    }
}

/// The outcome of all comparisons.
#[derive(Debug, Default)]
struct Tally {
    clients: u64,
    /// How many orderings were run of clients all of whose were.
    orderings: f64,
    found: BTreeMap<Property, u64>,
    /// How many of the findings need memory from one verb to the next.
    by_memory: u64,
    /// How many clients get another verdict if states are merged that differ in what was answered.
    misjudged: u64,
}

impl Tally {
    fn compare(&mut self, seed: u64, most: f64) {
        let case = Case::new(seed);
        let model = case.model(false);
        let (found, orderings) = case.explored(&model);
        self.clients += 1;
        // Its clients are not those that the machine runs.
        let real = case.model(false);
        let mut machine = Machine::new(&model, &case.bounds).unwrap();
        let mut brute = Brute::drawn(&mut machine, &case.bounds, seed);
        for _ in 0..WALKS {
            let seen = found_by_check(&brute.run(&real).1);
            assert!(seen.iter().all(|it| found.contains(it)), "seed {seed}: {seen:?}, {found:?}");
        }
        if orderings <= most {
            self.orderings += orderings;
            let expected = by_brute_force(&real, &case.bounds);
            assert_eq!(found, expected, "seed {seed}: {:?}, {:?}", case.program, case.bounds);
        }
        let (without_memory, _) = case.explored(&case.model(true));
        for property in JUDGED.into_iter().filter(|property| found.contains(*property)) {
            *self.found.entry(property).or_default() += 1;
            self.by_memory += u64::from(!without_memory.contains(property));
        }
        let host: Arc<dyn ActorHost> = Arc::new(Forgetful(Arc::clone(&model.host)));
        let merged = explore(&Model { host, ..model }, &case.bounds, &mut |_| true);
        let merged = merged.map(|it| it.found.iter().map(|it| it.property).collect());
        self.misjudged += u64::from(!merged.is_ok_and(|merged: Properties| merged == found));
    }
}

fn asked(name: &str) -> Option<f64> {
    std::env::var(name).ok().and_then(|it| it.parse().ok())
}

#[test]
fn clients_from_outside_are_explored_as_they_run() {
    let count = asked("PROBE_CLIENTS").map_or(CLIENTS, |count| count as u64);
    let most = asked("PROBE_ORDERINGS").unwrap_or(0.0);
    let mut tally = Tally::default();
    (0..count).for_each(|seed| tally.compare(seed, most));
    println!("{tally:?}");
    let all: u64 = tally.found.values().sum();
    assert!(tally.misjudged > 0, "{tally:?}");
    // What guards that expire lead to needs no memory.
    assert!(tally.by_memory * 4 >= all, "{tally:?}");
    for property in JUDGED {
        let found = tally.found.get(&property).copied().unwrap_or_default();
        let (enough, missing) = (found * 20 >= tally.clients, tally.clients - found);
        assert!(enough && missing * 5 >= tally.clients, "{} of {tally:?}", property.word());
    }
}
