//! Which run, file or directory was meant: as `status` shows it, as Redis has it, or as the disk has
//! it.

use super::super::exit::{Refusal, usage};
use super::super::remote;
use anyhow::anyhow;
use lock_lab::lock::{LockName, RunDirectory};
use std::path::Path;

/// A run, and where in it one is.
pub(super) struct FoundRun {
    /// Its id.
    pub id: String,
    /// The directory below its root that was named, with `/` at its end; empty for the root.
    pub below: String,
}

/// The run that was meant: a word is its id, and a path leads to its directory or to one below.
pub(super) fn run(given: &str) -> Result<FoundRun, Refusal> {
    let id = remote::runid(given)?;
    if id.is_empty() {
        return Err(usage(anyhow!("the run id is empty; give a run's id or its directory")));
    }
    let below = match id == given {
        true => String::new(),
        false => {
            let run = RunDirectory::new(Path::new(given), None).map_err(usage)?;
            file_of(&run.lock(""))
        }
    };
    Ok(FoundRun { id, below })
}

impl FoundRun {
    /// The paths below the run's root that may be meant, of a file, or of a directory without a `/` at
    /// its end: the path as it was given and, if that isn't found, the one with `/` for each `\`.
    pub fn paths(&self, given: &str) -> Result<Vec<String>, Refusal> {
        let normal = self.path(given, |text| text.replace('\\', "/"))?;
        let mut paths: Vec<String> = self.path(given, str::to_owned).into_iter().collect();
        if !paths.contains(&normal) {
            paths.push(normal);
        }
        Ok(paths)
    }

    fn path(&self, given: &str, read: impl Fn(&str) -> String) -> Result<String, Refusal> {
        let key = format!("nodb-lock:{}:", self.id);
        let plain = read(given);
        let path = if let Some(file) = given.strip_prefix(&key) {
            read(file)
        } else if given.starts_with("nodb-lock:") {
            return Err(usage(anyhow!(
                "{given:?} is not a lock of run {:?}, whose keys begin with {key:?}",
                self.id
            )));
        } else if plain.starts_with('/') {
            self.of_disk(&plain)?
        } else {
            let plain = plain.trim_start_matches("./");
            if plain.starts_with(&self.below) {
                plain.to_owned()
            } else {
                format!("{}{plain}", self.below)
            }
        };
        let path = path.trim_end_matches('/');
        if path.is_empty() {
            return Err(usage(anyhow!(
                "{given:?} names no file; give its path relative to the run's root"
            )));
        }
        Ok(path.to_owned())
    }

    /// A path of the disk, if it leads into this run.
    fn of_disk(&self, path: &str) -> Result<String, Refusal> {
        let of_this_run = |run: &RunDirectory| {
            run.runid() == self.id || self.id.ends_with(&format!(";;{}", run.runid()))
        };
        let path = Path::new(path);
        // The root's name is the run's: the nearest of the directories above that is called so.
        for directory in path.ancestors().skip(1) {
            let Ok(run) = RunDirectory::new(directory, None) else { continue };
            if of_this_run(&run) {
                let rest = path.strip_prefix(directory).unwrap_or(path);
                return Ok(format!("{}{}", file_of(&run.lock("")), rest.display()));
            }
        }
        Err(usage(anyhow!(
            "{path:?} is not in a directory of run {:?}; give the file's path relative to the \
             run's root",
            self.id
        )))
    }
}

fn file_of(lock: &LockName) -> String {
    lock.flag().strip_prefix("locked:").unwrap_or_default().to_owned()
}

/// Whether a file is what was named, or lies below it.
pub(super) fn is_within(file: &str, scope: &str) -> bool {
    file.strip_prefix(scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(run: &str, given: &str) -> String {
        let run = super::run(run).unwrap();
        match run.paths(given) {
            Ok(paths) => paths.join(" or "),
            Err(refusal) => format!("! {}", refusal.error),
        }
    }

    #[test]
    fn a_file_is_found_however_it_is_written() {
        for (run, given, file) in [
            ("ab", "x.nodb", "x.nodb"),
            ("ab", "./x.nodb", "x.nodb"),
            ("ab", r"_pups\omni\x.nodb", r"_pups\omni\x.nodb or _pups/omni/x.nodb"),
            ("ab", r"nodb-lock:ab:a\x.nodb", r"a\x.nodb or a/x.nodb"),
            ("ab", r"/runs/ab/a\x.nodb", r"a\x.nodb or a/x.nodb"),
            ("ab", "_pups/omni/", "_pups/omni"),
            ("ab", "nodb-lock:ab:_pups/x.nodb", "_pups/x.nodb"),
            ("ab", "/runs/ab/x.nodb", "x.nodb"),
            ("ab", "/runs/ab/_pups/omni/a/x.nodb", "_pups/omni/a/x.nodb"),
            ("batch;;spring;;ab", "/runs/ab/x.nodb", "x.nodb"),
            ("/runs/ab", "x.nodb", "x.nodb"),
            ("/runs/ab/_pups/omni", "x.nodb", "_pups/omni/x.nodb"),
            ("/runs/ab/_pups/omni", "_pups/omni/x.nodb", "_pups/omni/x.nodb"),
            ("a*[b]", "/runs/a*[b]/x?.nodb", "x?.nodb"),
        ] {
            assert_eq!(path(run, given), file, "{run} {given}");
        }
    }

    #[test]
    fn a_path_outside_the_run_is_reported() {
        for (given, words) in [
            ("nodb-lock:other:x.nodb", "is not a lock of run \"ab\""),
            ("/runs/other/x.nodb", "is not in a directory of run \"ab\""),
            ("", "names no file"),
            ("./", "names no file"),
            ("nodb-lock:ab:", "names no file"),
        ] {
            let said = path("ab", given);
            assert!(said.starts_with("! ") && said.contains(words), "{said}");
        }
        assert!(run("").is_err());
    }

    #[test]
    fn a_scope_is_a_file_or_a_directory_and_no_pattern() {
        assert!(is_within("_pups/omni/x.nodb", "_pups/omni"));
        assert!(is_within("_pups/omni", "_pups/omni"));
        assert!(!is_within("_pups/omnibus/x.nodb", "_pups/omni"));
        assert!(!is_within("_pups/omni/x.nodb", "_pups/*"));
        assert!(!is_within("x.nodb", "x"));
    }
}
