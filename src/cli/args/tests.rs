//! Command lines, with scenarios made up for the purpose.

use super::*;

const HERD: &str = r#"
[parameters.threads]
type = "count"
default = 5
min = 1
max = 100
help = "How many threads ask at once."
[parameters.hold]
type = "duration"
default = "2s"
help = "How long the winner works"
[parameters.lock_ttl]
type = "ttl"
default = "6h"
help = "How long a lock lives"
"#;

fn scenario(name: &str, title: &str) -> Scenario {
    let (parameters, count, hold, ttl) = match name {
        "thundering_herd" => (HERD, "$threads", "$hold", "$lock_ttl"),
        _ => ("", "2", "1s", "6h"),
    };
    let text = format!(
        r#"
format = 1
name = "{name}"
title = "{title}"
text = """
All threads are connected and ready before one of them asks.
Then all ask at once. One gets the lock; the others are told who has it.
"""
hazards = ["herd"]
{parameters}
[locks.main]
[[actors]]
name = "thread"
count = "{count}"
start = "together"
steps = [{{ locked = "main", ttl = "{ttl}", body = [{{ work = "{hold}" }}] }}]
[[expect]]
succeeded = 1
"#
    );
    Scenario::parse("made_up.toml", &text.replace("count = \"2\"", "count = 2")).unwrap()
}

fn scenarios() -> Vec<Scenario> {
    [
        ("thundering_herd", "Many threads want one lock at the same moment; one gets it."),
        ("rapid_sequential", "One request after another, without a pause"),
        ("ttl_expiration", "The lock ends while its holder still works."),
        ("token_corruption", "A holder forgets its token, as after a crash"),
        ("orphaned_locks", "A lock that nobody remembers, and how to clear it"),
        ("deadlock_sim", "Two workers take two locks in opposite order"),
    ]
    .map(|(name, title)| scenario(name, title))
    .to_vec()
}

fn parse_words(words: &[&str]) -> Result<FireArgs, clap::Error> {
    let argv = ["nodb-trigger"].iter().chain(words).map(OsString::from);
    parse(argv, &scenarios())
}

/// What goes to stderr, which must be a usage error.
fn refused(words: &[&str]) -> String {
    let error = parse_words(words).expect_err("refused");
    assert!(error.use_stderr(), "{error}");
    error.to_string()
}

fn help(words: &[&str]) -> String {
    let error = parse_words(words).expect_err("help");
    assert!(!error.use_stderr(), "{error}");
    error.to_string()
}

#[test]
fn the_command_is_well_formed() {
    command(&scenarios()).debug_assert();
}

#[test]
fn nothing_given_is_the_default_of_everything() {
    let args = parse_words(&["thundering_herd"]).unwrap();
    let expected = FireArgs {
        scenario: "thundering_herd".into(),
        directory: "/tmp/debug_locks".into(),
        values: BTreeMap::new(),
        redis: None,
        virtual_time: false,
        format: Format::Table,
        output: None,
        quiet: false,
        color: Color::Auto,
        lock: LockProtocol::Legacy,
        wait: Duration::ZERO,
        history: None,
        timeout: None,
        force: false,
        keep: false,
        run_group: None,
    };
    assert_eq!(args, expected);
}

#[test]
fn everything_given_is_taken() {
    let args = parse_words(&[
        "thundering-herd",
        "/tmp/a run [*]\n",
        "--threads=10",
        "--hold",
        "500ms",
        "--lock-ttl",
        "30s",
        "--redis",
        "redis://:secret@host/0",
        "--format=json",
        "--output",
        "out.json",
        "--quiet",
        "--color",
        "never",
        "--timeout",
        "1m 30s",
        "--force",
        "--keep",
        "--run-group",
        "batch;;spring",
    ])
    .unwrap();
    let expected = FireArgs {
        scenario: "thundering_herd".into(),
        directory: "/tmp/a run [*]\n".into(),
        values: BTreeMap::from([
            ("threads".into(), Value::Count(10)),
            ("hold".into(), Value::Duration(Duration::from_millis(500))),
            ("lock_ttl".into(), Value::Ttl(Duration::from_secs(30).try_into().unwrap())),
        ]),
        redis: Some(ServerUrl::new("redis://:secret@host/0".into())),
        virtual_time: false,
        format: Format::Json,
        output: Some("out.json".into()),
        quiet: true,
        color: Color::Never,
        lock: LockProtocol::Legacy,
        wait: Duration::ZERO,
        history: None,
        timeout: Some(Duration::from_secs(90)),
        force: true,
        keep: true,
        run_group: Some(("batch".into(), "spring".into())),
    };
    assert_eq!(args, expected);
    assert!(!format!("{args:?}").contains("secret"));
}

#[test]
fn a_directory_needs_not_be_unicode() {
    use std::os::unix::ffi::OsStringExt;
    let strange = OsString::from_vec(b"/tmp/\xff".to_vec());
    let argv = ["nodb-trigger".into(), "thundering_herd".into(), strange.clone()];
    assert_eq!(parse(argv, &scenarios()).unwrap().directory, PathBuf::from(strange));
}

#[test]
fn a_wrong_value_is_named_with_what_would_be_right() {
    for (words, value, right) in [
        (["--threads", "0"], "'0'", "give a whole number from 1 to 100"),
        (["--threads", "-1"], "'-1'", "give a whole number from 1 to 100"),
        (["--threads", "101"], "'101'", "give a whole number from 1 to 100"),
        (["--threads", "99999999999999999999"], "99999", "give a whole number from 1 to 100"),
        (["--hold", "5"], "'5'", "add a unit, as in 5s"),
        (["--hold", "-5s"], "'-5s'", "a duration is from 0s to 365d"),
        (["--lock-ttl", "0s"], "'0s'", "a TTL is at least 1s"),
        (["--timeout", "5"], "'5'", "add a unit, as in 5s"),
        (["--timeout", "-5s"], "'-5s'", "a duration is from 0s to 365d"),
        (["--timeout", "0s"], "'0s'", "between 1ms and 365d"),
        (["--timeout", "9999999999999y"], "y'", "units are d, h, m, s, ms, us, ns"),
        (["--timeout", "400d"], "'400d'", "a duration is from 0s to 365d"),
        (["--run-group", "batch"], "'batch'", "as in 'batch;;spring'"),
        (["--run-group", "batch;;"], "'batch;;'", "as in 'batch;;spring'"),
        (["--run-group", "a;;b;;c"], "'a;;b;;c'", "as in 'batch;;spring'"),
        (["--format", "xml"], "'xml'", "[possible values: table, json]"),
        (["--output", ""], "", "a value is required"),
    ] {
        let said = refused(&["thundering_herd", words[0], words[1]]);
        assert!(said.contains(words[0]) && said.contains(value) && said.contains(right), "{said}");
    }
}

#[test]
fn what_contradicts_is_refused() {
    let said = refused(&["thundering_herd", "--virtual", "--redis", "redis://:secret@h"]);
    assert!(said.contains("'--virtual' cannot be used with '--redis <URL>'"), "{said}");
    assert!(!said.contains("secret"), "{said}");
    refused(&["thundering_herd", "--threads", "1", "--threads", "2"]);
    refused(&["thundering_herd", "one", "two"]);
    refused(&["rapid_sequential", "--threads", "1"]);
    refused(&[]);
}

#[test]
fn a_slip_of_the_finger_is_answered_with_what_was_meant() {
    let said = refused(&["thundering_hurd"]);
    assert!(said.contains("a similar subcommand exists: 'thundering_herd'"), "{said}");
    let said = refused(&["thundering_herd", "--thread", "3"]);
    assert!(said.contains("a similar argument exists: '--threads'"), "{said}");
}

#[test]
fn a_password_in_the_wrong_place_is_not_repeated() {
    let url = "redis://:secret@host/0";
    let said = refused(&["thundering_herd", url]);
    assert!(said.contains("name the server with --redis"), "{said}");
    for words in [
        &["thundering_herd", url][..],
        &[url],
        &["thundering_herd", "dir", url],
        &["thundering_herd", "--threads", url],
        &["thundering_herd", "--timeout", url],
        &["thundering_herd", "--format", url],
        &["thundering_herd", &format!("--rediss={url}")],
        &["thundering_herd", &format!("--quiet={url}")],
    ] {
        let said = refused(words);
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn the_top_help_lists_every_scenario_on_one_screen() {
    let said = help(&["--help"]);
    assert!(said.contains("thundering_herd   Many threads want one lock at the same moment\n"));
    assert!(said.contains("ttl_expiration    The lock ends while its holder still works\n"));
    assert!(said.lines().count() <= 24, "{} lines:\n{said}", said.lines().count());
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    assert!(!said.contains("thundering-herd"), "{said}");
    assert_eq!(said, help(&["-h"]));
}

#[test]
fn a_scenarios_help_has_its_text_its_parameters_and_an_example() {
    let said = help(&["thundering_herd", "--help"]);
    for part in [
        "Many threads want one lock at the same moment; one gets it.",
        "One gets the lock; the others are told who has it.",
        "Provokes: herd",
        "--threads <COUNT>",
        "How many threads ask at once [default: 5]",
        "--lock-ttl <TTL>",
        "[default: /tmp/debug_locks]",
        "nodb-trigger thundering_herd /tmp/debug_locks --threads 5",
    ] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    assert_eq!(said, help(&["help", "thundering_herd"]));
}

#[test]
fn the_version_is_the_crates() {
    assert_eq!(help(&["--version"]), concat!("nodb-trigger ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn the_embedded_scenarios_make_a_well_formed_command_line() {
    let embedded = crate::scenario::catalogue().unwrap();
    command(&embedded).debug_assert();
    let top = command(&embedded).render_help().to_string();
    assert!(top.lines().count() <= 24, "{top}");
    assert!(top.lines().all(|line| line.chars().count() <= 80), "{top}");
    for scenario in &embedded {
        for parameter in scenario.parameters() {
            let shown = default(parameter).to_string();
            assert!(parameter.parse(&shown).is_ok(), "{}", parameter.name);
        }
        let argv = ["nodb-trigger", scenario.name()].map(OsString::from);
        assert_eq!(parse(argv, &embedded).unwrap().scenario, scenario.name());
    }
}
