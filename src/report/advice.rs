//! What to do about the findings of a recording, in sentences.

use lock_history::check::{Finding, Property};

/// A sentence for each property that was violated, in the order of the findings. What follows from another
/// finding needs none.
pub(super) fn advice(findings: &[Finding]) -> Vec<String> {
    let mut seen: Vec<Property> = Vec::new();
    for finding in findings.iter().filter(|finding| finding.cause.is_none()) {
        if !seen.contains(&finding.property) {
            seen.push(finding.property);
        }
    }
    seen.into_iter().filter_map(of).map(str::to_owned).collect()
}

fn of(property: Property) -> Option<&'static str> {
    match property {
        Property::LeaseTooShort => {
            Some("set a longer TTL, or have the holder extend its lease while it works")
        }
        Property::ForeignRelease => {
            Some("release with one script that deletes the key only if it has the holder's token")
        }
        Property::ForeignExtend => {
            Some("extend with one script that sets the TTL only if the key has the holder's token")
        }
        Property::ForeignOverwrite => {
            Some("acquire with SET NX, and give each acquire a token of its own")
        }
        Property::DoubleGrant => {
            Some("acquire with one command or script that takes the lock only if it is free")
        }
        Property::Overlap | Property::LostUpdate | Property::FencingOrder => Some(
            "have the guarded resource check a fencing token: a paused holder may go on after its lease expires",
        ),
        Property::SilentLoss => Some(
            "have the release say whether the lock was still the holder's, and check its answer",
        ),
        Property::StuckLock => {
            Some("acquire with a TTL; nodb-trigger status KEY says how to release the lock")
        }
        Property::FlagDrift => Some("nodb-trigger repair RUN corrects the flag"),
        Property::Starvation => Some("let waiters queue, or wait a random time between attempts"),
        Property::Deadlock => {
            Some("acquire the locks in the same order everywhere, or give up after a time")
        }
        Property::Unavailable | Property::TokenDrift | Property::Registered(_) => None,
    }
}
