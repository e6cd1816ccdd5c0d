//! The commands beside the scenarios': `run`, `list`, `show`, `validate`, `catalogue`, `check`; and
//! repetition, seeds, JUnit and annotations.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::program::{Ended, Place, Program};

/// Runs the program in this place, with nothing of it in `/tmp`.
fn program(place: &Place, arguments: &[&str]) -> Ended {
    Program::new(arguments).env("COLUMNS", "80").current_dir(&place.at(".")).run()
}

/// A scenario file in which so many succeed.
fn scenario(name: &str, succeeded: u32) -> String {
    format!(
        r#"format = 1
name = "{name}"
title = "Two in a row."
text = "Nothing goes wrong here."
hazards = []
[locks.main]
[[actors]]
name = "worker"
count = 2
start = "in_sequence"
steps = [{{ locked = "main", body = [{{ work = "20ms" }}] }}]
[[expect]]
succeeded = {succeeded}
"#
    )
}

/// A place with a directory `own`, in which one file is good and one is broken in line 5.
fn place_with_files() -> Place {
    let place = Place::new();
    fs::create_dir(place.at("own")).unwrap();
    fs::write(place.at("own/b_good.toml"), scenario("good", 2)).unwrap();
    let broken = scenario("broken", 2).replace("hazards = []", "hazzards = []");
    fs::write(place.at("own/a_broken.toml"), broken).unwrap();
    fs::write(place.at("own/notes.txt"), "no scenario").unwrap();
    place
}

#[track_caller]
fn fits(ended: &Ended) {
    let widest = ended.stdout.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    assert!(widest <= 80, "{}", ended.stdout);
}

fn names(reports: &Value) -> Vec<String> {
    let name = |report: &Value| report["scenario"].as_str().unwrap().to_owned();
    reports.as_array().unwrap().iter().map(name).collect()
}

#[test]
fn one_file_of_ones_own_has_the_whole_report_on_any_clock() {
    let place = place_with_files();
    let before = place.everything();
    for way in [&["--virtual"][..], &["--directory", "run"]] {
        let ended = program(&place, &[&["run", "own/b_good.toml"], way].concat());
        ended.exits(0);
        assert_eq!(ended.stderr, "");
        fits(&ended);
        for part in ["good: Two in a row.", "own/b_good.toml, embedded server, ", "worker_2"] {
            assert!(ended.stdout.contains(part), "no {part:?} in {}", ended.stdout);
        }
        assert!(ended.stdout.ends_with("AS EXPECTED: the expectation was met.\n"));
    }
    assert_eq!(place.everything(), before);
}

/// The command that a report gives to run it again, without the program's name.
fn replay_line(stdout: &str) -> Vec<&str> {
    let lines: Vec<_> = stdout.lines().filter_map(|line| line.strip_prefix("replay: ")).collect();
    let [line] = lines.as_slice() else { panic!("{stdout}") };
    line.strip_prefix("nodb-trigger ").unwrap().split(' ').collect()
}

#[test]
fn what_was_not_as_expected_says_how_to_have_it_again() {
    let place = Place::new();
    fs::write(place.at("own.toml"), scenario("own", 3)).unwrap();
    let flags = ["--virtual", "--seed=7", "--lock=hardened", "--wait=30s"];
    let herd = ["thundering_herd", "here", "--threads=3"];
    let own = ["run", "own.toml", "--directory=here"];
    for what in [&herd[..], &own] {
        let ended = program(&place, &[what, &flags].concat());
        ended.exits(1);
        let again = replay_line(&ended.stdout);
        for flag in ["--virtual", "--seed", "--lock", "--wait", "here"] {
            assert!(again.contains(&flag), "{again:?}");
        }
        assert_eq!(program(&place, &again).stdout, ended.stdout);
    }
    let json = program(&place, &["run", "own.toml", "--virtual", "--format=json"]).json();
    let command = "nodb-trigger run own.toml --virtual";
    assert_eq!(json["reports"][0]["replay"], command);
    let several = program(&place, &["run", "own.toml", "rapid_sequential", "--virtual"]);
    several.exits(1);
    assert_eq!(format!("nodb-trigger {}", replay_line(&several.stdout).join(" ")), command);
    let good = program(&place, &["rapid_sequential", "--virtual", "--format=json"]).json();
    assert!(good["replay"].is_null());
}

#[test]
fn a_broken_file_is_said_with_its_place_and_stops_no_other() {
    let place = place_with_files();
    for what in [&["own"][..], &["own/a_broken.toml", "own/b_good.toml"]] {
        let ended = program(&place, &[&["run", "--virtual"], what].concat());
        ended.exits(2).says(&["nodb-trigger: own/a_broken.toml:5:1: ", "hazzards"]);
        assert_eq!(ended.stderr.lines().count(), 3, "the mistake, its line and its place");
        fits(&ended);
        let lines: Vec<_> = ended.stdout.lines().collect();
        assert!(lines[2].starts_with("own/a_broken.toml  -         NOT READ"), "{lines:#?}");
        assert!(lines[3].starts_with("own/b_good.toml    legacy    expected"), "{lines:#?}");
        assert_eq!(*lines.last().unwrap(), "FAILED: 1 of 2 scenario files could not be read.");
    }
    let json = program(&place, &["run", "own", "--virtual", "--format=json"]).json();
    assert_eq!(json["schema"], "nodb-trigger/runs/v1");
    assert_eq!(names(&json["reports"]), ["good"]);
    assert_eq!(json["reports"][0]["file"], "own/b_good.toml");
    assert_eq!(json["reports"][0]["schema"], "nodb-trigger/report/v1");
    assert_eq!(json["failures"][0]["file"], "own/a_broken.toml");
    assert_eq!(json["failures"][0]["cause"], "scenario");
}

#[test]
fn what_can_t_be_read_is_said_at_once() {
    let place = place_with_files();
    fs::write(place.at("binary.toml"), b"format = 1\n\xff\x00").unwrap();
    fs::write(place.at("large.toml"), vec![b'#'; 10 << 20]).unwrap();
    fs::create_dir(place.at("empty")).unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let pipe = place.at("pipe.toml");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    std::os::unix::fs::symlink("nowhere", place.at("leads_nowhere.toml")).unwrap();
    for (file, words) in [
        ("missing.toml", &["cannot read missing.toml", "No such file"][..]),
        ("thundering_hurd", &["did you mean \"thundering_herd\"?", "no file of this name"]),
        ("binary.toml", &["binary.toml:2: this is no text", "byte 12"]),
        ("large.toml", &["large.toml: a scenario file has at most 1048576 bytes", "10485760"]),
        ("empty", &["empty is a directory without *.toml files"]),
        ("pipe.toml", &["cannot read pipe.toml: it is no plain file"]),
        ("/dev/zero", &["cannot read /dev/zero: it is no plain file"]),
        ("leads_nowhere.toml", &["cannot read leads_nowhere.toml", "No such file"]),
        ("own/a_broken.toml", &["own/a_broken.toml:5:1: "]),
        ("", &["cannot read"]),
    ] {
        if !file.is_empty() {
            program(&place, &["validate", file]).refuses(2, words);
        }
        for command in
            [&["run", file, "--virtual"][..], &["run", file, "own/b_good.toml", "--directory=run"]]
        {
            let ended = program(&place, command);
            assert_eq!(ended.code, Some(2), "{ended:#?}");
            if !file.is_empty() {
                ended.says(words);
            }
        }
    }
}

#[test]
fn a_link_out_of_the_directory_is_read_and_called_as_it_was_given() {
    let place = place_with_files();
    fs::create_dir(place.at("links")).unwrap();
    std::os::unix::fs::symlink("../own/b_good.toml", place.at("links/good.toml")).unwrap();
    let json = program(&place, &["run", "links", "--virtual", "--format", "json"]).json();
    assert_eq!(json["reports"][0]["file"], "links/good.toml");
    let json = program(&place, &["run", "links/../own/b_good.toml", "--virtual", "--format=json"]);
    assert_eq!(json.json()["reports"][0]["file"], "links/../own/b_good.toml");
}

#[test]
fn the_worst_of_several_is_the_exit_status() {
    let place = place_with_files();
    fs::write(place.at("unexpected.toml"), scenario("unexpected", 1)).unwrap();
    let nothing = scenario("nothing", 2).replace("[[expect]]\nsucceeded = 2\n", "");
    fs::write(place.at("nothing.toml"), nothing).unwrap();
    let exit = |files: &[&str]| program(&place, &[&["run", "--virtual"], files].concat());
    exit(&["own/b_good.toml", "thundering_herd"]).exits(0);
    exit(&["own/b_good.toml", "nothing.toml"]).exits(4);
    let ended = exit(&["nothing.toml", "unexpected.toml", "own/b_good.toml"]);
    ended.exits(1);
    assert!(ended.stdout.contains("unexpected.toml  expected succeeded: 1; found 2"), "{ended:#?}");
    exit(&["nothing.toml", "unexpected.toml", "own/a_broken.toml"]).exits(2);
    let gone =
        ["run", "own", "unexpected.toml", "--redis", "redis://127.0.0.1:1", "--directory=run"];
    program(&place, &gone).exits(3).says(&["127.0.0.1:1", "own/a_broken.toml:5:1"]);
}

#[test]
fn jobs_change_the_time_and_nothing_else() {
    let place = place_with_files();
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let run = |jobs: &str| {
        let scenarios = scenarios.to_str().unwrap();
        program(&place, &["run", scenarios, "--virtual", "--format=json", "--jobs", jobs])
    };
    let alone = run("1");
    assert_eq!(alone.stdout, run("4").stdout);
    let files = fs::read_dir(&scenarios).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "toml")).count();
    assert_eq!(alone.json()["reports"].as_array().unwrap().len(), files);
}

#[test]
fn junit_has_a_test_case_a_scenario_and_findings_in_the_failure() {
    let place = place_with_files();
    fs::write(place.at("unexpected.toml"), scenario("unexpected", 1)).unwrap();
    let what = ["run", "own", "unexpected.toml", "thundering_herd", "--virtual"];
    let ended = program(&place, &[&what[..], &["--format", "junit"]].concat());
    ended.exits(2);
    for part in [
        r#"tests="5" skipped="0" errors="1" failures="1""#,
        r#"<testcase name="good" classname="own/b_good.toml" time="0.040"/>"#,
        r#"<failure message="1 of 1 expectations not met" type="unexpected">expected succeeded: 1; found 2"#,
        r#"<testcase name="own/a_broken.toml" classname="nodb-trigger">"#,
        r#"<error message="own/a_broken.toml:5:1: "#,
        r#"<testcase name="thundering_herd" classname="nodb-trigger" time="2.000"/>"#,
        r#"<testcase name="explore thundering_herd"#,
    ] {
        assert!(ended.stdout.contains(part), "no {part} in {}", ended.stdout);
    }
    let one = ["thundering_herd", "--virtual", "--hold=0s", "--format=junit"];
    let ended = program(&place, &one);
    ended.exits(4);
    assert!(ended.stdout.contains(r#"type="inconclusive""#), "{}", ended.stdout);
}

#[test]
fn github_is_told_of_what_was_not_met_and_reports_stay_whole() {
    let place = place_with_files();
    fs::write(place.at("unexpected.toml"), scenario("unexpected", 1)).unwrap();
    let run = |rest: &[&str], actions: &str| {
        let run = ["run", "unexpected.toml", "own/b_good.toml", "--virtual", "--format=json"];
        let program = Program::new([&run[..], rest].concat()).current_dir(&place.at("."));
        program.env("GITHUB_ACTIONS", actions).run()
    };
    let ended = run(&[], "true");
    assert_eq!(
        ended.exits(1).stderr,
        "::error file=unexpected.toml,title=unexpected (legacy)::expected succeeded: 1; found 2\n"
    );
    ended.json();
    assert_eq!(run(&["--quiet"], "true").exits(1).stderr, "");
    assert_eq!(run(&[], "").exits(1).stderr, "");
}

#[test]
fn scenarios_are_listed_shown_and_valid() {
    let place = Place::new();
    let list = program(&place, &["list"]);
    list.exits(0);
    fits(&list);
    assert!(list.stdout.starts_with("thundering_herd "), "{}", list.stdout);
    assert!(list.stdout.contains("\ndeadlock_sim "), "{}", list.stdout);
    let shown = program(&place, &["show", "thundering-herd"]);
    shown.exits(0);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/thundering_herd.toml");
    assert_eq!(shown.stdout, fs::read_to_string(file).unwrap());
    program(&place, &["show", "thundering_hurd"])
        .refuses(2, &["unknown scenario", "did you mean \"thundering_herd\"?"]);
    fs::write(place.at("mine.toml"), shown.stdout).unwrap();
    let valid = program(&place, &["validate", "mine.toml", "thundering_herd"]);
    assert_eq!(
        valid.exits(0).stdout,
        "mine.toml: ok (thundering_herd)\nthundering_herd: ok (thundering_herd)\n"
    );
    let place = place_with_files();
    let half = program(&place, &["validate", "own", "missing"]);
    half.exits(2).says(&["own/a_broken.toml:5:1: ", "\"missing\""]);
    assert_eq!(half.stdout, "own/b_good.toml: ok (good)\n");
}

#[test]
fn every_mistake_of_every_file_is_shown_with_its_line() {
    let place = place_with_files();
    let several = scenario("several", 2)
        .replace("hazards = []", "hazzards = []")
        .replace("locked = \"main\"", "locked = \"mian\"")
        .replace("succeeded = 2", "succeeded = \"two\"");
    fs::write(place.at("own/c_several.toml"), several).unwrap();
    fs::write(place.at("own/d_no.toml"), "format = 1\nname = = 2\ntitel = 3").unwrap();
    let ended = program(&place, &["validate", "own"]);
    assert_eq!(ended.exits(2).stdout, "own/b_good.toml: ok (good)\n");
    let shown = "\
nodb-trigger: own/c_several.toml:5:1: unknown member of a scenario \"hazzards\"; did you mean \"hazards\"?
    5 | hazzards = []
      | ^
nodb-trigger: own/c_several.toml:11:21: unknown lock \"mian\"; did you mean \"main\"?
";
    assert!(ended.stderr.contains(shown), "{}", ended.stderr);
    ended.says(&[
        "own/a_broken.toml:5:1: ",
        "\"two\": give a whole number, or a parameter such as $threads\n",
        "nodb-trigger: own/c_several.toml: 3 mistakes\n",
        "own/d_no.toml:2:8: this is not TOML: ",
    ]);
    assert!(!ended.stderr.contains("titel"), "what isn't TOML has no other mistakes");
    let runs = program(&place, &["run", "own/c_several.toml", "--virtual", "--format=json"]).json();
    let message = runs["failures"][0]["message"].as_str().unwrap();
    let places: Vec<_> = message.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places.len(), 3, "{message}");
    assert!(places.iter().all(|place| place.starts_with("own/c_several.toml:")), "{message}");
}

#[test]
fn the_catalogue_says_what_happens_under_each_protocol() {
    let place = Place::new();
    let table = program(&place, &["catalogue"]);
    table.exits(0);
    fits(&table);
    assert!(table.stdout.starts_with("Hazard "), "{}", table.stdout);
    let json = program(&place, &["catalogue", "--format=json"]).json();
    assert_eq!(json["schema"], "nodb-trigger/catalogue/v1");
    let herd = &json["scenarios"][0];
    assert_eq!(
        (herd["name"].as_str(), herd["hazards"][0].as_str()),
        (Some("thundering_herd"), Some("herd"))
    );
    assert_eq!(herd["legacy"]["ends"], serde_json::json!(["1 succeeds", "4 already locked"]));
}

/// A history of a scenario in this place.
fn saved(place: &Place, scenario: &str, protocol: &str) -> PathBuf {
    let path = place.at(&format!("{scenario}-{protocol}.jsonl"));
    let run = [scenario, "run", "--virtual", "--quiet", "--lock", protocol, "--history"];
    let ended = Program::new(run).arg(&path).current_dir(&place.at(".")).run();
    assert!(path.exists(), "{ended:#?}");
    path
}

#[test]
fn a_saved_history_is_judged() {
    let place = Place::new();
    let check = |path: &Path, rest: &[&str]| {
        program(&place, &[&["check", path.file_name().unwrap().to_str().unwrap()], rest].concat())
    };
    let clean = saved(&place, "thundering_herd", "legacy");
    let ended = check(&clean, &[]);
    ended.exits(0);
    fits(&ended);
    assert!(ended.stdout.ends_with("CLEAN: no findings, and the history is complete.\n"));
    let json = check(&clean, &["--format", "json"]).json();
    assert_eq!(json["schema"], "nodb-trigger/check/v1");
    assert_eq!(json["is_whole"], true);
    let got: u64 = json["fairness"][0]["acquisitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|share| share["count"].as_u64().unwrap())
        .sum();
    assert_eq!(got, 1);

    let bad = saved(&place, "check_then_delete", "legacy");
    let ended = check(&bad, &[]);
    ended.exits(1);
    fits(&ended);
    assert!(ended.stdout.contains("foreign_release"), "{}", ended.stdout);
    let json = check(&bad, &["--format", "json"]).json();
    let words = json["findings"].as_array().unwrap().iter().map(|row| row["property"].clone());
    assert!(words.collect::<Vec<_>>().contains(&"foreign_release".into()), "{json}");

    let text = fs::read_to_string(&clean).unwrap();
    let without_end = text.trim_end().rsplit_once('\n').unwrap().0;
    fs::write(place.at("cut.jsonl"), without_end).unwrap();
    let ended = check(Path::new("cut.jsonl"), &[]);
    ended.exits(4);
    assert!(ended.stdout.contains("INCONCLUSIVE: "), "{}", ended.stdout);

    fs::write(place.at("damaged.jsonl"), text.replacen("\"started\"", "\"star", 1)).unwrap();
    check(Path::new("damaged.jsonl"), &[]).refuses(2, &["damaged.jsonl, line 2"]);
    check(Path::new("missing.jsonl"), &[]).refuses(3, &["cannot read the history missing.jsonl"]);
    fs::write(place.at("binary"), b"\xff\x00\xfe").unwrap();
    check(Path::new("binary"), &[]).refuses(2, &["binary is not a history"]);
    fs::write(place.at("newer"), text.replacen("history/v1", "history/v9", 1)).unwrap();
    check(Path::new("newer"), &[]).refuses(2, &["version 9"]);
}

#[test]
fn a_seed_decides_who_wins_and_repeats_the_run_bit_for_bit() {
    let place = Place::new();
    let herd = |rest: &[&str]| {
        program(&place, &[&["thundering_herd", "run", "--virtual", "--format=json"], rest].concat())
    };
    let winner = |ended: &Ended| {
        let actors = ended.json()["actors"].as_array().unwrap().clone();
        actors.iter().position(|actor| actor["status"] == "success").unwrap()
    };
    let seeds: Vec<String> = (1..=20).map(|seed| seed.to_string()).collect();
    let mut winners = Vec::new();
    for seed in &seeds {
        let ended = herd(&["--seed", seed]);
        assert_eq!(ended.exits(0).stdout, herd(&["--seed", seed]).stdout);
        assert_eq!(ended.json()["seed"].to_string(), *seed);
        winners.push(winner(&ended));
    }
    winners.sort_unstable();
    winners.dedup();
    assert!(winners.len() > 1, "every seed lets the same one win");
    assert_eq!(herd(&[]).stdout, herd(&["--seed", "0"]).stdout);
    let table = ["thundering_herd", "run", "--virtual", "--seed=7"];
    let table = program(&place, &table);
    assert!(table.stdout.contains(", seed 7, "), "{}", table.stdout);
}

#[test]
fn repetition_counts_what_came_and_shows_the_run_that_its_seed_repeats() {
    let place = Place::new();
    let bad = scenario("bad", 1);
    fs::write(place.at("bad.toml"), bad).unwrap();
    let run = |rest: &[&str]| {
        program(&place, &[&["run", "bad.toml", "--virtual", "--format=json"], rest].concat())
    };
    let repeated = run(&["--repeat", "30", "--seed", "5"]);
    assert_eq!(repeated.exits(1).stdout, run(&["--repeat", "30", "--seed", "5"]).stdout);
    let mut shown = repeated.json()["reports"][0].take();
    let repetition = shown["repetition"].take();
    assert_eq!((repetition["runs"].as_u64(), repetition["seed"].as_u64()), (Some(30), Some(5)));
    let verdicts = serde_json::json!({"expected": 0, "inconclusive": 0, "unexpected": 30});
    assert_eq!(repetition["verdicts"], verdicts);
    assert_eq!(repetition["outcomes"][0]["count"], 30);
    assert_eq!(repetition["outcomes"][0]["first_seed"], 5);
    assert_eq!(shown["seed"], 5, "the first that was not as expected");
    assert_eq!(shown, run(&["--seed", "5"]).json()["reports"][0]);

    let found = ["check_then_delete", "run", "--virtual", "--repeat=3", "--seed=1"];
    let json = program(&place, &[&found[..], &["--format=json"]].concat()).json();
    let found_in = &json["repetition"]["findings"]["foreign_release"];
    assert!(found_in["count"].as_u64().unwrap() >= 1 && found_in["first_seed"].is_u64(), "{json}");
    let table = program(&place, &found);
    fits(&table);
    for part in ["Outcome", "First seed", "found foreign_release", "--virtual --seed "] {
        assert!(table.stdout.contains(part), "no {part:?} in {}", table.stdout);
    }
}

#[test]
fn repetition_on_the_wall_clock_counts_runs_and_cleans_up_after_each() {
    let place = Place::new();
    let herd = ["thundering_herd", "run", "--hold=60ms", "--repeat=3", "--format=json"];
    let ended = program(&place, &herd);
    let repetition = ended.exits(0).json()["repetition"].take();
    assert_eq!(repetition["verdicts"]["expected"], 3);
    assert!(repetition["seed"].is_null());
    assert_eq!(repetition["outcomes"][0]["first_run"], 1);
    assert_eq!(ended.json()["seed"], Value::Null);
    place.is_empty();
}

#[test]
fn a_signal_ends_all_of_a_long_run_and_leaves_nothing() {
    let place = place_with_files();
    let before = place.everything();
    let long = ["run", "own/b_good.toml", "rapid_sequential", "thundering_herd", "--directory=run"];
    let long = [&long[..], &["--repeat=100000", "--format=json"]].concat();
    let working = Program::new(long).current_dir(&place.at(".")).start();
    crate::program::wait_until("it is at work", || place.run().exists());
    working.signal(rustix::process::Signal::INT);
    let ended = working.end();
    ended.exits(130).says(&["interrupted, cleaning up"]);
    let json = ended.json();
    let all = json["failures"].as_array().unwrap();
    assert!(all.len() >= 2 && all.iter().all(|one| one["cause"] == "interrupted"), "{json}");
    assert_eq!(place.everything(), before);
}

#[test]
fn a_closed_stdout_is_no_error_to_any_command() {
    let place = place_with_files();
    saved(&place, "thundering_herd", "legacy");
    for command in [
        &["run", "own/b_good.toml", "--virtual"][..],
        &["run", "thundering_herd", "own/b_good.toml", "--virtual", "--format=junit"],
        &["list"],
        &["show", "thundering_herd"],
        &["validate", "own/b_good.toml"],
        &["catalogue"],
        &["check", "thundering_herd-legacy.jsonl"],
    ] {
        let closed = || -> Stdio {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            writer.into()
        };
        let program = || Program::new(command).current_dir(&place.at("."));
        program().stdout(closed()).run().exits(0);
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        program().stdout(full).run().exits(3).says(&["cannot write the report to stdout"]);
    }
}
