//! How a time is said to a person.

use std::time::Duration;

/// A time with as many digits as distinguish moments of a run: `12 us`, `7.335 ms`, `350 ms`,
/// `2.004 s`, `4 min 59 s`, `5 h 59 min`.
///
/// ```
/// # use redis_sim::clock::in_words;
/// # use std::time::Duration;
/// assert_eq!(in_words(Duration::from_nanos(7_334_860)), "7.335 ms");
/// ```
pub fn in_words(time: Duration) -> String {
    let us = time.as_nanos().saturating_add(500) / 1000;
    let us = u64::try_from(us).unwrap_or(u64::MAX);
    let us = match us {
        0..10_000 => us,
        10_000..100_000 => rounded(us, 10),
        100_000..1_000_000 => rounded(us, 100),
        _ => rounded(us, 1000),
    };
    match us {
        0..1000 => format!("{us} us"),
        1000..1_000_000 => {
            let text = format!("{}.{:03}", us / 1000, us % 1000);
            format!("{} ms", text.trim_end_matches('0').trim_end_matches('.'))
        }
        1_000_000..60_000_000 => format!("{}.{:03} s", us / 1_000_000, us / 1000 % 1000),
        _ => long(us / 1_000_000),
    }
}

fn rounded(number: u64, to: u64) -> u64 {
    number.saturating_add(to / 2) / to * to
}

/// A minute and more, in its two largest units.
fn long(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (size, unit) in UNITS {
        if rest >= size || !parts.is_empty() {
            parts.push(format!("{} {unit}", rest / size));
            rest %= size;
        }
    }
    parts.truncate(2);
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_four_digits_at_most_and_a_unit_that_fits() {
        for (nanos, words) in [
            (0, "0 us"),
            (499, "0 us"),
            (12_000, "12 us"),
            (999_600, "1 ms"),
            (7_334_860, "7.335 ms"),
            (73_348_600, "73.35 ms"),
            (99_999_000, "100 ms"),
            (350_000_000, "350 ms"),
            (733_486_000, "733.5 ms"),
            (999_960_000, "1.000 s"),
            (2_004_400_000, "2.004 s"),
            (59_999_400_000, "59.999 s"),
            (59_999_900_000, "1 min 0 s"),
            (299_900_000_000, "4 min 59 s"),
            (21_600_000_000_000, "6 h 0 min"),
            (31_536_000_000_000_000, "365 d 0 h"),
        ] {
            assert_eq!(in_words(Duration::from_nanos(nanos)), words, "{nanos} ns");
        }
        in_words(Duration::MAX);
    }
}
