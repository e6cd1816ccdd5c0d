//! The members of a scenario file and what each may be: the tables by which the reader goes and of
//! which the JSON Schema is made.

use crate::lock::protocols;

/// A member of a table.
#[derive(Clone, Copy)]
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// Whether it must be there.
    pub(super) is_needed: bool,
    /// What it is, in a few words.
    pub(super) help: &'static str,
}

/// What a member may be.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// The number of the format.
    Format,
    /// Lower-case letters, digits and `_`.
    Name,
    /// A list of names with `-`.
    Hazards,
    /// One line of text.
    Line,
    /// Lines of text.
    Lines,
    /// A whole number, and no sum.
    Whole,
    /// A whole number or a duration, and no sum.
    Value,
    /// A count, or a sum of counts.
    Count,
    /// A duration, or a sum of durations.
    Time,
    /// `true` or `false`.
    Flag,
    /// `true`.
    True,
    /// A name that is defined elsewhere in the file.
    Reference,
    /// One of these words.
    Word(fn() -> Vec<&'static str>),
    /// One of these words, or a list of them.
    Words(fn() -> Vec<&'static str>),
    /// A Redis command's name.
    Command,
    /// A list of texts.
    Texts,
    /// A comparison, or a list of them.
    Conditions,
    /// A list of what the schema defines under this name.
    List(&'static str),
    /// A table of values, by parameter.
    Values,
    /// A table of the file's own names for what the schema defines under this name.
    Table(&'static str),
}

/// A member that must be there.
pub(super) const fn needed(name: &'static str, shape: Shape, help: &'static str) -> Member {
    Member { name, shape, is_needed: true, help }
}

/// A member that can be left out.
pub(super) const fn optional(name: &'static str, shape: Shape, help: &'static str) -> Member {
    Member { name, shape, is_needed: false, help }
}

/// The names of some members.
pub(super) fn names(members: &[Member]) -> Vec<&'static str> {
    members.iter().map(|member| member.name).collect()
}

/// The words of a table of words and their meanings.
pub(super) fn words<T>(table: &[(&'static str, T)]) -> Vec<&'static str> {
    table.iter().map(|(word, _)| *word).collect()
}

/// The names of the lock protocols that a part of a file can be for.
pub(super) fn protocol_names() -> Vec<&'static str> {
    protocols().iter().map(|protocol| protocol.name()).collect()
}

/// The member that says so.
pub(super) const PROTOCOL: Member =
    optional("protocol", Shape::Word(protocol_names), "only under this lock protocol");
