//! Sessions in a terminal. What is typed is what README shows or what the program itself printed, and all that
//! was on the screen is kept in `tests/sessions/` and compared.

use crate::golden::holds;
use crate::probe::python_of;
use crate::program::{Place, Program, poll};
use crate::redis_server::{RedisServer, leave_out, redis_or_skip};
use rustix::process::Signal;
use std::path::Path;
use std::process::Command;

/// What the shell prints when it waits for a command.
const PROMPT: &str = "$ ";

/// A shell in a terminal.
struct Terminal {
    socket: String,
    prompts: usize,
}

impl Terminal {
    /// Opens it, with the program on its PATH; nothing, if there is no tmux and it is not asked for.
    fn open(name: &str, [columns, rows]: [&str; 2], redis: &RedisServer) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            leave_out(&format!("session: {name}"), "no tmux on the PATH");
            return None;
        }
        let socket = format!("nodb-session-{name}-{}", std::process::id());
        let mut terminal = Self { socket, prompts: 0 };
        let program = Path::new(env!("CARGO_BIN_EXE_nodb-trigger")).parent().unwrap();
        let shell = format!(
            "env -i TERM=screen LC_ALL=C.UTF-8 PATH={}:/usr/bin:/bin REDIS_URL={} PS1='{PROMPT}' \
             bash --norc --noprofile",
            program.display(),
            redis.url()
        );
        let size = ["-x", columns, "-y", rows];
        let words = [&["-f", "/dev/null", "new-session", "-d"], &size[..], &[&shell]].concat();
        terminal.tmux(&words);
        terminal.wait_for_prompt();
        Some(terminal)
    }

    /// Types a command and waits until it has ended; gives all that was on the screen so far.
    fn type_in(&mut self, command: &str) -> String {
        self.tmux(&["send-keys", "-l", command]);
        self.tmux(&["send-keys", "Enter"]);
        self.wait_for_prompt()
    }

    /// Types a command that takes the screen, and waits until this stands on it.
    fn begin(&mut self, command: &str, shows: &str) {
        self.tmux(&["send-keys", "-l", command]);
        self.tmux(&["send-keys", "Enter"]);
        self.wait_for(shows);
    }

    /// Presses a key, and gives the screen as soon as this stands on it.
    fn press(&self, key: &str, shows: &str) -> String {
        self.tmux(&["send-keys", key]);
        self.wait_for(shows)
    }

    fn wait_for(&self, shows: &str) -> String {
        let mut seen = String::new();
        let is_there = poll(|| {
            let before = std::mem::replace(&mut seen, self.tmux(&["capture-pane", "-p"]));
            // The complete screen, and not a part of it.
            (seen.contains(shows) && seen == before).then_some(())
        });
        assert!(is_there.is_some(), "no {shows:?}:\n{seen}");
        seen.trim_end().to_owned()
    }

    fn wait_for_prompt(&mut self) -> String {
        self.prompts += 1;
        let mut seen = String::new();
        let prompt = poll(|| {
            // Lines that the terminal wrapped are joined again, as a person copies them.
            seen = self.tmux(&["capture-pane", "-p", "-J", "-S", "-"]);
            let is_prompt = |line: &&str| line.starts_with(PROMPT.trim_end());
            (seen.lines().filter(is_prompt).count() >= self.prompts).then_some(())
        });
        assert!(prompt.is_some(), "no prompt:\n{seen}");
        seen.trim_end().to_owned()
    }

    fn tmux(&self, words: &[&str]) -> String {
        let output = Command::new("tmux").args(["-L", &self.socket]).args(words).output().unwrap();
        assert!(output.status.success(), "tmux {words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).output();
    }
}

/// The commands that the last `status` on the screen says to type.
fn printed_commands(screen: &str) -> Vec<String> {
    let (_, after) = screen.rsplit_once("To mend it:").expect("something is to be mended");
    let lines = after.lines().skip(1).take_while(|line| line.starts_with("  nodb-trigger "));
    lines.map(|line| line.trim().to_owned()).collect()
}

/// The screen with what differs from run to run by names: who, where, which token, all numbers.
fn steady(screen: &str, owner: &str, token: &str) -> String {
    let names = screen.replace(owner, "web1:4711").replace(token, "TOKEN");
    let names = names.replace(token.get(..8).unwrap(), "TOKEN...");
    let mut text = String::new();
    for character in names.chars() {
        match character {
            '0'..='9' if text.ends_with('0') => {}
            '0'..='9' => text.push('0'),
            other => text.push(other),
        }
    }
    text + "\n"
}

/// Without spaces and lines: how wide the columns are depends on the names.
fn words(text: &str) -> String {
    text.chars().filter(|character| !character.is_whitespace() && *character != '─').collect()
}

#[test]
fn golden_session_where_a_stuck_run_is_recovered_with_the_commands_that_status_prints() {
    let redis = redis_or_skip!();
    let Some(mut terminal) = Terminal::open("stuck_run", ["120", "50"], &redis) else { return };
    let mut con = redis.client().get_connection().unwrap();
    // A worker dies under its lock, as by the out-of-memory killer; another one's lease has ended.
    let place = Place::new();
    let run = place.at("climate-run");
    let arguments = ["rapid_sequential", run.to_str().unwrap(), "--hold", "1h", "--redis"];
    let worker = Program::new(arguments).arg(redis.url()).start();
    // It sets the flag last.
    let flag = ["climate-run", "locked:debug_lock_test.nodb"];
    let is_locked = || redis::cmd("HGET").arg(&flag).query::<Option<String>>(&mut con).unwrap();
    assert_eq!(poll(is_locked).as_deref(), Some("true"));
    let key = "nodb-lock:climate-run:debug_lock_test.nodb";
    let payload: String = redis::cmd("GET").arg(key).query(&mut con).unwrap();
    worker.signal(Signal::KILL);
    worker.end();
    redis::cmd("HSET").arg(&["climate-run", "locked:soils.nodb", "true"]).exec(&mut con).unwrap();

    let screen = terminal.type_in("nodb-trigger status climate-run");
    let commands = printed_commands(&screen);
    assert_eq!(commands.len(), 2, "{screen}");
    for command in &commands {
        terminal.type_in(command);
    }
    let screen =
        terminal.type_in("nodb-trigger status climate-run --fail-if any && echo free again");
    assert!(screen.ends_with(&format!("free again\n{}", PROMPT.trim_end())), "{screen}");

    let payload: serde_json::Value = serde_json::from_str(&payload).unwrap();
    let member = |name: &str| payload[name].as_str().unwrap().to_owned();
    let screen = steady(&screen, &member("owner"), &member("token"));
    let (file, is_same) = ("tests/sessions/stuck_run.txt", |a: &str, b: &str| words(a) == words(b));
    assert!(holds(file, &screen, is_same), "{file} differs:\n{screen}");
}

/// What stands on the screens of a session is what is kept of it.
#[track_caller]
fn holds_screens(file: &str, screens: &str) {
    let is_same = |a: &str, b: &str| words(a) == words(b);
    assert!(holds(file, screens, is_same), "{file} differs:\n{screens}");
}

#[test]
fn golden_session_where_a_stuck_lock_of_redis_py_is_diagnosed_and_released() {
    let redis = redis_or_skip!();
    let Some(mut terminal) = Terminal::open("stuck_lock", ["80", "24"], &redis) else { return };
    let token = "0f8fad5bd9cb469fa165070867728950";
    let mut con = redis.client().get_connection().unwrap();
    redis::cmd("SET").arg(&["lock:orders", token]).exec(&mut con).unwrap();
    let screen = terminal.type_in("nodb-trigger status --all");
    let (_, next) = screen.rsplit_once("next: ").expect("something is to be done");
    let next = next.lines().next().unwrap().to_owned();
    terminal.type_in(&next);
    let screen = terminal.type_in("nodb-trigger status --all");
    let left: Option<String> = redis::cmd("GET").arg("lock:orders").query(&mut con).unwrap();
    assert_eq!(left, None, "{screen}");
    holds_screens("tests/sessions/stuck_lock.txt", &steady(&screen, "no owner", token));
}

#[test]
fn golden_session_where_a_race_is_seen_stepped_through_and_replayed() {
    let redis = redis_or_skip!();
    let Some(mut terminal) = Terminal::open("race", ["80", "24"], &redis) else { return };
    terminal.begin("nodb-trigger demo", "step 1 of 7");
    let mut screens = Vec::new();
    for step in 2..=7 {
        screens.push(terminal.press("Right", &format!("step {step} of 7")));
    }
    screens.push(terminal.press("Left", "step 6 of 7"));
    screens.push(terminal.press("Home", "step 1 of 7"));
    screens.push(terminal.press("Tab", "protocol hardened, step 1 of 7"));
    screens.push(terminal.press("End", "step 7 of 7"));
    terminal.tmux(&["send-keys", "q"]);
    terminal.wait_for_prompt();
    let screen = terminal.type_in("nodb-trigger explore check_then_delete --lock legacy");
    let (_, replay) = screen.rsplit_once("replay: ").expect("a schedule is printed");
    let replay = replay.lines().next().unwrap();
    terminal.begin(&format!("{replay} --step"), "step 1 of");
    screens.push(terminal.press("End", "step 6 of 6"));
    terminal.tmux(&["send-keys", "Escape"]);
    let screen = terminal.wait_for_prompt();
    assert!(screen.contains("REPRODUCED: it shows foreign_release again."), "{screen}");
    let screens = screens.join("\n\n") + "\n";
    holds_screens("tests/sessions/race.txt", &screens);
}

#[test]
fn golden_session_where_a_lock_by_hand_is_broken_and_its_cure_passes() {
    let redis = redis_or_skip!();
    let Some(python) = python_of("session: a lock by hand", "redis-8.1.0") else { return };
    let Some(mut terminal) = Terminal::open("by_hand", ["80", "24"], &redis) else { return };
    let root = env!("CARGO_MANIFEST_DIR");
    let path = Path::new(&python).parent().unwrap().display().to_string();
    terminal.type_in(&format!("cd {root}; PATH={path}:$PATH"));
    let probe = "nodb-trigger probe --max-time 1h --python examples/pytest/locks.py:take,drop";
    let broken = terminal.type_in(probe);
    assert!(broken.contains("BROKEN: examples/pytest/locks.py:take,drop can take"), "{broken}");
    let cured = terminal.type_in(&format!("{probe}_own"));
    assert!(cured.contains("PASS: examples/pytest/locks.py:take,drop_own; covered: "), "{cured}");
}
