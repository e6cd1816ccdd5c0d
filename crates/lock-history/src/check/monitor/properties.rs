//! A small set of properties.

use crate::check::{Property, registered};
use std::fmt;

/// The number of built-in properties; those of registered judges come after them.
const BUILT_IN: u32 = Property::ALL.len() as u32;

const _: () = assert!(
    BUILT_IN as usize + registered::MOST <= u32::BITS as usize,
    "Properties has fewer bits than there can be properties",
);

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
        let mut left = self.0;
        std::iter::from_fn(move || {
            let number = (left != 0).then(|| left.trailing_zeros())?;
            left &= left - 1;
            Some(of_bit(number))
        })
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

/// The position of a property's bit.
fn number(property: Property) -> u32 {
    match property {
        Property::DoubleGrant => 0,
        Property::Overlap => 1,
        Property::ForeignRelease => 2,
        Property::ForeignOverwrite => 3,
        Property::ForeignExtend => 4,
        Property::LostUpdate => 5,
        Property::SilentLoss => 6,
        Property::StuckLock => 7,
        Property::Unavailable => 8,
        Property::FlagDrift => 9,
        Property::TokenDrift => 10,
        Property::FencingOrder => 11,
        Property::Starvation => 12,
        Property::Deadlock => 13,
        Property::LeaseTooShort => 14,
        Property::Registered(number) => BUILT_IN + u32::from(number),
    }
}

fn bit(property: Property) -> u32 {
    1 << number(property)
}

fn of_bit(number: u32) -> Property {
    let built_in = Property::ALL.get(number as usize).copied();
    let registered = || number.saturating_sub(BUILT_IN) as u8;
    built_in.unwrap_or_else(|| Property::Registered(registered()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_gives_what_was_put_into_it_in_order() {
        let all: Vec<Property> = Property::ALL
            .into_iter()
            .chain((0..registered::MOST as u8).map(Property::Registered))
            .collect();
        for property in &all {
            assert_eq!(of_bit(number(*property)), *property);
        }
        let set: Properties = all.iter().rev().copied().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), all);
        assert_eq!(Properties::default().iter().next(), None);
    }
}
