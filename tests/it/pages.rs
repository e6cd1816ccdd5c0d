//! The pages that users read, README.md and those of the book, and their fenced blocks.

use crate::layers::root;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Where the book's pages are.
pub const BOOK: &str = "docs/book/src";

/// A page: its path below the root of the repository, and its text.
#[derive(Debug)]
pub struct Page {
    pub name: String,
    pub text: String,
}

impl Page {
    pub fn read(name: &str) -> Page {
        let text = fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        Page { name: name.into(), text }
    }
}

/// README.md and the pages of the book.
pub fn pages() -> Vec<Page> {
    let mut names = vec!["README.md".to_owned()];
    add_pages(&root().join(BOOK), &mut names);
    names.sort();
    names.iter().map(|name| Page::read(name)).collect()
}

fn add_pages(dir: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_pages(&path, names);
        } else if path.extension().is_some_and(|it| it == "md") {
            names.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
}

/// A fenced block: what it is marked with, what is in it, and the line where it begins.
#[derive(Debug, PartialEq)]
pub struct Block {
    pub kind: String,
    pub text: String,
    pub line: usize,
}

/// The blocks of a page. A comment `<!-- sh: COMMANDS -->` is a block that readers don't see.
pub fn blocks(markdown: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut inside = false;
    for (number, line) in markdown.lines().enumerate() {
        let hidden = line.strip_prefix("<!-- sh: ").and_then(|rest| rest.strip_suffix(" -->"));
        if let Some(commands) = hidden.filter(|_| !inside) {
            let text = format!("{commands}\n");
            found.push(Block { kind: "sh".into(), text, line: number + 1 });
        }
        match (line.strip_prefix("```"), inside) {
            (Some(_), true) => inside = false,
            (Some(kind), false) => {
                inside = true;
                found.push(Block { kind: kind.into(), text: String::new(), line: number + 1 });
            }
            (None, true) => writeln!(found.last_mut().unwrap().text, "{line}").unwrap(),
            (None, false) => {}
        }
    }
    found
}

/// The page with other text in the block that begins at this line.
pub fn with_block(markdown: &str, line: usize, text: &str) -> String {
    let lines: Vec<&str> = markdown.lines().collect();
    let (before, rest) = lines.split_at(line);
    let end = rest.iter().position(|line| line.starts_with("```")).expect("the block ends");
    let after = &rest[end..];
    let text = text.strip_suffix('\n').unwrap_or(text);
    [&before.join("\n"), text, &after.join("\n"), ""].join("\n")
}

#[test]
fn blocks_are_found_with_their_kind_and_line_and_can_be_replaced() {
    let page = "a\n```sh\none\ntwo\n```\n```text\nthree\n```\nb\n";
    let block = |kind: &str, text: &str, line| Block { kind: kind.into(), text: text.into(), line };
    assert_eq!(blocks(page), [block("sh", "one\ntwo\n", 2), block("text", "three\n", 6)]);
    let hidden = "<!-- sh: one; two -->\n```text\n<!-- sh: no -->\n```\n";
    assert_eq!(
        blocks(hidden),
        [block("sh", "one; two\n", 1), block("text", "<!-- sh: no -->\n", 2)]
    );
    let renewed = with_block(page, 6, "four\nfive\n");
    assert_eq!(renewed, "a\n```sh\none\ntwo\n```\n```text\nfour\nfive\n```\nb\n");
}
