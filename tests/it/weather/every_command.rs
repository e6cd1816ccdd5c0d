//! Every command that works on a real Redis, for what must hold of all of them.

use crate::probe::shipped;
use crate::program::{Place, Program};
use crate::replay::{FOREIGN_RELEASE, schedule};
use lock_lab::probe::SUBJECT;
use std::collections::BTreeSet;

/// The arguments of each, with this server and directories of its own.
pub fn every_command(url: &str, place: &Place) -> Vec<Vec<String>> {
    let words: [&[&str]; 20] = [
        &["status", "run"],
        &["status", "--all"],
        &["status", "lock:x"],
        &["status", "--watch", "--format=json"],
        &["unlock", "run", "file"],
        &["unlock", "lock:x"],
        &["clear_locks", "run"],
        &["clear_locks", "--all"],
        &["repair", "run"],
        &["repair", "--all"],
        &["record", "--for=200ms", "--history", "<file>"],
        &["record", "--light", "--for=200ms", "--history", "<file>"],
        &["thundering_herd", "<file>"],
        &["thundering_herd", "--lock=current", "<file>"],
        &["thundering_herd", "--lock=hardened", "<file>"],
        &["thundering_herd", "--processes", "<file>"],
        &["run", "thundering_herd", "--directory", "<file>"],
        &["probe", "mutual_exclusion", "--max-schedules=2", "--subject", "<client>"],
        &["replay", "<schedule>", "<file>"],
        &["replay", "<schedule of a client>", "<file>", "--subject", "<client>"],
    ];
    let client = format!("bash {}", shipped("bash.sh"));
    let all = words.iter().enumerate().map(|(number, words)| {
        let file = place.at(&format!("of {number}")).to_str().unwrap().to_owned();
        let mut words: Vec<String> = words
            .iter()
            .map(|word| match *word {
                "<file>" => file.clone(),
                "<client>" => client.clone(),
                "<schedule>" => schedule("legacy", "async", FOREIGN_RELEASE),
                "<schedule of a client>" => schedule(SUBJECT, "async", FOREIGN_RELEASE),
                word => word.to_owned(),
            })
            .collect();
        let server = if words[0] == "probe" { "--upstream" } else { "--redis" };
        words.extend([server, url].map(str::to_owned));
        if words[0] == "thundering_herd" {
            words.extend(["--threads=2", "--hold=1ms"].map(str::to_owned));
        }
        words
    });
    all.collect()
}

/// The same, to be started.
pub fn programs(url: &str, place: &Place, rest: &[&str]) -> Vec<(String, Program)> {
    let all = every_command(url, place).into_iter();
    all.map(|words| (words.join(" "), Program::new(words).args(rest))).collect()
}

#[test]
fn every_command_that_waits_for_a_server_is_among_them() {
    let help = Program::new(["--help"]).run().stdout;
    let (commands, _) = help.split_once("Scenarios").unwrap();
    let is_name = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let names: BTreeSet<&str> = commands.split_whitespace().filter(is_name).collect();
    let waits =
        |name: &&str| Program::new([*name, "--help"]).run().stdout.contains("--redis-timeout");
    let waiting: BTreeSet<&str> = names.into_iter().filter(waits).collect();
    let all = every_command("redis://h", &Place::new());
    let tried: BTreeSet<&str> = all.iter().map(|words| words[0].as_str()).collect();
    assert_eq!(waiting, &tried - &["thundering_herd"].into());
}
