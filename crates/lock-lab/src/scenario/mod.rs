//! Scenarios as data: the file format, its parameters, and the plan that comes of binding them.
//! Knows TOML; knows nothing of how a plan is run.
//!
//! A file is read member by member ([`Scenario::parse`]), so that whatever is wrong with it is
//! named with its line, its column and what would be right. `form` is how its tables are stated, for
//! the reader and for the JSON [`schema()`]. Its numbers may be sums of parameters: [`Scenario::bind`]
//! reads the file with the parameters' values, and a [`Plan`] is what comes of it.

mod action;
mod actor;
mod catalogue;
mod declarations;
mod duration;
mod error;
mod expect;
mod exploration;
mod expr;
mod file;
mod first_command;
mod foreign;
mod form;
mod names;
mod parameter;
mod plan;
mod read;
mod redis_step;
mod rule;
mod schema;
mod step;
#[cfg(test)]
mod tests;
mod unconstrained;
mod wait_cycle;

pub use catalogue::{built_in, built_in_names, catalogue};
pub use duration::parse as parse_duration;
pub use error::{ScenarioError, nearest, unknown};
pub use exploration::{Exploration, Timing};
pub use file::Scenario;
pub use lock_history::check::{Expectation, Status};
pub use parameter::{Kind, Parameter};
pub use plan::{
    Action, ActorPlan, Instance, LockPlan, Matches, PlaceError, Plan, Rule, RuleEffect, Start,
    Step, Value,
};
pub(crate) use redis_step::FENCE;
pub use schema::schema;
