//! What `probe` looks at before it explores: whether the client's lock is one, and whether the scenario
//! can be played by clients from outside. Where not, there is no verdict.

use crate::probe::{altered, shipped};
use crate::program::{Place, Program};
use crate::redis_server::redis_or_skip;

const TAKE: &str = "ask SET \"$1\" \"$token\" NX PX \"$2\"";

#[test]
fn a_client_whose_lock_is_none_gets_no_verdict_and_the_reason() {
    // As if its release had not gone through: it deletes nothing and says that it did.
    let keeps = ("[[ $reply == :1 ]]", "true");
    let keeps = |place: &Place| {
        let subject = altered(place, keeps.0, keeps.1);
        let path = subject.strip_prefix("bash ").unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("ask DEL \"$1\"", "ask GET \"$1\"")).unwrap();
        subject
    };
    let altered =
        |from: &'static str, to: &'static str| move |place: &Place| altered(place, from, to);
    type Make<'a> = &'a dyn Fn(&Place) -> String;
    let cases: [(Make<'_>, &[&str]); 7] = [
        (&altered("[[ $reply == +OK ]]", "false"), &["acquire of the free lock", "was refused"]),
        (
            &altered(TAKE, "ask GET \"$1\"; reply=+OK"),
            &["two grants at once (double_grant)", "the client wrote no key at all"],
        ),
        (
            &altered(TAKE, "ask SET \"$1\" \"$token\" PX \"$2\""),
            &["a second client acquired nodb-lock:", "two grants at once (double_grant)"],
        ),
        (
            &altered(TAKE, "ask SET \"my:$1\" \"$token\" NX PX \"$2\""),
            &["does not exist; the client wrote my:nodb-lock:"],
        ),
        (&altered("[[ $reply == \"$token\" ]] || return 1", "return 1"), &["by its holder failed"]),
        (&keeps, &["left the key nodb-lock:", "instead of deleting it"]),
        (
            &altered("ask DEL \"$1\"", "ask PEXPIRE \"$1\" 5"),
            &["left the key nodb-lock:", "instead of deleting it", "is not judged yet"],
        ),
    ];
    for (make, words) in cases {
        let place = Place::new();
        let subject = make(&place);
        let ended = Program::new(["probe", "mutual_exclusion", "--subject", &subject]).run();
        ended.refuses(4, words).says(&["a lock in bash: no verdict: "]);
    }
}

#[test]
fn on_a_real_redis_a_lock_under_another_key_gets_no_verdict_and_leaves_nothing() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let subject = altered(&place, TAKE, "ask SET \"my:$1\" \"$token\" NX PX \"$2\"");
    let words = ["probe", "mutual_exclusion", "--subject", &subject, "--upstream", &redis.url()];
    Program::new(words).run().refuses(4, &["the client wrote my:nodb-lock:"]);
    redis.is_empty();
}

#[test]
fn a_scenario_that_clients_cannot_play_is_refused() {
    for (scenario, why) in [
        ("shared_token_slot", "threads that share one controller"),
        ("singleton_race", "threads that share one controller"),
        ("glob_clear", "has no instruction for plant_orphan"),
        ("clear_locks_race", "has no instruction for clear_locks"),
        ("blind_delete", "the step \"redis\" of \"holder\" is only for the lock protocol legacy"),
        (
            "killed_holder",
            "the step \"acquire\" of \"holder\" is only for the lock protocol legacy",
        ),
        ("set_then_flag", "is only for the lock protocol legacy"),
        ("force_unlock_recovery", "has no instruction for force_release"),
        ("cache_refresh", "has no instruction for get_instance"),
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
    let ended = Program::new(["probe", &file, "--subject", &shipped("bash.sh")]).run();
    assert!(ended.exits(0).stdout.contains("judged: stuck_lock;"), "{ended:#?}");
}
