//! Equal values get the same small number; and about how much memory tables take.

use rustc_hash::FxHashMap;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

/// Numbers values in the order in which they are first met, from 0.
pub(super) struct Interner<T> {
    numbers: FxHashMap<Rc<T>, u32>,
    values: Vec<Rc<T>>,
    /// What the values take.
    bytes: usize,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { numbers: FxHashMap::default(), values: Vec::new(), bytes: 0 }
    }
}

impl<T: Hash + Eq> Interner<T> {
    /// The value's number.
    pub fn number(&mut self, value: T) -> u32 {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        let number = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.bytes += bytes_of_value(&value);
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

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        self.bytes + bytes_of_map(&self.numbers) + bytes_of_list(&self.values)
    }
}

/// What a value takes besides its own bytes: its counters, and what the allocator adds.
const PER_VALUE: usize = 24;

/// About how much memory a value takes: its own and, for what it points to, as many bytes as its
/// hash is made of.
fn bytes_of_value<T: Hash>(value: &T) -> usize {
    struct Count(usize);
    impl Hasher for Count {
        fn write(&mut self, bytes: &[u8]) {
            self.0 += bytes.len();
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut count = Count(size_of::<T>() + PER_VALUE);
    value.hash(&mut count);
    count.0
}

/// How much memory a map takes, without what its entries point to.
pub(super) fn bytes_of_map<K, V>(map: &FxHashMap<K, V>) -> usize {
    bytes_of_table(map.len(), map.capacity(), size_of::<(K, V)>())
}

/// How much memory a hash table takes. Shortly before it grows, the larger one counts, too: both are
/// there while the entries move.
pub(super) fn bytes_of_table(entries: usize, capacity: usize, of_entry: usize) -> usize {
    let bytes = capacity * 8 / 7 * (of_entry + 1);
    let is_nearly_full = entries > capacity / 16 * 15;
    if is_nearly_full { 3 * bytes } else { bytes }
}

/// How much memory a list takes, without what its members point to. What it has in reserve was never
/// written, and so takes none.
pub(super) fn bytes_of_list<T>(list: &[T]) -> usize {
    size_of_val(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_about_to_grow_counts_with_the_larger_one() {
        let mut map: FxHashMap<u64, u64> = FxHashMap::default();
        let (mut before, mut most) = (0, 0);
        for number in 0..100_000 {
            let capacity = map.capacity();
            map.insert(number, number);
            if capacity < map.capacity() && capacity > 1000 {
                // Both were there for a moment.
                assert!(before >= bytes_of_table(0, capacity + map.capacity(), 16) * 99 / 100);
                most += 1;
            }
            before = bytes_of_map(&map);
        }
        assert!(most > 3);
    }
}
