//! Each kind of workload with several seeds, and the table of what recordings find.

use super::clients::{Fault, Format, Naming, Place, Workload, run};
use super::incidents::Incident;
use super::judged::{Judged, Mode, Verdict, judge};
use std::collections::BTreeMap;
use std::fmt::{self, Write};

const FORMATS: [Format; 7] = [
    Format::Script,
    Format::GetDel,
    Format::Constant,
    Format::NoDb,
    Format::Hash,
    Format::Field,
    Format::Sorted,
];
const PLACES: [Place; 4] = [Place::Threads, Place::Pool, Place::Processes, Place::Fresh];
const FAULTS: [Fault; 10] = [
    Fault::None,
    Fault::Renewed,
    Fault::ShortLease,
    Fault::BlindDelete,
    Fault::ForeignRelease,
    Fault::Overwrite,
    Fault::ForeignExtend,
    Fault::Crash,
    Fault::Killed,
    Fault::NoRelease,
];
const MODES: [Mode; 3] = [Mode::Notified, Mode::Monitor, Mode::Light];

/// How many workloads of a kind are made; `RECORD_WORKLOADS` asks for another number.
fn number() -> u64 {
    std::env::var("RECORD_WORKLOADS").ok().and_then(|it| it.parse().ok()).unwrap_or(2)
}

/// The one workload that is made, with everything that is known of it, if `RECORD_SEED` asks for one:
/// `Script/Pool/BlindDelete/Notified/7`.
fn asked() -> Option<String> {
    std::env::var("RECORD_SEED").ok()
}

/// All kinds of workloads, with the seed 0.
fn kinds() -> Vec<Workload> {
    let mut kinds = Vec::new();
    for format in FORMATS {
        for place in PLACES {
            let (naming, incident, seed) = (Naming::Nothing, Incident::None, 0);
            let kind = Workload { format, place, fault: Fault::None, naming, incident, seed };
            // A release that compares nothing is what it has anyway.
            let has = |fault: &Fault| match format {
                Format::Constant => *fault != Fault::ShortLease,
                // It may be taken again, and it has no value that another one may replace.
                Format::Hash => !matches!(fault, Fault::Overwrite | Fault::NoRelease),
                Format::Sorted => *fault != Fault::Overwrite,
                _ => true,
            };
            let faults = || FAULTS.into_iter().filter(has).map(|fault| Workload { fault, ..kind });
            kinds.extend(faults());
            if matches!(place, Place::Pool | Place::Processes) {
                kinds.extend(faults().map(|kind| Workload { naming: Naming::Program, ..kind }));
            }
            if place == Place::Processes {
                kinds.extend(faults().map(|kind| Workload { naming: Naming::Equal, ..kind }));
            }
            let incidents = [Incident::Eviction, Incident::Restart, Incident::Flush];
            kinds.extend(incidents.map(|incident| Workload { incident, ..kind }));
        }
    }
    kinds
}

/// The name of a kind.
fn name(kind: Workload) -> String {
    let Workload { format, place, fault, naming, incident, .. } = kind;
    let naming = match naming {
        Naming::Nothing => String::new(),
        Naming::Program | Naming::Equal => format!("+{naming:?}"),
    };
    match incident {
        Incident::None => format!("{format:?}/{place:?}{naming}/{fault:?}"),
        _ => format!("{format:?}/{place:?}{naming}/{incident:?}"),
    }
}

/// The outcomes of the workloads of one kind.
#[derive(Debug, Default)]
struct Tally {
    clean: u64,
    found: u64,
    undecided: u64,
    missed: u64,
    untrue: u64,
}

impl Tally {
    fn add(&mut self, judged: &Judged) {
        self.untrue += u64::from(!judged.untrue.is_empty());
        *match judged.verdict {
            Verdict::Clean => &mut self.clean,
            Verdict::Found => &mut self.found,
            Verdict::Undecided => &mut self.undecided,
            Verdict::Missed => &mut self.missed,
        } += 1;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clean, found, undecided, missed, untrue } = self;
        write!(f, "{clean} | {found} | {undecided} | {missed} | {untrue}")
    }
}

/// The outcomes by how it is recorded, whether connections are shared, fault and format: docs/book/src/explanation/recordings.md.
#[derive(Debug, Default)]
struct Power(BTreeMap<(Mode, bool, String), BTreeMap<Format, Tally>>);

impl Power {
    fn add(&mut self, workload: Workload, mode: Mode, judged: &Judged) {
        let Workload { format, place, fault, incident, .. } = workload;
        let what = match incident {
            Incident::None => format!("{fault:?}"),
            _ => format!("{incident:?}"),
        };
        let row = self.0.entry((mode, place != Place::Threads, what)).or_default();
        row.entry(format).or_default().add(judged);
    }
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut head = None;
        for ((mode, is_shared, what), row) in &self.0 {
            if head.replace((mode, is_shared)) != Some((mode, is_shared)) {
                let connections = if *is_shared { "pools" } else { "a connection each" };
                writeln!(f, "\n{mode:?}, {connections}:\n")?;
                writeln!(
                    f,
                    "| fault | {} |",
                    FORMATS.map(|format| format!("{format:?}")).join(" | ")
                )?;
                writeln!(f, "|---|{}", "---|".repeat(FORMATS.len()))?;
            }
            write!(f, "| {what} |")?;
            for format in FORMATS {
                match row.get(&format) {
                    None => write!(f, " - |")?,
                    Some(Tally { clean, found, undecided, missed, untrue }) => {
                        write!(f, " {} / {undecided} / {} |", clean + found, missed + untrue)?;
                    }
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The head of the table.
const HEAD: &str = "| workload | recorded | clean | found | undecided | missed | false findings |\n\
                    |---|---|---|---|---|---|---|\n";

/// Whether a recording may do this today, in one run of [`RARE`]: what happened near an expiry that no
/// notification shows is guessed, and a pool that shows itself too late is taken for single clients.
fn is_known(workload: Workload, mode: Mode, is_missing: bool) -> bool {
    let is_guessed = mode == Mode::Monitor || workload.place != Place::Threads;
    is_guessed && !is_correct(workload) && !is_missing
}

/// Whether nothing goes wrong.
fn is_correct(workload: Workload) -> bool {
    matches!(workload.fault, Fault::None | Fault::Renewed) && workload.incident == Incident::None
}

/// Whether anything shows which holder released or extended the lock: its token or its connection.
fn is_distinguishable(workload: Workload) -> bool {
    let has_token = match workload.format {
        Format::Constant => false,
        // They extend without reading the token.
        Format::Field | Format::Sorted => workload.fault != Fault::Renewed,
        Format::Script | Format::GetDel | Format::NoDb | Format::Hash => true,
    };
    has_token || workload.place == Place::Threads
}

/// Where false accusations are not rare today: names tell the program, but what it did over one connection
/// is not joined with what it did over another one; and an eviction that only a counter shows.
fn is_frequent(workload: Workload, mode: Mode, is_missing: bool) -> bool {
    let Workload { place, fault, naming, incident, .. } = workload;
    let faults = [Fault::BlindDelete, Fault::ForeignRelease, Fault::Overwrite];
    let is_named = (place, naming) == (Place::Processes, Naming::Program);
    let is_evicted = (incident, mode) == (Incident::Eviction, Mode::Monitor);
    !is_missing && (is_named && faults.contains(&fault) || is_evicted)
}

/// Of this number of runs one may be accused falsely where that is known.
const RARE: usize = 40;

#[test]
fn no_recording_of_a_workload_misses_a_fault_or_accuses_falsely() {
    let asked = asked();
    let (mut table, mut wrong, mut known) = (HEAD.to_owned(), Vec::new(), Vec::new());
    let mut power = Power::default();
    let (mut runs, mut frequent, mut correct, mut clean) = (0, 0, 0, 0);
    for kind in kinds() {
        let mut tallies: [Tally; 3] = Default::default();
        for seed in 0..number() {
            let workload = Workload { seed, ..kind };
            let run = run(workload);
            for (mode, tally) in MODES.into_iter().zip(&mut tallies) {
                if !kind.format.is_text() && mode == Mode::Light {
                    continue;
                }
                let judged = judge(&run, workload, mode);
                tally.add(&judged);
                power.add(workload, mode, &judged);
                if is_correct(workload) && mode != Mode::Light && is_distinguishable(workload) {
                    correct += 1;
                    clean += u64::from(judged.verdict == Verdict::Clean);
                }
                let name = format!("{}/{mode:?}/{seed}", name(kind));
                let missing = judged.missing.iter().filter(|_| judged.verdict == Verdict::Missed);
                let missing = missing.map(|property| (*property, true));
                let untrue = judged.untrue.iter().map(|property| (*property, false));
                for (property, is_missing) in missing.chain(untrue) {
                    let what = if is_missing { "misses" } else { "is accused of" };
                    let said = format!("{name} {what} {}", property.word());
                    if is_frequent(workload, mode, is_missing) {
                        frequent += 1;
                    } else if is_known(workload, mode, is_missing) {
                        known.push(said);
                    } else {
                        wrong.push(said);
                    }
                }
                runs += 1;
                if asked.as_ref() == Some(&name) {
                    show(&run, &judged);
                }
            }
        }
        for (mode, tally) in MODES.into_iter().zip(tallies) {
            writeln!(table, "| {} | {mode:?} | {tally} |", name(kind)).unwrap();
        }
    }
    println!(
        "{table}\n{power}\nOf {runs} runs, {} + {frequent} findings are known to be false:\n{}",
        known.len(),
        known.join("\n")
    );
    assert!(clean * 100 >= correct * 95, "{clean} of {correct} correct programs are clean");
    let most = runs / RARE;
    assert!(known.len() <= most, "{} of {runs} runs:\n{}", known.len(), known.join("\n"));
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Prints all that is known of a workload.
fn show(run: &super::clients::Run, judged: &Judged) {
    for heard in &run.heard {
        println!("{heard:?}");
    }
    for fact in &run.truth.facts {
        println!("fact {fact:?}");
    }
    for event in &judged.history.events {
        println!("{event:?}");
    }
    println!("incomplete: {:?}", judged.history.head.incomplete);
    for finding in &judged.checked.findings {
        let at = run.began + finding.at / 1000;
        println!("{} at {at}: {}", finding.property.word(), finding.text);
    }
}
