//! The word list of CONTRIBUTING.md, kept in the identifiers, comments and test names of the sources, and in the prose
//! of README.md and of the book.
//!
//! String literals are exempt for now, and so are the doc comments in `src/cli/args`, which are the
//! help: users read them, and they change with their texts. An entry with a condition in brackets,
//! as in "whole (of a history)", is for readers: a test can't decide it.

use super::layers::{files, is_of_a_word, root};
use super::links::{complete, prose};
use super::pages::pages;
use std::fs;

/// A word or phrase that the sources avoid.
struct Avoided {
    /// Its words in lower case.
    words: Vec<String>,
    instead: String,
}

/// The rows of the table whose head is "avoid | use".
fn avoided(page: &str) -> Vec<Avoided> {
    let (_, table) = page.split_once("| avoid | use |\n|---|---|\n").unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    rows.flat_map(|row| {
        let [_, avoid, instead, _] = row.split('|').collect::<Vec<_>>()[..] else {
            panic!("a row of the word list has two cells: {row}");
        };
        let entries: Vec<&str> = avoid.split(", ").map(str::trim).collect();
        let each: Vec<&str> = instead.split(", ").map(str::trim).collect();
        let is_paired = entries.len() == each.len();
        let entries = entries.into_iter().enumerate().filter(|(_, entry)| !entry.contains('('));
        let row = entries.map(|(at, entry)| Avoided {
            words: parts(entry).collect(),
            instead: if is_paired { each[at] } else { instead.trim() }.to_owned(),
        });
        row.collect::<Vec<_>>()
    })
    .collect()
}

/// A word of a source file with its line; none between two that don't belong to one phrase.
type Word = Option<(usize, String)>;

/// The words of a Rust file outside its literals. Those of an identifier are its parts in
/// `snake_case` and `CamelCase`; a phrase may go on in the next line of a comment.
fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    for (number, line) in without_literals(text).lines().enumerate() {
        let (code, comment) = line.split_once("//").unwrap_or((line, ""));
        let in_line = |word: String| Some((number + 1, word));
        if !code.trim().is_empty() || comment.is_empty() {
            words.push(None);
        }
        for identifier in code.split(|c| !is_of_a_word(c)).filter(|it| !it.is_empty()) {
            words.extend(parts(identifier).map(in_line));
            words.push(None);
        }
        for (at, piece) in comment.split(['.', ',', ';', ':', '(', ')', '|']).enumerate() {
            words.extend((at > 0).then_some(None));
            words.extend(parts(piece).map(in_line));
        }
    }
    words
}

/// The words of a Lua script's comments, each of which has a line of its own.
fn words_of_lua(text: &str) -> Vec<Word> {
    let comments = text.lines().enumerate().filter_map(|(number, line)| {
        let comment = line.trim_start().strip_prefix("--")?;
        Some(parts(comment).map(move |word| Some((number + 1, word))).chain([None]))
    });
    comments.flatten().collect()
}

/// The words of a page outside its code. A phrase may go on in the next line of a paragraph.
fn words_of_page(markdown: &str) -> Vec<Word> {
    let mut words = Vec::new();
    for (number, line) in prose(markdown) {
        words.extend(line.trim().is_empty().then_some(None));
        for (at, piece) in line.split(['.', ',', ';', ':', '(', ')', '|', '`', '*']).enumerate() {
            words.extend((at > 0).then_some(None));
            words.extend(parts(piece).map(|word| Some((number, word))));
        }
    }
    words
}

/// The words of a text in lower case; a capital letter after a small one begins another.
fn parts(text: &str) -> impl Iterator<Item = String> {
    let mut spaced = String::new();
    for c in text.chars() {
        if c.is_uppercase() && spaced.ends_with(char::is_lowercase) {
            spaced.push(' ');
        }
        spaced.push(if c.is_alphanumeric() { c } else { ' ' });
    }
    spaced.to_lowercase().split_whitespace().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// The text with blanks for string and character literals; every line keeps its number.
fn without_literals(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, is_kept) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), true)
        } else {
            match literal(rest).filter(|_| !kept.ends_with(is_of_a_word)) {
                Some(length) => (length, false),
                None => (first.len_utf8(), true),
            }
        };
        let (taken, after) = rest.split_at(length);
        let blank = |c| if c == '\n' { '\n' } else { ' ' };
        kept.extend(taken.chars().map(|c| if is_kept { c } else { blank(c) }));
        rest = after;
    }
    kept
}

/// The length of the string or character literal at the beginning of `rest`, if there is one.
fn literal(rest: &str) -> Option<usize> {
    let unprefixed = rest.trim_start_matches(['b', 'c', 'r']);
    let is_raw = rest[..rest.len() - unprefixed.len()].ends_with('r');
    let opened = if is_raw { unprefixed.trim_start_matches('#') } else { unprefixed };
    let hashes = unprefixed.len() - opened.len();
    let closed = |inner: &str, quote: char| {
        let mut is_escaped = false;
        let is_last = |c: char| {
            let is_last = c == quote && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            is_last
        };
        Some(inner.find(is_last)? + 1)
    };
    let length = |inner: &str, end: usize| rest.len() - inner.len() + end;
    if let Some(inner) = opened.strip_prefix('"') {
        let end = match is_raw {
            true => inner.find(&format!("\"{}", "#".repeat(hashes)))? + 1 + hashes,
            false => closed(inner, '"')?,
        };
        return Some(length(inner, end));
    }
    // A lifetime has no second quote right after its first letter.
    let inner = unprefixed.strip_prefix('\'').filter(|_| !is_raw)?;
    let is_character = inner.starts_with('\\') || inner.chars().nth(1) == Some('\'');
    is_character.then(|| closed(inner, '\'')).flatten().map(|end| length(inner, end))
}

/// Where the words hold one that is avoided, also in the plural: its line, and what to write.
fn found(words: &[Word], avoided: &[Avoided]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let Some((line, _)) = word else { continue };
        for Avoided { words: phrase, instead } in avoided {
            let there = words[at..].iter().map_while(Option::as_ref).map(|(_, word)| word);
            let there: Vec<&String> = there.take(phrase.len()).collect();
            let is_same = |(has, wanted): (&&String, &String)| {
                *has == wanted || has.strip_suffix('s') == Some(wanted.as_str())
            };
            if there.len() == phrase.len() && there.iter().zip(phrase).all(is_same) {
                found.push(format!("{line}: {:?}: write {instead}", phrase.join(" ")));
            }
        }
    }
    found
}

#[test]
fn the_sources_avoid_the_words_that_contributing_lists() {
    let root = root();
    let avoided = avoided(&fs::read_to_string(root.join("CONTRIBUTING.md")).unwrap());
    assert!(avoided.len() > 20, "only {} words", avoided.len());
    let (mut mistakes, mut looked_at) = (Vec::new(), 0);
    for path in ["src", "crates"].into_iter().flat_map(|dir| files(&root.join(dir))) {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap();
        let words_of: fn(&str) -> Vec<Word> = match path.extension().and_then(|it| it.to_str()) {
            Some("rs") => words,
            Some("lua") => words_of_lua,
            _ => continue,
        };
        looked_at += 1;
        let text = fs::read_to_string(&path).unwrap();
        let is_help =
            |line: &str| name.starts_with("src/cli/args/") && line.trim_start().starts_with("///");
        let lines = text.lines().map(|line| if is_help(line) { "" } else { line });
        let text = lines.collect::<Vec<_>>().join("\n");
        mistakes.extend(found(&words_of(&text), &avoided).iter().map(|it| format!("{name}:{it}")));
    }
    assert!(looked_at > 300, "only {looked_at} files");
    assert!(mistakes.is_empty(), "\n{}\n", mistakes.join("\n"));
}

#[test]
fn readme_and_the_book_avoid_the_words_that_contributing_lists() {
    let avoided = avoided(&fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap());
    let mut mistakes = Vec::new();
    for page in pages() {
        let found = found(&words_of_page(&complete(&page)), &avoided);
        mistakes.extend(found.iter().map(|it| format!("{}:{it}", page.name)));
    }
    assert!(mistakes.is_empty(), "\n{}\n", mistakes.join("\n"));
}

#[test]
fn a_listed_word_is_found_in_the_prose_of_a_page_but_not_in_its_code() {
    let avoided = avoided("| avoid | use |\n|---|---|\n| nobody, so many | N |\n");
    let page = "# Nobody\n`nobody`\n```\nnobody\n```\nAt most so\nmany. So, many.\n";
    let wanted = ["1: \"nobody\": write N", "6: \"so many\": write N"];
    assert_eq!(found(&words_of_page(page), &avoided), wanted);
}

#[test]
fn a_listed_word_is_found_in_an_identifier_and_in_a_comment_but_not_in_a_string() {
    let avoided = avoided(
        "| avoid | use |\n|---|---|\n| nobody, puppet | no actor, task |\n| so many | N / count |\n\
         | whole (of a history) | complete |\n\n| nothing | else |\n",
    );
    for (text, wanted) in [
        ("fn nobody_comes() {}", "1: \"nobody\": write no actor"),
        ("\nstruct LastPuppet;", "2: \"puppet\": write task"),
        ("const ALL_PUPPETS: u8 = 1;", "1: \"puppet\": write task"),
        ("let so_many = 1;", "1: \"so many\": write N / count"),
        ("let quote = '\"'; // Nobody.", "1: \"nobody\": write no actor"),
        ("    /// At most so\n    /// many.", "1: \"so many\": write N / count"),
        ("let text = \"\\\"\"; let puppet = r#\"\"\"#;", "1: \"puppet\": write task"),
        ("fn f<'a>(nobody: &'a str) {}", "1: \"nobody\": write no actor"),
    ] {
        assert_eq!(found(&words(text), &avoided), [wanted], "{text}");
    }
    for text in [
        "let text = \"nobody\";",
        "let text = r#\"nobody \" nobody\"#;",
        "let text = \"\\\" nobody \\\n nobody\";",
        "let so = many;",
        "// So, many of them.",
        "// The whole.",
        "// Nothing.",
        "fn anybody() {}",
    ] {
        assert_eq!(found(&words(text), &avoided), Vec::<String>::new(), "{text}");
    }
    let script = words_of_lua("local puppet = 1\n-- Nobody.\n");
    assert_eq!(found(&script, &avoided), ["2: \"nobody\": write no actor"]);
}
