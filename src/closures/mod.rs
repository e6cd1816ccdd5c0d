//! Explores every ordering of actors that are closures of a Rust test.
//!
//! # A first test
//!
//! A lock is ten lines of Redis commands, and its bugs show in one ordering of a thousand. A test with
//! [`explore`] runs all of them:
//!
//! ```
//! use nodb_trigger::{Property, critical_section, explore};
//! use nodb_trigger::redis::{Connection, RedisResult, cmd};
//! # use std::hash::{BuildHasher, RandomState};
//!
//! struct Guard(String);
//!
//! fn take(client: &mut Connection) -> RedisResult<Option<Guard>> {
//!     let token = random();
//!     let set = cmd("SET").arg("lock").arg(&token).arg("NX").arg("EX").arg(30).query(client)?;
//!     Ok(Option::map(set, |_: String| Guard(token)))
//! }
//!
//! // GET, then DEL: between the two, the lease may expire and another client take the lock.
//! fn release(client: &mut Connection, guard: &Guard) -> RedisResult<()> {
//!     let held: Option<String> = cmd("GET").arg("lock").query(client)?;
//!     if held.as_ref() == Some(&guard.0) { cmd("DEL").arg("lock").exec(client) } else { Ok(()) }
//! }
//!
//! # fn random() -> String { format!("{:016x}", RandomState::new().hash_one(0)) }
//! let outcome = explore(2, |client, _| {
//!     let Some(guard) = take(client)? else { return Ok(()) };
//!     critical_section(&guard);
//!     release(client, &guard)
//! })
//! .crashes(0)
//! .never(Property::ForeignRelease)
//! .outcome();
//! assert!(outcome.is_broken(), "{outcome}");
//! # let text = outcome.to_string();
//! # assert!(text.contains("<-- deletes") && text.contains("replay: "), "{text}");
//! ```
//!
//! A test of your own ends with [`assert`](Orderings::assert) in place of `outcome`. It fails with the shortest ordering
//! that breaks the lock, what happened in it, and a line to run that one again:
//!
//! ```text
//! step  client_1              client_2              server
//!    1  SET lock NX EX 30 -> OK
//!    2  writes the file
//!    3  GET lock -> own token
//!    4                                              TTL of lock ends
//!    5                        SET lock NX EX 30 -> OK
//!    6  DEL lock -> 1   <-- deletes client_2's lock
//! ...; client_1's release at step 6 deleted client_2's lock
//! replay: NODB_REPLAY=v1:mutual_exclusion@...:foreign_release cargo test our_lock -- --exact
//! ```
//!
//! # The closure
//!
//! It is what one client does: take the lock, call [`critical_section`] while it holds it, release it. An `Err` before
//! the critical section, or an `Ok` without one, is a refusal; an `Err` after it says that the release found the lock
//! lost. A panic is a mistake of the closure, and there is no verdict. An acquire tries once: one that waits for the
//! lock is an error.
//!
//! Its first argument is a connection to a simulated Redis; you need no server. Its second is the URL of that, for a
//! client that is not of this version of the crate `redis`, or an asynchronous one:
//!
//! ```no_run
//! # struct Runtime;
//! # impl Runtime { fn block_on<T>(&self, _: impl Future<Output = T>) -> T { unimplemented!() } }
//! # struct Builder;
//! # impl Builder {
//! #     fn new_current_thread() -> Self { Builder }
//! #     fn enable_all(self) -> Self { self }
//! #     fn build(self) -> std::io::Result<Runtime> { Ok(Runtime) }
//! # }
//! # async fn work(_: &str) -> std::io::Result<()> { Ok(()) }
//! nodb_trigger::explore(2, |_, url| {
//!     let runtime = Builder::new_current_thread().enable_all().build()?;
//!     runtime.block_on(work(url))
//! })
//! .assert();
//! ```
//!
//! # Processes
//!
//! Each actor is a process of its own: the test's program, started again for this test alone. There `explore` runs the
//! closure in place of exploring. So what comes before `explore` in a test runs in each process, again for each life of
//! an actor, and a test explores once. A client that crashes loses all of its memory and its connections; while all
//! orderings are explored its program is replaced by itself, and where a schedule is replayed its process gets SIGKILL.
//! An actor ends when the test does, however that ends.
//!
//! # Three outcomes
//!
//! [`Outcome::Safe`] carries what was covered: how many orderings, and which crashes and faults. [`Outcome::Broken`] has
//! the ordering. [`Outcome::Inconclusive`] says why there is no verdict, and what to do; `assert` panics for it with a
//! message of its own. A test never passes because nothing was tried.
//!
//! Without [`never`](Orderings::never), all is judged that no lock may do. Without [`crashes`](Orderings::crashes) and
//! [`faults`](Orderings::faults), orderings without any are explored, then those with one crash, then those with one
//! command or reply lost or delayed.

mod actor;
mod search;
mod test;

use crate::probing;
use lock_history::check::Property;
use redis::Connection;
use std::fmt;
use std::time::Duration;
use test::Test;

/// All orderings of clients, each of which runs this closure once.
///
/// In the process of an actor it does not return.
pub fn explore<F, E>(clients: u32, closure: F) -> Orderings
where
    F: FnMut(&mut Connection, &str) -> Result<(), E>,
    E: fmt::Display,
{
    if let Ok(name) = std::env::var(actor::ACTOR) {
        actor::act(&name, closure);
    }
    let asked = Asked {
        clients,
        crashes: None,
        faults: None,
        never: Vec::new(),
        max_time: probing::MAX_TIME,
    };
    Orderings { asked, test: Test::of::<F>() }
}

/// Says that the actor holds the lock. It returns when the actor goes on to release it.
///
/// Borrowing what is held keeps a guard alive meanwhile. Outside of [`explore`] it does nothing.
pub fn critical_section<T: ?Sized>(_held: &T) {
    actor::reach_critical_section();
}

/// What is to be explored.
#[must_use = "nothing is explored before `assert` or `outcome`"]
pub struct Orderings {
    asked: Asked,
    test: Test,
}

struct Asked {
    clients: u32,
    crashes: Option<u32>,
    faults: Option<u32>,
    never: Vec<Property>,
    max_time: Duration,
}

/// The outcome, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// No ordering breaks the lock; the text says what was covered.
    Safe(String),
    /// An ordering breaks the lock; the text shows it.
    Broken(String),
    /// There is no verdict; the text says why, and what to do.
    Inconclusive(String),
}

impl Orderings {
    /// Crashes up to this number of clients, at any point.
    pub fn crashes(mut self, most: u32) -> Self {
        self.asked.crashes = Some(most);
        self
    }

    /// Loses or delays up to this number of commands or replies.
    pub fn faults(mut self, most: u32) -> Self {
        self.asked.faults = Some(most);
        self
    }

    /// Judges this property, and others that are named so.
    pub fn never(mut self, property: Property) -> Self {
        self.asked.never.push(property);
        self
    }

    /// Explores for up to this time, in place of 60 seconds.
    pub fn max_time(mut self, most: Duration) -> Self {
        self.asked.max_time = most;
        self
    }

    /// Explores, and prints what was covered.
    ///
    /// # Panics
    ///
    /// If an ordering breaks the lock, and if there is no verdict; the message says which.
    #[track_caller]
    #[allow(clippy::panic)]
    pub fn assert(self) {
        match self.outcome() {
            Outcome::Safe(covered) => println!("{covered}"),
            Outcome::Broken(found) => panic!("an ordering breaks the lock\n\n{found}"),
            Outcome::Inconclusive(why) => panic!("no verdict on the lock\n\n{why}"),
        }
    }

    /// Explores.
    pub fn outcome(self) -> Outcome {
        search::search(&self.asked, &self.test)
    }
}

impl Outcome {
    /// Whether no ordering breaks the lock.
    pub fn is_safe(&self) -> bool {
        matches!(self, Self::Safe(_))
    }

    /// Whether an ordering breaks it.
    pub fn is_broken(&self) -> bool {
        matches!(self, Self::Broken(_))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Safe(text) | Self::Broken(text) | Self::Inconclusive(text)) = self;
        out.write_str(text)
    }
}
