//! The names of a lock: run directory, run id, Redis keys (contract, section 1).

use sha2::{Digest, Sha256};
use std::path::{Component, Path, PathBuf};

/// Why a path is no run directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Keys are made from the path, and keys of the reference are text.
    #[error("{0:?} is not valid UTF-8, so no lock key can be made from it")]
    NotUtf8(PathBuf),
    /// The root directory, or `_pups` with nothing before it.
    #[error("{0:?} has no last component that could name a run")]
    NoName(PathBuf),
    /// The working directory could not be found out.
    #[error("{0:?} can't be made absolute: {1}")]
    NotAbsolute(PathBuf, String),
}

/// A run group: `group;;name;;` goes in front of the run id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunGroup {
    /// What kind of group, for example `batch`.
    pub group: String,
    /// Which one.
    pub name: String,
}

/// The directory of a run, and the id that its locks carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDirectory {
    path: PathBuf,
    runid: String,
    prefix: String,
}

impl RunDirectory {
    /// Makes `directory` absolute (`.` and `..` are resolved by name; symbolic links keep the name
    /// that they were given) and finds its run id: the last component or, where `_pups` is in the
    /// path, the component before it; with a run group, `group;;name;;` in front.
    ///
    /// ```
    /// use lock_lab::lock::RunDirectory;
    /// use std::path::Path;
    ///
    /// let run = RunDirectory::new(Path::new("/runs/ab/_pups/omni/a"), None).unwrap();
    /// assert_eq!(run.lock("x.nodb").key(), "nodb-lock:ab:_pups/omni/a/x.nodb");
    /// ```
    ///
    /// # Errors
    ///
    /// [`NameError`] if the path is not UTF-8, has no component that could name the run, or can't
    /// be made absolute.
    pub fn new(directory: &Path, group: Option<&RunGroup>) -> Result<Self, NameError> {
        let absolute = std::path::absolute(directory)
            .map_err(|error| NameError::NotAbsolute(directory.into(), error.to_string()))?;
        let mut path = PathBuf::new();
        for component in absolute.components() {
            match component {
                Component::ParentDir => drop(path.pop()),
                Component::CurDir => {}
                other => path.push(other),
            }
        }
        let names: Vec<&str> = path
            .components()
            .filter_map(|component| match component {
                Component::Normal(name) => Some(name.to_str()),
                _ => None,
            })
            .collect::<Option<_>>()
            .ok_or_else(|| NameError::NotUtf8(directory.into()))?;
        let root = names.iter().position(|name| *name == "_pups").unwrap_or(names.len());
        let (above, below) = names.split_at(root);
        let Some(last) = above.last() else {
            return Err(NameError::NoName(directory.into()));
        };
        let runid = match group {
            Some(RunGroup { group, name }) => format!("{group};;{name};;{last}"),
            None => (*last).to_string(),
        };
        let prefix = below.iter().map(|name| format!("{}/", name.replace('\\', "/"))).collect();
        Ok(Self { path, runid, prefix })
    }

    /// The directory, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run id; also the key of the flag hash.
    pub fn runid(&self) -> &str {
        &self.runid
    }

    /// The lock of a file in this directory.
    pub fn lock(&self, file: &str) -> LockName {
        LockName::new(&self.runid, &format!("{}{file}", self.prefix))
    }
}

/// What the names of directories begin with that are locked.
const DIRECTORIES: [&str; 3] = ["runtime-paths/", "nodir/", "nodir-materialize/"];
/// What stands in a key for the run, where that is only in the payload.
pub(super) const PATH_SCOPE: &str = "path-scope";

/// The key of the fence before the locks of a run: while it exists, each of them is refused (contract,
/// section 6).
pub fn replacement_fence(runid: &str) -> String {
    let digest = Sha256::digest([b"run\0", runid.as_bytes()].concat());
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("nodb:run-replacement:{digits}")
}

/// The names under which one lock is known in Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockName {
    runid: String,
    key: String,
    flag: String,
    fence: String,
}

impl LockName {
    /// The lock of the file `relpath` (relative to the run's root) of a run.
    pub fn new(runid: &str, relpath: &str) -> Self {
        Self::as_found(runid, &relpath.replace('\\', "/"))
    }

    /// The same lock, but held by another key.
    pub(crate) fn with_key(self, key: String) -> Self {
        Self { key, ..self }
    }

    /// The lock whose key or flag was found on a server: whatever stands there, nothing is
    /// normalised.
    pub(super) fn as_found(runid: &str, relpath: &str) -> Self {
        Self {
            runid: runid.into(),
            key: format!("{}{relpath}", key_prefix(runid)),
            flag: format!("{FLAG_PREFIX}{relpath}"),
            fence: format!("fence:{relpath}"),
        }
    }

    /// Whether it is the lock of a directory, which never has a flag (contract, section 6).
    pub fn is_of_directory(&self) -> bool {
        let file = match self.is_of_path_scope() {
            true => self.file().split_once(':').map_or("", |(_, file)| file),
            false => self.file(),
        };
        DIRECTORIES.iter().any(|prefix| file.starts_with(prefix))
    }

    /// Whether its key names a scope of paths where others name their run. Its payload names the run.
    pub fn is_of_path_scope(&self) -> bool {
        self.runid == PATH_SCOPE
    }

    /// The key of the flag hash: the run id.
    pub fn runid(&self) -> &str {
        &self.runid
    }

    /// The lock key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The file, relative to the run's root directory.
    pub fn file(&self) -> &str {
        self.flag.strip_prefix(FLAG_PREFIX).unwrap_or_default()
    }

    /// The field of the flag hash.
    pub fn flag(&self) -> &str {
        &self.flag
    }

    /// The field of the same hash in which the hardened protocol counts its fencing tokens.
    pub fn fence(&self) -> &str {
        &self.fence
    }
}

/// What the fields of a flag hash that mirror locks begin with.
pub const FLAG_PREFIX: &str = "locked:";

/// What all lock keys begin with.
pub const KEY_PREFIX: &str = "nodb-lock:";

/// What all lock keys of a run begin with.
pub fn key_prefix(runid: &str) -> String {
    format!("{KEY_PREFIX}{runid}:")
}

/// The pattern that matches all lock keys of a run and no others: glob characters in the run id
/// stand for themselves (the reference lets them match other runs: hazard `glob-clear`).
pub fn key_pattern(runid: &str) -> String {
    literal(&key_prefix(runid)) + "*"
}

/// The pattern that matches this text alone.
pub fn literal(text: &str) -> String {
    let mut pattern = String::new();
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(path: &str) -> RunDirectory {
        RunDirectory::new(Path::new(path), None).unwrap()
    }

    #[test]
    fn the_run_id_is_the_last_component_or_the_one_before_pups() {
        for (path, runid, key) in [
            ("/tmp/debug", "debug", "nodb-lock:debug:x.nodb"),
            ("/tmp/a/../debug/.", "debug", "nodb-lock:debug:x.nodb"),
            ("/tmp/with space*[é]\n", "with space*[é]\n", "nodb-lock:with space*[é]\n:x.nodb"),
            ("/runs/ab/_pups/omni/a", "ab", "nodb-lock:ab:_pups/omni/a/x.nodb"),
            ("/runs/ab/_pups", "ab", "nodb-lock:ab:_pups/x.nodb"),
            ("/runs/ab/_pups/c/_pups/d", "ab", "nodb-lock:ab:_pups/c/_pups/d/x.nodb"),
        ] {
            let run = run(path);
            assert_eq!(run.runid(), runid, "{path}");
            assert_eq!(run.lock("x.nodb").key(), key, "{path}");
        }
    }

    #[test]
    fn a_run_group_goes_in_front() {
        let group = RunGroup { group: "batch".into(), name: "spring".into() };
        let run = RunDirectory::new(Path::new("/runs/ab"), Some(&group)).unwrap();
        assert_eq!(run.runid(), "batch;;spring;;ab");
        assert_eq!(run.lock("x.nodb").key(), "nodb-lock:batch;;spring;;ab:x.nodb");
    }

    #[test]
    fn backslashes_are_normalised_in_the_file_s_path() {
        let lock = LockName::new("ab", "_pups\\omni\\x.nodb");
        assert_eq!(lock.flag(), "locked:_pups/omni/x.nodb");
    }

    #[test]
    fn paths_without_a_name_are_refused() {
        for path in ["/", "/..", "/_pups", "/_pups/a"] {
            let error = RunDirectory::new(Path::new(path), None).unwrap_err();
            assert_eq!(error, NameError::NoName(path.into()));
        }
    }

    #[test]
    fn glob_characters_stand_for_themselves() {
        assert_eq!(key_pattern(r"a*?[b]\"), r"nodb\-lock:a\*\?\[b\]\\:*");
    }
}
