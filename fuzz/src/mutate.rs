//! Changes to inputs, the same ones every time.

/// Bytes that parsers stumble over.
const AWKWARD: &[u8] = &[0, 1, 0x0a, 0x22, 0x28, 0x2a, 0x30, 0x5c, 0x7f, 0x80, 0x82, 0x84, 0xc3, 0xff];
/// Most changes to an input at once.
const CHANGES_MAX: usize = 6;
/// Longest input made.
const INPUT_BYTES_MAX: usize = 64 * 1024;

/// Makes inputs from seeds.
#[derive(Debug)]
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// One that makes the same inputs for the same number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        // Zero would stay zero.
        Self { state: number | 1 << 63 }
    }

    /// The next input: a seed with some changes.
    ///
    /// # Panics
    /// Without seeds.
    #[must_use]
    pub fn next(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(CHANGES_MAX) {
            self.change(&mut input, seeds);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let end = (at + self.below(32)).min(input.len());
        match self.below(8) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = AWKWARD[self.below(AWKWARD.len())],
            2 if at < input.len() => input[at] = self.byte(),
            3 => input.insert(at, self.byte()),
            4 => drop(input.drain(at..end)),
            5 => {
                let copy = input[at..end].to_vec();
                let times = 1 + self.below(64);
                input.splice(at..at, copy.repeat(times));
            }
            6 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend(&other[from..]);
            }
            _ => input.truncate(at),
        }
    }

    fn byte(&mut self) -> u8 {
        self.number().to_be_bytes()[0]
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() >> 33).unwrap_or(0) % end.max(1)
    }

    /// xorshift64*.
    const fn number(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
