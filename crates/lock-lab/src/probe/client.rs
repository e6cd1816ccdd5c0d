//! A client that carries out instructions: a process, or a value in tests.

use super::process::Process;
use super::subject::{Answer, Broken};
use crate::intercept::Link;

/// A client of one actor.
pub(super) trait Client: Send {
    /// From now on it lives this life of its actor: it has forgotten every other.
    fn begin(&mut self, life: u64) -> Result<(), Broken>;

    /// Whether this is the life that it lives.
    fn lives(&self, life: u64) -> bool;

    /// Whether it was left in the middle of an instruction.
    fn is_busy(&self) -> bool;

    /// Tells it to do something; what it sends meanwhile goes over the link.
    fn instruct(
        &mut self,
        instruction: &serde_json::Value,
        link: &mut dyn Link,
    ) -> Result<Answer, Broken>;

    /// The last value that it drew and sent for its last instruction, by its name.
    fn token(&self) -> Option<&str>;

    /// Its process, if it has one.
    fn process(&self) -> Option<&Process>;
}
