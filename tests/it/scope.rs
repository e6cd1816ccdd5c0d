//! What `explore` and `probe` say of how far a result goes: what was tried, what was not, and which
//! row has which parameters.

use crate::program::{Ended, Place, Program};
use std::fs;

/// What it printed, without line ends.
fn said(ended: &Ended) -> String {
    ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The sentences of the verdict.
fn verdict(ended: &Ended) -> String {
    let last = ended.stdout.trim_end().rsplit("\n\n").next().unwrap_or_default();
    last.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn explore(words: &[&str]) -> Ended {
    Program::new(["explore"].iter().chain(words)).run()
}

fn probe(rest: &[&str]) -> Ended {
    let subject = format!("{} subject --lock hardened", env!("CARGO_BIN_EXE_nodb-trigger"));
    let words = ["probe", "mutual_exclusion", "--subject", &subject];
    Program::new(words.iter().chain(rest)).run()
}

#[test]
fn explore_names_what_was_not_tried() {
    let ended = explore(&["stale_write", "--lock=hardened"]);
    let part = "(31 states; 2 actors; a lease may expire at any step; no crash and no lost command \
                tried: --crashes 1, --faults 1)";
    assert!(said(ended.exits(0)).contains(part), "{ended:#?}");
    assert_eq!(
        verdict(&ended),
        "PREVENTED under hardened; no crash and no lost command tried (--crashes 1, --faults 1)."
    );
    let ended = explore(&["stale_write", "--lock=legacy", "--timing=strict", "--faults=1"]);
    assert_eq!(
        verdict(&ended),
        "REPRODUCED under legacy; a lease expires only as time passes; with up to 1 lost command; no \
         crash tried (--crashes 1)."
    );
}

#[test]
fn the_last_line_tells_protocols_apart_that_were_not_tried_with_the_same() {
    let place = Place::new();
    let show = Program::new(["show", "stale_write"]).run().stdout;
    let legacy = "protocol = \"legacy\"\nfinds = \"lost_update\"";
    assert!(show.contains(legacy), "{show}");
    let mine = place.at("mine.toml");
    fs::write(&mine, show.replace(legacy, &format!("{legacy}\ncrashes = 1"))).unwrap();
    assert_eq!(
        verdict(explore(&[mine.to_str().unwrap()]).exits(0)),
        "REPRODUCED under legacy; PREVENTED under current and hardened; under legacy, with up to 1 crash; no \
         lost command tried (--faults 1); under current and hardened, no crash and no lost command tried (--crashes 1, \
         --faults 1)."
    );
}

#[test]
fn a_file_that_is_for_some_protocols_is_explored_under_these() {
    let place = Place::new();
    let show = Program::new(["show", "blind_delete"]).run().stdout;
    let mine = show.replace("protocol = [\"current\", \"hardened\"]", "protocol = \"hardened\"");
    let (before, after) = mine.split_once("[[expect]]\nprotocol = \"current\"").unwrap();
    let (_, after) = after.split_once("[[expect]]").unwrap();
    let mine = format!("{before}[[expect]]{after}");
    let (before, after) = mine.split_once("[[explore]]\nprotocol = \"current\"").unwrap();
    let (_, after) = after.split_once("[[explore]]").unwrap();
    let file = place.at("mine.toml");
    fs::write(
        &file,
        format!("{before}[[explore]]{after}").replace("moment = \"late release\"\n", ""),
    )
    .unwrap();
    let file = file.to_str().unwrap();
    Program::new(["validate", file]).run().exits(0);
    let ended = explore(&[file]);
    let says = verdict(ended.exits(0));
    assert!(says.starts_with("REPRODUCED under legacy; PREVENTED under hardened"), "{says}");
    let ended = explore(&[file, "--lock=current"]);
    ended.refuses(2, &["is left out under protocol \"current\""]);
}

#[test]
fn explore_names_rows_by_the_parameters_in_which_they_differ() {
    let ended = explore(&["mutual_exclusion"]);
    let text = said(ended.exits(0));
    for part in [
        "legacy: foreign_release after ",
        "hardened (clients=2): none of double_grant",
        "hardened (clients=3): none of double_grant",
        "hardened (clients=3): also possible: ",
        "REPRODUCED under legacy, current (crashes=0) and current (crashes=1); PREVENTED under hardened \
         (clients=2) and hardened (clients=3);",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let ended = explore(&["mutual_exclusion", "--lock=hardened", "--property=overlap"]);
    let text = said(ended.exits(1));
    for part in [
        "hardened (clients=2): overlap after ",
        "hardened (clients=3): overlap after ",
        "NOT AS EXPECTED: under hardened (clients=2), overlap was found; under hardened (clients=3), \
         overlap was found;",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let junit = explore(&["mutual_exclusion", "--lock=hardened", "--format=junit"]).stdout;
    for name in ["hardened (clients=2)\"", "hardened (clients=3)\""] {
        assert!(junit.contains(&format!("\"explore mutual_exclusion {name}")), "{junit}");
    }
}

#[test]
fn explore_runs_equal_explorations_once_and_names_no_parameters_then() {
    let words = ["mutual_exclusion", "--lock=hardened", "--clients=3"];
    let ended = explore(&words);
    assert_eq!(said(ended.exits(0)).matches("hardened: none of ").count(), 1, "{ended:#?}");
    let ended = explore(&[&words[..], &["--format=json"]].concat());
    let json = ended.json();
    let [row] = json["protocols"].as_array().unwrap().as_slice() else { panic!("{json}") };
    assert_eq!((&row["actor_count"], &row["protocol"]), (&3.into(), &"hardened".into()));
}

#[test]
fn a_run_names_no_flags_that_it_does_not_have() {
    let place = Place::new();
    let show = Program::new(["show", "stale_write"]).run().stdout;
    let mine = place.at("mine.toml");
    let (before, _) = show.split_once("[[explore]]").unwrap();
    fs::write(&mine, format!("{before}[[explore]]\nfinds = \"deadlock\"\n")).unwrap();
    let mine = mine.to_str().unwrap();
    let table = Program::new(["run", mine, "--virtual", "--lock=hardened"]).run();
    let junit = Program::new(["run", mine, "--virtual", "--lock=hardened", "--format=junit"]).run();
    for ended in [table, junit] {
        let text = said(&ended);
        assert!(text.contains("no crash and no lost command tried"), "{text}");
        assert!(!text.contains("--crashes"), "{text}");
    }
}

/// A scenario without what it says of its exploration.
fn without_explorations(place: &Place, name: &str) -> String {
    let show = Program::new(["show", name]).run().stdout;
    let mine = place.at("mine.toml");
    fs::write(&mine, show.split_once("[[explore]]").unwrap().0).unwrap();
    mine.to_str().unwrap().to_owned()
}

#[test]
fn a_scenario_without_explorations_is_explored_in_stages() {
    let place = Place::new();
    let mine = without_explorations(&place, "stale_write");
    let staged = |rest: &[&str]| explore(&[&[&*mine, "--lock=hardened"], rest].concat());
    let ended = staged(&["--property=lost_update"]);
    assert_eq!(
        verdict(ended.exits(0)),
        "PREVENTED under hardened; covered: no crash or fault, 1 crash, 1 lost or delayed command."
    );
    let bounded = staged(&["--property=lost_update", "--max-schedules=5"]);
    let scope = "cut short: no crash or fault; left out: 1 crash, 1 lost or delayed command";
    assert_eq!(
        verdict(bounded.exits(4)),
        format!("INCONCLUSIVE: not all orderings were covered under hardened; {scope}.")
    );
    let hit = "hardened: inconclusive: --max-schedules 5 was reached after 5 orderings, in those \
               with no crash or fault; no lost_update so far";
    assert!(said(&bounded).contains(hit), "{bounded:#?}");
    let json = staged(&["--property=lost_update", "--max-schedules=5", "--format=json"]).json();
    let stages = json["protocols"][0]["covered"].as_array().unwrap();
    let ends = stages.iter().map(|stage| (stage["left_out"] == true, &stage["stopped_by"]));
    let schedules = "schedules".into();
    let expected = [false, true, true].map(|left_out| (left_out, &schedules));
    assert_eq!(ends.collect::<Vec<_>>(), expected);
    let flag = staged(&["--property=lost_update", "--faults=0"]);
    assert!(verdict(&flag).contains("no crash and no lost command tried"), "{flag:#?}");
}

#[test]
fn the_stages_come_on_top_of_the_scenario_s_own_crashes() {
    let place = Place::new();
    let mine = without_explorations(&place, "killed_holder");
    let ended = explore(&[&mine, "--lock=legacy", "--property=lost_update"]);
    let scope = "covered: no crash or fault beyond the scenario's own, 1 more crash, 1 lost or \
                 delayed command";
    assert!(verdict(&ended).contains(scope), "{ended:#?}");
}

#[test]
fn a_release_that_takes_another_lock_away_puts_the_other_properties_to_the_test() {
    let ended = explore(&["blind_delete", "--lock=legacy", "--property=foreign_extend"]);
    assert!(said(ended.exits(0)).contains("no foreign_extend in any of"), "{ended:#?}");
    assert!(!said(&ended).contains("not tried"), "{ended:#?}");
}

#[test]
fn what_was_never_tried_is_named_and_gives_no_verdict() {
    let ended = explore(&["token_corruption", "--lock=hardened", "--property=double_grant"]);
    let why = "hardened: not tried: double_grant (no acquire was tried while another actor held the \
               lock)";
    assert!(said(ended.exits(4)).contains(why), "{ended:#?}");
    let last = "INCONCLUSIVE: not all that is judged was tried under hardened;";
    assert!(verdict(&ended).starts_with(last), "{ended:#?}");
    let junit = ["token_corruption", "--lock=hardened", "--property=double_grant"];
    let junit = explore(&[&junit[..], &["--format=junit"]].concat());
    let message = "message=\"not all that is judged was tried\"";
    assert!(junit.stdout.contains(message), "{junit:#?}");
}

#[test]
fn deadlock_is_judged_of_a_client_only_where_there_are_two_locks() {
    probe(&["--property=deadlock"]).refuses(2, &["mutual_exclusion has one lock"]);
}

#[test]
fn the_last_line_of_probe_names_what_was_judged() {
    let ended = probe(&[]);
    let text = said(ended.exits(0));
    let not_judged = "not judged: whether two clients hold the lock at once";
    assert!(text.contains("2 actors, each with a client of its own;"), "{text}");
    // Its extend is never called.
    let never =
        "not judged: extend, and foreign_extend with it (the client can extend a lock, and no step";
    assert!(text.contains(never) && text.contains("extend_after_expiry does)"), "{text}");
    let asked = probe(&["--property=foreign_extend", "--crashes=0"]);
    assert!(
        said(asked.exits(4)).contains("not tried: foreign_extend (the client can"),
        "{asked:#?}"
    );
    let judged = "; covered: no crash or fault, 1 crash, 1 lost or delayed command; judged: \
                  double_grant, foreign_release, foreign_overwrite, stuck_lock, unavailable.";
    assert!(verdict(&ended).starts_with("PASS: nodb-trigger "), "{}", verdict(&ended));
    assert!(verdict(&ended).ends_with(judged), "{}", verdict(&ended));
    let bounded = probe(&["--max-schedules=30", "--property=stuck_lock", "--crashes=1"]);
    let judged = format!("; no lost command tried (--faults 1); judged: stuck_lock; {not_judged}.");
    assert!(verdict(bounded.exits(4)).ends_with(&judged), "{}", verdict(&bounded));
    let overlap = probe(&["--property=overlap", "--crashes=0"]);
    assert!(verdict(overlap.exits(1)).ends_with("; judged: overlap."), "{}", verdict(&overlap));
    assert!(!overlap.stdout.contains("not judged"), "{overlap:#?}");
}

#[test]
fn starvation_is_refused_before_anything_is_opened() {
    let place = Place::new();
    let report = place.at("report.json");
    let subject = format!("touch {}", place.at("started").display());
    let explore = ["explore", "mutual_exclusion"].map(str::to_owned).to_vec();
    let probe = ["probe", "mutual_exclusion", "--subject", &subject].map(str::to_owned).to_vec();
    for command in [explore, probe] {
        let flags = ["--property=starvation", "--output", report.to_str().unwrap()];
        let ended = Program::new(command.iter().map(String::as_str).chain(flags)).run();
        ended.exits(2).says(&["starvation is not explored", "'nodb-trigger starvation'"]);
        assert_eq!(ended.stdout, "");
        assert!(!report.exists() && !place.at("started").exists());
    }
}
