//! The bytes of the scorer's checkpoints: a user's state, the ids seen, a partition's own record, and what patterns by account keep.
//!
//! Holds: what is read is written in a form that reads as the same and is written the same.

use wh_scorer::dedup::{self, Seen};
use wh_scorer::engine::UserState;
use wh_scorer::engine::user::STATE_VERSION;
use wh_scorer::partition::PartitionRecord;
use wh_scorer::patterns::{AccountEngine, AccountRules};

/// Takes the bytes as each part of a checkpoint.
pub fn run(data: &[u8]) {
    user(data);
    // Past the version.
    user(&[&[STATE_VERSION][..], data].concat());
    accounts(data);

    let seen: Vec<Seen> = dedup::from_bytes(data).collect();
    assert_eq!(dedup::to_bytes(&seen), data[..data.len() - data.len() % 24]);

    if let Ok(record) = serde_json::from_slice::<PartitionRecord>(data) {
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<PartitionRecord>(&text).unwrap(), record);
    }
}

fn user(data: &[u8]) {
    let Ok(state) = UserState::from_bytes(data) else { return };
    // The first time what was not written by us may be put right, an overlong number for one.
    let written = state.to_bytes().unwrap();
    let again = UserState::from_bytes(&written).unwrap().to_bytes().unwrap();
    assert_eq!(again, written);
}

fn accounts(data: &[u8]) {
    let rules = AccountRules::default;
    let fresh = AccountEngine::new(rules()).take_changes().header;
    let versioned = [&fresh[..1], data].concat();
    if let Ok(mut engine) = AccountEngine::restored(rules(), &versioned, Vec::new()) {
        let header = engine.take_changes().header;
        assert!(AccountEngine::restored(rules(), &header, Vec::new()).is_ok());
    }
    // One account, known under a name, in an engine that knows nothing else.
    if let Ok(mut engine) = AccountEngine::restored(rules(), &fresh, vec![("account".to_owned(), versioned)]) {
        assert_eq!(engine.take_changes().header, fresh);
    }
}
