//! Scenarios as data: the file format, its parameters, and the plan that comes of binding them.
//! Knows TOML; knows nothing of how a plan is run.

mod plan;

pub use plan::{
    Action, ActorPlan, Expectation, Instance, LockPlan, Plan, Start, Status, Step, Value,
};
