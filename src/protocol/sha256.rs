//! Hashes ids that are too long, or have characters that an id may not have.

/// Returns the SHA-256 digest, as 64 hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    let digits = hmac_sha256::Hash::hash(bytes).into_iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standards_example_is_reproduced() {
        // FIPS 180-4. Stored ids depend on it: with another digest, a message that is sent again would count
        // as a new one.
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), digest);
    }
}
