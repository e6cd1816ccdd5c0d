//! How single values are said to a person: durations, names from outside, shortened tokens.

use chrono::{DateTime, SecondsFormat, Utc};
use lock_history::text::is_invisible;
use lock_lab::runtime::quoted;
use lock_lab::scenario::Status;
use redis_sim::clock::in_words;
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// Makes text from outside fit for a terminal: what would move the cursor, change colours, reorder
/// or hide characters is spelled out.
///
/// ```
/// # use nodb_trigger::report::escape;
/// assert_eq!(escape("a\nb \u{1b}[31m"), r"a\nb \u{1b}[31m");
/// assert_eq!(escape("Übung"), "Übung");
/// ```
pub fn escape(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_invisible(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// How long something took, with as many digits as a table needs: `84 us`, `5.8 ms`, `350 ms`,
/// `2.004 s`, `4 min 59 s`, `5 h 59 min`.
pub fn duration(milliseconds: f64) -> String {
    // A cast from f64 saturates: negative and NaN become 0.
    let us = (milliseconds * 1000.0).round() as u64;
    let digits = match us {
        0..1000 => 1,
        1000..9950 => 100,
        _ => 1000,
    };
    in_words(Duration::from_micros(us.saturating_add(digits / 2) / digits * digits))
}

/// The same, as exact as its digits show, from nanoseconds.
pub(super) fn nanoseconds(number: u64) -> String {
    in_words(Duration::from_nanos(number))
}

/// A round time, exactly: `0`, `500 us`, `1.5 s`, `2 min`, `1 h 30 min`.
pub(super) fn round(nanoseconds: u64) -> String {
    match nanoseconds {
        0 => return "0".into(),
        1..1_000_000 => return format!("{} us", decimal(nanoseconds, 1000)),
        1_000_000..SECOND => return format!("{} ms", decimal(nanoseconds, 1_000_000)),
        _ => {}
    }
    let mut rest = nanoseconds;
    let mut parts = Vec::new();
    for (size, unit) in [(86_400, "d"), (3600, "h"), (60, "min")] {
        let size = size * SECOND;
        if rest >= size {
            parts.push(format!("{} {unit}", rest / size));
            rest %= size;
        }
    }
    if rest > 0 {
        parts.push(format!("{} s", decimal(rest, SECOND)));
    }
    parts.join(" ")
}

fn decimal(number: u64, unit: u64) -> String {
    let digits = unit.ilog10() as usize;
    let text = format!("{}.{:0digits$}", number / unit, number % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The rest of a TTL, from Redis's answer to PTTL. Rounded down: a reader must not see more than is
/// left.
pub(super) fn ttl_left(milliseconds: i64) -> String {
    match u64::try_from(milliseconds) {
        Ok(ms) if ms < 60_000 => duration(ms as f64),
        Ok(ms) => in_words(Duration::from_secs(ms / 1000)),
        Err(_) if milliseconds == -1 => "no TTL: never ends".into(),
        Err(_) => "-".into(),
    }
}

/// The rest of a TTL for a rough view: whole seconds, but for the last one.
pub fn ttl_from_afar(milliseconds: i64) -> String {
    match u64::try_from(milliseconds) {
        Ok(ms) if ms == 0 || ms >= 1000 => seconds(ms / 1000),
        _ => ttl_left(milliseconds),
    }
}

/// A time as its largest unit has it, rounded down: `3 s`, `4 min`, `20 h`, `55 d`.
pub(super) fn roughly(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A time of which only whole seconds are known: `3 s`, `4 min 59 s`.
pub fn seconds(number: u64) -> String {
    if number < 60 { format!("{number} s") } else { in_words(Duration::from_secs(number)) }
}

/// How many characters distinguish these tokens: eight, or more where eight are the same.
pub(super) fn token_length<'a>(tokens: impl Iterator<Item = &'a str>) -> usize {
    let mut tokens: Vec<&str> = tokens.collect();
    tokens.sort_unstable();
    tokens.dedup();
    let alike = |pair: &[&str]| match pair {
        [one, other] => one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count(),
        _ => 0,
    };
    tokens.windows(2).map(alike).max().map_or(8, |alike| (alike + 1).max(8))
}

/// The token's first characters, and a sign that there are more.
pub(super) fn shorten(token: &str, length: usize) -> String {
    escape(&cut(token, length))
}

/// A word as a shell reads it, which a terminal can show as it is.
pub fn typed(word: &str) -> String {
    let quoted = quoted(word);
    if escape(&quoted) == quoted {
        return quoted;
    }
    let mut bytes = String::from("$'");
    for byte in word.bytes() {
        bytes.push_str(&format!("\\{byte:03o}"));
    }
    bytes + "'"
}

/// The text's first characters, and a sign that there are more.
pub(super) fn cut(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A moment as ISO 8601 writes it, from the time since 1970: `2025-01-01T00:00:00Z`.
pub(super) fn utc(since_1970: Duration) -> String {
    let seconds = i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX);
    let moment = DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The time of day of a moment in nanoseconds since `began`, which is in microseconds since 1970; with
/// its day, if that is another one: `16:33:03.123`, `2025-01-02 00:00:01.000`.
pub(super) fn time_of_day(began: u64, at: u64) -> String {
    let [begin, moment] = [0, at].map(|at| moment(began, at));
    if begin.date_naive() == moment.date_naive() {
        moment.format("%H:%M:%S%.3f").to_string()
    } else {
        moment.format(DAY_AND_TIME).to_string()
    }
}

/// From when to when, of moments in nanoseconds since `began`.
pub(super) fn time_span(began: u64, from: u64, to: u64) -> String {
    let begin = moment(began, from);
    let micros = u64::try_from(begin.timestamp_micros()).unwrap_or(began);
    let end = time_of_day(micros, to.saturating_sub(from));
    format!("{} to {end} UTC", begin.format(DAY_AND_TIME))
}

const DAY_AND_TIME: &str = "%Y-%m-%d %H:%M:%S%.3f";

fn moment(began: u64, at: u64) -> DateTime<Utc> {
    let micros = i64::try_from(began.saturating_add(at / 1000)).unwrap_or(i64::MAX);
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// How an actor or a step ended.
pub(super) fn status_word(status: Status) -> &'static str {
    match status {
        Status::Success => "success",
        Status::AlreadyLocked => "already locked",
        Status::Error => "error",
    }
}

/// `1 actor`, `2 actors`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A large number as a person reads it: `812`, `12 304`, `1.3 million`, `2.4e15`.
pub fn large(number: f64) -> String {
    if number >= 999_950_000.0 {
        return format!("{number:.1e}");
    }
    if number >= 999_999.5 {
        return format!("{:.1} million", number / 1e6);
    }
    let digits = format!("{:.0}", number.max(0.0));
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn round_times_are_said_exactly() {
        for (nanoseconds, said) in [
            (0, "0"),
            (500, "0.5 us"),
            (20_000, "20 us"),
            (1_500_000, "1.5 ms"),
            (1_300_000_000, "1.3 s"),
            (90_000_000_000, "1 min 30 s"),
            (61_500_000_000, "1 min 1.5 s"),
            (7200 * SECOND, "2 h"),
            (86_400 * SECOND, "1 d"),
        ] {
            assert_eq!(round(nanoseconds), said);
        }
    }

    #[test]
    fn durations_have_the_digits_that_a_person_needs() {
        let said = [
            (0.0, "0 us"),
            (-3.0, "0 us"),
            (f64::NAN, "0 us"),
            (0.084, "84 us"),
            (0.9996, "1 ms"),
            (5.84, "5.8 ms"),
            (9.96, "10 ms"),
            (350.2, "350 ms"),
            (999.6, "1.000 s"),
            (2004.4, "2.004 s"),
            (59_999.9, "1 min 0 s"),
            (299_900.0, "4 min 59 s"),
            (21_600_000.0, "6 h 0 min"),
            (31_536_000_000.0, "365 d 0 h"),
        ];
        for (milliseconds, words) in said {
            assert_eq!(duration(milliseconds), words, "{milliseconds} ms");
        }
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_735_689_600, "2025-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn large_numbers_are_grouped_or_rounded() {
        for (number, words) in [
            (0.0, "0"),
            (812.0, "812"),
            (1000.0, "1 000"),
            (12_304.0, "12 304"),
            (999_999.0, "999 999"),
            (1_000_000.0, "1.0 million"),
            (1_340_000.0, "1.3 million"),
            (2.4e15, "2.4e15"),
            (-1.0, "0"),
            (f64::NAN, "0"),
        ] {
            assert_eq!(large(number), words);
        }
    }

    #[test]
    fn a_ttl_is_rounded_down_and_its_special_answers_are_words() {
        assert_eq!(ttl_left(-2), "-");
        assert_eq!(ttl_left(-1), "no TTL: never ends");
        assert_eq!(ttl_left(2999), "2.999 s");
        assert_eq!(ttl_left(59_999), "59.999 s");
        assert_eq!(ttl_left(299_999), "4 min 59 s");
        assert_eq!(ttl_left(21_599_998), "5 h 59 min");
    }

    #[test]
    fn control_characters_are_spelled_out_and_letters_are_not() {
        assert_eq!(escape("a\nb\t\u{1b}[31mc\u{9b}\u{202e}"), r"a\nb\t\u{1b}[31mc\u{9b}\u{202e}");
        assert_eq!(escape("Übung ロック 'x' \"y\" \\"), "Übung ロック 'x' \"y\" \\");
    }

    #[test]
    fn tokens_are_shortened_as_far_as_they_stay_distinct() {
        let tokens = ["0123456789ab0", "0123456789ab1", "ffff"];
        let length = token_length(tokens.into_iter());
        assert_eq!(length, 13);
        assert_eq!(shorten("0123456789ab0", length), "0123456789ab0");
        assert_eq!(shorten("0123456789ab", 8), "01234567…");
        assert_eq!(token_length(std::iter::empty()), 8);
    }

    proptest! {
        #[test]
        fn nothing_escaped_moves_the_cursor(text in any::<String>()) {
            prop_assert!(!escape(&text).chars().any(is_invisible));
        }

        #[test]
        fn shortened_tokens_stay_different(tokens in prop::collection::btree_set("[ab]{12}", 0..6)) {
            let length = token_length(tokens.iter().map(String::as_str));
            let shown: std::collections::BTreeSet<_> =
                tokens.iter().map(|token| shorten(token, length)).collect();
            prop_assert_eq!(shown.len(), tokens.len());
        }
    }
}
