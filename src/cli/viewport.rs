//! A text on as many rows as a window has.

use unicode_width::UnicodeWidthStr;

/// The lines of a text that fit into a window of `columns` and `rows`. Of a text that is too long,
/// the beginning and the last paragraph.
pub(super) fn fit(text: &str, (columns, rows): (u16, u16)) -> Vec<&str> {
    let (columns, rows) = (usize::from(columns.max(1)), usize::from(rows));
    let height = |line: &str| width(line).div_ceil(columns).max(1);
    let lines: Vec<&str> = text.lines().collect();
    if lines.iter().map(|line| height(line)).sum::<usize>() <= rows {
        return lines;
    }
    let last = lines.iter().rposition(|line| line.is_empty()).unwrap_or(0);
    let (beginning, end) = lines.split_at(last);
    let mut left = rows.saturating_sub(1);
    let end: Vec<&str> =
        end.iter().copied().take_while(|line| take(&mut left, height(line))).collect();
    let beginning = beginning.iter().copied().take_while(|line| take(&mut left, height(line)));
    beginning.chain([MORE]).chain(end).collect()
}

/// What stands for the lines that don't fit.
const MORE: &str = "… (enlarge the window to see more)";

/// Takes this number of the rows that are left, if there are enough.
fn take(left: &mut usize, wanted: usize) -> bool {
    left.checked_sub(wanted).map(|rest| *left = rest).is_some()
}

/// How many columns a line takes.
fn width(line: &str) -> usize {
    let mut letters = line.chars();
    let mut shown = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            // A colour, up to its final letter.
            '\u{1b}' => drop(letters.find(char::is_ascii_alphabetic)),
            letter => shown.push(letter),
        }
    }
    shown.width()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "title\n\none\ntwo\nthree\n\nsum\n  command\n";

    #[test]
    fn what_fits_is_shown_and_of_more_the_beginning_and_the_end() {
        assert_eq!(fit(TEXT, (80, 8)).len(), 8);
        assert_eq!(fit(TEXT, (80, 7)), ["title", "", "one", MORE, "", "sum", "  command"]);
        assert_eq!(fit(TEXT, (80, 4)), [MORE, "", "sum", "  command"]);
        assert_eq!(fit(TEXT, (80, 1)), [MORE]);
    }

    #[test]
    fn a_line_that_is_wider_than_the_window_takes_several_rows() {
        assert_eq!(fit(TEXT, (5, 9)).len(), 8);
        assert_eq!(fit(TEXT, (5, 8)).last(), Some(&"  command"));
        assert_eq!(width("\u{1b}[1mab\u{1b}[0m…"), 3);
        assert_eq!(width("ロé"), 3);
    }
}
