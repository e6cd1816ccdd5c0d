//! What to say of an actor that does not do the same each time that it sees the same.

/// How much of a command is shown, and of one of its words, in characters.
const COMMAND: usize = 100;
const WORD: usize = 60;
/// How much of a long word is shown before what differs.
const BEFORE: usize = 20;

/// The sentence about an actor that went on with another command than before; without words, it sent none.
pub(super) fn another_step(name: &str, [before, now]: [&[&[u8]]; 2]) -> String {
    let sent = |words: &[&[u8]]| match words {
        [] => "no command".into(),
        _ => shown(&words.join(&b' '), COMMAND),
    };
    let position = (0..).zip(before.iter().zip(now)).find(|(_, (before, now))| before != now);
    let differs = position.map(|(at, (before, now))| {
        let same = before.iter().zip(*now).take_while(|(before, now)| before == now).count();
        let from = |word: &[u8]| {
            let from = if same < WORD { 0 } else { same - BEFORE };
            let dots = if from == 0 { "" } else { "..." };
            format!("{dots}{}", shown(word.get(from..).unwrap_or_default(), WORD))
        };
        format!(": word {} is {}, and was {}", at + 1, from(now), from(before))
    });
    let (sent_before, sent) = (sent(before), sent(now));
    let differs = differs.filter(|_| !before.is_empty() && !now.is_empty());
    let differs = differs.unwrap_or_default();
    format!("after the same replies {name} sent {sent} where it had sent {sent_before}{differs}")
}

/// Text in quotation marks, no longer than this.
fn shown(text: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(most) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_commands_are_named_and_the_word_that_differs() {
        let words = |text: &'static str| text.split(' ').map(str::as_bytes).collect::<Vec<_>>();
        for (before, now, expected) in [
            (
                "SET lock a NX",
                "SET lock b NX",
                "after the same replies one sent \"SET lock b NX\" where it had sent \"SET lock a NX\": \
                 word 3 is \"b\", and was \"a\"",
            ),
            (
                "GET lock",
                "",
                "after the same replies one sent no command where it had sent \"GET lock\"",
            ),
            (
                "GET lock",
                "GET lock 1",
                "after the same replies one sent \"GET lock 1\" where it had sent \"GET lock\"",
            ),
        ] {
            let now = if now.is_empty() { Vec::new() } else { words(now) };
            assert_eq!(another_step("one", [&words(before), &now]), expected);
        }
        let [one, other] = ["1", "2"].map(|end| "x".repeat(200) + end);
        let sentence = another_step("one", [&[one.as_bytes()], &[other.as_bytes()]]);
        let expected = format!(": word 1 is ...\"{}2\", and was ...\"{0}1\"", "x".repeat(20));
        assert!(sentence.ends_with(&expected), "{sentence}");
        let long = vec![b'x'; 300];
        assert!(another_step("one", [&[b"GET", &long], &[b"GET", b"x"]]).len() < 300);
    }
}
