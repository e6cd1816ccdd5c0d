//! A subject's process: started with the gateway's address, given an instruction per line, killed
//! with all that it started when it is no longer needed.

use super::gateway::Event;
use crate::server::ServerError;
use crossbeam::channel::{self, Receiver, Sender};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use parking_lot::Mutex;
use redis_sim::clock::{Clock, WallClock};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};
use tempfile::TempDir;

/// The longest line that a subject may say, in bytes.
const LONGEST_LINE: u64 = 64 * 1024;
/// How long is waited for the last of what it says on stderr.
const LAST_WORDS_PATIENCE: Duration = Duration::from_millis(200);
/// What a thread that listens needs at most.
const STACK: usize = 128 * 1024;
/// How many bytes of addresses the two threads take here that listen to a process.
pub const MEMORY_OF_A_PROCESS: u64 = 2 * STACK as u64;
/// How long is waited until a process that was stopped stands still.
const STANDING_STILL: Duration = Duration::from_secs(1);
/// The word of a subject that gives up by itself what it is not answered.
pub(super) const TIME_OUT: &str = "time_out";
/// The word of a subject that can be instructed to give up what it is not answered, and that instruction.
pub(super) const CANCEL: &str = "cancel";
/// How long is waited until the last files of killed processes are removed.
const LAST_FILES: Duration = Duration::from_secs(1);
/// How often we look whether it does.
const GLANCE: Duration = Duration::from_millis(1);

/// What makes a client give up that waits for a reply.
fn cure(ability: &str) -> &'static str {
    match ability {
        CANCEL => "let it give up when it reads {\"do\": \"cancel\"}",
        _ => "give its client a shorter time-out",
    }
}

/// What goes wrong with a subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// It can't be started.
    #[error("cannot start the subject {command:?}: {why}")]
    NotStarted {
        /// Its command line.
        command: String,
        /// What the system said.
        why: String,
    },
    /// It can't be tried out beforehand.
    #[error("cannot try the subject out: {0}")]
    NotRehearsed(String),
    /// It ended before it was asked to.
    #[error("the subject ended while it was to {doing}{last_words}")]
    Ended {
        /// The instruction.
        doing: String,
        /// What it said on stderr.
        last_words: String,
    },
    /// It neither answered nor sent a command in time.
    #[error(
        "the subject said nothing for {patience} while it was to {doing}; see --patience{last_words}"
    )]
    Silent {
        /// The instruction.
        doing: String,
        /// How long was waited.
        patience: String,
        /// What it said on stderr.
        last_words: String,
    },
    /// It waits for a message, and none ever comes.
    #[error(
        "the subject said nothing for {patience} while it was to {doing}, and its client has subscribed to a \
         channel: messages don't arrive here, so configure it to try once, without waiting for the \
         lock{last_words}"
    )]
    Listens {
        /// The instruction.
        doing: String,
        /// How long was waited.
        patience: String,
        /// What it said on stderr.
        last_words: String,
    },
    /// It waits for what never comes, though it said that it doesn't.
    #[error(
        "the subject says that it can {ability}, and still waited after {patience} for a reply that \
         never comes, while it was to {doing}; {}, or see --patience{last_words}",
        cure(ability)
    )]
    NeverGivesUp {
        /// What it said that it can do.
        ability: &'static str,
        /// The instruction.
        doing: String,
        /// How long was waited.
        patience: String,
        /// What it said on stderr.
        last_words: String,
    },
    /// What its words stand for is now known better: what was tried before says nothing.
    #[error("what the words of the subject stand for is now known better")]
    Learned,
    /// Of actors that share its process, one went on in another way than before.
    #[error(
        "the subject does not run the same way twice: after the same replies it {1} where it had {0}"
    )]
    NotRepeatable(String, String),
    /// What it did ends the work with it.
    #[error("the subject was to {doing} and {wrong}")]
    Wrong {
        /// The instruction.
        doing: String,
        /// What is wrong with what it did.
        wrong: Wrong,
    },
    /// Its lock is none, so no ordering would say anything about it.
    #[error("{name}: no verdict: {why}")]
    NotALock {
        /// What the client calls itself.
        name: String,
        /// What is missing.
        why: String,
    },
}

impl From<ServerError> for SubjectError {
    fn from(error: ServerError) -> Self {
        Self::NotRehearsed(error.to_string())
    }
}

/// What a subject did that ends the work with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// It said what is no answer: its words, and why that is none.
    #[error("said {0:?}: {1}")]
    Garbled(String, &'static str),
    /// It opens one connection after the other: how many it may open.
    #[error("opened more than {0} connections at a time")]
    TooManyConnections(usize),
    /// One of its actors sent a command over a connection on which another one waits for a reply.
    #[error(
        "sent a command over a connection on which another actor waits for a reply; give each actor that \
         shares a process a connection of its own"
    )]
    SharesConnection,
    /// It sends one command after the other: how many it may send.
    #[error("sent more than {0} commands; it is to try once, without retries")]
    TooManyCommands(u32),
    /// Its acquire waits for the lock: how many commands it sent.
    #[error(
        "sent {0} commands without an answer: does it wait for the lock? An acquire must try once and \
         answer {{\"ok\": false}} if the lock is taken: configure the client not to block and not to \
         retry (such as blocking=False, retryCount: 0)"
    )]
    Waits(u32),
    /// It needs a command that the embedded server lacks.
    #[error(
        "sent {0}, which the embedded server does not know; use --upstream redis://... (replay: \
         --redis), a Redis of its own that has it"
    )]
    Lacking(String),
    /// It needs a command that the real Redis lacks.
    #[error("sent {0}, which this Redis does not know; name one that does")]
    Unknown(String),
    /// It sent a command that is no matter of locks, and would touch more than the keys that it names.
    #[error(
        "sent {0}, which is not passed on to a real Redis: it is about more than keys of this client"
    )]
    NotPassedOn(String),
    /// It compares digests, and the server has names in place of the client's values.
    #[error(
        "sent {0}: digests are not followed, as the server has names in place of this client's values; \
         compare values (IFEQ, DELIFEQ, a script)"
    )]
    Digest(String),
    /// It says, in these words, that it broke.
    #[error("failed: {0}")]
    Failed(String),
}

/// The subjects that run, each in a process group of its own, and what they leave in their directory for
/// temporary files. Both end when this is dropped.
#[derive(Debug, Default)]
pub struct Processes {
    groups: Mutex<BTreeSet<i32>>,
    scratch: Mutex<Option<TempDir>>,
}

impl Processes {
    /// Kills all of them with all that they have started.
    pub fn kill(&self) {
        for group in std::mem::take(&mut *self.groups.lock()) {
            // It may be gone already.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let Some(scratch) = self.scratch.lock().take().map(TempDir::keep) else { return };
        // A process that is being killed may still make a file.
        let clock = WallClock::new(Some(LAST_FILES));
        let is_gone = || match std::fs::remove_dir_all(&scratch) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        while !is_gone() && clock.sleep(GLANCE).is_ok() {}
    }

    /// Where subjects put temporary files: they may be killed before they remove them.
    fn scratch(&self) -> io::Result<PathBuf> {
        let mut scratch = self.scratch.lock();
        let made = match scratch.take() {
            Some(made) => made,
            None => tempfile::Builder::new().prefix("nodb-probe-").tempdir()?,
        };
        Ok(scratch.insert(made).path().to_owned())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A running subject.
pub(super) struct Process {
    group: Group,
    stdin: ChildStdin,
    last_words: Arc<Mutex<String>>,
    /// Closed when it has said its last on stderr.
    silence: Receiver<()>,
}

impl Process {
    /// Starts one in a process group of its own; what it says goes to `events`.
    pub fn start(
        command: &mut Command,
        events: Sender<Event>,
        processes: &Arc<Processes>,
    ) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("TMPDIR", processes.scratch()?);
        let mut group = Group::new(command.process_group(0).spawn()?, processes);
        let child = &mut group.child;
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
            return Err(io::Error::other("it has no standard streams"));
        };
        let last_words = Arc::<Mutex<String>>::default();
        let heard = Arc::clone(&last_words);
        let thread = || thread::Builder::new().stack_size(STACK);
        thread().spawn(move || listen(stdout, &events))?;
        let (speaks, silence) = channel::bounded(0);
        thread().spawn(move || {
            keep_last_words(stderr, &heard);
            drop(speaks);
        })?;
        Ok(Self { group, stdin, last_words, silence })
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.group.child.id()
    }

    /// Sends it an instruction; whether that could be written.
    pub fn instruct(&mut self, line: &str) -> bool {
        self.stdin
            .write_all(format!("{line}\n").as_bytes())
            .and_then(|()| self.stdin.flush())
            .is_ok()
    }

    /// Lets it do nothing more until it may [`go_on`](Self::go_on).
    pub fn stop(&self) {
        self.group.signal(Signal::SIGSTOP);
        // The signal does not take effect at once, and another process may wake it up again.
        let clock = WallClock::new(Some(STANDING_STILL));
        while !self.stands_still() && clock.sleep(GLANCE).is_ok() {}
    }

    /// Whether it is stopped, or has ended.
    fn stands_still(&self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.group.child);
        let is_it = WaitIdOptions::STOPPED | WaitIdOptions::EXITED;
        let state = waitid(WaitId::Pid(pid), is_it | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG);
        !matches!(state, Ok(None))
    }

    /// Lets one that was stopped go on.
    pub fn go_on(&self) {
        self.group.signal(Signal::SIGCONT);
    }

    /// The end of what it said on stderr, as the end of a sentence.
    pub fn last_words(&self) -> String {
        // A process that has ended may have written something that is still to arrive.
        let _ = self.silence.recv_timeout(LAST_WORDS_PATIENCE);
        let last = self.last_words.lock();
        if last.is_empty() { String::new() } else { format!("; it said: {last}") }
    }
}

/// A process and all that it has started. They are killed when this is dropped.
struct Group {
    child: Child,
    number: i32,
    processes: Arc<Processes>,
}

impl Group {
    fn new(child: Child, processes: &Arc<Processes>) -> Self {
        let number = i32::try_from(child.id()).unwrap_or(i32::MAX);
        processes.groups.lock().insert(number);
        Self { child, number, processes: Arc::clone(processes) }
    }

    /// The number is not reused before the process is waited for, which only `drop` does.
    fn signal(&self, signal: Signal) {
        // It may be gone already.
        let _ = killpg(Pid::from_raw(self.number), signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // From now on no other signal reaches it.
        self.processes.groups.lock().remove(&self.number);
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

fn listen(stdout: ChildStdout, events: &Sender<Event>) {
    let mut stdout = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        let read = Read::take(&mut stdout, LONGEST_LINE).read_until(b'\n', &mut line);
        let is_over = !matches!(read, Ok(1..));
        let said = String::from_utf8_lossy(&line).trim_end().to_owned();
        let event = if is_over { Event::Ended } else { Event::Said(said) };
        if events.send(event).is_err() || is_over {
            return;
        }
    }
}

fn keep_last_words(stderr: ChildStderr, last: &Mutex<String>) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    while matches!(Read::take(&mut stderr, LONGEST_LINE).read_until(b'\n', &mut line), Ok(1..)) {
        let said = String::from_utf8_lossy(&line).trim().to_owned();
        line.clear();
        if !said.is_empty() {
            *last.lock() = said;
        }
    }
}
