//! Command lines, with scenarios made up for the purpose.

mod recover;

use super::super::redact::ServerUrl;
use super::commands::commands;
use super::explore::ShownOptions;
use super::help::command;
use super::run::{OutputOptions, ReplyOptions, StageOptions};
use super::scenario::default;
use super::values::hyphened;
use super::*;
use clap::Command;
use lock_history::check::Property;
use lock_lab::lock::protocol;
use lock_lab::runtime::Timing;
use lock_lab::scenario::{Value, catalogue};
use redis_sim::server::Address;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

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

fn parse_words(words: &[&str]) -> Result<Request, clap::Error> {
    let argv = ["nodb-trigger"].iter().chain(words).map(OsString::from);
    parse(argv, &scenarios().into())
}

/// The command line of these scenarios.
fn whole(scenarios: &[Scenario]) -> Command {
    let names: Vec<&str> = scenarios.iter().map(Scenario::name).collect();
    command(&names, &scenarios.iter().collect::<Vec<_>>())
}

/// What is to be fired.
fn fired(words: &[&str]) -> FireArgs {
    match parse_words(words) {
        Ok(Request::Fire(args)) => args,
        other => panic!("{other:?}"),
    }
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
    whole(&scenarios()).debug_assert();
}

#[test]
fn nothing_given_is_the_default_of_everything() {
    let args = fired(&["thundering_herd"]);
    let expected = FireArgs {
        scenario: "thundering_herd".into(),
        values: BTreeMap::new(),
        directory: "/tmp/debug_locks".into(),
        run: RunOptions {
            redis: None,
            replies: ReplyOptions { redis_timeout: None },
            lock: protocol("legacy").unwrap(),
            wait: Duration::ZERO,
            virtual_time: false,
            processes: false,
            seed: 0,
            repeat: None,
            stage: StageOptions { timeout: None, run_group: None, file: None, force: false },
            lock_only: false,
            keep: false,
        },
        output: OutputOptions {
            report: ReportOptions {
                summary: None,
                format: Format::Table,
                output: None,
                quiet: false,
                color: Color::Auto,
            },
            history: None,
            verbose: false,
            timeline: None,
        },
    };
    assert_eq!(args, expected);
}

#[test]
fn everything_given_is_taken() {
    let args = fired(&[
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
        "--file=_pups/a/climate.nodb",
        "--lock-only",
        "--keep",
        "--run-group",
        "batch;;spring",
        "--lock=hardened",
        "--wait=5s",
        "--repeat=3",
        "--history=what.jsonl",
        "--timeline=what.svg",
    ]);
    let expected = FireArgs {
        scenario: "thundering_herd".into(),
        values: BTreeMap::from([
            ("threads".into(), Value::Count(10)),
            ("hold".into(), Value::Duration(Duration::from_millis(500))),
            ("lock_ttl".into(), Value::Ttl(Duration::from_secs(30).try_into().unwrap())),
        ]),
        directory: "/tmp/a run [*]\n".into(),
        run: RunOptions {
            redis: Some(ServerUrl::from("redis://:secret@host/0".to_owned())),
            replies: ReplyOptions { redis_timeout: None },
            lock: protocol("hardened").unwrap(),
            wait: Duration::from_secs(5),
            virtual_time: false,
            processes: false,
            seed: 0,
            repeat: Some(3),
            stage: StageOptions {
                timeout: Some(Duration::from_secs(90)),
                run_group: Some(("batch".into(), "spring".into())),
                file: Some("_pups/a/climate.nodb".into()),
                force: true,
            },
            lock_only: true,
            keep: true,
        },
        output: OutputOptions {
            report: ReportOptions {
                summary: None,
                format: Format::Json,
                output: Some("out.json".into()),
                quiet: true,
                color: Color::Never,
            },
            history: Some("what.jsonl".into()),
            verbose: false,
            timeline: Some(Picture::File { path: "what.svg".into(), format: PictureFormat::Svg }),
        },
    };
    assert_eq!(args, expected);
    assert!(!format!("{args:?}").contains("secret"));
}

#[test]
fn a_directory_needs_not_be_unicode() {
    use std::os::unix::ffi::OsStringExt;
    let strange = OsString::from_vec(b"/tmp/\xff".to_vec());
    let argv = ["nodb-trigger".into(), "thundering_herd".into(), strange.clone()];
    let Ok(Request::Fire(args)) = parse(argv, &scenarios().into()) else { panic!("not fired") };
    assert_eq!(args.directory, PathBuf::from(strange));
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
        (["--format", "xml"], "'xml'", "[possible values: table, json, junit]"),
        (["--output", ""], "", "a value is required"),
        (["--repeat", "0"], "'0'", "from 1 to 100000"),
        (["--repeat", "100001"], "'100001'", "from 1 to 100000"),
        (["--seed", "-1"], "'-1'", "from 0 to 18446744073709551615"),
        (["--lock", "both"], "'both'", "[possible values: legacy, current, hardened]"),
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
    let said = refused(&["thundering_herd", "--seed", "7"]);
    assert!(said.contains("--virtual"), "{said}");
    let said = refused(&["run", "thundering_herd", "--jobs", "2"]);
    assert!(said.contains("--virtual"), "{said}");
    refused(&["run"]);
    refused(&["run", "x", "--virtual", "--jobs", "0"]);
    refused(&["run", "x", "--directory", "redis://:secret@host"]);
    refused(&["list", "x"]);
    refused(&["check"]);
    refused(&["check", "x", "--format", "junit"]);
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

/// The text of `--help` with these scenarios, on one screen.
fn top_help(scenarios: &[Scenario]) -> String {
    let said = whole(scenarios).render_help().to_string();
    assert!(said.lines().count() <= 37, "{} lines:\n{said}", said.lines().count());
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    for scenario in scenarios {
        assert!(said.contains(scenario.name()), "{said}");
    }
    said
}

#[test]
fn the_top_help_lists_every_command_and_names_every_scenario() {
    let said = top_help(&scenarios());
    assert_eq!(said, help(&["--help"]));
    assert_eq!(said, help(&["-h"]));
    assert!(said.contains("Fire     run          Run scenario files"), "{said}");
    assert!(said.contains("  thundering_herd, rapid_sequential, ttl_expiration,"), "{said}");
    assert!(!said.contains("thundering-herd"), "{said}");
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
        "--timeline <FILE>  Draw what happened (.svg, .html; - draws it here)\n",
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
fn no_parameter_of_an_embedded_scenario_is_called_like_a_common_flag_or_command() {
    let without_parameters = whole(&[scenario("rapid_sequential", "None")]);
    let subcommand = without_parameters.find_subcommand("rapid_sequential").unwrap();
    let mut taken: Vec<&str> = subcommand.get_arguments().filter_map(|it| it.get_long()).collect();
    taken.extend(["directory", "version"]);
    assert!(taken.contains(&"history") && taken.contains(&"help"), "{taken:?}");
    let commands = commands(&[], &[]);
    let commands: Vec<_> = commands.iter().map(Command::get_name).collect();
    for scenario in &catalogue().unwrap() {
        let name = scenario.name();
        assert!(!commands.contains(&name), "scenario {name:?} is called like a command");
        for parameter in scenario.parameters() {
            let flag = hyphened(&parameter.name);
            assert!(!taken.contains(&&*flag), "{name}: --{flag} is taken; rename the parameter");
        }
    }
}

#[test]
fn the_embedded_scenarios_make_a_well_formed_command_line() {
    let embedded = catalogue().unwrap();
    whole(&embedded).debug_assert();
    top_help(&embedded);
    let builtin = BuiltIn::from(embedded.clone());
    for scenario in &embedded {
        for parameter in scenario.parameters() {
            let shown = default(parameter).to_string();
            assert!(parameter.parse(&shown).is_ok(), "{}", parameter.name);
        }
        let argv = ["nodb-trigger", scenario.name()].map(OsString::from);
        let Ok(Request::Fire(args)) = parse(argv, &builtin) else { panic!("not fired") };
        assert_eq!(args.scenario, scenario.name());
    }
}

#[test]
fn each_command_takes_what_it_needs() {
    let run = parse_words(&["run", "a.toml", "thundering_herd", "--virtual", "--jobs=4"]).unwrap();
    let Request::Run(args) = run else { panic!("{run:?}") };
    assert_eq!(args.what, [PathBuf::from("a.toml"), "thundering_herd".into()]);
    assert_eq!(args.jobs.map(|jobs| jobs.get()), Some(4));
    assert_eq!(args.directory, PathBuf::from("/tmp/debug_locks"));
    assert_eq!(parse_words(&["list"]).unwrap(), Request::List);
    let show = Request::Show { name: "thundering_herd".into() };
    assert_eq!(parse_words(&["show", "thundering_herd"]).unwrap(), show);
    let validate = Request::Validate { files: vec!["a".into(), "b".into()] };
    assert_eq!(parse_words(&["validate", "a", "b"]).unwrap(), validate);
    let catalogue = Request::Catalogue { format: CatalogueFormat::Markdown };
    assert_eq!(parse_words(&["catalogue", "--format=markdown"]).unwrap(), catalogue);
    let check = Request::Check(CheckArgs {
        file: "h".into(),
        patterns: Vec::new(),
        fail_if: Vec::new(),
        format: CheckFormat::Json,
        timeline: None,
    });
    assert_eq!(parse_words(&["check", "h", "--format=json"]).unwrap(), check);
    let output = Picture::Terminal;
    let timeline = TimelineArgs { file: "h".into(), output, color: Color::Never };
    let words = ["timeline", "h", "--color=never"];
    assert_eq!(parse_words(&words).unwrap(), Request::Timeline(timeline));
}

fn explored(words: &[&str]) -> ExploreArgs {
    match parse_words(&[&["explore"], words].concat()) {
        Ok(Request::Explore(args)) => args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_exploration_without_flags_has_the_defaults() {
    let args = explored(&["thundering_herd"]);
    let report = fired(&["thundering_herd"]).output.report;
    let expected = ExploreArgs {
        what: "thundering_herd".into(),
        lock: None,
        search: SearchOptions {
            params: Vec::new(),
            wait: Duration::ZERO,
            timing: None,
            crashes: None,
            faults: None,
            properties: Vec::new(),
            bounds: BoundOptions {
                preemptions: None,
                max_schedules: None,
                max_time: None,
                strategy: StrategyWord::Exhaustive,
                seed: None,
                depth: None,
            },
        },
        jobs: None,
        shown: ShownOptions { all: false, report, timeline: None },
    };
    assert_eq!(args, expected);
}

#[test]
fn an_exploration_takes_its_flags_and_those_of_the_scenario() {
    let args = explored(&[
        "mine.toml",
        "--threads=3",
        "--param=lock-ttl=2s",
        "--param",
        "own=4",
        "--lock=hardened",
        "--timing=strict",
        "--crashes=1",
        "--faults=2",
        "--property=overlap",
        "--property=lost-update",
        "--preemptions=2",
        "--max-schedules=1000",
        "--max-time=10s",
        "--strategy=pct",
        "--seed=7",
        "--depth=4",
        "--jobs=2",
        "--wait=1s",
        "--all",
        "--quiet",
    ]);
    let values = [("threads", "3"), ("lock_ttl", "2s"), ("own", "4")];
    assert_eq!(args.search.values(), values.map(|(name, text)| (name.into(), text.into())).into());
    assert_eq!(args.what, PathBuf::from("mine.toml"));
    assert_eq!(args.lock, protocol("hardened"));
    assert_eq!(args.jobs.map(|jobs| jobs.get()), Some(2));
    assert!(args.shown.all && args.shown.report.quiet);
    let bounds = BoundOptions {
        preemptions: Some(2),
        max_schedules: Some(1000),
        max_time: Some(Duration::from_secs(10)),
        strategy: StrategyWord::Pct,
        seed: Some(7),
        depth: Some(4),
    };
    let expected = SearchOptions {
        params: args.search.params.clone(),
        wait: Duration::from_secs(1),
        timing: Some(Timing::Strict),
        crashes: Some(1),
        faults: Some(2),
        properties: vec![Property::Overlap, Property::LostUpdate],
        bounds,
    };
    assert_eq!(args.search, expected);
}

#[test]
fn a_wrong_flag_of_an_exploration_is_named_with_what_would_be_right() {
    for (flag, right) in [
        ("--timing=sync", "[possible values: async, strict]"),
        ("--strategy=dfs", "[possible values: exhaustive, random, pct]"),
        ("--property=overlapp", "[possible values: double_grant, overlap, foreign_release"),
        ("--param=threads", "give a name and a value, as in 'threads=3'"),
        ("--max-time=0s", "give more than 0s"),
        ("--crashes=-1", "-1 is not in"),
    ] {
        let said = refused(&["explore", "thundering_herd", flag]);
        assert!(said.contains(right), "{flag}: {said}");
    }
    assert!(refused(&["explore"]).contains("NAME|FILE"));
}

#[test]
fn starvation_is_refused_with_what_to_run_instead() {
    let probe: &[&str] = &["probe", "mutual_exclusion", "--subject=./client"];
    for command in [&["explore", "mutual_exclusion"], probe] {
        let said = refused(&[command, &["--property=starvation"]].concat());
        let why = "starvation is not explored: it is a matter of how long, not of an ordering; \
                   run 'nodb-trigger starvation', or 'nodb-trigger check' on a history";
        assert!(said.contains(why), "{said}");
        let said = refused(&[command, &["--property=x"]].concat());
        let words = Property::explored().map(Property::word).collect::<Vec<_>>().join(", ");
        assert!(said.contains(&format!("[possible values: {words}]")), "{said}");
    }
    assert!(!help(&["explore", "--help"]).contains("starvation"));
}

#[test]
fn the_help_of_explore_fits_a_screen() {
    let said = help(&["explore", "--help"]);
    assert!(said.lines().count() <= 44, "{} lines:\n{said}", said.lines().count());
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    assert!(said.contains("  nodb-trigger explore check_then_delete\n"), "{said}");
    assert!(!said.contains("--threads"), "{said}");
}

#[test]
fn no_parameter_of_an_embedded_scenario_is_called_like_a_flag_of_explore() {
    let embedded = catalogue().unwrap();
    let none = whole(&[]);
    let explore = none.find_subcommand("explore").unwrap();
    let taken: Vec<&str> = explore.get_arguments().filter_map(|flag| flag.get_long()).collect();
    for parameter in embedded.iter().flat_map(Scenario::parameters) {
        let flag = hyphened(&parameter.name);
        assert!(!taken.contains(&flag.as_str()), "--{flag} is taken; rename the parameter");
    }
}

#[test]
fn a_flag_of_another_scenario_is_left_to_explore_and_probe_and_no_other_command() {
    let builtin = BuiltIn::default();
    let parsed =
        |words: &[&str]| parse(["nodb-trigger"].iter().chain(words).map(OsString::from), &builtin);
    let explore = parsed(&["explore", "amnesia", "--threads=3"]).unwrap();
    let Request::Explore(args) = explore else { panic!("{explore:?}") };
    assert_eq!(args.search.params, [("threads".to_owned(), "3".to_owned())]);
    let probe =
        parsed(&["probe", "amnesia", "--subject=x", "--threads=3", "--param=ttl=1s"]).unwrap();
    let Request::Probe(args) = probe else { panic!("{probe:?}") };
    let given = [("threads", "3"), ("ttl", "1s")].map(|(name, value)| (name.into(), value.into()));
    assert_eq!(args.search.params, given);
    assert!(parsed(&["amnesia", "--threads=3"]).is_err());
}

#[test]
fn a_flag_of_probe_goes_before_a_parameter_of_its_name() {
    let words = ["nodb-trigger", "probe", "build_climate", "--subject=x", "--patience=2s"];
    let probe = parse(words.iter().map(OsString::from), &BuiltIn::default()).unwrap();
    let Request::Probe(args) = probe else { panic!("{probe:?}") };
    assert_eq!(
        (args.client.patience, args.search.params),
        (Some(Duration::from_secs(2)), Vec::new())
    );
}

#[test]
fn a_server_has_a_port_or_a_socket_file_and_never_both() {
    let asked = |words: &[&str]| match parse_words(&[&["serve"], words].concat()) {
        Ok(Request::Serve(args)) => Ok((args.address(), args.virtual_time)),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.kind()),
    };
    assert_eq!(asked(&[]), Ok((Address::Port(0), false)));
    assert_eq!(asked(&["--port", "6400", "--virtual"]), Ok((Address::Port(6400), true)));
    assert_eq!(asked(&["--socket=a b"]), Ok((Address::Socket("a b".into()), false)));
    for wrong in [&["--port=1", "--socket=x"][..], &["--port=-1"], &["--port=65536"], &["x"]] {
        assert!(asked(wrong).is_err(), "{wrong:?}");
    }
}
