//! Numbers as PostgreSQL computes them, where DataFusion cuts off, or knows no error.
//!
//! ```text
//! rule (puts these in the place of operators, casts and functions) → operators (`/` and `*` of decimals, `/` of doubles)
//!   → rounding (casts to fewer places, `round` of doubles) · average (`avg` of decimals) · sum (`sum` of integers and of long decimals)
//!   · quotient (places and rounding, pure)
//! guard (divides only where a condition beside it lets it; before all others)
//! ```
//!
//! What must stay true: rules of analysis, so that all ways to an answer have them: with stores, without, and over tables in memory.

mod average;
mod guard;
mod operators;
mod quotient;
mod rounding;
mod rule;
mod sum;

pub(crate) use average::{average, mean};
pub(crate) use guard::GuardDivisors;
pub(crate) use rule::PostgresNumbers;
pub(crate) use sum::{WHOLE, bigint, sum};
