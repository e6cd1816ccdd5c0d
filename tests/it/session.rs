//! A person at a terminal with a stuck run: what is typed is only what the program itself printed,
//! and all that was on the screen is kept in `tests/sessions/` and compared.

use crate::golden::holds;
use crate::program::{Place, Program, poll};
use crate::redis_server::{RedisServer, leave_out, redis_or_skip};
use rustix::process::Signal;
use std::path::Path;
use std::process::Command;

/// What the shell prints when it waits for a command.
const PROMPT: &str = "$ ";

/// A shell in a terminal of 120 columns.
struct Terminal {
    socket: String,
    prompts: usize,
}

impl Terminal {
    /// Opens it, with the program on its PATH; nothing, if there is no tmux and it is not asked for.
    fn open(redis: &RedisServer) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            leave_out("session: a stuck run", "no tmux on the PATH");
            return None;
        }
        let mut terminal =
            Self { socket: format!("nodb-session-{}", std::process::id()), prompts: 0 };
        let program = Path::new(env!("CARGO_BIN_EXE_nodb-trigger")).parent().unwrap();
        let shell = format!(
            "env -i TERM=screen LC_ALL=C.UTF-8 PATH={}:/usr/bin:/bin REDIS_URL={} PS1='{PROMPT}' \
             bash --norc --noprofile",
            program.display(),
            redis.url()
        );
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "50", &shell]);
        terminal.wait_for_prompt();
        Some(terminal)
    }

    /// Types a command and waits until it has ended; gives all that was on the screen so far.
    fn type_in(&mut self, command: &str) -> String {
        self.tmux(&["send-keys", "-l", command]);
        self.tmux(&["send-keys", "Enter"]);
        self.wait_for_prompt()
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
    let Some(mut terminal) = Terminal::open(&redis) else { return };
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
