//! The program as a user meets it: started with arguments, watched from outside, never waited for
//! without a deadline.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take before it counts as hanging. Nothing is expected to take this long.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// A start of the program that is being prepared.
pub struct Program(Command);

impl Program {
    /// The program with these arguments and none of our environment's servers.
    pub fn new<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self::through(Command::new(env!("CARGO_BIN_EXE_nodb-trigger")), arguments)
    }

    /// The program with signals as they are in a terminal, though these tests may run under nohup or in the
    /// background of a script, where SIGINT is ignored.
    pub fn in_terminal<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let mut env = Command::new("env");
        env.args(["--default-signal=HUP,INT,TERM", env!("CARGO_BIN_EXE_nodb-trigger")]);
        Self::through(env, arguments)
    }

    /// The program started by a shell that first runs `before`, such as `ulimit -n 40`.
    pub fn after<A: AsRef<OsStr>>(before: &str, arguments: impl IntoIterator<Item = A>) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{before} && exec \"$0\" \"$@\"")]);
        shell.arg(env!("CARGO_BIN_EXE_nodb-trigger"));
        Self::through(shell, arguments)
    }

    fn through<A: AsRef<OsStr>>(
        mut command: Command,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        command.args(arguments);
        for name in [
            "REDIS_URL",
            "RQ_REDIS_URL",
            "SESSION_REDIS_URL",
            "REDIS_HOST",
            "REDIS_PORT",
            "REDIS_PASSWORD",
            "NO_COLOR",
            "GITHUB_ACTIONS",
        ] {
            command.env_remove(name);
        }
        command.env_remove("WEPPPY_LOCK_TTL_SECONDS").env("TERM", "xterm").env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command)
    }

    /// One more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.0.arg(argument);
        self
    }

    /// More arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.0.args(arguments);
        self
    }

    /// An environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Where it is started.
    pub fn current_dir(mut self, directory: &Path) -> Self {
        self.0.current_dir(directory);
        self
    }

    /// What it is sent.
    pub fn stdin(mut self, from: impl Into<Stdio>) -> Self {
        self.0.stdin(from);
        self
    }

    /// Where its report goes.
    pub fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.0.stdout(to);
        self
    }

    /// Where everything else goes.
    pub fn stderr(mut self, to: impl Into<Stdio>) -> Self {
        self.0.stderr(to);
        self
    }

    /// Starts it.
    pub fn start(mut self) -> Running {
        let mut child = self.0.spawn().unwrap();
        let stdout = child.stdout.take().map(reader);
        let stderr = child.stderr.take().map(reader);
        Running { command: format!("{:?}", self.0), child, stdout, stderr }
    }

    /// Runs it to its end.
    pub fn run(self) -> Ended {
        self.start().end()
    }
}

fn reader(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

/// The program at work. Dropping it kills it.
pub struct Running {
    command: String,
    child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        send_signal(self.pid(), signal);
    }

    /// Sends it a signal again and again until it ends.
    #[track_caller]
    pub fn interrupt_until_it_ends(mut self, signal: Signal) -> Ended {
        wait_until("it ends", || {
            let has_ended = self.has_ended();
            if !has_ended {
                self.signal(signal);
            }
            has_ended
        });
        self.end()
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        let Some(status) = poll(|| self.child.try_wait().unwrap()) else {
            let _ = self.child.kill();
            let (stdout, stderr) = (text(self.stdout.take()), text(self.stderr.take()));
            panic!("{} hangs; stdout: {stdout} stderr: {stderr}", self.command);
        };
        Ended {
            code: status.code(),
            stdout: text(self.stdout.take()),
            stderr: text(self.stderr.take()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(pipe: Option<JoinHandle<Vec<u8>>>) -> String {
    String::from_utf8(pipe.map(|pipe| pipe.join().unwrap()).unwrap_or_default()).unwrap()
}

/// Sends a process a signal.
pub fn send_signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

/// What came of it.
#[derive(Debug)]
pub struct Ended {
    /// The exit status; nothing if a signal killed it.
    pub code: Option<i32>,
    /// The report.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

impl Ended {
    /// The report in JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Fails unless it ended with this status.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Fails unless stderr says all of this.
    #[track_caller]
    pub fn says(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {self:#?}");
        }
        self
    }

    /// Fails unless it refused to run: this status, no report, and one line that says all of this.
    #[track_caller]
    pub fn refuses(&self, code: i32, words: &[&str]) -> &Self {
        self.exits(code).says(words);
        assert_eq!(self.stdout, "", "{self:#?}");
        assert!(self.stderr.starts_with("nodb-trigger: "), "{self:#?}");
        // Below a mistake stands the line of the file.
        let is_own = |line: &&str| !line.starts_with(' ');
        assert_eq!(self.stderr.lines().filter(is_own).count(), 1, "{self:#?}");
        self
    }

    /// Fails if this appears anywhere.
    #[track_caller]
    pub fn never_shows(&self, secret: &str) -> &Self {
        assert!(!self.stdout.contains(secret) && !self.stderr.contains(secret), "{self:#?}");
        self
    }

    /// The diagnoses of the snapshots with this label.
    pub fn diagnoses(&self, label: &str) -> Vec<String> {
        let json = self.json();
        let snapshots = json["consistency"].as_array().unwrap().clone();
        let found = snapshots.iter().filter(|look| look["label"] == label);
        found.map(|look| look["diagnosis"].as_str().unwrap().to_owned()).collect()
    }
}

/// Looks again and again until there is something to return; gives up after [`PATIENCE`].
pub fn poll<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = look();
        if found.is_some() || Instant::now() > deadline {
            return found;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Waits for something to come true.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    assert!(poll(|| is_so().then_some(())).is_some(), "waited in vain until {what}");
}

/// A place for run directories, gone afterwards.
pub struct Place(TempDir);

impl Place {
    /// An empty one.
    pub fn new() -> Self {
        Self(tempfile::Builder::new().prefix("nodb-place-").tempdir().unwrap())
    }

    /// A path in it.
    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The run directory that tests use which need only one, not there yet.
    pub fn run(&self) -> PathBuf {
        self.at("run")
    }

    /// Everything in it: path, kind, content, modification time.
    pub fn everything(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(self.0.path(), &mut found);
        found.sort();
        found
    }

    /// Fails unless there is nothing in it.
    #[track_caller]
    pub fn is_empty(&self) {
        assert_eq!(self.everything(), [""; 0]);
    }
}

fn list(directory: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let about = path.symlink_metadata().unwrap();
        if about.is_symlink() {
            found.push(format!("{path:?} -> {:?}", path.read_link().unwrap()));
        } else if about.is_dir() {
            found.push(format!("{path:?}/"));
            list(&path, found);
        } else {
            let content = std::fs::read(&path).unwrap();
            let content = String::from_utf8_lossy(&content).into_owned();
            found.push(format!(
                "{path:?} {content:?} {:?} {:?}",
                about.modified(),
                about.permissions()
            ));
        }
    }
}

/// Arguments of several kinds in one list.
pub fn arguments(first: &[&str], directory: &Path, rest: &[&str]) -> Vec<OsString> {
    let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    [words(first), vec![directory.into()], words(rest)].concat()
}

/// A small herd in this directory, as JSON, with further arguments; short unless they say otherwise.
pub fn herd(directory: &Path, rest: &[&str]) -> Program {
    let herd = ["thundering_herd", "--threads", "3", "--format", "json"];
    let program = Program::new(arguments(&herd, directory, rest));
    if rest.iter().any(|flag| flag.starts_with("--hold")) {
        program
    } else {
        program.arg("--hold=60ms")
    }
}
