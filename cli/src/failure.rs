//! What a command says when it cannot go on, and the exit code beside it.

use std::process::ExitCode;

use wh_schemas::Reaction;

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A stage, a store or the input failed: one sentence with what to do.
    Failed(String),
    /// The settings are wrong: a sentence a fault.
    Settings(Vec<String>),
    /// Everything was looked at, and something is not as it should be.
    Differs(String),
    /// Whoever read our output has gone: no failure.
    Quiet,
}

impl Failure {
    pub(crate) fn print(&self) {
        let red = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Red.into()));
        match self {
            Failure::Quiet => {}
            Failure::Failed(sentence) | Failure::Differs(sentence) => anstream::eprintln!("{red}error:{red:#} {sentence}"),
            Failure::Settings(faults) => {
                for fault in faults {
                    anstream::eprintln!("{red}error:{red:#} {fault}");
                }
            }
        }
    }

    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Failure::Quiet => ExitCode::SUCCESS,
            Failure::Failed(_) => ExitCode::from(1),
            Failure::Settings(_) => ExitCode::from(2),
            Failure::Differs(_) => ExitCode::from(3),
        }
    }
}

impl From<Reaction> for Failure {
    fn from(reaction: Reaction) -> Self {
        Failure::Failed(reaction.to_string())
    }
}

impl From<String> for Failure {
    fn from(sentence: String) -> Self {
        Failure::Failed(sentence)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe { Failure::Quiet } else { Failure::Failed(error.to_string()) }
    }
}

impl From<miette::Report> for Failure {
    fn from(report: miette::Report) -> Self {
        Failure::Failed(report.to_string())
    }
}
