//! The terminal while something is redrawn on it: the alternate screen, the keys that end it, and
//! how it is left as it was, however the program ends.

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::Print;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use std::io::{self, IsTerminal, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{panic, thread};

/// Whether the terminal is to be restored.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whether keys come one by one and unseen.
static RAW: AtomicBool = AtomicBool::new(false);

/// A key that means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// `q` or Escape.
    Quit,
    /// Ctrl-C.
    Interrupt,
    /// An arrow to the right or down, or the space bar.
    Forward,
    /// An arrow to the left or up.
    Back,
    /// Home.
    First,
    /// End.
    Last,
    /// Tab.
    Switch,
}

/// The terminal, taken. Dropping this gives it back.
pub(super) struct Screen(());

impl Screen {
    /// Takes the terminal, and calls `pressed` for each key.
    pub fn take(pressed: impl Fn(Key) + Send + 'static) -> io::Result<Self> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
        TAKEN.store(true, Ordering::SeqCst);
        let screen = Self(());
        if io::stdin().is_terminal() {
            enable_raw_mode()?;
            RAW.store(true, Ordering::SeqCst);
            thread::Builder::new().name("keys".into()).spawn(move || read_keys(&pressed))?;
        }
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    /// Draws these lines over what is there. They must fit.
    pub fn draw(&self, lines: &[&str]) -> io::Result<()> {
        let mut frame = Vec::new();
        queue!(frame, MoveTo(0, 0))?;
        for (number, line) in lines.iter().enumerate() {
            let end = if number == 0 { "" } else { "\r\n" };
            queue!(frame, Print(end), Print(line), Clear(ClearType::UntilNewLine))?;
        }
        queue!(frame, Clear(ClearType::FromCursorDown))?;
        let mut out = io::stdout().lock();
        out.write_all(&frame)?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Leaves the terminal as it was, if it was taken.
pub(super) fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // Nothing can be done where this fails.
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        if RAW.swap(false, Ordering::SeqCst) {
            let _ = disable_raw_mode();
        }
    }
}

fn read_keys(pressed: &impl Fn(Key)) {
    let mut bytes = [0; 256];
    while let Ok(count @ 1..) = io::stdin().lock().read(&mut bytes) {
        keys(bytes.get(..count).unwrap_or_default()).into_iter().for_each(pressed);
    }
}

/// The keys that these bytes stand for. Ctrl-C is the only one where it is among them.
fn keys(bytes: &[u8]) -> Vec<Key> {
    if bytes.contains(&3) {
        return vec![Key::Interrupt];
    }
    let mut keys = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (key, after) = next_key(rest);
        keys.extend(key);
        rest = after;
    }
    keys
}

/// The first key, if it means something, and what follows it. Arrows and the like begin with Escape.
fn next_key(bytes: &[u8]) -> (Option<Key>, &[u8]) {
    match bytes {
        [0x1b] => (Some(Key::Quit), &[]),
        [0x1b, b'[' | b'O', rest @ ..] => {
            let is_final = |byte: &u8| (0x40..=0x7e).contains(byte);
            let end = rest.iter().position(is_final).map_or(rest.len(), |end| end + 1);
            let (sequence, after) = rest.split_at(end);
            (sequence_key(sequence), after)
        }
        [0x1b, _, rest @ ..] => (None, rest),
        [byte, rest @ ..] => (letter_key(*byte), rest),
        [] => (None, &[]),
    }
}

fn sequence_key(sequence: &[u8]) -> Option<Key> {
    Some(match sequence {
        b"C" | b"B" => Key::Forward,
        b"D" | b"A" => Key::Back,
        b"H" | b"1~" | b"7~" => Key::First,
        b"F" | b"4~" | b"8~" => Key::Last,
        _ => return None,
    })
}

fn letter_key(byte: u8) -> Option<Key> {
    Some(match byte {
        b'q' | b'Q' => Key::Quit,
        b' ' => Key::Forward,
        b'\t' => Key::Switch,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_mean_something_are_read_one_after_the_other() {
        use Key::{Back, First, Forward, Interrupt, Last, Quit, Switch};
        for (bytes, expected) in [
            (&b"q"[..], &[Quit][..]),
            (b"Q", &[Quit]),
            (b"jjq", &[Quit]),
            (b"\x1b", &[Quit]),
            (b"\x03", &[Interrupt]),
            (b"q\x03", &[Interrupt]),
            (b"\x1b[C\x1b[C\x1b[D", &[Forward, Forward, Back]),
            (b"\x1bOC\x1bOD \t", &[Forward, Back, Forward, Switch]),
            (b"\x1b[A\x1b[B", &[Back, Forward]),
            (b"\x1b[H\x1b[F\x1b[1~\x1b[4~", &[First, Last, First, Last]),
            (b"\x1b[5~\x1b[1;5C\x1bOq", &[]),
            (b"\x1b[", &[]),
            (b"\x1bq", &[]),
            (b"x\n", &[]),
            (b"", &[]),
        ] {
            assert_eq!(keys(bytes), expected, "{bytes:?}");
        }
    }
}
