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

/// A key that ends what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// `q` or Escape.
    Quit,
    /// Ctrl-C.
    Interrupt,
}

/// The terminal, taken. Dropping this gives it back.
pub(super) struct Screen(());

impl Screen {
    /// Takes the terminal, and calls `pressed` for each key that ends it.
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
        if let Some(key) = bytes.get(..count).and_then(key) {
            pressed(key);
        }
    }
}

/// The key that these bytes stand for. Arrows and the like begin with Escape, too, but not alone.
fn key(bytes: &[u8]) -> Option<Key> {
    match bytes {
        _ if bytes.contains(&3) => Some(Key::Interrupt),
        [0x1b] => Some(Key::Quit),
        [0x1b, ..] => None,
        _ if bytes.iter().any(|byte| matches!(byte, b'q' | b'Q')) => Some(Key::Quit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ends_it_counts() {
        for (bytes, expected) in [
            (&b"q"[..], Some(Key::Quit)),
            (b"Q", Some(Key::Quit)),
            (b"jjq", Some(Key::Quit)),
            (b"\x1b", Some(Key::Quit)),
            (b"\x03", Some(Key::Interrupt)),
            (b"q\x03", Some(Key::Interrupt)),
            (b"\x1b[A", None),
            (b"\x1bOq", None),
            (b"x\n", None),
            (b"", None),
        ] {
            assert_eq!(key(bytes), expected, "{bytes:?}");
        }
    }
}
