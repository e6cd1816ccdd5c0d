//! All orderings, those with few preemptions first (Musuvathi and Qadeer, "Iterative context
//! bounding for systematic testing of multithreaded programs", 2007): depth first, and what follows
//! from a state is run once.

use super::intern::{bytes_of_list, bytes_of_table};
use super::walk::{At, Scheduler};
use rustc_hash::FxHashSet;

/// Up to how many preemptions are tried one by one, before any number is.
const STAIRS: u32 = 2;
const ANY: u32 = u32::MAX;
/// More preemptions than any bound that is tried one by one.
const UNMET: u32 = u32::MAX;

/// Walks through everything.
pub(super) struct Exhaustive {
    tasks: usize,
    /// The most preemptions that are wanted.
    most: u32,
    /// The most preemptions in the orderings that are run now.
    bound: u32,
    /// Where an ordering was left out that has more: by [`spot`](Self::spot). One that is come by
    /// with fewer later is run on from there after all.
    left_out: FxHashSet<usize>,
    has_begun: bool,
    frames: Vec<Frame>,
    /// With how few preemptions each state was met, for each whose step was last.
    met: Vec<u32>,
}

/// A moment of the ordering that is run now.
struct Frame {
    /// The first choice that was not looked at.
    next: usize,
    /// How many choices are still to try.
    left: usize,
}

impl Exhaustive {
    /// Orderings with at most this number of preemptions; with any number, if none is given.
    pub fn new(preemptions: Option<u32>, tasks: usize) -> Self {
        Self {
            tasks,
            most: preemptions.unwrap_or(ANY),
            bound: 0,
            left_out: FxHashSet::default(),
            has_begun: false,
            frames: Vec::new(),
            met: Vec::new(),
        }
    }

    /// Whether no ordering was left out.
    pub fn is_complete(&self) -> bool {
        self.left_out.is_empty()
    }

    /// A state and, where the number of preemptions matters, whose step was last.
    fn spot(&self, at: &At<'_>) -> usize {
        match self.bound {
            ANY => at.state as usize,
            _ => at.state as usize * (self.tasks + 1) + at.last.map_or(0, |last| last + 1),
        }
    }

    /// Whether what follows from here was run already.
    fn was_met(&mut self, at: &At<'_>) -> bool {
        let index = self.spot(at);
        let preemptions = if self.bound == ANY { 0 } else { at.preemptions };
        if self.met.len() <= index {
            self.met.resize((index + 1).next_power_of_two(), UNMET);
        }
        match self.met.get_mut(index) {
            Some(met) if *met > preemptions => {
                *met = preemptions;
                false
            }
            _ => true,
        }
    }

    fn is_affordable(&self, at: &At<'_>, costs: bool) -> bool {
        at.preemptions.saturating_add(u32::from(costs)) <= self.bound
    }
}

impl Scheduler for Exhaustive {
    fn begin(&mut self) -> Option<usize> {
        while self.frames.pop_if(|frame| frame.left == 0).is_some() {}
        if let Some(last) = self.frames.len().checked_sub(1) {
            return Some(last);
        }
        if !std::mem::replace(&mut self.has_begun, true) {
            return Some(0);
        }
        if self.left_out.is_empty() || self.bound >= self.most {
            return None;
        }
        self.bound = if self.bound < STAIRS { self.bound + 1 } else { ANY }.min(self.most);
        self.left_out.clear();
        self.met.fill(UNMET);
        Some(0)
    }

    fn choose(&mut self, at: &At<'_>) -> Option<usize> {
        if self.frames.len() <= at.depth {
            if self.was_met(at) {
                return None;
            }
            let affordable = at.choices.iter().filter(|it| self.is_affordable(at, at.preempts(it)));
            let left = affordable.count();
            if left < at.choices.len() {
                self.left_out.insert(self.spot(at));
            } else if !self.left_out.is_empty() {
                self.left_out.remove(&self.spot(at));
            }
            self.frames.push(Frame { next: 0, left });
        }
        let from = self.frames.last()?.next;
        let choices = at.choices.iter().enumerate().skip(from);
        let (next, _) = choices.clone().find(|(_, it)| self.is_affordable(at, at.preempts(it)))?;
        let frame = self.frames.last_mut()?;
        frame.next = next + 1;
        frame.left = frame.left.saturating_sub(1);
        Some(next)
    }

    fn bytes(&self) -> usize {
        let left_out = self.left_out.capacity();
        bytes_of_list(&self.met)
            + bytes_of_list(&self.frames)
            + bytes_of_table(self.left_out.len(), left_out, size_of::<usize>())
    }

    fn preemptions(&self) -> Option<u32> {
        (self.bound != ANY).then_some(self.bound)
    }
}
