//! The bytes of a record batch of the embedded log.
//!
//! Holds: what is read is written and read as the same; what was written is read; one flipped byte is found, wherever it is.

use wh_eventlog::embedded::block;
use wh_eventlog::{Bytes, Record, Stored};

use super::choices::Choices;

const BASE: u64 = 1_000;
/// Places of a header: version and codec, the length before compression.
const LENGTH: std::ops::Range<usize> = 6..10;
/// The longest that a made-up header may say: a fuzzer's memory is small.
const LONGEST: u32 = 1 << 20;

/// Takes the bytes as a batch, as one whose checksum fits, and as choices of what is in one.
pub fn run(data: &[u8]) {
    if let Ok(records) = block::decode(data, BASE, 7) {
        is_written_again(&records);
    }
    if let Some(records) = forged(data).and_then(|forged| block::decode(&forged, BASE, 7).ok()) {
        is_written_again(&records);
    }
    let records = made(&mut Choices::new(data));
    let written = block::encode(&records).unwrap();
    let read = block::decode(&written, BASE, 7).unwrap();
    assert_eq!(read.into_iter().map(record).collect::<Vec<_>>(), records);
    let mut flipped = written;
    let at = data.iter().fold(0_usize, |at, byte| at.wrapping_mul(31).wrapping_add(usize::from(*byte))) % flipped.len();
    flipped[at] ^= 1 << (data.len() % 8);
    assert!(block::decode(&flipped, BASE, 7).is_err(), "byte {at} of {}", flipped.len());
}

/// The bytes as those of a batch of this version, with a checksum that fits.
fn forged(data: &[u8]) -> Option<Vec<u8>> {
    let mut forged = data.to_vec();
    forged.get_mut(..2)?.copy_from_slice(&[1, data[1] % 3]);
    let length = forged.get_mut(LENGTH)?;
    let said = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
    length.copy_from_slice(&(said % LONGEST).to_le_bytes());
    block::seal(&mut forged);
    Some(forged)
}

fn record(stored: Stored) -> Record {
    Record { key: stored.key, value: stored.value, headers: stored.headers }
}

fn is_written_again(records: &[Stored]) {
    assert!(records.iter().zip(BASE..).all(|(record, offset)| record.offset == offset));
    let again = block::encode(&records.iter().cloned().map(record).collect::<Vec<_>>()).unwrap();
    assert_eq!(block::decode(&again, BASE, 7).unwrap(), records);
}

fn made(choices: &mut Choices<'_>) -> Vec<Record> {
    let count = 1 + choices.below(20);
    let mut records = Vec::new();
    for _ in 0..count {
        let key = (choices.below(4) > 0).then(|| Bytes::copy_from_slice(choices.bytes(40)));
        // Long ones are compressed.
        let value = Bytes::from(choices.bytes(200).repeat(1 + usize::from(choices.below(30))));
        let mut headers = Vec::new();
        for _ in 0..choices.below(4) {
            headers.push((String::from_utf8_lossy(choices.bytes(12)).into_owned(), Bytes::copy_from_slice(choices.bytes(40))));
        }
        records.push(Record { key, value, headers });
    }
    records
}
