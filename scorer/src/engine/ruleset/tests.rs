//! What a ruleset reads of metadata and of time.

use super::*;

#[test]
fn only_scalars_under_a_metadata_key_have_a_value() {
    let keys = ["ip", "device", "terminal", "channel", "location", "n", "gone"].map(str::to_owned).to_vec();
    let ruleset = Ruleset { metadata_keys: keys, ..Ruleset::default() };
    let values = ruleset.metadata_values(r#"{"ip":"10.0.0.7","device":{"is_fraud":true},"terminal":["T1",{"label":1}],"channel":false,"location":null,"n":12.50}"#);
    assert_eq!(values.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false, true, false, true, false]);
    let inner = |label: &str| ruleset.metadata_values(&format!(r#"{{"ip":{{"is_fraud":{label}}},"device":[{label}]}}"#));
    assert_eq!(inner("true"), inner("false"));
}

#[test]
fn days_are_those_of_the_hospital() {
    let day = |zone: Tz, text: &str| Ruleset { time_zone: zone, ..Ruleset::default() }.local_hours(Micros::parse(text, Tz::UTC).unwrap()) / 24;
    let (late, early) = ("2026-07-01T21:59:00Z", "2026-07-01T22:01:00Z");
    assert_eq!(day(Tz::UTC, late), day(Tz::UTC, early));
    assert_eq!(day(Tz::Europe__Berlin, late) + 1, day(Tz::Europe__Berlin, early));
    assert_eq!(day(Tz::Asia__Kolkata, "2026-07-01T18:29:00Z") + 1, day(Tz::Asia__Kolkata, "2026-07-01T18:31:00Z"));
    assert_eq!(day(Tz::America__Chicago, "1969-12-31T23:00:00Z"), 0);
    // The hour of the week is the same clock's.
    for zone in [Tz::UTC, Tz::Europe__Berlin, Tz::Asia__Kolkata, Tz::America__Chicago] {
        for hour in 0..400 {
            let at = Micros(1_774_500_000_000_000 + hour * HOUR);
            let ruleset = Ruleset { time_zone: zone, ..Ruleset::default() };
            assert_eq!((ruleset.local_hours(at) + 72) % 168, u32::from(ruleset.hour_of_week(at)), "{zone} {hour}");
        }
    }
}
