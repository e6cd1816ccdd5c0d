//! Times of day in words: what a client reads from its clock.

use chrono::{DateTime, NaiveDateTime};
use redis_sim::clock::{Clock, VirtualClock, WallClock};

/// How far from now a number may be that is a time, in seconds.
const NEAR: u64 = 62 * 86_400;
/// How many units a second has, and how many digits such a time.
const UNITS: [(i64, usize); 4] = [(1, 10), (1_000, 13), (1_000_000, 16), (1_000_000_000, 19)];
/// The names of times differ by the actor, for N actors.
const ACTORS: usize = 8;
/// How dates are written, and how long that is.
const DATES: [(&str, usize); 6] = [
    ("%Y-%m-%dT%H:%M:%S", 19),
    ("%Y-%m-%d %H:%M:%S", 19),
    ("%Y%m%dT%H%M%S", 15),
    ("%Y%m%d-%H%M%S", 15),
    ("%Y%m%d_%H%M%S", 15),
    ("%Y%m%d%H%M%S", 14),
];

/// A time in a word.
pub struct Time {
    /// How far it is from now, in seconds.
    pub from_now: i64,
    form: Form,
}

/// How it is written.
enum Form {
    /// A whole number; how many units a second has.
    Number(i64),
    /// Seconds with a fraction.
    Decimal,
    /// A date; its format, and what comes after the second.
    Date(&'static str, String),
}

/// The time that a text tells, if it is close to now.
pub fn time_of(text: &[u8]) -> Option<Time> {
    let text = std::str::from_utf8(text).ok()?;
    let now = now();
    let (seconds, form) = number(text).or_else(|| decimal(text)).or_else(|| date(text))?;
    let from_now = seconds - now;
    (from_now.unsigned_abs() <= NEAR).then_some(Time { from_now, form })
}

/// Whether a time is written in whole seconds.
pub fn is_in_seconds(text: &[u8]) -> bool {
    time_of(text).is_some_and(|time| match time.form {
        Form::Number(unit) => unit == 1,
        Form::Decimal => false,
        Form::Date(_, rest) => !rest.contains('.'),
    })
}

/// Whether a number is a time close to when an embedded server begins.
pub fn is_of_embedded_server(text: &[u8]) -> bool {
    let begins = i64::try_from(VirtualClock::EPOCH.as_secs()).unwrap_or(i64::MAX);
    let time = std::str::from_utf8(text).ok().and_then(number);
    time.is_some_and(|(seconds, _)| (seconds - begins).unsigned_abs() <= NEAR)
}

/// The time of day, in seconds since 1970.
pub fn now() -> i64 {
    i64::try_from(WallClock::new(None).unix().as_secs()).unwrap_or(i64::MAX)
}

/// A time to a client that lives this many seconds later; any other text as it is.
pub fn earlier(text: &[u8], seconds: i64) -> Vec<u8> {
    let words = std::str::from_utf8(text).ok();
    let Some((time, words)) = time_of(text).zip(words) else { return text.to_vec() };
    let then = now() + time.from_now - seconds;
    let earlier = match time.form {
        Form::Number(unit) => words.parse().ok().map(|it: i64| (it - seconds * unit).to_string()),
        Form::Decimal => words.split_once('.').map(|(_, rest)| format!("{then}.{rest}")),
        Form::Date(format, rest) => {
            DateTime::from_timestamp(then, 0).map(|date| date.format(format).to_string() + &rest)
        }
    };
    earlier.map_or_else(|| text.to_vec(), String::into_bytes)
}

/// The length of a time with signs in it, at the beginning of a text.
pub fn beginning(text: &[u8]) -> Option<usize> {
    let digits =
        |from: usize| text.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let fraction = |from: usize| match text.get(from) {
        Some(b'.') if digits(from + 1) > 0 => 1 + digits(from + 1),
        _ => 0,
    };
    let end = |length: usize| {
        let length = length + fraction(length);
        length + usize::from(text.get(length) == Some(&b'Z'))
    };
    let lengths = match digits(0) {
        10 => vec![10 + fraction(10)],
        4 | 8 | 14 => DATES.iter().map(|(_, length)| end(*length)).collect(),
        _ => Vec::new(),
    };
    let is_time = |length: &usize| {
        let text = text.get(..*length);
        text.is_some_and(|it| !it.iter().all(u8::is_ascii_digit) && time_of(it).is_some())
    };
    lengths.into_iter().find(is_time)
}

fn number(text: &str) -> Option<(i64, Form)> {
    let (unit, _) = UNITS.into_iter().find(|(_, digits)| *digits == text.len())?;
    let number: i64 = text.parse().ok()?;
    Some((number / unit, Form::Number(unit)))
}

fn decimal(text: &str) -> Option<(i64, Form)> {
    let (seconds, fraction) = text.split_once('.')?;
    let is_decimal = fraction.bytes().all(|byte| byte.is_ascii_digit());
    let (seconds, _) = number(seconds).filter(|_| is_decimal && seconds.len() == 10)?;
    Some((seconds, Form::Decimal))
}

fn date(text: &str) -> Option<(i64, Form)> {
    DATES.into_iter().find_map(|(format, length)| {
        let (date, rest) = text.split_at_checked(length)?;
        let fraction = rest.strip_suffix('Z').unwrap_or(rest);
        let digits = fraction.strip_prefix('.').unwrap_or(fraction);
        let is_fraction =
            digits.len() < fraction.len() && digits.bytes().all(|it| it.is_ascii_digit());
        let date = NaiveDateTime::parse_from_str(date, format).ok();
        let date = date.filter(|_| fraction.is_empty() || is_fraction)?;
        Some((date.and_utc().timestamp(), Form::Date(format, rest.to_owned())))
    })
}

impl Time {
    /// What stands for it, in the same form: these seconds since 1970, and a little more by the actor.
    pub fn named(&self, seconds: i64, actor: usize) -> Vec<u8> {
        let actor = (actor % ACTORS) as i64;
        let text = match &self.form {
            Form::Number(unit) => (seconds * unit + actor).to_string(),
            Form::Decimal => format!("{}.5", seconds + actor),
            Form::Date(format, rest) => {
                let date = DateTime::from_timestamp(seconds + actor, 0).unwrap_or_default();
                let digits = |it: char| if it.is_ascii_digit() { '0' } else { it };
                date.format(format).to_string() + &rest.chars().map(digits).collect::<String>()
            }
        };
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis_sim::clock::VirtualClock;

    #[test]
    fn what_is_close_to_now_is_a_time_in_each_of_its_forms() {
        let now = WallClock::new(None).unix();
        let (seconds, epoch) = (now.as_secs(), VirtualClock::EPOCH.as_secs());
        let date = DateTime::from_timestamp(seconds as i64, 0).unwrap();
        for (text, name) in [
            (seconds.to_string(), format!("{}", epoch + 3)),
            (format!("{seconds}123"), format!("{epoch}003")),
            (format!("{seconds}123456"), format!("{epoch}000003")),
            (format!("{seconds}123456789"), format!("{epoch}000000003")),
            (format!("{seconds}.0"), format!("{}.5", epoch + 3)),
            (format!("{seconds}.1234567"), format!("{}.5", epoch + 3)),
            (date.format("%Y-%m-%dT%H:%M:%S").to_string(), "2025-01-01T00:00:03".into()),
            (date.format("%Y-%m-%d %H:%M:%S.123").to_string(), "2025-01-01 00:00:03.000".into()),
            (date.format("%Y-%m-%dT%H:%M:%SZ").to_string(), "2025-01-01T00:00:03Z".into()),
            (date.format("%Y%m%d-%H%M%S").to_string(), "20250101-000003".into()),
            (date.format("%Y%m%d%H%M%S").to_string(), "20250101000003".into()),
        ] {
            let time = time_of(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            assert!((-60..=0).contains(&time.from_now), "{text}");
            assert_eq!(String::from_utf8(time.named(epoch as i64, 3)).unwrap(), name, "{text}");
            let has_signs = text.bytes().any(|byte| !byte.is_ascii_digit());
            let before_more = format!("{text}|more");
            assert_eq!(
                beginning(before_more.as_bytes()),
                has_signs.then_some(text.len()),
                "{text}"
            );
        }
        for text in [
            "30000",
            "1234567890",
            "99999999999999999999",
            "1234567890.5",
            "-1764460123",
            "2001-01-01T00:00:00",
            "1764460123.",
        ] {
            assert!(time_of(text.as_bytes()).is_none() || text.starts_with("1764"), "{text}");
            assert_eq!(beginning(text.as_bytes()), None, "{text}");
        }
    }
}
