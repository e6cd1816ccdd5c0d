//! What was seen, before it becomes a history.

use super::key::{Id, Outcome};
use super::reasons::shown;
use lock_lab::lock::{Operation, Payload};
use std::collections::HashMap;
use std::rc::Rc;

/// The client where there was none.
pub(super) const NO_CLIENT: u32 = u32::MAX;

/// A token longer than this is shown by its beginning and its digest.
const LONGEST_TOKEN: usize = 128;

/// Everything that was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub observations: Vec<Observation>,
    pub clients: Vec<Client>,
    pub locks: Vec<Lock>,
    pub calls: Vec<ScriptCall>,
    /// By key: which clients were shown what it holds by commands that are not followed as reads, and before which
    /// observations.
    pub looked: HashMap<Vec<u8>, Vec<(Id, u32)>>,
    /// Before which observations something was missed, and why.
    pub gaps: Vec<(Id, String)>,
    /// Whether it is known that at the end no connection was open but those of clients that acted on the locks.
    pub only_lock_clients_are_open: bool,
}

/// A connection.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub address: String,
    /// What it calls itself.
    pub name: Option<String>,
    /// `host:pid`, from the payloads that it wrote, unless these name several.
    pub owner: Option<String>,
    /// Whether they name several: then the connection is one of a pool.
    pub has_owners: bool,
    /// Whether it deleted a lock.
    pub gave_back: bool,
    /// When its last command ran, on whatever key, in microseconds since 1970.
    pub last: u64,
    pub presence: Presence,
}

/// Whether a connection was still open when the recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Presence {
    Open,
    Closed,
    /// No connection is known to be its own.
    Never,
    #[default]
    Unknown,
}

/// A watched key, or what one of its members stands for.
#[derive(Debug)]
pub(super) struct Lock {
    pub key: Vec<u8>,
    /// The field of a hash, or the member of a set.
    pub member: Option<Vec<u8>>,
    /// What its mirror flag says.
    pub flag: bool,
}

/// A script that was called.
#[derive(Debug)]
pub(super) struct ScriptCall {
    /// The tokens among its arguments.
    pub carried: Vec<Rc<str>>,
    /// What it is for, if it is one of ours.
    pub purpose: Option<Operation>,
    /// Calls of the same script have the same number.
    pub script: usize,
}

/// What one command did to one lock.
#[derive(Debug)]
pub(super) struct Observation {
    /// Microseconds since 1970.
    pub at: u64,
    pub client: u32,
    pub lock: usize,
    /// The call of the script that it was done in.
    pub call: Option<u32>,
    /// The command, if it is about a member of the key.
    pub command: Option<MemberCommand>,
    pub what: What,
    pub outcome: Outcome,
}

/// A command that is about a member of a key.
#[derive(Debug, Clone)]
pub(super) struct MemberCommand {
    /// As a person would type it.
    pub text: Rc<str>,
    /// The token that it names.
    pub token: Option<Rc<str>>,
}

/// What was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// To write the key; `over` the value of a holder only.
    Write { token: Rc<str>, fence: Option<u64>, lease: Option<u64>, over: bool },
    /// To read it.
    Read,
    /// To delete it.
    Delete,
    /// To set its lease.
    Expire { lease: Option<u64> },
    /// To set the lease of all members of a key.
    LeaseOfAll { lease: Option<u64> },
    /// To set the mirror flag.
    Flag { locked: bool },
    /// To read the mirror flag.
    AskedFlag,
    /// No client was seen to write it: it was there.
    Found { token: Rc<str>, fence: Option<u64>, lease: Option<u64>, owner: Option<Rc<str>> },
    /// No client was seen to delete it: it was gone.
    Gone,
    /// The server evicted it.
    Evicted,
    /// A client removed it with all whose time was over.
    Overdue,
    /// Nothing: from here on the key is not followed.
    GivenUp,
}

impl Lock {
    /// Its name in the history.
    pub fn name(&self) -> String {
        match &self.member {
            None => shown(&self.key),
            Some(member) => format!("{}[{}]", shown(&self.key), shown(member)),
        }
    }
}

impl Seen {
    /// The token of the acquisition that an observation is.
    pub fn token(&self, id: Id) -> Option<&Rc<str>> {
        match &self.observations.get(id)?.what {
            What::Write { token, .. } | What::Found { token, .. } => Some(token),
            _ => None,
        }
    }

    /// A client.
    pub fn client(&self, client: u32) -> Option<&Client> {
        self.clients.get(usize::try_from(client).ok()?)
    }

    fn client_mut(&mut self, client: u32) -> Option<&mut Client> {
        self.clients.get_mut(usize::try_from(client).ok()?)
    }

    /// Whether a client was seen to delete a lock before it does what it does now: whether it deletes one
    /// now is noted.
    pub fn gives_back(&mut self, client: u32, now: bool) -> bool {
        let Some(client) = self.client_mut(client) else { return false };
        let before = client.gave_back;
        client.gave_back |= now;
        before
    }

    /// A client wrote a payload that names its owner.
    pub fn own(&mut self, client: u32, owner: Option<&str>) {
        let (Some(client), Some(owner)) = (self.client_mut(client), owner) else { return };
        if client.owner.as_ref().is_some_and(|known| known != owner) {
            (client.owner, client.has_owners) = (None, true);
        } else if !client.has_owners {
            client.owner = Some(owner.to_owned());
        }
    }

    /// Notes what a snapshot found.
    pub fn found(&mut self, lock: usize, at: u64, what: What, outcome: Outcome) -> Id {
        let (client, call, command) = (NO_CLIENT, None, None);
        let observation = Observation { at, client, lock, call, command, what, outcome };
        self.observations.push(observation);
        self.observations.len() - 1
    }
}

/// The token of a payload as text that fits into a line.
pub(super) fn text_token(payload: &Payload) -> Rc<str> {
    let token = payload.token().as_str();
    if token.len() <= LONGEST_TOKEN {
        return Rc::from(token);
    }
    let digest = sha1_smol::Sha1::from(token).digest();
    let beginning: String = token.chars().take(24).collect();
    Rc::from(format!("{beginning}…{digest}"))
}
