//! A key with leases that end where nobody says so.

use super::*;

/// A command that read the clock and was stamped at this time, or up to so much earlier.
fn at(time: i64, earlier: i64) -> When {
    When { low: time - earlier, nominal: time, high: time }
}

fn by(client: u32, id: Id) -> Whose {
    Whose { id, client, gives_back: false, call: None }
}

const LEASE: Deed = Deed::Take(Until::In(100));

/// A lease of one client, and another one that asks for it when it may have ended.
fn in_doubt() -> Key {
    let mut key = Key::new(None, false);
    assert_eq!(key.act(by(1, 0), LEASE, at(0, 0)), [(0, Outcome::Took)]);
    assert_eq!(key.act(by(2, 1), LEASE, at(110, 20)), []);
    key
}

#[test]
fn nothing_is_in_doubt_where_the_server_says_when_a_lease_ends() {
    let mut key = Key::new(None, true);
    key.act(by(1, 0), LEASE, at(0, 0));
    assert_eq!(key.act(by(2, 1), LEASE, at(110, 20)), [(1, Outcome::Refused)]);
    key.expired();
    assert_eq!(key.act(by(2, 2), LEASE, at(110, 20)), [(2, Outcome::Took)]);
    assert_eq!((key.worlds.len(), key.undecided), (1, 0));
}

#[test]
fn where_the_server_no_longer_says_it_that_is_noticed() {
    let mut key = Key::new(None, true);
    key.act(by(1, 0), LEASE, at(0, 0));
    assert_eq!(key.act(by(2, 1), LEASE, at(2000, 20)), [(1, Outcome::Took)]);
    assert_eq!((key.contradictions, key.tells_expiry), (1, false));
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
fn a_world_that_is_given_up_for_want_of_room_leaves_its_doubts() {
    let mut key = in_doubt();
    // Both leases go on and on, so both worlds stay as likely as they are.
    let mut decided = Decided::new();
    decided.extend(key.act(by(3, 2), Deed::Expire(Until::Forever), at(112, 22)));
    for id in 3..LONGEST_LOG + 10 {
        decided.extend(key.act(by(3, id), LEASE, at(120, 0)));
    }
    assert_eq!(key.worlds.len(), 1);
    assert!(key.is_astray && key.undecided > 0);
    assert!(decided.contains(&(1, Outcome::Took)));
    let before = key.undecided;
    key.act(by(3, LONGEST_LOG + 20), Deed::Read, at(121, 0));
    assert_eq!(key.undecided, before + 1, "what comes after it is in doubt, too");
    key.act(by(3, LONGEST_LOG + 21), Deed::Delete, at(121, 0));
    key.act(by(3, LONGEST_LOG + 22), LEASE, at(121, 0));
    assert_eq!(key.undecided, before + 2, "until it is free for sure");
}

#[test]
fn worlds_become_one_where_the_same_holds_now() {
    let mut key = in_doubt();
    let world = key.worlds[1].clone();
    key.worlds[0].held = world.held;
    key.unite();
    assert_eq!(key.worlds.len(), 1);
    assert_eq!(key.doubted.iter().copied().collect::<Vec<_>>(), [1]);
}
