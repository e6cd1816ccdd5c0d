//! The links between README.md, the book and the other pages of the repository, and the book's table of contents.

use crate::layers::root;
use crate::pages::{BOOK, Page, pages};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// Pages that are not of the book and not README.md.
const OTHERS: [&str; 12] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "benches/README.md",
    "benches/explore/README.md",
    "crates/lock-history/README.md",
    "crates/lock-lab/README.md",
    "crates/redis-sim/README.md",
    "examples/subjects/README.md",
    "js/README.md",
    "python/README.md",
    "scenarios/README.md",
];

/// The lines of a page that are no code, with their numbers. Code between backticks is left out.
pub fn prose(markdown: &str) -> Vec<(usize, String)> {
    let mut inside = false;
    let mut lines = Vec::new();
    for (number, line) in markdown.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside && !line.starts_with("    ") {
            let pieces = line.split('`').step_by(2);
            lines.push((number + 1, pieces.collect::<Vec<_>>().join("``")));
        }
    }
    lines
}

/// The targets of the links of a page, with their lines.
fn links(markdown: &str) -> Vec<(usize, String)> {
    let found = prose(markdown).into_iter().flat_map(|(number, line)| {
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        targets.map(|(target, _)| (number, target.to_owned())).collect::<Vec<_>>()
    });
    found.collect()
}

/// The anchor of a heading, as hosts of repositories and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(markdown: &str) -> BTreeSet<String> {
    let lines = markdown.lines().filter(|line| line.starts_with('#'));
    lines.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// The page with the files that it includes.
pub fn complete(page: &Page) -> String {
    let dir = root().join(&page.name);
    let dir = dir.parent().unwrap();
    let line = |line: &str| match line.strip_prefix("{{#include ") {
        Some(rest) => {
            let path = dir.join(rest.trim_end_matches('}'));
            std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        }
        None => line.to_owned(),
    };
    page.text.lines().map(|text| line(text) + "\n").collect()
}

/// A path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                assert!(normal.pop(), "{} leaves the repository", path.display())
            }
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

/// Why a link of a page leads nowhere.
fn broken(page: &Page, target: &str) -> Option<String> {
    if target.starts_with("https://") || target.starts_with("http://") {
        return None;
    }
    let (path, wanted) = target.split_once('#').unwrap_or((target, ""));
    let here = Path::new(&page.name);
    let to = match path {
        "" => here.to_owned(),
        path => normal(&here.parent().unwrap().join(path)),
    };
    if !root().join(&to).exists() {
        return Some(format!("there is no {}", to.display()));
    }
    if here.starts_with(BOOK) && !to.starts_with(BOOK) {
        return Some("is not a part of the book".into());
    }
    if !wanted.is_empty() && !anchors(&complete(&Page::read(to.to_str().unwrap()))).contains(wanted)
    {
        return Some(format!("{} has no heading for it", to.display()));
    }
    None
}

#[test]
fn every_link_leads_to_a_page_and_a_heading() {
    let others = OTHERS.iter().map(|name| Page::read(name));
    let (mut wrong, mut count) = (Vec::new(), 0);
    for page in pages().into_iter().chain(others) {
        for (line, target) in links(&complete(&page)) {
            count += 1;
            let why = broken(&page, &target);
            wrong.extend(why.map(|why| format!("{}:{line}: {target}: {why}", page.name)));
        }
    }
    assert!(count > 80, "only {count} links");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_of_contents_has_each_page_of_the_book_once() {
    let listed = links(&Page::read(&format!("{BOOK}/SUMMARY.md")).text);
    let listed: Vec<String> = listed.iter().map(|(_, target)| format!("{BOOK}/{target}")).collect();
    let names = pages().into_iter().map(|page| page.name);
    let names: BTreeSet<String> =
        names.filter(|name| name.starts_with(BOOK) && !name.ends_with("SUMMARY.md")).collect();
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), names);
    assert_eq!(listed.len(), names.len(), "a page is listed twice");
    assert!(names.len() <= 40, "{} pages", names.len());
}

#[test]
fn a_link_to_nothing_is_noticed() {
    let page = Page { name: format!("{BOOK}/guides/mine.md"), text: String::new() };
    for target in ["explore.md", "../seed.md#the-seed-line-by-line", "https://redis.io/"] {
        assert_eq!(broken(&page, target), None, "{target}");
    }
    for target in ["exploring.md", "../seed.md#seed", "../../../../README.md"] {
        assert!(broken(&page, target).is_some(), "{target}");
    }
    let text = "[a](b.md) and `[c](d.md)`\n```\n[e](f.md)\n```\n![g](h.png)\n";
    assert_eq!(links(text), [(1, "b.md".to_owned()), (5, "h.png".to_owned())]);
    assert_eq!(anchor(" What `probe` does, and why "), "what-probe-does-and-why");
}
