//! Reproducible choices from a seed (splitmix64) or from bytes.

#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
    bytes: Option<std::vec::IntoIter<u8>>,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Random { state: seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x6a09_e667_f3bc_c909, bytes: None }
    }

    /// Uses two bytes for each choice, so a fuzzer that changes the bytes changes the run.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Random { state: 0, bytes: Some(Vec::from(bytes).into_iter()) }
    }

    pub fn is_exhausted(&self) -> bool {
        self.bytes.as_ref().is_some_and(|bytes| bytes.len() == 0)
    }

    pub fn next(&mut self) -> u64 {
        if let Some(bytes) = &mut self.bytes {
            let mut byte = || u64::from(bytes.next().unwrap_or_default());
            return byte() << 8 | byte();
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number less than `end`, or 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        usize::try_from(self.next().checked_rem(end).unwrap_or_default()).unwrap_or_default()
    }

    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from + 1)
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}
