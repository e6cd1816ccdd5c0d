//! The kinds of orderings that an exploration tries one after the other.

use super::whole;
use lock_lab::runtime::{Bounds, Explored, Limit};
use serde::Serialize;

/// All orderings within some bounds, as they were explored.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The bounds.
    pub bounds: Bounds,
    /// The outcome; why there is none, if it failed; nothing, if it was left out.
    pub outcome: Option<Result<Explored, String>>,
}

impl Stage {
    /// The outcome, if there is one.
    pub fn explored(&self) -> Option<&Explored> {
        self.outcome.as_ref()?.as_ref().ok()
    }
}

/// How far one kind of orderings was covered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageRow {
    /// How many actors may crash in an ordering.
    pub crashes: u32,
    /// How many commands or replies may be lost, or commands be late, in an ordering.
    pub faults: u32,
    /// How many orderings were run.
    pub orderings_run: u64,
    /// How many orderings there are; nothing, where that is not known.
    #[serde(serialize_with = "whole")]
    pub orderings: Option<f64>,
    /// How many different states were met.
    pub states: u64,
    /// What kept it from covering all orderings; nothing, if it did.
    pub stopped_by: Option<Limit>,
    /// Why it has no outcome, if it failed.
    pub failure: Option<String>,
    /// Whether no ordering was tried, as the stages before ended the exploration.
    pub left_out: bool,
}

impl StageRow {
    /// A row a stage.
    pub(super) fn all(stages: &[Stage]) -> Vec<Self> {
        let mut rows: Vec<Self> = Vec::new();
        for stage in stages {
            let row = Self::new(stage, &rows);
            rows.push(row);
        }
        rows
    }

    fn new(stage: &Stage, before: &[Self]) -> Self {
        let explored = stage.explored();
        let failure = match &stage.outcome {
            Some(Err(why)) => Some(why.clone()),
            _ => None,
        };
        let left_out = stage.outcome.is_none();
        // What ended the stages before left nothing for this one.
        let used_up = || {
            let orderings = before.iter().map(|row| row.orderings_run).sum();
            let has_any = stage.bounds.max_schedules.is_none_or(|most| most > orderings);
            let limit = if has_any { Limit::Time } else { Limit::Schedules };
            before.last().and_then(|row| row.stopped_by).unwrap_or(limit)
        };
        let nothing_left = left_out.then(used_up);
        Self {
            crashes: stage.bounds.crashes,
            faults: stage.bounds.faults,
            orderings_run: explored.map_or(0, |explored| explored.orderings_run),
            orderings: explored.and_then(|explored| explored.orderings),
            states: explored.map_or(0, |explored| explored.states),
            stopped_by: explored.and_then(|explored| explored.stopped_by).or(nothing_left),
            failure,
            left_out,
        }
    }

    /// Whether all of its orderings were covered.
    pub fn is_covered(&self) -> bool {
        self.stopped_by.is_none() && self.failure.is_none()
    }
}
