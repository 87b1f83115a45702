//! SHA-256 (FIPS 180-4): what an id becomes that is too long, or has characters that an id may not have.

/// The first 32 bits of the fractional parts of the square roots of the first primes.
const START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
/// The same of their cube roots.
const ROUNDS: [u32; 64] = rounds();

/// The digest, as 64 hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    let mut padded = bytes.to_vec();
    padded.push(0x80);
    while padded.len() & 63 != 56 {
        padded.push(0);
    }
    padded.extend((bytes.len() as u64).wrapping_mul(8).to_be_bytes());
    let mut state = START;
    for chunk in padded.chunks(64) {
        let mut words = [0_u32; 64];
        for (word, bytes) in words.iter_mut().zip(chunk.chunks(4)) {
            *word = bytes.iter().fold(0, |word, byte| (word << 8) | u32::from(*byte));
        }
        state = mixed(state, words);
    }
    let bytes = state.iter().flat_map(|word| word.to_be_bytes());
    let digits = bytes.flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

#[allow(clippy::many_single_char_names)]
fn mixed(state: [u32; 8], mut words: [u32; 64]) -> [u32; 8] {
    let word = |words: &[u32; 64], at: usize| words.get(at).copied().unwrap_or_default();
    for at in 16_usize..64 {
        let before = |by: usize| word(&words, at.wrapping_sub(by));
        let (low, high) = (before(15), before(2));
        let low = low.rotate_right(7) ^ low.rotate_right(18) ^ (low >> 3);
        let high = high.rotate_right(17) ^ high.rotate_right(19) ^ (high >> 10);
        let next = before(16).wrapping_add(low).wrapping_add(before(7)).wrapping_add(high);
        if let Some(word) = words.get_mut(at) {
            *word = next;
        }
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
    for (round, word) in ROUNDS.iter().zip(words) {
        let high = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let chosen = (e & f) ^ (!e & g);
        let first = h.wrapping_add(high).wrapping_add(chosen).wrapping_add(*round).wrapping_add(word);
        let low = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let second = low.wrapping_add((a & b) ^ (a & c) ^ (b & c));
        (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(first), c, b, a, first.wrapping_add(second));
    }
    let mixed = [a, b, c, d, e, f, g, h];
    let mut sum = state;
    sum.iter_mut().zip(mixed).for_each(|(word, more)| *word = word.wrapping_add(more));
    sum
}

/// In whole numbers: the largest `x` with `x³ ≤ prime · 2⁹⁶`, without its whole part.
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::cast_possible_truncation)]
const fn rounds() -> [u32; 64] {
    let (mut rounds, mut found, mut number) = ([0; 64], 0, 2_u128);
    while found < 64 {
        let (mut divisor, mut is_prime) = (2, true);
        while divisor * divisor <= number {
            is_prime &= number % divisor != 0;
            divisor += 1;
        }
        if is_prime {
            let (mut root, mut bit) = (0_u128, 1_u128 << 35);
            while bit > 0 {
                let next = root | bit;
                if next * next * next <= number << 96 {
                    root = next;
                }
                bit >>= 1;
            }
            rounds[found] = root as u32;
            found += 1;
        }
        number += 1;
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standards_examples_come_out() {
        for (text, digest) in [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
        ] {
            assert_eq!(sha256(text.as_bytes()), digest, "{text}");
        }
    }
}
