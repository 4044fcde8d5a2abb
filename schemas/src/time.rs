//! Instants as microseconds since 1970-01-01 UTC, and the reading of what producers send for one.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Offset, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Microseconds in one second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds in one hour.
pub const HOUR: i64 = 3_600 * SECOND;
/// Microseconds in one day.
pub const DAY: i64 = 24 * HOUR;

/// An instant: microseconds since 1970-01-01T00:00:00Z. Years 1 to 9999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub i64);

impl Micros {
    /// The earliest instant that is read and written: 0001-01-01T00:00:00Z.
    pub const EARLIEST: Micros = Micros(-62_135_596_800 * SECOND);
    /// The latest: 9999-12-31T23:59:59.999999Z.
    pub const LATEST: Micros = Micros(253_402_300_800 * SECOND - 1);

    /// Reads an RFC 3339 timestamp (`T` or a blank between date and time, fraction optional, cut after microseconds).
    /// One without an offset is read in `zone`; in the hour that occurs twice the earlier is meant, in the
    /// one that does not occur the clock is read as if it had not been put forward.
    #[must_use]
    pub fn parse(text: &str, zone: Tz) -> Option<Micros> {
        let bytes = text.as_bytes();
        if bytes.len() < 16 || !text.is_ascii() || bytes[4] != b'-' || bytes[7] != b'-' || !matches!(bytes[10], b'T' | b't' | b' ') || bytes[13] != b':' {
            return None;
        }
        let number = |from: usize, to: usize| -> Option<u32> {
            let mut value = 0;
            for byte in bytes.get(from..to)? {
                value = value * 10 + u32::from(byte.is_ascii_digit().then(|| byte - b'0')?);
            }
            Some(value)
        };
        let date = NaiveDate::from_ymd_opt(i32::try_from(number(0, 4)?).ok()?, number(5, 7)?, number(8, 10)?)?;
        if date.year() < 1 {
            return None;
        }
        let (hour, minute) = (number(11, 13)?, number(14, 16)?);
        let mut at = 16;
        let mut second = 0;
        let mut micros = 0;
        if bytes.get(at) == Some(&b':') {
            second = number(17, 19)?;
            at = 19;
            if matches!(bytes.get(at), Some(b'.' | b',')) {
                let start = at + 1;
                at = start;
                let mut unit = 100_000;
                while let Some(digit) = bytes.get(at).filter(|b| b.is_ascii_digit()) {
                    micros += u32::from(digit - b'0') * unit;
                    unit /= 10;
                    at += 1;
                }
                if at == start || at - start > 12 {
                    return None;
                }
            }
        }
        // RFC 3339 allows a leap second; it is the last microsecond of its minute here.
        let leap = second == 60;
        let time = date.and_hms_micro_opt(hour, minute, if leap { 59 } else { second }, if leap { 999_999 } else { micros })?;
        let rest = &bytes[at..];
        let instant = match rest {
            [] => Micros::from_local(time, zone),
            [b'Z' | b'z'] => Micros(time.and_utc().timestamp_micros()),
            [sign @ (b'+' | b'-'), ..] => {
                let (hours, minutes) = match rest.len() {
                    6 if rest[3] == b':' => (number(at + 1, at + 3)?, number(at + 4, at + 6)?),
                    5 => (number(at + 1, at + 3)?, number(at + 3, at + 5)?),
                    3 => (number(at + 1, at + 3)?, 0),
                    _ => return None,
                };
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let offset = i64::from(hours * 60 + minutes) * 60 * SECOND * if *sign == b'-' { -1 } else { 1 };
                Micros(time.and_utc().timestamp_micros() - offset)
            }
            _ => return None,
        };
        // An offset can lead out of the years that are written with four digits, and what is written must read back.
        (Micros::EARLIEST..=Micros::LATEST).contains(&instant).then_some(instant)
    }

    /// The instant at which a clock on the wall of `zone` shows `time`.
    #[must_use]
    pub fn from_local(time: NaiveDateTime, zone: Tz) -> Micros {
        if zone == Tz::UTC {
            return Micros(time.and_utc().timestamp_micros());
        }
        match zone.from_local_datetime(&time).earliest() {
            Some(instant) => Micros(instant.timestamp_micros()),
            None => {
                let before = time.checked_sub_signed(chrono::TimeDelta::hours(3)).unwrap_or(time);
                let offset = zone.offset_from_utc_datetime(&before).fix().local_minus_utc();
                Micros(time.and_utc().timestamp_micros() - i64::from(offset) * SECOND)
            }
        }
    }

    /// The instant in UTC, `None` outside the years that chrono knows.
    #[must_use]
    pub fn utc(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(self.0)
    }

    /// Hour of the week in `zone`: 0 is Monday 00:00 to 01:00, 167 Sunday 23:00 to 24:00.
    #[must_use]
    pub fn hour_of_week(self, zone: Tz) -> u8 {
        let Some(utc) = self.utc() else { return 0 };
        let local = utc.with_timezone(&zone);
        let hour = local.weekday().num_days_from_monday() * 24 + local.hour();
        u8::try_from(hour).unwrap_or(0)
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(utc) = self.utc() else { return write!(f, "{} µs", self.0) };
        let (date, time) = (utc.date_naive(), utc.time());
        write!(f, "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", date.year(), date.month(), date.day(), time.hour(), time.minute(), time.second())?;
        let micros = self.0.rem_euclid(SECOND);
        if micros != 0 {
            write!(f, ".{micros:06}")?;
        }
        f.write_str("Z")
    }
}

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Micros {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Micros;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 timestamp")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Micros, E> {
                Micros::parse(text, Tz::UTC).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_fractions_and_blanks_are_read() {
        let t = |s: &str| Micros::parse(s, Tz::UTC).map(|m| m.to_string());
        assert_eq!(t("2026-03-01T08:30:00Z").as_deref(), Some("2026-03-01T08:30:00Z"));
        assert_eq!(t("2026-03-01 08:30:00.5").as_deref(), Some("2026-03-01T08:30:00.500000Z"));
        assert_eq!(t("2026-03-01T08:30:00.123456789+02:00").as_deref(), Some("2026-03-01T06:30:00.123456Z"));
        assert_eq!(t("2026-03-01T08:30").as_deref(), Some("2026-03-01T08:30:00Z"));
        assert_eq!(t("0001-01-01T01:00:00+01:00").as_deref(), Some("0001-01-01T00:00:00Z"));
        assert_eq!(t("9999-12-31T22:59:59.999999-01:00").as_deref(), Some("9999-12-31T23:59:59.999999Z"));
        for bad in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-03-01",
            "2026-03-01T25:00:00Z",
            "2026-03-01T08:30:00.",
            "2026-03-01T08:30:00 Zulu",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:59:59.999999+01:00",
            "9999-12-31T23:00:00-01:00",
        ] {
            assert_eq!(t(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_timestamp_without_offset_is_local_to_the_hospital() {
        let berlin = Tz::Europe__Berlin;
        assert_eq!(Micros::parse("2026-01-10T08:00:00", berlin), Micros::parse("2026-01-10T07:00:00Z", Tz::UTC));
        assert_eq!(Micros::parse("2026-07-10T08:00:00", berlin), Micros::parse("2026-07-10T06:00:00Z", Tz::UTC));
        // 02:30 does not occur on this day; 02:30 occurs twice on the other, the earlier is meant.
        assert_eq!(Micros::parse("2026-03-29T02:30:00", berlin), Micros::parse("2026-03-29T01:30:00Z", Tz::UTC));
        assert_eq!(Micros::parse("2026-10-25T02:30:00", berlin), Micros::parse("2026-10-25T00:30:00Z", Tz::UTC));
    }

    #[test]
    fn every_instant_is_written_so_that_it_reads_back() {
        for micros in [0, 1, -1, 1_700_000_000_123_456, Micros::parse("0001-01-01T00:00:00Z", Tz::UTC).unwrap().0, Micros::parse("9999-12-31T23:59:59.999999Z", Tz::UTC).unwrap().0]
        {
            assert_eq!(Micros::parse(&Micros(micros).to_string(), Tz::UTC), Some(Micros(micros)));
        }
    }

    #[test]
    fn the_week_begins_on_monday() {
        assert_eq!(Micros::parse("2026-11-16T00:30:00Z", Tz::UTC).unwrap().hour_of_week(Tz::UTC), 0);
        assert_eq!(Micros::parse("2026-11-22T23:59:00Z", Tz::UTC).unwrap().hour_of_week(Tz::UTC), 167);
    }
}
