//! The action for GitHub and the job for GitLab: their steps are run as they stand, in an empty directory, with
//! the built binary.

use crate::program::Place;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_nodb-trigger");

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The scripts below lines that end with these words, each without its indentation.
fn scripts(yaml: &str, key: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut indentation = None;
    for line in yaml.lines() {
        let depth = line.len() - line.trim_start().len();
        match indentation {
            Some(outer) if line.is_empty() || depth > outer => {
                let script = found.last_mut().unwrap();
                script.push_str(line.get(outer + 2..).unwrap_or_default());
                script.push('\n');
            }
            _ => {
                indentation = line.trim_start().starts_with(key).then_some(depth);
                found.extend(indentation.map(|_| String::new()));
            }
        }
    }
    found
}

/// The variables of each step of the action that has a script, by the inputs that they are set from.
fn environments(action: &str) -> Vec<BTreeMap<String, String>> {
    let steps = action.split("\n    - name:").skip(1);
    let of_step = |step: &str| {
        let lines = step.lines().filter_map(|line| line.trim().split_once(": ${{ inputs."));
        let set = lines.filter(|(name, _)| name.chars().all(|it| it.is_ascii_uppercase()));
        set.map(|(name, input)| (name.to_owned(), input.trim_end_matches(" }}").to_owned()))
            .collect()
    };
    steps.filter(|step| step.contains("run: |")).map(of_step).collect()
}

/// A directory with nothing in it but what a runner brings.
struct Runner {
    place: Place,
    inputs: BTreeMap<&'static str, String>,
}

impl Runner {
    fn new(file: &str, arguments: &str) -> Self {
        let place = Place::new();
        for name in ["work", "temp"] {
            fs::create_dir(place.at(name)).unwrap();
        }
        let inputs = [
            ("file", file.to_owned()),
            ("version", String::new()),
            ("output", "nodb-trigger".into()),
            ("arguments", arguments.into()),
        ];
        Self { place, inputs: inputs.into() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.at("work").join(name)
    }

    /// A shell of a runner, with these commands before its own.
    fn shell(&self, words: &[&str], script: &str) -> Command {
        let mut shell = Command::new(words[0]);
        shell.args(&words[1..]).arg(script).current_dir(self.place.at("work"));
        shell.env_remove("REDIS_URL").env_remove("GITHUB_ACTIONS");
        let first = fs::read_to_string(self.place.at("path")).unwrap_or_default();
        shell.env("PATH", format!("{}:{}", first.trim(), std::env::var("PATH").unwrap()));
        for (name, file) in [
            ("RUNNER_TEMP", "temp"),
            ("GITHUB_PATH", "path"),
            ("GITHUB_STEP_SUMMARY", "summary"),
            ("CI_PROJECT_DIR", "work"),
        ] {
            shell.env(name, self.place.at(file));
        }
        shell
    }

    /// The steps of the action, one after the other, until one fails.
    fn github(&self) -> Output {
        let action = read("action.yml");
        let steps = scripts(&action, "run: |").into_iter().zip(environments(&action));
        let mut last = None;
        for (script, environment) in steps {
            let mut shell = self.shell(&["bash", "-e", "-c"], &script);
            shell.env("GITHUB_ACTIONS", "true");
            let set = environment.iter().map(|(name, input)| (name, &self.inputs[&**input]));
            let output = shell.envs(set).output().unwrap();
            let is_well = output.status.success();
            last = Some(output);
            if !is_well {
                break;
            }
        }
        last.unwrap()
    }

    /// The job, whose scripts share a shell.
    fn gitlab(&self) -> Output {
        let job = scripts(&read("ci/gitlab.yml"), "- |").concat();
        let mut shell = self.shell(&["sh", "-e", "-c"], &job);
        for (variable, input) in
            [("FILE", "file"), ("VERSION", "version"), ("ARGUMENTS", "arguments")]
        {
            shell.env(format!("NODB_TRIGGER_{variable}"), &self.inputs[input]);
        }
        shell.output().unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

#[test]
fn steps_run_scenarios_and_keep_what_they_wrote() {
    let runs: [fn(&Runner) -> Output; 2] = [Runner::github, Runner::gitlab];
    for run in runs {
        let runner = Runner::new(PROGRAM, "run thundering_herd check_then_delete --virtual");
        let output = run(&runner);
        assert!(output.status.success(), "{}", said(&output));
        let junit = fs::read_to_string(runner.at("nodb-trigger/junit.xml")).unwrap();
        assert!(junit.contains("thundering_herd"), "{junit}");
        let summary = fs::read_to_string(runner.at("nodb-trigger/summary.md")).unwrap();
        assert!(summary.contains("| check_then_delete | legacy | "), "{summary}");
        let of_job = fs::read_to_string(runner.place.at("summary")).unwrap_or_default();
        assert!(of_job.is_empty() || of_job == summary, "{of_job}");
    }
}

#[test]
fn steps_fail_with_the_program_and_keep_the_picture_of_what_it_found() {
    let runs: [fn(&Runner) -> Output; 2] = [Runner::github, Runner::gitlab];
    for run in runs {
        let arguments = "explore check_then_delete --lock legacy --property overlap";
        let runner = Runner::new(PROGRAM, arguments);
        let output = run(&runner);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let page = fs::read_to_string(runner.at("nodb-trigger/timeline.html")).unwrap();
        assert!(page.contains("<svg"), "{page}");
        let summary = fs::read_to_string(runner.at("nodb-trigger/summary.md")).unwrap();
        assert!(summary.contains("replay: nodb-trigger replay v1:"), "{summary}");
    }
    let runner = Runner::new(PROGRAM, "explore check_then_delete --lock legacy --property overlap");
    let output = runner.github();
    let of_job = fs::read_to_string(runner.place.at("summary")).unwrap();
    assert!(of_job.contains("NOT AS EXPECTED"), "{of_job}");
    assert!(said(&output).contains("::error title=explore check_then_delete"), "{}", said(&output));
}

#[test]
fn without_a_binary_for_the_platform_a_step_says_where_there_is_one() {
    let runs: [fn(&Runner) -> Output; 2] = [Runner::github, Runner::gitlab];
    for run in runs {
        let runner = Runner::new(PROGRAM, "run thundering_herd --virtual");
        fs::write(runner.place.at("path"), runner.place.at("temp").to_str().unwrap()).unwrap();
        let other = "#!/bin/sh\necho Darwin arm64\n";
        let uname = runner.place.at("temp").join("uname");
        fs::write(&uname, other).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&uname, mode).unwrap();
        let output = run(&runner);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        let why = "nodb-trigger has no binary for Darwin arm64; run this job on Linux";
        assert!(said(&output).contains(why), "{}", said(&output));
    }
}

#[test]
fn each_input_of_the_action_is_declared_and_used() {
    let action = read("action.yml");
    let (declared, steps) = action.split_once("\nruns:").unwrap();
    let names = declared.lines().filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':'));
    let declared: Vec<&str> = names.filter(|name| !name.starts_with(' ')).collect();
    assert_eq!(declared, ["arguments", "file", "version", "artifact", "output"]);
    let used = steps.split("${{ inputs.").skip(1).map(|rest| rest.split(' ').next().unwrap());
    let mut used: Vec<&str> = used.collect();
    used.sort();
    used.dedup();
    let mut sorted = declared;
    sorted.sort();
    assert_eq!(used, sorted);
}

#[test]
fn scripts_are_found_with_what_they_say() {
    let yaml = "a:\n  - run: |\n      one\n        two\n\n      three\n    other: x\n";
    // A list's item begins before its key.
    assert_eq!(scripts(&yaml.replace("  - run", "    run"), "run: |"), ["one\n  two\n\nthree\n"]);
}
