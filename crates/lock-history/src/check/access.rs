//! What commands and faults did to a lock, and between which moments.

use crate::history::{Moment, Verb};

/// Between which moments something ran on the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    /// Not before this.
    pub sent: Moment,
    /// Not after this.
    pub received: Moment,
}

impl Span {
    /// Whether this surely ran before that.
    pub fn is_before(self, other: Span) -> bool {
        self.received.order < other.sent.order
    }
}

/// A fault.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault<'a> {
    /// A lease expired by itself.
    LeaseExpired,
    /// Something was done on purpose, in these words.
    OnPurpose(&'a str),
}

/// One command or fault.
#[derive(Debug, Clone, Copy)]
pub(super) struct Access<'a> {
    /// When it ran.
    pub span: Span,
    /// Whose it was.
    pub actor: Option<usize>,
    /// In which step.
    pub step: Option<usize>,
    /// The verb of the step that it was sent in, if its sender had given it up.
    pub late: Option<&'a Verb>,
    /// What it was, if it was a fault.
    pub fault: Option<Fault<'a>>,
}

/// A change of a lock that is there.
#[derive(Debug)]
pub(super) struct Alteration<'a> {
    /// Which command or fault did it.
    pub access: Access<'a>,
    /// What it did.
    pub kind: AlterationKind<'a>,
    /// The acting actor's own latest acquisition.
    pub own: Option<usize>,
    /// How many tenures are known to have begun by the time of the reply.
    pub tenures_before: usize,
    /// Which of the tenures known by then may not have been over before it.
    pub open: Open,
}

/// How a lock was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AlterationKind<'a> {
    /// Its key was deleted, or else made free.
    Deleted {
        /// The token of the acquisition that the command compared.
        token: Option<&'a str>,
        /// Whether the key was made free in another way.
        is_freed: bool,
    },
    /// Its value was replaced.
    Overwrote,
    /// Its lease was changed.
    Extended {
        /// The lease in nanoseconds.
        lease: u64,
    },
}

/// When a lock was deleted, in the order in which the replies came.
#[derive(Debug, Default)]
pub(super) struct Deletions {
    received: Vec<u64>,
    /// The earliest sending of each and all after it.
    earliest_sent: Vec<u64>,
}

impl Deletions {
    pub fn add(&mut self, span: Span) {
        self.received.push(span.received.order);
        self.earliest_sent.push(span.sent.order);
    }

    /// To be called when all are noted, before anything is asked.
    pub fn finish(&mut self) {
        let mut earliest = u64::MAX;
        for sent in self.earliest_sent.iter_mut().rev() {
            earliest = earliest.min(*sent);
            *sent = earliest;
        }
    }

    /// Whether one may have run at the same time.
    pub fn overlap(&self, span: Span) -> bool {
        let first = self.received.partition_point(|received| *received < span.sent.order);
        self.earliest_sent.get(first).is_some_and(|sent| *sent <= span.received.order)
    }
}

/// Tenures that may not have been over.
#[derive(Debug, Clone, Copy)]
pub(super) enum Open {
    None,
    One(usize),
    Several,
}
