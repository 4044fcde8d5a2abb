//! The binary as its users run it.

mod command;
mod faults;
mod kill;
mod offline;
