//! What a client's answer tells that its commands don't: who holds a lock, and with which fencing token.

use super::Monitor;
use super::state::{Doing, Owner, TenureState};
use super::{Lock, Property, Verb};

impl Monitor {
    /// Where the commands of a step show nothing, the client's answer tells who holds the lock.
    pub(super) fn hear_answer(&mut self, actor: usize, lock: usize, verb: &Verb) {
        let Some(&Lock { owner, began_late, .. }) = self.locks.get(lock) else { return };
        let (took, wrote) = match self.actors.get(actor).map(|this| &this.doing) {
            Some(Doing::Acquires { tenure, wrote, .. }) => {
                (*tenure != TenureState::Unknown, *wrote)
            }
            _ => (false, false),
        };
        match (verb, owner) {
            (Verb::Release, Owner::Actor(owner)) if owner == actor && !began_late => {
                self.end_tenure(lock, Some(actor), None);
                if let Some(state) = self.locks.get_mut(lock) {
                    state.is_leftover = true;
                }
            }
            (Verb::Acquire, _) if !took && wrote => self.overwrite(lock, Some(actor), None),
            (Verb::Acquire, Owner::Unowned) if !took => {
                self.begin_tenure(lock, Some(actor), None, false);
            }
            _ => {}
        }
    }

    /// The fencing token of an acquisition, where the client tells it and not the command. One that is lost by
    /// then must not have a higher one than the tenures that came after it.
    pub(super) fn hear_fence(&mut self, actor: usize, lock: usize, fence: Option<u64>) {
        let doing = self.actors.get(actor).map(|this| &this.doing);
        match doing {
            Some(Doing::Acquires { tenure: TenureState::Lasts, fenced: false, .. }) => {
                self.judge_fence(lock, fence);
            }
            Some(Doing::Acquires { fenced: false, ceiling: Some(ceiling), .. })
                if fence >= Some(*ceiling) =>
            {
                self.found.insert(Property::FencingOrder);
            }
            _ => {}
        }
    }

    /// Each acquisition has a higher fencing token than those before it.
    pub(super) fn judge_fence(&mut self, lock: usize, fence: Option<u64>) {
        let (Some(fence), Some(state)) = (fence, self.locks.get_mut(lock)) else { return };
        if state.fence.is_some_and(|highest| fence <= highest) {
            self.found.insert(Property::FencingOrder);
        }
        state.fence = state.fence.max(Some(fence));
        for actor in &mut self.actors {
            if let Doing::Acquires { lock: its, tenure, fenced: false, ceiling, .. } =
                &mut actor.doing
                && *its == lock
                && tenure.is_over()
            {
                *ceiling = Some(ceiling.map_or(fence, |lowest| lowest.min(fence)));
            }
        }
    }
}
