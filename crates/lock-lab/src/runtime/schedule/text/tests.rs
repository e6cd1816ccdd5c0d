use super::*;
use proptest::prelude::*;
use proptest::sample::select;

fn turn() -> impl Strategy<Value = Turn> {
    let index = prop_oneof![0..3_usize, 0..usize::MAX];
    let kinds = [
        Turn::Step,
        Turn::LoseReply,
        Turn::Forget,
        Turn::Postpone,
        Turn::Arrive,
        Turn::Crash,
        Turn::Expire,
        Turn::ExpireKey,
    ];
    (select(kinds.to_vec()), index).prop_map(|(turn, index)| turn(index))
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let runs = prop::collection::vec((turn(), 1..40_usize), 0..20);
    let turns = runs.prop_map(|runs| {
        runs.into_iter().flat_map(|(turn, times)| std::iter::repeat_n(turn, times)).collect()
    });
    let parameters = prop::collection::vec((any::<String>(), any::<String>()), 0..4);
    let name = any::<String>().prop_filter("named", |name| !name.is_empty());
    let words = (name.clone(), name, parameters);
    let rest = (any::<u32>(), select(vec![Timing::Async, Timing::Strict]), turns);
    let shows = prop::option::of(select(Property::ALL.to_vec()));
    (words, rest, shows).prop_map(
        |((scenario, protocol, parameters), (digest, timing, turns), shows)| Schedule {
            scenario,
            digest,
            protocol,
            timing,
            parameters,
            turns,
            shows,
        },
    )
}

proptest! {
    #[test]
    fn a_schedule_is_read_back(schedule in schedule()) {
        let text = schedule.to_string();
        prop_assert!(text.bytes().all(|byte| is_plain(byte) || b":@,=%".contains(&byte)), "{}", text);
        prop_assert_eq!(text.parse::<Schedule>(), Ok(schedule));
    }

    #[test]
    fn no_text_makes_it_panic(text in "(v1:)?[ -~é:@.,x=%0-9a-f]{0,60}") {
        let _ = text.parse::<Schedule>();
    }

    #[test]
    fn what_is_cut_off_is_refused_or_is_a_schedule_of_its_own(schedule in schedule(), cut in any::<prop::sample::Index>()) {
        let text = schedule.to_string();
        let cut = &text[..cut.index(text.len())];
        if let Ok(shorter) = cut.parse::<Schedule>() {
            prop_assert_eq!(shorter.to_string().parse::<Schedule>(), Ok(shorter));
        }
    }
}

#[test]
fn it_is_short_and_plain() {
    let schedule = Schedule {
        scenario: "my scenarios/herd's.toml".into(),
        digest: 0xbeef,
        protocol: "hardened".into(),
        timing: Timing::Strict,
        parameters: vec![("ttl".into(), "1m 30s".into()), ("wait".into(), "0s".into())],
        turns: [
            vec![Turn::Step(0); 5],
            vec![Turn::Expire(0), Turn::LoseReply(1), Turn::Crash(1)],
            vec![Turn::Forget(2), Turn::Postpone(1), Turn::Arrive(0), Turn::ExpireKey(1)],
        ]
        .concat(),
        shows: Some(Property::LostUpdate),
    };
    let text = "v1:my%20scenarios/herd%27s.toml@0000beef:hardened:strict:ttl=1m%2030s,wait=0s:\
                1x5.e1.l2.c2.f3.p2.a1.k2:lost_update";
    assert_eq!(schedule.to_string(), text);
    assert_eq!(format!(" {text}\n").parse(), Ok(schedule));
}

#[test]
fn what_is_wrong_is_said_and_where() {
    let head = "v1:herd@00c0ffee:legacy:async:";
    let cases = [
        ("", 1, "a schedule begins with v1:"),
        ("thundering_herd", 1, "a schedule begins with v1:"),
        ("v2:herd", 1, "its format is version 2; this program reads version 1"),
        ("v1", 3, "it ends here, before the scenario"),
        ("v1:herd", 4, "the scenario is its name or path, @ and 8 hexadecimal digits"),
        ("v1:herd@c0ffee", 9, "the scenario is its name or path, @ and 8 hexadecimal digits"),
        ("v1:@00c0ffee", 4, "the scenario is missing"),
        ("v1:a%2@00c0ffee", 6, "two hexadecimal digits belong behind %"),
        ("v1:a%ff@00c0ffee", 4, "what % stands for here is no text"),
        ("v1:herd@00c0ffee", 17, "it ends here, before the protocol"),
        ("v1:herd@00c0ffee::async", 18, "the protocol is missing"),
        ("v1:herd@00c0ffee:legacy:soon", 25, "the timing is async or strict, and not \"soon\""),
        ("v1:herd@00c0ffee:legacy:async:ttl:", 31, "a parameter is a name, = and a value"),
        ("v1:herd@00c0ffee:legacy:async:", 31, "it ends here, before the turns"),
        (
            "v1:herd@00c0ffee:legacy:async::1 2",
            33,
            "only printable ASCII characters belong here, and no spaces",
        ),
    ];
    for (text, at, what) in cases {
        let error = text.parse::<Schedule>().unwrap_err();
        assert_eq!((error.at, error.what.as_str()), (at, what), "{text:?}");
    }
    let turns = [
        ("1.", 3, "\"\" should be a whole number from 1"),
        ("0", 1, "\"0\" should be a whole number from 1"),
        ("+1", 1, "\"+1\" should be a whole number from 1"),
        ("1.e", 4, "\"\" should be a whole number from 1"),
        ("q7", 1, "\"q7\" should be a whole number from 1"),
        ("1x0", 3, "\"0\" should be a whole number from 1"),
        ("99999999999999999999", 1, "\"99999999999999999999\" should be a whole number from 1"),
        ("1x999999.2x2", 10, "more than 1000000 turns"),
        ("1:luck", 3, "\"luck\" is no property"),
        ("1:overlap:1", 11, "nothing more belongs here"),
    ];
    for (turns, at, what) in turns {
        let error = format!("{head}:{turns}").parse::<Schedule>().unwrap_err();
        assert_eq!((error.at, error.what.as_str()), (head.len() + 1 + at, what), "{turns:?}");
    }
    let long = format!("{head}:{}", "1.".repeat(LONGEST));
    assert_eq!(long.parse::<Schedule>().unwrap_err().what, "it is longer than 1048576 characters");
}
