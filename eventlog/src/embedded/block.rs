//! The bytes of one record batch: a checked header, then its records, compressed.
//!
//! ```text
//! version u8 · codec u8 (0 plain, 1 zstd) · records u32 · raw length u32 · CRC-32 of all else u32 · payload
//! record: key length + 1 (0: no key) · key · value length · value · headers · { name length · name · value length · value }
//! ```
//! Fixed integers are little endian, lengths are LEB128. What must stay true: no input panics or allocates more than
//! its header admits, and a flipped bit is found.

use std::io;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};

use crate::{Record, Stored};

const VERSION: u8 = 1;
const HEADER: usize = 14;
/// Largest payload of one batch before compression.
pub const MAX_RAW_BYTES: usize = 64 * 1024 * 1024;
/// A record takes no fewer bytes than this: three lengths of 0.
const LEAST_RECORD: usize = 3;
/// Records that room is made for before any is read: a header that was made up must not cost more memory than what stands behind it.
const ROOM: usize = 4_096;
/// Payloads below this are kept as they are.
const COMPRESS_FROM: usize = 256;
const ZSTD_LEVEL: i32 = 1;

/// Why a batch cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Written by a newer version.
    #[error("record batch of version {0}, this build reads version 1")]
    Version(u8),
    /// Cut short, a flipped bit, or lengths that do not fit.
    #[error("damaged record batch: {0}")]
    Damaged(&'static str),
}

fn low_bits(value: u64) -> u8 {
    value.to_le_bytes()[0] & 0x7f
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    let mut rest = length as u64;
    while rest >= 0x80 {
        out.push(low_bits(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low_bits(rest));
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(payload);
    hasher.finalize()
}

/// What zstd works with, kept from one block to the next: to make it, with the megabyte that it takes, costs as much as to use it. As many as
/// blocks were ever worked on at the same moment.
struct Kept<T>(Mutex<Vec<T>>);

static COMPRESSORS: Kept<Compressor<'static>> = Kept(Mutex::new(Vec::new()));
static DECOMPRESSORS: Kept<Decompressor<'static>> = Kept(Mutex::new(Vec::new()));

impl<T> Kept<T> {
    fn with<R>(&self, make: impl FnOnce() -> io::Result<T>, work: impl FnOnce(&mut T) -> io::Result<R>) -> io::Result<R> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut one = kept.map_or_else(make, Ok)?;
        let done = work(&mut one)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(one);
        Ok(done)
    }
}

/// The batch of `records`.
///
/// # Errors
/// [`BlockError::Damaged`] where they exceed [`MAX_RAW_BYTES`].
pub fn encode(records: &[Record]) -> Result<Vec<u8>, BlockError> {
    let size: usize = records.iter().map(|r| r.value.len() + r.key.as_ref().map_or(0, Bytes::len) + 16 + r.headers.iter().map(|(n, v)| n.len() + v.len() + 8).sum::<usize>()).sum();
    if size > MAX_RAW_BYTES {
        return Err(BlockError::Damaged("more than 64 MiB in one batch"));
    }
    let mut raw = Vec::with_capacity(size);
    for record in records {
        match &record.key {
            None => raw.push(0),
            Some(key) => {
                put_length(&mut raw, key.len() + 1);
                raw.extend_from_slice(key);
            }
        }
        put_bytes(&mut raw, &record.value);
        put_length(&mut raw, record.headers.len());
        for (name, value) in &record.headers {
            put_bytes(&mut raw, name.as_bytes());
            put_bytes(&mut raw, value);
        }
    }
    let count = u32::try_from(records.len()).map_err(|_| BlockError::Damaged("too many records"))?;
    let length = u32::try_from(raw.len()).map_err(|_| BlockError::Damaged("too long"))?;
    let compressed =
        if raw.len() >= COMPRESS_FROM { COMPRESSORS.with(|| Compressor::new(ZSTD_LEVEL), |zstd| zstd.compress(&raw)).ok().filter(|c| c.len() < raw.len()) } else { None };
    let (codec, payload) = match &compressed {
        Some(compressed) => (1, compressed.as_slice()),
        None => (0, raw.as_slice()),
    };
    let mut out = Vec::with_capacity(HEADER + payload.len());
    out.extend_from_slice(&[VERSION, codec]);
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    let checksum = checksum(&out, payload);
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(payload);
    Ok(out)
}

struct Cursor {
    bytes: Bytes,
    at: usize,
}

impl Cursor {
    fn length(&mut self) -> Result<usize, BlockError> {
        let mut value: u64 = 0;
        for shift in (0..35).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(BlockError::Damaged("cut short"))?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(value).map_err(|_| BlockError::Damaged("length"));
            }
        }
        Err(BlockError::Damaged("length"))
    }

    fn take(&mut self, length: usize) -> Result<Bytes, BlockError> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or(BlockError::Damaged("cut short"))?;
        let taken = self.bytes.slice(self.at..end);
        self.at = end;
        Ok(taken)
    }
}

/// The records of a batch whose first has `base_offset`. Their bytes share one buffer. `append_time` is filled in as given.
///
/// # Errors
/// See [`BlockError`].
pub fn decode(data: &[u8], base_offset: u64, append_time: i64) -> Result<Vec<Stored>, BlockError> {
    let header: &[u8; HEADER] = data.first_chunk().ok_or(BlockError::Damaged("cut short"))?;
    if header[0] != VERSION {
        return Err(BlockError::Version(header[0]));
    }
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (count, length) = (number(2) as usize, number(6) as usize);
    let payload = &data[HEADER..];
    if checksum(&header[..10], payload) != number(10) {
        return Err(BlockError::Damaged("checksum"));
    }
    if length > MAX_RAW_BYTES || count > length / LEAST_RECORD {
        return Err(BlockError::Damaged("length"));
    }
    let raw = match header[1] {
        0 => payload.to_vec(),
        1 => DECOMPRESSORS.with(Decompressor::new, |zstd| zstd.decompress(payload, length)).map_err(|_| BlockError::Damaged("compression"))?,
        _ => return Err(BlockError::Damaged("codec")),
    };
    if raw.len() != length {
        return Err(BlockError::Damaged("length"));
    }
    let mut cursor = Cursor { bytes: Bytes::from(raw), at: 0 };
    let mut records = Vec::with_capacity(count.min(ROOM));
    for i in 0..count {
        let key = match cursor.length()? {
            0 => None,
            length => Some(cursor.take(length - 1)?),
        };
        let value_length = cursor.length()?;
        let value = cursor.take(value_length)?;
        let mut headers = Vec::new();
        for _ in 0..cursor.length()? {
            let name_length = cursor.length()?;
            let name = String::from_utf8(cursor.take(name_length)?.to_vec()).map_err(|_| BlockError::Damaged("header name"))?;
            let length = cursor.length()?;
            headers.push((name, cursor.take(length)?));
        }
        records.push(Stored { offset: base_offset + i as u64, append_time, key, value, headers });
    }
    if cursor.at != cursor.bytes.len() {
        return Err(BlockError::Damaged("bytes left over"));
    }
    Ok(records)
}

/// Puts the checksum that belongs there into bytes that are to look like a batch, so that a test reaches what is read behind it.
#[doc(hidden)]
pub fn seal(data: &mut [u8]) {
    if let Some((header, payload)) = data.split_at_mut_checked(HEADER) {
        let checksum = checksum(&header[..10], payload);
        header[10..].copy_from_slice(&checksum.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> impl Strategy<Value = Record> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from);
        (proptest::option::of(bytes()), bytes(), proptest::collection::vec(("[a-z-]{0,12}", bytes()), 0..3)).prop_map(|(key, value, headers)| Record { key, value, headers })
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(records in proptest::collection::vec(record(), 1..30), base in 0u64..1_000_000) {
            let stored = decode(&encode(&records).unwrap(), base, 7).unwrap();
            prop_assert_eq!(stored.len(), records.len());
            for (i, (s, r)) in stored.iter().zip(&records).enumerate() {
                prop_assert_eq!(s.offset, base + i as u64);
                prop_assert_eq!((&s.key, &s.value, &s.headers), (&r.key, &r.value, &r.headers));
            }
        }

        #[test]
        fn a_flipped_byte_is_found(records in proptest::collection::vec(record(), 1..10), at: prop::sample::Index, flip in 1u8..) {
            let mut data = encode(&records).unwrap();
            let at = at.index(data.len());
            data[at] ^= flip;
            let found = decode(&data, 0, 0);
            prop_assert!(found.is_err(), "byte {} of {}", at, data.len());
        }

        #[test]
        fn a_header_that_was_made_up_is_refused(count: u32, length: u32, payload in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut data = vec![VERSION, 0];
            data.extend(count.to_le_bytes());
            data.extend(length.to_le_bytes());
            data.extend([0; 4]);
            data.extend(&payload);
            seal(&mut data);
            // It may be one by chance; what it says is there then.
            if let Ok(records) = decode(&data, 0, 0) {
                prop_assert!(records.len() * LEAST_RECORD <= payload.len());
            }
        }

        #[test]
        fn noise_never_panics(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(decode(&data, 0, 0));
        }
    }
}
