//! What the pipeline carries on this machine and these stores: an open-loop load, latencies by what is read back from the stores, the
//! highest rate that holds, and what it is made of.
//!
//! The way of a measurement: `run` makes places of its own (`places`), starts a `session` (the pipeline in processes of its own by `child`,
//! who sends by `load` at the times of a `schedule`, who reads back by `readback`), holds rates in `round`s, each of which comes to a
//! `verdict`, and searches the highest that holds by `limit`. `processes` tells what each process used, `look` what happened between two
//! looks. `report` is the outcome as data; `text`, `html`, `compare` and `plan` tell it; `raw` is what the stores take without us.
//!
//! What must stay true: a latency counts from the time at which the schedule intended a transaction, so that a stall is not hidden; what a
//! sink says of itself counts for nothing; a generator that is late is told as that; nothing that was there before a measurement is
//! touched, and nothing of it is left behind.

pub mod against;
pub mod child;
pub mod clock;
pub mod compare;
pub mod durability;
pub mod html;
pub mod limit;
pub mod live;
pub mod load;
pub mod look;
pub mod places;
pub mod plan;
pub mod processes;
pub mod raw;
pub mod readback;
pub mod report;
pub mod round;
pub mod run;
pub mod schedule;
pub mod servers;
pub mod session;
pub mod sizes;
pub mod text;
pub mod verdict;

pub use live::Live;
pub use places::{Own, Places};
pub use report::Report;
pub use run::{Options, Setup, Unmeasured, measure};
