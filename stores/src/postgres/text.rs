//! Text that PostgreSQL can hold: any text but U+0000, which is written otherwise.
//!
//! U+0000 becomes U+0001 U+0001, and U+0001 becomes U+0001 U+0002. No code begins another and they stand in the order of
//! what they stand for, so what is written is equal, less, greater, or a beginning exactly where the texts themselves are.
//!
//! What must stay true: what was written is read back; a text without these two characters is written as it is.

use std::borrow::Cow;

const MARK: char = '\u{1}';

/// The text as it is stored and compared.
#[must_use]
pub fn stored(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte <= 1) {
        return Cow::Borrowed(text);
    }
    let mut written = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\0' => written.extend([MARK, '\u{1}']),
            MARK => written.extend([MARK, '\u{2}']),
            c => written.push(c),
        }
    }
    Cow::Owned(written)
}

/// The bytes of the text that was stored so. What no code stands for is left as it is.
#[must_use]
pub fn read(written: &[u8]) -> Cow<'_, [u8]> {
    if !written.contains(&1) {
        return Cow::Borrowed(written);
    }
    let mut text = Vec::with_capacity(written.len());
    let mut bytes = written.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let meant = match (byte, bytes.peek()) {
            (1, Some(1)) => Some(0),
            (1, Some(2)) => Some(1),
            _ => None,
        };
        if meant.is_some() {
            bytes.next();
        }
        text.push(meant.unwrap_or(byte));
    }
    Cow::Owned(text)
}

/// Whether a part of stored texts is what this text is stored as exactly where the texts have this part. A part that begins
/// with the second half of a code can be found where nothing was meant.
#[must_use]
pub fn is_found_as_part(text: &str) -> bool {
    text.bytes().next().is_none_or(|first| first > 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 12] = ["", "a", "\0", "\u{1}", "\u{2}", "a\0", "a\0b", "a\u{1}", "a\u{1}\u{1}", "a\u{1}\u{2}", "a\u{2}", "é\0\0\u{1}ü"];

    #[test]
    fn what_is_stored_reads_back() {
        for text in TEXTS {
            let written = stored(text);
            assert!(!written.contains('\0'), "{text:?}");
            assert_eq!(&*read(written.as_bytes()), text.as_bytes(), "{text:?}");
        }
        assert_eq!(&*read(b"a\x01"), b"a\x01");
        assert!(matches!(stored("plain\n\u{3}"), Cow::Borrowed(_)));
    }

    #[test]
    fn order_equality_and_beginnings_are_kept() {
        for one in TEXTS {
            for other in TEXTS {
                let (a, b) = (stored(one), stored(other));
                assert_eq!(a.as_bytes().cmp(b.as_bytes()), one.as_bytes().cmp(other.as_bytes()), "{one:?} {other:?}");
                assert_eq!(a.starts_with(&*b), one.starts_with(other), "{one:?} {other:?}");
                if is_found_as_part(other) && !other.is_empty() {
                    assert_eq!(a.contains(&*b), one.contains(other), "{one:?} {other:?}");
                }
            }
        }
    }
}
