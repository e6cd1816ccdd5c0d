//! How many orderings there are.

use super::ExploreError;
use super::machine::{Machine, StateId};

/// The number of orderings from the first choice to the end of all actors, each counted by itself,
/// also those that differ only in steps that commute. Asks for no state that is not known.
pub(super) fn orderings(machine: &mut Machine) -> Result<f64, ExploreError> {
    // Not a number is one that is not known.
    let mut counts: Vec<f64> = vec![f64::NAN; machine.states()];
    let mut stack: Vec<StateId> = vec![machine.first()];
    while let Some(&state) = stack.last() {
        let choices = machine.choices(state)?;
        let mut sum = if choices.is_empty() { 1.0 } else { 0.0 };
        let before = stack.len();
        for choice in choices {
            match counts.get(choice.to as usize) {
                Some(count) if !count.is_nan() => sum += count,
                _ => stack.push(choice.to),
            }
        }
        if stack.len() == before {
            stack.pop();
            if let Some(count) = counts.get_mut(state as usize) {
                *count = sum;
            }
        }
    }
    Ok(counts.get(machine.first() as usize).copied().unwrap_or(0.0))
}
