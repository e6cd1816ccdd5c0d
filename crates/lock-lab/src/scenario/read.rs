//! Reads TOML member by member, and knows the place of each in the file. Says what is wrong with a
//! file that isn't TOML, has an unknown member, or has one of the wrong type.

use super::error::{Mistake, ScenarioError, list, nearest, quoted, unknown};
use super::flaw::{Flaw, Flaws, Result, Unread};
use super::form::Member;
use std::mem;
use std::ops::Deref;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The largest file that is read: 1 MiB.
const LARGEST: usize = 1 << 20;

/// A file's name and text. Places in it are byte offsets; they become line and column when an
/// error needs them.
#[derive(Debug, Clone)]
pub(super) struct SourceText {
    file: String,
    text: String,
    members: Vec<Node>,
}

/// A member of a table, or an item of a list.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// The member's name; an item has that of its list.
    pub(super) name: String,
    /// The place of its name, for errors about its being there at all.
    pub(super) key_at: usize,
    /// The place of its value.
    pub(super) at: usize,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    Text(String),
    /// A whole number; nothing, if it is too large.
    Whole(Option<i64>),
    Flag(bool),
    List(Vec<Node>),
    /// A table's members in the order of the file.
    Table(Vec<Node>),
    /// What no member may be.
    Other(&'static str),
}

impl Node {
    fn of(name: &str, key_at: usize, value: &Spanned<DeValue<'_>>) -> Self {
        let item = |item: &Spanned<_>| Self::of(name, item.span().start, item);
        let own = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => {
                Value::Whole(i64::from_str_radix(number.as_str(), number.radix()).ok())
            }
            DeValue::Boolean(flag) => Value::Flag(*flag),
            DeValue::Array(items) => Value::List(items.iter().map(item).collect()),
            DeValue::Table(table) => Value::Table(Self::members(table)),
            DeValue::Float(_) => Value::Other("a decimal number"),
            DeValue::Datetime(_) => Value::Other("a date"),
        };
        Self { name: name.to_owned(), key_at, at: value.span().start, value: own }
    }

    /// The members of a table in the order of the file.
    fn members(table: &DeTable<'_>) -> Vec<Self> {
        let members = table.iter();
        let mut members: Vec<Self> =
            members.map(|(key, value)| Self::of(key.get_ref(), key.span().start, value)).collect();
        members.sort_by_key(|member| member.key_at);
        members
    }

    /// Adds the texts of all members whose names are so.
    fn texts<'a>(&'a self, is_so: fn(&str) -> bool, all: &mut Vec<&'a str>) {
        match &self.value {
            Value::Text(text) if is_so(&self.name) => all.push(text),
            Value::List(nodes) | Value::Table(nodes) => {
                nodes.iter().for_each(|node| node.texts(is_so, all));
            }
            _ => {}
        }
    }

    /// What an error calls it.
    fn kind(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "a string",
            Value::Whole(_) => "a whole number",
            Value::Flag(_) => "true or false",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Other(kind) => kind,
        }
    }
}

impl SourceText {
    /// Parses the text. What isn't TOML has no other mistakes.
    pub(super) fn new(file: &str, text: &str) -> Result<Self, ScenarioError> {
        let file = file.escape_debug().to_string();
        let mut source = Self { file, text: String::new(), members: Vec::new() };
        let size = text.len();
        if size > LARGEST {
            let message = format!("a scenario file has at most {LARGEST} bytes, not {size}");
            return Err(source.error(vec![Flaw { at: 0, message }]));
        }
        source.text = text.to_owned();
        let tree = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let message = format!("this is not TOML: {}", one_line(error.message()));
            source.error(vec![Flaw { at, message }])
        })?;
        source.members = Node::members(tree.get_ref());
        Ok(source)
    }

    /// The texts of all members whose names are so, also those of lists.
    pub(super) fn texts(&self, is_so: fn(&str) -> bool) -> Vec<&str> {
        let mut all = Vec::new();
        self.members.iter().for_each(|member| member.texts(is_so, &mut all));
        all
    }

    /// The text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// An error of these, which are in the order of the file.
    pub(super) fn error(&self, flaws: Vec<Flaw>) -> ScenarioError {
        let text = self.text.as_bytes();
        let (mut line, mut start, mut seen) = (1, 0, 0);
        let mut mistakes = Vec::new();
        for Flaw { at, message } in flaws {
            let at = at.min(text.len());
            for (position, _) in (seen..)
                .zip(text.get(seen..at).unwrap_or_default())
                .filter(|(_, byte)| **byte == b'\n')
            {
                (line, start) = (line + 1, position + 1);
            }
            seen = at;
            let before = String::from_utf8_lossy(text.get(start..at).unwrap_or_default());
            let column = before.chars().count() + 1;
            let (excerpt, before) = excerpt(text.get(start..).unwrap_or_default(), column - 1);
            mistakes.push(Mistake { line, column, message, excerpt, before });
        }
        ScenarioError::File { file: self.file.clone(), mistakes }
    }
}

/// The first line of a text, or what is around this character of it; and how many characters stand
/// before that one.
fn excerpt(text: &[u8], character: usize) -> (String, usize) {
    const LONGEST: usize = 100;
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
    let from =
        if line.chars().count() > LONGEST { character.saturating_sub(LONGEST / 2) } else { 0 };
    (line.chars().skip(from).take(LONGEST).collect(), character - from)
}

/// A message of another crate, made one line.
fn one_line(message: &str) -> String {
    let words: Vec<&str> = message.split_whitespace().collect();
    words.join(" ").escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\"")
}

/// A table of the file.
pub(super) struct Table<'a> {
    /// What an error calls it: `an actor`.
    what: &'static str,
    at: usize,
    /// Its members in the order of the file.
    pub(super) fields: Vec<Field<'a>>,
    /// Whether it had a member that is unlike all that it may have.
    has_unknown: bool,
}

/// A node of a file, and what it is read as: its name, or the one that was meant.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    node: &'a Node,
}

impl Deref for Field<'_> {
    type Target = Node;

    fn deref(&self) -> &Node {
        self.node
    }
}

impl<'a> Table<'a> {
    /// The file itself.
    pub(super) fn root(source: &'a SourceText, what: &'static str) -> Self {
        Self::new(what, 0, &source.members)
    }

    fn new(what: &'static str, at: usize, members: &'a [Node]) -> Self {
        let fields = members.iter().map(Field::of).collect();
        Self { what, at, fields, has_unknown: false }
    }

    /// Notes members that aren't among these. One that is like a missing one is read as that; the
    /// others are left out, and given back.
    pub(super) fn only(&mut self, known: &[Member], flaws: &mut Flaws) -> Vec<Field<'a>> {
        let names = || known.iter().map(|member| member.name);
        let (mut own, strange): (Vec<_>, Vec<_>) = mem::take(&mut self.fields)
            .into_iter()
            .partition(|it| names().any(|own| own == it.name));
        let mut left_out = Vec::new();
        for field in strange {
            if flaws.is_full() {
                break;
            }
            let kind = format!("member of {}", self.what);
            flaws.push(field.error_at_key(unknown(&kind, field.name, names())));
            let meant = nearest(field.name, names());
            match meant.filter(|meant| own.iter().all(|other| other.name != *meant)) {
                Some(name) => own.push(Field { name, ..field }),
                None => left_out.push(field),
            }
            self.has_unknown |= meant.is_none();
        }
        own.sort_by_key(|field| field.key_at);
        self.fields = own;
        left_out
    }

    /// Notes members that don't go with the one of this name. `what_does` says which do.
    pub(super) fn fits(
        &self,
        name: &str,
        fits: impl Fn(&str) -> bool,
        what_does: &str,
        flaws: &mut Flaws,
    ) {
        let is_wrong = |it: &&Field<'_>| it.name != name && !fits(it.name) && !it.is_guess();
        for field in self.fields.iter().filter(is_wrong) {
            let message = format!("\"{}\" does not go with \"{name}\"{what_does}", field.name);
            flaws.push(field.error_at_key(message));
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<Field<'a>> {
        self.fields.iter().find(|field| field.name == name).copied()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether it has this member, or one that is unlike all known ones and may be meant for it.
    pub(super) fn may_have(&self, name: &str) -> bool {
        self.has_unknown || self.has(name)
    }

    /// A member that must be there.
    pub(super) fn need(&self, name: &str) -> Result<Field<'a>> {
        self.get(name).ok_or_else(|| self.error(format!("{} needs \"{name}\"", self.what)))
    }

    /// The one of these choices that is there. Notes each other one that is, and leaves it out.
    pub(super) fn one_of<'c, T>(
        &mut self,
        choices: &'c [T],
        name: fn(&T) -> &'static str,
        flaws: &mut Flaws,
    ) -> Result<(Field<'a>, &'c T)> {
        let choice = |field: &Field<'a>| choices.iter().find(|choice| name(choice) == field.name);
        let present = self.fields.iter().filter_map(|field| Some((*field, choice(field)?)));
        let chosen = present.min_by_key(|(field, _)| field.is_guess());
        let Some((first, chosen)) = chosen else {
            let names: Vec<&str> = choices.iter().map(name).collect();
            let message = format!("{} needs one of {}", self.what, list(&names));
            // The unknown one may have been meant for it.
            return Err(if self.has_unknown { Unread::Noted } else { self.error(message) });
        };
        let is_other = |field: &Field<'a>| field.name != first.name && choice(field).is_some();
        let (others, own) = mem::take(&mut self.fields).into_iter().partition(is_other);
        self.fields = own;
        for other in others.into_iter().filter(|other| !other.is_guess()) {
            let message =
                format!("{} has only one of \"{}\" and \"{}\"", self.what, first.name, other.name);
            flaws.push(other.error_at_key(message));
        }
        Ok((first, chosen))
    }

    /// An error about the table as a whole.
    pub(super) fn error(&self, message: impl Into<String>) -> Unread {
        Unread::Flaw(Flaw { at: self.at, message: message.into() })
    }
}

impl<'a> Field<'a> {
    fn of(node: &'a Node) -> Self {
        Self { name: &node.name, node }
    }

    /// Whether it is read as something that it is only like.
    pub(super) fn is_guess(&self) -> bool {
        self.name != self.node.name
    }

    /// An error about the value.
    pub(super) fn error(&self, message: impl Into<String>) -> Unread {
        Unread::Flaw(Flaw { at: self.at, message: message.into() })
    }

    /// An error about the member's being there.
    pub(super) fn error_at_key(&self, message: impl Into<String>) -> Unread {
        Unread::Flaw(Flaw { at: self.key_at, message: message.into() })
    }

    /// All texts in it.
    pub(super) fn texts(&self) -> Vec<&'a str> {
        let mut all = Vec::new();
        self.node.texts(|_| true, &mut all);
        all
    }

    fn wrong_type(&self, wanted: &str) -> Unread {
        let found = self.kind();
        self.error(format!("\"{}\" must be {wanted}, not {found}", self.name.escape_debug()))
    }

    /// The value as a string.
    pub(super) fn text(&self) -> Result<&'a str> {
        self.as_text().ok_or_else(|| self.wrong_type("a string"))
    }

    /// The value, if it is a string.
    pub(super) fn as_text(&self) -> Option<&'a str> {
        if let Value::Text(text) = &self.node.value { Some(text) } else { None }
    }

    /// The value, if it is a whole number.
    pub(super) fn as_whole(&self) -> Option<i64> {
        if let Value::Whole(number) = self.value { number } else { None }
    }

    /// The value as a count.
    pub(super) fn count(&self) -> Result<u32> {
        let Value::Whole(number) = self.value else {
            return Err(self.wrong_type("a whole number"));
        };
        number.and_then(|number| u32::try_from(number).ok()).ok_or_else(|| {
            self.error(format!("\"{}\" must be a whole number from 0 to {}", self.name, u32::MAX))
        })
    }

    pub(super) fn flag(&self) -> Result<bool> {
        let Value::Flag(flag) = self.value else {
            return Err(self.wrong_type("true or false"));
        };
        Ok(flag)
    }

    /// The value as `true`, which says all there is to say.
    pub(super) fn only_true(&self) -> Result<()> {
        if self.flag()? {
            return Ok(());
        }
        Err(self.error(format!("\"{}\" can only be true; or leave it out", self.name)))
    }

    pub(super) fn table(&self, what: &'static str) -> Result<Table<'a>> {
        let Value::Table(members) = &self.node.value else {
            return Err(self.wrong_type("a table"));
        };
        Ok(Table::new(what, self.at, members))
    }

    pub(super) fn items(&self) -> Result<Vec<Field<'a>>> {
        let Value::List(items) = &self.node.value else {
            return Err(self.wrong_type("a list"));
        };
        Ok(items.iter().map(|node| Field { node, ..*self }).collect())
    }

    /// The value as a string, or a list of them.
    pub(super) fn one_or_more(&self) -> Result<Vec<Field<'a>>> {
        match self.value {
            Value::Text(_) => Ok(vec![*self]),
            Value::List(_) => self.items(),
            _ => Err(self.wrong_type("a string, or a list of strings")),
        }
    }

    /// The value as a name: lower-case letters, digits and one kind of joint.
    pub(super) fn name(&self, joint: char) -> Result<String> {
        let text = self.text()?;
        name(text, joint).map_err(|message| self.error(message))
    }

    /// The member's own name as a name.
    pub(super) fn own_name(&self) -> Result<String> {
        name(self.name, '_').map_err(|message| self.error_at_key(message))
    }

    /// The value as one line of text.
    pub(super) fn line(&self) -> Result<String> {
        const LONGEST: usize = 200;
        let text = self.text()?;
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            Err(self.error(format!("\"{}\" must be one line of text", self.name)))
        } else if text.chars().count() > LONGEST {
            Err(self.error(format!("\"{}\" has at most {LONGEST} characters", self.name)))
        } else {
            Ok(text.to_owned())
        }
    }

    /// The value as lines of text.
    pub(super) fn lines(&self) -> Result<String> {
        let text = self.text()?.replace("\r\n", "\n");
        if text.trim().is_empty() || text.chars().any(|c| c.is_control() && c != '\n') {
            return Err(self.error(format!("\"{}\" must be lines of plain text", self.name)));
        }
        Ok(text.trim_end().to_owned())
    }

    /// The value as one of these words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        let known = words.iter().map(|(word, _)| *word);
        found.ok_or_else(|| self.error(unknown(self.name, text, known)))
    }
}

fn name(text: &str, joint: char) -> Result<String, String> {
    const LONGEST: usize = 40;
    let is_name = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= LONGEST
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == joint);
    if is_name {
        return Ok(text.to_owned());
    }
    let text = quoted(text);
    Err(format!(
        "{text} is not a name; use up to {LONGEST} of a-z, 0-9 and {joint}, a letter first"
    ))
}
