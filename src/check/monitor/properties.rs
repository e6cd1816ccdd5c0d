//! A small set of properties.

use crate::check::Property;
use std::fmt;

/// A set of properties.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Properties(u32);

impl Properties {
    /// Adds one.
    pub fn insert(&mut self, property: Property) {
        self.0 |= bit(property);
    }

    /// Whether this one is in it.
    pub fn contains(self, property: Property) -> bool {
        self.0 & bit(property) != 0
    }

    /// Whether there is none in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All that are in it, in the order of [`Property::all`].
    pub fn iter(self) -> impl Iterator<Item = Property> {
        Property::all().filter(move |property| self.contains(*property))
    }
}

impl FromIterator<Property> for Properties {
    fn from_iter<T: IntoIterator<Item = Property>>(properties: T) -> Self {
        let mut set = Self::default();
        properties.into_iter().for_each(|property| set.insert(property));
        set
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

fn bit(property: Property) -> u32 {
    let number = match property {
        Property::Overlap => 0,
        Property::ForeignRelease => 1,
        Property::LostUpdate => 2,
        Property::SilentLoss => 3,
        Property::StuckLock => 4,
        Property::FlagDrift => 5,
        Property::TokenDrift => 6,
        Property::FencingOrder => 7,
        Property::Starvation => 8,
        Property::Deadlock => 9,
        Property::Registered(number) => 10 + u32::from(number),
    };
    1 << number
}
