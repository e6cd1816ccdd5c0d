//! What `probe` looks at before it explores: whether the client's lock is one, and whether the scenario
//! can be played by clients from outside. Where not, there is no verdict.

use crate::probe::{altered, altered_all, shipped};
use crate::program::{Ended, Place, Program};
use crate::redis_server::redis_or_skip;

const TAKE: &str = "ask SET \"$1\" \"$token\" NX PX \"$2\"";

/// Probes without crashes: the first stage is enough here.
fn probe(subject: &str, rest: &[&str]) -> Ended {
    let words = ["probe", "mutual_exclusion", "--crashes=0", "--max-time=1h", "--subject", subject];
    Program::new(words.iter().chain(rest)).run()
}

#[test]
fn a_client_whose_lock_is_none_gets_no_verdict_and_the_reason() {
    let altered =
        |from: &'static str, to: &'static str| move |place: &Place| altered(place, from, to);
    type Make<'a> = &'a dyn Fn(&Place) -> String;
    let cases: [(Make<'_>, &[&str]); 3] = [
        (&altered("[[ $reply == +OK ]]", "false"), &["acquire of the free lock", "was refused"]),
        (&altered("[[ $reply == \"$token\" ]] || return 1", "return 1"), &["by its holder failed"]),
        (
            &altered(TAKE, "ask SET \"my:$1\" \"$token\" NX PX \"$2\""),
            &["the release of my:nodb-lock:", "by its holder failed"],
        ),
    ];
    for (make, words) in cases {
        let place = Place::new();
        let subject = make(&place);
        let ended = probe(&subject, &[]);
        ended.refuses(4, words).says(&["a lock in bash: no verdict: "]);
    }
}

/// The holder's release is right to fail: its lock was taken away.
#[test]
fn a_refused_client_that_changes_the_lock_is_broken() {
    for (does, property) in [
        ("ask DEL \"$1\"", "foreign_release"),
        ("ask SET \"$1\" \"$token\" PX \"$2\"", "foreign_overwrite"),
    ] {
        let place = Place::new();
        let refused = format!("[[ $reply == +OK ]] || {{ {does}; return 1; }}");
        let subject = altered(&place, "[[ $reply == +OK ]]", &refused);
        let ended = probe(&subject, &[]);
        let text =
            &ended.exits(1).says(&["after a second client's acquire had been refused"]).stdout;
        assert!(text.contains(&format!("{property} after")), "{ended:#?}");
        let word = text.split_whitespace().find(|word| word.contains("v1:mutual_exclusion"));
        let word = word.unwrap().trim_matches('\'');
        Program::new(["replay", word, "--subject", &subject]).run().exits(0);
    }
}

/// What follows from a foreign release is left out of `double_grant`, and so only where that is judged.
#[test]
fn double_grants_alone_are_not_tried_where_foreign_releases_are_possible() {
    let place = Place::new();
    let subject = altered(&place, "[[ $reply == \"$token\" ]] || return 1", "true");
    let ended = probe(&subject, &["--property=double_grant", "--clients=3"]);
    let text = ended.exits(4).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("not tried: double_grant (foreign_release is possible"), "{text}");
}

/// What a server answers to one client only, and what scripts ask of values, is the same as on a real server.
#[test]
fn tokens_that_are_client_ids_and_scripts_that_measure_tokens_get_a_verdict() {
    let measures = "ask EVAL \"local v = redis.call('GET', KEYS[1])\n\
                    if v and #v == 32 and v == ARGV[1] then return redis.call('DEL', KEYS[1]) end\n\
                    return 0\" 1 \"$1\" \"$token\"";
    let compares = "ask DELEX \"$1\" IFEQ \"$token\"";
    let draws = "token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \\n')";
    let look = "ask GET \"$1\" || return 2\n    [[ $reply == \"$token\" ]] || return 1\n    ";
    for (token, release) in [("ask CLIENT ID; token=${reply#:}", compares), (draws, measures)] {
        let place = Place::new();
        let words = [(draws, token), (look, ""), ("ask DEL \"$1\"", release)];
        let subject = altered_all(&place, &words);
        let ended = probe(&subject, &[]);
        assert!(ended.exits(0).stdout.contains("PASS"), "{ended:#?}");
    }
    let place = Place::new();
    let hashes = measures.replace("#v == 32 and v", "redis.sha1hex(v)");
    let subject = altered_all(&place, &[(look, ""), ("ask DEL \"$1\"", &hashes)]);
    probe(&subject, &[]).refuses(3, &["redis.sha1hex", "digests are not followed"]);
}

#[test]
fn a_release_that_does_nothing_gets_no_verdict_where_no_ordering_shows_it() {
    // It deletes nothing and says that it did; the lock is free when its lease has expired.
    let place = Place::new();
    let subject = altered(&place, "ask DEL \"$1\" || return 2\n    [[ $reply == :1 ]]", "true");
    let ended = probe(&subject, &[]);
    let why = "could not acquire the lock after its holder had released it";
    ended.exits(4).says(&["no verdict: ", why, "mutual_exclusion does not show that"]);
}

/// The lock in bash, but under keys with a prefix of its own.
fn prefixed(place: &Place) -> String {
    altered(place, "\"$(member lock)\"", "\"my:$(member lock)\"")
}

#[test]
fn a_lock_under_another_key_than_the_one_told_is_watched_there() {
    let place = Place::new();
    let subject = prefixed(&place);
    let ended = probe(&subject, &[]);
    let text = &ended.exits(1).says(&["keeps nodb-lock:", " under my:nodb-lock:"]).stdout;
    assert!(text.contains("foreign_release"), "{ended:#?}");
    let word = text.split_whitespace().find(|word| word.contains("v1:mutual_exclusion")).unwrap();
    let replayed = Program::new(["replay", word.trim_matches('\''), "--subject", &subject]).run();
    replayed.exits(0);
}

#[test]
fn on_a_real_redis_a_lock_under_another_key_is_watched_there_and_leaves_nothing() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let subject = prefixed(&place);
    let ended = probe(&subject, &["--upstream", &redis.url()]);
    assert!(ended.exits(1).stdout.contains("foreign_release"));
    redis.is_empty();
}

#[test]
fn a_client_that_writes_several_keys_which_all_stay_is_refused_with_their_names() {
    let place = Place::new();
    let take = "ask SET \"my:$1\" x PX \"$2\"; ask SET \"our:$1\" \"$token\" NX PX \"$2\"";
    let subject = altered(&place, TAKE, take);
    let ended = probe(&subject, &[]);
    ended.refuses(3, &["my:nodb-lock:", "our:nodb-lock:", "which of these holds the lock"]);
}

#[test]
fn a_lock_that_is_granted_twice_is_broken_under_every_timing() {
    let unconditional = "ask SET \"$1\" \"$token\" PX \"$2\"";
    let looks_first = format!("ask GET \"$1\"; [[ $reply ]] && return 1; {unconditional}");
    let locks_nothing = "ask GET \"$1\"; reply=+OK";
    for (take, says) in [
        (unconditional, "without any race"),
        (&looks_first, ""),
        (locks_nothing, "without any race"),
    ] {
        for timing in ["async", "strict"] {
            let place = Place::new();
            let subject = altered(&place, TAKE, take);
            let ended = probe(&subject, &["--timing", timing]);
            let text = &ended.exits(1).stdout;
            assert!(text.contains("double_grant") && text.contains("both hold"), "{ended:#?}");
            ended.says(&[says]);
        }
    }
}

#[test]
fn a_release_takes_a_lock_away_by_whatever_command() {
    for release in ["DEL \"$1\"", "PEXPIRE \"$1\" 1", "EXPIRE \"$1\" 0", "SET \"$1\" free PX 1"] {
        let place = Place::new();
        let told = format!("ask {release} || return 2\n    true; [[ $reply ]]");
        let subject = altered(&place, "ask DEL \"$1\" || return 2\n    [[ $reply == :1 ]]", &told);
        let ended = probe(&subject, &[]);
        let text = &ended.exits(1).stdout;
        assert!(text.contains("foreign_release"), "{release}: {ended:#?}");
    }
}

#[test]
fn tokens_times_and_names_of_any_length_get_a_verdict() {
    let draw = "token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \\n')";
    let short = "token=$(( (RANDOM * 32768 + RANDOM) % 900000 + 100000 ))";
    for (from, to) in [
        (draw, short.to_owned()),
        (draw, "token=$(date +%s%N)".to_owned()),
        (TAKE, format!("ask SET \"since:$1\" $(date +%s); {TAKE}")),
        (TAKE, format!("ask SET \"since:$1\" $(date +%s%3N) PX 1000; {TAKE}")),
        (draw, "ask INCR fence || return 2; token=${reply#:}".to_owned()),
        (draw, format!("{draw}; token=host:$$:$token\\|$(date +%s)")),
        // Numbers just below the lease, which are none, as a process may have.
        (draw, "token=$((29000 + $$ % 1000))".to_owned()),
        (draw, format!("{draw}; token=host:$((29000 + $$ % 1000)):$token")),
    ] {
        let place = Place::new();
        let subject = altered(&place, from, &to);
        let ended = probe(&subject, &[]);
        let text = &ended.exits(1).stdout;
        assert!(text.contains("foreign_release"), "{to}: {ended:#?}");
        let word = text.split_whitespace().find(|word| word.contains("v1:mutual_")).unwrap();
        let replay = ["replay", word.trim_matches('\''), "--subject", &subject];
        Program::new(replay).run().exits(0);
    }
}

#[test]
fn a_script_that_takes_a_value_apart_finds_in_it_what_the_client_wrote() {
    let place = Place::new();
    let value = "\"{\\\"owner\\\": \\\"$token\\\", \\\"until\\\": $(date +%s%3N)}\"";
    let take = TAKE.replace("\"$token\"", value);
    let path = altered(&place, TAKE, &take);
    let path = path.strip_prefix("bash ").unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let compares = "ask GET \"$1\" || return 2\n    [[ $reply == \"$token\" ]] || return 1\n    \
                    ask DEL \"$1\" || return 2";
    let script = "local held = redis.call(\"GET\", KEYS[1]) \
                  if held and cjson.decode(held).owner == ARGV[1] then \
                  return redis.call(\"DEL\", KEYS[1]) end return 0";
    let in_one = format!("ask EVAL '{script}' 1 \"$1\" \"$token\" || return 2");
    assert!(text.contains(compares));
    std::fs::write(path, text.replace(compares, &in_one)).unwrap();
    let subject = format!("bash {path}");
    let ended = Program::new(["probe", "mutual_exclusion", "--subject", &subject]).run();
    assert!(ended.exits(0).stdout.contains("none of double_grant"), "{ended:#?}");
}

#[test]
fn a_long_name_that_clients_share_is_a_constant_also_where_it_comes_late() {
    let place = Place::new();
    let forces = format!(
        "{TAKE} || return 2\n    [[ $reply == +OK ]] && return\n    ask INCR refusals; [[ $reply == :2 ]] \
         || return 1\n    ask INCR forced-by-the-second-one; [[ $reply == :1 ]] || return 1\n    \
         ask SET \"$1\" \"$token\" PX \"$2\""
    );
    let subject = altered(&place, &format!("{TAKE} || return 2"), &forces);
    let strict = ["--property", "double_grant", "--timing", "strict"];
    let ended = probe(&subject, &[&["--param", "clients=3"], &strict[..]].concat());
    assert!(ended.exits(1).stdout.contains("both hold the lock"), "{ended:#?}");
}

#[test]
fn a_client_that_remembers_a_lost_reply_is_explored_with_what_it_remembers() {
    let place = Place::new();
    let take = "trouble=; ask SET \"$1\" \"$token\" NX PX \"$2\" || { trouble=1; reset; \
                ask GET \"$1\"; reply=${reply/$token/+OK}; }";
    let path = altered(&place, &format!("{TAKE} || return 2"), take);
    let path = path.strip_prefix("bash ").unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let compares = "ask GET \"$1\" || return 2\n    [[ $reply == \"$token\" ]] || return 1\n    \
                    ask DEL \"$1\" || return 2";
    let script = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) \
                  end return 0";
    let remembers = format!(
        "if [[ $trouble ]]; then ask DEL \"$1\"; else ask EVAL \"{script}\" 1 \"$1\" \"$token\"; fi \
         || return 2"
    );
    assert!(text.contains(compares), "{text}");
    std::fs::write(path, text.replace(compares, &remembers)).unwrap();
    let subject = format!("bash {path}");
    let found = probe(&subject, &["--faults=1"]);
    assert!(found.exits(1).stdout.contains("foreign_release"), "{found:#?}");
    assert!(probe(&subject, &[]).exits(0).stdout.contains("none of double_grant"));
}

#[test]
fn a_scenario_that_clients_cannot_play_is_refused() {
    for (scenario, why) in [
        ("shared_token_slot", "threads that share one controller"),
        ("singleton_race", "threads that share one controller"),
        ("forked_child", "threads that share one controller"),
        ("dirty_memory", "threads that share one controller"),
        ("islocked_race", "does not say that it can \"islocked\""),
        ("glob_clear", "has no instruction for plant_orphan"),
        ("clear_locks_race", "does not say that it can \"clear\""),
        ("blind_delete", "the step \"redis\" of \"holder\" is only for the lock protocol legacy"),
        (
            "killed_holder",
            "the step \"acquire\" of \"holder\" is only for the lock protocols legacy, current",
        ),
        ("set_then_flag", "is only for the lock protocol"),
        ("force_unlock_recovery", "does not say that it can \"force_release\""),
        ("cache_refresh", "does not say that it can \"get_instance\""),
        ("orphaned_locks", "has no instruction for plant_orphan"),
    ] {
        let ended = Program::new(["probe", scenario, "--subject", &shipped("bash.sh")]).run();
        ended.refuses(2, &[scenario, "can't be probed", why]);
    }
}

/// A scenario with these steps for each of `count` actors.
fn scenario(place: &Place, count: u32, steps: &str) -> String {
    let file = place.at("own.toml");
    let text = format!(
        "format = 1\nname = \"own\"\ntitle = \"Own.\"\ntext = \"Own.\"\nhazards = []\n[locks.main]\n\
         [[actors]]\nname = \"one\"\ncount = {count}\nstart = \"together\"\nsteps = [{steps}]\n"
    );
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn what_would_be_true_of_nothing_is_refused() {
    let acquires = r#"{ acquire = "main" }, { release = "main" }"#;
    let forgets = r#"{ acquire = "main" }, { forget_token = "main" }, { release = "main" }"#;
    for (count, steps, flags, why) in [
        (2, r#"{ work = "1s" }"#, &[][..], "it never acquires a lock"),
        (2, forgets, &[], "has no instruction for forget_token"),
        (1, acquires, &["--property=overlap"], "has one actor, and overlap takes two"),
    ] {
        let place = Place::new();
        let words = ["probe", &scenario(&place, count, steps), "--subject", &shipped("bash.sh")];
        Program::new(words.iter().chain(flags)).run().refuses(2, &[why]);
    }
}

#[test]
fn one_actor_is_judged_only_for_what_one_can_do() {
    let place = Place::new();
    let file = scenario(&place, 1, r#"{ acquire = "main" }, { release = "main" }"#);
    let ended =
        Program::new(["probe", &file, "--crashes=0", "--subject", &shipped("bash.sh")]).run();
    let text = ended.exits(0).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("judged: stuck_lock, unavailable;"), "{ended:#?}");
}
