//! However nasty a user is, the state stays within its bound, and is the same when it is read back.

use super::*;

fn fingerprint(number: i64) -> u64 {
    number.cast_unsigned().wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What a nasty user does: ids of so many bytes, a row every so many seconds, everything else new all the time.
fn nasty(id_bytes: usize, seconds: i64, rows: i64, parties: i64) {
    let mut engine = Engine::new(Ruleset { metadata_keys: (0..8).map(|key| format!("key {key}")).collect(), ..Ruleset::default() });
    let mut restored: Option<Engine> = None;
    for i in 0..rows {
        let id = format!("{i:0>id_bytes$}");
        let department = format!("{:d>64}", i % 40);
        let members: Vec<String> = (0..8).map(|key| format!(r#""key {key}":"{:v>128}""#, i * 8 + key)).collect();
        let metadata = format!("{{{}}}", members.join(","));
        let values = engine.ruleset().metadata_values(&metadata);
        assert_eq!(values.iter().flatten().count(), 8);
        // Every hundredth row is dated ahead, others are late.
        let off = match (i % 100, i % 77) {
            (99, _) => 3 * DAY,
            (_, 76) => -HOUR,
            _ => 0,
        };
        let at = MONDAY + i * seconds * 1_000_000 + off;
        let row = Observation {
            transaction_id: &id,
            account: fingerprint(i % parties),
            counterparty: Some(fingerprint(i * 31 % parties)),
            department: &department,
            department_print: short(fingerprint(i % 40)),
            transaction_type: TransactionType::ALL[usize::try_from(i % 8).unwrap()],
            metadata_text: &metadata,
            metadata: values,
            // Up to the largest that is accepted.
            ..observation(at, "U1", 1 + (i % 13) * 76_923_076_923_076)
        };
        let score = engine.score(&row);
        if let Some(restored) = &mut restored {
            assert_eq!(restored.score(&row), score, "row {i}");
        }
        let state = engine.user("U1").unwrap();
        let bytes = state.to_bytes().unwrap();
        assert!(bytes.len() <= user::MOST_BYTES, "row {i}: {} bytes", bytes.len());
        assert_eq!(bytes.len(), state.bytes(), "row {i}");
        if i % 41 == 40 {
            let read = UserState::from_bytes(&bytes).unwrap();
            assert_eq!(&read, state, "row {i}");
            restored = Some(Engine::restored(engine.ruleset().clone(), [("U1".to_owned(), read)], engine.stream_time().clone()));
        }
    }
}

#[test]
fn the_nastiest_users_stay_within_the_bound_at_every_step() {
    // Three days of a row a minute; then faster and slower ones.
    nasty(128, 60, 4_320, 5_000);
    nasty(128, 7, 3_000, 60);
    nasty(36, 337, 2_000, 9);
    nasty(128, 40_000, 1_000, 5_000);
}

#[test]
fn a_row_a_minute_with_uuids_and_eight_keys_stays_within_the_bound_and_is_still_counted() {
    let mut engine = Engine::new(Ruleset::default());
    for i in 0..4_320_i64 {
        let id = uuid::Uuid::from_u128(u128::from(fingerprint(i)) << 64 | u128::from(fingerprint(-i))).hyphenated().to_string();
        let row = Observation {
            transaction_id: &id,
            account: fingerprint(i % 200),
            counterparty: Some(fingerprint(i * 7 % 300)),
            department_print: short(fingerprint(i % 6)),
            transaction_type: TransactionType::ALL[usize::try_from(i % 8).unwrap()],
            metadata: (0..8).map(|key| Some(short(fingerprint(i * 8 + key)))).collect(),
            ..observation(MONDAY + i * 60_000_000, "U1", 20_000 + i % 977)
        };
        let signals = engine.look(&row).0;
        engine.score(&row);
        let state = engine.user("U1").unwrap();
        assert!(state.bytes() <= user::MOST_BYTES);
        assert_eq!(state.bytes(), state.to_bytes().unwrap().len());
        // The last ten minutes and the last hour are exact; the day is, but for the edge of its oldest span.
        if i > 1_500 {
            assert_eq!((signals.ten_minutes.events, signals.one_hour.events), (10, 60));
            assert!((1_439..=1_520).contains(&signals.one_day.events), "row {i}: {} in a day", signals.one_day.events);
        }
        if i > 100 {
            let named = state.recent.rows().filter(|row| row.id.text().is_some()).count();
            assert!(named >= 8 && state.recent.rows().count() >= 14, "row {i}: {named} named of {}", state.recent.rows().count());
        }
    }
}
