//! Masking: XOR of the payload with a repeated 4-byte key (RFC 6455, 5.3).

/// XORs `bytes` with `key` in place; masking and unmasking are the same thing.
///
/// `offset` is the position of `bytes[0]` within the payload of its frame, in
/// bytes, so that a payload which arrives in pieces can be unmasked piece by
/// piece. RFC 6455, section 5.3.
pub fn apply_mask(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    let mut key = key;
    key.rotate_left(offset % 4);
    let [a, b, c, d] = key;
    // Eight bytes at a time; the compiler widens this to vector registers.
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in tail.iter_mut().zip(wide.to_ne_bytes()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::apply_mask;

    #[test]
    fn every_length_and_offset_agrees_with_the_definition() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for length in 0..40 {
            for offset in 0..9 {
                let plain: Vec<u8> = (0..length).collect();
                let mut masked = plain.clone();
                apply_mask(&mut masked, key, offset);
                for (i, (m, p)) in masked.iter().zip(&plain).enumerate() {
                    assert_eq!(*m, p ^ key[(i + offset) % 4]);
                }
            }
        }
    }
}
