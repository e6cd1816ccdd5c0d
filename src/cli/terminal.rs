//! What the terminal can show: its width, and whether to use colour.

use super::args::Color;
use crate::report::Style;
use std::ffi::OsStr;
use std::io::{self, IsTerminal};

/// Lines longer than this are hard to read, however wide the window is.
const WIDEST: u16 = 120;

/// The style of a table that goes to stdout, or else into a file.
pub fn style(color: Color, to_file: bool) -> Style {
    let terminal = !to_file && io::stdout().is_terminal();
    let width = if terminal {
        crossterm::terminal::size().map_or(0, |(columns, _)| columns)
    } else {
        Style::PLAIN.width
    };
    Style {
        width: match width {
            0 => Style::PLAIN.width,
            columns => columns.min(WIDEST),
        },
        color: wanted(color, terminal, std::env::var_os),
    }
}

/// The same for a report that is not wrapped where it goes through a pipe, so that each row is one line
/// there. `COLUMNS` gives it a width.
pub fn unwrapped(style: Style, to_file: bool) -> Style {
    if to_file || io::stdout().is_terminal() {
        return style;
    }
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    Style { width: columns.unwrap_or(u16::MAX), ..style }
}

/// Asked for, or on a terminal that can and unless `NO_COLOR` is set (<https://no-color.org>).
fn wanted<V: AsRef<OsStr>>(
    color: Color,
    terminal: bool,
    variable: impl Fn(&'static str) -> Option<V>,
) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let unwanted = variable("NO_COLOR").is_some_and(|value| !value.as_ref().is_empty());
            let dumb = variable("TERM").is_some_and(|value| value.as_ref() == "dumb");
            terminal && !unwanted && !dumb
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals_and_for_those_who_want_it() {
        let none = |_| None::<&str>;
        let no_color =
            |value: &'static str| move |name: &'static str| (name == "NO_COLOR").then_some(value);
        let dumb = |name: &'static str| (name == "TERM").then_some("dumb");
        assert!(wanted(Color::Auto, true, none));
        assert!(!wanted(Color::Auto, false, none));
        assert!(!wanted(Color::Auto, true, no_color("1")));
        assert!(wanted(Color::Auto, true, no_color("")));
        assert!(!wanted(Color::Auto, true, dumb));
        assert!(wanted(Color::Always, false, no_color("1")));
        assert!(!wanted(Color::Never, true, none));
    }

    #[test]
    fn a_file_is_plain_and_80_columns_wide() {
        assert_eq!(style(Color::Auto, true), Style::PLAIN);
    }
}
