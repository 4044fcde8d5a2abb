//! The engine without a running pipeline: what the commands `score`, `evaluate`, `backtest`, `explain`, `fit-priors` and `benford` do.
//!
//! What must stay true: nothing is written into a store or the log; the same input and ruleset give the same answer.

pub mod backtest;
pub mod benford;
pub mod evaluate;
pub mod explain;
pub mod held;
pub mod history;
pub mod labels;
pub mod pass;
pub mod priors;
pub mod score;
pub mod source;
pub mod trial;
