//! What a post holds alone until the log's verdict over it: invitation codes, accounts of sign-ins.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use identity::hash::Hash;

/// Hashes held by one post; dropping it lets others have them.
#[derive(Debug, Default)]
pub struct Held {
    all: Arc<Mutex<HashSet<Hash>>>,
    own: Vec<Hash>,
}

impl Held {
    /// Takes all of `wanted`; `None`, and nothing is taken, if another post holds one of them, or one stands there twice.
    pub fn take(all: &Arc<Mutex<HashSet<Hash>>>, wanted: Vec<Hash>) -> Option<Self> {
        let mut taken = Self { all: all.clone(), own: Vec::new() };
        for hash in wanted {
            if !lock(all).insert(hash) {
                return None;
            }
            taken.own.push(hash);
        }
        Some(taken)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut all = lock(&self.all);
        for hash in &self.own {
            all.remove(hash);
        }
    }
}

fn lock(all: &Mutex<HashSet<Hash>>) -> std::sync::MutexGuard<'_, HashSet<Hash>> {
    all.lock().expect("no holder of the lock panics: it guards plain hashes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_holds_nobody_else_takes() {
        let all = Arc::default();
        let first = Held::take(&all, vec![[1; 32], [2; 32]]).unwrap();
        assert!(Held::take(&all, vec![[3; 32], [2; 32]]).is_none());
        let third = Held::take(&all, vec![[3; 32]]).unwrap();
        assert!(Held::take(&all, vec![[4; 32], [4; 32]]).is_none(), "twice in one post");
        drop(first);
        assert!(Held::take(&all, vec![[1; 32], [2; 32], [4; 32]]).is_some());
        drop(third);
        assert!(lock(&all).is_empty());
    }
}
