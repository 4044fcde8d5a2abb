//! What brings transactions into the log: the generator, file import, HTTP; and the intake stage that validates them.
//!
//! What must stay true: a source record is either in the log or told as rejected, never dropped; what intake accepts
//! carries its origin and no label that the scorer could read.

pub mod generator;
pub mod http;
pub mod import;
pub mod intake;
