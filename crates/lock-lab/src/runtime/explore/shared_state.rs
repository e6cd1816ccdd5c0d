//! What actors share outside Redis, cut into cells: files, registries, controllers, signals, counts.
//! A cell can be read as a value and set to one, so that a state can be put back before an actor's
//! code runs on from it; and it is known which cells that code touched.

use super::super::World;
use super::super::merge_point::MergePoint;
use super::super::observer::Cell;
use super::super::signals::Late;
use super::instrumented::{Instrumented, Passed};
use super::intern::{Interner, bytes_of_map};
use crate::controller::{Controller, Knowledge, Shelf, Written};
use crate::lock::{Acquisition, SharedMemory};
use rustc_hash::FxHashMap;
use std::rc::Rc;
use std::sync::Arc;

/// What a cell holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Content {
    File(Option<Written>),
    Shelf(Shelf),
    Controller(Knowledge),
    Slot(Option<Acquisition>),
    Process(u32),
    Signal(bool),
    Late(Vec<Late>),
    Rule(u32),
    /// Nothing: a controller that is not made yet; or what is kept elsewhere.
    Nothing,
}

/// All cells that were touched so far, and their values.
#[derive(Default)]
pub(super) struct Cells {
    known: Interner<Cell>,
    contents: Interner<Content>,
    /// What each held before it was first touched, by the cell's number.
    initial: Vec<u32>,
    /// Values of all cells, by the cell's number; a cell that is missing at the end is initial.
    states: Interner<Vec<u32>>,
    after: FxHashMap<(u32, u32), u32>,
}

/// What some code touched.
#[derive(Default)]
pub(super) struct Touched {
    /// What the cells held.
    pub reads: Vec<Held>,
    /// What they hold now, if that is something else.
    pub writes: Vec<Held>,
    /// Whether the server was among it.
    pub server: bool,
    /// The last merge point that was passed, and what was seen since.
    pub merge_point: Option<(MergePoint, Box<[Held]>)>,
}

/// A cell and the value that it held or got.
pub(super) type Held = (u32, u32);

impl Cells {
    /// The state in which nothing was touched.
    pub fn untouched(&mut self) -> u32 {
        self.states.number(Vec::new())
    }

    /// About how much memory they take.
    pub fn bytes(&self) -> usize {
        self.contents.bytes() + self.states.bytes() + bytes_of_map(&self.after)
    }

    /// What a cell holds in a state.
    pub fn value(&self, state: u32, cell: u32) -> u32 {
        let held = self.states.get(state).and_then(|state| state.get(cell as usize));
        held.or_else(|| self.initial.get(cell as usize)).copied().unwrap_or_default()
    }

    /// The state after a way on which some cells got new values.
    pub fn after(&mut self, state: u32, way: u32, writes: &[Held]) -> u32 {
        if writes.is_empty() {
            return state;
        }
        if let Some(known) = self.after.get(&(state, way)) {
            return *known;
        }
        let to = self.written(state, writes);
        self.after.insert((state, way), to);
        to
    }

    fn written(&mut self, state: u32, writes: &[Held]) -> u32 {
        let Some(before) = self.states.get(state) else { return state };
        let mut values = Vec::clone(before);
        for &(cell, value) in writes {
            while values.len() <= cell as usize {
                values.push(self.initial.get(values.len()).copied().unwrap_or_default());
            }
            if let Some(held) = values.get_mut(cell as usize) {
                *held = value;
            }
        }
        self.states.number(values)
    }

    /// Puts a state back, so that code can run on from it.
    pub fn restore(&self, world: &Instrumented, state: u32) {
        for cell in 0..u32::try_from(self.known.len()).unwrap_or(u32::MAX) {
            self.set(world, (cell, self.value(state, cell)));
        }
        world.touched();
    }

    /// Puts the values back that some code once read.
    pub fn restore_only(&self, world: &Instrumented, held: &[Held]) {
        held.iter().for_each(|held| self.set(world, *held));
        world.touched();
    }

    /// What was touched since the last time: what it held before, in a given state, and what it
    /// holds now, if that is something else.
    pub fn take_touched(&mut self, world: &Instrumented, before: u32) -> Touched {
        let mut touched = Touched::default();
        let mut cells = world.touched();
        if let Some(Passed { point, held }) = world.take_passed() {
            let since = self.seen_since(world, before, &cells, &held);
            touched.merge_point = since.map(|since| (point, since));
            cells.extend(held.into_iter().map(|(cell, _)| cell));
            cells.sort_unstable();
            cells.dedup();
        }
        let Touched { reads, writes, server, .. } = &mut touched;
        for cell in cells {
            if cell == Cell::Server {
                *server = true;
                continue;
            }
            let content = content(world, &cell);
            let number = self.number(world, cell);
            let held = self.value(before, number);
            let holds = self.contents.number(content);
            reads.push((number, held));
            if holds != held {
                writes.push((number, holds));
            }
        }
        touched
    }

    /// The tokens that the shared controllers of a run remember in a state.
    pub fn remembered(&self, state: u32, run: usize) -> Vec<String> {
        let cells = self.known.iter().zip(0..);
        let memories = cells.filter_map(|(cell, number)| match **cell {
            Cell::Slot(of, _) if of == run => self.contents.get(self.value(state, number)),
            _ => None,
        });
        let token = |content: &Rc<Content>| match &**content {
            Content::Slot(own) => own.as_ref().map(|own| own.token.as_str().into()),
            _ => None,
        };
        memories.filter_map(token).collect()
    }

    /// What these cells held when a merge point was passed, at which some held what is given and all
    /// others what they held before. Nothing if the server is among them.
    fn seen_since(
        &mut self,
        world: &Instrumented,
        before: u32,
        cells: &[Cell],
        then: &[(Cell, Content)],
    ) -> Option<Box<[Held]>> {
        if cells.contains(&Cell::Server) {
            return None;
        }
        let mut seen = Vec::with_capacity(cells.len());
        for cell in cells {
            let number = self.number(world, cell.clone());
            let held = match then.iter().find(|(of, _)| of == cell) {
                Some((_, content)) => self.contents.number(content.clone()),
                None => self.value(before, number),
            };
            seen.push((number, held));
        }
        Some(seen.into())
    }

    fn number(&mut self, world: &Instrumented, cell: Cell) -> u32 {
        let initial = initial(world, &cell);
        let number = self.known.number(cell);
        if number as usize == self.initial.len() {
            let initial = self.contents.number(initial);
            self.initial.push(initial);
        }
        number
    }

    fn set(&self, world: &World, (cell, value): Held) {
        let (Some(cell), Some(content)) = (self.known.get(cell), self.contents.get(value)) else {
            return;
        };
        let (cell, content): (&Rc<Cell>, &Rc<Content>) = (cell, content);
        match (&**cell, &**content) {
            (Cell::File(path), Content::File(written)) => {
                world.services.files.put(path, written.clone())
            }
            (Cell::Shelf(file), Content::Shelf(shelf)) => {
                if let Some(file) = world.setup.files.get(*file) {
                    world.services.registry.set_shelf(file.path(), *shelf);
                }
            }
            (Cell::Controller(file, number), Content::Controller(knowledge)) => {
                controller(world, *file, *number).inspect(|it| it.know(knowledge));
            }
            (Cell::Slot(file, number), Content::Slot(own)) => {
                controller(world, *file, *number).inspect(|it| it.slot().remember(own.clone()));
            }
            (Cell::Process, Content::Process(number)) => {
                world.setup.host.shared_memory().inspect(|memory| memory.set(*number));
            }
            (Cell::Signal(name), Content::Signal(happened)) => {
                world.signals.set_happened(name, *happened)
            }
            (Cell::Late, Content::Late(late)) => world.signals.set_late(late.clone()),
            (Cell::Rule(rule), Content::Rule(state)) => world.signals.counts.set(*rule, *state),
            _ => {}
        }
    }
}

/// A controller of a state file, by number.
fn controller(world: &World, file: usize, number: usize) -> Option<Arc<Controller>> {
    let made = world.services.registry.controllers(world.setup.files.get(file)?.path());
    made.get(number).cloned()
}

/// What a cell holds now.
pub(super) fn content(world: &World, cell: &Cell) -> Content {
    match cell {
        Cell::File(path) => Content::File(world.services.files.last_written(path)),
        Cell::Shelf(file) => {
            let file = world.setup.files.get(*file);
            let shelf = file.map(|file| world.services.registry.shelf(file.path()));
            Content::Shelf(shelf.unwrap_or_default())
        }
        Cell::Controller(file, number) => {
            let found = controller(world, *file, *number);
            found.map_or(Content::Nothing, |it| Content::Controller(it.knowledge()))
        }
        Cell::Slot(file, number) => {
            let found = controller(world, *file, *number);
            Content::Slot(found.and_then(|it| it.slot().memory()))
        }
        Cell::Process => {
            let memory = world.setup.host.shared_memory();
            Content::Process(memory.map(SharedMemory::untouched).unwrap_or_default())
        }
        Cell::Signal(name) => Content::Signal(world.signals.has_happened(name)),
        Cell::Late => Content::Late(world.signals.late()),
        Cell::Rule(rule) => Content::Rule(world.signals.counts.of(*rule)),
        Cell::Server => Content::Nothing,
    }
}

/// What a cell holds before it is first touched.
fn initial(world: &Instrumented, cell: &Cell) -> Content {
    match cell {
        Cell::File(path) => {
            let is_state = world.setup.files.iter().any(|file| file.path() == path);
            Content::File(world.initial_file.clone().filter(|_| is_state))
        }
        Cell::Shelf(_) => Content::Shelf(Shelf::default()),
        Cell::Controller(..) | Cell::Server => Content::Nothing,
        // That of a controller that is not made yet, too.
        Cell::Slot(..) => Content::Slot(None),
        Cell::Process => Content::Process(0),
        Cell::Signal(_) => Content::Signal(false),
        Cell::Late => Content::Late(Vec::new()),
        Cell::Rule(_) => Content::Rule(0),
    }
}
