//! `status --watch`.
use super::args::StatusArgs;
use super::exit::Exit;
use super::refusal::Refusal;
use super::status::Subject;

pub(super) fn watch(_subject: Subject, _args: &StatusArgs) -> Result<Exit, Refusal> {
    Ok(Exit::Success)
}
