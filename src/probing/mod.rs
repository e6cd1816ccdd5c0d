//! A client from outside as it is judged, whatever started it: which properties, in which stages its orderings
//! are explored, and why there may be no verdict.

mod doubt;
mod judged;
mod stages;

pub use doubt::{Doubt, Doubtful, doubt};
pub use judged::{Expected, Limits, NotJudged};
pub use stages::{MAX_TIME, explored, may_fail, stages};
