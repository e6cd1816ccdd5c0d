//! How long a lock lives without a release.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A lease in whole seconds, as the wire format has it (contract, sections 1 and 2): from one
/// second to [`Ttl::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Duration", into = "Duration")]
pub struct Ttl(u64);

/// Why a duration can't be a TTL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TtlError {
    /// Below one second; Redis would refuse it, or delete the lock at once.
    #[error("a TTL is at least 1s")]
    TooShort,
    /// Above [`Ttl::MAX`].
    #[error("a TTL is at most 365d")]
    TooLong,
    /// Not a whole number of seconds.
    #[error("a TTL is a whole number of seconds")]
    Fraction,
}

impl Ttl {
    /// The longest TTL: 365 days.
    pub const MAX: Ttl = Ttl(365 * 24 * 3600);
    /// The reference's default: 21600 s (contract, section 1).
    pub const DEFAULT: Ttl = Ttl(21_600);

    /// The TTL that a variable of the environment names, as the application reads it (contract,
    /// section 6, U10): a whole number of seconds, as Python writes it, of which those below 1 count as 1.
    /// Nothing if it is no such number: the application ignores it.
    ///
    /// # Errors
    ///
    /// [`TtlError::TooLong`] if it is above [`Ttl::MAX`].
    pub fn from_variable(text: &str) -> Result<Option<Self>, TtlError> {
        let seconds = whole_number(text);
        seconds.map(|seconds| Self::try_from(Duration::from_secs(seconds.max(1)))).transpose()
    }

    /// The TTL in seconds.
    pub fn seconds(self) -> u64 {
        self.0
    }

    /// The TTL as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

/// A whole number as Python reads it; one that is negative is 0, and one that is too large the
/// largest.
fn whole_number(text: &str) -> Option<u64> {
    let text = text.trim();
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
    if !digits.split('_').all(is_number) {
        return None;
    }
    let number = digits.replace('_', "").parse().unwrap_or(u64::MAX);
    Some(if is_negative { 0 } else { number })
}

impl Default for Ttl {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl From<Ttl> for Duration {
    fn from(ttl: Ttl) -> Self {
        ttl.duration()
    }
}

impl TryFrom<Duration> for Ttl {
    type Error = TtlError;

    fn try_from(duration: Duration) -> Result<Self, TtlError> {
        if duration < Duration::from_secs(1) {
            Err(TtlError::TooShort)
        } else if duration > Self::MAX.duration() {
            Err(TtlError::TooLong)
        } else if duration.subsec_nanos() != 0 {
            Err(TtlError::Fraction)
        } else {
            Ok(Self(duration.as_secs()))
        }
    }
}
