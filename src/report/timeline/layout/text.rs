//! How wide a text is at most, in whichever of the picture's fonts it is drawn; and making it fit.

/// How wide a text is at most.
pub fn measure(text: &str, size: f64) -> f64 {
    text.chars().map(width).sum::<f64>() * size
}

/// The width of a character, of the font's size: that of the widest font of the stack, or more.
fn width(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | '\'' | '|' => 0.30,
        ' ' | '.' | ',' | '·' | 'I' => 0.35,
        ':' | ';' | '/' | '\\' | '-' | 'f' | 't' | '!' | '(' | ')' | '[' | ']' => 0.43,
        'r' | '"' | '`' => 0.47,
        'm' | 'W' | '@' | '%' | '…' | '—' => 1.02,
        'w' | 'M' | '+' | '=' | '<' | '>' | '~' | '#' | '×' => 0.88,
        'A'..='Z' | '&' => 0.81,
        ' '..='~' | '–' => 0.66,
        '\u{a1}'..='\u{24f}' => 0.9,
        '\u{370}'..='\u{5ff}' => 0.95,
        // Ideographs, pictures, and what no font of the stack has.
        _ => 1.45,
    }
}

/// The text, or as much of it as fits with an ellipsis; nothing, if that would be less than a few
/// characters.
pub fn fit(text: &str, size: f64, room: f64) -> Option<String> {
    if measure(text, size) <= room {
        return Some(text.to_owned());
    }
    let kept = fitting(text.chars(), size, 0.0, room - measure("…", size));
    let kept = kept.trim_end();
    (kept.chars().count() > 2).then(|| format!("{kept}…"))
}

/// The text without its middle, if need be: names that begin alike are distinguished by their ends.
pub fn fit_ends(text: &str, size: f64, room: f64) -> String {
    if measure(text, size) <= room {
        return text.to_owned();
    }
    let room = room - measure("…", size);
    let back = fitting(text.chars().rev(), size, 0.0, room * 0.6);
    let front = fitting(text.chars(), size, measure(&back, size), room);
    front + "…" + &back.chars().rev().collect::<String>()
}

/// The first of these characters, as many as fit beside what is there.
fn fitting(text: impl Iterator<Item = char>, size: f64, mut used: f64, room: f64) -> String {
    text.take_while(|character| {
        used += width(*character) * size;
        used <= room
    })
    .collect()
}

/// The text in lines, broken at spaces, or within a word that is longer than a line.
pub fn wrap(text: &str, size: f64, room: f64) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let space = if line.is_empty() { "" } else { " " };
        if measure(&line, size) + measure(space, size) + measure(word, size) <= room {
            line.push_str(space);
            line.push_str(word);
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        for character in word.chars() {
            if measure(&line, size) + width(character) * size > room && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            line.push(character);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_made_to_fit_fits(text in any::<String>(), room in 30.0..300.0f64) {
            if let Some(fitted) = fit(&text, 12.0, room) {
                prop_assert!(measure(&fitted, 12.0) <= room);
            }
            prop_assert!(measure(&fit_ends(&text, 12.0, room), 12.0) <= room);
            for line in wrap(&text, 12.0, room) {
                prop_assert!(measure(&line, 12.0) <= room + 1e-6);
            }
        }

        #[test]
        fn wrapping_loses_nothing_but_spaces(text in "[a-z ]{0,200}") {
            let spaceless = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(spaceless(&wrap(&text, 12.0, 60.0).concat()), spaceless(&text));
        }
    }
}
