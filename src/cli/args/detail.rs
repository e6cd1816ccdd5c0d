//! How much a help tells: `-h` what fits a screen, `--help` all there is.
//!
//! Arguments say both in clap's own way (`help` and `long_help`). Only the layout is ours: clap's
//! gives each flag of a long help three lines.

use clap::builder::StyledStr;
use clap::{Arg, Command};
use std::ffi::OsString;

/// How much of the help is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// What one needs most, a line each.
    Short,
    /// Everything.
    Full,
}

/// The heading under which a short help has all flags that are no parameters.
const OPTIONS: &str = "Options";
/// The heading of a scenario's own flags.
pub(super) const PARAMETERS: &str = "Parameters";

impl Detail {
    /// What these arguments ask for, if they ask for help at all.
    pub(super) fn asked_for(argv: &[OsString]) -> Option<Self> {
        let words = || argv.iter().skip(1).take_while(|word| *word != "--");
        if words().any(|word| word == "-h") {
            return Some(Self::Short);
        }
        let asks =
            words().any(|word| word == "--help") || words().next().is_some_and(|it| it == "help");
        asks.then_some(Self::Full)
    }
}

/// The same commands, with help in this detail.
pub(super) fn with_detail(detail: Detail, command: Command) -> Command {
    command.mut_subcommands(|command| {
        let about = text(detail, command.get_about(), command.get_long_about());
        let after = text(detail, command.get_after_help(), command.get_after_long_help());
        command
            .about(about)
            .long_about(None)
            .after_help(after)
            .after_long_help(None)
            .mut_args(|arg| argument(detail, arg))
    })
}

/// An argument with help in this detail.
pub(super) fn argument(detail: Detail, arg: Arg) -> Arg {
    let help = text(detail, arg.get_help(), arg.get_long_help());
    let is_left_out = detail == Detail::Short && arg.is_hide_short_help_set();
    let is_hidden = arg.is_hide_set() || is_left_out;
    let is_general = arg.get_help_heading().is_some_and(|heading| heading != PARAMETERS);
    let arg = arg.help(help).long_help(None).hide(is_hidden).hide_short_help(false);
    if detail == Detail::Short && is_general { arg.help_heading(OPTIONS) } else { arg }
}

fn text(detail: Detail, short: Option<&StyledStr>, long: Option<&StyledStr>) -> StyledStr {
    let text = match detail {
        Detail::Short => short,
        Detail::Full => long.or(short),
    };
    text.cloned().unwrap_or_default()
}

/// A text on one line of a short help; what is after a semicolon is for the long one.
pub(super) fn cut(text: &str, longest: usize) -> String {
    let clause = text.split("; ").next().unwrap_or(text);
    if clause.chars().count() <= longest {
        return clause.to_owned();
    }
    let mut line = String::new();
    for word in clause.split(' ') {
        if line.chars().count() + 1 + word.chars().count() + 1 > longest {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line.push('…');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_asks_for_help_gets_a_layout() {
        let asked = |words: &[&str]| {
            let argv: Vec<OsString> = words.iter().map(OsString::from).collect();
            Detail::asked_for(&argv)
        };
        assert_eq!(asked(&["nodb-trigger", "run", "-h"]), Some(Detail::Short));
        assert_eq!(asked(&["nodb-trigger", "run", "--help"]), Some(Detail::Full));
        assert_eq!(asked(&["nodb-trigger", "help", "run"]), Some(Detail::Full));
        assert_eq!(asked(&["nodb-trigger", "run", "help"]), None);
        assert_eq!(asked(&["nodb-trigger", "run", "--", "-h"]), None);
        assert_eq!(asked(&[]), None);
    }

    #[test]
    fn a_text_is_cut_between_words() {
        assert_eq!(cut("How long it lives; no longer", 40), "How long it lives");
        assert_eq!(cut("How long it lives and more", 17), "How long it…");
        assert_eq!(cut("How long", 8), "How long");
        assert_eq!(cut("Endlessly", 3), "…");
    }
}
