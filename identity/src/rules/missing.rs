//! What a decision reads and a world does not hold yet.

use super::World;
use crate::state::Subject;

/// Subjects a world lacks: most often none, and then nothing is allocated.
pub(super) struct Missing<'w> {
    pub(super) world: &'w World,
    subjects: Vec<Subject>,
}

impl<'w> Missing<'w> {
    /// Returns what is missing as long as nothing was asked for.
    pub(super) const fn of(world: &'w World) -> Self {
        Self { world, subjects: Vec::new() }
    }

    /// Asks for a subject.
    pub(super) fn want(&mut self, subject: impl Into<Subject>) {
        let subject = subject.into();
        if self.world.get(&subject).is_none() {
            self.subjects.push(subject);
        }
    }

    /// Asks for a name.
    pub(super) fn want_name(&mut self, name: &str) {
        if !self.world.holds_name(name) {
            self.subjects.push(Subject::Name(name.to_owned()));
        }
    }

    /// Returns what was asked for and is not held, each once.
    pub(super) fn into_subjects(mut self) -> Vec<Subject> {
        self.subjects.sort_unstable();
        self.subjects.dedup();
        self.subjects
    }
}
