//! Record types of Wardhouse and everything about them that needs no I/O: decoding, validation,
//! label stripping, ids, error classes, Arrow schemas and the layouts of the stores.
//!
//! What must stay true: no clock, no runtime, no client. Every function here is a function of its arguments.

pub mod accepted;
pub mod activity;
pub mod alert;
pub mod arrow;
pub mod control;
pub mod dead_letter;
pub mod errors;
pub mod event;
pub mod ids;
pub mod json;
pub mod json_schema;
pub mod layout;
pub mod money;
pub mod pattern;
pub mod position;
pub mod scored;
pub mod time;
pub mod topics;
pub mod transaction;
pub mod validate;

pub use accepted::AcceptedTransaction;
pub use activity::Activity;
pub use alert::{Alert, Severity};
pub use errors::Reaction;
pub use money::Cents;
pub use pattern::Pattern;
pub use position::{Origin, SeqPosition};
pub use scored::{Dimensions, Reason, RiskLevel, ScoreRecord};
pub use time::Micros;
pub use transaction::{Transaction, TransactionType};
