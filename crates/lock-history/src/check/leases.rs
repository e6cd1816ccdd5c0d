//! When a lease is certainly over, whatever extended it.

use super::access::Span;

/// Redis keeps a key to the end of the millisecond in which its lease expires.
const GRACE: u64 = 1_000_000;

/// All extensions of one lock's leases, in the order in which their replies came. An extension
/// concerns the holder of the lock when it runs, and that may be unknown.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    spans: Vec<Span>,
    /// When each lease that they set ends at the latest.
    ends: Vec<u64>,
    /// The earliest sending of each and all after it.
    earliest_sent: Vec<u64>,
    /// A tree of maxima over `ends`: node n is above 2n and 2n + 1, the leaves are the second half.
    maxima: Vec<u64>,
}

impl Extensions {
    /// Notes one more.
    pub fn add(&mut self, span: Span, lease: u64) {
        self.spans.push(span);
        self.ends.push(span.received.at.saturating_add(lease));
    }

    /// To be called when all are noted, before anything is asked.
    pub fn finish(&mut self) {
        let sent = self.spans.iter().rev().scan(u64::MAX, |earliest, span| {
            *earliest = span.sent.order.min(*earliest);
            Some(*earliest)
        });
        self.earliest_sent = sent.collect();
        self.earliest_sent.reverse();
        let leaves = self.ends.len();
        self.maxima = vec![0; leaves];
        self.maxima.extend(&self.ends);
        for node in (1..leaves).rev() {
            let below = |child: usize| self.maxima.get(child).copied().unwrap_or(0);
            let highest = below(2 * node).max(below(2 * node + 1));
            if let Some(maximum) = self.maxima.get_mut(node) {
                *maximum = highest;
            }
        }
    }

    /// When the lease of an acquisition is over as far as the lease alone goes: its end, and the
    /// moment from which on the lock is certainly gone. `over_by` is the order by which the
    /// acquisition was seen to be over: no extension that was sent later concerned it.
    ///
    /// Every extension that may have concerned it counts, so a lease that was shortened is taken
    /// to be as long as it was before.
    pub fn end(&self, taken: Span, lease: Option<u64>, over_by: Option<u64>) -> Option<LeaseEnd> {
        let from = self.spans.partition_point(|one| one.received.order < taken.sent.order);
        let to = over_by.map_or(self.spans.len(), |order| {
            self.earliest_sent.partition_point(|sent| *sent <= order)
        });
        let extended = self.latest_end(from, to);
        let lease = lease.map(|lease| taken.received.at.saturating_add(lease));
        // Without a lease of its own it ends only if it was surely there to be extended.
        let last = self.spans.get(from..to).and_then(<[Span]>::last);
        let is_sure = last.is_some_and(|last| taken.is_before(*last));
        let at = match (lease, extended) {
            (Some(lease), extended) => Some(lease.max(extended.unwrap_or(0))),
            (None, extended) => extended.filter(|_| is_sure),
        }?;
        Some(LeaseEnd { at, gone_at: at.saturating_add(GRACE) })
    }

    fn latest_end(&self, from: usize, to: usize) -> Option<u64> {
        let leaves = self.ends.len();
        let (mut left, mut right) = (from + leaves, to + leaves);
        let mut latest = None;
        while left < right {
            if left % 2 == 1 {
                latest = latest.max(self.maxima.get(left).copied());
                left += 1;
            }
            if right % 2 == 1 {
                right -= 1;
                latest = latest.max(self.maxima.get(right).copied());
            }
            (left, right) = (left / 2, right / 2);
        }
        latest
    }
}

/// The end of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeaseEnd {
    /// When it ends, in nanoseconds since the run began.
    pub at: u64,
    /// From when on the lock is certainly gone.
    pub gone_at: u64,
}
