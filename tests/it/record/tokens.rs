//! What a token proves about whose a release was, and what it does not.

use super::evidence::judged;

const GIVEN: &str = "6f9619ff-8b86-4011-b42d-00c04fc964ff";

/// A script that compares a token and deletes the lock, if that is what it finds.
fn release(at: u64, client: char, token: &str, finds: bool) -> String {
    let delete = if finds { format!("{at} lua DEL l\n") } else { String::new() };
    format!("{at} {client} EVAL compare-and-delete 1 l {token}\n{at} lua GET l\n{delete}")
}

/// Fails unless nothing is found and the history is incomplete for this reason.
#[track_caller]
fn is_open(commands: &str, why: &str) {
    let (found, incomplete) = judged(commands);
    assert_eq!(found, [], "{incomplete:?}");
    assert!(incomplete.iter().any(|reason| reason.contains(why)), "{incomplete:?}");
}

#[track_caller]
fn is_foreign_release(commands: &str) {
    let (found, incomplete) = judged(commands);
    let is_it = found.iter().any(|(property, _)| property == "foreign_release");
    assert!(is_it, "{found:?} {incomplete:?}");
}

#[test]
fn one_token_for_threads_leaves_open_whose_release_it_was() {
    let (ours, theirs) = ("web-1:4711", "web-2:99");
    let two_hold = [
        format!("0 a SET l {ours} NX PX 5000\n20 b SET l {ours} NX PX 5000\n"),
        release(40, 'b', ours, true),
        format!("60 b SET l {ours} NX PX 5000\n"),
        release(80, 'a', ours, true),
        release(100, 'b', ours, false),
    ];
    is_open(&two_hold.concat(), "one value is the token of several");
    let with_a_bystander = [
        format!("0 a SET l {ours} NX PX 5000\n20 b SET l {ours} NX PX 5000\n"),
        release(40, 'b', ours, true),
        format!("60 c SET l {theirs} NX PX 5000\n"),
        release(80, 'a', ours, false),
        release(100, 'c', theirs, true),
    ];
    is_open(&with_a_bystander.concat(), "it was released again with the token");
}

/// The script looks with EXISTS before it writes, so a refusal shows nothing of the token.
#[test]
fn a_second_release_with_one_token_shows_that_several_have_it() {
    let script = |at: u64, client: char, finds: bool| {
        let delete = if finds { format!("{at} lua DEL l\n") } else { String::new() };
        format!("{at} {client} EVAL compare 1 l host-a\n{at} lua HGET l owner\n{delete}")
    };
    let hash = [
        "0 a EVAL take 1 l host-a\n0 lua EXISTS l\n0 lua HSET l owner host-a\n0 lua PEXPIRE l 5000\n".into(),
        "10 b EVAL take 1 l host-a\n10 lua EXISTS l\n".into(),
        script(20, 'b', true),
        "30 c EVAL take 1 l host-c\n30 lua EXISTS l\n30 lua HSET l owner host-c\n30 lua PEXPIRE l 5000\n".into(),
        script(40, 'a', false),
        "50 c EVAL compare 1 l host-c\n50 lua HGET l owner\n50 lua DEL l\n".into(),
    ];
    is_open(&hash.concat(), "it was released again with the token");
    let reentrant = [
        "0 a SET l web-1 NX PX 5000\n10 b SET l web-1 NX PX 5000\n11 b GET l\n".into(),
        release(20, 'a', "web-1", true),
        release(30, 'b', "web-1", false),
    ];
    is_open(&reentrant.concat(), "it was released again with the token");
}

/// The other thread looks before it tries, so it never tries with the token.
#[test]
fn a_token_of_several_acquisitions_vouches_for_no_release_over_another_connection() {
    let round = |at: u64| {
        format!(
            "{at} a SET l web-1 NX PX 5000\n{} b GET l\n{} b GET l\n{} b DEL l\n{} a GET l\n",
            at + 1,
            at + 2,
            at + 3,
            at + 9
        )
    };
    is_open(&[round(0), round(100), round(200)].concat(), "released over another connection");
}

#[test]
fn tasks_with_one_connection_and_one_token_can_not_be_told_apart() {
    let tasks = [
        "0 a SET l web-1 NX PX 5000\n10 a SET l web-1 NX PX 5000\n".into(),
        release(20, 'a', "web-1", true),
    ];
    is_open(&tasks.concat(), "it was asked for with the token that it was held with");
}

#[test]
fn threads_with_one_token_are_told_apart_by_connections_of_their_own() {
    let rounds = (0..4).map(|round| {
        let at = round * 100;
        let (first, second) = (release(at + 20, 'a', "web-1", true), release(at + 60, 'b', "web-1", true));
        format!(
            "{at} a SET l web-1 NX PX 5000\n{} b SET l web-1 NX PX 5000\n{first}{} b SET l web-1 NX PX 5000\n\
             {second}",
            at + 10,
            at + 40
        )
    });
    assert_eq!(judged(&rounds.collect::<String>()), (vec![], vec![]));
}

/// The lease of the first one expires; over which connection the second one releases the lock is chance.
#[test]
fn a_token_of_a_pool_accuses_no_client_of_the_other_ones_release() {
    let pool = [
        "0 a SET l web-1 NX PX 100\n150 b SET l web-1 NX PX 5000\n".into(),
        release(200, 'a', "web-1", true),
    ];
    is_open(&pool.concat(), "one value is the token of several");
}

/// A lock that one program acquires and another one releases.
fn handed_over(token: &str, between: &str) -> String {
    let names = "0 a CLIENT SETNAME web\n0 b CLIENT SETNAME worker\n";
    let again = release(600, 'a', token, false);
    format!(
        "{names}1 a SET l {token} NX PX 5000\n{between}{}{again}",
        release(50, 'b', token, true)
    )
}

#[test]
fn a_drawn_token_that_was_never_read_was_given_to_the_client_that_uses_it() {
    let names = "0 a CLIENT SETNAME web\n0 b CLIENT SETNAME worker\n";
    let commands = [
        format!("{names}1 a SET l {GIVEN} NX PX 5000\n5 a SET l other NX PX 5000\n"),
        release(50, 'b', GIVEN, true),
    ];
    assert_eq!(judged(&commands.concat()), (vec![], vec![]));
}

#[test]
fn a_token_that_may_be_made_is_no_sign_of_a_hand_over() {
    let names = "0 a CLIENT SETNAME web\n0 b CLIENT SETNAME worker\n";
    let commands =
        [format!("{names}1 a SET l job-17 NX PX 5000\n"), release(50, 'b', "job-17", true)];
    is_open(&commands.concat(), "whether the holder gave it that is unknown");
}

#[test]
fn a_token_that_was_read_or_used_again_was_not_given() {
    for read in ["GET l", "SET l mine NX GET", "GETRANGE l 0 -1", "EVAL return-it 1 l\n9 lua GET l"]
    {
        is_foreign_release(&handed_over(GIVEN, &format!("9 b {read}\n")));
    }
    let constant = handed_over("locked", "");
    let rounds =
        format!("{constant}700 a SET l locked NX PX 5000\n{}", release(710, 'a', "locked", true));
    is_foreign_release(&rounds);
}
