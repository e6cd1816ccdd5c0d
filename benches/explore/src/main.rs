//! Exploration of a lock's orderings, next to Shuttle's, in one run. See README.md.

mod measure;
mod ours;
mod shuttle_model;
mod table;

use measure::{Case, Program, Strategy};
use std::io::IsTerminal as _;
use std::process::ExitCode;

const ROUNDS: usize = 5;

fn main() -> ExitCode {
    let rounds = match std::env::var("ROUNDS").map(|rounds| rounds.parse::<usize>()) {
        Err(_) => ROUNDS,
        Ok(Ok(rounds)) if rounds > 0 => rounds,
        Ok(_) => {
            eprintln!("ROUNDS must be a number from 1 on");
            return ExitCode::from(2);
        }
    };
    let only = std::env::var("ONLY").unwrap_or_default();
    let mut cases = cases();
    cases.retain(|case| only.split_whitespace().all(|word| case.to_string().contains(word)));
    if cases.is_empty() {
        eprintln!("ONLY={only:?} leaves nothing to measure");
        return ExitCode::from(2);
    }
    let mut measured: Vec<_> = cases.iter().map(|_| Vec::new()).collect();
    let shows_progress = std::io::stderr().is_terminal();
    // The first round warms up and is not counted. In each round everything has its turn, so that
    // what else the machine does befalls all alike.
    for round in 0..=rounds {
        for (case, measured) in cases.iter().zip(&mut measured) {
            if shows_progress {
                eprint!("\r\x1b[Kround {round} of {rounds}: {case}");
            }
            let one = case.measure();
            if round > 0 {
                measured.push(one);
            }
        }
    }
    if shows_progress {
        eprint!("\r\x1b[K");
    }
    let rows: Vec<_> =
        cases.iter().zip(measured).map(|(case, all)| table::Row::new(*case, all)).collect();
    table::print(&rows, rounds);
    if rows.iter().all(|row| row.failure.is_none()) { ExitCode::SUCCESS } else { ExitCode::from(3) }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for strategy in [Strategy::All, Strategy::Random] {
        for clients in [2, 3] {
            for program in Program::ALL {
                cases.push(Case { clients, strategy, program });
            }
        }
    }
    cases
}
