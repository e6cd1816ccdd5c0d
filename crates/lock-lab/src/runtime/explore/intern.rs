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
    let mut count = Count(size_of::<T>());
    value.hash(&mut count);
    count.0
}

/// How much memory a map takes, without what its entries point to.
pub(super) fn bytes_of_map<K, V>(map: &FxHashMap<K, V>) -> usize {
    map.capacity() * (size_of::<(K, V)>() + 1)
}

/// How much memory a list takes, without what its members point to.
pub(super) fn bytes_of_list<T>(list: &Vec<T>) -> usize {
    list.capacity() * size_of::<T>()
}
