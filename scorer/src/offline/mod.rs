//! The engine without a log or a store: what `wardhouse score` runs.

pub mod score;
