//! Dates, times, instants and intervals in PostgreSQL's text (DateStyle ISO, IntervalStyle postgres).
//!
//! What must stay true: every value of a 64-bit count of microseconds has a text; the year before 1 is 1 BC; an instant is shown in the
//! session's zone with the offset that held there then.

use arrow::array::timezone::Tz;
use bytes::{BufMut, BytesMut};
use chrono::{DateTime, Offset, TimeZone};

const DAY: i64 = 86_400_000_000;
const SECOND: i64 = 1_000_000;

/// Year, month and day of a count of days since 1970-01-01.
///
/// H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A number with at least `width` digits.
fn padded(value: i64, width: usize, out: &mut BytesMut) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value.unsigned_abs());
    out.put_bytes(b'0', width.saturating_sub(digits.len()));
    out.put_slice(digits.as_bytes());
}

/// Writes a day and gives whether it is before the year 1, which is said behind everything else.
fn day(days: i64, out: &mut BytesMut) -> bool {
    let (year, month, day) = civil(days);
    let before = year <= 0;
    padded(if before { 1 - year } else { year }, 4, out);
    out.put_u8(b'-');
    padded(month, 2, out);
    out.put_u8(b'-');
    padded(day, 2, out);
    before
}

fn era(before: bool, out: &mut BytesMut) {
    if before {
        out.put_slice(b" BC");
    }
}

pub(super) fn date(days: i32, out: &mut BytesMut) {
    let before = day(i64::from(days), out);
    era(before, out);
}

/// Hours, minutes, seconds and what there is of a fraction. More than 24 hours stay hours.
pub(super) fn clock(micros: i64, out: &mut BytesMut) {
    let seconds = micros / SECOND;
    padded(seconds / 3_600, 2, out);
    out.put_u8(b':');
    padded(seconds / 60 % 60, 2, out);
    out.put_u8(b':');
    padded(seconds % 60, 2, out);
    fraction(micros % SECOND, out);
}

fn fraction(micros: i64, out: &mut BytesMut) {
    if micros == 0 {
        return;
    }
    out.put_u8(b'.');
    let (mut left, mut width) = (micros.unsigned_abs(), 6);
    while left.is_multiple_of(10) {
        left /= 10;
        width -= 1;
    }
    padded(i64::try_from(left).unwrap_or(0), width, out);
}

pub(super) fn timestamp(micros: i64, out: &mut BytesMut) {
    let before = day(micros.div_euclid(DAY), out);
    out.put_u8(b' ');
    clock(micros.rem_euclid(DAY), out);
    era(before, out);
}

/// `zone` is `None` for UTC.
pub(super) fn instant(micros: i64, zone: Option<Tz>, out: &mut BytesMut) {
    let offset = zone.map_or(0, |zone| offset(zone, micros));
    let local = micros.saturating_add(i64::from(offset) * SECOND);
    let before = day(local.div_euclid(DAY), out);
    out.put_u8(b' ');
    clock(local.rem_euclid(DAY), out);
    out.put_u8(if offset < 0 { b'-' } else { b'+' });
    let seconds = i64::from(offset.abs());
    padded(seconds / 3_600, 2, out);
    if seconds % 3_600 != 0 {
        out.put_u8(b':');
        padded(seconds / 60 % 60, 2, out);
    }
    if seconds % 60 != 0 {
        out.put_u8(b':');
        padded(seconds % 60, 2, out);
    }
    era(before, out);
}

/// Seconds east of Greenwich; 0 for years that the zone's rules do not reach.
fn offset(zone: Tz, micros: i64) -> i32 {
    DateTime::from_timestamp_micros(micros).map_or(0, |at| zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc())
}

/// `EncodeInterval` in PostgreSQL's src/backend/utils/adt/datetime.c, style postgres.
pub(super) fn interval(months: i32, days: i32, micros: i64, out: &mut BytesMut) {
    let mut part = Part { written: false, negative: false };
    part.write(months / 12, "year", out);
    part.write(months % 12, "mon", out);
    part.write(days, "day", out);
    if micros == 0 && part.written {
        return;
    }
    if part.written {
        out.put_u8(b' ');
    }
    if micros < 0 {
        out.put_u8(b'-');
    } else if part.negative {
        out.put_u8(b'+');
    }
    // Of the one value without a positive counterpart a microsecond is lost.
    clock(micros.saturating_abs(), out);
}

struct Part {
    written: bool,
    negative: bool,
}

impl Part {
    fn write(&mut self, value: i32, unit: &str, out: &mut BytesMut) {
        if value == 0 {
            return;
        }
        if self.written {
            out.put_u8(b' ');
        }
        if self.negative && value > 0 {
            out.put_u8(b'+');
        }
        out.put_slice(itoa::Buffer::new().format(value).as_bytes());
        out.put_u8(b' ');
        out.put_slice(unit.as_bytes());
        if value != 1 {
            out.put_u8(b's');
        }
        self.negative = value < 0;
        self.written = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    /// 2026-01-01T00:00:00Z
    const NEW_YEAR: i64 = 1_767_225_600_000_000;

    #[test]
    fn dates_reach_from_before_the_year_1_to_beyond_9999() {
        for (days, expected) in
            [(0, "1970-01-01"), (-719_162, "0001-01-01"), (-719_163, "0001-12-31 BC"), (2_932_896, "9999-12-31"), (2_932_897, "10000-01-01"), (19_782, "2024-02-29")]
        {
            assert_eq!(written(|out| date(days, out)), expected);
        }
    }

    #[test]
    fn instants_are_shown_in_the_zone_of_the_session() {
        let zone = |name: &str| Some(name.parse::<Tz>().unwrap());
        let berlin = zone("Europe/Berlin");
        assert_eq!(written(|out| instant(NEW_YEAR - 3_600 * SECOND, berlin, out)), "2026-01-01 00:00:00+01");
        assert_eq!(written(|out| instant(NEW_YEAR + 182 * DAY, berlin, out)), "2026-07-02 02:00:00+02");
        assert_eq!(written(|out| instant(NEW_YEAR + 1, None, out)), "2026-01-01 00:00:00.000001+00");
        assert_eq!(written(|out| instant(NEW_YEAR + 120_000, zone("Asia/Kolkata"), out)), "2026-01-01 05:30:00.12+05:30");
        assert_eq!(written(|out| instant(NEW_YEAR, zone("America/New_York"), out)), "2025-12-31 19:00:00-05");
        assert_eq!(written(|out| instant(-62_135_596_800_000_000, berlin, out)), "0001-01-01 00:53:28+00:53:28");
        assert_eq!(written(|out| timestamp(-62_135_596_800_000_001, out)), "0001-12-31 23:59:59.999999 BC");
        assert_eq!(written(|out| timestamp(253_402_300_799_999_999, out)), "9999-12-31 23:59:59.999999");
        assert!(!written(|out| instant(i64::MAX, berlin, out)).is_empty());
        assert!(!written(|out| instant(i64::MIN, berlin, out)).is_empty());
    }

    #[test]
    fn intervals_are_written_part_by_part() {
        for (months, days, micros, expected) in [
            (0, 0, 0, "00:00:00"),
            (14, 3, 14_706_789_000, "1 year 2 mons 3 days 04:05:06.789"),
            (0, 1, 0, "1 day"),
            (0, -1, 3_600_000_000, "-1 days +01:00:00"),
            (-13, 0, 0, "-1 years -1 mons"),
            (0, 0, -1, "-00:00:00.000001"),
            (0, 0, 90_000_000_000, "25:00:00"),
        ] {
            assert_eq!(written(|out| interval(months, days, micros, out)), expected);
        }
    }
}
