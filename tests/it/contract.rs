//! Section 6 of docs/book/src/explanation/contract.md as a table: a test for each row, and for each race. That a row's test could
//! fail is shown by a mutant, an application that does otherwise in this row alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lock_history::check::{Property, Verdict};
use lock_lab::controller::{Controller, Files, cache_key};
use lock_lab::format::{OtherLock, Scope, says_lock, survey_keys};
use lock_lab::intercept::{Intercepted, Interceptor, Link};
use lock_lab::lock::{
    Acquisition, Caller, Context, Current, Identity, Knowledge, Legacy, LockError, LockName,
    LockProtocol, RunDirectory, Snapshot, StateFile, TokenSlot, Ttl, WriteGuard, clear_locks,
    in_process, replacement_fence,
};
use lock_lab::runtime::{Stage, Time, World, longest};
use lock_lab::scenario::{Scenario, built_in};
use lock_lab::server::{Connection, Server};
use redis::{ConnectionLike, RedisResult};
use redis_sim::Engine;
use redis_sim::clock::{Clock, VirtualClock};

mod races;
mod rows;

type Protocol = Arc<dyn LockProtocol>;

/// What section 6 is about, as we do it. A mutant does otherwise in one of these.
struct Application {
    protocol: Protocol,
    scenario: fn(&str) -> String,
    lock_of: fn(run: &str, file: &str) -> String,
    server: fn(&BTreeMap<&str, &str>) -> Option<String>,
    ttl: fn(&str) -> u64,
    clear: fn(&mut dyn Link, &str) -> Vec<String>,
    flag_says_held: fn(&str) -> bool,
    has_flag: fn(&LockName) -> bool,
    other_locks: fn(&mut dyn Link, &dyn Clock) -> Vec<String>,
    stored: fn(&str) -> String,
}

impl Default for Application {
    fn default() -> Self {
        Self {
            protocol: Arc::new(Current::default()),
            scenario: |name| built_in(name).unwrap().unwrap().file_text().to_owned(),
            lock_of: |run, file| state_file(run, file).lock().key().to_owned(),
            server: |variables| {
                let of = |name: &str| variables.get(name).map(|value| (*value).to_owned());
                Some(Server::from_environment(of).unwrap()?.name().to_owned())
            },
            ttl: |text| Ttl::from_variable(text).unwrap().unwrap_or_default().seconds(),
            clear: |link, runid| clear_locks(link, runid).unwrap(),
            flag_says_held,
            has_flag: |lock| !lock.is_of_directory(),
            other_locks,
            stored,
        }
    }
}

fn state_file(run: &str, file: &str) -> StateFile {
    StateFile::new(RunDirectory::new(Path::new(run), None).unwrap(), file).unwrap()
}

/// Whether a free lock with this flag drifts, as users see it held.
fn flag_says_held(flag: &str) -> bool {
    let mut it = Participant::new(&Application::default());
    it.others(&["HSET", "run", "locked:x.nodb", flag]);
    let knowledge = Knowledge { local_token: None, other_tokens: &[], owners: &[] };
    let seen = Snapshot::take(&mut it.others, &it.lock, knowledge).unwrap();
    seen.diagnosis.word() == "flag_drift"
}

fn other_locks(link: &mut dyn Link, clock: &dyn Clock) -> Vec<String> {
    let scope = Scope { patterns: Vec::new(), max_keys: u64::MAX, without_nodb: true };
    let mut found = Vec::new();
    let take = &mut |lock: OtherLock| found.push(String::from_utf8(lock.key).unwrap());
    survey_keys(link, clock, clock.unix(), &scope, take).unwrap();
    found.sort();
    found
}

/// What is in a state file after an operation under each protocol.
fn stored(object: &str) -> String {
    let mut object = object.to_owned();
    for protocol in lock_lab::lock::protocols() {
        let it = &mut Participant::new(&Application::default());
        let file = state_file("/runs/run", "x.nodb");
        let files = Arc::new(Files::in_memory());
        files.replace(file.path(), object.as_bytes()).unwrap();
        let controller = Controller::open(&file, &files).unwrap();
        let ttl = Ttl::DEFAULT;
        controller.acquire(&mut it.caller(), &**protocol, ttl).unwrap();
        controller.count_operation();
        controller.dump(&mut it.caller(), &**protocol).unwrap();
        object = String::from_utf8(files.read(file.path()).unwrap().unwrap().bytes).unwrap();
    }
    object
}

/// The application's protocol with operations of another.
struct Mixed {
    acquire: Protocol,
    release: Protocol,
    force: Protocol,
    check: Protocol,
    guard: WriteGuard,
}

impl Default for Mixed {
    fn default() -> Self {
        let current = || Arc::new(Current::default()) as Protocol;
        Self {
            acquire: current(),
            release: current(),
            force: current(),
            check: current(),
            guard: WriteGuard::Signature,
        }
    }
}

impl LockProtocol for Mixed {
    fn name(&self) -> &str {
        "current"
    }
    fn acquire(
        &self,
        at: &mut Context<'_>,
        ttl: Ttl,
        floor: u64,
    ) -> Result<Acquisition, LockError> {
        self.acquire.acquire(at, ttl, floor)
    }
    fn extend(&self, at: &mut Context<'_>) -> Result<(), LockError> {
        Legacy.extend(at)
    }
    fn release(&self, at: &mut Context<'_>) -> Result<(), LockError> {
        self.release.release(at)
    }
    fn force_release(&self, at: &mut Context<'_>) -> Result<(), LockError> {
        self.force.force_release(at)
    }
    fn check_write(&self, at: &mut Context<'_>) -> Result<(), LockError> {
        self.check.check_write(at)
    }
    fn first_command(&self) -> &str {
        "GET"
    }
    fn write_guard(&self) -> WriteGuard {
        self.guard
    }
}

/// One that is `Current`, but for what these do.
struct Odd {
    acquires_again: bool,
    releases: bool,
    forces_by_comparing: bool,
}

const EVEN: Odd = Odd { acquires_again: false, releases: true, forces_by_comparing: false };

impl LockProtocol for Odd {
    fn name(&self) -> &str {
        "current"
    }
    fn acquire(
        &self,
        at: &mut Context<'_>,
        ttl: Ttl,
        floor: u64,
    ) -> Result<Acquisition, LockError> {
        match at.slot.get().filter(|_| self.acquires_again) {
            Some(own) => Ok(own),
            None => Current::default().acquire(at, ttl, floor),
        }
    }
    fn extend(&self, at: &mut Context<'_>) -> Result<(), LockError> {
        Legacy.extend(at)
    }
    fn release(&self, at: &mut Context<'_>) -> Result<(), LockError> {
        if self.releases { Current::default().release(at) } else { Err(LockError::NotOwner) }
    }
    fn force_release(&self, at: &mut Context<'_>) -> Result<(), LockError> {
        let current = Current::default();
        if self.forces_by_comparing { current.release(at) } else { current.force_release(at) }
    }
    fn check_write(&self, at: &mut Context<'_>) -> Result<(), LockError> {
        Current::default().check_write(at)
    }
    fn first_command(&self) -> &str {
        "GET"
    }
    fn write_guard(&self) -> WriteGuard {
        WriteGuard::Signature
    }
}

/// A client of the lock `run`, `x.nodb`, beside a connection for what others do.
struct Participant {
    protocol: Protocol,
    clock: Arc<VirtualClock>,
    server: Server,
    link: Box<dyn Link>,
    others: Connection,
    identity: Identity,
    lock: LockName,
    own: TokenSlot,
    slot: TokenSlot,
}

/// What others do when the client sends this command.
struct Meanwhile {
    command: &'static str,
    after: bool,
    then: Box<dyn FnMut() + Send>,
}

impl Interceptor for Meanwhile {
    fn command(
        &mut self,
        connection: &mut Connection,
        command: &[u8],
    ) -> RedisResult<redis::Value> {
        let name = command.split(|byte| *byte == b'\n').nth(2).unwrap_or_default();
        let is_it = name.starts_with(self.command.as_bytes());
        if is_it && !self.after {
            (self.then)();
        }
        let reply = connection.req_packed_command(command);
        if is_it && self.after {
            (self.then)();
        }
        reply
    }
}

impl Participant {
    fn new(of: &Application) -> Self {
        let clock = Arc::new(VirtualClock::new(None));
        let server = Server::Embedded(Engine::new(clock.clone()));
        Self {
            protocol: Arc::clone(&of.protocol),
            link: Box::new(server.connect(0).unwrap()),
            others: server.connect(0).unwrap(),
            server,
            clock,
            identity: Identity::repeatable(),
            lock: LockName::new("run", "x.nodb"),
            own: TokenSlot::default(),
            slot: TokenSlot::default(),
        }
    }

    /// From now on, `then` happens before or after each command of this name.
    fn meanwhile(&mut self, command: &'static str, after: bool, then: Box<dyn FnMut() + Send>) {
        let meanwhile = Meanwhile { command, after, then };
        let connection = self.server.connect(0).unwrap();
        self.link = Box::new(Intercepted::new(connection, Box::new(meanwhile)));
    }

    fn caller(&mut self) -> Caller<'_> {
        let Self { link, clock, identity, own, .. } = self;
        Caller { link: &mut **link, clock: &**clock, identity, own }
    }

    fn does<T>(&mut self, operation: impl FnOnce(&dyn LockProtocol, &mut Context<'_>) -> T) -> T {
        let protocol = Arc::clone(&self.protocol);
        let Self { link, clock, identity, own, lock, slot, .. } = self;
        let mut caller = Caller { link: &mut **link, clock: &**clock, identity, own };
        operation(&*protocol, &mut caller.at(lock, slot))
    }

    fn acquire(&mut self) -> Result<Acquisition, LockError> {
        let ttl = Ttl::try_from(Duration::from_secs(2)).unwrap();
        self.does(|protocol, at| protocol.acquire(at, ttl, 0))
    }

    fn release(&mut self) -> Result<(), LockError> {
        self.does(|protocol, at| protocol.release(at))
    }

    fn writes(&mut self) -> Result<(), LockError> {
        self.does(|protocol, at| protocol.check_write(at))
    }

    /// Sends a command of others.
    fn others(&mut self, words: &[&str]) -> redis::Value {
        redis::cmd(words[0]).arg(&words[1..]).query(&mut self.others).unwrap()
    }

    /// The lock's value, the flag, and whether a token is remembered.
    fn state(&mut self) -> (Option<String>, Option<String>, bool) {
        let mut get = redis::cmd("GET");
        let key = get.arg(self.lock.key()).query(&mut self.others).unwrap();
        let mut get = redis::cmd("HGET");
        let flag = get.arg("run").arg(self.lock.flag()).query(&mut self.others).unwrap();
        (key, flag, self.slot.memory().is_some())
    }

    fn is_free(&mut self) -> bool {
        self.state() == (None, Some("false".into()), false)
    }
}

/// Runs a scenario in virtual time.
fn verdict(text: &str, protocol: &Protocol) -> (Verdict, Vec<Property>) {
    let scenario = Scenario::parse("contract.toml", text).unwrap();
    let plan =
        scenario.bind(&BTreeMap::new(), protocol.name(), Ttl::DEFAULT, Duration::ZERO).unwrap();
    let deadline = longest(&plan) + Duration::from_secs(30);
    let time = Time::Virtual(Arc::new(VirtualClock::new(Some(deadline))));
    let server = Server::embedded(time.clock());
    let files = plan.state_files(Path::new("/nowhere/contract"), None, None).unwrap();
    let host = in_process(Arc::clone(protocol));
    let world = Arc::new(World::new(plan, server, host, files, time, Box::new(|| ())));
    let mut stage = Stage::default();
    stage.prepare_directories(&world).unwrap();
    stage.prepare_locks(&world, false).unwrap();
    let ruling = world.run().unwrap().judge(world.plan());
    let found = ruling.checked.findings.iter().map(|finding| finding.property).collect();
    (ruling.verdict, found)
}

/// One client that does these steps, and what must come of it.
fn one_client(steps: &str, expect: &str) -> String {
    format!(
        "format = 1\nname = \"one_client\"\ntitle = \"One client.\"\ntext = \"One client.\"\n\
         [locks.main]\n[[actors]]\nname = \"client\"\nstart = \"after\"\ndelay = \"0s\"\n\
         instance = \"own\"\nsteps = [{steps}]\n[[expect]]\nall = [{expect}]\n"
    )
}
