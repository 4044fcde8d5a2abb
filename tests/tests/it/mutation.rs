//! Bytes that were altered by chance: the same chance for the same seed and number, so that what fails once can be run again.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;

/// The choices of one input.
pub(crate) struct Dice(ChaCha12Rng);

impl Dice {
    pub(crate) fn new(seed: u64, number: u64) -> Dice {
        let mut stream = ChaCha12Rng::seed_from_u64(seed);
        stream.set_stream(number);
        Dice(stream)
    }

    /// Uniform in `0..count`; 0 where there is nothing to choose from.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        let scaled = (u128::from(self.0.next_u64()) * count as u128) >> 64;
        usize::try_from(scaled).unwrap()
    }

    /// True so often of a hundred times.
    pub(crate) fn percent(&mut self, share: usize) -> bool {
        self.below(100) < share
    }

    /// One of a list that is not empty.
    pub(crate) fn pick<'l, T>(&mut self, list: &'l [T]) -> &'l T {
        &list[self.below(list.len())]
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.0.next_u64().to_le_bytes()[0]
    }

    /// So many bytes of any kind.
    pub(crate) fn noise(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}

/// Bytes at which readers go wrong.
const AWKWARD: [&[u8]; 28] = [
    b"\0",
    b"\xff",
    b"\x80",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\x7f",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\r",
    b"\n",
    b"-",
    b"e",
    b".",
    b"0",
    b"9999999999999999999",
    b"null",
    b"( NOT ",
    b"\xff\xff\xff\xff\x0f",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
];

/// Alters bytes once; `other` is what a part may be taken from.
pub(crate) fn alter(bytes: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let at = dice.below(bytes.len() + 1);
    // Most parts that are altered at once are short.
    let until = (at + 1 + dice.below(1 + (bytes.len() / 8).min(64))).min(bytes.len()).max(at);
    match dice.below(10) {
        0 | 1 => {
            let bit = dice.below(8);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
        2 => {
            let byte = dice.byte();
            if let Some(old) = bytes.get_mut(at) {
                *old = byte;
            }
        }
        3 | 4 => {
            let awkward = *dice.pick(&AWKWARD);
            drop(bytes.splice(at..at, awkward.iter().copied()));
        }
        5 => drop(bytes.drain(at..until)),
        6 => {
            let again = bytes[at..until].to_vec();
            drop(bytes.splice(at..at, again));
        }
        7 => {
            let awkward = *dice.pick(&AWKWARD);
            drop(bytes.splice(at..until, awkward.iter().copied()));
        }
        8 => {
            let from = dice.below(other.len() + 1);
            let to = (from + dice.below(40)).min(other.len());
            drop(bytes.splice(at..at, other[from..to].iter().copied()));
        }
        _ => bytes.truncate(at),
    }
}
