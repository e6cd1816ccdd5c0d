//! The members of a scenario file's tables, each stated once: its name, its shape and its help. A
//! shape says how a member is read and how the JSON Schema describes it; [`form!`] makes a table's
//! members a struct, so that what is read is what the schema knows.

use super::expr::Sum;
pub(super) use super::flaw::{Result, Unread};
pub(super) use super::read::{Field, Table};
pub(super) use super::scope::Scope;
use crate::lock::{Ttl, protocols};
pub(super) use serde_json::{Value as Json, json};
use std::marker::PhantomData;
use std::time::Duration;

/// A member of a table, as the schema and errors about unknown members need it.
#[derive(Clone, Copy)]
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) schema: fn() -> Json,
    /// Whether it must be there.
    pub(super) is_needed: bool,
    /// What it is, in a few words.
    pub(super) help: &'static str,
}

impl Member {
    pub(super) const fn of<'a, S: Shape<'a>>(name: &'static str, help: &'static str) -> Self {
        Self { name, schema: S::schema, is_needed: S::IS_NEEDED, help }
    }
}

/// What a member may be.
pub(super) trait Shape<'a> {
    /// What it is read as.
    type Out;
    const IS_NEEDED: bool = true;

    fn schema() -> Json;

    fn read(field: Field<'a>, scope: &mut Scope<'_>) -> Result<Self::Out>;

    /// Reads the member of this name; nothing, if it isn't there or can't be read.
    fn member(table: &Table<'a>, name: &str, scope: &mut Scope<'_>) -> Option<Self::Out> {
        if !Self::IS_NEEDED && !table.has(name) {
            return None;
        }
        let read = table.need(name).and_then(|field| Self::read(field, scope));
        scope.note(read)
    }
}

/// A table's members as a struct: `name: Shape = "help"`, in the order in which they are read. Each is
/// nothing if it isn't there, or can't be read.
macro_rules! form {
    (
        $(#[$doc:meta])*
        $form:ident<$a:lifetime>: $definition:literal, $what:literal {
            $($field:ident $(as $name:literal)?: $shape:ty = $help:expr,)*
        }
    ) => {
        $(#[$doc])*
        #[allow(dead_code)] // Some members are looked at in the table.
        pub(super) struct $form<$a> {
            pub(super) table: Table<$a>,
            $(pub(super) $field: Option<<$shape as Shape<$a>>::Out>,)*
        }

        impl<$a> Form<$a> for $form<$a> {
            const DEFINITION: &'static str = $definition;
            const WHAT: &'static str = $what;
            const MEMBERS: &'static [Member] = &[
                $(Member::of::<$shape>(spelt!($field $($name)?), $help),)*
            ];

            fn read(table: Table<$a>, scope: &mut Scope<'_>) -> Self {
                $(let $field = <$shape>::member(&table, spelt!($field $($name)?), scope);)*
                Self { $($field,)* table }
            }
        }
    };
}

/// A member's name: that of the field, unless another is given.
macro_rules! spelt {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $name:literal) => {
        $name
    };
}

/// What [`form!`] makes.
pub(super) trait Form<'a>: Sized {
    /// What the schema calls it.
    const DEFINITION: &'static str;
    /// What an error calls it: `an actor`.
    const WHAT: &'static str;
    const MEMBERS: &'static [Member];

    /// Reads the members of a table that may have others, too.
    fn read(table: Table<'a>, scope: &mut Scope<'_>) -> Self;

    /// A table that has none but these members.
    fn table(field: Field<'a>, scope: &mut Scope<'_>) -> Result<Table<'a>> {
        let mut table = scope.table(field, Self::WHAT)?;
        scope.only(&mut table, Self::MEMBERS);
        Ok(table)
    }

    /// Reads such a table.
    fn open(field: Field<'a>, scope: &mut Scope<'_>) -> Result<Self> {
        Ok(Self::read(Self::table(field, scope)?, scope))
    }
}

/// A member of which a table has one at a time, with what it makes.
pub(super) struct Choice<T: 'static> {
    pub(super) member: Member,
    pub(super) read: fn(Field<'_>, &mut Scope<'_>) -> Result<T>,
}

/// `"name": Shape, "help" => what is made of it`.
macro_rules! choice {
    ($name:literal: $shape:ty, $help:expr => $make:expr) => {
        Choice {
            member: Member::of::<Option<$shape>>($name, $help),
            read: |field, scope| <$shape>::read(field, scope).map($make),
        }
    };
}

/// The members of some choices.
pub(super) fn members<T>(choices: &[Choice<T>]) -> Vec<Member> {
    choices.iter().map(|choice| choice.member).collect()
}

/// What may be left out.
impl<'a, S: Shape<'a>> Shape<'a> for Option<S> {
    type Out = S::Out;
    const IS_NEEDED: bool = false;

    fn schema() -> Json {
        S::schema()
    }

    fn read(field: Field<'a>, scope: &mut Scope<'_>) -> Result<Self::Out> {
        S::read(field, scope)
    }
}

/// Shapes: a type, what it is read as, its schema, and how it is read. Those that have parts name
/// them in brackets.
macro_rules! shapes {
    () => {};
    (
        [$($part:tt)*] $type:ty: $out:ty, $schema:expr,
        |$field:ident, $scope:pat_param| $read:expr; $($rest:tt)*
    ) => {
        impl<'a, $($part)*> Shape<'a> for $type {
            type Out = $out;

            fn schema() -> Json {
                $schema
            }

            fn read($field: Field<'a>, $scope: &mut Scope<'_>) -> Result<$out> {
                $read
            }
        }

        shapes! { $($rest)* }
    };
    ($(#[$doc:meta])* $name:ident: $($rest:tt)*) => {
        $(#[$doc])*
        pub(super) struct $name;

        shapes! { [] $name: $($rest)* }
    };
}

pub(super) use {choice, form, shapes, spelt};

/// A shape with the place of what is read.
pub(super) struct At<S>(PhantomData<S>);

/// What is read of such a shape.
pub(super) struct Placed<'a, T> {
    pub(super) field: Field<'a>,
    pub(super) value: T,
}

/// A count, or a sum of counts.
pub(super) struct Count<const LEAST: u32, const MOST: u32>;

/// One of the words of a type.
pub(super) struct Word<T>(PhantomData<T>);

/// A list of tables.
pub(super) struct List<F>(PhantomData<F>);

/// A table of the file's own names for tables.
pub(super) struct Named<F>(PhantomData<F>);

pub(super) const NAME: &str = "^[a-z][a-z0-9_]{0,39}$";
const NAME_WITH_HYPHENS: &str = "^[a-z][a-z0-9-]{0,39}$";

shapes! {
    /// Lower-case letters, digits and `_`.
    Name: String, reference("name"), |field, _| field.name('_');
    /// A list of names with `-`.
    Hazards: Vec<String>, list(json!({ "type": "string", "pattern": NAME_WITH_HYPHENS })),
        |field, scope| super::declarations::hazards(field, scope);
    /// One line of text.
    Line: String, text(), |field, _| field.line();
    /// Lines of text.
    Lines: String, text(), |field, _| field.lines();
    /// A text that is to be looked at more closely.
    Text: &'a str, text(), |field, _| field.text();
    /// A name whose meaning depends on what stands around it.
    Reference: Field<'a>, text(), |field, _| field.text().map(|_| field);
    /// A lock of the file, read as its position.
    Lock: usize, text(), |field, scope| Ok(scope.lock(field));
    /// Actors of the file.
    Group: String, text(), |field, scope| scope.group(field);
    /// A whole number, and no sum.
    Whole: u32, json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
        |field, _| field.count();
    /// A whole number or a duration, and no sum: a parameter's value.
    Plain: Field<'a>, plain(), |field, _| Ok(field);
    /// A table of values, by parameter.
    Values: Field<'a>, json!({ "type": "object", "additionalProperties": plain() }),
        |field, _| Ok(field);
    /// `true` or `false`.
    Flag: bool, json!({ "type": "boolean" }), |field, _| field.flag();
    /// `true`.
    True: (), json!({ "const": true }), |field, _| field.only_true();
    /// A duration, or a sum of durations.
    Time: Duration, reference("time"), |field, scope| Sum::time(field, scope)?.duration(scope);
    /// A duration that is a TTL.
    Lease: Ttl, reference("time"), |field, scope| Sum::time(field, scope)?.ttl(scope);
    /// A duration that is taken several times.
    Repeated: Sum<'a>, reference("time"), |field, scope| Sum::time(field, scope);
    /// A count whose range the rest of its table decides.
    AnyCount: Sum<'a>, reference("count"), |field, scope| Sum::count(field, scope);
    /// The names of one or more lock protocols; none of them, if they can't be read.
    Protocols: Only, one_or_more(json!({ "enum": protocol_names() })), |field, scope| {
        Ok(protocols_in(field, scope).unwrap_or_default())
    };
    /// A list of texts.
    Texts: Field<'a>, list(text()), |field, _| Ok(field);
    /// A comparison, or a list of them.
    Conditions: bool, one_or_more(text()), |field, scope| {
        let conditions = scope.referring(|_| field.one_or_more())?;
        let all: Vec<_> = conditions.into_iter().map(|one| {
            let holds = scope.referring(|scope| scope.holds(one));
            scope.note(holds)
        }).collect();
        all.into_iter().try_fold(true, |all, holds| Some(all && holds?)).ok_or(Unread::Noted)
    };
    [S: Shape<'a>] At<S>: Placed<'a, S::Out>, S::schema(),
        |field, scope| Ok(Placed { field, value: S::read(field, scope)? });
    [const LEAST: u32, const MOST: u32] Count<LEAST, MOST>: u32, reference("count"),
        |field, scope| Sum::count(field, scope)?.within(LEAST, MOST, scope);
    [T: Words] Word<T>: T, json!({ "enum": words::<T>() }), |field, _| field.word(&T::words());
    [F: Form<'a>] List<F>: Vec<Field<'a>>, list(reference(F::DEFINITION)),
        |field, scope| scope.items(field);
    [F: Form<'a>] Named<F>: Vec<Field<'a>>, named(reference(F::DEFINITION)), |field, scope| {
        /// The most locks, and the most parameters, that a file may have.
        const MOST: usize = 100;
        let fields = field.table("")?.fields;
        if let Some(other) = fields.get(MOST) {
            let message = format!("at most {MOST} may stand in {}", field.name);
            scope.flaws.push(other.error_at_key(message));
        }
        Ok(fields)
    };
}

/// What has words in files.
pub(super) trait Words: Copy {
    fn words() -> Vec<(&'static str, Self)>;
}

/// The words alone.
pub(super) fn words<T: Words>() -> Vec<&'static str> {
    T::words().into_iter().map(|(word, _)| word).collect()
}

/// The names of the lock protocols that a part of a file can be for.
pub(super) fn protocol_names() -> Vec<&'static str> {
    protocols().iter().map(|protocol| protocol.name()).collect()
}

fn protocols_in(field: Field<'_>, scope: &mut Scope<'_>) -> Option<Only> {
    let names: Vec<_> = protocol_names().into_iter().map(|name| (name, name)).collect();
    let words = field.one_or_more();
    let words = scope.note(words)?;
    if words.is_empty() {
        let message = format!("\"{}\" names nothing; leave it out", field.name);
        scope.flaws.push(field.error(message));
    }
    let named: Vec<_> = words.into_iter().map(|word| scope.note(word.word(&names))).collect();
    named.into_iter().collect::<Option<Vec<_>>>().map(Only::named)
}

/// The help of the member that says for which protocols a part of a file is.
pub(super) const ONLY_UNDER: &str = "only under this lock protocol, or these";

/// The protocols that a part of a file is for; every one, if none is said.
pub(super) type OnlyFor = Option<Only>;

/// Some of the lock protocols: a bit for each, by its position in the list of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Only(u128);

impl Only {
    /// Those of these names that there are.
    pub(super) fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let position = |name| protocols().iter().position(|protocol| protocol.name() == name);
        Self(names.into_iter().filter_map(position).fold(0, |all, position| all | 1 << position))
    }

    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        let names = (0..).zip(protocols()).map(|(position, protocol)| (position, protocol.name()));
        names.filter(move |(position, _)| self.0 & (1 << position) != 0).map(|(_, name)| name)
    }

    pub(super) fn has(self, name: &str) -> bool {
        self.names().any(|own| own == name)
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names, for messages.
    pub(super) fn words(self) -> String {
        self.names().collect::<Vec<_>>().join(", ")
    }
}

pub(super) fn reference(name: &str) -> Json {
    json!({ "$ref": format!("#/$defs/{name}") })
}

pub(super) fn one_or_more(one: Json) -> Json {
    json!({ "anyOf": [one, { "type": "array", "items": one }] })
}

fn named(table: Json) -> Json {
    json!({ "type": "object", "propertyNames": { "pattern": NAME }, "additionalProperties": table })
}

fn list(items: Json) -> Json {
    json!({ "type": "array", "items": items })
}

pub(super) fn text() -> Json {
    json!({ "type": "string" })
}

fn plain() -> Json {
    json!({ "anyOf": [{ "type": "integer" }, { "type": "string" }] })
}
