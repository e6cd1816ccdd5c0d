//! What is noted while an actor's code runs: which local state it touches that actors share, and which
//! merge points it passes.

use super::super::World;
use super::super::merge_point::MergePoint;
use super::super::observer::{Cell, Observer};
use super::shared_state::{Content, content};
use crate::controller::{Files, Written};
use crate::lock::{self, ActorHost, LockName, LockProtocol, SharedMemory, Who};
use crate::server::Connection;
use lock_history::history::Sharing;
use parking_lot::Mutex;
use std::ops::Deref;
use std::sync::Arc;

/// A world that is observed.
pub(super) struct Instrumented {
    /// The world itself.
    pub world: Arc<World>,
    journal: Arc<Journal>,
    /// The state files' content at the beginning.
    pub initial_file: Option<Written>,
}

/// A merge point that was passed, and what the cells held then that had been touched before it.
pub(super) struct Passed {
    pub point: MergePoint,
    pub held: Vec<(Cell, Content)>,
}

#[derive(Default)]
struct Journal {
    touched: Mutex<Vec<Cell>>,
    passed: Mutex<Option<Passed>>,
}

impl Observer for Journal {
    fn touched(&self, cell: &dyn Fn() -> Cell) {
        self.touched.lock().push(cell());
    }

    fn passed(&self, world: &World, point: &dyn Fn() -> MergePoint) {
        let point = point();
        let mut last = self.passed.lock();
        let mut touched = self.take(world);
        touched.extend(last.take().into_iter().flat_map(|it| it.held).map(|(cell, _)| cell));
        touched.sort_unstable();
        touched.dedup();
        let held = touched.into_iter().map(|cell| (cell.clone(), content(world, &cell))).collect();
        *last = Some(Passed { point, held });
    }
}

impl Journal {
    fn take(&self, world: &World) -> Vec<Cell> {
        let mut touched = std::mem::take(&mut *self.touched.lock());
        touched.extend(world.services.files.touched().into_iter().map(Cell::File));
        let memory = world.setup.host.shared_memory();
        touched.extend(memory.filter(|it| it.was_touched()).map(|_| Cell::Process));
        for (index, file) in world.setup.files.iter().enumerate() {
            if world.services.registry.was_touched(file.path()) {
                touched.push(Cell::Shelf(index));
            }
            let made = world.services.registry.controllers(file.path());
            for (number, controller) in made.iter().enumerate() {
                if controller.was_touched() {
                    touched.push(Cell::Controller(index, number));
                }
                if controller.slot().was_touched() {
                    touched.push(Cell::Slot(index, number));
                }
            }
        }
        touched.sort_unstable();
        touched.dedup();
        touched
    }
}

impl Instrumented {
    /// The same world, but it is alone with its server and observed, and no process of an actor ends
    /// where the actor crashes: to start processes takes most of the time of an exploration.
    pub fn new(world: World) -> Self {
        let mut world = world.alone(Files::watched());
        let first = world.setup.files.first();
        let initial_file = first.and_then(|file| world.services.files.last_written(file.path()));
        let journal = Arc::<Journal>::default();
        world.setup.host = Arc::new(Immortal(Arc::clone(&world.setup.host)));
        world.observer = Arc::clone(&journal) as Arc<dyn Observer>;
        Self { world: Arc::new(world), journal, initial_file }
    }

    /// The shared local state that was touched since this was last asked.
    pub fn touched(&self) -> Vec<Cell> {
        self.journal.take(&self.world)
    }

    /// The last merge point that was passed since this was last asked.
    pub fn take_passed(&self) -> Option<Passed> {
        self.journal.passed.lock().take()
    }
}

impl Deref for Instrumented {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

/// A host whose processes outlive the crashes of their actors, and begin new lives.
struct Immortal(Arc<dyn ActorHost>);

impl ActorHost for Immortal {
    fn protocol(&self) -> &Arc<dyn LockProtocol> {
        self.0.protocol()
    }

    fn protocol_of(&self, who: Who) -> Arc<dyn LockProtocol> {
        self.0.protocol_of(who)
    }

    fn sharing(&self, actors: usize) -> Option<Sharing> {
        self.0.sharing(actors)
    }

    fn leases_are_own(&self) -> bool {
        self.0.leases_are_own()
    }

    fn owners(&self) -> &[String] {
        self.0.owners()
    }

    fn watched(&self, lock: LockName) -> LockName {
        self.0.watched(lock)
    }

    fn learn_from(&self, commands: [&[&[u8]]; 2]) -> bool {
        self.0.learn_from(commands)
    }

    fn take_learned(&self) -> bool {
        self.0.take_learned()
    }

    fn is_available(&self, lock: &LockName, link: &mut Connection) -> lock::Result<Option<bool>> {
        self.0.is_available(lock, link)
    }

    fn leases_are_values(&self) -> bool {
        self.0.leases_are_values()
    }

    fn memory(&self, who: Who) -> u32 {
        self.0.memory(who)
    }

    fn shared_memory(&self) -> Option<&SharedMemory> {
        self.0.shared_memory()
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }

    fn begin(&self) {
        self.0.begin();
    }

    fn stop(&self, who: Who) {
        self.0.stop(who);
    }

    fn go_on(&self, who: Who) {
        self.0.go_on(who);
    }
}
