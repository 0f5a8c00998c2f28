//! The bloom filter by which Apache's broker may note in a queue's extended units which groups a message is for. OxMQ
//! looks at the messages themselves; it writes the bits of each group into `consumerFilter.json` because Apache's broker
//! drops a file without them.

/// Which bits stand for a text. Java: `BloomFilter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bloom {
    hashes: i32,
    bits: i32,
}

impl Bloom {
    /// For `groups` groups and an error rate of `percent`, which is kept in 1..=99.
    pub fn new(percent: i32, groups: i32) -> Self {
        let log = |base: f64, n: f64| n.ln() / base.ln();
        let rate = f64::from(percent.clamp(1, 99)) / 100.0;
        let hashes = log(0.5, rate).ceil() as i32;
        let bits = (f64::from(groups.max(1)) * log(2.0, 1.0 / rate) * log(2.0, std::f64::consts::E)).ceil();
        Self { hashes: hashes.max(1), bits: ((bits / 8.0).ceil() * 8.0) as i32 }
    }

    /// Bits in all.
    pub fn bits(&self) -> i32 {
        self.bits
    }

    /// Whether these are the positions of a filter of this size.
    pub fn is_mine(&self, bits: i32, positions: &[i32]) -> bool {
        bits == self.bits && positions.len() == self.hashes as usize
    }

    /// The positions for a text; Apache's broker takes `group#topic`.
    pub fn positions(&self, text: &str) -> Vec<i32> {
        let hash = murmur3(text.as_bytes());
        let (low, high) = (hash as i32, (hash >> 32) as i32);
        (1..=self.hashes)
            .map(|i| low.wrapping_add(i.wrapping_mul(high)))
            .map(|sum| if sum < 0 { !sum } else { sum } % self.bits)
            .collect()
    }
}

/// The first half of MurmurHash3's 128 bits, x64, seed 0. Java: Guava's `Hashing.murmur3_128().asLong()`.
fn murmur3(bytes: &[u8]) -> u64 {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let mix1 = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mix2 = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let (mut h1, mut h2) = (0u64, 0u64);
    let (blocks, tail) = bytes.as_chunks::<16>();
    for block in blocks {
        let block = u128::from_le_bytes(*block);
        h1 ^= mix1(block as u64);
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= mix2((block >> 64) as u64);
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let mut last = [0; 16];
    last[..tail.len()].copy_from_slice(tail);
    let last = u128::from_le_bytes(last);
    h1 ^= mix1(last as u64);
    h2 ^= mix2((last >> 64) as u64);
    h1 ^= bytes.len() as u64;
    h2 ^= bytes.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    finish(h1).wrapping_add(finish(h2))
}

fn finish(mut h: u64) -> u64 {
    h ^= h >> 33;
    h = h.wrapping_mul(0xff51_afd7_ed55_8ccd);
    h ^= h >> 33;
    h = h.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ h >> 33
}
