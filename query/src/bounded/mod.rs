//! Functions whose result can be far larger than what they are given, kept within bounds.
//!
//! ```text
//! function (a function that measures before it computes) → measure (how large a result will be, pure)
//! joined (`||` as such a function) · plan (long values and numbers that a statement writes)
//! ```
//!
//! What must stay true: a function gives what DataFusion's own gives, or refuses in words that name it; nothing is allocated before it was
//! measured. Memory of sorts, joins and groups is counted elsewhere: these are the allocations that no pool sees.

mod function;
mod joined;
mod measure;
mod plan;

pub(crate) use function::bounded;
pub(crate) use joined::{function as textcat, operator};
pub(crate) use plan::{batch_rows, check};

use crate::errors::QueryError;

/// Most bytes of one value.
const VALUE_BYTES: u64 = 16 << 20;
/// Most bytes of a function's results for one batch.
const BATCH_BYTES: u64 = 64 << 20;

/// What is said of a function that would give too much.
fn too_large(name: &str, bytes: u64, most: u64, of: &str) -> QueryError {
    QueryError::TooLarge { message: format!("{name} would give about {} MiB {of}, and at most {} MiB may come out", (bytes >> 20).max(1), most >> 20) }
}
