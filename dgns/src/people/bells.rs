//! Who waits for news of a DID: told that there is some, not what.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use identity::did::Did;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Streams of one DID: its 32 devices, twice.
const LISTENERS_PER_DID: usize = 64;

/// The bells of all DIDs somebody listens to.
#[derive(Debug)]
pub struct Bells {
    by_did: Mutex<HashMap<Did, watch::Sender<()>>>,
    places: Arc<Semaphore>,
    most: usize,
}

/// Somebody who listens; the place is free again when it is dropped.
#[derive(Debug)]
pub struct Listener {
    /// Changes when there is news.
    pub rung: watch::Receiver<()>,
    _place: OwnedSemaphorePermit,
}

impl Bells {
    /// Returns bells with places for `most` listeners.
    pub fn new(most: usize) -> Self {
        Self { by_did: Mutex::default(), places: Arc::new(Semaphore::new(most)), most }
    }

    /// Listens for news of a DID; `None` if there is no place.
    pub fn listen(&self, did: &Did) -> Option<Listener> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let mut by_did = self.lock();
        by_did.retain(|known, bell| known == did || bell.receiver_count() > 0);
        let bell = by_did.entry(*did).or_insert_with(|| watch::Sender::new(()));
        (bell.receiver_count() < LISTENERS_PER_DID).then(|| Listener { rung: bell.subscribe(), _place: place })
    }

    /// Wakes who listens for news of a DID.
    pub fn ring(&self, did: &Did) {
        if let Some(bell) = self.lock().get(did) {
            bell.send_replace(());
        }
    }

    /// Returns how many listen.
    pub fn listeners(&self) -> usize {
        self.most - self.places.available_permits()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Did, watch::Sender<()>>> {
        self.by_did.lock().expect("no holder of the lock panics: it guards plain data")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_who_listen_to_a_did_hear_of_it_alone() {
        let bells = Bells::new(10);
        let (alice, bob) = (Did::from_bytes([1; 20]), Did::from_bytes([2; 20]));
        let (mut to_alice, to_bob) = (bells.listen(&alice).unwrap(), bells.listen(&bob).unwrap());
        bells.ring(&alice);
        to_alice.rung.changed().await.unwrap();
        assert!(!to_bob.rung.has_changed().unwrap());
        bells.ring(&Did::from_bytes([3; 20]));
    }

    #[test]
    fn places_are_bounded_and_come_back() {
        let bells = Bells::new(LISTENERS_PER_DID + 2);
        let did = Did::from_bytes([1; 20]);
        let listeners: Vec<_> = (0..LISTENERS_PER_DID).map(|_| bells.listen(&did).unwrap()).collect();
        assert!(bells.listen(&did).is_none(), "one DID takes not all places");
        let others: Vec<_> = (2..4).map(|n| bells.listen(&Did::from_bytes([n; 20])).unwrap()).collect();
        assert!(bells.listen(&Did::from_bytes([9; 20])).is_none(), "none is left");
        assert_eq!(bells.listeners(), LISTENERS_PER_DID + 2);
        drop((listeners, others));
        assert!(bells.listen(&did).is_some());
        assert_eq!(bells.lock().len(), 1, "bells that nobody listens to are taken down");
    }
}
