//! What a victim has met, and what it is shown then.

use dgns_client::clock;
use identity::state::{Leaf, Subject};

use super::super::forge::{Forge, small_from};
use super::super::lies::{self, Lie};
use super::super::people::Someone;
use super::operator::View;

/// The name every victim asks for: the first of a log's people has it.
pub const NAME: &str = "n00000";

/// An attack in two scenes: the log as the victim knows it, and what the operator shows.
pub struct Story {
    pub met: Forge,
    pub shown: View,
}

impl Story {
    /// Returns the story of a log that is honest in the first scene and another in the second.
    pub fn new(met: &Forge, shown: &Forge) -> Self {
        Self { met: met.clone(), shown: View::of(shown) }
    }
}

/// Returns a log of some names whose newest Epoch is of now, and its people.
pub fn base() -> (Forge, Vec<Someone>) {
    small_from(clock::now().as_ms() - 20_000)
}

/// Returns the log with the batches of strangers, one each.
pub fn grown(log: &Forge, strangers: impl IntoIterator<Item = u64>) -> Forge {
    let mut log = log.clone();
    strangers.into_iter().for_each(|number| log.batch(&Someone::new(number).1));
    log
}

/// Two logs of one size with the same beginning.
pub fn fork() -> Story {
    let (base, _) = base();
    Story::new(&grown(&base, [50]), &grown(&base, [51]))
}

/// A second history that is longer than the first.
pub fn longer_fork() -> Story {
    let (base, _) = base();
    Story::new(&grown(&base, [50]), &grown(&base, [51, 52]))
}

/// Something in the past is another, and everything after it made and signed anew.
pub fn past(change: fn(&mut Forge, &mut [Someone])) -> Story {
    let (base, people) = base();
    let (mut honest, mut changed) = (base.clone(), base);
    honest.batch(&[people[2].clone().points_to([10, 9, 9, 9])]);
    change(&mut changed, &mut people.clone());
    Story::new(&grown(&honest, [50]), &grown(&changed, [52, 53]))
}

/// An honest log goes on with a lie, and honestly after it.
pub fn appended(lie: Lie) -> Story {
    let (met, mut people) = base();
    let mut shown = met.clone();
    lie(&mut shown, &mut people);
    Story::new(&met, &grown(&shown, [90]))
}

/// A name of which an Epoch says what it was before, with what both states are.
pub struct Oscillation {
    pub met: Forge,
    pub away: Forge,
    subject: Subject,
    now: Leaf,
}

impl Oscillation {
    pub fn new() -> Self {
        let (mut met, mut people) = base();
        let subject = people[0].subject();
        let before = met.leaf(&subject);
        met.batch(&[people[0].points_to([10, 9, 9, 9])]);
        let now = met.leaf(&subject);
        let mut away = met.clone();
        lies::goes_back(&mut away, &subject, before);
        Self { met, away, subject, now }
    }

    /// The story whose second scene is the Epoch of the lie.
    pub fn while_it_lasts(&self) -> Story {
        Story::new(&self.met, &self.away)
    }

    /// The story whose second scene is after it: the map is as it should be again.
    pub fn when_it_is_over(&self) -> Story {
        let mut back = self.away.clone();
        lies::goes_back(&mut back, &self.subject, self.now.clone());
        Story::new(&self.met, &back)
    }
}
