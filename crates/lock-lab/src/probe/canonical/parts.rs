//! The parts of a word. A value such as `host:4711:TOKEN` or `{"owner":"TOKEN","until":1764460123}` has some
//! that are drawn and some that are not, and scripts on the server take it apart.

use super::times;

/// The shortest text that is taken for a token wherever it is sent, in bytes: 64 random bits are 16
/// hexadecimal digits.
pub const SHORTEST: usize = 16;
/// The longest. What is longer is a script or data.
pub const LONGEST: usize = 1024;
/// How a UUID is written: the lengths of its groups.
const UUID: [usize; 5] = [8, 4, 4, 4, 12];
const UUID_LENGTH: usize = 36;

/// Letters, digits and the signs that random text may have, or what is between two such fields.
#[derive(Debug, PartialEq, Eq)]
pub struct Field<'a> {
    pub text: &'a [u8],
    /// Its parts, which may have signs between them; none, if it is what is between two fields.
    pub parts: Vec<Part<'a>>,
}

/// Letters and digits, a UUID or a time; or the signs between two such parts.
#[derive(Debug, PartialEq, Eq)]
pub struct Part<'a> {
    pub text: &'a [u8],
    pub is_sign: bool,
}

/// The fields of a word, and what is between them.
pub fn fields(word: &[u8]) -> Vec<Field<'_>> {
    let (mut fields, mut rest) = (Vec::new(), word);
    while !rest.is_empty() {
        let parts = parts(rest);
        let length = match parts.iter().map(|part| part.text.len()).sum() {
            0 => rest.iter().take_while(|byte| !is_of_field(byte)).count(),
            length => length,
        };
        let (text, after) = rest.split_at(length);
        fields.push(Field { text, parts });
        rest = after;
    }
    fields
}

/// The parts of the field at the beginning of a text.
fn parts(text: &[u8]) -> Vec<Part<'_>> {
    let (mut parts, mut rest) = (Vec::new(), text);
    loop {
        let letters = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let signs = rest.iter().take_while(|byte| is_sign(byte)).count();
        let length = one_part(rest).unwrap_or(letters.max(signs));
        if length == 0 {
            return parts;
        }
        let (text, after) = rest.split_at(length);
        parts.push(Part { text, is_sign: signs > 0 });
        rest = after;
    }
}

/// The length of a part that has signs in it, at the beginning of a text.
fn one_part(text: &[u8]) -> Option<usize> {
    let uuid = || text.get(..UUID_LENGTH).filter(|it| is_uuid(it)).map(<[u8]>::len);
    let length = times::beginning(text).or_else(uuid).or_else(|| decimal(text))?;
    let goes_on = text.get(length).is_some_and(u8::is_ascii_alphanumeric);
    (!goes_on).then_some(length)
}

/// The length of digits, a full stop and digits; with another full stop after them they are an address.
fn decimal(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| text.iter().skip(from).take_while(|it| it.is_ascii_digit()).count();
    let stop = digits(0);
    let length = stop + 1 + digits(stop + 1);
    let is_decimal = stop > 0 && text.get(stop) == Some(&b'.') && length > stop + 1;
    (is_decimal && text.get(length) != Some(&b'.')).then_some(length)
}

/// Whether a text is digits, with a full stop among them or not.
pub fn is_number(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_digit) || decimal(text) == Some(text.len())
}

/// Whether it is a UUID with hyphens.
pub fn is_uuid(text: &[u8]) -> bool {
    let groups: Vec<&[u8]> = text.split(|byte| *byte == b'-').collect();
    groups.iter().map(|group| group.len()).eq(UUID)
        && groups.iter().all(|group| group.iter().all(u8::is_ascii_hexdigit))
}

fn is_sign(byte: &u8) -> bool {
    b"-_+/".contains(byte)
}

fn is_of_field(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || is_sign(byte)
}

/// Whether a text is random by its look alone: a UUID, or enough hexadecimal digits.
pub fn is_random(text: &[u8]) -> bool {
    is_uuid(text)
        || (SHORTEST..=LONGEST).contains(&text.len()) && text.iter().all(u8::is_ascii_hexdigit)
}

/// Whether two lists of fields have the same between them.
pub fn are_alike(one: &[Field<'_>], other: &[Field<'_>]) -> bool {
    let is_alike = |(one, other): (&Field<'_>, &Field<'_>)| match one.parts.is_empty() {
        true => one.text == other.text,
        false => !other.parts.is_empty(),
    };
    one.len() == other.len() && one.iter().zip(other).all(is_alike)
}

impl Field<'_> {
    /// Whether two fields have the same signs between their parts.
    pub fn is_like(&self, other: &Self) -> bool {
        let is_alike = |(one, other): (&Part<'_>, &Part<'_>)| {
            one.is_sign == other.is_sign && (!one.is_sign || one.text == other.text)
        };
        self.parts.len() == other.parts.len() && self.parts.iter().zip(&other.parts).all(is_alike)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis_sim::clock::{Clock, WallClock};

    fn shown(word: &str) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = fields(word.as_bytes()).into_iter().map(|field| match field.parts.len() {
            0 => text(field.text),
            _ => {
                let parts = field.parts.iter().map(|part| match part.is_sign {
                    true => text(part.text),
                    false => format!("<{}>", text(part.text)),
                });
                format!("[{}]", parts.collect::<String>())
            }
        });
        fields.collect()
    }

    #[test]
    fn a_word_has_fields_and_a_field_has_parts() {
        let uuid = "0f3a9c41-d2b7-488f-9e0a-1b2c3d4e5f60";
        let seconds = WallClock::new(None).unix().as_secs();
        for (word, expected) in [
            ("", String::new()),
            ("web-1:4711|x", "[<web>-<1>]:[<4711>]|[<x>]".into()),
            (&format!("{uuid}:1"), format!("[<{uuid}>]:[<1>]")),
            (&format!("web-{uuid}"), format!("[<web>-<{uuid}>]")),
            (&format!("{uuid}0"), "[<0f3a9c41>-<d2b7>-<488f>-<9e0a>-<1b2c3d4e5f600>]".into()),
            (&format!("({seconds}.25"), format!("([<{seconds}.25>]")),
            ("s:2:\"a_/\";", "[<s>]:[<2>]:\"[<a>_/]\";".into()),
            ("x=1.5", "[<x>]=[<1.5>]".into()),
            ("10.0.0.1", "[<10>].[<0>].[<0.1>]".into()),
        ] {
            assert_eq!(shown(word), expected, "{word}");
        }
        let bytes = b"\xff\x00ab\xc3\xa4";
        assert_eq!(fields(bytes).iter().map(|it| it.text.len()).collect::<Vec<_>>(), [2, 2, 2]);
    }
}
