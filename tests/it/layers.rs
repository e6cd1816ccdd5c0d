//! The layering of the sources, kept by reading the code. Cargo keeps the order of the crates; inside
//! a crate a module imports only those above it. Time comes from one file, `anyhow` stays in `cli`,
//! one file knows the numbers of the exit codes, and verdicts are decided in `check`. Tests wait for
//! conditions and not for time, and what they compare with is not among the sources.
//!
//! It reads words, not syntax: comments are left out, strings are not.

use std::fs;
use std::path::{Path, PathBuf};

/// A crate's sources.
#[derive(Clone, Copy)]
struct Crate {
    src: &'static str,
    /// Its modules from top to bottom: each may import itself and what stands above it. None where
    /// they know each other.
    modules: &'static [&'static str],
}

const SIM: Crate = Crate { src: "crates/redis-sim/src", modules: &[] };
const HISTORY: Crate =
    Crate { src: "crates/lock-history/src", modules: &["text", "registry", "history", "check"] };
const LAB: Crate = Crate {
    src: "crates/lock-lab/src",
    modules: &["chance", "server", "gate", "lock", "probe", "controller", "scenario", "runtime"],
};
const PROGRAM: Crate = Crate { src: "src", modules: &["record", "report", "cli"] };

const CRATES: [Crate; 4] = [SIM, HISTORY, LAB, PROGRAM];

/// What belongs to no module: the list of modules, and the `main` that calls the last one.
const ABOVE_ALL_MODULES: [&str; 2] = ["lib.rs", "main.rs"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Crate {
    fn root(self) -> PathBuf {
        root().join(self.src)
    }

    /// Its files with their paths below its root.
    fn files(self) -> Vec<(String, PathBuf)> {
        let root = self.root();
        let name = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        files(&root).into_iter().map(|path| (name(&path), path)).collect()
    }

    fn rust_files(self) -> Vec<(String, PathBuf)> {
        self.files().into_iter().filter(|(name, _)| name.ends_with(".rs")).collect()
    }
}

#[test]
fn modules_keep_to_their_order_and_their_duties() {
    let mut mistakes = Vec::new();
    for home in CRATES {
        let files = home.rust_files();
        assert!(files.len() > 30, "only {} files found in {}", files.len(), home.src);
        for (name, path) in files {
            mistakes.extend(mistakes_in(home, &name, &fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(mistakes.is_empty(), "\n{}\n", mistakes.join("\n"));
}

/// Every crate's sources are looked at.
#[test]
fn the_crates_are_those_of_the_workspace() {
    let mut found: Vec<String> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| format!("crates/{}/src", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    found.push("src".into());
    found.sort();
    let mut known = CRATES.map(|home| home.src.to_owned());
    known.sort();
    assert_eq!(found, known);
}

/// The code that runs a scenario knows nothing of exploration, which observes it from outside.
#[test]
fn what_runs_a_scenario_imports_nothing_of_exploration() {
    let is_core =
        |name: &str| name.starts_with("runtime/") && !name.starts_with("runtime/explore/");
    let files = LAB.rust_files();
    let mut looked_at = 0;
    for (_, path) in files.iter().filter(|(name, _)| is_core(name)) {
        looked_at += 1;
        let code = without_comments(&fs::read_to_string(path).unwrap());
        // The room's own file names its modules and what is public of them.
        let (before, after) = code.split_once("pub use explore::{").unwrap_or((&code, ";"));
        let (_, after) = after.split_once(';').unwrap();
        let code = [&before.replace("mod explore;", ""), after].concat();
        let uses = code.lines().find(|line| has_word(line, "explore"));
        assert_eq!(uses, None, "{} imports exploration", path.display());
    }
    assert!(looked_at > 20, "only {looked_at} files");
}

/// The verdict is decided in `check`. The program compares it and shows it, and passes it on in the
/// constructors of reports; it neither chooses nor overwrites one.
#[test]
fn verdicts_are_decided_beside_the_judges() {
    let mut decided = Vec::new();
    for (name, path) in PROGRAM.rust_files() {
        let is_of_tests = ["tests", "tests.rs", "samples.rs", "mutants.rs"];
        if is_of_tests.iter().any(|part| name.split('/').any(|it| it == *part)) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = without_comments(text.split("#[cfg(test)]\nmod tests {").next().unwrap());
        let found = code.lines().filter(|line| decides_a_verdict(line));
        decided.extend(found.map(|line| format!("src/{name}: {}", line.trim())));
    }
    assert!(decided.is_empty(), "\n{}\n", decided.join("\n"));
}

/// Whether a verdict is assigned, or one of the three is the value of a member, an arm or a branch.
fn decides_a_verdict(line: &str) -> bool {
    let assigns = line.match_indices("verdict").any(|(at, word)| {
        let rest = line[at + word.len()..].trim_start();
        let is_let = line.trim_start().starts_with("let ");
        !is_let && rest.starts_with('=') && !rest.starts_with("==") && !rest.starts_with("=>")
    });
    let chooses = ["Expected", "Unexpected", "Inconclusive"].iter().any(|word| {
        let chosen = format!("Verdict::{word}");
        line.match_indices(&chosen).any(|(at, _)| {
            let before = line[..at].trim_end();
            let is_member = before.ends_with(':') && !before.ends_with("::");
            let is_assigned = before.ends_with('=') && !before.ends_with("==");
            is_member
                || is_assigned && !before.ends_with("!=")
                || before.ends_with("=>")
                || before.ends_with('{')
                || before.ends_with("return")
                || before.ends_with("unwrap_or(")
        })
    });
    assigns || chooses
}

#[test]
fn a_verdict_that_is_decided_is_found_and_one_that_is_shown_is_not() {
    for line in [
        "report.verdict = Verdict::Inconclusive;",
        "report.verdict = if is_shown { good } else { bad };",
        "Self { verdict: Verdict::Expected, ..self }",
        "let verdict = Verdict::Expected;",
        "Ending::Complete => Verdict::Unexpected,",
        "if all { Verdict::Expected } else { bad }",
        "return Verdict::Expected;",
        "worst.unwrap_or(Verdict::Expected)",
    ] {
        assert!(decides_a_verdict(line), "{line}");
    }
    for line in [
        "let verdict = worst(rows);",
        "verdict: ruling.verdict,",
        "verdict: Verdict::of_runs(self.verdict, all),",
        "if report.verdict == Verdict::Expected {",
        "let noticed = reports.filter(|report| report.verdict != Verdict::Expected);",
        "Verdict::Expected => (format!(\"EXPECTED\"), Tone::Good),",
        "verdict => {",
        "let with = |verdict| rows.filter(move |row| row.verdict == verdict);",
    ] {
        assert!(!decides_a_verdict(line), "{line}");
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Which tests sleep or ask for the time: the helper that looks again until a condition holds, and
/// clients that hold locks for a while, so that there is a load.
const TIMED: [(&str, &str); 3] =
    [("program.rs", "Instant::now"), ("program.rs", "sleep("), ("record/load.rs", "sleep(")];

/// The same rule for unit tests is one of those for all sources.
#[test]
fn tests_wait_for_conditions_and_not_for_time() {
    let tests = Crate { src: "tests/it", modules: &[] };
    let mut timed = Vec::new();
    for (name, path) in tests.rust_files() {
        let code = without_comments(&fs::read_to_string(&path).unwrap());
        let calls = ["Instant::now", "sleep(", ".elapsed()"].into_iter();
        let found = calls.filter(|call| name != "layers.rs" && code.contains(call));
        timed.extend(found.map(|call| (name.clone(), call)));
    }
    timed.sort();
    assert_eq!(timed, TIMED.map(|(name, call)| (name.to_owned(), call)));
}

#[test]
fn golden_files_are_not_among_the_sources() {
    let is_golden = |name: &str| name.contains("golden") || name.ends_with(".snap");
    let files = CRATES.into_iter().flat_map(Crate::files);
    let golden: Vec<PathBuf> =
        files.filter(|(name, _)| is_golden(name)).map(|(_, path)| path).collect();
    assert!(golden.is_empty(), "{golden:#?}");
}

/// What is wrong with a file, one line each. `name` is its path below the root of its crate.
fn mistakes_in(home: Crate, name: &str, text: &str) -> Vec<String> {
    let src = home.src;
    if ABOVE_ALL_MODULES.contains(&name) {
        return Vec::new();
    }
    let first = name.split('/').next().unwrap_or(name);
    let module = first.strip_suffix(".rs").unwrap_or(first);
    let below = match home.modules.iter().position(|other| *other == module) {
        Some(place) => &home.modules[place + 1..],
        None if home.modules.is_empty() => &[],
        None => return vec![format!("{src}/{name}: add {module:?} to the list of modules")],
    };
    let code = without_comments(text);
    let mut mistakes = Vec::new();
    for (line, imported) in modules_named(&code, depth(name)) {
        if below.contains(&imported.as_str()) {
            mistakes
                .push(format!("{src}/{name}:{line}: {module} imports {imported}, which is below"));
        }
    }
    for (number, line) in code.lines().enumerate() {
        for why in forbidden(name, module, line) {
            mistakes.push(format!("{src}/{name}:{}: {why}", number + 1));
        }
    }
    mistakes
}

/// What a line does that is another file's duty.
fn forbidden(name: &str, module: &str, line: &str) -> Vec<&'static str> {
    let mut found = Vec::new();
    let reads_the_clock = ["Instant::now", "SystemTime::now", "thread::sleep", "park_timeout"];
    if name != "clock.rs" && reads_the_clock.iter().any(|call| has_word(line, call)) {
        found.push("only clock.rs asks for the time and sleeps");
    }
    if module != "cli" && has_word(line, "anyhow") {
        found.push("anyhow is for cli only; use an error type of the module's own");
    }
    let numbers = ["ExitCode::from(", "process::exit("];
    let number = numbers.iter().any(|call| {
        line.split(call).skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    });
    let named = ["ExitCode::SUCCESS", "ExitCode::FAILURE"].iter().any(|code| has_word(line, code));
    if name != "cli/exit.rs" && (number || named) {
        found.push("only cli/exit.rs knows the numbers of exit codes");
    }
    found
}

/// The code with each comment cut off; every line keeps its number.
fn without_comments(text: &str) -> String {
    let code = |line: &str| match line.find("//") {
        // A URL in a string is no comment.
        Some(at) if !line[..at].ends_with(':') => line[..at].to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(code).collect::<Vec<_>>().join("\n")
}

/// How many `super::` lead from a file to the crate's root.
fn depth(name: &str) -> usize {
    name.split('/').filter(|part| *part != "mod.rs").count()
}

/// Every name that follows `crate::`, or as many `super::` as lead there, with its line.
fn modules_named(code: &str, depth: usize) -> Vec<(usize, String)> {
    let root = "super::".repeat(depth);
    let mut named = Vec::new();
    for start in ["crate::", &root] {
        for (at, _) in code.match_indices(start) {
            if code[..at].ends_with(is_of_a_word) {
                continue;
            }
            let line = code[..at].matches('\n').count() + 1;
            let rest = code[at + start.len()..].trim_start();
            match rest.strip_prefix('{') {
                Some(group) => named.extend(first_names(group).map(|name| (line, name))),
                None => named.push((line, word(rest))),
            }
        }
    }
    named
}

/// The first name of each path in a group, up to the brace that closes it.
fn first_names(group: &str) -> impl Iterator<Item = String> {
    let mut open = 1;
    let mut paths = String::new();
    for c in group.chars() {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            c if open == 1 => paths.push(c),
            _ => {}
        }
        if open == 0 {
            break;
        }
    }
    paths.split(',').map(|path| word(path.trim_start())).collect::<Vec<_>>().into_iter()
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| is_of_a_word(*c)).collect()
}

fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `line` has `wanted`, and not as a part of a longer word.
fn has_word(line: &str, wanted: &str) -> bool {
    line.match_indices(wanted).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + wanted.len()..]);
        !before.ends_with(is_of_a_word) && !after.starts_with(is_of_a_word)
    })
}

#[test]
fn an_import_of_a_module_below_is_found_however_it_is_written() {
    for (name, code) in [
        ("lock/mod.rs", "use crate::runtime::World;"),
        ("lock/mod.rs", "pub(crate) use crate::runtime::World;"),
        ("lock/deep/er.rs", "fn f(_: &crate::runtime::World) {}"),
        ("lock/mod.rs", "use crate::{gate::Gate, runtime};"),
        (
            "lock/mod.rs",
            "use crate::{\n    gate::{self, Gate},\n    runtime::{\n        table,\n    },\n};",
        ),
        ("lock/mod.rs", "use super::runtime::World;"),
        ("lock/token.rs", "use super::super::runtime::World;"),
        ("chance.rs", "use super::runtime::World;"),
        ("lock/mod.rs", "let url = \"redis://host\"; crate::runtime::write(url);"),
    ] {
        let found = mistakes_in(LAB, name, code);
        assert_eq!(found.len(), 1, "{name}: {code}: {found:?}");
        assert!(found[0].contains("imports runtime, which is below"), "{found:?}");
    }
    let second_line = mistakes_in(PROGRAM, "record/mod.rs", "//! Locks.\nuse crate::cli::Exit;");
    assert_eq!(second_line, ["src/record/mod.rs:2: record imports cli, which is below"]);
}

#[test]
fn what_is_allowed_is_no_mistake() {
    for (home, name, code) in [
        (PROGRAM, "report/mod.rs", "use crate::report::Report;"),
        (PROGRAM, "report/mod.rs", "use crate::{record::Recording, report::{self, Report}};"),
        (LAB, "lock/mod.rs", "// use crate::runtime::World;\n/// See [`crate::runtime`]."),
        (LAB, "lock/mod.rs", "use mycrate::runtime::World;"),
        (LAB, "runtime/task_body.rs", "super::runtime();"),
        (LAB, "lock/mod.rs", "use crate::gate::{Link, runtime};"),
        (PROGRAM, "main.rs", "fn main() -> ExitCode { nodb_trigger::cli::main() }"),
        (SIM, "clock.rs", "let now = Instant::now();"),
        (SIM, "session.rs", "use crate::commands;"),
        (LAB, "runtime/task_body.rs", "clock.sleep(pause); inbox.recv_timeout(pause);"),
        (PROGRAM, "cli/fire.rs", "use anyhow::Context;"),
        (PROGRAM, "cli/signals.rs", "std::process::exit(Exit::Interrupted.code().into());"),
        (PROGRAM, "cli/exit.rs", "ExitCode::from(3)"),
    ] {
        assert_eq!(mistakes_in(home, name, code), Vec::<String>::new(), "{name}: {code}");
    }
}

#[test]
fn each_other_rule_is_found_broken() {
    for (home, name, code, why) in [
        (LAB, "lock/mod.rs", "let now = std::time::Instant::now();", "only clock.rs"),
        (PROGRAM, "cli/fire.rs", "let now = SystemTime::now();", "only clock.rs"),
        (LAB, "runtime/mod.rs", "thread::sleep(pause);", "only clock.rs"),
        (SIM, "session.rs", "fn f() -> anyhow::Result<()> {", "anyhow is for cli only"),
        (PROGRAM, "cli/fire.rs", "ExitCode::from(3)", "only cli/exit.rs"),
        (PROGRAM, "cli/signals.rs", "std::process::exit(130);", "only cli/exit.rs"),
        (PROGRAM, "cli/mod.rs", "return ExitCode::FAILURE;", "only cli/exit.rs"),
        (PROGRAM, "helpers/mod.rs", "", "to the list of modules"),
        (LAB, "helpers.rs", "", "to the list of modules"),
    ] {
        let found = mistakes_in(home, name, code);
        assert_eq!(found.len(), 1, "{name}: {code}: {found:?}");
        assert!(found[0].contains(why), "{name}: {code}: {found:?}");
    }
}
