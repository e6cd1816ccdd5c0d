//! Faults of the server: it loses what it holds while correct programs use it.

use super::clients::World;
use super::server::Heard;
use super::truth::Over;

/// What happens to the server, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Incident {
    None,
    /// It evicts the key.
    Eviction,
    /// It restarts without its data, and clients connect again.
    Restart,
    /// An operator empties it.
    Flush,
}

impl World {
    /// Lets it happen.
    pub(super) fn strike(&mut self, incident: Incident) {
        self.pass(0);
        match incident {
            Incident::None => {}
            Incident::Eviction => {
                if self.server.evict() {
                    self.truth.lost(Over::Evicted);
                    self.server.heard.push(Heard::Evicted);
                }
            }
            Incident::Restart => {
                self.server.forget();
                self.truth.lost(Over::Forgotten);
                let now = self.server.now();
                self.server.heard.push(Heard::Restarted(now));
                self.reconnect();
            }
            Incident::Flush => {
                let operator = self.server.connect();
                self.server.run(operator, &["FLUSHALL"]);
                self.truth.lost(Over::Flushed);
            }
        }
    }
}
