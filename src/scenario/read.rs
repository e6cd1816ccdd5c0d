//! Reads TOML member by member, and knows the place of each in the file. Says what is wrong with a
//! file that isn't TOML, has a member that nobody knows, or has one of the wrong type.

use super::error::{ScenarioError, list, quoted, unknown};
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The largest file that is read: 1 MiB.
const LARGEST: usize = 1 << 20;

/// A file's name and text. Places in it are byte offsets; they become line and column when an
/// error needs them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Source {
    file: String,
    text: String,
}

impl Source {
    pub(super) fn new(file: &str, text: &str) -> Result<Self, ScenarioError> {
        let file = file.escape_debug().to_string();
        if text.len() <= LARGEST {
            return Ok(Self { file, text: text.to_owned() });
        }
        let source = Self { file, text: String::new() };
        let size = text.len();
        Err(source.error(0, format!("a scenario file has at most {LARGEST} bytes, not {size}")))
    }

    /// The text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Parses the text.
    pub(super) fn tree(&self) -> Result<Spanned<DeTable<'_>>, ScenarioError> {
        DeTable::parse(&self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            self.error(at, format!("this is not TOML: {}", one_line(error.message())))
        })
    }

    /// An error at this place.
    pub(super) fn error(&self, at: usize, message: impl Into<String>) -> ScenarioError {
        let before = self.text.as_bytes().get(..at).unwrap_or(self.text.as_bytes());
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let in_line = String::from_utf8_lossy(before.get(start..).unwrap_or_default());
        let column = in_line.chars().count() + 1;
        ScenarioError::File { file: self.file.clone(), line, column, message: message.into() }
    }
}

/// A message of another crate, made one line.
fn one_line(message: &str) -> String {
    let words: Vec<&str> = message.split_whitespace().collect();
    words.join(" ").escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\"")
}

/// A table of the file.
pub(super) struct Table<'a> {
    source: &'a Source,
    /// What an error calls it: `an actor`.
    what: &'static str,
    at: usize,
    members: BTreeMap<&'a str, Field<'a>>,
}

/// A member of a table, or an item of a list.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    source: &'a Source,
    /// The member's name.
    pub(super) name: &'a str,
    /// The place of its name, for errors about its being there at all.
    pub(super) key_at: usize,
    /// The place of its value.
    pub(super) at: usize,
    value: &'a DeValue<'a>,
}

impl<'a> Table<'a> {
    pub(super) fn root(source: &'a Source, table: &'a DeTable<'a>) -> Self {
        Self::new(source, "a scenario", 0, table)
    }

    fn new(source: &'a Source, what: &'static str, at: usize, table: &'a DeTable<'a>) -> Self {
        let field = |key: &'a Spanned<_>, value: &'a Spanned<DeValue<'a>>| {
            let name: &'a std::borrow::Cow<'a, str> = key.get_ref();
            let name: &'a str = name;
            let (key_at, at) = (key.span().start, value.span().start);
            (name, Field { source, name, key_at, at, value: value.get_ref() })
        };
        let members = table.iter().map(|(key, value)| field(key, value)).collect();
        Self { source, what, at, members }
    }

    /// Refuses members that aren't among these.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), ScenarioError> {
        match self.in_order().into_iter().find(|field| !known.contains(&field.name)) {
            None => Ok(()),
            Some(field) => {
                let kind = format!("member of {}", self.what);
                let known = known.iter().copied();
                Err(field.error_at_key(unknown(&kind, field.name, known)))
            }
        }
    }

    /// The members in the order of the file.
    pub(super) fn in_order(&self) -> Vec<Field<'a>> {
        let mut fields: Vec<Field<'a>> = self.members.values().copied().collect();
        fields.sort_by_key(|field| field.key_at);
        fields
    }

    pub(super) fn get(&self, name: &str) -> Option<Field<'a>> {
        self.members.get(name).copied()
    }

    /// A member that must be there.
    pub(super) fn need(&self, name: &str) -> Result<Field<'a>, ScenarioError> {
        self.get(name).ok_or_else(|| self.error(format!("{} needs \"{name}\"", self.what)))
    }

    /// The items of a list that may be left out.
    pub(super) fn items(&self, name: &str) -> Result<Vec<Field<'a>>, ScenarioError> {
        self.get(name).map_or(Ok(Vec::new()), |field| field.items())
    }

    /// The one of these members that is there; an error if none is, or more than one.
    pub(super) fn one_of(&self, names: &[&str]) -> Result<Field<'a>, ScenarioError> {
        let mut present = self.in_order().into_iter().filter(|field| names.contains(&field.name));
        let Some(first) = present.next() else {
            return Err(self.error(format!("{} needs one of {}", self.what, list(names))));
        };
        match present.next() {
            None => Ok(first),
            Some(second) => Err(second.error_at_key(format!(
                "{} has only one of \"{}\" and \"{}\"",
                self.what, first.name, second.name
            ))),
        }
    }

    /// An error about the table as a whole.
    pub(super) fn error(&self, message: impl Into<String>) -> ScenarioError {
        self.source.error(self.at, message)
    }
}

impl<'a> Field<'a> {
    /// An error about the value.
    pub(super) fn error(&self, message: impl Into<String>) -> ScenarioError {
        self.source.error(self.at, message)
    }

    /// An error about the member's being there.
    pub(super) fn error_at_key(&self, message: impl Into<String>) -> ScenarioError {
        self.source.error(self.key_at, message)
    }

    fn wrong_type(&self, wanted: &str) -> ScenarioError {
        let found = type_of(self.value);
        self.error(format!("\"{}\" must be {wanted}, not {found}", self.name.escape_debug()))
    }

    /// The value as a string.
    pub(super) fn text(&self) -> Result<&'a str, ScenarioError> {
        self.as_text().ok_or_else(|| self.wrong_type("a string"))
    }

    /// The value, if it is a string.
    pub(super) fn as_text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    /// The value, if it is a whole number.
    pub(super) fn as_whole(&self) -> Option<i64> {
        let number = self.value.as_integer()?;
        i64::from_str_radix(number.as_str(), number.radix()).ok()
    }

    /// The value as a count.
    pub(super) fn count(&self) -> Result<u32, ScenarioError> {
        if self.value.as_integer().is_none() {
            return Err(self.wrong_type("a whole number"));
        }
        self.as_whole().and_then(|number| u32::try_from(number).ok()).ok_or_else(|| {
            self.error(format!("\"{}\" must be a whole number from 0 to {}", self.name, u32::MAX))
        })
    }

    pub(super) fn flag(&self) -> Result<bool, ScenarioError> {
        self.value.as_bool().ok_or_else(|| self.wrong_type("true or false"))
    }

    /// The value as `true`, which says all there is to say.
    pub(super) fn only_true(&self) -> Result<(), ScenarioError> {
        if self.flag()? {
            return Ok(());
        }
        Err(self.error(format!("\"{}\" can only be true; or leave it out", self.name)))
    }

    pub(super) fn table(&self, what: &'static str) -> Result<Table<'a>, ScenarioError> {
        let table = self.value.as_table().ok_or_else(|| self.wrong_type("a table"))?;
        Ok(Table::new(self.source, what, self.at, table))
    }

    pub(super) fn items(&self) -> Result<Vec<Field<'a>>, ScenarioError> {
        let items = self.value.as_array().ok_or_else(|| self.wrong_type("a list"))?;
        let field = |item: &'a Spanned<DeValue<'a>>| {
            let at = item.span().start;
            Field { key_at: at, at, value: item.get_ref(), ..*self }
        };
        Ok(items.iter().map(field).collect())
    }

    /// The value as a string, or a list of them.
    pub(super) fn one_or_more(&self) -> Result<Vec<Field<'a>>, ScenarioError> {
        match self.value {
            DeValue::String(_) => Ok(vec![*self]),
            DeValue::Array(_) => self.items(),
            _ => Err(self.wrong_type("a string, or a list of strings")),
        }
    }

    /// The value as a name: lower-case letters, digits and one kind of joint.
    pub(super) fn name(&self, joint: char) -> Result<String, ScenarioError> {
        let text = self.text()?;
        if is_name(text, joint) {
            return Ok(text.to_owned());
        }
        Err(self.error(bad_name(text, joint)))
    }

    /// The member's own name as a name.
    pub(super) fn own_name(&self) -> Result<String, ScenarioError> {
        if is_name(self.name, '_') {
            return Ok(self.name.to_owned());
        }
        Err(self.error_at_key(bad_name(self.name, '_')))
    }

    /// The value as one line of text.
    pub(super) fn line(&self) -> Result<String, ScenarioError> {
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
    pub(super) fn lines(&self) -> Result<String, ScenarioError> {
        let text = self.text()?.replace("\r\n", "\n");
        if text.trim().is_empty() || text.chars().any(|c| c.is_control() && c != '\n') {
            return Err(self.error(format!("\"{}\" must be lines of plain text", self.name)));
        }
        Ok(text.trim_end().to_owned())
    }

    /// The value as one of these words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, ScenarioError> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        let known = words.iter().map(|(word, _)| *word);
        found.ok_or_else(|| self.error(unknown(self.name, text, known)))
    }
}

fn is_name(text: &str, joint: char) -> bool {
    const LONGEST: usize = 40;
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= LONGEST
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == joint)
}

fn bad_name(text: &str, joint: char) -> String {
    let text = quoted(text);
    format!("{text} is not a name; use up to 40 of a-z, 0-9 and {joint}, a letter first")
}

fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
