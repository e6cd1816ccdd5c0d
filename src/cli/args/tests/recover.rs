//! The arguments of `unlock`, `clear_locks` and `repair`.

use super::*;

#[test]
fn the_helps_of_recovery_fit_a_screen_and_have_examples() {
    for command in ["unlock", "clear_locks", "repair"] {
        let said = help(&[command, "--help"]);
        assert!(said.lines().count() <= 42, "{} lines:\n{said}", said.lines().count());
        assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
        assert!(said.contains(&format!("  nodb-trigger {command} my-run")), "{said}");
    }
}

#[test]
fn what_is_to_be_recovered_is_read() {
    let words = ["unlock", "ab", "x.nodb", "--token", "0f3a9c41", "--force"];
    let Request::Unlock(args) = parse_words(&words).unwrap() else { panic!("not unlocked") };
    assert_eq!((args.run.as_str(), args.file.as_deref()), ("ab", Some("x.nodb")));
    assert_eq!((args.token.as_deref(), args.force), (Some("0f3a9c41"), true));
    assert!(!args.options.dry_run);
    for name in ["clear_locks", "clear-locks"] {
        let words = [name, "ab", "--scope=_pups", "--dry-run", "--quiet", "--format=json"];
        let Request::ClearLocks(args) = parse_words(&words).unwrap() else { panic!("{name}") };
        assert_eq!(args.scope.as_deref(), Some("_pups"));
        assert!(args.options.dry_run && args.options.quiet && !args.force);
        assert_eq!(args.options.format, CheckFormat::Json);
    }
    let Request::Repair(args) = parse_words(&["repair", "--all"]).unwrap() else { panic!() };
    assert_eq!(args.run, None);
    assert!(refused(&["repair"]).contains("<RUNID|DIRECTORY|--all>"));
    assert!(refused(&["status", "ab", "--all"]).contains("status [OPTIONS] [RUNID|DIRECTORY|KEY]"));
    assert!(refused(&["repair", "ab", "--all"]).contains("--all"));
    let Request::Unlock(args) = parse_words(&["unlock", "lock:a"]).unwrap() else { panic!() };
    assert_eq!((args.run.as_str(), args.file), ("lock:a", None));
    assert!(refused(&["unlock"]).contains("RUN|KEY"));
    for words in [
        &["clear_locks"][..],
        &["clear_locks", "ab", "--all"],
        &["clear_locks", "--all", "--pattern=a*"],
        &["clear_locks", "--all", "--scope=_pups"],
        &["clear_locks", "--all", "--yes"],
    ] {
        refused(words);
    }
}
