//! What a row that is dated ahead does, and does not, to those that follow it.

use super::*;

/// A clerk's row: every third with another amount and counterparty.
fn steady(at: i64, user: &str, number: i64) -> Observation<'_> {
    Observation { counterparty: Some(7 + u64::try_from(number % 3).unwrap()), ..observation(at, user, 20_000 + number % 3 * 4_000 + number % 11 * 37) }
}

/// Three weeks of rows each half hour, without the nights.
fn times() -> Vec<i64> {
    (0..21).flat_map(|day| (0..20).map(move |i| MONDAY + day * DAY + 8 * HOUR + i * HOUR / 2)).collect()
}

/// Scores of the steady rows, with what the windows counted and whether they were late; among them, where asked, rows that are dated ahead.
fn run(users: &[&str], dated_ahead: impl Fn(usize) -> Option<i64>) -> (Engine, Vec<(u8, [u32; 3], bool)>) {
    let mut engine = Engine::new(Ruleset::default());
    let mut seen = Vec::new();
    for (number, at) in times().into_iter().enumerate() {
        for user in users {
            let row = steady(at, user, i64::try_from(number).unwrap());
            let signals = engine.look(&row).0;
            let score = engine.score(&row);
            assert!(!score.implausible);
            seen.push((score.risk_score(), [signals.ten_minutes.events, signals.one_hour.events, signals.one_day.events], score.late));
        }
        if let Some(ahead) = dated_ahead(number) {
            // An amount that no other row has, so that none repeats it.
            let row = Observation { amount: Cents(24_555), ..steady(at + ahead, users[0], 1) };
            assert!(!engine.score(&row).implausible);
        }
        assert_eq!(engine.stream_time().newest(), Some(Micros(at)), "row {number}");
    }
    (engine, seen)
}

#[test]
fn one_row_that_is_six_days_ahead_leaves_the_later_ones_as_they_were() {
    for users in [&["U1"][..], &["U1", "U2", "U3"]] {
        let (plain, wanted) = run(users, |_| None);
        for place in [150, 199, 210, 219] {
            let (engine, found) = run(users, |number| (number == place).then_some(6 * DAY));
            for (number, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
                assert_eq!((found.1, found.2), (wanted.1, wanted.2), "windows and lateness, row {number} of {users:?}, ahead at {place}");
                // Its parties know of one row more, and the last rows of one other: that is all.
                assert!(found.0.abs_diff(wanted.0) <= 3, "row {number} of {users:?}, ahead at {place}: {} instead of {}", found.0, wanted.0);
            }
            for other in &users[1..] {
                let mut state = engine.user(other).unwrap().clone();
                state.touched = plain.user(other).unwrap().touched;
                assert_eq!(&state, plain.user(other).unwrap());
            }
            let (one, two) = (engine.user("U1").unwrap(), plain.user("U1").unwrap());
            assert_eq!((&one.window, &one.hours, &one.kinds, &one.departments, &one.amounts), (&two.window, &two.hours, &two.kinds, &two.departments, &two.amounts));
            assert_eq!((one.last, one.learnt, one.active_days, one.active_events, one.longest_gap), (two.last, two.learnt, two.active_days, two.active_events, two.longest_gap));
            assert_eq!((one.events, one.woke), (two.events + 1, two.woke));
        }
    }
}

#[test]
fn many_rows_that_are_dated_ahead_hold_no_window_up() {
    let (_, wanted) = run(&["U1", "U2"], |_| None);
    let (engine, found) = run(&["U1", "U2"], |number| (number % 10 == 9).then(|| DAY + HOUR + i64::try_from(number % 5).unwrap() * DAY));
    assert!(found.iter().zip(&wanted).all(|(found, wanted)| (found.1, found.2) == (wanted.1, wanted.2)));
    assert!(engine.user("U1").unwrap().active_days > 10.0);
}

#[test]
fn a_row_that_is_dated_ahead_is_remembered_for_what_it_is_part_of() {
    let mut engine = Engine::new(Ruleset::default());
    for (number, at) in times().into_iter().enumerate() {
        engine.score(&steady(at, "U1", i64::try_from(number).unwrap()));
    }
    let now = times().last().unwrap() + HOUR / 2;
    let strange = |at: i64| Observation { counterparty: Some(99), ..observation(at, "U1", 24_444) };
    engine.score(&strange(now + 5 * DAY));
    let before = engine.user("U1").unwrap().clone();
    assert!(before.is_waiting());
    // The next row says that its time was wrong; the party is known then.
    let (signals, _) = engine.look(&strange(now + HOUR));
    assert_eq!((signals.counterparty_rows, signals.likeness.same, signals.one_day.events), (1, 1, 21));
    engine.score(&strange(now + HOUR));
    let after = engine.user("U1").unwrap();
    assert_eq!((after.learnt, after.is_waiting()), (before.learnt + 1, false));
}

#[test]
fn after_a_weekend_the_first_row_is_learnt_before_the_second_is_scored() {
    let mut engine = trained();
    let before = engine.user("U1").unwrap().clone();
    engine.score(&observation(AFTER, "U1", 25_000));
    let waiting = engine.user("U1").unwrap().clone();
    assert!(waiting.is_waiting() && waiting.learnt == before.learnt && waiting.last == before.last);
    let read = UserState::from_bytes(&waiting.to_bytes().unwrap()).unwrap();
    assert_eq!(read, waiting);
    let (signals, _) = engine.look(&observation(AFTER + HOUR / 2, "U1", 25_000));
    assert!(signals.one_hour.events == 2 && signals.likeness.same >= 1, "{signals:?}");
    engine.score(&observation(AFTER + HOUR / 2, "U1", 25_000));
    let after = engine.user("U1").unwrap();
    assert_eq!((after.learnt, after.last, after.is_waiting()), (before.learnt + 2, AFTER + HOUR / 2, false));
    assert!(after.active_days > before.active_days * 0.97);
}

#[test]
fn a_first_row_that_waits_can_be_released() {
    let mut engine = trained();
    // Two spikes on Friday, so that the third alerts.
    for hours in [16, 17] {
        engine.score(&observation(AFTER - 10 * HOUR - 3 * DAY + hours * HOUR, "U1", 9_000_000));
    }
    let third = observation(AFTER, "U1", 9_000_000);
    assert!(engine.score(&third).risk_score() >= ALERT_SCORE);
    let before = engine.user("U1").unwrap().clone();
    assert!(before.is_waiting());
    assert_eq!(engine.release(&third), Released::Learnt);
    assert_eq!(engine.release(&third), Released::NotQuarantined);
    engine.score(&observation(AFTER + HOUR, "U1", 25_000));
    let after = engine.user("U1").unwrap();
    assert_eq!((after.learnt, after.alerts), (before.learnt + 2, before.alerts - 1));
}

#[test]
fn days_are_the_hospitals() {
    // From seven in the evening to five in the morning by UTC: one working day in Auckland.
    let days = |zone: chrono_tz::Tz| {
        let mut engine = Engine::new(Ruleset { time_zone: zone, ..Ruleset::default() });
        for day in 0..20 {
            for hour in 0..10 {
                engine.score(&observation(MONDAY + day * DAY + (19 + hour) * HOUR, "U1", 20_000 + hour));
            }
        }
        let user = engine.user("U1").unwrap();
        (user.active_days, user.kinds.count(u32::try_from(TransactionType::Billing.index()).unwrap()), user.events_per_active_day())
    };
    let (active, kinds, a_day) = days(chrono_tz::Tz::Pacific__Auckland);
    assert!(kinds == 20 && (9.9..10.1).contains(&a_day), "{active} {kinds} {a_day}");
    let (_, kinds, a_day) = days(chrono_tz::Tz::UTC);
    assert!(kinds == 21 && a_day < 9.8, "{kinds} {a_day}");
}
