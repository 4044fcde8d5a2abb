//! How the metrics are said in InfluxDB: names, what a point's time holds, and how a text becomes a tag and back. Pure; shared by
//! who writes the points and who reads them. `schemas/influxdb/measurements.md` shows it as a whole.
//!
//! What must stay true: a block's point has one identity (measurement, tags, time) whenever it is written, so that writing it again
//! replaces it; no tag grows with the stream; what is written reads back to the byte. A change raises [`LAYOUT_VERSION`].

use std::borrow::Cow;

use wh_schemas::layout::METRICS_BLOCK;

/// Version of what is described here.
pub const LAYOUT_VERSION: i64 = 1;

/// Aggregates of one block by second, department, type and level.
pub const THROUGHPUT: &str = "throughput";
/// The same for seconds that InfluxDB has no time for; the second is a field of its own there.
pub const OUT_OF_RANGE: &str = "throughput_out_of_range";
/// How far the sink has come: one point for each position that it published lately; the latest time is the furthest.
pub const POSITIONS: &str = "wardhouse_positions";
/// One point: the version of the layout.
pub const LAYOUT: &str = "wardhouse_layout";
/// What the pipeline measured of itself: lag and latencies.
pub const PIPELINE: &str = "wardhouse_pipeline";

/// Nanoseconds in a second.
pub const NANOS: i64 = 1_000_000_000;
/// First and last second of which every nanosecond is a time of InfluxDB (1677 and 2262).
pub const SECONDS: (i64, i64) = (-9_223_372_036, 9_223_372_035);
/// The first time that a point may have, and the first behind all of them.
pub const TIMES: (i64, i64) = (SECONDS.0 * NANOS, (SECONDS.1 + 1) * NANOS);
/// Blocks that the nanoseconds of a second tell apart: a trillion seqs a partition.
pub const BLOCKS: u64 = 1_000_000_000;

/// Time of the position of seq 0: 2200-01-01T00:00:00Z. Positions lie in the future, so that no retention takes them; one that is
/// further has a later time, so that a late writer cannot put the position back.
const POSITION_EPOCH: i64 = 7_258_118_400 * NANOS;
/// Time of the layout's point.
pub const LAYOUT_TIME: i64 = POSITION_EPOCH - NANOS;
/// Seconds before the last one in which points of later years lie.
const LATER: i64 = 1_000;

/// Time of a block's point of a second: the nanoseconds are the block's number. `None` where InfluxDB has no such time.
#[must_use]
pub fn time_of(second: i64, block: u64) -> Option<i64> {
    let block = i64::try_from(block).ok().filter(|block| *block < NANOS)?;
    (SECONDS.0..=SECONDS.1).contains(&second).then(|| second * NANOS + block)
}

/// Second and block of a point's time.
#[must_use]
pub fn second_and_block(time: i64) -> (i64, i64) {
    (time.div_euclid(NANOS), time.rem_euclid(NANOS))
}

/// Time of a block's point of a second out of range: `rank` counts the points of the block that have the same tags and the same
/// side, by their second. A block has no more points than seqs, so that no two of a series meet.
#[must_use]
pub fn time_out_of_range(second: i64, block: u64, rank: u64) -> Option<i64> {
    if block >= BLOCKS || rank >= METRICS_BLOCK {
        return None;
    }
    let within = i64::try_from(block * METRICS_BLOCK + rank).ok()?;
    let first = if second < SECONDS.0 { TIMES.0 } else { (SECONDS.1 - LATER) * NANOS };
    Some(first + within)
}

/// Time of a position.
#[must_use]
pub fn position_time(visible_seq: u64) -> Option<i64> {
    // Up to 2^60 seqs: past any that a block's time can hold.
    i64::try_from(visible_seq).ok().filter(|seq| *seq < 1 << 60).map(|seq| POSITION_EPOCH + seq)
}

/// The statement that finds the latest position of each stream and partition.
#[must_use]
pub fn latest_positions() -> String {
    format!("SELECT * FROM \"{POSITIONS}\" WHERE time >= {POSITION_EPOCH} AND time < {} GROUP BY \"stream\", \"partition\" ORDER BY time DESC LIMIT 1", TIMES.1)
}

/// What a text is called as a tag's value, before line protocol escapes it. A tag is never empty, holds no line's end, and no
/// backslash, which would escape what follows; those, other control characters and the percent sign are written as `%XX`, the
/// empty text as a lone `%`.
#[must_use]
pub fn tag_of(text: &str) -> Cow<'_, str> {
    if text.is_empty() {
        return Cow::Borrowed("%");
    }
    if !text.bytes().any(is_encoded) {
        return Cow::Borrowed(text);
    }
    let mut tag = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match u8::try_from(c) {
            Ok(byte) if is_encoded(byte) => {
                tag.push('%');
                tag.push(char::from(HEX[usize::from(byte >> 4)]));
                tag.push(char::from(HEX[usize::from(byte & 15)]));
            }
            _ => tag.push(c),
        }
    }
    Cow::Owned(tag)
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn is_encoded(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f || byte == b'%' || byte == b'\\'
}

/// The text that [`tag_of`] made a tag of.
#[must_use]
pub fn text_of(tag: &str) -> Cow<'_, str> {
    if !tag.contains('%') {
        return Cow::Borrowed(tag);
    }
    if tag == "%" {
        return Cow::Borrowed("");
    }
    let mut text = String::with_capacity(tag.len());
    let mut rest = tag;
    while let Some(at) = rest.find('%') {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        let digits = from.get(1..3).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if byte.is_ascii() => {
                text.push(char::from(byte));
                rest = from.get(3..).unwrap_or_default();
            }
            // Another program's: as it stands.
            _ => {
                text.push('%');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// Appends a tag's value as line protocol has it.
pub fn push_tag(tag: &str, line: &mut Vec<u8>) {
    for byte in tag.bytes() {
        if matches!(byte, b',' | b'=' | b' ') {
            line.push(b'\\');
        }
        line.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_points_time_holds_its_second_and_its_block() {
        for (second, block) in [(0, 0), (1_767_225_600, 17), (-1, 999_999_999), (SECONDS.0, 0), (SECONDS.1, 999_999_999)] {
            let time = time_of(second, block).unwrap();
            assert_eq!(second_and_block(time), (second, i64::try_from(block).unwrap()));
            assert!(TIMES.0 <= time && time < TIMES.1);
        }
        assert_eq!((time_of(SECONDS.0 - 1, 0), time_of(SECONDS.1 + 1, 0), time_of(0, BLOCKS)), (None, None, None));
    }

    #[test]
    fn years_that_influxdb_does_not_know_have_times_of_their_own() {
        let (first_year, last_year) = (-62_135_596_800, 253_402_300_799);
        let times = [
            time_out_of_range(first_year, 0, 0).unwrap(),
            time_out_of_range(first_year, BLOCKS - 1, METRICS_BLOCK - 1).unwrap(),
            time_out_of_range(last_year, 0, 0).unwrap(),
            time_out_of_range(last_year, 1, 0).unwrap(),
            time_out_of_range(last_year, BLOCKS - 1, METRICS_BLOCK - 1).unwrap(),
        ];
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
        assert!(times.iter().all(|time| TIMES.0 <= *time && *time < TIMES.1));
        assert_eq!(times[3] - times[2], 1_000);
        assert_eq!((time_out_of_range(0, BLOCKS, 0), time_out_of_range(0, 0, METRICS_BLOCK)), (None, None));
    }

    #[test]
    fn a_further_position_has_a_later_time() {
        assert!(position_time(0) < position_time(1));
        assert!(LAYOUT_TIME < position_time(0).unwrap() && position_time(BLOCKS * METRICS_BLOCK).unwrap() < TIMES.1);
        assert_eq!(position_time(u64::MAX), None);
    }

    #[test]
    fn every_text_is_a_tag_and_comes_back() {
        for (text, tag) in [
            ("IT", "IT"),
            ("", "%"),
            ("%", "%25"),
            ("%41", "%2541"),
            ("a b,c=d", "a b,c=d"),
            ("trailing\\", "trailing%5C"),
            ("two\nlines\r\t\0\u{7f}", "two%0Alines%0D%09%00%7F"),
            ("Größe Ω 🩺 \u{85}\u{2028}", "Größe Ω 🩺 \u{85}\u{2028}"),
            (" ", " "),
        ] {
            assert_eq!((tag_of(text).as_ref(), text_of(tag).as_ref()), (tag, text));
        }
        assert_eq!((text_of("100%"), text_of("%zz%+1%é")), (Cow::Borrowed("100%"), Cow::Borrowed("%zz%+1%é")));
        let mut line = Vec::new();
        push_tag("a b,c=d", &mut line);
        assert_eq!(line, b"a\\ b\\,c\\=d");
    }
}
