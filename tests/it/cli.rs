//! Arguments, formats, exit statuses, and the three streams.

use std::fs::{self, File};
use std::process::Stdio;

use crate::program::{Place, Program, arguments, herd};

#[test]
fn numbers_that_make_no_sense_are_refused_with_what_would() {
    let place = Place::new();
    for (scenario, flag, value, words) in [
        ("thundering_herd", "--threads", "0", &["--threads", "1", "10000"][..]),
        ("thundering_herd", "--threads", "100001", &["--threads", "1", "10000"]),
        ("thundering_herd", "--threads", "-1", &["--threads", "1", "10000"]),
        ("thundering_herd", "--threads", "99999999999999999999", &["--threads"]),
        ("thundering_herd", "--threads", "five", &["--threads", "five"]),
        ("thundering_herd", "--threads", "", &["--threads"]),
        ("thundering_herd", "--hold", "-1s", &["--hold", "-1s", "from 0s to 365d"]),
        ("thundering_herd", "--hold", "366d", &["--hold", "from 0s to 365d"]),
        ("thundering_herd", "--hold", "99999999999999999999d", &["from 0s to 365d"]),
        ("thundering_herd", "--hold", "5", &["--hold", "add a unit", "5s"]),
        ("thundering_herd", "--hold", "soon", &["--hold", "500ms"]),
        ("thundering_herd", "--ttl", "0", &["--ttl", "at least 1s"]),
        ("thundering_herd", "--ttl", "0s", &["--ttl", "at least 1s"]),
        ("thundering_herd", "--ttl", "-5s", &["--ttl"]),
        ("thundering_herd", "--ttl", "1500ms", &["--ttl", "whole number of seconds"]),
        ("thundering_herd", "--ttl", "400d", &["--ttl", "365d"]),
        ("rapid_sequential", "--requests", "0", &["--requests", "1", "10000"]),
        ("rapid_sequential", "--delay", "-1ms", &["--delay", "from 0s to 365d"]),
        ("thundering_herd", "--timeout", "0s", &["--timeout", "1ms"]),
        ("thundering_herd", "--timeout", "-1s", &["--timeout"]),
        ("thundering_herd", "--format", "xml", &["--format", "table", "json"]),
        ("thundering_herd", "--color", "red", &["--color", "auto"]),
        ("thundering_herd", "--run-group", "batch", &["--run-group", "batch;;spring"]),
        ("thundering_herd", "--thread", "5", &["--threads"]),
    ] {
        let given = format!("{flag}={value}");
        let ended = Program::new(arguments(&[scenario], &place.run(), &[&given])).run();
        ended.exits(2).says(words);
        assert_eq!(ended.stdout, "", "{given}");
        assert!(ended.stderr.starts_with("error: "), "{ended:#?}");
    }
    place.is_empty();
}

#[test]
fn what_is_no_scenario_is_answered_with_those_that_are() {
    Program::new(["thundering_hurd"]).run().exits(2).says(&["thundering_herd"]);
    let ended = Program::new::<&str>([]).run();
    ended.exits(2).says(&["thundering_herd", "deadlock_sim", "Exit status"]);
    Program::new(["thundering_herd", "/tmp/a", "/tmp/b"]).run().exits(2).says(&["/tmp/b"]);
}

#[test]
fn help_and_version_go_to_stdout() {
    let help = Program::new(["--help"]).run();
    help.exits(0);
    assert_eq!(help.stderr, "");
    for name in [
        "thundering_herd",
        "rapid_sequential",
        "ttl_expiration",
        "token_corruption",
        "orphaned_locks",
        "deadlock_sim",
    ] {
        assert!(help.stdout.contains(name), "{}", help.stdout);
        let of_one = Program::new([name, "--help"]).run();
        of_one.exits(0);
        assert!(of_one.stdout.contains(&format!("nodb-trigger {name} ")), "{}", of_one.stdout);
        assert!(of_one.stdout.contains("--ttl") && of_one.stdout.contains("--virtual"));
        assert!(of_one.stdout.lines().all(|line| line.chars().count() <= 80), "{}", of_one.stdout);
    }
    assert!(Program::new(["--version"]).run().exits(0).stdout.starts_with("nodb-trigger 0."));
}

#[test]
fn the_environment_s_default_ttl_is_used_and_judged() {
    let place = Place::new();
    let ttl = |value: &str, rest: &[&str]| {
        let arguments = [&["--virtual", "--hold", "1m", "--color", "never"], rest].concat();
        herd(&place.run(), &arguments).env("WEPPPY_LOCK_TTL_SECONDS", value).run()
    };
    // The lock ends under the winner, as it must with a TTL of 50 s.
    assert_eq!(ttl("50", &[]).exits(0).json()["summary"]["errors"], 1);
    assert_eq!(ttl("50", &["--ttl", "2m"]).exits(0).json()["summary"]["succeeded"], 1);
    assert_eq!(ttl("", &[]).exits(0).json()["summary"]["succeeded"], 1);
    for low in ["0", "-1"] {
        assert_eq!(ttl(low, &[]).exits(0).json()["parameters"]["ttl"], "1s");
    }
    for ignored in ["soon", "1.5"] {
        let report = ttl(ignored, &[]).exits(0).json();
        assert_eq!(report["parameters"]["ttl"], "6h");
        let notice = report["notices"][0].as_str().unwrap();
        assert!(
            notice.contains(ignored) && notice.contains("the application ignores it"),
            "{notice}"
        );
    }
    ttl("99999999999", &[]).refuses(2, &["WEPPPY_LOCK_TTL_SECONDS", "99999999999"]);
}

#[test]
fn a_table_is_for_people_and_plain_where_nobody_sees_colours() {
    let place = Place::new();
    let table = |rest: &[&str]| {
        let flags = arguments(&["thundering_herd", "--virtual"], &place.run(), rest);
        Program::new(flags).env("COLUMNS", "80").run()
    };
    let plain = table(&[]);
    plain.exits(0);
    assert!(!plain.stdout.contains('\u{1b}'));
    for word in
        ["embedded", "1/5 succeeded, 4 already locked, 0 errors", "--threads 5", "owner thread_1"]
    {
        assert!(plain.stdout.contains(word), "no {word:?} in {}", plain.stdout);
    }
    assert!(plain.stdout.lines().all(|line| line.chars().count() <= 80), "{}", plain.stdout);
    assert!(plain.stdout.lines().last().unwrap().starts_with("AS EXPECTED: "), "{}", plain.stdout);
    assert!(table(&["--color", "always"]).stdout.contains('\u{1b}'));
}

#[test]
fn quiet_says_nothing_on_success_and_ends_as_otherwise() {
    let place = Place::new();
    let ended = herd(&place.run(), &["--quiet"]).run();
    ended.exits(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
    herd(&place.run(), &["--quiet", "--virtual", "--hold=0s"]).run().exits(4);
    place.is_empty();
}

#[test]
fn the_report_goes_to_the_file_and_only_there() {
    let place = Place::new();
    let file = place.at("re port.json");
    fs::write(&file, "an older and much longer report".repeat(1000)).unwrap();
    for quiet in [&[][..], &["--quiet"]] {
        let ended = herd(&place.run(), quiet).arg("--output").arg(&file).run();
        ended.exits(0);
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
        let written: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(written["verdict"], "expected");
    }
}

#[test]
fn a_file_that_can_t_be_written_is_told_before_anything_runs() {
    let place = Place::new();
    for file in ["/sys/nodb.json", "/proc/nodb.json", "/nowhere/at/all.json", "/tmp", ""] {
        let ended = herd(&place.run(), &["--output", file]).run();
        if file.is_empty() {
            ended.exits(2);
        } else {
            ended.refuses(3, &["cannot open", file, "nothing was run"]);
        }
    }
    // A run that is refused leaves no empty report.
    File::create(place.run()).unwrap();
    let file = place.at("report.json");
    herd(&place.run(), &[]).arg("--output").arg(&file).run().refuses(2, &["is a file"]);
    assert!(!file.exists());
}

#[test]
fn a_full_disk_loses_the_report_and_is_said() {
    let place = Place::new();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let ended = herd(&place.run(), &[]).stdout(full()).run();
    ended.refuses(3, &["cannot write the report to stdout", "No space left"]);
    herd(&place.run(), &["--output", "/dev/full"])
        .run()
        .refuses(3, &["/dev/full", "No space left"]);
    // Nowhere to complain, and no reason to fall over.
    herd(&place.run(), &[]).stdout(full()).stderr(full()).run().exits(3);
    place.is_empty();
}

/// A pipe that nobody reads any more.
fn broken_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn closed_pipes_and_closed_streams_are_no_errors() {
    let place = Place::new();
    herd(&place.run(), &[]).stdout(broken_pipe()).run().exits(0);
    herd(&place.run(), &[]).stdout(broken_pipe()).stderr(broken_pipe()).run().exits(0);
    Program::new(["--help"]).stdout(broken_pipe()).run().exits(0);
    for closed in ["exec >&-", "exec 2>&-", "exec <&- >&- 2>&-"] {
        let herd = ["thundering_herd", "--hold", "60ms"];
        Program::after(closed, arguments(&herd, &place.run(), &[])).run().exits(0);
    }
    place.is_empty();
}

#[test]
fn what_is_wrong_is_the_exit_status_even_if_nobody_hears_why() {
    let place = Place::new();
    File::create(place.run()).unwrap();
    for stderr in [broken_pipe as fn() -> Stdio, || {
        File::options().write(true).open("/dev/full").unwrap().into()
    }] {
        Program::new(["thundering_herd", "--threads", "0"]).stderr(stderr()).run().exits(2);
        herd(&place.run(), &[]).stderr(stderr()).run().exits(2);
        let late = ["--timeout", "50ms", "--hold", "1h"];
        herd(&place.at("other"), &[])
            .stderr(stderr())
            .arg("--redis=redis://127.0.0.1:1")
            .run()
            .exits(3);
        herd(&place.at("other"), &late).stderr(stderr()).run().exits(4);
    }
}

#[test]
fn a_time_limit_ends_the_run_and_is_no_pass() {
    let place = Place::new();
    let limited = |limit: &str, rest: &[&str]| {
        let short = ["rapid_sequential", "--format", "json", "--timeout", limit];
        let ended = Program::new(arguments(&short, &place.run(), rest)).run();
        ended.exits(4).says(&["--timeout"]);
        ended
    };
    // On a busy machine the limit may pass before the actors are connected; then there is no report.
    let limits = ["100ms", "1s", "10s", "100s"].into_iter();
    let mut reported = limits.map(|limit| limited(limit, &["--hold", "1h"]));
    let ended = reported.find(|ended| !ended.stdout.is_empty()).expect("it runs");
    ended.says(&["time limit"]);
    assert_eq!(ended.json()["verdict"], "inconclusive");
    assert_eq!(ended.diagnoses("after"), ["consistent"]);
    limited("100ms", &["--hold", "1h", "--virtual"]).says(&["time limit"]);
    // It passes before the actors are connected.
    herd(&place.run(), &["--timeout", "1ms", "--hold", "1h"]).run().exits(4).says(&["--timeout"]);
    place.is_empty();
}
