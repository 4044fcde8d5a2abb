//! What operators do beside the stream: see whether everything adds up, and send again what was recorded.

pub mod backup;
pub mod doctor;
pub mod letters;
pub mod reconcile;
pub mod replay;
pub mod status;
