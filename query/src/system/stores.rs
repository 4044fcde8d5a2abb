//! Where each role is kept and whether it answers.

use super::Own;
use crate::places::Stores;
use crate::store::RoleStore;

/// The rows of `system.stores`, in the order of the design.
pub(super) fn rows(stores: &Stores) -> Vec<Vec<Own>> {
    stores.all().into_iter().map(|(role, store)| row(role, &*store)).collect()
}

fn row(role: &str, store: &dyn RoleStore) -> Vec<Own> {
    let layout = store.layout();
    let reachable = i64::from(layout.is_ok());
    let version = layout.ok().flatten().map_or(Own::Null, Own::Int);
    let bytes = store.bytes().and_then(|bytes| i64::try_from(bytes).ok()).map_or(Own::Null, Own::Int);
    vec![Own::Text(role.to_owned()), Own::Text(store.kind().to_owned()), Own::Text(store.place()), Own::Int(reachable), version, bytes]
}
