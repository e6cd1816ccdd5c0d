//! The layering of the sources, kept by reading the code. Cargo keeps the order of the crates; inside
//! a crate a module imports only those above it. Time comes from one file, `anyhow` stays in `cli`,
//! one file knows the numbers of the exit codes, and verdicts are decided in `check`. Tests wait for
//! conditions and not for time, and what they compare with is not among the sources.
//!
//! It reads words, not syntax: comments are left out, strings are not.

use std::fs;
use std::path::{Path, PathBuf};

/// A crate, as `ARCHITECTURE.md` describes it.
struct Crate {
    /// Its sources, below the root of the repository.
    src: String,
    /// Its modules from top to bottom: each may import itself and what stands above it.
    modules: Vec<String>,
    /// Whether that order holds; in the embedded server modules know each other.
    is_layered: bool,
}

/// What belongs to no module: the list of modules, and the `main` that calls the last one.
const ABOVE_ALL_MODULES: [&str; 2] = ["lib.rs", "main.rs"];

/// The crates and their modules, from the headings and tables of `ARCHITECTURE.md`.
fn crates() -> Vec<Crate> {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, crates) = page.split_once("\n## Crates\n").unwrap();
    let (crates, _) = crates.split_once("\n## ").unwrap();
    let described = crates.split("\n### ").skip(1).map(|section| {
        let quoted = |line: &str| line.split('`').nth(1).unwrap().to_owned();
        let (heading, rest) = section.split_once('\n').unwrap();
        let dir = quoted(heading);
        let modules = rest.lines().filter(|line| line.starts_with("| `")).map(quoted).collect();
        let src = if dir == "src" { dir } else { format!("{dir}/src") };
        Crate { is_layered: !heading.starts_with("redis-sim"), src, modules }
    });
    described.collect()
}

fn program() -> Crate {
    crates().pop().unwrap()
}

fn the_crate(name: &str) -> Crate {
    crates().into_iter().find(|known| known.src.contains(name)).unwrap()
}

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Crate {
    /// Its files with their paths below its root.
    fn files(&self) -> Vec<(String, PathBuf)> {
        let root = root().join(&self.src);
        let name = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        files(&root).into_iter().map(|path| (name(&path), path)).collect()
    }

    fn rust_files(&self) -> Vec<(String, PathBuf)> {
        self.files().into_iter().filter(|(name, _)| name.ends_with(".rs")).collect()
    }
}

#[test]
fn modules_keep_to_their_order_and_their_duties() {
    let mut mistakes = Vec::new();
    for home in crates() {
        let files = home.rust_files();
        assert!(files.len() > 30, "only {} files found in {}", files.len(), home.src);
        for (name, path) in files {
            mistakes.extend(mistakes_in(&home, &name, &fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(mistakes.is_empty(), "\n{}\n", mistakes.join("\n"));
}

#[test]
fn the_page_on_architecture_names_each_crate_and_each_module() {
    let found = fs::read_dir(root().join("crates")).unwrap();
    let found = found.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<String> = found.map(|name| format!("crates/{name}/src")).collect();
    found.push("src".into());
    found.sort();
    let mut described: Vec<String> = crates().into_iter().map(|known| known.src).collect();
    described.sort();
    assert_eq!(described, found);
    for home in crates() {
        let modules = home.rust_files().into_iter().map(|(name, _)| module_of(&name).to_owned());
        let mut found: Vec<String> =
            modules.filter(|name| !["lib", "main"].contains(&name.as_str())).collect();
        found.sort();
        found.dedup();
        let mut described = home.modules;
        described.sort();
        assert_eq!(described, found, "{}", home.src);
    }
}

/// The code that runs a scenario knows nothing of exploration, which observes it from outside.
#[test]
fn what_runs_a_scenario_imports_nothing_of_exploration() {
    let is_core =
        |name: &str| name.starts_with("runtime/") && !name.starts_with("runtime/explore/");
    let files = the_crate("lock-lab").rust_files();
    let mut looked_at = 0;
    for (_, path) in files.iter().filter(|(name, _)| is_core(name)) {
        looked_at += 1;
        let code = without_comments(&fs::read_to_string(path).unwrap());
        // The room's own file names its modules and what is public of them.
        let (before, after) = code.split_once("pub use explore::{").unwrap_or((&code, ";"));
        let (_, after) = after.split_once(';').unwrap();
        let code = [&before.replace("mod explore;", ""), after].concat();
        let uses = code.lines().find(|line| has_word(&outside_strings(line), "explore"));
        assert_eq!(uses, None, "{} imports exploration", path.display());
    }
    assert!(looked_at > 20, "only {looked_at} files");
}

/// The verdict is decided in `check`. The program compares it and shows it, and passes it on in the
/// constructors of reports; it neither chooses nor overwrites one.
#[test]
fn verdicts_are_decided_beside_the_judges() {
    let mut decided = Vec::new();
    for (name, path) in program().rust_files() {
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

pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
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
    let tests = Crate { src: "tests/it".into(), modules: Vec::new(), is_layered: false };
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
    let files = crates().into_iter().flat_map(|home| home.files());
    let golden: Vec<PathBuf> =
        files.filter(|(name, _)| is_golden(name)).map(|(_, path)| path).collect();
    assert!(golden.is_empty(), "{golden:#?}");
}

/// The module that a file belongs to.
fn module_of(name: &str) -> &str {
    let first = name.split('/').next().unwrap_or(name);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// Where unsafe code is: errors of scripts need the Lua C API, and a task holds a pointer to its
/// coroutine. Clippy asks for the reason of each block.
#[test]
fn unsafe_code_is_in_these_files_only() {
    let mut found = Vec::new();
    for home in crates() {
        for (name, path) in home.rust_files() {
            let code = without_comments(&fs::read_to_string(&path).unwrap());
            if ["{", "fn", "impl", "extern"].iter().any(|it| code.contains(&format!("unsafe {it}")))
            {
                found.push(format!("{}/{name}", home.src));
            }
        }
    }
    found.sort();
    let expected = [
        "crates/lock-lab/src/runtime/yield_point.rs",
        "crates/redis-sim/src/scripting/lua/guard.rs",
    ];
    assert_eq!(found, expected);
}

/// What is wrong with a file, one line each. `name` is its path below the root of its crate.
fn mistakes_in(home: &Crate, name: &str, text: &str) -> Vec<String> {
    let src = &home.src;
    if ABOVE_ALL_MODULES.contains(&name) {
        return Vec::new();
    }
    let module = module_of(name);
    let below = match home.modules.iter().position(|other| other == module) {
        Some(place) if home.is_layered => &home.modules[place + 1..],
        Some(_) => &[],
        None => return vec![format!("{src}/{name}: ARCHITECTURE.md has no module {module:?}")],
    };
    let code = without_comments(text);
    let mut mistakes = Vec::new();
    for (line, imported) in modules_named(&code, depth(name)) {
        if below.contains(&imported) {
            mistakes
                .push(format!("{src}/{name}:{line}: {module} imports {imported}, which is below"));
        }
    }
    for (number, line) in code.lines().enumerate() {
        let writes_json = ["serde_json::to_writer", "serde_json::to_string"];
        let is_output = src == "src" && !name.ends_with("tests.rs");
        if is_output && writes_json.iter().any(|call| line.contains(call)) {
            mistakes.push(format!("{src}/{name}:{}: only report/json.rs writes JSON", number + 1));
        }
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

/// A line without its strings, where each begins and ends in it.
fn outside_strings(line: &str) -> String {
    line.split('"').step_by(2).collect()
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

pub(super) fn is_of_a_word(c: char) -> bool {
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
    let lab = the_crate("lock-lab");
    for (name, code) in [
        ("lock/mod.rs", "use crate::runtime::World;"),
        ("lock/mod.rs", "pub(crate) use crate::runtime::World;"),
        ("lock/deep/er.rs", "fn f(_: &crate::runtime::World) {}"),
        ("lock/mod.rs", "use crate::{intercept::Link, runtime};"),
        (
            "lock/mod.rs",
            "use crate::{\n    intercept::{self, Link},\n    runtime::{\n        table,\n    },\n};",
        ),
        ("lock/mod.rs", "use super::runtime::World;"),
        ("lock/token.rs", "use super::super::runtime::World;"),
        ("rng.rs", "use super::runtime::World;"),
        ("lock/mod.rs", "let url = \"redis://host\"; crate::runtime::write(url);"),
    ] {
        let found = mistakes_in(&lab, name, code);
        assert_eq!(found.len(), 1, "{name}: {code}: {found:?}");
        assert!(found[0].contains("imports runtime, which is below"), "{found:?}");
    }
    let second_line = mistakes_in(&program(), "record/mod.rs", "//! Locks.\nuse crate::cli::Exit;");
    assert_eq!(second_line, ["src/record/mod.rs:2: record imports cli, which is below"]);
}

#[test]
fn what_is_allowed_is_no_mistake() {
    for (home, name, code) in [
        (program(), "report/mod.rs", "use crate::report::Report;"),
        (program(), "report/mod.rs", "use crate::{record::Recording, report::{self, Report}};"),
        (
            the_crate("lock-lab"),
            "lock/mod.rs",
            "// use crate::runtime::World;\n/// See [`crate::runtime`].",
        ),
        (the_crate("lock-lab"), "lock/mod.rs", "use mycrate::runtime::World;"),
        (the_crate("lock-lab"), "runtime/task_body.rs", "super::runtime();"),
        (the_crate("lock-lab"), "lock/mod.rs", "use crate::intercept::{Link, runtime};"),
        (program(), "main.rs", "fn main() -> ExitCode { nodb_trigger::cli::main() }"),
        (the_crate("redis-sim"), "clock.rs", "let now = Instant::now();"),
        (the_crate("redis-sim"), "session.rs", "use crate::commands;"),
        (
            the_crate("lock-lab"),
            "runtime/task_body.rs",
            "clock.sleep(pause); inbox.recv_timeout(pause);",
        ),
        (program(), "cli/fire.rs", "use anyhow::Context;"),
        (program(), "cli/signals.rs", "std::process::exit(Exit::Interrupted.code().into());"),
        (program(), "cli/exit.rs", "ExitCode::from(3)"),
    ] {
        assert_eq!(mistakes_in(&home, name, code), Vec::<String>::new(), "{name}: {code}");
    }
}

#[test]
fn each_other_rule_is_found_broken() {
    for (home, name, code, why) in [
        (
            the_crate("lock-lab"),
            "lock/mod.rs",
            "let now = std::time::Instant::now();",
            "only clock.rs",
        ),
        (program(), "cli/fire.rs", "let now = SystemTime::now();", "only clock.rs"),
        (the_crate("lock-lab"), "runtime/mod.rs", "thread::sleep(pause);", "only clock.rs"),
        (
            the_crate("redis-sim"),
            "session.rs",
            "fn f() -> anyhow::Result<()> {",
            "anyhow is for cli only",
        ),
        (program(), "cli/fire.rs", "ExitCode::from(3)", "only cli/exit.rs"),
        (program(), "cli/signals.rs", "std::process::exit(130);", "only cli/exit.rs"),
        (program(), "cli/mod.rs", "return ExitCode::FAILURE;", "only cli/exit.rs"),
        (program(), "cli/fire.rs", "serde_json::to_writer(out, &report)?;", "only report/json.rs"),
        (program(), "helpers/mod.rs", "", "has no module"),
        (the_crate("lock-lab"), "helpers.rs", "", "has no module"),
    ] {
        let found = mistakes_in(&home, name, code);
        assert_eq!(found.len(), 1, "{name}: {code}: {found:?}");
        assert!(found[0].contains(why), "{name}: {code}: {found:?}");
    }
}
