//! Locks that clients share by design: `probe` judges whether they are shared by more than may, and whether
//! all that is shared comes back.

use crate::probe::altered_all;
use crate::program::{Place, Program};

/// The lock in bash as a semaphore that counts its holders, and that lets this many in.
fn semaphore(place: &Place, permits: &str, holders: u32) -> String {
    semaphore_released_by(place, permits, holders, "ask DECR \"$1\"")
}

/// The same with another release.
fn semaphore_released_by(place: &Place, permits: &str, holders: u32, release: &str) -> String {
    let limit = format!(
        "ask INCR \"$1\" || return 2\n    (( ${{reply#:}} <= {holders} )) && return 0\n    ask DECR \"$1\"; return 1"
    );
    let first = format!("{{\"subject\": \"a semaphore\"{permits}}}");
    altered_all(
        place,
        &[
            ("{\"subject\": \"a lock in bash\"}", first.as_str()),
            ("ask SET \"$1\" \"$token\" NX PX \"$2\" || return 2\n    [[ $reply == +OK ]]", &limit),
            (
                "ask GET \"$1\" || return 2\n    [[ $reply == \"$token\" ]] || return 1\n    ask DEL \"$1\" || return 2\n    [[ $reply == :1 ]]",
                release,
            ),
        ],
    )
}

fn probe(subject: &str, rest: &[&str]) -> crate::program::Ended {
    let words = ["probe", "mutual_exclusion", "--max-time=1h", "--subject", subject];
    Program::new(words.iter().chain(rest)).run()
}

#[test]
fn a_semaphore_that_keeps_its_permits_passes_with_two_clients_more_than_permits() {
    let place = Place::new();
    let ended = probe(&semaphore(&place, ", \"permits\": 2", 2), &["--crashes=0"]);
    let text = ended.exits(0).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("none of double_grant, stuck_lock, unavailable in any of"), "{text}");
    assert!(text.contains("4 actors, each with a client of its own"), "{text}");
}

#[test]
fn a_semaphore_that_lets_too_many_in_is_broken_and_the_replay_shows_it() {
    let place = Place::new();
    let subject = semaphore(&place, ", \"permits\": 2", 3);
    let ended = probe(&subject, &["--crashes=0"]);
    let text = &ended.exits(1).stdout;
    assert!(text.contains("double_grant after"), "{text}");
    let word = text.split_whitespace().find(|word| word.contains("v1:mutual_exclusion")).unwrap();
    let replayed = Program::new(["replay", word.trim_matches('\''), "--subject", &subject]).run();
    replayed.exits(0);
}

/// No finding stands for what a release takes away from the other holders, or gives back too much.
#[test]
fn a_release_that_takes_or_frees_more_than_its_own_permit_is_broken_and_the_replay_shows_it() {
    for release in ["ask DEL \"$1\"", "ask DECR \"$1\"; ask DECR \"$1\"", "ask PEXPIRE \"$1\" 1"] {
        let place = Place::new();
        let subject = semaphore_released_by(&place, ", \"permits\": 2", 2, release);
        let ended = probe(&subject, &["--crashes=0", "--property=double_grant"]);
        let text = &ended.exits(1).stdout;
        assert!(text.contains("double_grant after"), "{release}: {text}");
        let word = text.split_whitespace().find(|word| word.contains("v1:mutual_exclusion"));
        let word = word.unwrap().trim_matches('\'');
        Program::new(["replay", word, "--subject", &subject]).run().exits(0);
    }
}

#[test]
fn with_too_few_clients_for_the_permits_double_grants_are_not_tried() {
    let place = Place::new();
    let subject = semaphore(&place, ", \"permits\": 2", 2);
    let ended = probe(&subject, &["--crashes=0", "--clients=3"]);
    let text = ended.exits(4).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("not tried: double_grant (it takes two clients more"), "{text}");
    assert!(text.contains("none of stuck_lock, unavailable in any"), "{text}");
}

#[test]
fn of_a_lock_with_any_number_of_permits_no_double_grant_is_judged() {
    let place = Place::new();
    let ended = probe(&semaphore(&place, ", \"permits\": 0", 99), &["--crashes=0"]);
    let text = ended.exits(0).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("judged: stuck_lock, unavailable; not judged: whether two"), "{text}");
}

#[test]
fn a_permit_that_a_crash_keeps_is_found() {
    let place = Place::new();
    let rest = ["--crashes=1", "--clients=2"];
    let ended = probe(&semaphore(&place, ", \"permits\": 2", 2), &rest);
    let text = ended.exits(1).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("stuck_lock after"), "{text}");
    // A counter says nothing of whose permit is left: it may be that of the client that crashed.
    let (_, sentence) = text.split_once("the lock is left behind").unwrap();
    assert!(sentence.trim_start().starts_with("client_1 crashed at step"), "{text}");
    assert!(!text.contains("'s token"), "{text}");
}

#[test]
fn a_shared_lock_that_does_not_say_so_is_told_how() {
    let place = Place::new();
    let ended = probe(&semaphore(&place, "", 2), &["--crashes=0"]);
    ended.exits(1).says(&["without any race, a second client acquired", "\"permits\": N"]);
}

#[test]
fn what_is_not_judged_of_shared_locks_and_what_is_no_way_to_share_is_refused() {
    let place = Place::new();
    let subject = semaphore(&place, ", \"permits\": 2", 2);
    let ended = probe(&subject, &["--property=foreign_release"]);
    ended.refuses(
        2,
        &["foreign_release is not judged of a lock that clients share", "double_grant"],
    );
    for (permits, why) in [
        (", \"permits\": 9", "no number from 0 to 8"),
        (", \"kinds\": [\"shared\"]", "must be [\"read\", \"write\"]"),
    ] {
        let place = Place::new();
        probe(&semaphore(&place, permits, 2), &[]).refuses(3, &[why]);
    }
}

/// The lock in bash for readers and writers, in two counters; `reads` is what a writer checks of readers.
fn read_write(place: &Place, reads: &str) -> String {
    read_write_released_by(place, reads, "DECR \"$1:r\"")
}

/// The same with another command with which readers release it.
fn read_write_released_by(place: &Place, reads: &str, release: &str) -> String {
    let acquire = format!(
        "kind=$(member kind)
    script='if redis.call(\"EXISTS\", KEYS[1]..\":w\") == 1 then return 0 end
        if ARGV[1] == \"write\" then
            if {reads} then return 0 end
            redis.call(\"SET\", KEYS[1]..\":w\", 1)
        else redis.call(\"INCR\", KEYS[1]..\":r\") end
        return 1'
    ask EVAL \"$script\" 1 \"$1\" \"$kind\" || return 2
    [[ $reply == :1 ]]"
    );
    let release = format!("if [[ $kind == write ]]; then ask DEL \"$1:w\"; else ask {release}; fi");
    altered_all(
        place,
        &[
            (
                "{\"subject\": \"a lock in bash\"}",
                "{\"subject\": \"a read-write lock\", \"kinds\": [\"read\", \"write\"]}",
            ),
            (
                "ask SET \"$1\" \"$token\" NX PX \"$2\" || return 2\n    [[ $reply == +OK ]]",
                &acquire,
            ),
            (
                "ask GET \"$1\" || return 2\n    [[ $reply == \"$token\" ]] || return 1\n    ask DEL \"$1\" || return 2\n    [[ $reply == :1 ]]",
                &release,
            ),
        ],
    )
}

#[test]
fn a_reader_that_takes_another_readers_share_away_is_broken() {
    let place = Place::new();
    let sound = "tonumber(redis.call(\"GET\", KEYS[1]..\":r\") or 0) > 0";
    let subject = read_write_released_by(&place, sound, "DEL \"$1:r\"");
    let ended = probe(&subject, &["--crashes=0", "--property=double_grant"]);
    assert!(ended.exits(1).stdout.contains("double_grant after"), "{ended:#?}");
    let ended = probe(&subject, &["--crashes=0", "--property=double_grant", "--clients=2"]);
    let text = ended.exits(4).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("it takes four clients: two readers and two writers"), "{text}");
}

#[test]
fn readers_share_a_lock_with_each_other_and_not_with_a_writer() {
    let place = Place::new();
    let sound = "tonumber(redis.call(\"GET\", KEYS[1]..\":r\") or 0) > 0";
    let ended = probe(&read_write(&place, sound), &["--crashes=0"]);
    assert!(ended.exits(0).stdout.contains("4 actors"), "{ended:#?}");
    let place = Place::new();
    let ended = probe(&read_write(&place, "false"), &["--crashes=0"]);
    let text = &ended.exits(1).stdout;
    assert!(text.contains("double_grant after") && text.contains("both hold"), "{text}");
}
