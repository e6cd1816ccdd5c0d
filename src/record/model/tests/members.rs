//! Keys that are no strings.

use super::*;

/// The scripts of a reentrant lock in a hash, as MONITOR shows them: A acquires, B is refused, A releases.
const ACQUIRE: &str =
    "EVALSHA acquire 1 l 30000 A:1\n exists l\n hincrby l A:1 1\n pexpire l 30000";
const AGAIN: &str =
    "EVALSHA acquire 1 l 30000 A:1\n exists l\n hexists l A:1\n hincrby l A:1 1\n pexpire l 30000";
const REFUSED: &str = "EVALSHA acquire 1 l 30000 B:1\n exists l\n hexists l B:1\n pttl l";
const RELEASE: &str =
    "EVALSHA release 1 l A:1\n hexists l A:1\n hincrby l A:1 -1\n del l\n publish c 0";
const PARTLY: &str = "EVALSHA release 1 l A:1\n hexists l A:1\n hincrby l A:1 -1\n pexpire l 30000";
const TOO_LATE: &str = "EVALSHA release 1 l A:1\n hexists l A:1";

fn of_b(script: &str) -> String {
    script.replace("A:1", "B:1")
}

#[test]
fn a_reentrant_lock_in_a_hash_is_followed() {
    let mut fed = Fed::new();
    fed.runs(1, ACQUIRE).runs(2, REFUSED).runs(1, AGAIN).runs(1, PARTLY).runs(2, REFUSED);
    let ended = fed.runs(11, RELEASE).runs(2, &of_b(ACQUIRE)).runs(2, &of_b(RELEASE)).ends();
    ended.is_clean();
    let Counts { acquisitions, refusals, releases, .. } = ended.counts;
    assert_eq!((acquisitions, refusals, releases), (2, 2, 2));
}

#[test]
fn a_reentrant_lock_that_expires_is_lost_and_the_next_holder_overlaps() {
    let mut fed = Fed::new();
    fed.runs(1, ACQUIRE).passes(30_000).expires("l").runs(2, &of_b(ACQUIRE));
    let ended = fed.runs(1, TOO_LATE).runs(2, &of_b(RELEASE)).ends();
    assert_eq!(
        (ended.found(), ended.reasons),
        (vec![Property::Overlap, Property::LeaseTooShort], Vec::new())
    );
}

#[test]
fn a_reentrant_lock_that_another_client_deletes_is_a_foreign_release() {
    let ended = Fed::new().runs(1, ACQUIRE).runs(2, "DEL l").runs(1, TOO_LATE).ends();
    assert_eq!((ended.found(), ended.reasons), (vec![Property::ForeignRelease], Vec::new()));
}

#[test]
fn a_former_holder_that_removes_its_field_in_vain_had_not_deleted_the_lock() {
    let take = |id: &str| format!("EVALSHA take 1 l {id}\n hlen l\n hset l {id} 1795999990");
    let leave = |id: &str| format!("EVALSHA leave 1 l {id}\n hdel l {id}");
    let mut fed = Fed::new();
    fed.runs(1, &take("job-1")).runs(1, &leave("job-1")).runs(1, &take("job-2"));
    let ended = fed.runs(11, "DEL l").runs(1, &leave("job-2")).ends();
    assert_eq!((ended.found(), ended.reasons), (vec![Property::ForeignRelease], Vec::new()));
}

#[test]
fn a_reentrant_lock_that_is_released_too_rarely_is_never_clean() {
    let ended = Fed::new().runs(1, ACQUIRE).runs(1, AGAIN).runs(1, PARTLY).runs(2, REFUSED).ends();
    ended.says("l: it was still held when the recording ended");
    assert_eq!((ended.found(), ended.counts.held), (Vec::new(), 1));
}

#[test]
fn a_field_that_names_the_holder_is_a_lock() {
    let mut fed = Fed::new();
    fed.runs(1, "HSETNX l owner token-1\nPEXPIRE l 30000\nHSET l since 5 pid 7");
    fed.runs(2, "HSETNX l owner token-2");
    let ended = fed.runs(1, "HGET l owner\nDEL l").ends();
    ended.is_clean();
    assert_eq!((ended.counts.acquisitions, ended.counts.refusals), (1, 1));
    assert!(ended.history.head.locks.contains(&"l[owner]".into()));
    let ended =
        Fed::new().runs(1, "HSET l owner me\nPEXPIRE l 30000").runs(2, "HSET l owner you").ends();
    assert!(ended.found().contains(&Property::ForeignOverwrite));
    let ended = Fed::new().runs(1, "HSETNX l job-1 a\nHSETNX l job-2 b\nHDEL l job-1 job-2").ends();
    ended.is_clean();
    let ended = Fed::new().runs(1, "HSETNX l job-1 a").runs(2, "HDEL l job-1").ends();
    assert_eq!(ended.found(), [Property::ForeignRelease]);
}

#[test]
fn a_hash_of_which_the_holder_is_unknown_is_not_followed() {
    for (commands, why) in [
        ("HSET l a x", "it holds a hash, and which of its fields names the holder is not known"),
        (
            "HINCRBY l A:1 1\nHINCRBY l B:1 1",
            "several fields of the hash hold it at once, and which may share it is not known",
        ),
        ("HINCRBY l A:1 1\nSET l token-1 NX", "SET may have changed it, which is not followed"),
        (
            "HSET l blocked_at 5",
            "it holds a hash, and which of its fields names the holder is not known",
        ),
        (
            "HINCRBY l hits 1",
            "it holds a hash, and which of its fields names the holder is not known",
        ),
        ("HINCRBY l A:1 1\nGETDEL l", "GET may have changed it, which is not followed"),
        ("ZADD l 1 a\nSADD l b", "SADD may have changed it, which is not followed"),
        ("ZADD l GT 1 a", "ZADD may have changed it, which is not followed"),
        ("ZADD l 1 a\nZPOPMIN l", "ZPOPMIN may have changed it, which is not followed"),
    ] {
        let ended = Fed::new().runs(1, commands).runs(2, "DEL l").ends();
        ended.says(&format!("l: {why}"));
        assert_eq!(ended.found(), [], "{commands}");
    }
}

#[test]
fn each_member_of_a_set_has_its_own_holder() {
    for [add, remove] in [["ZADD l 5", "ZREM l"], ["SADD l", "SREM l"]] {
        let mut fed = Fed::new();
        fed.runs(1, &format!("{add} token-1\nPEXPIRE l 9000"))
            .runs(2, &format!("{add} token-2\nPEXPIRE l 9000"));
        let ended =
            fed.runs(1, &format!("{remove} token-1")).runs(2, &format!("{remove} token-2")).ends();
        assert_eq!(ended.found(), [], "{add}");
        ended.says(
            "l: how many may hold it at once is not known, so whether too many did is not judged",
        );
        assert_eq!((ended.counts.acquisitions, ended.counts.releases), (2, 2), "{add}");
        let ended = Fed::new().runs(1, &format!("{add} token-1")).runs(2, "DEL l").ends();
        assert_eq!(ended.found(), [Property::ForeignRelease], "{add}");
    }
}

/// A script of a read-write lock in a hash, which names the field of its client.
fn of_readers(script: &str, id: &str) -> String {
    let commands = match script {
        "first" => "hset l mode read\n hset l ID 1\n pexpire l 9000",
        "next" => "hincrby l ID 1\n pexpire l 9000",
        "write" => "hset l mode write\n hset l ID 1\n pexpire l 9000",
        "leave" => "hexists l ID\n hincrby l ID -1\n hdel l ID\n hlen l",
        _ => "hexists l ID\n hincrby l ID -1\n hdel l ID\n hlen l\n del l",
    };
    format!("EVALSHA {script} 1 l ID\n hget l mode\n {commands}").replace("ID", id)
}

#[test]
fn a_read_write_lock_that_is_used_well_is_clean() {
    let run = |fed: &mut Fed, client: u16, script: &str, id: &str| {
        fed.runs(client, &of_readers(script, id));
    };
    let mut fed = Fed::new();
    for _ in 0..2 {
        run(&mut fed, 1, "first", "A:1");
        run(&mut fed, 2, "next", "B:1");
        run(&mut fed, 1, "leave", "A:1");
        run(&mut fed, 2, "last", "B:1");
        // The writer reads, too.
        run(&mut fed, 1, "write", "A:1:write");
        run(&mut fed, 1, "next", "A:1");
        run(&mut fed, 1, "leave", "A:1");
        run(&mut fed, 1, "last", "A:1:write");
    }
    let content =
        |mode: &str| Content::Hash(vec![("mode".into(), mode.into()), ("A:1".into(), "1".into())]);
    run(&mut fed, 1, "first", "A:1");
    fed.reads_content("l", content("read"), 8_999);
    run(&mut fed, 1, "last", "A:1");
    let ended = fed.ends();
    ended.is_clean();
    assert_eq!((ended.counts.acquisitions, ended.counts.releases), (9, 9));
    let mut fed = Fed::new();
    run(&mut fed, 1, "first", "A:1");
    let ended = fed.reads_content("l", content("write"), 8_999).ends();
    ended.says("l: it held something else than the commands that were seen had written");
}

#[test]
fn a_writer_that_shares_a_read_write_lock_is_never_clean() {
    let why =
        "l: a writer and another client held it at once, and which of them did wrong is not judged";
    for (first, next) in [("first", "write"), ("write", "next"), ("write", "write")] {
        let mut fed = Fed::new();
        fed.runs(1, &of_readers(first, "A:1")).runs(2, &of_readers(next, "B:1"));
        let ended =
            fed.runs(1, &of_readers("leave", "A:1")).runs(2, &of_readers("last", "B:1")).ends();
        ended.says(why);
        assert_eq!(ended.found(), [], "{first} {next}");
    }
    let ended = Fed::new()
        .runs(1, &of_readers("write", "A:1:write"))
        .runs(2, "DEL l")
        .runs(1, &of_readers("none", "A:1:write"))
        .ends();
    assert_eq!(ended.found(), [Property::ForeignRelease]);
    let mut fed = Fed::new();
    fed.runs(1, &of_readers("first", "A:1")).runs(2, "HDEL l mode");
    let ended = fed.runs(1, &of_readers("last", "A:1")).ends();
    ended.says("l: it is a read-write lock, and whether a writer shared it is not judged");
}

#[test]
fn one_permit_used_well_is_clean_and_tokens_share_a_position() {
    let mut fed = Fed::new();
    for token in ["a", "b", "c"] {
        fed.runs(1, &format!("ZADD l NX 1 {token}\nZREM l {token}"));
    }
    let ended = fed.ends();
    ended.is_clean();
    assert_eq!(ended.history.head.locks, ["l", "l[#1]"]);
}

#[test]
fn a_script_that_counts_the_members_and_adds_none_was_refused() {
    let take = |token: &str| format!("EVALSHA a 1 l {token}\n zcard l\n zadd l 1 {token}");
    let refused = "EVALSHA a 1 l b\n zcard l";
    let mut fed = Fed::new();
    fed.runs(1, &take("a"))
        .runs(2, refused)
        .runs(2, refused)
        .runs(2, "EVALSHA other 1 l b\n zcard l");
    let ended = fed.runs(1, "ZREM l a").runs(2, &take("b")).runs(2, "ZREM l b").ends();
    ended.is_clean();
    assert_eq!((ended.counts.acquisitions, ended.counts.refusals), (2, 2));
}

#[test]
fn members_whose_time_is_over_are_removed_by_their_scores() {
    let mut fed = Fed::new();
    fed.runs(1, "ZADD l 100 token-1").runs(2, "ZADD l 200 token-2");
    let ended = fed.runs(2, "ZREMRANGEBYSCORE l -inf 150\nZREM l token-2").ends();
    assert_eq!((ended.counts.releases, ended.counts.lost, ended.counts.held), (1, 1, 0));
    assert!(!ended.found().contains(&Property::ForeignRelease));
    let text = format!("{:?}", ended.history.events);
    assert!(text.contains("the lease stored in l[token-1] expires"), "{text}");
}

#[test]
fn the_members_of_a_key_are_compared_with_it() {
    let sorted = |members: &[(&str, f64)]| {
        Content::Sorted(members.iter().map(|(member, score)| ((*member).into(), *score)).collect())
    };
    let hash = |fields: &[(&str, &str)]| {
        Content::Hash(
            fields.iter().map(|(field, value)| ((*field).into(), (*value).into())).collect(),
        )
    };
    let zadd = "ZADD l 1 a 2 b";
    let differs = "it held something else than the commands that were seen had written";
    for (commands, content, why) in [
        (zadd, sorted(&[("a", 1.0), ("b", 2.0)]), None),
        (zadd, sorted(&[("a", 1.0), ("b", 3.0)]), Some(differs)),
        (zadd, sorted(&[("a", 1.0), ("b", 2.0), ("c", 2.0)]), Some(differs)),
        (
            zadd,
            sorted(&[("a", 1.0)]),
            Some("it was gone, and no command that was seen had removed it"),
        ),
        (ACQUIRE, hash(&[("A:1", "1")]), None),
        (ACQUIRE, hash(&[("B:1", "1")]), Some(differs)),
        (ACQUIRE, hash(&[("A:1", "1"), ("B:1", "1")]), Some(differs)),
        (ACQUIRE, Content::Text("A:1".into()), Some(differs)),
        ("HSETNX l owner me", hash(&[("owner", "me"), ("since", "5")]), None),
        ("HSETNX l owner me", hash(&[("owner", "you")]), Some(differs)),
        (
            "HSETNX l owner me",
            Content::Nothing,
            Some("it was gone, and no command that was seen had removed it"),
        ),
    ] {
        let ttl = if commands == ACQUIRE { 29_999 } else { -1 };
        let mut fed = Fed::new();
        let ended = fed.runs(1, commands).reads_content("l", content, ttl).ends();
        let differences = ended
            .reasons
            .iter()
            .filter(|reason| reason.contains("that were seen") || reason.contains("that was seen"));
        let differences: Vec<_> = differences.map(String::as_str).collect();
        assert_eq!(
            differences,
            why.map(|why| format!("l: {why}")).iter().collect::<Vec<_>>(),
            "{commands}"
        );
    }
}
