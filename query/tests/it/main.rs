//! SQL over small stores of every role.

mod answers;
mod faults;
mod fixture;
mod pushdown;
