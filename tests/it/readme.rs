//! The commands of README.md and of the book do what the pages say. Each `sh` block is run as it stands, with the
//! built binary; the blocks of a page share a directory and a Redis. A `text` block after one whose output is always
//! the same is what that prints: `INSTA_UPDATE=always cargo test golden` renews it.
//! `<!-- sh: COMMANDS -->` is such a block, too, which readers don't see.

use crate::extension::my_program;
use crate::golden::holds;
use crate::layers::root;
use crate::pages::{Block, Page, blocks, pages, with_block};
use crate::redis_server::{RedisServer, redis_or_skip};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::thread;

#[test]
fn blocks_of_commands_run_and_their_golden_output_is_on_the_page() {
    drop(redis_or_skip!());
    let pages = pages().into_iter().filter(|page| page.text.contains("\n```sh\n"));
    let pages: Vec<Page> = pages.collect();
    assert!(pages.len() >= 10, "only {} pages have commands", pages.len());
    let renewed: Vec<String> = thread::scope(|scope| {
        let runs: Vec<_> = pages.iter().map(|page| scope.spawn(|| run(page))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let mut wrong = String::new();
    for (page, renewed) in pages.iter().zip(&renewed) {
        if !holds(&page.name, renewed, str::eq) {
            wrong += &differences(page, renewed);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn readme_has_at_most_250_lines() {
    let count = Page::read("README.md").text.lines().count();
    assert!(count <= 250, "{count} lines");
}

fn differences(page: &Page, renewed: &str) -> String {
    let mut text = String::new();
    for (is, was) in blocks(renewed).iter().zip(blocks(&page.text)) {
        if is.text != was.text {
            let place = format!("{}:{}", page.name, was.line);
            writeln!(text, "{place} says\n{}\nand it prints\n{}", was.text, is.text).unwrap();
        }
    }
    text
}

/// Runs the blocks of a page, and gives the page with the output that they have now.
fn run(page: &Page) -> String {
    let server = RedisServer::start(&[]);
    let temp = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("examples"), temp.path().join("examples")).unwrap();
    let blocks = blocks(&page.text);
    let mut now = Vec::new();
    for (index, block) in blocks.iter().enumerate().filter(|(_, block)| block.kind == "sh") {
        if block.text.contains("--python") && !has_redis_py() {
            eprintln!("{}:{} is left out: there is no Python with redis-py", page.name, block.line);
            continue;
        }
        let stdout = output(page, block, &server, temp.path());
        let next = blocks.get(index + 1).filter(|next| next.kind == "text");
        let Some(next) = next else { continue };
        let printed = shown(&stdout, &next.text);
        if differs(&block.text, &printed, &next.text) {
            now.push((next.line, printed));
        }
    }
    let mut con = server.client().get_connection().unwrap();
    let left: String = redis::cmd("INFO").arg("keyspace").query(&mut con).unwrap();
    assert_eq!(left, "# Keyspace\r\n", "{}: the commands leave nothing", page.name);
    let renew = |text: String, (line, stdout): (usize, String)| with_block(&text, line, &stdout);
    now.into_iter().rev().fold(page.text.clone(), renew)
}

/// What a block prints, with the names of the page in place of those of the test.
fn output(page: &Page, block: &Block, server: &RedisServer, dir: &Path) -> String {
    let path = format!("{}/", dir.display());
    let port = server.port().to_string();
    let example = my_program();
    let script = block
        .text
        .replace("cargo run --release --", "nodb-trigger")
        .replace("/tmp/", &path)
        .replace("6379", &port)
        // A busy machine takes longer than the default.
        .replace("nodb-trigger probe --python", "nodb-trigger probe --max-time 10m --python")
        .replace("nodb-trigger probe --subject", "nodb-trigger probe --max-time 10m --subject")
        .replace("cargo run --example my_protocol --", example.to_str().unwrap());
    let output = shell(&script, dir);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let place = format!("{}:{}", page.name, block.line);
    assert!(output.status.success(), "{place}\n{script}\n{stdout}{stderr}");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let owner = format!("{}:", host.trim());
    stdout.replace(&path, "/tmp/").replace(&port, "6379").replace(&owner, "vm:")
}

/// What a page that says `said` shows of an output. After a first line `...` it shows the last paragraph that
/// begins with the same word.
fn shown(printed: &str, said: &str) -> String {
    let Some(rest) = said.strip_prefix("...\n") else { return printed.to_owned() };
    let word = rest.split_whitespace().next().unwrap_or_default();
    let lines: Vec<&str> = printed.lines().collect();
    let first = lines.iter().rposition(|line| line.starts_with(word));
    let first = first.unwrap_or_else(|| panic!("no line begins with {word}:\n{printed}"));
    format!("...\n{}\n", lines[first..].join("\n"))
}

/// Whether a page that says `said` after a script has to say `printed`.
fn differs(script: &str, printed: &str, said: &str) -> bool {
    let has = |commands: &[&str]| commands.iter().any(|words| script.contains(words));
    if has(&["nodb-trigger explore", "nodb-trigger probe", "nodb-trigger replay"]) {
        return untimed(printed) != untimed(said);
    }
    if has(&["nodb-trigger status", "nodb-trigger unlock"]) && script.lines().count() == 1 {
        return masked(printed) != masked(said);
    }
    has(&["--virtual", "nodb-trigger show"]) && printed != said
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

/// The words with `0` for each number or token: of a real server, times, ports and tokens differ.
fn masked(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let mask = |word: &str| {
        if word.len() >= 8 && word.chars().all(|c| c.is_ascii_hexdigit()) {
            return "0".to_owned();
        }
        let mut masked: Vec<char> =
            word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        masked.dedup_by(|next, last| *next == '0' && *last == '0');
        masked.into_iter().collect()
    };
    words.map(mask).collect()
}

/// A Python with redis-py, as `scripts/subjects.sh` makes one.
fn python() -> std::path::PathBuf {
    root().join("target/subjects/redis-8.1.0/bin")
}

fn has_redis_py() -> bool {
    python().join("python3").exists()
}

/// As a user has it who has set nothing for nodb-trigger, and the program on the PATH.
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
    let binaries = [binary.parent().unwrap(), &python()].map(|dir| dir.display().to_string());
    command
        .args(["-eu", "-c", script])
        .env("COLUMNS", "80")
        .env("PATH", format!("{}:{path}", binaries.join(":")))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(dir)
        .output()
        .unwrap()
}

#[test]
fn a_block_may_show_the_end_of_an_output() {
    let printed = "FOUND: one\ntwo\nFOUND: three\nfour\n";
    assert_eq!(shown(printed, "...\nFOUND: old\n"), "...\nFOUND: three\nfour\n");
    assert_eq!(shown(printed, "old\n"), printed);
}

#[test]
fn a_block_has_to_say_what_is_printed_but_for_what_differs_each_time() {
    let explore = "nodb-trigger explore x";
    assert!(!differs(
        explore,
        "after 1 ordering (1.3 ms); shortest",
        "after 1 ordering\n(22 us); shortest"
    ));
    assert!(differs(
        explore,
        "after 1 ordering (1.3 ms); shortest",
        "after 2 orderings (1.3 ms); shortest"
    ));
    let status = "nodb-trigger status --all";
    assert!(!differs(status, "held  59 s", "held 6 s"));
    assert!(!differs(status, "at 2026-12-01T10:55:05Z", "at 2026-12-01T9:05:15Z"));
    assert!(!differs(status, "vm:12 --token 3fa85f64", "vm:345 --token 0f8fad5b"));
    assert!(differs(status, "held  59 s", "free 59 s"));
    assert!(differs("nodb-trigger x --virtual", "a  b", "a b"));
    assert!(!differs("nodb-trigger x", "a", "b"), "a real clock");
}
