use super::*;
use proptest::prelude::*;

const NAMES: [&str; 3] = ["beside", "lock", "other"];

fn locks() -> Vec<LockName> {
    vec![LockName::new("", "lock").with_key("lock".into())]
}

/// One request: the TTLs that it sets.
type Request = Vec<(usize, u64)>;

fn lease(key: usize, end: u64, set: u64) -> Lease {
    let (key, end) = (NAMES[key].as_bytes().to_vec(), Duration::from_millis(end));
    Lease { key, end, set: Some((set, 0)) }
}

/// The keys after some requests between which no time passed, and their order.
fn ordered(requests: &[Request]) -> (TtlOrder, Vec<Lease>) {
    let (mut order, mut leases): (TtlOrder, BTreeMap<usize, Lease>) = Default::default();
    for (number, request) in requests.iter().enumerate() {
        let before: Vec<Lease> = leases.values().cloned().collect();
        let new = request.iter().map(|(key, ttl)| (*key, lease(*key, *ttl, number as u64)));
        leases.extend(new);
        let now: Vec<Lease> = leases.values().cloned().collect();
        order = order.after([&before, &now], true, &locks());
    }
    (order, leases.into_values().collect())
}

/// The keys that expire first, at the same moment, if the requests come at these times; nothing, if one has
/// expired by the last of them.
fn first(requests: &[Request], times: &[u64]) -> Option<BTreeSet<Turn>> {
    let mut ends = BTreeMap::new();
    for (request, time) in requests.iter().zip(times) {
        if ends.values().any(|end| end < time) {
            return None;
        }
        ends.extend(request.iter().map(|(key, ttl)| (*key, time + ttl)));
    }
    let first = ends.values().min()?;
    let leases: Vec<Lease> = ends.keys().map(|key| lease(*key, 0, 0)).collect();
    let turn = |key: &usize| turn_of(NAMES[*key].as_bytes(), &leases, &locks());
    ends.iter().filter(|(_, end)| *end == first).map(|(key, _)| turn(key)).collect()
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let request = prop::collection::btree_map(0..3_usize, 1..4_u64, 1..3);
    prop::collection::vec(request.prop_map(|it| it.into_iter().collect()), 1..4)
}

proptest! {
    #[test]
    fn what_can_expire_next_is_what_does_at_some_times(requests in requests()) {
        let (order, leases) = ordered(&requests);
        let mut expected = BTreeSet::new();
        let mut times = vec![0; requests.len()];
        for gaps in 0..6_u64.pow(requests.len() as u32 - 1) {
            let gap = |at: usize| gaps / 6_u64.pow(at as u32 - 1) % 6;
            for at in 1..times.len() {
                times[at] = times[at - 1] + gap(at);
            }
            expected.extend(first(&requests, &times));
        }
        let keys = |turn: Turn| {
            let tied = order.tied(turn, &leases, &locks());
            let tied = tied.iter().filter_map(|key| turn_of(key, &leases, &locks()));
            tied.chain([turn]).collect::<BTreeSet<Turn>>()
        };
        let expiries = order.expiries(&leases, &locks());
        // A TTL that is set again was not over by then, which the order does not know.
        let keys_set: Vec<usize> = requests.iter().flatten().map(|(key, _)| *key).collect();
        let is_set_again = keys_set.iter().collect::<BTreeSet<_>>().len() < keys_set.len();
        for turn in expiries.iter().filter(|_| !is_set_again) {
            prop_assert!(expected.contains(&keys(*turn)), "{turn:?} of {order:?}, {expected:?}");
        }
        // Keys that were not set at once may still expire at the same moment: one of them is the first.
        for together in &expected {
            prop_assert!(expiries.iter().any(|turn| keys(*turn).is_subset(together)), "{together:?}");
        }
    }
}

#[test]
fn where_nothing_is_known_of_the_order_any_can_expire() {
    let leases = [0, 1, 2].map(|key| Lease { set: None, ..lease(key, 10 - key as u64, 0) });
    let order = TtlOrder::default().after([&[], &leases], true, &locks());
    assert_eq!(order, TtlOrder::default());
    let all = [Turn::Expire(0), Turn::ExpireKey(0), Turn::ExpireKey(1)];
    assert_eq!(order.expiries(&leases, &locks()), all);
    let leases = [lease(0, 10, 0), lease(1, 5, 0)];
    let apart = TtlOrder::default().after([&[], &leases], false, &locks());
    assert_eq!(apart.expiries(&leases, &locks()), all[..2]);
}

#[test]
fn locks_alone_have_no_order() {
    let leases = [lease(1, 10, 0)];
    assert_eq!(TtlOrder::default().after([&[], &leases], true, &locks()), TtlOrder::default());
}

#[test]
fn ttls_of_one_command_or_transaction_begin_at_once() {
    let packed = |commands: &[&[&str]]| -> Vec<u8> {
        let pack = |words: &&[&str]| redis::cmd(words[0]).arg(&words[1..]).get_packed_command();
        commands.iter().flat_map(pack).collect()
    };
    for (commands, at_once) in [
        (&[&["SET", "lock", "v", "PX", "10"][..]][..], true),
        (&[&["EVAL", "redis.call('PEXPIRE', 'lock', 10)", "0"]], true),
        (&[&["MULTI"], &["PEXPIRE", "lock", "10"], &["EXEC"]], true),
        (&[&["PEXPIRE", "lock", "10"], &["PEXPIRE", "other", "10"]], false),
        (&[&["SET", "lock", "v", "pxat", "10"]], false),
        (&[&["PEXPIREAT", "lock", "10"]], false),
        (&[&["EVAL", "redis.call('EXPIREAT', 'lock', 10)", "0"]], false),
    ] {
        assert_eq!(sets_at_once(&packed(commands)), at_once, "{commands:?}");
    }
}
