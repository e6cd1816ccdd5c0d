//! Locks that clients share by design: `probe` judges whether they are shared by more than may, and whether
//! all that is shared comes back.

use crate::probe::altered_all;
use crate::program::{Place, Program};

/// The lock in bash as a semaphore that counts its holders, and that lets this many in.
fn semaphore(place: &Place, permits: &str, holders: u32) -> String {
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
                "ask DECR \"$1\"",
            ),
        ],
    )
}

fn probe(subject: &str, rest: &[&str]) -> crate::program::Ended {
    let words = ["probe", "mutual_exclusion", "--max-time=1h", "--subject", subject];
    Program::new(words.iter().chain(rest)).run()
}

#[test]
fn a_semaphore_that_keeps_its_permits_passes_with_one_client_more_than_permits() {
    let place = Place::new();
    let ended = probe(&semaphore(&place, ", \"permits\": 2", 2), &["--crashes=0"]);
    let text = ended.exits(0).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("none of double_grant, stuck_lock, unavailable in any of"), "{text}");
    assert!(text.contains("3 actors, each with a client of its own"), "{text}");
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

#[test]
fn a_permit_that_a_crash_keeps_is_found() {
    let place = Place::new();
    let rest = ["--crashes=1", "--clients=2"];
    let ended = probe(&semaphore(&place, ", \"permits\": 2", 2), &rest);
    assert!(ended.exits(1).stdout.contains("stuck_lock after"), "{ended:#?}");
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
    let release = "if [[ $kind == write ]]; then ask DEL \"$1:w\"; else ask DECR \"$1:r\"; fi";
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
                release,
            ),
        ],
    )
}

#[test]
fn readers_share_a_lock_with_each_other_and_not_with_a_writer() {
    let place = Place::new();
    let sound = "tonumber(redis.call(\"GET\", KEYS[1]..\":r\") or 0) > 0";
    let ended = probe(&read_write(&place, sound), &["--crashes=0"]);
    assert!(ended.exits(0).stdout.contains("3 actors"), "{ended:#?}");
    let place = Place::new();
    let ended = probe(&read_write(&place, "false"), &["--crashes=0"]);
    let text = &ended.exits(1).stdout;
    assert!(text.contains("double_grant after") && text.contains("both hold"), "{text}");
}
