//! What commands do to the members of a key.

use super::slots::Shape;
use super::{Doing, KeysModel};
use crate::record::effects::{Field, Kind, MemberAct, Only};
use crate::record::key::{Access, Held, Key, Outcome};
use crate::record::observations::{MemberCommand, What, text_token};
use crate::record::reasons::shown;
use lock_lab::format::is_drawn;
use lock_lab::lock::Payload;
use std::collections::HashSet;
use std::ops::{Bound, RangeBounds};
use std::rc::Rc;

/// How many characters of an argument are shown.
const LONGEST: usize = 80;

/// Why mutual exclusion is not judged of a set, and of a hash with a mode.
pub(super) const SHARED: &str =
    "how many may hold it at once is not known, so whether too many did is not judged";
/// Why a hash is not followed any more.
pub(super) const SEVERAL: &str =
    "several fields of the hash hold it at once, and which may share it is not known";
/// Why it is not certain that no client removed another's member.
const LISTED: &str =
    "a client that had not added a member removed it, and other clients can know its name";
/// Why mutual exclusion is not judged of a read-write lock of which not all is known.
pub(super) const READ_WRITE: &str =
    "it is a read-write lock, and whether a writer shared it is not judged";
/// The same of one that its clients did not keep to.
const WRITER_SHARED: &str =
    "a writer and another client held it at once, and which of them did wrong is not judged";
/// Why the members of a key are not followed any more.
const TOO_MANY: &str = "it has had more than 10 000 members, which is not followed";
pub(super) const UNNAMED: &str =
    "it holds a hash, and which of its fields names the holder is not known";

/// Nothing, if what a command does is not followed.
type Followed = Option<()>;

impl KeysModel {
    /// What a command does to members of a key; nothing if that is not known.
    pub(super) fn member_act(
        &mut self,
        lock: usize,
        name: &str,
        act: MemberAct,
        doing: Doing,
    ) -> Followed {
        match act {
            MemberAct::Count { field, by } => self.count(lock, (name, &field, by), doing),
            MemberAct::Fields { pairs, if_free } => {
                self.fields(lock, (name, &pairs, if_free), doing)
            }
            MemberAct::Add { members } => {
                self.becomes_set(lock, Kind::Set, doing)?;
                let members = members.iter().map(|member| (member.as_slice(), None));
                self.add(lock, name, members, Some(Only::Absent), doing)
            }
            MemberAct::Score { members, only } => {
                self.becomes_set(lock, Kind::Sorted, doing)?;
                let members =
                    members.iter().map(|(member, score)| (member.as_slice(), Some(*score)));
                self.add(lock, name, members, only, doing)
            }
            MemberAct::Remove { kind, members } => {
                members.iter().try_for_each(|member| self.remove(lock, name, (kind, member), doing))
            }
            MemberAct::RemoveScores(low, high) => self.remove_scores(lock, (low, high), doing),
            MemberAct::List => {
                self.states.get_mut(lock)?.is_listed = true;
                Some(())
            }
            MemberAct::Size => {
                self.count_members(lock, name, doing);
                Some(())
            }
            MemberAct::Read { kind, member } => {
                self.read(lock, name, (kind, &member), doing);
                Some(())
            }
        }
    }

    fn becomes_set(&mut self, lock: usize, kind: Kind, doing: Doing) -> Followed {
        self.becomes(lock, Shape::Members(kind), doing.when).then_some(())
    }

    /// From here on mutual exclusion is not judged.
    pub(super) fn is_shared(&mut self, lock: usize, why: &str) {
        if let Some(state) = self.states.get_mut(lock) {
            state.note_gap(why);
        }
    }

    /// A number in a field of a hash: the field is the holder, and the number how often it took the lock.
    fn count(
        &mut self,
        lock: usize,
        (name, field, by): (&str, &[u8], i64),
        doing: Doing,
    ) -> Followed {
        if self.shape(lock) == Shape::Members(Kind::Sharers) && by > 0 {
            return self.add(lock, name, std::iter::once((field, None)), None, doing);
        } else if self.shape(lock) == Shape::Members(Kind::Sharers) {
            self.read(lock, name, (Kind::Hash, field), doing);
            return Some(());
        }
        if self.shape(lock) == Shape::Members(Kind::Hash)
            && !self.becomes(lock, Shape::Holder, doing.when)
        {
            // A counter beside the field that names the holder.
            return self.member(lock, field).is_none().then_some(());
        }
        self.becomes(lock, Shape::Holder, doing.when).then_some(())?;
        if !is_holder(field) {
            self.give_up(lock, doing.at, UNNAMED.into());
            return Some(());
        }
        let token = token_of(field);
        let own = self.with_token(lock, &token);
        let is_own = |held: Option<Held>| held.is_some_and(|held| own.contains(&held.by));
        let is_possible = |held: Option<Held>| is_own(held) || by > 0 && held.is_none();
        let key = self.states.get(lock)?.key.as_ref()?;
        if !key.is_any(is_possible) {
            self.give_up(lock, doing.at, SEVERAL.into());
            return Some(());
        }
        if key.is_any(|held| !is_possible(held)) {
            // Where the script did not look, it may as well have found another holder.
            doing.has_read.then_some(())?;
            self.decide(lock, |key| key.compared(&own, true, by > 0));
        }
        let access = if by > 0 {
            let token = token.clone();
            (Access::Enter, What::Write { token, fence: None, lease: None, over: false })
        } else {
            (Access::Read, What::Read)
        };
        let command = self.typed(lock, name, &[field, by.to_string().as_bytes()]);
        self.observe(lock, access, doing, Some(MemberCommand { token: Some(token), ..command }));
        Some(())
    }

    /// Fields of a hash are written.
    fn fields(
        &mut self,
        lock: usize,
        (name, pairs, if_free): (&str, &[Field], bool),
        doing: Doing,
    ) -> Followed {
        let is_held = !self.holds_nothing(lock, doing.when);
        let shape = self.shape(lock);
        let is_met = |(field, _): &&Field| self.member(lock, field).is_some();
        let mut named: Vec<_> = pairs.iter().filter(|pair| if_free || is_met(pair)).collect();
        let is_met = !named.is_empty();
        if !is_met {
            named.extend(holder_field(pairs));
        }
        let counts = pairs.iter().find(|(field, value)| is_count(field, value));
        match (shape, counts) {
            (Shape::Members(Kind::Sharers), _) if is_held => {
                return self.share(lock, name, pairs, doing);
            }
            _ if !is_held && pairs.iter().any(|(field, value)| is_mode(field, value)) => {
                return self.share(lock, name, pairs, doing);
            }
            (Shape::Holder, Some((field, _))) if is_held => {
                return self.count(lock, (name, field, 1), doing);
            }
            (Shape::Holder, None) if is_held => return Some(()),
            (Shape::Members(Kind::Hash), _) if is_held && !if_free && !is_met => return Some(()),
            (Shape::Members(Kind::Hash), _) => {}
            _ if is_held => return None,
            (_, Some((field, _))) if named.is_empty() => {
                return self.count(lock, (name, field, 1), doing);
            }
            _ => {}
        }
        if named.is_empty() {
            self.give_up(lock, doing.at, UNNAMED.into());
            return Some(());
        }
        self.becomes(lock, Shape::Members(Kind::Hash), doing.when).then_some(())?;
        named.iter().try_for_each(|field| self.write_field(lock, (name, field, if_free), doing))
    }

    /// Fields of a hash that readers share.
    fn share(&mut self, lock: usize, name: &str, pairs: &[Field], doing: Doing) -> Followed {
        self.becomes_set(lock, Kind::Sharers, doing)?;
        if let Some((_, mode)) = pairs.iter().find(|(field, value)| is_mode(field, value)) {
            self.states.get_mut(lock)?.is_written = mode == b"write";
            self.check_writer(lock, doing);
        }
        if !pairs.iter().all(|(field, value)| is_mode(field, value) || is_count(field, value)) {
            self.is_shared(lock, READ_WRITE);
        }
        let holders = pairs.iter().filter(|(field, value)| is_count(field, value));
        self.add(lock, name, holders.map(|(field, _)| (field.as_slice(), None)), None, doing)
    }

    /// Notes whether a writer and another client hold the lock at once. A writer may also read.
    fn check_writer(&mut self, lock: usize, doing: Doing) {
        let held = self.held_members(lock, doing.when);
        let Some(state) = self.states.get(lock).filter(|state| state.is_written) else { return };
        let held = state.members.iter().filter(|(_, slot)| held.contains(slot));
        let threads = held.map(|(member, _)| member.strip_suffix(b":write").unwrap_or(member));
        if threads.collect::<HashSet<_>>().len() > 1 {
            self.is_shared(lock, WRITER_SHARED);
        }
    }

    fn write_field(
        &mut self,
        lock: usize,
        (name, (field, value), if_free): (&str, &Field, bool),
        doing: Doing,
    ) -> Followed {
        let slot = self.slot(lock, field)?;
        if self.is_unclear(lock, Some(slot), doing) {
            return Some(());
        }
        let until = self.lease_of_key(lock, slot, doing.when);
        let payload = Payload::decode(value);
        self.seen.own(doing.client, payload.owner());
        let (token, fence) = (text_token(&payload), payload.fence());
        let lease = until.lease(doing.when);
        let what = What::Write { token, fence, lease, over: false };
        let access = match if_free {
            true => Access::Take(until),
            false => Access::Put { until, only_if_held: false },
        };
        let command = self.typed(lock, name, &[field, value]);
        self.observe(slot, (access, what), doing, Some(command));
        Some(())
    }

    /// Members are added to a set, or scored.
    fn add<'a>(
        &mut self,
        lock: usize,
        name: &str,
        members: impl Iterator<Item = (&'a [u8], Option<f64>)>,
        only: Option<Only>,
        doing: Doing,
    ) -> Followed {
        for (member, score) in members {
            let Some(slot) = self.slot(lock, member) else {
                self.give_up(lock, doing.at, TOO_MANY.into());
                return Some(());
            };
            if self.is_unclear(lock, Some(slot), doing) {
                return Some(());
            }
            // Of any other that was not given back a client may believe that it holds it.
            let is_read_write = self.shape(lock) == Shape::Members(Kind::Sharers);
            if !is_read_write && self.states.get(lock)?.members.len() > 1 {
                self.is_shared(lock, SHARED);
            }
            let until = self.lease_of_key(lock, slot, doing.when);
            let token = token_of(member);
            let lease = until.lease(doing.when);
            let over = only == Some(Only::Present);
            let what = What::Write { token, fence: None, lease, over };
            let access = match only {
                Some(Only::Absent) => Access::Take(until),
                Some(Only::Present) => Access::Put { until, only_if_held: true },
                None => Access::Put { until, only_if_held: false },
            };
            let may_be = |held: bool| {
                let key = self.states.get(slot).and_then(|state| state.key.as_ref());
                key.is_some_and(|key| key.is_any(|now| now.is_some() == held))
            };
            let (may_be_held, may_be_free) = (may_be(true), may_be(false));
            let text = score.map(|score| score.to_string());
            let arguments = text.iter().map(String::as_bytes).chain([member]);
            let command = self.typed(lock, name, &arguments.collect::<Vec<_>>());
            self.observe(slot, (access, what), doing, Some(command));
            let state = self.states.get_mut(slot)?;
            state.score = match only {
                Some(Only::Absent) if may_be_held && may_be_free => None,
                Some(Only::Absent) if may_be_held => state.score,
                Some(Only::Present) if may_be_free => state.score.filter(|_| !may_be_held),
                _ => score,
            };
        }
        self.check_writer(lock, doing);
        Some(())
    }

    fn remove(
        &mut self,
        lock: usize,
        name: &str,
        (kind, member): (Kind, &[u8]),
        doing: Doing,
    ) -> Followed {
        let command = self.typed(lock, name, &[member]);
        let token = token_of(member);
        match self.shape(lock) {
            Shape::Holder if kind == Kind::Hash => {
                // A former holder that releases it in vain is seen, too.
                if is_holder(member) || !self.with_token(lock, &token).is_empty() {
                    let command = MemberCommand { token: Some(token), ..command };
                    self.observe(lock, (Access::Leave, What::Delete), doing, Some(command));
                }
                Some(())
            }
            Shape::Members(its) if is_of(its, kind) => {
                if its == Kind::Sharers && member == b"mode" {
                    self.is_shared(lock, READ_WRITE);
                }
                let Some(slot) = self.member(lock, member) else { return Some(()) };
                let holder = self.states.get(slot)?.holder;
                let token = (its != Kind::Hash).then_some(token);
                let is_named = token.is_some();
                let command = MemberCommand { token, ..command };
                self.observe(slot, (Access::Delete, What::Delete), doing, Some(command));
                let holder = holder.and_then(|holder| self.seen.observations.get(holder));
                if let Some(holder) = holder.map(|holder| holder.client).filter(|_| is_named) {
                    self.given_back(lock, (member, slot), (holder, doing.client));
                }
                Some(())
            }
            _ => self.holds_nothing(lock, doing.when).then_some(()),
        }
    }

    /// A member was removed: by its holder, if that knows its name from nowhere else.
    fn given_back(&mut self, lock: usize, member: (&[u8], usize), (holder, by): (u32, u32)) {
        let host = |client: u32| {
            let address = self.seen.client(client)?.address.as_str();
            Some(address.rsplit_once(':').map_or(address, |(host, _)| host))
        };
        let is_listed = self.states.get(lock).is_none_or(|state| state.is_listed);
        if holder != by && (is_listed || !is_drawn(member.0)) {
            self.is_shared(lock, LISTED);
        } else if holder == by || host(holder) == host(by) {
            self.spare(lock, member.0, member.1);
        }
    }

    /// The members whose time is over are removed.
    fn remove_scores(
        &mut self,
        lock: usize,
        range: (Bound<f64>, Bound<f64>),
        doing: Doing,
    ) -> Followed {
        let held = self.held_members(lock, doing.when);
        let is_sorted = held.is_empty() || self.shape(lock) == Shape::Members(Kind::Sorted);
        is_sorted.then_some(())?;
        for slot in held {
            let state = self.states.get(slot)?;
            if !range.contains(&state.score?) {
                continue;
            }
            let holder = state.holder;
            self.decide(slot, Key::expired);
            if let Some(holder) = holder {
                self.is_shared(lock, SHARED);
                self.seen.found(slot, doing.at, What::Overdue, Outcome::Deleted(holder));
            }
        }
        Some(())
    }

    fn read(&mut self, lock: usize, name: &str, (kind, member): (Kind, &[u8]), doing: Doing) {
        let slot = match self.shape(lock) {
            Shape::Holder if kind == Kind::Hash => Some(lock),
            Shape::Text if self.holds_nothing(lock, doing.when) => Some(lock),
            Shape::Members(its) if is_of(its, kind) => self.member(lock, member),
            _ => None,
        };
        let Some(slot) = slot else { return };
        let is_token = self.shape(lock) != Shape::Members(Kind::Hash);
        let token = is_token.then(|| token_of(member));
        let command = MemberCommand { token, ..self.typed(lock, name, &[member]) };
        self.observe(slot, (Access::Read, What::Read), doing, Some(command));
    }

    /// A script that counts the members meets the holders: if it adds none, it was refused because of them.
    fn count_members(&mut self, lock: usize, name: &str, doing: Doing) {
        let held = self.held_members(lock, doing.when);
        if let Some(slot) = held.first().copied().filter(|_| self.call().is_some()) {
            let command = self.typed(lock, name, &[]);
            self.observe(slot, (Access::Read, What::Read), doing, Some(command));
        }
    }

    /// A command about the key, as a person would type it.
    fn typed(&self, lock: usize, name: &str, arguments: &[&[u8]]) -> MemberCommand {
        let key = self.seen.locks.get(lock).map(|lock| lock.key.as_slice()).unwrap_or_default();
        let words = [name.as_bytes(), key].into_iter().chain(arguments.iter().copied());
        let words = words.map(|word| shown(word).chars().take(LONGEST).collect::<String>());
        let text = words.collect::<Vec<_>>().join(" ");
        MemberCommand { text: Rc::from(text), token: None }
    }
}

/// Whether a command for keys of one type is for members of this one.
fn is_of(its: Kind, kind: Kind) -> bool {
    its == kind || its == Kind::Sharers && kind == Kind::Hash
}

/// The token that a member is.
pub(super) fn token_of(member: &[u8]) -> Rc<str> {
    text_token(&Payload::decode(member))
}

/// Whether a field of a hash says what kind of lock it is.
pub(super) fn is_mode(field: &[u8], value: &[u8]) -> bool {
    field == b"mode" && matches!(value, b"read" | b"write")
}

/// Whether a field names a holder, and its value says how often that took the lock.
pub(super) fn is_count(field: &[u8], value: &[u8]) -> bool {
    let count = std::str::from_utf8(value).ok().and_then(|value| value.parse::<u32>().ok());
    is_holder(field) && count.is_some_and(|count| count > 0)
}

/// Whether a field may be the name of a holder, and not that of a number.
fn is_holder(field: &[u8]) -> bool {
    field.iter().any(|byte| byte.is_ascii_digit() || b":-".contains(byte))
}

/// The names of fields that hold the token of the holder, as parts of other names or alone.
const NAMES: [&str; 3] = ["token", "owner", "holder"];
const WHOLE_NAMES: [&str; 8] =
    ["lock", "locked_by", "lockedby", "client", "client_id", "worker", "worker_id", "uuid"];

/// The field of a hash whose value is the holder's token, by its name.
pub(super) fn holder_field(fields: &[Field]) -> Option<&Field> {
    let named = fields.iter().filter_map(|field| Some((rank(&field.0)?, field)));
    named.min_by_key(|(rank, _)| *rank).map(|(_, field)| field)
}

/// How well a name fits for it.
fn rank(field: &[u8]) -> Option<usize> {
    let field = std::str::from_utf8(field).ok()?.to_ascii_lowercase();
    let mut words = field.split(|letter: char| !letter.is_alphanumeric());
    let part = words.find_map(|word| NAMES.iter().position(|name| *name == word));
    let whole = || WHOLE_NAMES.iter().position(|name| *name == field);
    part.or_else(|| Some(NAMES.len() + whole()?))
}
