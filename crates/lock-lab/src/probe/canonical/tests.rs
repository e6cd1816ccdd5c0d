use super::*;
use redis_sim::clock::{Clock, VirtualClock, WallClock};

fn symbols(actor: usize, constants: &[&[u8]]) -> Symbols {
    let vocabulary = Vocabulary::default();
    vocabulary.add(constants.iter().map(|word| word.to_vec()));
    Symbols::new(actor, Arc::new(vocabulary))
}

fn words(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

#[test]
fn what_is_drawn_has_the_same_name_in_each_life() {
    let lives = [b"0123456789abcdef", b"fedcba9876543210"].map(|token| {
        let mut symbols = symbols(1, &[]);
        let named = symbols.named(words(&[b"SET", b"lock", token])).unwrap();
        let again = symbols.named(words(&[b"SET", b"lock", token])).unwrap();
        assert_eq!(again, named, "stays the same");
        assert_eq!(symbols.value(&named.0[2]), token);
        named
    });
    let expected = (words(&[b"SET", b"lock", b"token-2.1"]), Some("token-2.1".into()));
    assert_eq!(lives, [expected.clone(), expected]);
}

/// The request as it goes to the server, in a life that begins again whenever something is learned.
fn sent(
    actor: usize,
    vocabulary: &Arc<Vocabulary>,
    requests: &[&[&[u8]]],
) -> (Symbols, Vec<Request>) {
    for _ in 0..9 {
        let mut symbols = Symbols::new(actor, Arc::clone(vocabulary));
        let named = requests.iter().map(|request| Ok(symbols.named(words(request))?.0));
        if let Ok(named) = named.collect::<Result<Vec<_>, Learned>>() {
            return (symbols, named);
        }
    }
    panic!("it never ends");
}

#[test]
fn the_beginning_of_a_value_is_the_beginning_of_its_name() {
    let token = b"0123456789abcdef0123456789abcdef";
    let (whole, begins): (&[&[u8]], &[&[u8]]) =
        (&[b"SET", b"lock", token], &[b"ECHO", &token[..16]]);
    let (_, named) = sent(0, &Arc::default(), &[whole, begins]);
    assert_eq!(named[0][2], b"10100000000000000000000000000000");
    assert_eq!(named[1][1], b"1010000000000000");
}

/// What is sent in two lives with these values, after a rehearsal with others.
#[track_caller]
fn parts_are_named(values: [&str; 4], expected: &str) {
    let vocabulary = Arc::<Vocabulary>::default();
    vocabulary.add_lease(&serde_json::json!({"ttl_ms": 30_000}));
    let life = |value: &str| vec![words(&[b"SET", b"lock", value.as_bytes(), b"NX"])];
    vocabulary.compare(&[life(values[0]), life(values[1])]);
    let all = |value: &str| life(value).into_iter().flatten().collect();
    vocabulary.add_common(&all(values[0]), &all(values[1]));
    for value in &values[2..] {
        let (mut symbols, named) =
            sent(0, &vocabulary, &[&[b"SET", b"lock", value.as_bytes(), b"NX"]]);
        assert_eq!(String::from_utf8_lossy(&named[0][2]), expected, "{value}");
        let held = Value::Array(vec![Value::BulkString(named[0][2].clone())]);
        let heard = Value::Array(vec![Value::BulkString(value.as_bytes().to_vec())]);
        assert_eq!(symbols.answer(&held), heard);
        let mut other = Symbols::new(1, Arc::clone(&vocabulary));
        assert_eq!(other.answer(&held), heard, "what another is answered");
        let again = other.named(words(&[b"EVAL", b"compare", b"0", value.as_bytes()])).unwrap();
        assert_eq!(again.0[3], named[0][2], "and sends");
    }
}

#[test]
fn of_a_word_the_parts_that_differ_are_named() {
    let seconds = WallClock::new(None).unix().as_secs();
    let hex = ["0f3a9c41d2b7488f9e0a1b2c3d4e5f60", "1f3a9c41d2b7488f9e0a1b2c3d4e5f60"];
    let uuid = ["0f3a9c41-d2b7-488f-9e0a-1b2c3d4e5f60", "1f3a9c41-d2b7-488f-9e0a-1b2c3d4e5f60"];
    let each = |form: &dyn Fn(usize) -> String| [0, 1, 1, 0].map(form);
    let epoch = VirtualClock::EPOCH.as_secs();
    let name = "10100000000000000000000000000000";
    let uuid_name = "10100000-0000-0000-0000-000000000000";
    for (values, expected) in [
        (each(&|at| format!("{}|{}", hex[at], seconds + at as u64)), format!("{name}|{}", epoch)),
        (each(&|at| format!("{}:1", uuid[at])), format!("{uuid_name}:1")),
        (each(&|at| format!("s:32:\"{}\";", hex[at])), format!("s:32:\"{name}\";")),
        (
            each(&|at| format!("web-1.example:4{at}17:{}", uuid[at])),
            "web-1.example:1010:10200000-0000-0000-0000-000000000000".into(),
        ),
        (
            each(&|at| format!("{{\"owner\":\"{}\",\"until\":{seconds}123}}", hex[at])),
            format!("{{\"owner\":\"{name}\",\"until\":{epoch}000}}"),
        ),
        (each(&|at| format!("{{\"t\": {}}}", 482_913 + at)), "{\"t\": 101000}".into()),
        (each(&|at| format!("1{at}.5{at}|x")), "10100|x".into()),
        (
            each(&|at| format!("web:{}", ["aB-_x1Yz0aB_x1Yz", "aBcDx-YzAaB_x1Yz"][at])),
            "web:1010000000000000".into(),
        ),
    ] {
        parts_are_named(values.each_ref().map(String::as_str), &expected);
    }
}

#[test]
fn a_counter_of_the_server_s_is_no_token() {
    let vocabulary = Arc::<Vocabulary>::default();
    let mut symbols = Symbols::new(0, Arc::clone(&vocabulary));
    let count = 123_456_789_012_345_678;
    assert_eq!(symbols.answer(&Value::Int(count)), Value::Int(count));
    let request = words(&[b"SET", b"lock", count.to_string().as_bytes()]);
    assert_eq!(symbols.named(request.clone()).unwrap(), (request, None));
}

#[test]
fn what_was_answered_is_sent_back_as_the_server_had_it() {
    let (mut symbols, named) = sent(0, &Arc::default(), &[&[b"SET", b"lock", b"0123456789abcdef"]]);
    let payload = [b"\x00\x09", &named[0][2][..], b"\x0b\x00crc"].concat();
    let told = symbols.answer(&Value::BulkString(payload.clone()));
    let Value::BulkString(told) = told else { panic!("{told:?}") };
    assert_eq!(told, b"\x00\x090123456789abcdef\x0b\x00crc");
    let (again, _) = symbols.named(words(&[b"RESTORE", b"copy", b"0", &told])).unwrap();
    assert_eq!(again[3], payload);
}

#[test]
fn a_number_is_answered_as_a_number() {
    let life = |pin: &[u8]| vec![words(&[b"SET", b"lock", pin])];
    let [mut one, mut other] = pair(&[life(b"482913"), life(b"110027")]);
    assert_eq!(one.named(words(&[b"SET", b"lock", b"735501"])).unwrap().0[2], b"101000");
    assert_eq!(other.answer(&Value::Int(101_000)), Value::Int(735_501));
    assert_eq!(other.answer(&Value::Int(1_010_001)), Value::Int(1_010_001));
}

#[test]
fn a_number_just_below_a_lease_is_that_lease() {
    let life = |left: &[u8]| vec![words(&[b"PEXPIRE", b"lock", left])];
    let vocabulary = Arc::<Vocabulary>::default();
    vocabulary.add_lease(&serde_json::json!({"ttl_ms": 30_000}));
    vocabulary.compare(&[life(b"29999"), life(b"29990")]);
    let (_, named) = sent(0, &vocabulary, &[&[b"PEXPIRE", b"lock", b"29123"]]);
    assert_eq!(named[0][2], b"30000");
}

#[test]
fn a_number_that_stays_where_the_lease_is_another_one_is_no_lease() {
    let life = |number: &[u8]| vec![words(&[b"SET", b"lock", number])];
    let (mine, other) = (life(b"29530"), life(b"29536"));
    let vocabulary = Arc::<Vocabulary>::default();
    for ttl in [30_000, 20_000] {
        vocabulary.add_lease(&serde_json::json!({"ttl_ms": ttl}));
    }
    vocabulary.compare(&[mine.clone(), other]);
    for ttl in [30_000, 20_000] {
        vocabulary.check_leases(&mine, ttl);
    }
    let (mut symbols, named) = sent(0, &vocabulary, &[&[b"SET", b"lock", b"29530"]]);
    assert_eq!(named[0][2], b"10100");
    assert_eq!(symbols.value(b"10100"), b"29530");
}

#[test]
fn a_token_beside_a_time_or_a_lease_is_answered_as_it_was_sent() {
    let seconds = WallClock::new(None).unix().as_secs();
    let hex = |digit: char| digit.to_string().repeat(32);
    let word = |digit, later: u64, left: u64| {
        format!("{left}:{}:{}", hex(digit), seconds + later).into_bytes()
    };
    let vocabulary = Arc::<Vocabulary>::default();
    vocabulary.add_lease(&serde_json::json!({"ttl_ms": 30_000}));
    let life = |word: Vec<u8>| vec![words(&[b"SET", b"lock", &word])];
    vocabulary.compare(&[life(word('a', 0, 29_990)), life(word('b', 0, 29_991))]);
    let lock = [word('c', 0, 29_992), word('d', 1, 29_993)];
    let requests = lock.each_ref().map(|word| [&b"SET"[..], b"lock", &word[..]]);
    let (mut symbols, named) = sent(0, &vocabulary, &[&requests[0], &requests[1]]);
    let after = |at: usize| named[at][2][38..].to_vec();
    assert_eq!(after(0), after(1), "the same time");
    for (word, named) in lock.iter().zip(&named) {
        assert!(named[2].starts_with(b"30000:"), "{named:?}");
        assert_eq!(symbols.value(&named[2]), *word);
    }
}

#[test]
fn commands_that_differ_after_the_same_replies_differ_in_what_is_drawn() {
    let vocabulary = Arc::<Vocabulary>::default();
    let request = |uptime: &[u8]| words(&[b"SET", b"beside", uptime]);
    vocabulary.add([b"1234".to_vec()]);
    let requests = [request(b"1234"), request(b"1235")];
    assert!(vocabulary.learn_from(&requests) && vocabulary.take_learned());
    assert!(!vocabulary.learn_from(&requests) && !vocabulary.take_learned());
    let named = requests.map(|it| Symbols::new(0, Arc::clone(&vocabulary)).named(it).unwrap());
    assert_eq!(named[0], named[1]);
    assert!(!vocabulary.learn_from(&[request(b"1"), words(&[b"GET", b"beside"])]));
}

#[test]
fn what_is_not_drawn_stays() {
    let mut symbols = symbols(0, &[b"nodb-lock:run:file.nodb"]);
    let long = [b'x'; 2000];
    let plain = words(&[b"SET", b"nodb-lock:run:file.nodb", &long, b"PX", b"30000"]);
    assert_eq!(symbols.named(plain.clone()).unwrap(), (plain, None));
    let script = words(&[b"EVAL", b"return redis.call('GET', KEYS[1])", b"0"]);
    assert_eq!(symbols.named(script.clone()).unwrap(), (script, None));
}

#[test]
fn a_name_inside_a_longer_answer_is_given_back_too() {
    let mut symbols = symbols(0, &[]);
    for number in 0..12 {
        let value = format!("value-number-{number:04}").into_bytes();
        let (named, _) = symbols.named(words(&[b"ECHO", &value])).unwrap();
        let answer = [b"{\"token\":\"", &named[1][..], b"\"}"].concat();
        assert_eq!(symbols.value(&answer), [b"{\"token\":\"", &value[..], b"\"}"].concat());
    }
}

/// Two subjects of one client, after it was tried out with these requests in two lives.
fn pair(lives: &[Vec<Request>]) -> [Symbols; 2] {
    let vocabulary = Arc::<Vocabulary>::default();
    vocabulary.compare(lives);
    [0, 1].map(|actor| Symbols::new(actor, Arc::clone(&vocabulary)))
}

#[test]
fn short_values_that_differ_from_life_to_life_are_tokens_where_they_do() {
    let life = |pin: &[u8]| vec![words(&[b"SET", b"lock", pin, b"PX", b"30000"])];
    let [mut one, _] = pair(&[life(b"482913"), life(b"110027")]);
    let (named, token) = one.named(words(&[b"set", b"lock", b"735501", b"PX", b"777"])).unwrap();
    assert_eq!(named, words(&[b"set", b"lock", b"101000", b"PX", b"777"]));
    assert_eq!(token.as_deref(), Some("101000"));
    let (named, _) = one.named(words(&[b"GETEX", b"735501", b"other6"])).unwrap();
    assert_eq!(named, words(&[b"GETEX", b"101000", b"other6"]));
}

#[test]
fn a_client_is_answered_with_the_true_bytes_of_another_and_may_send_them() {
    let [mut one, mut other] = pair(&[]);
    let theirs = b"f00f00f00f00f00f";
    let (named, _) = one.named(words(&[b"SET", b"lock", theirs])).unwrap();
    let held = Value::BulkString(named[2].clone());
    assert_eq!(other.answer(&held), Value::BulkString(theirs.to_vec()));
    let (named, _) = other.named(words(&[b"EVAL", b"compare", b"1", b"lock", theirs])).unwrap();
    assert_eq!(named[4], b"token-1.1");
    let (named, _) = other.named(words(&[b"SET", b"lock", b"0123456789abcdef"])).unwrap();
    assert_eq!(named[2], b"token-2.1", "what is heard counts for nothing");
}

#[test]
fn what_two_clients_send_without_having_heard_it_is_a_constant() {
    let [mut one, mut other] = pair(&[]);
    let counts = || words(&[b"INCR", b"waiters-of-the-lock"]);
    assert_eq!(one.named(counts()).unwrap().0[1], b"token-1.1");
    assert!(other.named(counts()).is_err());
    assert!(one.vocabulary.take_learned() && !one.vocabulary.take_learned());
    let [mut one, mut other] = [0, 1].map(|it| Symbols::new(it, Arc::clone(&one.vocabulary)));
    assert_eq!(one.named(counts()).unwrap(), (counts(), None));
    assert_eq!(other.named(counts()).unwrap(), (counts(), None));
}

#[test]
fn numbers_that_follow_the_clock_count_from_the_server_s_start() {
    let now = WallClock::new(None).unix();
    let epoch = VirtualClock::EPOCH.as_secs();
    let (s, ms) = (now.as_secs(), u64::try_from(now.as_millis()).unwrap());
    for (number, told) in [
        (s, epoch + 1),
        (s - 1, epoch + 1),
        (s + 30, epoch + 31),
        (s + 29, epoch + 31),
        (ms, epoch * 1000 + 1),
        (ms + 30_000, (epoch + 30) * 1000 + 1),
        (ms - 3_600_000, (epoch - 3600) * 1000 + 1),
    ] {
        let [_, mut other] = pair(&[]);
        other.vocabulary.add_lease(&serde_json::json!({"do": "acquire", "ttl_ms": 30_000}));
        let text = number.to_string().into_bytes();
        other.vocabulary.add([text.clone()]);
        let (named, _) = other.named(words(&[b"SET", b"since", &text])).unwrap();
        assert_eq!(named[2], told.to_string().into_bytes(), "{number}");
        let held = Value::BulkString(named[2].clone());
        assert_eq!(other.answer(&held), Value::BulkString(text));
    }
    for text in ["30000", "1234567890", "99999999999999999999", "1764460123.5", "-1764460123"] {
        assert!(time_of(text.as_bytes()).is_none(), "{text}");
    }
}

#[test]
fn numbers_that_grow_by_themselves_may_be_the_same_in_two_clients() {
    let life = |uptime: &[u8]| vec![words(&[b"SET", b"beside", uptime])];
    let [mut one, mut other] = pair(&[life(b"123456"), life(b"123457")]);
    let request = || words(&[b"SET", b"beside", b"123458"]);
    assert_eq!(one.named(request()).unwrap().0[2], b"101000");
    assert_eq!(other.named(request()).unwrap().0[2], b"201000");
}

#[test]
fn as_time_passes_times_that_are_read_again_are_later_and_old_ones_are_read_as_earlier() {
    const LATER: u64 = 3600;
    let now = WallClock::new(None).unix().as_secs();
    let text = |seconds: u64| seconds.to_string().into_bytes();
    let seconds = |name: &[u8]| std::str::from_utf8(name).unwrap().parse::<u64>().unwrap();
    let mut symbols = symbols(0, &[b"lock"]);
    let sends = |symbols: &mut Symbols, command: &[u8]| {
        let request = words(&[command, b"lock", &text(now)]);
        symbols.named(request).unwrap().0[2].clone()
    };
    let first = sends(&mut symbols, b"SETNX");
    symbols.set_ahead(Duration::from_secs(LATER));
    // What it remembers is what it was; its clock, which stands still here, shows a later time.
    assert_eq!(sends(&mut symbols, b"CAD"), first);
    let second = sends(&mut symbols, b"SETNX");
    assert_eq!(seconds(&second), seconds(&first) + LATER);
    // By its clock, the first time is an hour ago.
    assert_eq!(seconds(&symbols.value(&first)), now - LATER);
    assert_eq!(seconds(&symbols.value(&second)), now);
}
