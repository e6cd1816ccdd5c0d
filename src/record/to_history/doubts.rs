//! Where a token, or a lease that was set, does not tell for certain what a client did.

use super::HistoryWriter;
use crate::record::key::Id;
use crate::record::operation::{Came, Unit};

/// Why a release by a token is not certain.
pub(super) const SHARED: &str = "one value is the token of several acquisitions or clients, and whose command it was that used \
                      it is unknown";
const AGAIN: &str = "it was released again with the token that it had been released with, which may be that of \
                     several clients";
const ASKED_AGAIN: &str = "it was asked for with the token that it was held with, over its holder's connection, which may \
                           be that of several clients";
pub(super) const HANDED_OVER: &str = "a client of another program used its holder's token, and whether the holder gave it that is \
                           unknown";
/// Why a release by a short lease is not.
const SHORTENED: &str = "its holder shortened its lease and did nothing more with it, and whether that released it is \
                         unknown";

impl<'a> HistoryWriter<'a> {
    /// Notes where a token does not tell whose command it was.
    pub(super) fn doubt_tokens(&mut self, unit: &Unit<'a>, lock: usize) {
        let tokens = self.given.tokens;
        if tokens.releases_again(unit.first..=unit.last()) {
            self.doubt(lock, AGAIN);
        }
        if tokens.asks_again(unit.first..=unit.last()) {
            self.doubt(lock, ASKED_AGAIN);
        }
    }

    /// Whether an actor lets its lock expire, as a release.
    pub(super) fn is_given_up(
        &mut self,
        unit: &Unit<'a>,
        lock: usize,
        came: Came,
        held: Option<Id>,
    ) -> bool {
        let is_own = match came {
            Came::Extended(id) => held == Some(id),
            Came::Replaced(_, before) => held == Some(before),
            _ => false,
        };
        let releases = self.given.short_leases.releases(unit.first..=unit.last());
        match releases.filter(|_| is_own) {
            None => false,
            Some(is_sure) => {
                if !is_sure {
                    self.doubt(lock, SHORTENED);
                }
                true
            }
        }
    }

    /// What a lock holds after its holder let it expire: for no client any more.
    pub(super) fn relinquish(&mut self, actor: usize, lock: usize, came: Came) {
        match came {
            Came::Replaced(id, _) => {
                self.holdings.free(lock);
                self.holdings.take(actor, lock, id);
                self.holdings.forget(actor, lock);
            }
            Came::Extended(id) => self.holdings.lease(id),
            _ => {}
        }
    }
}
