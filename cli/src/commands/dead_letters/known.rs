//! What a filter may name. Pure.
//!
//! What must stay true: a name that is misspelt is told with those that there are, and never taken as one that nothing bears; whatever a letter
//! bears can be named.

use std::collections::BTreeSet;

use wh_schemas::validate::FaultCode;

/// Stages that write letters.
const STAGES: [&str; 4] = ["intake", "scorer", "patterns", "sink"];
/// Stores whose sinks write letters.
const STORES: [&str; 4] = ["ledger", "documents", "metrics", "search"];
/// What a fault is of: the first part of a class.
const FIELDS: [&str; 15] = [
    "record",
    "transaction_id",
    "timestamp",
    "user_id",
    "account_id",
    "department",
    "transaction_type",
    "amount",
    "description",
    "counterparty_account",
    "metadata",
    "document",
    "row",
    "alert_id",
    "event",
];
/// Characters of a fingerprint.
const FINGERPRINT: usize = 16;

/// What is wrong with a stage's name.
pub(super) fn stage(name: &str) -> Option<String> {
    let is_known = STAGES.contains(&name) || STORES.contains(&name);
    (!is_known).then(|| format!("--stage {name}: there is no such stage; there are {}, and a store's name for its sink: {}", STAGES.join(", "), STORES.join(", ")))
}

/// What is wrong with a store's name.
pub(super) fn store(name: &str) -> Option<String> {
    (!STORES.contains(&name)).then(|| format!("--store {name}: there is no such store that letters are of; there are {}", STORES.join(", ")))
}

/// What is wrong with a fingerprint.
pub(super) fn fingerprint(text: &str) -> Option<String> {
    let is_one = text.len() == FINGERPRINT && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (!is_one).then(|| format!("--fingerprint {text}: expected {FINGERPRINT} of the characters 0 to 9 and a to f, as `wardhouse dead-letters list --json` gives it"))
}

/// Whether a class of ours may contain this, whatever the log holds.
pub(super) fn may_be_class(part: &str) -> bool {
    // The class of a record with many faults has them all.
    part.split(',').all(|part| FIELDS.iter().any(|field| FaultCode::ALL.iter().any(|code| format!("{field}:{}", code.as_str()).contains(part))))
}

/// What is wrong with a part of a class, where the letters of the log have these.
pub(super) fn class(part: &str, held: &BTreeSet<String>) -> Option<String> {
    if may_be_class(part) || held.iter().any(|class| class.contains(part)) {
        return None;
    }
    let held: Vec<&str> = held.iter().map(String::as_str).collect();
    let letters = if held.is_empty() { "the log holds no letter".to_owned() } else { format!("the letters of the log are of {}", held.join("; ")) };
    let codes: Vec<&str> = FaultCode::ALL.iter().map(|code| code.as_str()).collect();
    Some(format!("--class {part}: no class contains that; {letters}; a class is field:fault, such as amount:missing, with the faults {}", codes.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_misspelt_is_told_with_those_that_there_are() {
        let told = stage("intakes").unwrap();
        assert!(told.contains("intake, scorer, patterns, sink") && told.contains("ledger, documents, metrics, search"), "{told}");
        assert!(store("ledgr").unwrap().contains("ledger, documents, metrics, search"));
        assert!(store("baselines").is_some(), "no letter is of it");
        for name in ["", "1f0c9a53d20b6e8", "1F0C9A53D20B6E8D", "1f0c9a53d20b6e8g", "1f0c9a53d20b6e8d0"] {
            assert!(fingerprint(name).unwrap().contains("expected 16"), "{name}");
        }
        assert!(stage("sink").is_none() && stage("search").is_none() && store("metrics").is_none() && fingerprint("1f0c9a53d20b6e8d").is_none());
    }

    #[test]
    fn a_class_is_known_where_it_is_one_of_ours_or_a_letter_has_it() {
        let held = BTreeSet::from(["row:rejected".to_owned(), "amount:missing,user_id:missing".to_owned()]);
        for part in ["amount", "amount:missing", "missing", "user_id:empty", "record:invalid_json", "rejected", "amount:missing,user_id:missing", "too_l"] {
            assert_eq!(class(part, &held), None, "{part}");
        }
        for part in ["amuont", "amount:mising", "ledger"] {
            let told = class(part, &held).unwrap();
            assert!(told.contains("row:rejected") && told.contains("not_positive"), "{told}");
        }
        assert!(class("amuont", &BTreeSet::new()).unwrap().contains("the log holds no letter"));
    }
}
