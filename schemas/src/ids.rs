//! Identities that must never change between versions: partitions, fingerprints, UUIDs, content hashes.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Namespace of every UUIDv5 made here. Changing it would change every alert's id.
const NAMESPACE: Uuid = Uuid::from_u128(0x7c0e_6d3a_5b1f_5f0e_9a53_1d0a_9c6b_8e21);

/// The partition of a key as Kafka's Java client would choose it: murmur2 with its seed, made positive, modulo.
/// librdkafka's own default is CRC32, so this is computed by us and given to it.
///
/// Source: `org.apache.kafka.common.utils.Utils.murmur2`.
#[must_use]
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions.max(1)
}

/// MurmurHash2, 32 bit, with the seed that Kafka uses.
#[must_use]
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut h: u32 = 0x9747_b28c ^ length;
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * i);
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

/// Eight bytes that stand for a text: the first of its SHA-256, little endian.
#[must_use]
pub fn fingerprint(text: &[u8]) -> u64 {
    let digest = Sha256::digest(text);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}

/// What a store keeps of the log that it was filled from: 52 bits of the identity's SHA-256, never 0. Every store, and whatever reads its
/// numbers as floats, can hold it as a count.
#[must_use]
pub fn log_mark(identity: &str) -> u64 {
    (fingerprint(format!("log\0{identity}").as_bytes()) >> 12).max(1)
}

/// SHA-256 as 64 lower-case hexadecimal digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

/// The id of the alert of one type on one transaction.
#[must_use]
pub fn alert_id(transaction_id: &str, alert_type: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("alert\0{transaction_id}\0{alert_type}").as_bytes())
}

/// The id of a pattern: its type and its members in order of their ids.
#[must_use]
pub fn pattern_id(pattern_type: &str, members: &[&str]) -> Uuid {
    let mut sorted = members.to_vec();
    sorted.sort_unstable();
    Uuid::new_v5(&NAMESPACE, format!("pattern\0{pattern_type}\0{}", sorted.join("\0")).as_bytes())
}

/// The id of an event of a stage, from what makes it unique.
#[must_use]
pub fn event_id(parts: &[&str]) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("event\0{}", parts.join("\0")).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_agrees_with_kafka() {
        // Vectors of org.apache.kafka.common.utils.UtilsTest.testMurmur2.
        for (text, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), hash, "{text}");
        }
    }

    #[test]
    fn ids_do_not_change() {
        assert_eq!(alert_id("T-1", "amount_outlier").to_string(), alert_id("T-1", "amount_outlier").to_string());
        assert_ne!(alert_id("T-1", "a"), alert_id("T-1", "b"));
        assert_eq!(pattern_id("round_trip", &["b", "a"]), pattern_id("round_trip", &["a", "b"]));
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(log_mark("kafka:abc/"), fingerprint(b"log\0kafka:abc/") >> 12);
        assert!(log_mark("a") != log_mark("b") && log_mark("a") < 1 << 52);
        assert_eq!(fingerprint(b"abc"), u64::from_le_bytes([0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea]));
    }
}
