//! What need not be read again: bounded in number, and in age where the world may change.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A map that forgets its oldest entry when it is full, and every entry at its age.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    entries: Mutex<HashMap<K, (Instant, V)>>,
    capacity: usize,
    lifetime: Duration,
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    /// Returns an empty cache.
    pub(super) fn new(capacity: usize, lifetime: Duration) -> Self {
        Self {
            entries: Mutex::default(),
            capacity,
            lifetime,
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let entries = self.entries();
        let (at, value) = entries.get(key)?;
        (at.elapsed() < self.lifetime).then(|| value.clone())
    }

    pub(super) fn put(&self, key: K, value: V) {
        let mut entries = self.entries();
        if entries.len() >= self.capacity && !entries.contains_key(&key) {
            forget_oldest(&mut entries);
        }
        entries.insert(key, (Instant::now(), value));
    }

    pub(super) fn remove(&self, key: &K) {
        self.entries().remove(key);
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<K, (Instant, V)>> {
        // A map is whole whatever panicked while it was held.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_oldest<K: Eq + Hash + Clone, V>(entries: &mut HashMap<K, (Instant, V)>) {
    let oldest = entries
        .iter()
        .min_by_key(|(_, (at, _))| *at)
        .map(|(key, _)| key.clone());
    if let Some(key) = oldest {
        entries.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_entry_is_forgotten_at_its_age() {
        let cache = Cache::new(10, Duration::from_secs(60));
        cache.put("a", 1);
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(cache.get(&"a"), Some(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(cache.get(&"a"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_cache_forgets_its_oldest_entry() {
        let cache = Cache::new(2, Duration::from_secs(60));
        for key in ["a", "b", "c"] {
            cache.put(key, ());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(
            (cache.get(&"a"), cache.get(&"b"), cache.get(&"c")),
            (None, Some(()), Some(()))
        );
    }
}
