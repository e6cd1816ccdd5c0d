//! What an exploration must find and must not, and whether it did.

use crate::check::Property;
use crate::report::{Catalogue, Verdict};
use crate::runtime::Explored;
use crate::scenario::{Expectation, Plan};

/// What all orderings of a plan must come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    /// Some ordering violates each of these.
    pub must_find: Vec<Property>,
    /// No ordering violates any of these.
    pub must_not_find: Vec<Property>,
}

impl Judged {
    /// What the plan's own expectations say of findings that can be explored; where they say nothing,
    /// no ordering violates what a good protocol rules out.
    pub fn of(plan: &Plan) -> Self {
        let mut judged = Self::default();
        for expectation in &plan.expectations {
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
            judged.must_not_find = Catalogue::RULED_OUT.to_vec();
        }
        judged
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

    /// The verdict on what was explored. What was not found is only known to be absent if all
    /// orderings were covered.
    pub fn verdict(&self, explored: &Explored) -> Verdict {
        let is_found =
            |property: &Property| explored.found.iter().any(|found| found.property == *property);
        let is_covered = explored.stopped_by.is_none();
        let all_there = self.must_find.iter().all(is_found);
        if self.must_not_find.iter().any(is_found) || is_covered && !all_there {
            Verdict::Unexpected
        } else if is_covered || all_there && self.must_not_find.is_empty() {
            Verdict::Expected
        } else {
            Verdict::Inconclusive
        }
    }
}
