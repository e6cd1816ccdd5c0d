//! Who holds what a key holds, as the key shows it.

use super::members::{SEVERAL, UNNAMED, holder_field, is_count, is_mode, token_of};
use super::slots::Shape;
use crate::record::effects::{Field, Kind};
use crate::record::key_snapshot::{Content, other_type};
use crate::record::observations::text_token;
use lock_lab::lock::Payload;
use std::rc::Rc;

/// A lock that is held.
#[derive(Debug)]
pub(super) struct Part {
    /// The member that is the lock, if the key is not.
    pub member: Option<Vec<u8>>,
    pub token: Rc<str>,
    pub fence: Option<u64>,
    pub owner: Option<Rc<str>>,
    /// In a sorted set.
    pub score: Option<f64>,
}

impl Part {
    fn of_value(member: Option<&[u8]>, value: &[u8]) -> Self {
        let payload = Payload::decode(value);
        Self {
            member: member.map(<[u8]>::to_vec),
            token: text_token(&payload),
            fence: payload.fence(),
            owner: payload.owner().map(Rc::from),
            score: None,
        }
    }

    fn of_member(member: &[u8], score: Option<f64>) -> Self {
        let (token, member) = (token_of(member), Some(member.to_vec()));
        Self { member, token, fence: None, owner: None, score }
    }
}

/// What a key holds, and the locks in it that are held; or why that is not followed.
pub(super) fn parts(content: &Content) -> Result<(Shape, Vec<Part>), String> {
    Ok(match content {
        Content::Nothing => (Shape::Text, Vec::new()),
        Content::Text(value) => (Shape::Text, vec![Part::of_value(None, value)]),
        Content::Set(members) => {
            let parts = members.iter().map(|member| Part::of_member(member, None));
            (Shape::Members(Kind::Set), parts.collect())
        }
        Content::Sorted(members) => {
            let parts = members.iter().map(|(member, score)| Part::of_member(member, Some(*score)));
            (Shape::Members(Kind::Sorted), parts.collect())
        }
        Content::Hash(fields) => hash(fields)?,
        Content::Other(_) | Content::Changed => return Err(other_type(content.kind())),
    })
}

fn hash(fields: &[Field]) -> Result<(Shape, Vec<Part>), &'static str> {
    let named = holder_field(fields).map(|(field, value)| Part::of_value(Some(field), value));
    let mut holders = fields.iter().filter(|(field, value)| is_count(field, value));
    match (holders.next(), holders.next()) {
        _ if fields.iter().any(|(field, value)| is_mode(field, value)) => {
            let holders = fields.iter().filter(|(field, value)| is_count(field, value));
            let parts = holders.map(|(holder, _)| Part::of_member(holder, None));
            Ok((Shape::Members(Kind::Sharers), parts.collect()))
        }
        _ if named.is_some() => Ok((Shape::Members(Kind::Hash), named.into_iter().collect())),
        (Some((holder, _)), None) => {
            Ok((Shape::Holder, vec![Part { member: None, ..Part::of_member(holder, None) }]))
        }
        (Some(_), Some(_)) => Err(SEVERAL),
        (None, _) => Err(UNNAMED),
    }
}
