//! Clients that we don't see into, as `probe` explores them, against orderings that are run for real, each
//! from an empty server and without merging anything: some drawn at random for each client, and all of
//! them where these are few. `PROBE_ORDERINGS` says how many are few.

use super::brute::Brute;
use super::*;
use crate::lock::{ActorHost, LockName, Who};
use crate::probe::{Circumstances, Program, Subjects};
use crate::rng::Rng;
use crate::runtime::replay::{Chooser, Now, run_chosen};
use crate::scenario::Plan;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

type StartError = Box<dyn std::error::Error>;

/// How many clients are drawn; `PROBE_CLIENTS` asks for another number.
const CLIENTS: u64 = 200;
/// How many orderings are drawn for each.
const WALKS: u64 = 12;
/// The most orderings of a client all of whose are run, if `PROBE_ORDERINGS` does not ask for more.
const FEW: f64 = 600.0;
/// The most orderings of a client: one with more is drawn again.
const MOST_ORDERINGS: f64 = 20_000.0;
/// How many clients are explored as processes, too.
const PROCESSES: u64 = 50;

/// What is tallied: all that `probe` judges of a client that neither writes nor has fencing tokens.
const JUDGED: [Property; 6] = [
    Property::DoubleGrant,
    Property::ForeignRelease,
    Property::ForeignOverwrite,
    Property::ForeignExtend,
    Property::StuckLock,
    Property::Unavailable,
];

/// How a client is explored.
#[derive(Debug, Clone, Copy)]
struct Shape {
    timing: Timing,
    /// How many times the first of two clients takes the lock.
    rounds: usize,
    /// Whether it extends it in its last round.
    extends: bool,
    /// Whether the other one keeps the lock at its end.
    keeps: bool,
    crashes: u32,
    faults: u32,
}

impl Shape {
    fn new(rng: &mut Rng) -> Self {
        let (timing, rounds, extends, keeps, crashes, faults) = rng.pick(&[
            (Timing::Async, 2, false, true, 0, 0),
            (Timing::Async, 2, false, false, 0, 0),
            (Timing::Async, 2, false, false, 0, 0),
            (Timing::Async, 2, true, true, 0, 0),
            (Timing::Async, 2, true, true, 0, 0),
            (Timing::Async, 1, false, true, 0, 1),
            (Timing::Async, 1, true, true, 0, 1),
            (Timing::Strict, 2, false, false, 1, 0),
        ]);
        Self { timing, rounds, extends, keeps, crashes, faults }
    }

    fn circumstances(self) -> Circumstances {
        let (has_faults, may_crash) = (self.faults > 0, self.crashes > 0);
        Circumstances { has_faults, may_crash, extends: self.extends, may_keep: self.keeps }
    }

    /// Two clients take the lock. Where time passes, it does while they hold it.
    fn scenario(self) -> Scenario {
        let acquire = "{ acquire = \"main\", go_on = true }, ";
        let release = "{ release = \"main\", go_on = true }, ";
        let extend = if self.extends { "{ extend = \"main\", go_on = true }, " } else { "" };
        let sleep = if self.timing == Timing::Strict { "{ sleep = \"5ms\" }, " } else { "" };
        let round = format!("{acquire}{sleep}{release}");
        let last = format!("{acquire}{sleep}{extend}{release}");
        let actor = |name: &str, steps: &str| {
            format!(
                "[[actors]]\nname = \"{name}\"\nstart = \"together\"\ninstance = \"own\"\nsteps = [{steps}]\n"
            )
        };
        let text = format!(
            "format = 1\nname = \"generated\"\ntitle = \"Generated.\"\ntext = \"Generated.\"\nhazards = []\n\
             [locks.main]\n{}{}",
            actor("one", &(round.repeat(self.rounds - 1) + &last)),
            actor("other", if self.keeps { acquire } else { &round })
        );
        Scenario::parse("generated.toml", &text).unwrap()
    }
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

/// What all orderings violate, and how many there are.
fn by_brute_force(model: &Model, bounds: &Bounds) -> (Properties, f64) {
    let mut all = All { bounds, forks: Vec::new(), depth: 0 };
    let (mut found, mut orderings) = (Properties::default(), 0.0);
    loop {
        all.depth = 0;
        let (_, outcome) = run_chosen(model, &mut all).unwrap();
        found_by_check(&outcome).iter().for_each(|property| found.insert(property));
        orderings += 1.0;
        while all.forks.pop_if(|(possible, taken)| *taken + 1 == possible.len()).is_some() {}
        let Some((_, taken)) = all.forks.last_mut() else { return (found, orderings) };
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
#[derive(Debug)]
struct Case {
    program: Program,
    shape: Shape,
    bounds: Bounds,
}

/// What of an exploration is compared.
type Found = (Properties, f64);

impl Case {
    /// The first one from a seed that has no more than the most orderings, and what exploration finds of it.
    fn new(seed: u64) -> (Self, Found) {
        let mut rng = Rng::new(!seed);
        let shape = Shape::new(&mut rng);
        loop {
            let program = Program::new(rng.next(), shape.circumstances());
            let bounds = bounds(shape.timing, shape.crashes, shape.faults);
            let case = Self { program, shape, bounds };
            let found = case.explored(&case.model());
            if found.1 <= MOST_ORDERINGS {
                return (case, found);
            }
        }
    }

    fn model(&self) -> Model {
        self.model_of(|_, _| Ok(Subjects::programmed(&self.program)))
    }

    fn model_of(
        &self,
        start: impl FnOnce(&Plan, &[LockName]) -> std::result::Result<Arc<Subjects>, StartError>,
    ) -> Model {
        let binding = Binding { timing: self.shape.timing, ..Binding::default() };
        Model::of_subjects(&self.shape.scenario(), &binding, start).unwrap()
    }

    fn explored(&self, model: &Model) -> Found {
        let explored = explore(model, &self.bounds, &mut |_| true);
        let explored = explored.unwrap_or_else(|error| panic!("{error}: {self:?}"));
        let found = explored.found.iter().map(|it| it.property).collect();
        (found, explored.orderings.unwrap())
    }
}

/// The outcome of all comparisons.
#[derive(Debug, Default)]
struct Tally {
    clients: u64,
    /// Of how many clients all orderings were run, and how many these were.
    complete: u64,
    orderings: f64,
    found: BTreeMap<Property, u64>,
    /// How many of the findings need memory from one verb to the next.
    by_memory: BTreeMap<Property, u64>,
    /// How many clients get another verdict if states are merged that differ in what was answered.
    misjudged: u64,
}

impl Tally {
    /// Of one client.
    fn new(seed: u64, few: f64) -> Self {
        let mut tally = Self { clients: 1, ..Self::default() };
        let (case, (found, orderings)) = Case::new(seed);
        // Its clients are not those that the machine runs.
        let (model, real) = (case.model(), case.model());
        if orderings <= few {
            let expected = by_brute_force(&real, &case.bounds);
            let case = (&case.program, case.shape);
            assert_eq!((found, orderings), expected, "seed {seed}: {case:?}");
            tally.complete += 1;
            tally.orderings += orderings;
        }
        let mut machine = Machine::new(&model, &case.bounds).unwrap();
        let mut brute = Brute::drawn(&mut machine, &case.bounds, seed);
        for _ in 0..WALKS {
            let seen = found_by_check(&brute.run(&real).1);
            assert!(seen.iter().all(|it| found.contains(it)), "seed {seed}: {seen:?}, {found:?}");
        }
        let forgetful = Case { program: case.program.forgetful(), ..case };
        let (without_memory, _) = forgetful.explored(&forgetful.model());
        for property in JUDGED.into_iter().filter(|property| found.contains(*property)) {
            *tally.found.entry(property).or_default() += 1;
            let needs_memory = u64::from(!without_memory.contains(property));
            *tally.by_memory.entry(property).or_default() += needs_memory;
        }
        let host: Arc<dyn ActorHost> = Arc::new(Forgetful(Arc::clone(&model.host)));
        let merged = explore(&Model { host, ..model }, &forgetful.bounds, &mut |_| true);
        let merged = merged.map(|it| it.found.iter().map(|it| it.property).collect());
        tally.misjudged += u64::from(!merged.is_ok_and(|merged: Properties| merged == found));
        tally
    }

    fn and(mut self, other: Self) -> Self {
        self.clients += other.clients;
        self.complete += other.complete;
        self.orderings += other.orderings;
        self.misjudged += other.misjudged;
        other.found.iter().for_each(|(it, count)| *self.found.entry(*it).or_default() += count);
        let by_memory = other.by_memory.iter();
        by_memory.for_each(|(it, count)| *self.by_memory.entry(*it).or_default() += count);
        self
    }
}

fn asked(name: &str) -> Option<f64> {
    std::env::var(name).ok().and_then(|it| it.parse().ok())
}

/// What this gives for each number below a count. Several are worked on at a time.
fn for_all<T: Send>(count: u64, each: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(0);
    let numbers = || std::iter::repeat_with(|| next.fetch_add(1, Relaxed));
    let some = || numbers().take_while(|number| *number < count).map(&each).collect();
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(some)).collect();
        let results = threads.into_iter().map(|thread| thread.join().unwrap());
        results.flat_map(|some: Vec<T>| some).collect()
    })
}

#[test]
fn clients_from_outside_are_explored_as_they_run() {
    let count = asked("PROBE_CLIENTS").map_or(CLIENTS, |count| count as u64);
    let few = asked("PROBE_ORDERINGS").unwrap_or(FEW);
    let tallies = for_all(count, |seed| Tally::new(seed, few));
    let tally = tallies.into_iter().fold(Tally::default(), Tally::and);
    println!("{tally:?}");
    assert!(tally.misjudged * 20 >= tally.clients, "{tally:?}");
    let [all, by_memory] = [&tally.found, &tally.by_memory].map(|of| of.values().sum::<u64>());
    assert!(by_memory * 3 >= all, "{by_memory} of {all} findings need memory: {tally:?}");
    for property in JUDGED {
        let found = tally.found.get(&property).copied().unwrap_or_default();
        let (enough, missing) = (found * 20 >= tally.clients, tally.clients - found);
        assert!(enough && missing * 5 >= tally.clients, "{} of {tally:?}", property.word());
    }
}

/// A client in another language, which draws its tokens, does what the same programs say.
#[test]
fn processes_are_explored_as_the_clients_in_the_test() {
    if Command::new("python3").arg("--version").output().is_err() {
        // In continuous integration nothing may be missing.
        let is_required = std::env::var("NODB_REQUIRE_REDIS").is_ok_and(|it| it == "1");
        assert!(!is_required, "python3 is missing");
        eprintln!("left out: python3 is missing");
        return;
    }
    for_all(PROCESSES, |seed| {
        let (case, found) = Case::new(seed);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        serde_json::to_writer(&mut file, &case.program).unwrap();
        let model = case.model_of(|_, locks| Ok(Subjects::of_processes(file.path(), locks)?));
        assert_eq!(case.explored(&model), found, "seed {seed}: {case:?}");
    });
}
