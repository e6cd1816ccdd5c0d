//! Commands as they are typed.

use super::meant;
use crate::report::wording::typed;
use lock_lab::format::Words;
use lock_lab::lock::Payload;
use lock_lab::server::quoted_input;
use std::path::PathBuf;

/// How commands to the same server are to be typed.
#[derive(Debug, Clone, Default)]
pub struct Typed {
    redis: Option<String>,
    redis_cli: Option<Vec<String>>,
    /// The files with formats of one's own.
    formats: Vec<String>,
}

impl Typed {
    /// With this URL for `--redis`, which has no password; without one, the environment names the
    /// server.
    pub fn new(redis: Option<String>) -> Self {
        Self { redis, ..Self::default() }
    }

    /// The same for another database of the server.
    #[must_use]
    pub fn in_database(self, database: i64) -> Self {
        if database == 0 {
            return self;
        }
        let number = database.to_string();
        let redis_cli = self.redis_cli.map(|mut words| {
            words.extend(["-n".into(), number.clone()]);
            words
        });
        // A socket's URL has it elsewhere; there the environment or the user has to say it.
        let redis = self.redis.map(|url| match url.contains("://") {
            true => format!("{url}/{number}"),
            false => format!("{url}?db={number}"),
        });
        Self { redis, redis_cli, formats: self.formats }
    }

    /// The same, with the words that one types before a command to reach the server by hand.
    pub fn by_hand(self, redis_cli: Option<Vec<String>>) -> Self {
        Self { redis_cli, ..self }
    }

    /// The same, with the formats in these files.
    #[must_use]
    pub fn with_formats(self, files: &[PathBuf]) -> Self {
        let formats = files.iter().map(|file| file.display().to_string()).collect();
        Self { formats, ..self }
    }

    /// The command that releases a lock; nothing if its names can't be typed.
    pub fn unlock(
        &self,
        runid: &str,
        file: &str,
        payload: Option<&Payload>,
        flags: &[&str],
    ) -> Option<String> {
        let word = payload.map(meant::word);
        let token = word.iter().flat_map(|word| ["--token", word.as_str()]);
        let flags: Vec<&str> = token.chain(flags.iter().copied()).collect();
        let key = format!("nodb-lock:{runid}:{file}");
        // Elsewhere these begin a path of the disk, and a key.
        let is_key = file.starts_with(['/', '\\']) || file.starts_with("nodb-lock:");
        let file = if is_key { &key } else { typeable_file(file)? };
        self.command("unlock", &[typeable(runid)?, file], &flags)
    }

    /// The command that releases the lock under a key of any name: only the acquisition or the holder that
    /// has this token, if one is given.
    pub fn unlock_key(&self, key: &[u8], token: Option<&[u8]>, flags: &[&str]) -> Option<String> {
        let token = token.map(|token| meant::word(&Payload::decode(token)));
        let token = token.iter().flat_map(|token| ["--token", token.as_str()]);
        let formats = self.formats.iter().flat_map(|file| ["--formats", file.as_str()]);
        let flags: Vec<&str> = token.chain(flags.iter().copied()).chain(formats).collect();
        let is_itself = |key: &&str| !key.is_empty() && !key.contains(['"', '\\', '\0']);
        let name = match std::str::from_utf8(key).ok().filter(is_itself) {
            Some(key) => key.to_owned(),
            None => quoted_input(key),
        };
        self.command("unlock", &[&name], &flags)
    }

    /// The command that shows what a key holds, by hand.
    pub(super) fn get(&self, key: &str) -> Option<String> {
        self.by_hand_one(&["GET", key].map(|word| word.as_bytes().to_vec()))
    }

    /// The command that shows what a key of any name holds, by hand.
    pub(super) fn shows(&self, command: &str, key: &[u8], rest: &[&str]) -> Option<String> {
        let words =
            [command.as_bytes(), key].into_iter().chain(rest.iter().map(|it| it.as_bytes()));
        self.by_hand_one(&words.map(<[u8]>::to_vec).collect::<Vec<_>>())
    }

    /// The command that removes a key, by hand and whatever it holds.
    pub fn unlink(&self, key: &[u8]) -> Option<String> {
        self.by_hand_one(&[b"UNLINK".to_vec(), key.to_vec()])
    }

    /// These commands of redis-cli as one line of a shell, where each needs that the one before was obeyed.
    /// Their words may be any bytes.
    pub fn in_turn(&self, commands: &[Words]) -> Option<String> {
        let lines = commands.iter().enumerate().map(|(number, words)| {
            let line = self.by_hand_one(words)?;
            if number + 1 == commands.len() {
                return Some(line);
            }
            // redis-cli ends with 0 whatever the server says.
            let is_set = words.first().is_some_and(|name| name == b"SET") || is_restore(words);
            Some(format!("{line} | grep -x {}", if is_set { "OK" } else { "1" }))
        });
        Some(lines.collect::<Option<Vec<_>>>()?.join(" && "))
    }

    fn by_hand_one(&self, words: &[Vec<u8>]) -> Option<String> {
        let redis_cli: Vec<String> = self.redis_cli.as_ref()?.iter().map(|it| typed(it)).collect();
        let is_text = |word: &Vec<u8>| std::str::from_utf8(word).is_ok_and(|it| !it.contains('\0'));
        // The bytes of DUMP come from a pipe, which every redis-cli reads.
        let (piped, words) = match words.split_last() {
            Some((last, rest)) if is_restore(words) && rest.iter().all(is_text) => {
                (Some(last), rest)
            }
            _ => (None, words),
        };
        let has_quotes = !words.iter().all(is_text);
        let is_plain =
            |word: &Vec<u8>| !word.is_empty() && word.iter().all(u8::is_ascii_alphanumeric);
        let word = |word: &Vec<u8>| match has_quotes && !is_plain(word) {
            true => typed(&quoted_input(word)),
            false => typed(&String::from_utf8_lossy(word)),
        };
        let quotes = has_quotes.then(|| "--quoted-input".to_owned());
        let pipe = piped.map(|_| "-x".to_owned());
        let line = redis_cli.into_iter().chain(quotes).chain(pipe).chain(words.iter().map(word));
        let line = line.collect::<Vec<_>>().join(" ");
        Some(match piped {
            Some(bytes) => format!("printf '{}' | {line}", octal(bytes)),
            None => line,
        })
    }

    /// The command that clears the locks of a run that are not released any more.
    pub(super) fn clear_locks(&self, runid: &str) -> Option<String> {
        self.command("clear_locks", &[typeable(runid)?], &[])
    }

    /// The command that sets the flags of a run right.
    pub(super) fn repair(&self, runid: &str) -> Option<String> {
        self.command("repair", &[typeable(runid)?], &[])
    }

    /// The command that sets the flags of a run right, or all if its name can't be typed.
    pub(super) fn repair_or_all(&self, runid: &str) -> Option<String> {
        self.repair(runid).or_else(|| self.repair_all())
    }

    /// The command that sets all flags right.
    pub(super) fn repair_all(&self) -> Option<String> {
        self.command("repair", &[], &["--all"])
    }

    /// The command that shows every lock.
    pub(super) fn status_json(&self, runid: Option<&str>) -> String {
        let run: Vec<&str> = runid.into_iter().collect();
        self.command("status", &run, &["--format", "json"]).unwrap_or_default()
    }

    /// The command that shows the locks of all libraries under keys of these patterns.
    pub(super) fn status_all_json(&self, patterns: &[String]) -> String {
        let all = patterns.is_empty().then_some("--all");
        let patterns = patterns.iter().flat_map(|pattern| ["--pattern", pattern.as_str()]);
        let flags: Vec<&str> =
            all.into_iter().chain(patterns).chain(["--format", "json"]).collect();
        self.command("status", &[], &flags).unwrap_or_default()
    }

    /// The command that shows the locks of all libraries.
    pub(super) fn status_all(&self) -> String {
        self.command("status", &[], &["--all"]).unwrap_or_default()
    }

    fn command(&self, name: &str, names: &[&str], flags: &[&str]) -> Option<String> {
        let redis = self.redis.iter().flat_map(|url| ["--redis", url.as_str()]);
        let flags = flags.iter().copied().chain(redis);
        let begins = ["nodb-trigger", name].into_iter();
        // What begins with a hyphen is taken for a flag, unless all flags have come before.
        let words: Vec<&str> = if names.iter().any(|name| name.starts_with('-')) {
            begins.chain(flags).chain(["--"]).chain(names.iter().copied()).collect()
        } else {
            begins.chain(names.iter().copied()).chain(flags).collect()
        };
        // An argument can't hold a zero byte.
        let can_be_typed = words.iter().all(|word| !word.contains('\0'));
        can_be_typed.then(|| words.into_iter().map(typed).collect::<Vec<_>>().join(" "))
    }
}

fn is_restore(words: &[Vec<u8>]) -> bool {
    words.first().is_some_and(|name| name == b"RESTORE")
}

/// Bytes as printf reads them.
fn octal(bytes: &[u8]) -> String {
    let byte = |byte: &u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => char::from(*byte).into(),
        _ => format!("\\{byte:03o}"),
    };
    bytes.iter().map(byte).collect()
}

/// A run id that isn't taken for a path where it is given as an argument.
fn typeable(runid: &str) -> Option<&str> {
    let is_path = runid.contains('/') || runid == "." || runid == "..";
    (!is_path).then_some(runid)
}

/// A file that is still itself where it is given as an argument.
fn typeable_file(file: &str) -> Option<&str> {
    let is_itself = !file.split('/').any(|part| matches!(part, "." | "..")) && !file.ends_with('/');
    (is_itself && !file.is_empty()).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::escape;
    use std::process::Command;

    #[test]
    fn a_shell_reads_what_a_terminal_shows() {
        for word in
            ["plain", "it's", "a\nb", "\u{202e}x\u{200b}y'", "\u{7}", "Übung ロック", "-x", ""]
        {
            let command = Typed::new(Some("redis://h".into())).repair(word).unwrap();
            assert_eq!(escape(&command), command);
            let shell = format!("nodb-trigger() {{ printf '%s\\0' \"$@\"; }}; {command}");
            let output = Command::new("bash").args(["-c", &shell]).output().unwrap();
            let words = String::from_utf8(output.stdout).unwrap();
            assert!(words.split('\0').any(|read| read == word), "{command}: {words:?}");
        }
    }

    #[test]
    fn a_file_that_would_be_another_one_as_an_argument_is_not_typed() {
        let typed = Typed::default();
        for file in ["", "a/", "../b", "a/./b"] {
            assert_eq!(typed.unlock("r", file, None, &[]), None, "{file:?}");
        }
        for (file, word) in [("/a", "nodb-lock:r:/a"), ("nodb-lock:x", "nodb-lock:r:nodb-lock:x")] {
            let command = format!("nodb-trigger unlock r {word}");
            assert_eq!(typed.unlock("r", file, None, &[]).unwrap(), command);
        }
    }

    #[test]
    fn what_would_be_taken_for_something_else_is_not_typed() {
        for word in ["a/b", ".", "..", "a\0b"] {
            assert_eq!(Typed::default().repair(word), None, "{word:?}");
        }
        assert_eq!(Typed::default().repair("...").unwrap(), "nodb-trigger repair ...");
    }
}
