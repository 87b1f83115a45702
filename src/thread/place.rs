//! Chooses the database of a session.

use super::mix;
use super::store::hash;

/// Returns the database, among the first `count`, for an owner or for a session without one; 0 is the first.
///
/// Each database has a weight for each key, and the heaviest gets it (rendezvous hashing). So a new database
/// takes some keys from each of the others, and no key moves between the old ones.
#[must_use]
pub fn place(key: &str, count: u64) -> u64 {
    let key = hash(key);
    (0..count).max_by_key(|place| mix(key ^ mix(place.saturating_add(1)))).unwrap_or_default()
}

/// Returns all databases that sessions of an owner may be in. `generations` lists the numbers of databases
/// that there have been.
#[must_use]
pub fn places(owner: &str, generations: &[u64]) -> Vec<u64> {
    let mut places = Vec::new();
    for place in generations.iter().map(|count| place(owner, *count)) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn owners() -> impl Iterator<Item = String> {
        (0..10_000).map(|n| format!("user{n}"))
    }

    #[test]
    fn owners_are_spread_evenly() {
        for count in [2_usize, 4, 16, 64] {
            let mut counts = vec![0_usize; count];
            owners().for_each(|owner| counts[usize::try_from(place(&owner, count as u64)).unwrap()] += 1);
            let fair = 10_000 / count;
            assert!(counts.iter().all(|it| *it > fair * 6 / 10 && *it < fair * 15 / 10), "{counts:?}");
        }
    }

    #[test]
    fn adding_a_database_moves_only_its_share_of_owners() {
        let mut moved = 0;
        for owner in owners() {
            let (before, after) = (place(&owner, 4), place(&owner, 5));
            assert!(after == before || after == 4, "{owner} moves from {before} to {after}");
            moved += usize::from(after == 4);
        }
        assert!((1_700..2_300).contains(&moved), "{moved}");
    }

    #[test]
    fn the_places_are_the_same_in_every_build() {
        assert_eq!(["ann", "bob", "", "東京"].map(|key| place(key, 64)), PLACES);
        assert_eq!(place("ann", 1), 0);
        let ann = places("ann", &[1, 4, 16]);
        assert!(
            ann.contains(&0) && ann.contains(&place("ann", 4)) && ann.contains(&place("ann", 16)),
            "{ann:?}"
        );
    }

    const PLACES: [u64; 4] = [3, 19, 54, 41];
}
