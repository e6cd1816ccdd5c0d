//! Durations as users write them: `250ms`, `1.5s`, `1m 30s`, `6h`.

use std::fmt;
use std::time::Duration;

/// The longest duration of a scenario: 365 days.
pub(super) const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Units and their nanoseconds, the largest first.
const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// What a duration may be, in words.
pub(super) const RANGE: &str = "a duration is from 0s to 365d";
const SHAPE: &str = "give a duration such as 500ms, 1.5s, 1m 30s or 6h";

/// Reads a duration from 0s to 365d; the error says what would be right.
///
/// # Errors
///
/// The text says what would be right: a unit is missing or unknown, a number is wrong, or the
/// duration is out of range.
pub fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.starts_with('-') {
        return Err(RANGE.to_owned());
    }
    let mut rest = text;
    let mut total: u64 = 0;
    loop {
        let (number, tail) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, tail) = split(tail.trim_start(), |c| c.is_alphabetic());
        if number.is_empty() {
            return Err(SHAPE.to_owned());
        }
        if unit.is_empty() && tail.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(format!("add a unit, as in {number}s or {number}ms"));
        }
        let part = nanoseconds(number, unit)?;
        total = total.checked_add(part).ok_or(RANGE)?;
        rest = tail.trim_start();
        if rest.is_empty() {
            break;
        }
    }
    let total = Duration::from_nanos(total);
    if total > LONGEST { Err(RANGE.to_owned()) } else { Ok(total) }
}

/// Splits off the longest beginning whose characters all belong.
fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// One number with its unit.
fn nanoseconds(number: &str, unit: &str) -> Result<u64, String> {
    let Some((_, size)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(if unit.is_empty() {
            SHAPE.to_owned()
        } else {
            let unit = super::error::quoted(unit);
            format!("unknown unit {unit}; units are d, h, m, s, ms, us, ns")
        });
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(SHAPE.to_owned());
    }
    let whole = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(*size));
    let whole = whole.ok_or(RANGE)?;
    let fraction = fraction.trim_end_matches('0');
    let scale = u32::try_from(fraction.len()).ok().and_then(|digits| 10_u64.checked_pow(digits));
    let part = fraction.parse().map_or(0, |part: u128| part * u128::from(*size));
    match scale {
        Some(scale) if part % u128::from(scale) == 0 => {
            let part = u64::try_from(part / u128::from(scale)).map_err(|_| RANGE)?;
            Ok(whole.saturating_add(part))
        }
        _ => Err("a duration is a whole number of nanoseconds".to_owned()),
    }
}

/// Writes a number of nanoseconds such that [`parse`] reads it back.
pub(super) fn write(to: &mut impl fmt::Write, nanoseconds: u128) -> fmt::Result {
    if nanoseconds == 0 {
        return to.write_str("0s");
    }
    let mut rest = nanoseconds;
    let mut gap = "";
    for (unit, size) in UNITS {
        let number = rest / u128::from(size);
        rest %= u128::from(size);
        if number > 0 {
            write!(to, "{gap}{number}{unit}")?;
            gap = " ";
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_as_users_write_them() {
        let cases = [
            ("0", 0),
            ("0s", 0),
            ("250ms", 250_000_000),
            ("2s", 2_000_000_000),
            ("1.5s", 1_500_000_000),
            (" 1m 30s ", 90_000_000_000),
            ("1m30s", 90_000_000_000),
            ("2 s", 2_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1h 30m", 5_400_000_000_000),
            ("6h", 21_600_000_000_000),
            ("0.000000001s", 1),
            ("1.50000000000000000000000s", 1_500_000_000),
            ("365d", 31_536_000_000_000_000),
        ];
        for (text, nanoseconds) in cases {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn says_what_would_be_right() {
        let cases = [
            ("", SHAPE),
            ("soon", SHAPE),
            ("s", SHAPE),
            (".5s", SHAPE),
            ("5.s", SHAPE),
            ("1..5s", SHAPE),
            ("1.5", SHAPE),
            ("1s 5x", r#"unknown unit "x"; units are d, h, m, s, ms, us, ns"#),
            ("1s,", SHAPE),
            ("5", "add a unit, as in 5s or 5ms"),
            ("-5s", RANGE),
            ("366d", RANGE),
            ("364d 25h", RANGE),
            ("99999999999999999999999s", RANGE),
            ("18446744073709551615ns 1s", RANGE),
            ("0.5ns", "a duration is a whole number of nanoseconds"),
            ("0.1234567890123456789s", "a duration is a whole number of nanoseconds"),
            ("2 sec", r#"unknown unit "sec"; units are d, h, m, s, ms, us, ns"#),
        ];
        for (text, message) in cases {
            assert_eq!(parse(text), Err(message.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn writes_durations_as_users_write_them() {
        for text in ["0s", "500ms", "2s", "1m 30s", "1s 500ms", "6h", "365d", "1us 1ns"] {
            let mut written = String::new();
            write(&mut written, parse(text).unwrap().as_nanos()).unwrap();
            assert_eq!(written, text);
        }
    }
}
