//! What kind of step an operation is.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Verbs with their words, as scenario files and histories have them.
macro_rules! verbs {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What kind of step an operation is.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum Verb {
            $($(#[$doc])* $name,)*
            /// One that this program does not know, in a history that a newer one wrote.
            Other(Box<str>),
        }

        impl Verb {
            /// The verb's word.
            pub fn word(&self) -> &str {
                match self {
                    $(Self::$name => $word,)*
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for Verb {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$name,)*
                    other => Self::Other(other.into()),
                }
            }
        }
    };
}

verbs! {
    /// Takes the lock.
    Acquire = "acquire",
    /// Gives the lock its full lease again.
    Extend = "extend",
    /// Releases the lock.
    Release = "release",
    /// Releases the lock, even if another client owns it.
    ForceRelease = "force_release",
    /// Writes the state file.
    Dump = "dump",
    /// Acquires, does its body, dumps and releases.
    Locked = "locked",
    /// Lets time pass, and counts an operation in memory.
    Work = "work",
    /// Lets time pass.
    Sleep = "sleep",
    /// Stands still.
    Pause = "pause",
    /// Ends the actor.
    Crash = "crash",
    /// Waits for a step or a rule.
    Await = "await",
    /// Does its body several times.
    Repeat = "repeat",
    /// Forgets the token.
    ForgetToken = "forget_token",
    /// Puts another token into the lock key.
    ReplaceToken = "replace_token",
    /// Puts a lock into Redis that no actor remembers.
    PlantOrphan = "plant_orphan",
    /// Clears all locks of a run.
    ClearLocks = "clear_locks",
    /// Asks whether the lock is held.
    Islocked = "islocked",
    /// Asks which locks of a run are held.
    LockStatuses = "lock_statuses",
    /// The server forgets everything.
    Amnesia = "amnesia",
    /// The server's clock jumps ahead.
    ClockJump = "clock_jump",
    /// The server evicts the lock key.
    Evict = "evict",
    /// Gets the process's controller.
    GetInstance = "get_instance",
    /// Another process writes the state file without a lock.
    ExternalDump = "external_dump",
    /// Makes the run read-only.
    MakeReadonly = "make_readonly",
    /// Fails unless the controller has counted this many operations.
    Sees = "sees",
    /// Fails unless the process caches a controller.
    Cached = "cached",
    /// Sends one command.
    Redis = "redis",
    /// Takes a snapshot.
    Snapshot = "snapshot",
    /// Reads the state file, as part of a step.
    Load = "load",
    /// Reads the file back, as part of a step.
    Validate = "validate",
    /// Asks for the lock before a write (recordings).
    CheckLock = "look",
    /// Something that a recording missed.
    Unseen = "unseen",
}

impl Verb {
    /// Whether it releases a lock, its own or another owner's.
    pub fn releases(&self) -> bool {
        matches!(self, Self::Release | Self::ForceRelease)
    }
}

impl Default for Verb {
    fn default() -> Self {
        Self::Other("".into())
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Serialize for Verb {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for Verb {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(&*String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_is_read_back_from_its_word_and_an_unknown_one_is_kept() {
        for word in ["acquire", "force_release", "unseen", "", "a verb of the future"] {
            assert_eq!(Verb::from(word).word(), word);
        }
        assert_eq!(Verb::from("dump"), Verb::Dump);
        assert!(Verb::Release.releases() && !Verb::Acquire.releases());
    }
}
