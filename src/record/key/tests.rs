//! A key whose leases expire without a notification.

use super::*;

/// A command that read the clock and was stamped at this time, or up to so much earlier.
fn at(time: i64, earlier: i64) -> When {
    When { low: time - earlier, nominal: time, high: time }
}

fn by(client: u32, id: Id) -> Whose<'static> {
    Whose { id, client, gives_back: false, call: None, own: &[] }
}

const LEASE: Access = Access::Take(Until::In(100));

/// A lease of one client, and another one that asks for it when it may have ended.
fn in_doubt() -> Key {
    let mut key = Key::new(None, false);
    assert_eq!(key.act(by(1, 0), LEASE, at(0, 0)), [(0, Outcome::Took)]);
    assert_eq!(key.act(by(2, 1), LEASE, at(110, 20)), []);
    key
}

#[test]
fn nothing_is_in_doubt_where_the_server_notifies_of_expiry() {
    let mut key = Key::new(None, true);
    key.act(by(1, 0), LEASE, at(0, 0));
    assert_eq!(key.act(by(2, 1), LEASE, at(110, 20)), [(1, Outcome::Refused)]);
    key.expired();
    assert_eq!(key.act(by(2, 2), LEASE, at(110, 20)), [(2, Outcome::Took)]);
    assert_eq!((key.hypotheses.len(), key.undecided), (1, 0));
}

#[test]
fn where_the_server_no_longer_says_it_that_is_noticed() {
    let mut key = Key::new(None, true);
    key.act(by(1, 0), LEASE, at(0, 0));
    assert_eq!(key.act(by(2, 1), LEASE, at(2000, 20)), [(1, Outcome::Took)]);
    assert_eq!((key.contradictions, key.reports_expiry), (1, false));
}

#[test]
fn what_a_client_does_next_ends_a_doubt() {
    let mut key = in_doubt();
    let decided = key.claimed(2);
    assert_eq!(decided, [(1, Outcome::Took)]);
    assert_eq!((key.undecided, key.contradictions), (0, 0));
}

#[test]
fn a_doubt_that_nothing_ends_is_counted() {
    let mut key = in_doubt();
    assert_eq!(key.finish(), [(1, Outcome::Took)]);
    assert_eq!(key.undecided, 1);
}

#[test]
fn a_hypothesis_dropped_for_want_of_room_leaves_its_doubts() {
    let mut key = in_doubt();
    // Both leases are extended again and again, so both hypotheses stay as likely as they are.
    let mut decided = Decided::new();
    decided.extend(key.act(by(3, 2), Access::Expire(Until::Forever), at(112, 22)));
    for id in 3..LONGEST_LOG + 10 {
        decided.extend(key.act(by(3, id), LEASE, at(120, 0)));
    }
    assert_eq!(key.hypotheses.len(), 1);
    assert!(key.is_astray && key.undecided > 0);
    assert!(decided.contains(&(1, Outcome::Took)));
    let before = key.undecided;
    key.act(by(3, LONGEST_LOG + 20), Access::Read, at(121, 0));
    assert_eq!(key.undecided, before + 1, "what comes after it is in doubt, too");
    key.act(by(3, LONGEST_LOG + 21), Access::Delete, at(121, 0));
    key.act(by(3, LONGEST_LOG + 22), LEASE, at(121, 0));
    assert_eq!(key.undecided, before + 2, "until it is free for sure");
}

#[test]
fn hypotheses_with_the_same_holder_become_one() {
    let mut key = in_doubt();
    let hypothesis = key.hypotheses[1].clone();
    key.hypotheses[0].held = hypothesis.held;
    key.unite();
    assert_eq!(key.hypotheses.len(), 1);
    assert_eq!(key.doubted.iter().copied().collect::<Vec<_>>(), [1]);
}
