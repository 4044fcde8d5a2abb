//! How many bytes a number takes in a serialised state.
//!
//! The state is trimmed as it goes on, not as it is written, so its size must be known without writing it: after each row, in less than the
//! row's score costs. What must stay true: the sums made of these are postcard's own lengths to the byte; a test compares them.

/// An unsigned integer: seven bits a byte.
pub(super) const fn varint(value: u64) -> usize {
    ((64 - (value | 1).leading_zeros()) as usize).div_ceil(7)
}

/// A length, an index.
pub(super) const fn length(value: usize) -> usize {
    varint(value as u64)
}

/// A signed integer: zigzag, then seven bits a byte.
pub(super) const fn signed(value: i64) -> usize {
    varint(((value << 1) ^ (value >> 63)).cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_that_are_written() {
        for value in [0, 1, 63, 64, 127, 128, 8_191, 8_192, 16_383, 16_384, 1 << 31, 1_767_571_200_000_000, i64::MAX] {
            assert_eq!(varint(value.cast_unsigned()), postcard::to_allocvec(&value.cast_unsigned()).unwrap().len(), "{value}");
            for value in [value, -value, !value] {
                assert_eq!(signed(value), postcard::to_allocvec(&value).unwrap().len(), "{value}");
            }
        }
        for value in [-32_000_i16, -1, 0, 63, 64, 8_191, 8_192, 32_000] {
            assert_eq!(signed(i64::from(value)), postcard::to_allocvec(&value).unwrap().len(), "{value}");
        }
    }
}
