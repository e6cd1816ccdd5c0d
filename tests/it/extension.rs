//! A lock protocol and a judge of another crate: `examples/my_protocol.rs`, which `cargo test` builds.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

use crate::program::Place;

/// The example, built from what is there now: `cargo test --test it` builds no examples.
pub fn my_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--locked", "--example", "my_protocol"]);
        build.current_dir(env!("CARGO_MANIFEST_DIR"));
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let built = build.output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let program = Path::new(env!("CARGO_BIN_EXE_nodb-trigger")).with_file_name("examples");
        program.join("my_protocol")
    })
}

fn my_protocol(arguments: &[&str]) -> Output {
    Command::new(my_program()).args(arguments).output().unwrap()
}

#[track_caller]
fn says(arguments: &[&str], code: i32, words: &[&str]) -> String {
    let output = my_protocol(arguments);
    let (out, err) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{out}\n{err}");
    // Words may be broken between lines.
    let flat = out.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in words {
        assert!(flat.contains(words), "{arguments:?}: no {words:?} in\n{out}\n{err}");
    }
    out
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_registered_protocol_is_catalogued_run_and_explored() {
    let place = Place::new();
    let run = place.run();
    says(&["list"], 0, &["thundering_herd", "starvation"]);
    let catalogue = json(&says(&["catalogue", "--format=json"], 0, &[]));
    let shown = catalogue["scenarios"].as_array().unwrap();
    assert!(shown.iter().all(|row| row.get("plain").is_some()), "{catalogue}");

    // A scenario with steps for each built-in protocol can't be played under another one.
    let blind = ["blind_delete", run.to_str().unwrap(), "--virtual"];
    says(&blind, 0, &["REPRODUCED: all 3 expectations were met."]);
    says(&[&blind[..], &["--lock=plain"]].concat(), 2, &[]);

    let herd = ["thundering_herd", run.to_str().unwrap(), "--virtual", "--lock=plain"];
    says(&herd, 0, &["protocol plain", "AS EXPECTED: all 5 expectations were met."]);
    let report = json(&says(&[&herd[..], &["--format=json"]].concat(), 0, &[]));
    assert_eq!((&report["protocol"], &report["verdict"]), (&"plain".into(), &"expected".into()));

    // It has no fencing token, so a holder whose lease ended can still overwrite its successor.
    let explored = ["explore", "mutual_exclusion", "--lock=plain"];
    says(&explored, 1, &["NOT AS EXPECTED: under plain, lost_update was found"]);
    let explored = json(&says(&[&explored[..], &["--format=json"]].concat(), 1, &[]));
    let found = &explored["protocols"][0]["counterexamples"];
    let word = found[0]["schedule"].as_str().unwrap();
    says(&["replay", word], 0, &["lost_update"]);
}

#[test]
fn a_registered_judge_judges_runs_explorations_and_histories() {
    let place = Place::new();
    let (run, history) = (place.run(), place.at("history"));
    let history = history.to_str().unwrap();
    // One after another: in `starvation` the same actor acquires again and again.
    let starved = ["starvation", run.to_str().unwrap(), "--virtual", "--history", history];
    let report = json(&says(&[&starved[..], &["--format=json"]].concat(), 0, &[]));
    let is_barging = |row: &Value| row["property"] == "barging";
    assert!(report["findings"].as_array().unwrap().iter().any(is_barging), "{report}");

    says(&["check", history], 1, &["barging", "one actor acquired the lock twice in a row"]);
    let checked = json(&my_protocol_json(&["check", history, "--format=json"]));
    assert!(checked["findings"].as_array().unwrap().iter().any(is_barging), "{checked}");

    says(
        &["explore", "starvation", "--property=barging"],
        1,
        &["violates barging", "under legacy, barging was found"],
    );
    // Each client acquires once.
    let words = ["no barging in any of", "PREVENTED under plain"];
    says(&["explore", "mutual_exclusion", "--property=barging", "--lock=plain"], 0, &words);
}

fn my_protocol_json(arguments: &[&str]) -> String {
    String::from_utf8(my_protocol(arguments).stdout).unwrap()
}
