//! States that were altered behind the scorer's back: refused where they are loaded, or gone on with and no panic.

use super::*;

#[test]
fn what_can_be_decoded_and_cannot_be_is_refused_in_words() {
    type Harm = fn(&mut UserState);
    let harms: [(Harm, &str); 6] = [
        (|state| state.learnt = u64::MAX, "counts of events"),
        (|state| state.last = i64::MAX, "times of events"),
        (|state| state.woke = i64::MIN + 1, "times of events"),
        (|state| state.active_days = f64::NAN, "sums and shares"),
        (|state| state.heat = f32::INFINITY, "sums and shares"),
        (|state| state.points.1 = f32::NAN, "sums and shares"),
    ];
    let sound = trained().user("U1").unwrap().clone();
    for (harm, what) in harms {
        let mut state = sound.clone();
        harm(&mut state);
        let refused = UserState::from_bytes(&state.to_bytes().unwrap()).unwrap_err();
        assert_eq!(refused.to_string(), format!("damaged state: {what} that cannot be"));
    }
}

#[test]
fn a_byte_that_was_altered_is_refused_or_gone_on_with() {
    let engine = trained();
    let sound = engine.user("U1").unwrap().to_bytes().unwrap();
    let mut refused = 0;
    for at in 1..sound.len() {
        for altered in [0, 0x7f, 0xff, !sound[at]] {
            let mut bytes = sound.clone();
            bytes[at] = altered;
            let Ok(state) = UserState::from_bytes(&bytes) else {
                refused += 1;
                continue;
            };
            let mut engine = Engine::restored(Ruleset::default(), [("U1".to_owned(), state)], engine.stream_time().clone());
            for cents in [20_000, 9_000_000] {
                engine.score(&observation(AFTER, "U1", cents));
            }
            assert_eq!(engine.users().count(), 1, "byte {at} as {altered}");
        }
    }
    assert!(refused > 100, "{refused}");
}
