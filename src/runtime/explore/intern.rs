//! Equal values get the same small number.

use rustc_hash::FxHashMap;
use std::hash::Hash;
use std::rc::Rc;

/// Numbers values in the order in which they are first met, from 0.
pub(super) struct Interner<T> {
    numbers: FxHashMap<Rc<T>, u32>,
    values: Vec<Rc<T>>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { numbers: FxHashMap::default(), values: Vec::new() }
    }
}

impl<T: Hash + Eq> Interner<T> {
    /// The value's number.
    pub fn number(&mut self, value: T) -> u32 {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        let number = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        let value = Rc::new(value);
        self.values.push(Rc::clone(&value));
        self.numbers.insert(value, number);
        number
    }

    /// The value that has this number.
    pub fn get(&self, number: u32) -> Option<&Rc<T>> {
        self.values.get(number as usize)
    }

    /// All values, by their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Rc<T>> {
        self.values.iter()
    }

    /// How many different values were met.
    pub fn len(&self) -> usize {
        self.values.len()
    }
}
