//! Aggregates that stores compute: GROUP BY over a scan becomes a scan of its groups.
//!
//! ```text
//! rule (Aggregate over a scan → Projection over a scan of groups) → meaning (what an expression is in the relation's own columns)
//!   → groups (the scan of groups: a TableProvider) → exec
//! mean (sum and count → the average that DataFusion would have computed), whole (a store's sum → a bigint), time (date_trunc and date_bin in all years)
//! ```
//!
//! What must stay true: the rows, names, types and nullability are those that DataFusion's own aggregate gives; what a store does not
//! compute exactly stays with DataFusion.

mod groups;
mod mean;
mod meaning;
mod rule;
mod time;
mod whole;

pub(crate) use meaning::{Meaning, meaning, scan_under};
pub(crate) use rule::{exactly_filtered, rules, told_apart};
pub(crate) use time::functions;
