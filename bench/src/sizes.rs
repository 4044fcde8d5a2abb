//! What the stores take: before anything was sent, and at the end.
//!
//! What must stay true: what an empty store takes (its catalogue, files made ahead) counts for no transaction; what cannot be asked is not
//! known and never nothing.

use std::collections::BTreeMap;

use wh_stores::Role;
use wh_stores::places::LogPlace;

use crate::readback::{Counted, size_of};
use crate::report::Kept;
use crate::session::Session;

/// Bytes by role; those that could not be asked are not in it.
pub type Sizes = BTreeMap<&'static str, u64>;

/// What each store takes before anything was sent. One that cannot be asked yet is not there.
pub async fn before(session: &Session, log: &LogPlace) -> Sizes {
    let mut counted = BTreeMap::new();
    for watching in &session.watching {
        if let Ok(found) = watching.count().await {
            counted.insert(watching.role.as_str(), found);
        }
    }
    after(log, &counted)
}

/// What each store took when it was counted.
#[must_use]
pub fn after(log: &LogPlace, counted: &BTreeMap<&'static str, Counted>) -> Sizes {
    let mut found: Sizes = counted.iter().filter_map(|(role, counted)| Some((*role, counted.bytes?))).collect();
    if let LogPlace::Sqlite(folder) = log {
        found.insert(Role::Log.as_str(), size_of(folder));
    }
    found
}

/// What a report says of them. `sent` is for the log, which is not counted.
#[must_use]
pub fn kept(empty: &Sizes, full: &Sizes, counted: &BTreeMap<&'static str, Counted>, sent: u64) -> Vec<Kept> {
    let of = |(role, bytes): (&&'static str, &u64)| Kept {
        role: (*role).to_owned(),
        bytes_empty: empty.get(role).copied(),
        bytes: *bytes,
        rows: counted.get(role).map_or(sent, |counted| counted.rows),
    };
    full.iter().map(of).collect()
}

/// Bytes that a transaction adds to each store. One that was not there before held nothing.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "bytes and counts of a run")]
pub fn bytes_per_tx(kept: &[Kept], sent: u64) -> BTreeMap<String, f64> {
    let of = |kept: &Kept| (kept.role.clone(), kept.bytes.saturating_sub(kept.bytes_empty.unwrap_or(0)) as f64 / sent.max(1) as f64);
    kept.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_empty_store_takes_is_no_transactions() {
        let counted = BTreeMap::from([("ledger", Counted { rows: 98, bytes: Some(1) }), ("search", Counted { rows: 7, bytes: None })]);
        let (empty, full) = (Sizes::from([("ledger", 8_000_000)]), Sizes::from([("ledger", 8_050_000), ("search", 3_000), ("log", 100_000)]));
        let kept = kept(&empty, &full, &counted, 100);
        assert_eq!(bytes_per_tx(&kept, 100), BTreeMap::from([("ledger".to_owned(), 500.0), ("log".to_owned(), 1_000.0), ("search".to_owned(), 30.0)]));
        assert_eq!(kept.iter().map(|kept| (kept.role.as_str(), kept.rows)).collect::<Vec<_>>(), [("ledger", 98), ("log", 100), ("search", 7)]);
    }
}
