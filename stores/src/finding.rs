//! What a look at a server found: `wardhouse doctor` prints it, and a start warns of it or refuses.

use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Fine,
    /// It works, but not as production should: durability, retention, clocks.
    Warning,
    /// Nothing works before this is mended.
    Fault,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at: `version`, `rights`, `durability`, `clock`, `topics`, …
    pub subject: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found, e.g. `PostgreSQL 15.18`.
    pub found: String,
    /// What to do about it; empty where nothing needs doing.
    pub remedy: String,
}

impl Finding {
    /// As it should be.
    pub fn fine(subject: &'static str, found: impl Into<String>) -> Finding {
        Finding { subject, level: Level::Fine, found: found.into(), remedy: String::new() }
    }

    /// Works, but should be mended.
    pub fn warning(subject: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { subject, level: Level::Warning, found: found.into(), remedy: remedy.into() }
    }

    /// Must be mended.
    pub fn fault(subject: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { subject, level: Level::Fault, found: found.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.remedy.is_empty() { write!(f, "{}: {}", self.subject, self.found) } else { write!(f, "{}: {}: {}", self.subject, self.found, self.remedy) }
    }
}

/// The target of warnings of what may lose acknowledged records: whoever runs or sets up the pipeline is told at each start, whoever only asks is not.
pub const DURABILITY: &str = "durability";

/// What a start does about findings that are warnings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Tells them and goes on.
    #[default]
    Warn,
    /// Refuses to start where what was found may lose what was acknowledged.
    Strict,
}
