//! A time as people write it. Pure: now is given.

use chrono_tz::Tz;
use wh_schemas::Micros;
use wh_schemas::time::{DAY, HOUR, SECOND};

/// The time (microseconds since 1970 UTC) that a text means: an instant, a day's begin in UTC, or so long before `now`.
pub(crate) fn read(text: &str, now: i64) -> Option<i64> {
    if let Some(ago) = ago(text) {
        return now.checked_sub(ago);
    }
    let whole = if text.len() == "2026-03-01".len() { format!("{text}T00:00:00Z") } else { text.to_owned() };
    Micros::parse(&whole, Tz::UTC).map(|time| time.0)
}

/// How long ago in microseconds a text such as `15m`, `2h` or `7d` means.
pub(crate) fn ago(text: &str) -> Option<i64> {
    let unit = match text.bytes().last()? {
        b's' => SECOND,
        b'm' => 60 * SECOND,
        b'h' => HOUR,
        b'd' => DAY,
        _ => return None,
    };
    let number = text.get(..text.len() - 1)?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<i64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_days_and_so_long_ago_are_read_and_nothing_else_is() {
        let now = 1_800_000_000_000_000;
        assert_eq!(read("2026-03-01T08:00:00Z", now), Some(1_772_352_000_000_000));
        assert_eq!(read("2026-03-01", now), Some(1_772_323_200_000_000));
        assert_eq!(read("2h", now), Some(now - 2 * HOUR));
        assert_eq!((read("15m", now), read("7d", now), read("0s", now)), (Some(now - 900 * SECOND), Some(now - 7 * DAY), Some(now)));
        for text in ["", "h", "-2h", "2w", "tomorrow", "2026-13-01", "99999999999999999999d", "2026-03-01T08"] {
            assert_eq!(read(text, now), None, "{text}");
        }
    }
}
