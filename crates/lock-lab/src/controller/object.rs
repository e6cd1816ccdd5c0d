//! The JSON object in a state file, and the count of operations in it. Of an object that is there,
//! only the digits of that count are changed: any other member would become an attribute of the
//! application's object for good (contract, section 6, U16). Where there is no count, it is kept
//! beside the object.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Range;

/// The text of a state file in which nothing has been counted yet.
pub const INITIAL_STATE: &str = r#"{"operation_count":0}"#;

const COUNT: &str = "operation_count";
/// Where jsonpickle puts what an object returned as its state.
const STATE: &str = "py/state";

/// What a state file holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Object {
    text: String,
    count: u64,
    /// Where in the text the count is.
    digits: Option<Range<usize>>,
}

impl Default for Object {
    fn default() -> Self {
        let digits = digits(INITIAL_STATE).ok().flatten();
        Self { text: INITIAL_STATE.into(), count: 0, digits }
    }
}

impl Object {
    /// Reads an object. `beside` is its count, if it has none itself.
    pub fn parse(bytes: Vec<u8>, beside: u64) -> Result<Self, String> {
        let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
        let digits = digits(&text).map_err(|error| match error.is_data() {
            true => "no JSON object".into(),
            false => error.to_string(),
        })?;
        let found = digits.clone().and_then(|at| text.get(at)?.parse().ok());
        Ok(Self { text, count: found.unwrap_or(beside), digits })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// The count, if the object has none itself.
    pub fn beside(&self) -> Option<u64> {
        self.digits.is_none().then_some(self.count)
    }

    pub fn count_one_more(&mut self) {
        self.count = self.count.saturating_add(1);
        if let Some(at) = &mut self.digits {
            let digits = self.count.to_string();
            self.text.replace_range(at.clone(), &digits);
            at.end = at.start + digits.len();
        }
    }

    /// The text with one more member of the object; `member` is `"name":value`.
    pub fn with_member(&self, member: &str) -> String {
        let open = self.text.trim_end().strip_suffix('}').unwrap_or(&self.text).trim_end();
        let comma = if open.ends_with('{') { "" } else { "," };
        format!("{open}{comma}{member}}}")
    }
}

/// Where in the text of an object its count is.
fn digits(text: &str) -> serde_json::Result<Option<Range<usize>>> {
    let members: Members<'_> = serde_json::from_str(text)?;
    let state = members.get(STATE).and_then(|state| serde_json::from_str(state).ok());
    let in_state = state.and_then(|state: Members<'_>| state.count());
    Ok(in_state.or_else(|| members.count()).map(|count| {
        let start = count.as_ptr().addr() - text.as_ptr().addr();
        start..start + count.len()
    }))
}

/// The members of an object, each value as it is written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The last member of this name, as Python's reader has it.
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().rev().find(|(member, _)| member == name).map(|(_, value)| value.get())
    }

    fn count(&self) -> Option<&'a str> {
        self.get(COUNT).filter(|count| count.parse::<u64>().is_ok())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Reader).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after_one(text: &str, beside: u64) -> (u64, String) {
        let mut object = Object::parse(text.into(), beside).unwrap();
        object.count_one_more();
        (object.count(), object.text)
    }

    #[test]
    fn the_count_is_changed_where_it_is_and_nothing_else() {
        let own = r#"{ "operation_count": 99,  "else": [1e2, 0.10] }"#;
        assert_eq!(after_one(own, 7), (100, own.replace("99", "100")));
        let pickled = r#"{"py/object": "a.B", "py/state": {"x": {"operation_count": 5}, "operation_count": 9},
            "operation_count": 3, "nan": 1E400}"#;
        assert_eq!(after_one(pickled, 7), (10, pickled.replace("9}", "10}")));
        let mut twice = Object::parse(b"{\"operation_count\":9}".to_vec(), 0).unwrap();
        twice.count_one_more();
        twice.count_one_more();
        assert_eq!(twice.text(), r#"{"operation_count":11}"#);
        assert_eq!(Object::default().count(), 0);
        assert_eq!(Object::default().beside(), None);
    }

    #[test]
    fn an_object_without_a_count_is_left_as_it_is() {
        for text in [
            "{}",
            r#"{"py/object": "climate.Climate", "py/state": {"a": 1}}"#,
            r#"{"operation_count": -1}"#,
            r#"{"operation_count": "4"}"#,
            r#"{"py/state": [1, {"operation_count": 2}]}"#,
        ] {
            assert_eq!(after_one(text, 41), (42, text.into()));
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for (text, why) in
            [("[1]", "no JSON object"), ("", "EOF"), ("{\"a\":", "EOF"), ("{\"a\":NaN}", "line 1")]
        {
            let error = Object::parse(text.into(), 0).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(Object::parse(vec![b'{', 0xff, b'}'], 0).is_err());
    }

    #[test]
    fn a_member_is_added_to_any_object() {
        for (text, expected) in
            [("{}", r#"{"m":1}"#), (" { } ", r#" {"m":1}"#), ("{\"a\": 2}\n", r#"{"a": 2,"m":1}"#)]
        {
            let object = Object::parse(text.into(), 0).unwrap();
            assert_eq!(object.with_member(r#""m":1"#), expected);
        }
    }
}
