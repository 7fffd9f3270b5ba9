//! Ids that look random and are a function of the seed and the calls so far, so that a run can be repeated exactly.

/// A stream of ids; two streams with the same seed give the same ids.
#[derive(Debug, Clone, Default)]
pub struct Ids {
    state: u64,
}

impl Ids {
    /// Returns the stream of `seed`, told apart from others of the same seed by `salt`.
    pub fn new(seed: u64, salt: &str) -> Self {
        let salted = salt.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self { state: salted }
    }

    /// Returns an id of the form of a version 4 UUID.
    pub fn uuid(&mut self) -> String {
        let value = (u128::from(self.next()) << 64) | u128::from(self.next());
        uuid::Builder::from_random_bytes(value.to_be_bytes())
            .into_uuid()
            .to_string()
    }

    /// Returns `length` characters out of `alphabet`.
    pub fn text(&mut self, length: usize, alphabet: &str) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..length)
            .filter_map(|_| letters.get(self.next() as usize % letters.len().max(1)))
            .collect()
    }

    /// Returns a number below `bound`; 0 where there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound.max(1)
    }

    /// Steps the splitmix64 generator.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::Ids;

    #[test]
    fn the_same_seed_and_salt_give_the_same_ids() {
        assert_eq!(Ids::new(7, "a").uuid(), Ids::new(7, "a").uuid());
        assert_ne!(Ids::new(7, "a").uuid(), Ids::new(7, "b").uuid());
        assert_ne!(Ids::new(7, "a").uuid(), Ids::new(8, "a").uuid());
    }

    #[test]
    fn text_keeps_to_its_alphabet() {
        let text = Ids::new(1, "").text(64, "xyz");
        assert_eq!(text.len(), 64);
        assert!(text.chars().all(|letter| "xyz".contains(letter)));
    }
}
