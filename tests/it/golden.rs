//! Files of the repository that hold what the program says. After a change that is meant, renew these
//! and the golden files of insta with `INSTA_UPDATE=always cargo test golden`, and read the diff.

use crate::pages::Page;
use crate::program::Program;
use lock_lab::scenario::schema;
use std::path::Path;

/// Whether a file of the repository holds what was found. `INSTA_UPDATE=always` writes it if not.
pub fn holds(file: &str, found: &str, is_same: fn(&str, &str) -> bool) -> bool {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let is_current = std::fs::read_to_string(&path).is_ok_and(|held| is_same(&held, found));
    let renews = std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always");
    if renews && !is_current {
        std::fs::write(&path, found).unwrap();
    }
    renews || is_current
}

#[test]
fn the_schema_in_the_repository_is_current() {
    let found = format!("{:#}\n", schema());
    let file = "scenarios/scenario.schema.json";
    assert!(holds(file, &found, str::eq), "{file} differs; the program writes\n{found}");
}

#[test]
fn the_catalogue_of_the_book_is_what_the_program_prints() {
    let Page { name, text } = Page::read("docs/book/src/catalogue.md");
    let (begin, end) = ("<!-- catalogue -->\n", "<!-- /catalogue -->\n");
    let (before, rest) = text.split_once(begin).expect("the page has no <!-- catalogue -->");
    let (_, after) = rest.split_once(end).expect("the page has no <!-- /catalogue -->");
    let printed = Program::new(["catalogue", "--format", "markdown"]).run();
    let printed = &printed.exits(0).stdout;
    let found = [before, begin, printed, end, after].concat();
    let is_current = holds(&name, &found, str::eq);
    assert!(is_current, "{name} differs; the program prints\n{printed}");
}
