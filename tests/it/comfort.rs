//! What makes the program pleasant: help that fits a screen, completions, manual pages, suggestions,
//! durations as people write them, `NO_COLOR`, `--verbose`.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use lock_lab::server::{Listener, Server};
use redis::cmd;
use redis_sim::clock::{VirtualClock, WallClock};

use crate::program::{Place, Program, arguments};
use crate::redis_server::{RedisServer, leave_out, redis_or_skip};

/// The commands that the top help names, in its order.
fn commands() -> Vec<String> {
    let help = Program::new(["--help"]).run();
    let rows = help.stdout.lines().skip(4).take_while(|line| !line.is_empty());
    let name = |row: &str| row.get(9..).unwrap().split(' ').next().unwrap().to_owned();
    rows.map(name).collect()
}

/// The names of the built-in scenarios.
fn scenarios() -> Vec<String> {
    let list = Program::new(["catalogue", "--format", "json"]).run().json();
    let rows = list["scenarios"].as_array().unwrap();
    rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

/// The programs that a machine need not have even where all tests are required.
const OPTIONAL: [&str; 2] = ["zsh", "fish"];

/// Whether a program that a test needs is here; if not, says that the test is left out, or panics
/// if it may not be.
fn is_here(program: &str, test: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let is_here = found.is_ok_and(|output| output.status.success());
    if !is_here && !OPTIONAL.contains(&program) {
        leave_out(&format!("comfort::{test}"), &format!("no {program} on the PATH"));
    } else if !is_here {
        // The handle, not the macro, whose words are hidden if the test passes.
        let line = format!("\nleft out: comfort::{test} (no {program} on the PATH)\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    is_here
}

fn flags(help: &str) -> BTreeSet<&str> {
    let words = help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words.filter(|word| word.starts_with("--") && word.len() > 2).collect()
}

#[test]
fn every_short_help_fits_a_screen_and_has_an_example_and_the_long_one_has_more() {
    for name in commands().into_iter().chain(scenarios()) {
        let short = Program::new([&*name, "-h"]).run();
        let long = Program::new([&*name, "--help"]).run();
        short.exits(0);
        long.exits(0);
        let lines = short.stdout.lines().count();
        assert!(lines <= 31, "{name}: {lines} lines\n{}", short.stdout);
        for help in [&short, &long] {
            let width = help.stdout.lines().map(|line| line.chars().count()).max();
            assert!(width <= Some(80), "{}", help.stdout);
            assert!(help.stdout.contains("\nExample"), "{name} has no example\n{}", help.stdout);
            assert!(help.stdout.contains(&format!("  nodb-trigger {name}")), "{}", help.stdout);
        }
        let more = flags(&long.stdout);
        assert!(flags(&short.stdout).is_subset(&more), "{name}: {more:?}");
        assert!(!long.stdout.contains('…'), "{}", long.stdout);
    }
    let long = Program::new(["thundering_herd", "--help"]).run();
    for flag in ["--wait", "--seed", "--run-group", "--keep", "--force", "--timeout", "--color"] {
        assert!(long.stdout.contains(flag), "{flag}");
    }
}

#[test]
fn a_help_that_nobody_sees_on_a_terminal_is_80_columns_wide() {
    let wide = Program::new(["build_climate", "--help"]).run();
    for columns in ["40", "200"] {
        let other = Program::new(["build_climate", "--help"]).env("COLUMNS", columns).run();
        assert_eq!(other.stdout, wide.stdout, "COLUMNS={columns}");
    }
}

/// What bash offers for the last of these words.
fn offered(script: &str, words: &[&str]) -> Vec<String> {
    let line = r#"
        source "$1"; shift
        function=$(complete -p nodb-trigger | sed 's/.*-F \([^ ]*\).*/\1/')
        COMP_WORDS=(nodb-trigger "$@"); COMP_CWORD=$#
        "$function" nodb-trigger "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}" 2>/dev/null
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let bash =
        Command::new("bash").args(["--norc", "-c", line, "bash", script]).args(words).output();
    let output = String::from_utf8(bash.unwrap().stdout).unwrap();
    output.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_scenarios_flags_values_and_files() {
    if !is_here("bash", "bash_completes_commands_scenarios_flags_values_and_files") {
        return;
    }
    let place = Place::new();
    let script = place.at("completions.bash");
    let printed = Program::new(["completions", "bash"]).run();
    assert_eq!(printed.exits(0).stderr, "");
    fs::write(&script, &printed.stdout).unwrap();
    let script = script.to_str().unwrap();
    let offer = |words: &[&str]| offered(script, words);
    assert_eq!(offer(&["thun"]), ["thundering_herd"]);
    let all = offer(&[""]);
    for name in commands().iter().chain(&scenarios()) {
        assert!(all.contains(name), "{name} is not among {all:?}");
    }
    assert!(
        !all.contains(&"man".to_owned()) && !all.contains(&"thundering-herd".to_owned()),
        "{all:?}"
    );
    assert_eq!(offer(&["thundering_herd", "--thr"]), ["--threads"]);
    assert_eq!(offer(&["thundering_herd", "--lock", ""]), ["legacy", "current", "hardened"]);
    assert_eq!(offer(&["run", "--format", "j"]), ["json", "junit"]);
    assert_eq!(offer(&["explore", "x", "--property", "overl"]), ["overlap"]);
    for command in ["explore", "probe"] {
        let properties = offer(&[command, "x", "--property", ""]);
        assert_eq!(properties.len(), 13, "{properties:?}");
        assert!(!properties.contains(&"starvation".to_owned()), "{properties:?}");
    }
    assert_eq!(offer(&["explore", "check_th"]), ["check_then_delete"]);
    assert_eq!(offer(&["show", "starv"]), ["starvation"]);
    assert_eq!(offer(&["completions", "z"]), ["zsh"]);
    let history = place.at("herd.jsonl");
    fs::write(&history, "").unwrap();
    let beginning = place.at("he");
    let beginning = beginning.to_str().unwrap();
    assert_eq!(offer(&["starvation", "--history", beginning]), [history.to_str().unwrap()]);
}

#[test]
fn each_shell_gets_a_script_that_knows_every_scenario() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = Program::new(["completions", shell]).run();
        script.exits(0);
        for name in commands().iter().chain(&scenarios()) {
            assert!(script.stdout.contains(name.as_str()), "{shell}: {name}");
        }
    }
    Program::new(["completions", "bsh"]).run().exits(2).says(&["bash", "a similar value exists"]);
}

#[test]
fn zsh_reads_its_script() {
    if !is_here("zsh", "zsh_reads_its_script") {
        return;
    }
    let place = Place::new();
    let script = place.at("_nodb-trigger");
    fs::write(&script, Program::new(["completions", "zsh"]).run().stdout).unwrap();
    let load =
        "autoload -U compinit && compinit -u -D && source $0 && print ${_comps[nodb-trigger]}";
    let zsh = Command::new("zsh").args(["-f", "-c", load]).arg(&script).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&zsh.stderr), "");
    assert_eq!(String::from_utf8_lossy(&zsh.stdout), "_nodb-trigger\n");
}

#[test]
fn fish_completes_scenarios_flags_and_values() {
    if !is_here("fish", "fish_completes_scenarios_flags_and_values") {
        return;
    }
    let place = Place::new();
    let script = place.at("nodb-trigger.fish");
    fs::write(&script, Program::new(["completions", "fish"]).run().stdout).unwrap();
    for (line, offer) in [
        ("nodb-trigger thun", "thundering_herd"),
        ("nodb-trigger starvation --loc", "--lock"),
        ("nodb-trigger starvation --lock h", "hardened"),
    ] {
        let complete = "source $argv[1]; complete -C $argv[2]";
        let fish =
            Command::new("fish").args(["-N", "-c", complete]).arg(&script).arg(line).output();
        let offered = String::from_utf8(fish.unwrap().stdout).unwrap();
        assert!(
            offered.lines().any(|it| it.split('\t').next() == Some(offer)),
            "{line}: {offered}"
        );
    }
}

#[test]
fn there_is_a_manual_page_for_everything_and_groff_has_nothing_against_it() {
    let place = Place::new();
    let pages = place.at("man");
    Program::new(["man"]).arg(&pages).run().exits(0);
    let page = |name: &str| fs::read_to_string(pages.join(name)).unwrap();
    let top = page("nodb-trigger.1");
    for part in [".SH NAME", ".SH \"EXIT STATUS\"", ".SH ENVIRONMENT", "REDIS_PASSWORD", "NO_COLOR"]
    {
        assert!(top.contains(part), "no {part} in\n{top}");
    }
    for status in ["0", "1", "2", "3", "4", "130"] {
        assert!(top.contains(&format!("\\fB{status}\\fR")), "{status}");
    }
    let plain = top.replace("\\-", "-");
    for name in commands().iter().chain(&scenarios()) {
        assert!(plain.contains(&format!("nodb-trigger {name}")), "{name}");
        let own = page(&format!("nodb-trigger-{name}.1")).replace("\\-", "-");
        assert!(
            own.contains(".SH EXAMPLES") && own.contains(&format!("nodb-trigger {name}")),
            "{own}"
        );
    }
    let files = fs::read_dir(&pages).unwrap().count();
    assert_eq!(files, 1 + commands().len() + scenarios().len());
    assert!(page("nodb-trigger-run.1").contains("Colour: auto, always or never"), "told in full");
    if !is_here("groff", "there_is_a_manual_page_for_everything_and_groff_has_nothing_against_it") {
        return;
    }
    for file in fs::read_dir(&pages).unwrap() {
        let path = file.unwrap().path();
        let groff = ["-man", "-Tutf8", "-ww", "-rLL=78n"];
        let shown = Command::new("groff").args(groff).arg(&path).output().unwrap();
        assert!(shown.status.success() && !shown.stdout.is_empty(), "{path:?}");
        assert_eq!(String::from_utf8_lossy(&shown.stderr), "", "{path:?}");
    }
}

#[test]
fn a_page_that_can_t_be_written_is_told() {
    let place = Place::new();
    fs::write(place.run(), "").unwrap();
    Program::new(["man"]).arg(place.run()).run().refuses(3, &["cannot make", "run"]);
}

#[test]
fn a_release_has_everything_in_it_and_nothing_of_the_day_it_was_made() {
    let test = "a_release_has_everything_in_it_and_nothing_of_the_day_it_was_made";
    if !["strip", "redis-cli", "sha256sum"].iter().all(|program| is_here(program, test)) {
        return;
    }
    let place = Place::new();
    let dist = place.at("dist");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/release.sh");
    let mut release = Command::new("bash");
    release.args([script, "--package", env!("CARGO_BIN_EXE_nodb-trigger")]).arg(&dist);
    let made = release.output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let sums = ["-c", "--strict", "SHA256SUMS"];
    let checked = Command::new("sha256sum").args(sums).current_dir(&dist).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");

    let archive = String::from_utf8(made.stdout).unwrap();
    let archive = archive.lines().last().unwrap();
    let version = concat!("nodb-trigger-", env!("CARGO_PKG_VERSION"));
    assert!(archive.contains(version), "{archive}");
    let list = ["--full-time", "--utc", "-tvf", archive];
    let listed = Command::new("tar").args(list).output().unwrap().stdout;
    let listed = String::from_utf8(listed).unwrap();
    let rows: Vec<Vec<&str>> = listed.lines().map(|row| row.split_whitespace().collect()).collect();
    let paths: Vec<&str> = rows.iter().map(|row| row[5].split_once('/').unwrap().1).collect();
    for path in [
        "nodb-trigger",
        "README.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "completions/nodb-trigger.bash",
        "completions/_nodb-trigger",
        "completions/nodb-trigger.fish",
        "man/man1/nodb-trigger.1",
        "man/man1/nodb-trigger-explore.1",
        "man/man1/nodb-trigger-thundering_herd.1",
    ] {
        assert!(paths.contains(&path), "no {path} in {listed}");
    }
    assert!(paths.is_sorted(), "{listed}");
    let when = |row: &[&str]| [row[1], row[3], row[4]].join(" ");
    assert!(rows.iter().all(|row| when(row) == when(&rows[0])), "{listed}");
    assert_eq!(rows[0][1], "0/0");
}

#[test]
fn what_is_mistyped_is_answered_with_what_was_meant() {
    let place = Place::new();
    let show = Program::new(["show", "thundering_herd"]).run().stdout;
    fs::write(place.at("mine.toml"), &show).unwrap();
    fs::write(place.at("broken.toml"), show.replace("\nhazards", "\nhazrads")).unwrap();
    for (line, meant) in [
        ("rum", "'run'"),
        ("thundering_hurd", "'thundering_herd'"),
        ("thundering-hurd", "'thundering_herd'"),
        ("help thundering_hurd", "'thundering_herd'"),
        ("help explor", "'explore'"),
        ("show thundering_hurd", "did you mean \"thundering_herd\"?"),
        ("run thundering_hurd", "did you mean \"thundering_herd\"?"),
        ("explore thundering_hurd", "did you mean \"thundering_herd\"?"),
        ("explore starvation.toml", "did you mean the built-in starvation?"),
        ("thundering_herd --lock hardend", "'hardened'"),
        ("thundering_herd --format jsn", "'json'"),
        ("thundering_herd --color nver", "'never'"),
        ("thundering_herd --verbos", "'--verbose'"),
        ("explore starvation --timing asnc", "'async'"),
        ("explore starvation --strategy exaustive", "'exhaustive'"),
        ("explore starvation --property lost-updat", "'lost_update'"),
        ("explore thundering_herd --thread 3", "'--threads'"),
        ("explore thundering_herd --param thread=3", "did you mean \"threads\"?"),
        ("catalogue --format markdwn", "'markdown'"),
        ("completions fsh", "'fish'"),
        ("run mien.toml", "did you mean mine.toml?"),
        ("run ./mien.toml", "did you mean ./mine.toml?"),
        ("validate mien.toml", "did you mean mine.toml?"),
        ("validate broken.toml", "did you mean \"hazards\"?"),
        ("check mime.toml", "did you mean mine.toml?"),
        ("replay mime.toml", "did you mean mine.toml?"),
    ] {
        let ended = Program::new(line.split(' ')).current_dir(&place.at("")).run();
        ended.says(&[meant]);
        assert!(matches!(ended.code, Some(2 | 3)), "{line}: {ended:#?}");
    }
}

#[test]
fn durations_are_taken_as_people_write_them() {
    let place = Place::new();
    let held = |hold: &str| {
        let virtual_run = ["--virtual", "--format=json", "--hold", hold];
        Program::new(arguments(&["thundering_herd"], &place.run(), &virtual_run)).run()
    };
    for (text, read) in [
        ("250ms", "250ms"),
        ("2s", "2s"),
        ("1.5s", "1s 500ms"),
        ("2 s", "2s"),
        ("1h30m", "1h 30m"),
        ("6h", "6h"),
    ] {
        assert_eq!(held(text).json()["parameters"]["hold"], read, "{text}");
    }
    for (text, allowed) in [
        ("5", "add a unit, as in 5s or 5ms"),
        ("2 hours", "units are d, h, m, s, ms, us, ns"),
        ("soon", "give a duration such as 500ms, 1.5s, 1m 30s or 6h"),
        ("-1s", "a duration is from 0s to 365d"),
    ] {
        held(text).exits(2).says(&["--hold", allowed]);
    }
}

/// What the program writes to a terminal.
fn on_a_terminal(words: &str, variables: &[(&str, &str)]) -> String {
    let line = format!("{} {words}", env!("CARGO_BIN_EXE_nodb-trigger"));
    let mut script = Command::new("script");
    script.args(["-qefc", &line, "/dev/null"]).stdin(Stdio::null());
    script.env("TERM", "xterm").env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    script.envs(variables.iter().copied());
    String::from_utf8_lossy(&script.output().unwrap().stdout).into_owned()
}

/// Whether a text has colours, bold or underlined letters.
fn is_coloured(text: &str) -> bool {
    text.split("\u{1b}[").skip(1).any(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == ';'));
        end.is_some_and(|end| rest[end..].starts_with('m'))
    })
}

#[test]
fn no_color_is_for_help_errors_bars_and_tables() {
    if !is_here("script", "no_color_is_for_help_errors_bars_and_tables") {
        return;
    }
    let place = Place::new();
    let herd = format!("thundering_herd {} --hold 60ms", place.run().display());
    for (words, has_colour) in [
        ("run --help", true),
        ("--no-such-flag", true),
        (herd.as_str(), true),
        ("explore check_then_delete", true),
    ] {
        assert_eq!(is_coloured(&on_a_terminal(words, &[])), has_colour, "{words}");
        let plain = on_a_terminal(words, &[("NO_COLOR", "1")]);
        assert!(plain.len() > 40, "{words}: {plain}");
        assert!(!is_coloured(&plain), "{words}: {plain:?}");
    }
}

#[test]
fn verbose_shows_each_command_of_a_run_on_stderr_and_changes_no_report() {
    let place = Place::new();
    let herd = ["--virtual", "--format", "json"];
    let herd = |rest: &[&str]| {
        let words = [&herd[..], rest].concat();
        Program::new(arguments(&["thundering_herd"], &place.run(), &words)).run()
    };
    let (plain, shown) = (herd(&[]), herd(&["-v"]));
    assert_eq!(plain.stderr, "");
    assert_eq!(shown.exits(0).stdout, plain.stdout);
    let mut lines = shown.stderr.lines();
    let head = lines.next().unwrap();
    let commands: Vec<&str> = lines.collect();
    assert_eq!(
        head.split(" (").next(),
        Some(&*format!("nodb-trigger: thundering_herd: {} commands", commands.len()))
    );
    assert!(
        commands
            .iter()
            .all(|line| line.starts_with("  ") && line.contains(" s ") && line.contains(" → ")),
        "{shown:#?}"
    );
    let sets = |reply: &str| {
        commands
            .iter()
            .filter(|line| line.contains("  SET nodb-lock:") && line.ends_with(reply))
            .count()
    };
    assert_eq!((sets("→ OK"), sets("→ nil")), (1, 4), "{shown:#?}");
    assert_eq!(
        commands[0].split_whitespace().take(5).collect::<Vec<_>>(),
        ["0.000000", "s", "0", "us", "thread_1"]
    );
    herd(&["-v", "--quiet"]).exits(2).says(&["--verbose", "cannot be used with '--quiet'"]);
    let run = Program::new(["run", "starvation", "blind_delete", "--virtual", "--verbose"]).run();
    run.exits(0).says(&["nodb-trigger: starvation: ", "nodb-trigger: blind_delete: "]);
}

fn set_password(server: &RedisServer) {
    let mut connection = server.client().get_connection().unwrap();
    let set = ["SET", "requirepass", "s3cret"];
    cmd("CONFIG").arg(&set).exec(&mut connection).unwrap();
}

#[test]
fn verbose_shows_no_password() {
    let server = redis_or_skip!();
    set_password(&server);
    let place = Place::new();
    let url = server.url().replace("redis://", "redis://:s3cret@");
    let words = ["--hold=60ms", "-v", "--redis", &url];
    let ended = Program::new(arguments(&["thundering_herd"], &place.run(), &words)).run();
    ended.exits(0).says(&["SET nodb-lock:", "→ OK"]).never_shows("s3cret");
}

#[test]
fn a_listener_hears_everything_that_passes_on_either_kind_of_server() {
    let redis = redis_or_skip!();
    set_password(&redis);
    let real = Server::at(&redis.url(), Some("s3cret")).unwrap();
    let embedded = Server::embedded(Arc::new(VirtualClock::new(None)));
    for server in [real, embedded] {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hear = {
            let heard = heard.clone();
            move |exchange: &lock_lab::server::Exchange| {
                assert!(exchange.sent.order < exchange.received.order);
                assert!(exchange.sent.at <= exchange.received.at);
                heard.lock().unwrap().push((exchange.asked(), exchange.answered()));
            }
        };
        let clock = Arc::new(WallClock::new(None));
        let (name, listener) = (server.name().to_owned(), Listener::new(clock, hear));
        let mut connection = match server {
            Server::Embedded(_) => server.connect(13).unwrap().heard_by(listener),
            Server::Redis(_) => server.heard_by(listener).connect(13).unwrap(),
        };
        cmd("SET").arg("key").arg("value").exec(&mut connection).unwrap();
        cmd("INCR").arg("key").exec(&mut connection).unwrap_err();
        redis::pipe().atomic().get("key").del("key").exec(&mut connection).unwrap();
        let heard = heard.lock().unwrap().clone();
        let (asked, answered): (Vec<&str>, Vec<&str>) =
            heard.iter().map(|(asked, answered)| (asked.as_str(), answered.as_str())).unzip();
        assert_eq!(asked, ["SET key value", "INCR key", "MULTI; GET key; DEL key; EXEC"], "{name}");
        assert!(answered[1].contains("not an integer"), "{name}: {answered:?}");
        assert_eq!((answered[0], answered[2]), ("OK", "[value, 1]"), "{name}");
    }
}
