//! The events of all workloads: pure functions of their index. Every contestant has the same, whatever it is built on;
//! those in other packages include this file.

/// Mixes a number (splitmix64).
#[inline]
pub fn mix(index: u64) -> u64 {
    let mut z = index.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The map of W1.
#[inline]
pub fn scramble(value: u64) -> u64 {
    value.wrapping_mul(31).wrapping_add(7) ^ (value >> 3)
}

/// The filter of W1.
#[inline]
pub fn is_even(value: &u64) -> bool {
    value & 1 == 0
}

/// The key of an event of W2.
#[inline]
pub fn key_of(index: u64, keys: u64) -> u64 {
    (mix(index) >> 1) % keys
}

/// The value of an event of W2.
#[inline]
pub fn value_of(index: u64) -> u64 {
    index & 255
}

/// What is known of a run of W2 however its events were interleaved: how many results there were, and the greatest sum.
#[inline]
pub fn count_and_max(count: u64, max: u64) -> u64 {
    count.wrapping_mul(1_000_003).wrapping_add(max)
}

/// How many words a line of W3 has.
pub const WORDS_PER_LINE: u64 = 10;

const WORDS: u64 = 10_000;

/// The words of W3; the n-th comes about as often as the first, divided by n.
pub struct Vocabulary {
    words: Vec<String>,
    /// The word for each sixteen bits.
    ranks: Vec<u16>,
}

impl Vocabulary {
    /// All of them.
    #[must_use]
    pub fn new() -> Self {
        let scale = ((WORDS + 1) as f64).ln();
        let rank = |bits: u32| {
            let rank = (f64::from(bits) / 65_536.0 * scale).exp().floor() - 1.0;
            rank.clamp(0.0, (WORDS - 1) as f64) as u16
        };
        Self {
            words: (0..WORDS).map(word).collect(),
            ranks: (0..=u16::MAX.into()).map(rank).collect(),
        }
    }

    /// Appends a line.
    #[inline]
    pub fn write_line(&self, index: u64, line: &mut String) {
        let mut bits = 0;
        for position in 0..WORDS_PER_LINE {
            if position % 4 == 0 {
                bits = mix(index * 3 + position / 4);
            }
            if position > 0 {
                line.push(' ');
            }
            let rank = self.ranks[usize::from(bits as u16)];
            line.push_str(&self.words[usize::from(rank)]);
            bits >>= 16;
        }
    }

    /// A line.
    #[must_use]
    pub fn line(&self, index: u64) -> String {
        let mut line = String::with_capacity(112);
        self.write_line(index, &mut line);
        line
    }
}

impl Default for Vocabulary {
    fn default() -> Self {
        Self::new()
    }
}

/// Three to ten letters, and the word's number, which makes it the only one.
fn word(number: u64) -> String {
    let mut bits = mix(number);
    let letters = 3 + (bits & 7);
    let mut word = String::new();
    for _ in 0..letters {
        bits >>= 5;
        word.push(char::from(b'a' + (bits & 31) as u8 % 26));
    }
    word + &number.to_string()
}
