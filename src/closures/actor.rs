//! The process of an actor: it runs the closure, and passes instructions and answers between it and the
//! exploring process. A new life is a new program in the same process: nothing outlives it.

use redis::Connection;
use serde_json::{Value, json};
use std::any::Any;
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

/// The variable that makes a process an actor's; its value is the name of what is explored.
pub(super) const ACTOR: &str = "NODB_TRIGGER_ACTOR";
/// The variable of a process that has lived before.
const LATER_LIFE: &str = "NODB_TRIGGER_LATER_LIFE";
/// Where answers go. What the test prints goes elsewhere.
const ANSWERS: &str = "/proc/self/fd/3";
/// The exit status of a process that is not needed any more.
const NOT_NEEDED: i32 = 0;

static STAGE: OnceLock<Stage> = OnceLock::new();

/// What goes between the closure and the exploring process.
struct Stage {
    instructions: Mutex<Receiver<String>>,
    answers: Mutex<File>,
    place: Mutex<Place>,
}

/// How far a call of the closure has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Acquiring,
    Releasing,
    /// It reached the critical section once more.
    Again,
}

/// See [`critical_section`](super::critical_section).
pub(super) fn reach_critical_section() {
    if let Some(stage) = STAGE.get() {
        stage.reach_critical_section();
    }
}

/// Carries out instructions with this closure until the process is killed or its parent ends.
pub(super) fn act<E: Display>(
    name: &str,
    mut closure: impl FnMut(&mut Connection, &str) -> Result<(), E>,
) -> ! {
    let failed = match Stage::enter() {
        Err(error) => format!("its streams can't be used: {error}"),
        Ok(stage) => {
            let first = json!({"subject": name, "can": [], "lease": "own"});
            let is_first = std::env::var_os(LATER_LIFE).is_none();
            stage.say(&if is_first { first } else { json!({"ok": true}) });
            loop {
                let instruction = stage.next();
                let answer = match instruction.as_str() {
                    "acquire" => stage.call(&mut closure),
                    other => json!({"error": format!("nothing is held to {other}")}),
                };
                stage.say(&answer);
            }
        }
    };
    let _ = writeln!(io::stderr(), "{failed}");
    std::process::exit(NOT_NEEDED)
}

impl Stage {
    fn enter() -> io::Result<&'static Self> {
        let answers = OpenOptions::new().write(true).open(ANSWERS)?;
        let (sender, instructions) = channel();
        thread::Builder::new().spawn(move || listen(&sender))?;
        let stage = Self {
            instructions: Mutex::new(instructions),
            answers: Mutex::new(answers),
            place: Mutex::new(Place::Acquiring),
        };
        Ok(STAGE.get_or_init(|| stage))
    }

    /// The next instruction; a reset begins a new life.
    fn next(&self) -> String {
        let line = locked(&self.instructions).recv().unwrap_or_default();
        let instruction: Value = serde_json::from_str(&line).unwrap_or_default();
        let word = instruction.get("do").and_then(Value::as_str).unwrap_or_default();
        if word == "reset" {
            self.begin_again();
        }
        word.to_owned()
    }

    /// Replaces this program by itself: memory, threads and connections are gone.
    fn begin_again(&self) {
        let program = std::env::current_exe();
        let error = match program {
            Ok(program) => {
                Command::new(program).args(std::env::args_os().skip(1)).env(LATER_LIFE, "1").exec()
            }
            Err(error) => error,
        };
        self.say(&json!({"error": format!("the test can't be started again: {error}")}));
    }

    fn say(&self, answer: &Value) {
        // Without a reader, the process is about to end.
        let _ = writeln!(locked(&self.answers), "{answer}");
    }

    fn reach_critical_section(&self) {
        let place = std::mem::replace(&mut *locked(&self.place), Place::Releasing);
        if place != Place::Acquiring {
            *locked(&self.place) = Place::Again;
            return;
        }
        self.say(&json!({"ok": true}));
        self.next();
    }

    /// The answer to the last instruction, once the closure has returned.
    fn call<E: Display>(
        &self,
        closure: &mut impl FnMut(&mut Connection, &str) -> Result<(), E>,
    ) -> Value {
        *locked(&self.place) = Place::Acquiring;
        let url = std::env::var("REDIS_URL").unwrap_or_default();
        let client = redis::Client::open(url.as_str()).and_then(|client| client.get_connection());
        let mut client = match client {
            Ok(client) => client,
            Err(error) => return json!({"error": format!("no connection: {error}")}),
        };
        let returned = catch_unwind(AssertUnwindSafe(|| closure(&mut client, &url)));
        let place = *locked(&self.place);
        match (returned, place) {
            (Err(panic), _) => json!({"error": format!("panicked: {}", words(&*panic))}),
            (_, Place::Again) => {
                json!({"error": "one call of the closure reached critical_section twice"})
            }
            (Ok(Err(error)), _) => json!({"ok": false, "why": error.to_string()}),
            (Ok(Ok(())), Place::Releasing) => json!({"ok": true}),
            (Ok(Ok(())), Place::Acquiring) => {
                json!({"ok": false, "why": "the closure returned without critical_section"})
            }
        }
    }
}

/// Passes lines on until there are no more: then the exploring process is gone.
fn listen(instructions: &Sender<String>) {
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        if instructions.send(line).is_err() {
            break;
        }
    }
    // If it was killed, its directory is still there. With files of the test in it, it stays.
    let _ = std::env::var_os("TMPDIR").map(std::fs::remove_dir);
    std::process::exit(NOT_NEEDED);
}

/// A closure that panicked while it held it has changed nothing here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn words(panic: &dyn Any) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("with no message").split_whitespace().collect::<Vec<_>>().join(" ")
}
