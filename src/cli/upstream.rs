//! Exclusive use of a real Redis for clients from outside: it is given back empty, or with what is
//! left on it named.

use super::exit::{Exit, Refusal, environment};
use super::signals::Signals;
use super::{ServerUrl, remote, say};
use lock_lab::runtime::command_line;
use lock_lab::server::ExclusiveServer;
use std::sync::Arc;

/// A Redis in exclusive use.
pub(super) struct ExclusiveUse {
    exclusive: Arc<ExclusiveServer>,
    signals: Signals,
}

impl ExclusiveUse {
    /// Takes the Redis at a URL for exclusive use.
    pub fn new(url: &ServerUrl, signals: &Signals) -> Result<Self, Refusal> {
        let server = remote::at(url)?;
        let notified = signals.clone();
        let on_command =
            move |words: Vec<String>| notified.set_exclusive_server(Some(command_line(&words)));
        let exclusive = ExclusiveServer::new(server, Box::new(on_command)).map_err(environment)?;
        Ok(Self { exclusive, signals: signals.clone() })
    }

    /// The Redis itself.
    pub fn exclusive(&self) -> &Arc<ExclusiveServer> {
        &self.exclusive
    }

    /// Gives it back, however the work ended: deletes what is ours, and says what is left.
    pub fn end(self, ended: Result<Exit, Refusal>) -> Result<Exit, Refusal> {
        let is_well = self.exclusive.check().is_ok();
        let given_back = self.exclusive.give_back();
        self.signals.set_exclusive_server(None);
        let is_clean = given_back.is_ok();
        let left = match given_back {
            // What ended the work was named already.
            Ok(theirs) => theirs.filter(|_| is_well),
            Err(error) => {
                let by_hand = self.exclusive.by_hand();
                let by_hand = by_hand.map(|words| format!("; run: {}", command_line(&words)));
                Some(format!("could not clean up ({error}){}", by_hand.unwrap_or_default()))
            }
        };
        match ended {
            Ok(exit) => {
                left.iter().for_each(|line| say(line));
                Ok(if is_clean { exit } else { Exit::worst([exit, Exit::Environment]) })
            }
            Err(mut refusal) => {
                refusal.left.extend(left);
                Err(refusal)
            }
        }
    }
}
