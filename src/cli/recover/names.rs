//! Which run, file, directory or key was meant: as `status` shows it, as Redis has it, or as the disk
//! has it.

use super::super::exit::{Refusal, usage};
use super::super::remote;
use anyhow::anyhow;
use lock_lab::lock::{FLAG_PREFIX, KEY_PREFIX, LockName, RunDirectory};
use lock_lab::server::Connection;
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

/// The keys that may be meant: the word itself or, if that doesn't exist, what it stands for as redis-cli
/// and our tables write keys.
pub(super) fn keys(word: &str) -> Vec<Vec<u8>> {
    let inner = word.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let read = unescaped(inner.unwrap_or(word));
    let mut keys = vec![word.as_bytes().to_vec()];
    keys.extend(read.filter(|read| read != word.as_bytes()));
    keys
}

/// The bytes that a text with escapes stands for; nothing if it has one that is not known.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            bytes.extend(character.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        match characters.next()? {
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'x' => {
                let digits: String = characters.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 2)?);
            }
            'u' => {
                let digits: String = characters.by_ref().take_while(|it| *it != '}').collect();
                let number = u32::from_str_radix(digits.strip_prefix('{')?, 16).ok()?;
                bytes.extend(char::from_u32(number)?.encode_utf8(&mut [0; 4]).bytes());
            }
            other @ ('"' | '\'' | '\\') => bytes.extend(other.encode_utf8(&mut [0; 4]).bytes()),
            _ => return None,
        }
    }
    Some(bytes)
}

/// The run and the file of a lock key of NoDb: where a flag says that the run id ends, or at the first
/// colon.
pub(super) fn of_lock_key(link: &mut Connection, key: &[u8]) -> Option<(String, String)> {
    let name = std::str::from_utf8(key).ok()?.strip_prefix(KEY_PREFIX)?;
    let split = |(at, _)| Some((name.get(..at)?.to_owned(), name.get(at + 1..)?.to_owned()));
    let ways: Vec<(String, String)> = name.match_indices(':').filter_map(split).collect();
    let mut has_flag = |(run, file): &&(String, String)| {
        let flag = format!("{FLAG_PREFIX}{file}");
        redis::cmd("HEXISTS").arg(run).arg(flag).query(link).unwrap_or(false)
    };
    ways.iter().find(&mut has_flag).or(ways.first()).cloned()
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
    fn a_key_is_found_as_redis_cli_prints_it() {
        for (word, read) in [
            (r#""lock:\xff\x00\n\"""#, &b"lock:\xff\0\n\""[..]),
            (r"lock:\xff", b"lock:\xff"),
            (r"lock:\u{1b}[2J", b"lock:\x1b[2J"),
            (r#""plain""#, b"plain"),
        ] {
            assert_eq!(keys(word), [word.as_bytes(), read], "{word}");
        }
        for word in ["lock:a", r"lock:\q", r"lock:\xf", r"lock:\u{110000}", r"a\"] {
            assert_eq!(keys(word), [word.as_bytes()], "{word}");
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
