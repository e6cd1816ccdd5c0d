//! Seeded random numbers: for orderings that are drawn, for tokens that repeat, for tests. Not for
//! secrets.

/// Numbers by SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators",
/// 2014).
///
/// ```
/// use lock_lab::rng::{Rng, nth};
///
/// let mut rng = Rng::new(0);
/// assert_eq!([rng.next(), rng.next()], [nth(0), nth(1)]);
/// ```
#[derive(Debug, Clone)]
pub struct Rng(u64);

/// What is added from one number to the next, before it is mixed.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The number at this place, from 0, of those that the seed 0 gives: neighbours look nothing alike.
pub fn nth(place: u64) -> u64 {
    Rng(place.wrapping_mul(STEP)).next()
}

impl Rng {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number that can be any.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A uniform number below `end` (Lemire's multiplication: for the small ends in use here, its
    /// bias can't be measured); 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let wide = u128::from(self.next()) * end as u128;
        usize::try_from(wide >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
impl Rng {
    /// True with probability 1 in `many`.
    pub fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    /// One of these.
    pub fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_that_the_generator_s_author_gives() {
        let mut rng = Rng::new(1_234_567);
        let published =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([rng.next(), rng.next(), rng.next()], published);
    }

    #[test]
    fn every_number_below_the_end_comes() {
        let mut rng = Rng::new(7);
        let mut come = [false; 5];
        (0..200).for_each(|_| come[rng.below(5)] = true);
        assert_eq!(come, [true; 5]);
        assert_eq!(rng.below(0), 0);
    }
}
