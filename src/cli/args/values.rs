//! The values that flags take: their words, and how they are read.

use clap::builder::{PathBufValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, Command, ValueEnum};
use lock_history::check::Property;
use lock_lab::lock::{FileNameError, LockProtocol, StateFile, protocol, protocols};
use lock_lab::runtime::Timing;
use lock_lab::scenario::parse_duration;
use redis_sim::glob_can_match;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What the program is called.
pub(super) const NAME: &str = env!("CARGO_PKG_NAME");
/// How wide a help is at most.
pub(super) const WIDTH: usize = 80;
/// Where a run happens if no directory is given (contract, section 1).
pub const DEFAULT_DIRECTORY: &str = "/tmp/debug_locks";
/// Names the default TTL in seconds (contract, section 1).
pub const TTL_VARIABLE: &str = "WEPPPY_LOCK_TTL_SECONDS";
/// The bounds of `--timeout`.
const TIMEOUT: (Duration, Duration) =
    (Duration::from_millis(1), Duration::from_secs(365 * 24 * 3600));
/// The most that `--repeat` may be.
const MOST_RUNS: u32 = 100_000;

// Comments on the words of these enums would be shown by completions: `table` and the like say
// enough.

/// `--format` of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
    Junit,
}

/// `--format` of `check` and of the commands that recover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    Table,
    Json,
}

/// `--as` of `replay`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReplayForm {
    Shell,
}

/// `--format` of `catalogue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CatalogueFormat {
    Table,
    Json,
    Markdown,
}

/// `--color`; `auto` is on a terminal, unless NO_COLOR is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// `--fail-if`: a lock that no client will release, a flag that disagrees with its lock, or either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailIf {
    Stuck,
    Drift,
    Any,
}

/// `--fail-if` of `record` and `check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailIfFound {
    /// Anything was found.
    Any,
    /// This was found.
    Property(Property),
    /// A holder used at least this percentage of its lease.
    LeaseUse(u32),
}

/// `--strategy`, without its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StrategyWord {
    Exhaustive,
    Random,
    Pct,
}

/// Where a timeline is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picture {
    /// `-`: with characters, on stdout.
    Terminal,
    /// Into a file.
    File {
        /// The file, as it was given.
        path: PathBuf,
        /// As its ending says.
        format: PictureFormat,
    },
}

/// What a file with a timeline is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFormat {
    /// `.svg`.
    Svg,
    /// `.html` or `.htm`.
    Html,
}

/// Reads a value as another parser does, and lets a shell offer some words for it.
#[derive(Clone)]
pub(super) struct Offering<P> {
    pub words: Vec<String>,
    pub parser: P,
}

impl<P: TypedValueParser> TypedValueParser for Offering<P> {
    type Value = P::Value;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, clap::Error> {
        self.parser.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.words.iter().map(PossibleValue::new)))
    }
}

/// A name as a flag has it: `lock-ttl`.
pub(super) fn hyphened(name: &str) -> String {
    name.replace('_', "-")
}

/// Takes the name of a lock protocol.
pub(super) fn lock_protocol() -> impl TypedValueParser<Value = &'static Arc<dyn LockProtocol>> {
    let names = protocols().iter().map(|protocol| protocol.name());
    PossibleValuesParser::new(names)
        .try_map(|name| protocol(&name).ok_or("there is no such lock protocol"))
}

pub(super) fn timing() -> impl TypedValueParser<Value = Timing> {
    PossibleValuesParser::new(["async", "strict"]).map(|word| match word.as_str() {
        "strict" => Timing::Strict,
        _ => Timing::Async,
    })
}

/// Takes a property that can be explored, with hyphens or without.
pub(super) fn property() -> impl TypedValueParser<Value = Property> {
    // A word that is hidden is offered nowhere, and its refusal can say why.
    let shown = Property::all().map(|it| {
        let hyphens = Some(hyphened(it.word())).filter(|hyphens| hyphens != it.word());
        PossibleValue::new(it.word()).aliases(hyphens).hide(it.not_explored().is_some())
    });
    PossibleValuesParser::new(shown).try_map(|given| {
        let given = given.replace('-', "_");
        let found = Property::named(&given).ok_or("no such word")?;
        match found.not_explored() {
            None => Ok(found),
            Some(why) => {
                Err(format!("{given} {why}; run '{NAME} {given}', or '{NAME} check' on a history"))
            }
        }
    })
}

/// Takes a path, and no URL that stands in the wrong place.
pub(super) fn directory() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        let text = path.to_string_lossy();
        if text.contains("://") || text.starts_with("unix:/") {
            Err("that is a URL and no directory; name the server with --redis")
        } else {
            Ok(path)
        }
    })
}

/// Takes a file that a timeline can be drawn into, or `-`.
pub(super) fn picture() -> impl TypedValueParser<Value = Picture> {
    PathBufValueParser::new().try_map(read_picture)
}

fn read_picture(path: PathBuf) -> Result<Picture, &'static str> {
    if path == Path::new("-") {
        return Ok(Picture::Terminal);
    }
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    let format = match ending.as_deref().and_then(|ending| ending.to_str()) {
        Some("svg") => PictureFormat::Svg,
        Some("html" | "htm") => PictureFormat::Html,
        _ => return Err("name a file that ends in .svg or .html, or - to draw on stdout"),
    };
    Ok(Picture::File { path, format })
}

/// Reads NAME=VALUE; the name may have hyphens.
pub(super) fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.replace('-', "_"), value.to_owned())),
        _ => Err("give a name and a value, as in 'threads=3'".into()),
    }
}

/// Reads a condition of `record` and `check`.
pub(super) fn fail_if_found(text: &str) -> Result<FailIfFound, String> {
    let (word, percentage) = match text.split_once('=') {
        Some((word, percentage)) => (word.replace('-', "_"), Some(percentage)),
        None => (text.replace('-', "_"), None),
    };
    match (&*word, percentage) {
        ("any", None) => Ok(FailIfFound::Any),
        ("lease_use", Some(percentage)) => {
            let number = percentage.strip_suffix('%').and_then(|number| number.parse().ok());
            let number = number.filter(|number| (1..=1000).contains(number));
            number.map(FailIfFound::LeaseUse).ok_or_else(|| {
                format!("{percentage:?} is no percentage from 1% to 1000%, as in lease-use=80%")
            })
        }
        (word, None) => {
            Property::named(word).map(FailIfFound::Property).ok_or_else(known_conditions)
        }
        _ => Err(known_conditions()),
    }
}

fn known_conditions() -> String {
    let words: Vec<&str> = Property::all().map(Property::word).collect();
    format!("give any, lease-use=80% or one of {}", words.join(", "))
}

pub(super) fn max_time(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("give more than 0s".into()),
        duration => Ok(duration),
    }
}

pub(super) fn repeat(text: &str) -> Result<u32, String> {
    let times = text.parse().ok().filter(|times| (1..=MOST_RUNS).contains(times));
    times.ok_or_else(|| format!("give a whole number from 1 to {MOST_RUNS}"))
}

pub(super) fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("give a whole number from 0 to {}", u64::MAX))
}

pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    let (least, most) = TIMEOUT;
    if (least..=most).contains(&duration) {
        Ok(duration)
    } else {
        Err("a time-out is between 1ms and 365d".into())
    }
}

pub(super) fn run_group(text: &str) -> Result<(String, String), String> {
    match text.split(";;").collect::<Vec<_>>().as_slice() {
        [group, name] if !group.is_empty() && !name.is_empty() => {
            Ok(((*group).to_owned(), (*name).to_owned()))
        }
        _ => Err("a run group is a group and a name with ';;' between them, as in \
                  'batch;;spring'"
            .into()),
    }
}

/// The name of a state file.
pub(super) fn state_file(text: &str) -> Result<String, FileNameError> {
    StateFile::check(text).map(|()| text.to_owned())
}

/// A glob pattern of Redis that matches keys.
pub(super) fn pattern(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err(
            "it matches only the key with the empty name; lock:* matches all that begin with lock:"
                .into(),
        );
    }
    if !glob_can_match(text.as_bytes()) {
        return Err("it matches no key: [] has no character in it; write \\[ for a bracket".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_says_what_is_drawn() {
        let format = |path: &str| match read_picture(path.into()) {
            Ok(Picture::File { format, .. }) => Ok(Some(format)),
            Ok(Picture::Terminal) => Ok(None),
            Err(why) => Err(why),
        };
        assert_eq!(format("a.svg"), Ok(Some(PictureFormat::Svg)));
        assert_eq!(format("a b/c.d.HTML"), Ok(Some(PictureFormat::Html)));
        assert_eq!(format("./-.htm"), Ok(Some(PictureFormat::Html)));
        assert_eq!(format("-"), Ok(None));
        for wrong in ["", "svg", ".svg", "a.png", "a.svg.gz", "./-"] {
            assert!(format(wrong).is_err_and(|why| why.contains(".svg or .html")), "{wrong}");
        }
    }

    #[test]
    fn a_condition_is_any_a_property_or_a_share_of_the_lease() {
        assert_eq!(fail_if_found("any"), Ok(FailIfFound::Any));
        assert_eq!(fail_if_found("lease-use=80%"), Ok(FailIfFound::LeaseUse(80)));
        let stuck = Ok(FailIfFound::Property(Property::StuckLock));
        assert_eq!(
            [fail_if_found("stuck_lock"), fail_if_found("stuck-lock")],
            [stuck.clone(), stuck]
        );
        for wrong in ["", "stuck", "any=1", "lease-use", "stuck_lock=80%"] {
            let why = fail_if_found(wrong).unwrap_err();
            assert!(why.contains("lease-use=80%") && why.contains("foreign_release"), "{wrong}");
        }
        for wrong in
            ["lease-use=80", "lease-use=0%", "lease-use=1001%", "lease-use=-1%", "lease-use=%"]
        {
            assert!(
                fail_if_found(wrong).is_err_and(|why| why.contains("from 1% to 1000%")),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_refused() {
        assert_eq!(pattern("lock:*").as_deref(), Ok("lock:*"));
        assert!(pattern("").is_err_and(|why| why.contains("empty name")));
        assert!(pattern("lock:[]*").is_err_and(|why| why.contains("no key")));
    }
}
