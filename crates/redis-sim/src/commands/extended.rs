//! The numbers of INCRBYFLOAT and HINCRBYFLOAT: C's `long double` as it is on x86, with 64 bits of
//! precision, which shows in the digits that these commands answer with.
//!
//! Hexadecimal numbers are not read, and numbers too small for 17 digits after the point are kept apart
//! from 0 further down than in C.

use std::cmp::Ordering;
use std::fmt;

/// No longer text is a number.
const LONGEST: usize = 5 * 1024;

/// No number has more digits before its point than this, or more zeros behind it.
const MAX_EXPONENT: i64 = 4_970;

/// Above this power of two, a number is infinite.
const MAX_POWER: i32 = 16_384;

/// `mantissa * 2^power`; the highest bit of the mantissa is set unless the number is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extended {
    negative: bool,
    mantissa: u64,
    power: i32,
}

/// What a text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Finite(Extended),
    Infinite,
}

impl Extended {
    pub(super) const ZERO: Self = Self { negative: false, mantissa: 0, power: 0 };

    /// The nearest number to `value * 2^power`, or to a little more than that if `more`; of two, the
    /// even one.
    fn nearest(negative: bool, value: u128, power: i32, more: bool) -> Self {
        let Some(bits) = value.checked_ilog2() else { return Self { negative, ..Self::ZERO } };
        if bits < 64 {
            let mantissa = u64::try_from(value << (63 - bits)).unwrap_or(u64::MAX);
            return Self { negative, mantissa, power: power - 63 + small(bits) };
        }
        let cut = bits - 63;
        let rounded = shift_right(value, cut, more);
        match u64::try_from(rounded) {
            Ok(mantissa) => Self { negative, mantissa, power: power + small(cut) },
            // It was rounded up to the next power of two.
            Err(_) => Self { negative, mantissa: 1 << 63, power: power + small(cut) + 1 },
        }
    }

    /// `None` if it is too big.
    fn plus(self, other: Self) -> Option<Self> {
        if self.mantissa == 0 || other.mantissa == 0 {
            let sum = if self.mantissa == 0 { other } else { self };
            return Some(sum);
        }
        let (big, little) = if self.power >= other.power { (self, other) } else { (other, self) };
        let wide = |number: Self| u128::from(number.mantissa) << 63;
        let apart = big.power.abs_diff(little.power);
        let kept = wide(little).checked_shr(apart).unwrap_or(0);
        let lost = kept.checked_shl(apart) != Some(wide(little));
        let kept = kept | u128::from(lost);
        let (negative, sum) = if big.negative == little.negative {
            (big.negative, wide(big) + kept)
        } else {
            let negative = if wide(big) >= kept { big.negative } else { little.negative };
            (negative, wide(big).abs_diff(kept))
        };
        Self::nearest(negative, sum, big.power - 63, false).finite()
    }

    fn finite(self) -> Option<Self> {
        (self.power + 64 <= MAX_POWER).then_some(self)
    }
}

/// `None` if the sum is infinite or no number.
pub(super) fn sum(a: Number, b: Number) -> Option<Extended> {
    match (a, b) {
        (Number::Finite(a), Number::Finite(b)) => a.plus(b),
        _ => None,
    }
}

fn small(bits: u32) -> i32 {
    i32::try_from(bits).unwrap_or(i32::MAX)
}

/// Divides by a power of two; of two nearest numbers, takes the even one. `more` says that the value is
/// a little more than that.
fn shift_right(value: u128, bits: u32, more: bool) -> u128 {
    let Some(kept) = value.checked_shr(bits) else { return 0 };
    let rest = value - (kept << bits);
    let half = if bits == 0 { 1 } else { 1 << (bits - 1) };
    let up = match rest.cmp(&half) {
        Ordering::Greater => true,
        Ordering::Equal => more || kept % 2 == 1,
        Ordering::Less => false,
    };
    kept + u128::from(up)
}

/// A number as C's `strtold` reads one, all of it.
pub(super) fn read(text: &[u8]) -> Option<Number> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() < LONGEST)?;
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if text.eq_ignore_ascii_case("inf") || text.eq_ignore_ascii_case("infinity") {
        return Some(Number::Infinite);
    }
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent_of(exponent)?),
        None => (text, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let mut value = Big::default();
    digits().for_each(|digit| value.multiply(10, u32::from(digit - b'0')));
    if value.bits() == 0 {
        return Some(Number::Finite(Extended { negative, ..Extended::ZERO }));
    }
    let exponent = exponent.saturating_sub(i64::try_from(fraction.len()).ok()?);
    let leading = digits().take_while(|digit| *digit == b'0').count();
    let places = exponent.saturating_add(i64::try_from(digits().count() - leading).ok()?);
    if places.abs() > MAX_EXPONENT {
        return None;
    }
    let mut divisor = Big(vec![1]);
    let scaled = if exponent < 0 { &mut divisor } else { &mut value };
    (0..exponent.abs()).for_each(|_| scaled.multiply(10, 0));
    quotient(negative, value, divisor).finite().map(Number::Finite)
}

/// A decimal exponent; one that is too big to matter is cut.
fn exponent_of(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let cut = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    Some(text.parse().unwrap_or(cut))
}

/// Divides bit by bit; neither is 0.
fn quotient(negative: bool, mut value: Big, mut divisor: Big) -> Extended {
    let apart = value.bits().abs_diff(divisor.bits());
    let power = if value.bits() >= divisor.bits() {
        divisor.shift_left(apart);
        small(apart)
    } else {
        value.shift_left(apart);
        -small(apart)
    };
    // Between a half and two, with 65 bits after the point.
    let mut bits: u128 = 0;
    for _ in 0..66 {
        let fits = value.take(&divisor);
        bits = bits << 1 | u128::from(fits);
        value.shift_left(1);
    }
    Extended::nearest(negative, bits, power - 65, value.bits() > 0)
}

impl fmt::Display for Extended {
    /// Up to 17 digits after the point.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNIT: u128 = 100_000_000_000_000_000;
        let text = if self.power >= 0 {
            let mut whole = Big::default();
            whole.add(self.mantissa);
            whole.shift_left(self.power.unsigned_abs());
            whole.to_string()
        } else {
            let scaled = u128::from(self.mantissa) * UNIT;
            let scaled = shift_right(scaled, self.power.unsigned_abs(), false);
            let text = format!("{}.{:017}", scaled / UNIT, scaled % UNIT);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        let sign = if self.negative && text != "0" { "-" } else { "" };
        write!(f, "{sign}{text}")
    }
}

/// A natural number of any size; the low digits come first.
#[derive(Debug, Default)]
struct Big(Vec<u32>);

impl Big {
    fn multiply(&mut self, factor: u32, summand: u32) {
        let mut carry = u64::from(summand);
        for digit in &mut self.0 {
            carry += u64::from(*digit) * u64::from(factor);
            *digit = low(carry);
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(low(carry));
        }
    }

    /// Makes 0 this number.
    fn add(&mut self, number: u64) {
        self.0 = vec![low(number), low(number >> 32)];
        self.trim();
    }

    fn bits(&self) -> u32 {
        let Some(top) = self.0.last() else { return 0 };
        let below = u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX);
        below * 32 + (32 - top.leading_zeros())
    }

    fn shift_left(&mut self, bits: u32) {
        if self.0.is_empty() {
            return;
        }
        self.multiply(1 << (bits % 32), 0);
        let zeros = usize::try_from(bits / 32).unwrap_or(0);
        self.0.splice(0..0, std::iter::repeat_n(0, zeros));
    }

    /// Subtracts a number, if it is not more than this one; returns whether it did.
    fn take(&mut self, other: &Self) -> bool {
        let order = self.0.len().cmp(&other.0.len());
        if order.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev())) == Ordering::Less {
            return false;
        }
        let mut borrowed = false;
        for (digit, taken) in self.0.iter_mut().zip(other.0.iter().chain(std::iter::repeat(&0))) {
            let (less, under) = digit.overflowing_sub(*taken);
            let (less, again) = less.overflowing_sub(u32::from(borrowed));
            (*digit, borrowed) = (less, under || again);
        }
        self.trim();
        true
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }
}

/// The low half.
#[expect(clippy::cast_possible_truncation, reason = "cutting is what is asked for")]
fn low(number: u64) -> u32 {
    number as u32
}

impl fmt::Display for Big {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const STEP: u64 = 1_000_000_000;
        let mut rest = self.0.clone();
        let mut groups = Vec::new();
        while rest.iter().any(|digit| *digit != 0) {
            let mut carry = 0;
            for digit in rest.iter_mut().rev() {
                carry = carry << 32 | u64::from(*digit);
                *digit = low(carry / STEP);
                carry %= STEP;
            }
            groups.push(carry);
        }
        let Some(first) = groups.pop() else { return f.write_str("0") };
        write!(f, "{first}")?;
        groups.iter().rev().try_for_each(|group| write!(f, "{group:09}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Extended {
        match read(text.as_bytes()) {
            Some(Number::Finite(number)) => number,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn sums_have_the_digits_of_a_long_double() {
        for (a, b, sum) in [
            ("10.5", "0.1", "10.6"),
            ("10.6", "1000", "1010.59999999999999998"),
            ("1000.1", "0", "1000.09999999999999998"),
            ("1000.09999999999999998", "1.1", "1001.19999999999999996"),
            ("3.0e3", "200", "3200"),
            ("3000", "-3000", "0"),
            ("-0", "0", "0"),
            ("1e-18", "0", "0"),
            ("-1.5", "0.25", "-1.25"),
            (".5", "5.", "5.5"),
            ("18446744073709551615", "1", "18446744073709551616"),
            ("1e20", "0", "100000000000000000000"),
            ("-1e300", "1e300", "0"),
        ] {
            assert_eq!(number(a).plus(number(b)).unwrap().to_string(), sum, "{a} {b}");
            assert_eq!(number(b).plus(number(a)).unwrap().to_string(), sum, "{b} {a}");
        }
        let most = number("1.18973149535723176502e4932");
        assert_eq!(most.plus(most), None);
        assert!(number("1e300").to_string().starts_with("1000000000000000000008997324079"));
    }

    #[test]
    fn what_is_no_number_or_too_big_for_one_is_refused() {
        for text in
            ["", ".", "e5", "1e", "1e+", "x", "nan", " 1", "1 ", "0x10", "1e5000", "1e-5000"]
        {
            assert_eq!(read(text.as_bytes()), None, "{text:?}");
        }
        for text in ["inf", "-Infinity", "+INF"] {
            assert_eq!(read(text.as_bytes()), Some(Number::Infinite), "{text:?}");
        }
        let long = format!("1e{}", "9".repeat(5_000));
        assert_eq!(read(long.as_bytes()), None);
        assert_eq!(read(b"0e99999999999999999999"), Some(Number::Finite(Extended::ZERO)));
    }
}
