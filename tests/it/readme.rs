//! The README's commands do what it says: each of its `sh` blocks is run as it stands, with the built
//! binary, in a directory and on a Redis of its own. A `text` block after one whose
//! output is always the same is what that prints.

use crate::extension::my_program;
use crate::redis_server::redis_or_skip;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// A fenced block: what it is marked with, what is in it, and the line where it begins.
#[derive(Debug, PartialEq)]
struct Block {
    kind: String,
    text: String,
    line: usize,
}

fn blocks(markdown: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut inside = false;
    for (number, line) in markdown.lines().enumerate() {
        match (line.strip_prefix("```"), inside) {
            (Some(_), true) => inside = false,
            (Some(kind), false) => {
                inside = true;
                found.push(Block { kind: kind.into(), text: String::new(), line: number + 1 });
            }
            (None, true) => writeln!(found.last_mut().unwrap().text, "{line}").unwrap(),
            (None, false) => {}
        }
    }
    found
}

#[test]
fn every_block_of_commands_runs_and_virtual_output_is_what_it_says() {
    let server = redis_or_skip!();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let blocks = blocks(&readme);
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().to_str().unwrap();
    let port = server.port().to_string();

    let example = my_program();
    let mut count = 0;
    for (index, block) in blocks.iter().enumerate().filter(|(_, block)| block.kind == "sh") {
        let script = block
            .text
            .replace("cargo run --release --", "nodb-trigger")
            .replace("/tmp/", &format!("{path}/"))
            .replace("6379", &port)
            .replace("cargo run --example my_protocol --", example.to_str().unwrap());
        let output = shell(&script, temp.path());
        let shown = format!(
            "README.md:{}\n{script}\n{}{}",
            block.line,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{shown}");
        let next = blocks.get(index + 1).filter(|next| next.kind == "text");
        if let Some(next) = next.filter(|_| prints_the_same(&script)) {
            let stdout = String::from_utf8_lossy(&output.stdout);
            let stdout = stdout.replace(&format!("{path}/"), "/tmp/");
            match script.contains("nodb-trigger explore") {
                true => assert_eq!(untimed(&stdout), untimed(&next.text), "{shown}"),
                false => assert_eq!(stdout, next.text, "{shown}"),
            }
        }
        count += 1;
    }
    assert!(count >= 8, "only {count} blocks of commands were found");
    let mut con = server.client().get_connection().unwrap();
    let left: String = redis::cmd("INFO").arg("keyspace").query(&mut con).unwrap();
    assert_eq!(left, "# Keyspace\r\n", "the commands that clean up leave nothing");
}

/// What runs in virtual time, or runs nothing.
fn prints_the_same(script: &str) -> bool {
    let commands = ["--virtual", "nodb-trigger show", "nodb-trigger explore"];
    commands.iter().any(|words| script.contains(words))
}

/// The words without how long something took, as in `(1.3 ms);`.
fn untimed(text: &str) -> Vec<&str> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_time = |at: usize| {
        let begins = words[at].strip_prefix('(').is_some_and(|it| it.parse::<f64>().is_ok());
        begins && words.get(at + 1).is_some_and(|unit| unit.ends_with(");"))
    };
    let all = 0..words.len();
    all.filter(|at| !is_time(*at) && (*at == 0 || !is_time(at - 1))).map(|at| words[at]).collect()
}

/// As somebody has it who has nothing set for nodb-trigger, and the program on the PATH.
pub fn shell(script: &str, dir: &Path) -> std::process::Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_nodb-trigger"));
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("sh");
    for variable in [
        "REDIS_URL",
        "RQ_REDIS_URL",
        "SESSION_REDIS_URL",
        "REDIS_HOST",
        "REDIS_PORT",
        "REDIS_PASSWORD",
        "WEPPPY_LOCK_TTL_SECONDS",
    ] {
        command.env_remove(variable);
    }
    command
        .args(["-eu", "-c", script])
        .env("PATH", format!("{}:{path}", binary.parent().unwrap().display()))
        .current_dir(dir)
        .output()
        .unwrap()
}

#[test]
fn blocks_are_found_with_their_kind_and_line() {
    let found = blocks("a\n```sh\none\ntwo\n```\n```text\nthree\n```\n");
    let block = |kind: &str, text: &str, line| Block { kind: kind.into(), text: text.into(), line };
    assert_eq!(found, [block("sh", "one\ntwo\n", 2), block("text", "three\n", 6)]);
}
