//! Files with several mistakes: each is named, once, as if it were the only one. For more cases than are
//! run by default: `PROPTEST_CASES=10000 cargo test --release several`.

use super::{EXAMPLE, RACE, check_in, mistakes};
use crate::rng::Rng;
use crate::scenario::catalogue::FILES;
use std::collections::BTreeMap;

/// A scalar in a file: the line it is in, and where its name and its value stand there.
#[derive(Debug, Clone)]
struct Member<'a> {
    line: usize,
    text: &'a str,
    key: (usize, usize),
    value: (usize, usize),
}

/// The scalars of a file that are in one line, with their names; of lists of strings, the first.
fn members(file: &str) -> Vec<Member<'_>> {
    let mut all = Vec::new();
    let mut is_prose = false;
    for (line, text) in file.lines().enumerate() {
        let is_plain = !is_prose && !text.starts_with('#');
        is_prose ^= text.matches("\"\"\"").count() == 1;
        if !is_plain || is_prose {
            continue;
        }
        for (at, _) in text.match_indices(" = ") {
            let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
            let key = text[..at].rfind(|c| !is_part(c)).map_or(0, |before| before + 1);
            let from = at + 3 + usize::from(text[at + 3..].starts_with('['));
            let end = match text[from..].strip_prefix('"') {
                Some(rest) => rest.find('"').map(|end| end + 2),
                None => {
                    text[from..].find(|c: char| !c.is_alphanumeric()).or(Some(text.len() - from))
                }
            };
            let to = from + end.unwrap_or(0);
            if key < at && from < to {
                all.push(Member { line, text, key: (key, at), value: (from, to) });
            }
        }
    }
    all
}

impl<'a> Member<'a> {
    fn key(&self) -> &'a str {
        &self.text[self.key.0..self.key.1]
    }

    fn value(&self) -> &'a str {
        &self.text[self.value.0..self.value.1]
    }

    fn with_key(&self, key: &str) -> String {
        format!("{}{key}{}", &self.text[..self.key.0], &self.text[self.key.1..])
    }

    fn with_value(&self, value: &str) -> String {
        format!("{}{value}{}", &self.text[..self.value.0], &self.text[self.value.1..])
    }

    /// The line with each mistake that can be made in this member.
    fn mistakes(&self) -> Vec<String> {
        let (key, value) = (self.key(), self.value());
        let mut all = Vec::new();
        if key.len() >= 4 {
            // A typing error.
            let (a, b) = (&key[1..2], &key[2..3]);
            all.push(self.with_key(&format!("{}{b}{a}{}", &key[..1], &key[3..])));
        }
        // What a name is, others depend on.
        if !["name", "label", "type"].contains(&key) {
            all.push(self.with_key(&format!("zqxj_{key}")));
            all.push(self.with_value("1979-05-27"));
        }
        if !["name", "label", "title", "text", "help", "when"].contains(&key)
            && value.starts_with('"')
        {
            all.push(self.with_value("\"zqxj\""));
            all.push(self.with_value("\"$zqxj\""));
        }
        if value.parse::<u32>().is_ok() {
            all.push(self.with_value("4294967296"));
            all.push(self.with_value("-1"));
        }
        if value.ends_with("s\"") && value.contains(|c: char| c.is_ascii_digit()) {
            all.push(self.with_value("\"366d\""));
            all.push(self.with_value("7"));
        }
        all
    }
}

/// The file with these lines in place of its own.
fn with(file: &str, changed: &BTreeMap<usize, String>) -> String {
    let lines = file.lines().enumerate();
    let lines = lines.map(|(number, line)| changed.get(&number).map_or(line, String::as_str));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Whether these are that a member is unknown, and that another is missing.
fn is_of_a_needed_member(mistakes: &[(usize, usize, String)]) -> bool {
    let count = |words: &str| mistakes.iter().filter(|it| it.2.contains(words)).count();
    (count("unknown member of "), count(" needs \""), mistakes.len()) == (1, 1, 2)
}

#[test]
fn each_of_several_mistakes_is_named_as_if_it_were_alone() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let of_each_file = cases.map_or(8, |cases: u64| cases / FILES.len() as u64 + 1);
    let examples = [("example", EXAMPLE), ("race", RACE)];
    let mut alone: BTreeMap<(usize, usize, String), Vec<_>> = BTreeMap::new();
    let mut with_several = 0;
    for (file, (name, text)) in FILES.iter().chain(&examples).enumerate() {
        let members = members(text);
        for seed in 0..of_each_file {
            let mut rng = Rng::new(seed);
            let mut changed = BTreeMap::new();
            let mut expected = Vec::new();
            for _ in 0..rng.below(4) + 2 {
                let member = rng.pick(&members);
                let mistakes_in_it = member.mistakes();
                if changed.contains_key(&member.line) || mistakes_in_it.is_empty() {
                    continue;
                }
                let line = rng.pick(&mistakes_in_it);
                let one = (file, member.line, line.clone());
                let alone = alone.entry(one).or_insert_with(|| {
                    mistakes(&with(text, &[(member.line, line.clone())].into()))
                });
                let is_one = alone.len() < 2 || is_of_a_needed_member(alone);
                assert!(is_one, "{name}: {line}: {alone:#?}");
                expected.extend(alone.iter().cloned());
                changed.insert(member.line, line);
            }
            expected.sort();
            expected.dedup();
            let mut found = mistakes(&with(text, &changed));
            let places: Vec<_> = found.iter().map(|(line, column, _)| (*line, *column)).collect();
            assert!(places.is_sorted(), "{name}: {found:#?}");
            found.sort();
            assert_eq!(found, expected, "{name}, seed {seed}: {changed:#?}");
            with_several += u64::from(found.len() > 1);
        }
    }
    assert!(with_several > of_each_file * FILES.len() as u64 / 2, "{with_several}");
}

#[test]
fn what_follows_from_a_mistake_is_no_other() {
    let text = "must be a string, not a whole number";
    for (file, old, new, message) in [
        (EXAMPLE, "name = \"late\"", "name = ^7", format!("\"name\" {text}")),
        (EXAMPLE, "label = \"seen late\"", "label = ^7", format!("\"label\" {text}")),
        (RACE, "name = \"rival has it\"", "name = ^7", format!("\"name\" {text}")),
        (
            RACE,
            "name = \"slow write\"\nactor",
            "^nmae = \"slow write\"\nactor",
            unknown("a rule", "nmae", "name"),
        ),
        (
            RACE,
            "count = 2",
            "count = ^true",
            "\"count\" must be a whole number, not true or false".into(),
        ),
        (
            RACE,
            "steps = [\n  { await",
            "^stesp = [\n  { await",
            unknown("an actor", "stesp", "steps"),
        ),
        (EXAMPLE, "{ locked = ", "{ ^lokced = ", unknown("a step", "lokced", "locked")),
        (
            EXAMPLE,
            "[parameters.ttl]\ntype = \"ttl\"",
            "[parameters.ttl]\ntype = ^7",
            format!("\"type\" {text}"),
        ),
        (
            EXAMPLE,
            "[locks.main]\n[locks.other]\nrun_suffix",
            "[locks.main]\n[locks.other]\n^run_sufix",
            unknown("a lock", "run_sufix", "run_suffix"),
        ),
        (
            EXAMPLE.replace("format = 1", "").as_str(),
            "\nname = \"example\"",
            "^\nname = \"example\"",
            "a scenario needs \"format\"".into(),
        ),
    ] {
        check_in(file, old, new, &message);
    }
}

fn unknown(what: &str, member: &str, meant: &str) -> String {
    format!("unknown member of {what} \"{member}\"; did you mean \"{meant}\"?")
}

#[test]
fn a_body_is_read_whatever_is_wrong_with_its_step() {
    let unknown = unknown("a step", "wrok", "work");
    for (step, of_the_step) in [
        ("redis = [\"GTE\", \"{key}\"]", "unknown command \"GTE\""),
        ("redis = [\"DEL\", \"{kye}\"]", "DEL is sent about {key} here"),
        ("redis = [\"DEL\", \"{key}\"], lock = \"mian\"", "\"mian\""),
        ("islocked = \"mian\"", "\"mian\""),
        ("islocked = \"main\", ttl = \"1s\"", "\"ttl\""),
    ] {
        let step = format!("{{ {step}, body = [{{ wrok = \"1s\" }}] }}");
        let killed = RACE.replacen("limit = \"30s\"", "killed_after = 7", 1);
        let found = mistakes(&killed.replacen("{ crash = true }", &step, 1));
        let [killed, first, second] = &*found else { panic!("{step}: {found:#?}") };
        assert_eq!(killed.2, "add a unit, as in \"7s\" or \"7ms\"");
        assert!(first.2.contains(of_the_step), "{first:?}");
        assert_eq!(second.2, unknown);
    }
}

#[test]
fn at_most_a_hundred_mistakes_are_named() {
    let many: String = (0..1000).map(|number| format!("zqxj{number} = 1\n")).collect();
    assert_eq!(mistakes(&format!("{many}{RACE}")).len(), 100);
    let steps = "{ release = \"mian\" },\n".repeat(1000);
    let file = RACE.replace("{ crash = true }", &format!("{steps}{{ crash = true }}"));
    assert_eq!(mistakes(&file).len(), 100);
}
