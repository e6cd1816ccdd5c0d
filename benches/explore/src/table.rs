//! The table: medians of the rounds, and ratios to the faster way of writing the model for Shuttle.

use crate::measure::{Case, Explored, Measured, Program, Strategy};
use crate::shuttle_model::Style;

/// A case and what was measured.
pub struct Row {
    case: Case,
    /// Why there is nothing to show.
    pub failure: Option<String>,
    explored: Option<Explored>,
    covered: Option<f64>,
    /// In milliseconds.
    took: Spread,
    /// Orderings run per second of processor time.
    rate: f64,
}

/// The middle one of several measurements, and the ends.
#[derive(Debug, Clone, Copy, Default)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (values.first(), values.last()) else {
            return Self::default();
        };
        Self { median: values[values.len() / 2], min: *min, max: *max }
    }
}

impl Row {
    /// A row from the measurements of all rounds.
    pub fn new(case: Case, all: Vec<Result<Measured, String>>) -> Self {
        let failure = all.iter().find_map(|one| one.as_ref().err().cloned());
        let all: Vec<_> = all.into_iter().flatten().collect();
        let explored = all.last().map(|one| one.explored.clone());
        let rate = |one: &Measured| one.explored.run as f64 / one.cpu.as_secs_f64();
        Self {
            case,
            failure,
            covered: explored.as_ref().and_then(|one| one.covered).or_else(|| case.covered()),
            explored,
            took: Spread::of(all.iter().map(|one| one.took.as_secs_f64() * 1e3)),
            rate: Spread::of(all.iter().map(rate)).median,
        }
    }

    fn is_lean(&self) -> bool {
        self.case.program == Program::Shuttle(Style::Lean)
    }
}

/// Prints all of it.
pub fn print(rows: &[Row], rounds: usize) {
    println!(
        "Medians of {rounds} rounds (min - max). Rates are orderings run per second of processor time.\n\
         Ratios are to Shuttle, lean: above 1 is faster than that.\n"
    );
    println!(
        "{:<11} {:<23} {:>9} {:>10} {:>9} {:>28} {:>7} {:>12} {:>7}",
        "model",
        "program",
        "run",
        "covered",
        "exhausted",
        "time in ms",
        "ratio",
        "orderings/s",
        "ratio"
    );
    let mut last = None;
    for row in rows {
        let group = (row.case.strategy, row.case.clients);
        if last.is_some_and(|last| last != group) {
            println!();
        }
        last = Some(group);
        let strategy = if row.case.strategy == Strategy::All { "all" } else { "random" };
        let model = format!("{}, {strategy}", row.case.clients);
        let (Some(explored), None) = (&row.explored, &row.failure) else {
            let failure = row.failure.as_deref().unwrap_or("nothing measured");
            println!("{model:<11} {:<23} not measured: {failure}", row.case.program);
            continue;
        };
        let lean = rows
            .iter()
            .find(|lean| lean.is_lean() && (lean.case.strategy, lean.case.clients) == group);
        let ratio = |of: &dyn Fn(&Row) -> f64| {
            lean.map_or(String::new(), |lean| {
                let ratio = of(lean);
                if ratio < 0.1 { format!("{ratio:.4}") } else { format!("{ratio:.2}") }
            })
        };
        // The time of one that was stopped by a bound says nothing.
        let times_compare = explored.is_exhausted || row.case.strategy == Strategy::Random;
        let exhausted = match (row.case.strategy, explored.is_exhausted) {
            (Strategy::Random, _) => "",
            (Strategy::All, true) => "yes",
            (Strategy::All, false) => "no",
        };
        println!(
            "{model:<11} {:<23} {:>9} {:>10} {exhausted:>9} {:>30} {:>7} {:>12} {:>7}",
            row.case.program,
            explored.run,
            row.covered.map_or(String::new(), |covered| format!("{covered:.0}")),
            format!("{:.1} ({:.1} - {:.1})", row.took.median, row.took.min, row.took.max),
            if times_compare {
                ratio(&|lean| lean.took.median / row.took.median)
            } else {
                String::new()
            },
            format!("{:.0}", row.rate),
            ratio(&|lean| row.rate / lean.rate),
        );
    }
    println!();
    for row in rows {
        if let Some(explored) = &row.explored {
            println!("{}: {}", row.case, explored.note);
        }
    }
}
