//! Damages to good inputs.

/// Pieces that parsers treat specially.
const PIECES: &[&[u8]] = &[
    b"null",
    b"{}",
    b"[]",
    b"\"\"",
    b"-1",
    b"0",
    b"1e999",
    b"9223372036854775808",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\0",
    b"\0\0\0\xff",
    b"\xff\xff\xff\xff\x0f",
    b",",
    b":",
    b"=",
    b"!=",
    b" in (",
    b")",
    b"%00",
    b"..",
    b"/",
    b"&a ",
    b"*a",
    b"<<: ",
    b"- ",
    b"\n",
    b"\t",
    b"$patch",
    b"$setElementOrder/containers",
    b"\"metadata\":",
    b"\"name\":",
    b"((((((((",
    b"[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":",
    b".map(x, ",
    b"self",
    b"Ei",
    b"n",
];
/// Damages done to one input at most.
const DAMAGES_MAX: u64 = 6;
const BYTES_MAX: usize = 8192;

/// Makes inputs; the same seed makes the same ones.
pub(crate) struct Mutator {
    state: u64,
}

impl Mutator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A number below `bound`, or 0 when there is none (splitmix64).
    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let number = usize::try_from((mixed ^ (mixed >> 31)) >> 1).unwrap_or(0);
        number.checked_rem(bound).unwrap_or(0)
    }

    /// A good input with some damage.
    pub(crate) fn damaged(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(usize::try_from(DAMAGES_MAX).unwrap_or(1)) {
            self.damage(&mut input, seeds);
        }
        input.truncate(BYTES_MAX);
        input
    }

    fn damage(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let end = (at + self.below(32)).min(input.len());
        match self.below(8) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = u8::try_from(self.below(256)).unwrap_or(0),
            2 => drop(input.drain(at..end)),
            3 => {
                let copy = input[at..end].to_vec();
                let place = self.below(input.len() + 1);
                drop(input.splice(place..place, copy));
            }
            4 | 5 => {
                let piece = PIECES[self.below(PIECES.len())];
                let until = if self.below(2) == 0 { at } else { end };
                drop(input.splice(at..until, piece.iter().copied()));
            }
            6 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                let until = (from + self.below(64)).min(other.len());
                drop(input.splice(at..end, other[from..until].iter().copied()));
            }
            _ => input.truncate(at),
        }
    }
}
