//! Lua's patterns, as version 5.1 matches them, but within bounds: in Lua's own library one match may take
//! longer than the machine lives, or more stack than there is.

use std::ops::Range;

/// How many pairs of parentheses a pattern may have.
const CAPTURES: usize = 32;

/// How many items of a pattern may wait for the rest of it to match.
const DEPTH: usize = 10_000;

/// The byte that gives the next one a meaning, or takes its own away.
const ESCAPE: u8 = b'%';

/// Why there is neither a match nor none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The pattern is wrong, in Lua's words.
    Pattern(&'static str),
    /// It took more steps than were left.
    OutOfSteps,
}

/// What parentheses caught, as places in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capture {
    /// Its end was not reached yet.
    Open(usize),
    /// `()`: where the match was then.
    Position(usize),
    Closed(usize, usize),
}

type Outcome<T> = Result<T, Failure>;

/// A text and a pattern.
pub(super) struct Matcher<'a> {
    text: &'a [u8],
    pattern: &'a [u8],
    /// How many steps are left.
    pub(super) steps: i64,
    pub(super) captures: Vec<Capture>,
    depth: usize,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(text: &'a [u8], pattern: &'a [u8], steps: i64) -> Self {
        // To Lua it is a text of C.
        let end = pattern.iter().position(|&byte| byte == 0).unwrap_or(pattern.len());
        let pattern = pattern.get(..end).unwrap_or_default();
        Self { text, pattern, steps, captures: Vec::new(), depth: 0 }
    }

    /// Whether a byte of the pattern means anything but itself.
    pub(super) fn has_specials(&self) -> bool {
        self.pattern.iter().any(|byte| b"^$*+?.([%-".contains(byte))
    }

    /// The first match at this place or behind it; where the first byte of the pattern only says that it is
    /// anchored, at this place.
    pub(super) fn find(&mut self, from: usize, anchored: bool) -> Outcome<Option<Range<usize>>> {
        for start in from..=self.text.len() {
            self.captures.clear();
            self.depth = 0;
            if let Some(end) = self.rest(start, usize::from(anchored))? {
                return Ok(Some(start..end));
            }
            if anchored {
                break;
            }
        }
        Ok(None)
    }

    /// The first place where the text has exactly these bytes.
    pub(super) fn find_plain(
        &mut self,
        from: usize,
        wanted: &[u8],
    ) -> Outcome<Option<Range<usize>>> {
        let last = self.text.len().checked_sub(wanted.len());
        for start in from..last.map_or(0, |last| last + 1) {
            let here = self.text.get(start..).unwrap_or_default();
            let same = here.iter().zip(wanted).take_while(|(here, wanted)| here == wanted).count();
            self.spend(same)?;
            if same == wanted.len() {
                return Ok(Some(start..start + same));
            }
        }
        Ok(None)
    }

    fn spend(&mut self, bytes: usize) -> Outcome<()> {
        self.steps -= 1 + i64::try_from(bytes).unwrap_or(i64::MAX / 2);
        if self.steps < 0 { Err(Failure::OutOfSteps) } else { Ok(()) }
    }

    fn letter(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    /// A byte of the pattern; zero behind its end.
    fn item(&self, at: usize) -> u8 {
        self.pattern.get(at).copied().unwrap_or(0)
    }

    /// Matches what is left of the pattern here, on the stack of those that wait for it.
    fn then(&mut self, at: usize, item: usize) -> Outcome<Option<usize>> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Failure::Pattern("pattern too complex"));
        }
        let end = self.rest(at, item);
        self.depth -= 1;
        end
    }

    /// Matches what is left of the pattern here; gives the end of the match.
    fn rest(&mut self, mut at: usize, mut item: usize) -> Outcome<Option<usize>> {
        loop {
            self.spend(0)?;
            let next = match (self.item(item), self.item(item + 1)) {
                (0, _) => return Ok(Some(at)),
                (b'(', b')') => return self.captured(Capture::Position(at), at, item + 2),
                (b'(', _) => return self.captured(Capture::Open(at), at, item + 1),
                (b')', _) => return self.close(at, item + 1),
                (b'$', 0) => return Ok((at == self.text.len()).then_some(at)),
                (ESCAPE, b'b') => self.balanced(at, item + 2)?.map(|end| (end, item + 4)),
                (ESCAPE, b'f') => self.frontier(at, item + 2)?.map(|item| (at, item)),
                (ESCAPE, digit) if digit.is_ascii_digit() => {
                    self.again(at, digit)?.map(|end| (end, item + 2))
                }
                _ => {
                    let end = self.item_end(item)?;
                    match self.item(end) {
                        b'?' => {
                            if self.fits(at, item..end)?
                                && let Some(end) = self.then(at + 1, end + 1)?
                            {
                                return Ok(Some(end));
                            }
                            Some((at, end + 1))
                        }
                        b'*' => return self.most(at, item..end),
                        b'+' if self.fits(at, item..end)? => return self.most(at + 1, item..end),
                        b'+' => None,
                        b'-' => return self.least(at, item..end),
                        _ => self.fits(at, item..end)?.then_some((at + 1, end)),
                    }
                }
            };
            let Some(next) = next else { return Ok(None) };
            (at, item) = next;
        }
    }

    /// Matches the rest behind a parenthesis that opens.
    fn captured(&mut self, capture: Capture, at: usize, item: usize) -> Outcome<Option<usize>> {
        if self.captures.len() >= CAPTURES {
            return Err(Failure::Pattern("too many captures"));
        }
        let before = self.captures.len();
        self.captures.push(capture);
        let end = self.then(at, item)?;
        if end.is_none() {
            self.captures.truncate(before);
        }
        Ok(end)
    }

    /// Matches the rest behind a parenthesis that closes.
    fn close(&mut self, at: usize, item: usize) -> Outcome<Option<usize>> {
        let open = self.captures.iter().rposition(|capture| matches!(capture, Capture::Open(_)));
        let capture = open.and_then(|open| self.captures.get_mut(open));
        let (Some(place), Some(capture)) = (open, capture) else {
            return Err(Failure::Pattern("invalid pattern capture"));
        };
        let before = *capture;
        if let Capture::Open(start) = before {
            *capture = Capture::Closed(start, at);
        }
        let end = self.then(at, item)?;
        if end.is_none()
            && let Some(capture) = self.captures.get_mut(place)
        {
            *capture = before;
        }
        Ok(end)
    }

    /// `%b()`: from one byte to the other that belongs to it.
    fn balanced(&mut self, at: usize, item: usize) -> Outcome<Option<usize>> {
        let (open, close) = (self.item(item), self.item(item + 1));
        if open == 0 || close == 0 {
            return Err(Failure::Pattern("unbalanced pattern"));
        }
        if self.letter(at) != Some(open) {
            return Ok(None);
        }
        let mut level = 1;
        for (offset, &letter) in self.text.get(at + 1..).unwrap_or_default().iter().enumerate() {
            if letter == close {
                level -= 1;
                if level == 0 {
                    self.spend(offset)?;
                    return Ok(Some(at + offset + 2));
                }
            } else if letter == open {
                level += 1;
            }
        }
        self.spend(self.text.len() - at)?;
        Ok(None)
    }

    /// `%f[set]`: where a byte of the set begins to come. Gives the next item.
    fn frontier(&mut self, at: usize, item: usize) -> Outcome<Option<usize>> {
        if self.item(item) != b'[' {
            return Err(Failure::Pattern("missing '[' after '%f' in pattern"));
        }
        let end = self.item_end(item)?;
        let before = at.checked_sub(1).and_then(|before| self.letter(before)).unwrap_or(0);
        let here = self.letter(at).unwrap_or(0);
        self.spend(end - item)?;
        let is_border = !self.in_set(before, item..end) && self.in_set(here, item..end);
        Ok(is_border.then_some(end))
    }

    /// `%1`: what a capture caught, once more.
    fn again(&mut self, at: usize, digit: u8) -> Outcome<Option<usize>> {
        let capture = usize::from(digit - b'0').checked_sub(1);
        let (start, end) = match capture.and_then(|capture| self.captures.get(capture)) {
            None | Some(Capture::Open(_)) => {
                return Err(Failure::Pattern("invalid capture index"));
            }
            // To Lua, the length of a position is more than there ever is.
            Some(Capture::Position(_)) => return Ok(None),
            Some(Capture::Closed(start, end)) => (*start, *end),
        };
        self.spend(end - start)?;
        let here = self.text.get(at..at + (end - start));
        let is_same = here.is_some_and(|here| Some(here) == self.text.get(start..end));
        Ok(is_same.then_some(at + (end - start)))
    }

    /// The end of the item that begins here: a byte, a class or a set.
    fn item_end(&self, item: usize) -> Outcome<usize> {
        match self.item(item) {
            ESCAPE if self.item(item + 1) == 0 => {
                Err(Failure::Pattern("malformed pattern (ends with '%')"))
            }
            ESCAPE => Ok(item + 2),
            b'[' => {
                let mut at = item + 1 + usize::from(self.item(item + 1) == b'^');
                loop {
                    let byte = self.item(at);
                    if byte == 0 {
                        return Err(Failure::Pattern("malformed pattern (missing ']')"));
                    }
                    at += 1 + usize::from(byte == ESCAPE && self.item(at + 1) != 0);
                    if self.item(at) == b']' {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(item + 1),
        }
    }

    /// Whether the byte of the text here is one that the item stands for.
    fn fits(&mut self, at: usize, item: Range<usize>) -> Outcome<bool> {
        self.spend(item.len())?;
        let Some(letter) = self.letter(at) else { return Ok(false) };
        Ok(match self.item(item.start) {
            b'.' => true,
            ESCAPE => in_class(letter, self.item(item.start + 1)),
            b'[' => self.in_set(letter, item),
            byte => byte == letter,
        })
    }

    /// Whether a set, its brackets included, has this byte.
    fn in_set(&self, letter: u8, set: Range<usize>) -> bool {
        let negated = self.item(set.start + 1) == b'^';
        let (mut at, last) = (set.start + 1 + usize::from(negated), set.end - 1);
        while at < last {
            let (byte, next) = (self.item(at), self.item(at + 1));
            let found = if byte == ESCAPE {
                at += 2;
                in_class(letter, next)
            } else if next == b'-' && at + 2 < last {
                at += 3;
                (byte..=self.item(at - 1)).contains(&letter)
            } else {
                at += 1;
                byte == letter
            };
            if found {
                return !negated;
            }
        }
        negated
    }

    /// An item as often as it fits, or less often if the rest does not match then.
    fn most(&mut self, at: usize, item: Range<usize>) -> Outcome<Option<usize>> {
        let mut end = at;
        while self.fits(end, item.clone())? {
            end += 1;
        }
        for end in (at..=end).rev() {
            if let Some(end) = self.then(end, item.end + 1)? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// An item as seldom as the rest lets it.
    fn least(&mut self, mut at: usize, item: Range<usize>) -> Outcome<Option<usize>> {
        loop {
            if let Some(end) = self.then(at, item.end + 1)? {
                return Ok(Some(end));
            }
            if !self.fits(at, item.clone())? {
                return Ok(None);
            }
            at += 1;
        }
    }
}

/// Whether a byte is in the class that this letter names, in the locale of C.
fn in_class(letter: u8, class: u8) -> bool {
    let is_in = match class.to_ascii_lowercase() {
        b'a' => letter.is_ascii_alphabetic(),
        b'c' => letter.is_ascii_control(),
        b'd' => letter.is_ascii_digit(),
        b'l' => letter.is_ascii_lowercase(),
        b'p' => letter.is_ascii_punctuation(),
        // A vertical tab is white space to C.
        b's' => letter.is_ascii_whitespace() || letter == 11,
        b'u' => letter.is_ascii_uppercase(),
        b'w' => letter.is_ascii_alphanumeric(),
        b'x' => letter.is_ascii_hexdigit(),
        b'z' => letter == 0,
        _ => return class == letter,
    };
    is_in != class.is_ascii_uppercase()
}
