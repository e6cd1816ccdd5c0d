//! A real Redis for clients of somebody else's: borrowed, and given back empty, or with what is left on
//! it named.

use super::exit::{Exit, Refusal, environment};
use super::signals::Signals;
use super::{ServerUrl, remote, say};
use lock_lab::runtime::command_line;
use lock_lab::server::Borrowed;
use std::sync::Arc;

/// A Redis that was borrowed.
pub(super) struct Loan {
    borrowed: Arc<Borrowed>,
    signals: Signals,
}

impl Loan {
    /// Borrows the Redis at a URL.
    pub fn new(url: &ServerUrl, signals: &Signals) -> Result<Self, Refusal> {
        let server = remote::at(url)?;
        let told = signals.clone();
        let told = move |words: Vec<String>| told.set_borrowed(Some(command_line(&words)));
        let borrowed = Borrowed::new(server, Box::new(told)).map_err(environment)?;
        Ok(Self { borrowed, signals: signals.clone() })
    }

    /// The Redis itself.
    pub fn borrowed(&self) -> &Arc<Borrowed> {
        &self.borrowed
    }

    /// Gives it back, however the work ended: deletes what is ours, and says what is left.
    pub fn end(self, ended: Result<Exit, Refusal>) -> Result<Exit, Refusal> {
        let is_well = self.borrowed.check().is_ok();
        let given_back = self.borrowed.give_back();
        self.signals.set_borrowed(None);
        let is_clean = given_back.is_ok();
        let left = match given_back {
            // What ended the work was named already.
            Ok(theirs) => theirs.filter(|_| is_well),
            Err(error) => {
                let by_hand = self.borrowed.by_hand();
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
