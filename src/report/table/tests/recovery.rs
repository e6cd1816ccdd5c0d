//! What `unlock`, `clear_locks` and `repair` print.

use super::*;
use crate::report::Recovery;
use crate::report::recovery::{Counts, FlagOutcome, FlagRow, Life, LockRow, Outcome};

fn lock(file: &str, owner: &str, outcome: Outcome, why: &str) -> LockRow {
    let token = "0f3a9c41d2b7488f9e0a1b2c3d4e5f60";
    let payload = format!(r#"{{"token":"{token}","owner":"{owner}","acquired_at":1700000000}}"#);
    LockRow {
        runid: "my-run".into(),
        file: file.into(),
        key: format!("nodb-lock:my-run:{file}"),
        outcome,
        why: why.into(),
        owner: Some(owner.into()),
        process: Some(Life::Alive { command: "python worker.py --name=a\u{1b}[2J".into() }),
        acquired_at: Some(1_700_000_000),
        held_s: Some(11_045),
        token: Some(token.into()),
        fence: Some(17),
        ttl_ms: 10_554_999,
        put_back: (outcome == Outcome::Removed).then(|| {
            format!("redis-cli -h db1 -p 6379 SET nodb-lock:my-run:{file} '{payload}' NX PX 9")
        }),
        take_away: (outcome == Outcome::Left)
            .then(|| format!("nodb-trigger unlock my-run {file} --token 0f3a9c41 --force")),
        payload: Some(payload),
        payload_hex: None,
    }
}

fn flag(file: &str, was: Option<&str>, right: bool, outcome: FlagOutcome) -> FlagRow {
    let (runid, was) = ("my-run".into(), was.map(str::to_owned));
    FlagRow { runid, file: file.into(), was, right, outcome, why: String::new() }
}

fn recovery(command: &'static str, locks: Vec<LockRow>, flags: Vec<FlagRow>) -> Recovery {
    let mut recovery = Recovery {
        schema: Recovery::SCHEMA,
        command,
        server: "redis://db1:6379".into(),
        runid: Some("my-run".into()),
        scope: None,
        database: None,
        dry_run: false,
        force: false,
        stopped: None,
        unknown: None,
        counts: Counts::default(),
        locks,
        flags,
        keys: Vec::new(),
        similar: Vec::new(),
    };
    recovery.count();
    recovery
}

fn assert_drawn(name: &str, recovery: &Recovery) {
    for width in [40, 80] {
        let mut bytes = Vec::new();
        let style = Style { width, color: false };
        match recovery.command {
            "unlock" => write_unlock(recovery, style, &mut bytes).unwrap(),
            _ => write_recovery(recovery, style, &mut bytes).unwrap(),
        }
        let text = String::from_utf8(bytes).unwrap();
        let is_command = |line: &&str| line.contains(": redis-cli") || line.contains(": nodb-");
        let widest = text.lines().filter(|line| !is_command(line)).map(unicode_columns).max();
        assert!(widest <= Some(width.into()), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert_golden(&format!("recovery-{name}-{width}.txt"), &text);
    }
}

#[test]
fn golden_unlock() {
    let of_one = |row: LockRow| recovery("unlock", vec![row], Vec::new());
    let dead = lock("wepp.nodb", "web1:4711", Outcome::Removed, "the owner's process is gone");
    let dead = LockRow { process: Some(Life::Dead), ..dead };
    assert_drawn("removed", &of_one(dead));
    let why = "the owner's process lives";
    assert_drawn("left", &of_one(lock("_pups/omni/wepp.nodb", "web1:4711", Outcome::Left, why)));
    let mut nothing = recovery("unlock", Vec::new(), Vec::new());
    nothing.scope = Some("x.nodb".into());
    assert_drawn("nothing", &nothing);
}

#[test]
fn golden_clear_locks() {
    let other = "the owner is on another host, so it can't be told whether it lives";
    let locks = vec![
        lock("wepp.nodb", "web1:4711", Outcome::Removed, "the owner's process is gone"),
        lock("climate.nodb", "web1:17", Outcome::Left, "the owner's process lives"),
        lock("_pups/omni/ロック\u{202e}\n.nodb", "web2:1\u{1b}[31m", Outcome::Left, other),
        lock("a.nodb", "web1:18", Outcome::Changed, "somebody else has taken it meanwhile"),
        lock("b.nodb", "web1:19", Outcome::Gone, "nobody held it any more"),
    ];
    let flags = vec![
        flag("soils.nodb", Some("true"), false, FlagOutcome::Set),
        flag("climate.nodb", None, true, FlagOutcome::Set),
        flag("roads.nodb", Some("tr\u{7}ue"), false, FlagOutcome::RightByNow),
    ];
    let mut cleared = recovery("clear_locks", locks, flags);
    assert_drawn("cleared", &cleared);

    cleared.locks.truncate(1);
    cleared.locks.push(LockRow {
        outcome: Outcome::Failed,
        ..lock("x.nodb", "web1:20", Outcome::Failed, "EVALSHA \"x\": lost the connection")
    });
    cleared.locks.push(lock("y.nodb", "web1:21", Outcome::NotTried, ""));
    cleared.flags.iter_mut().for_each(|row| row.outcome = FlagOutcome::NotTried);
    cleared.stopped = Some("EVALSHA \"x\": lost the connection".into());
    cleared.count();
    assert_drawn("stopped", &cleared);
}

#[test]
fn golden_repair() {
    let flags = vec![
        flag("soils.nodb", Some("true"), false, FlagOutcome::WouldSet),
        flag("climate.nodb", None, true, FlagOutcome::WouldSet),
    ];
    let mut repair = recovery("repair", Vec::new(), flags);
    (repair.runid, repair.dry_run) = (None, true);
    assert_drawn("repair", &repair);
    assert_drawn("right", &recovery("repair", Vec::new(), Vec::new()));
}

#[test]
fn the_members_of_the_format_are_pinned() {
    let row = lock("x.nodb", "web1:1", Outcome::WouldRemove, "");
    let flag = flag("x.nodb", None, true, FlagOutcome::RightByNow);
    let json = serde_json::to_value(recovery("unlock", vec![row], vec![flag])).unwrap();
    let members = |value: &serde_json::Value| {
        value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(json["schema"], "nodb-trigger/recovery/v1");
    assert_eq!(
        members(&json),
        "schema command server runid scope dry_run force stopped unknown counts locks flags"
    );
    assert_eq!(
        members(&json["counts"]),
        "removed left changed gone failed not_tried flags_set flags_right_by_now"
    );
    assert_eq!(
        members(&json["locks"][0]),
        "runid file key outcome why owner process acquired_at held_s token fence ttl_ms payload \
         put_back take_away"
    );
    assert_eq!(members(&json["flags"][0]), "runid file was right outcome why");
    assert_eq!(json["locks"][0]["outcome"], "would_remove");
    assert_eq!(json["locks"][0]["process"]["life"], "alive");
    assert_eq!(json["flags"][0]["outcome"], "right_by_now");
}
