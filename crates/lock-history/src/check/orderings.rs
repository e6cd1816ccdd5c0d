//! What an exploration must find and must not, and whether it did.

use super::{Expectation, Property, Verdict};

/// What all orderings of a plan must come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    /// Some ordering violates each of these.
    pub must_find: Vec<Property>,
    /// No ordering violates any of these.
    pub must_not_find: Vec<Property>,
    /// What no ordering that is explored puts to the test, and why.
    pub untested: Vec<(Property, &'static str)>,
}

impl Judged {
    /// What a plan's own expectations say of findings that can be explored; where they say nothing,
    /// no ordering violates what a good protocol rules out. No lock grants twice, whatever they say.
    pub fn of(expectations: &[Expectation]) -> Self {
        let mut judged = Self::default();
        for expectation in expectations {
            let Expectation::Finding { property, found } = expectation else { continue };
            if property.not_explored().is_some() {
                continue;
            }
            let list = if *found { &mut judged.must_find } else { &mut judged.must_not_find };
            if !list.contains(property) {
                list.push(*property);
            }
        }
        if judged.all().next().is_none() {
            judged.must_not_find = Property::RULED_OUT.to_vec();
        }
        judged.with_mutual_exclusion()
    }

    /// The same, and no ordering grants a lock twice, unless some must; where some violations are all that
    /// is looked for, it is not judged.
    pub fn with_mutual_exclusion(mut self) -> Self {
        let is_judged = self.all().any(|property| property == Property::DoubleGrant);
        if !is_judged && !self.must_not_find.is_empty() {
            self.must_not_find.insert(0, Property::DoubleGrant);
        }
        self
    }

    /// The same for these properties only; of those that nothing was said of, none may be violated.
    pub fn only(mut self, properties: &[Property]) -> Self {
        self.must_find.retain(|property| properties.contains(property));
        self.must_not_find.clear();
        for property in properties {
            if self.all().all(|judged| judged != *property) {
                self.must_not_find.push(*property);
            }
        }
        self
    }

    /// Everything that is judged.
    pub fn all(&self) -> impl Iterator<Item = Property> {
        self.must_find.iter().chain(&self.must_not_find).copied()
    }

    /// Why no ordering that is explored puts a property to the test, if so.
    pub fn why_untested(&self, property: Property) -> Option<&'static str> {
        self.untested.iter().find(|(untested, _)| *untested == property).map(|(_, why)| *why)
    }

    /// Why it says nothing that a property was not found where these were, if so: a consequence is left out only if
    /// its cause is judged.
    pub fn why_hidden(&self, property: Property, found: &[Property]) -> Option<&'static str> {
        let cause = Property::ForeignRelease;
        let is_left_out = property == Property::DoubleGrant && found.contains(&cause);
        (is_left_out && self.all().all(|judged| judged != cause)).then_some(
            "foreign_release is possible, and what follows from it is left out: --property foreign_release",
        )
    }

    /// The verdict on an exploration that found these. What was not found is only known to be absent
    /// if all orderings were covered, and if all that must not be found was tried.
    pub fn verdict(&self, found: &[Property], is_covered: bool, is_tried: bool) -> Verdict {
        let is_found = |property: &Property| found.contains(property);
        let all_there = self.must_find.iter().all(is_found);
        if self.must_not_find.iter().any(is_found) || is_covered && !all_there {
            Verdict::Unexpected
        } else if is_covered && is_tried || all_there && self.must_not_find.is_empty() {
            Verdict::Expected
        } else {
            Verdict::Inconclusive
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consequence_of_what_is_not_judged_hides_nothing() {
        use Property::{DoubleGrant, ForeignRelease, StuckLock};
        for (judged, found, is_hidden) in [
            (&[DoubleGrant][..], &[ForeignRelease][..], true),
            (&[DoubleGrant, ForeignRelease], &[ForeignRelease], false),
            (&[DoubleGrant], &[StuckLock], false),
            (&[DoubleGrant], &[], false),
        ] {
            let must_not_find = judged.to_vec();
            let all = Judged { must_not_find, ..Judged::default() };
            assert_eq!(all.why_hidden(DoubleGrant, found).is_some(), is_hidden, "{judged:?}");
            assert_eq!(all.why_hidden(StuckLock, found), None, "{judged:?}");
        }
    }

    #[test]
    fn the_verdict_is_a_proof_or_a_counterexample_and_a_bound_is_neither() {
        use Property::{ForeignRelease, LostUpdate, Overlap};
        use Verdict::{Expected, Inconclusive, Unexpected};
        let (all, bounded) = (true, false);
        for (must_find, must_not_find, found, is_covered, verdict) in [
            (&[][..], &[LostUpdate][..], &[][..], all, Expected),
            (&[], &[LostUpdate], &[Overlap], all, Expected),
            (&[], &[LostUpdate], &[LostUpdate], all, Unexpected),
            (&[], &[LostUpdate], &[LostUpdate], bounded, Unexpected),
            (&[], &[LostUpdate], &[], bounded, Inconclusive),
            (&[ForeignRelease], &[], &[ForeignRelease], all, Expected),
            (&[ForeignRelease], &[], &[ForeignRelease], bounded, Expected),
            (&[ForeignRelease], &[], &[], bounded, Inconclusive),
            (&[ForeignRelease], &[], &[Overlap], all, Unexpected),
            (&[ForeignRelease], &[LostUpdate], &[ForeignRelease], all, Expected),
            (&[ForeignRelease], &[LostUpdate], &[ForeignRelease], bounded, Inconclusive),
            (&[ForeignRelease], &[LostUpdate], &[], bounded, Inconclusive),
            (&[ForeignRelease], &[LostUpdate], &[LostUpdate], bounded, Unexpected),
        ] {
            let (must_find, must_not_find) = (must_find.to_vec(), must_not_find.to_vec());
            let judged = Judged { must_find, must_not_find, ..Judged::default() };
            let given = judged.verdict(found, is_covered, true);
            assert_eq!(given, verdict, "{judged:?} {found:?} {is_covered}");
            // What was not tried is not proved.
            let untried = if verdict == Expected && !judged.must_not_find.is_empty() {
                Inconclusive
            } else {
                verdict
            };
            assert_eq!(judged.verdict(found, is_covered, false), untried, "{judged:?} {found:?}");
        }
    }
}
