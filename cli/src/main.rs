//! The binary `wardhouse`: parses, wires, and tells people what happens.

mod announcement;
mod args;
mod build;
mod commands;
mod failure;
mod operations;
mod pipeline;
mod places;
mod ruleset;
mod servers;
mod settings;
mod sql;
mod sql_settings;
mod stores;
mod supervision;
mod world;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command, LogFormat};
use commands::rules::RulesCommand;
use failure::Failure;

/// For SQLite, librdkafka and whatever else is C as well. Its settings are in `.cargo/config.toml`, what it bought in docs/performance.md.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    end_quietly_when_nobody_can_read();
    let cli = Cli::parse();
    log_to_stderr(cli.global.log_format, usually_told(&cli.command));
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.code()
        }
    }
}

/// A full disk or a closed end behind standard output is no fault of this program: it ends with code 1, as after a kill nothing is lost.
fn end_quietly_when_nobody_can_read() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let told = panic.payload().downcast_ref::<String>().is_some_and(|message| message.starts_with("failed printing to"));
        if told {
            std::process::exit(1);
        }
        usual(panic);
    }));
}

/// What is told where `RUST_LOG` says nothing. That the servers may lose what they acknowledged is for whoever runs the pipeline, or sets it up.
fn usually_told(command: &Command) -> &'static str {
    match command {
        Command::Up(_) | Command::Run(_) | Command::Migrate | Command::Doctor { .. } => "warn,tantivy=error",
        _ => "warn,tantivy=error,durability=off",
    }
}

fn log_to_stderr(format: LogFormat, usual: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(usual));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber cannot be there: this is the first thing that main does.
    let _set = match format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Text => builder.with_target(false).with_ansi(anstream::stderr().is_terminal()).try_init(),
    };
}

fn run(cli: Cli) -> Result<(), Failure> {
    use std::io::stdout;
    match cli.command {
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut <Cli as clap::CommandFactory>::command(), "wardhouse", &mut stdout());
            Ok(())
        }
        command => {
            if let Command::Rules(RulesCommand::Check { file, input }) = &command {
                // Before the settings are read: a file is a ruleset whatever they are.
                commands::rules::check(file)?;
                if input.is_none() {
                    return Ok(());
                }
            }
            let settings = settings::load(cli.global.config.as_deref(), cli.global.data.as_deref(), command.rules()).map_err(Failure::Settings)?;
            match command {
                Command::Up(args) => commands::up::run(&settings, &args),
                Command::Run(args) => commands::run::run(&settings, &args),
                Command::Score(args) => commands::score::run(&settings, &args),
                Command::Explain(args) => commands::explain::run(&settings, &args),
                Command::Backtest(args) => commands::backtest::run(&settings, &args),
                Command::Evaluate(args) => commands::evaluate::run(&settings, &args),
                Command::FitPriors(args) => commands::fit_priors::run(&settings, &args),
                Command::Bench(args) => commands::bench::run(&settings, &args),
                Command::Benford(args) => commands::benford::run(&settings, &args),
                Command::Generate(args) => commands::generate::run(&settings, &args),
                Command::Import(args) => commands::import::run(&settings, &args),
                Command::Doctor { json } => commands::doctor::run(&settings, json),
                Command::Migrate => commands::migrate::run(&settings),
                Command::Status { json } => commands::status::run(&settings, json),
                Command::Sql(args) => commands::sql::run(&settings, args),
                Command::Replay(args) => commands::replay::run(&settings, &args),
                Command::Reconcile(args) => commands::reconcile::run(&settings, &args),
                Command::Backup(args) => commands::backup::run(&settings, &args),
                Command::Restore(args) => commands::restore::run(&settings, &args),
                Command::DeadLetters(args) => commands::dead_letters::run(&settings, &args),
                Command::Rules(args) => commands::rules::run(&settings, &args),
                Command::Release(args) => commands::control::release(&settings, &args),
                Command::Config(args) => commands::config::run(&settings, args),
                Command::Completions { .. } => Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_runs_the_pipeline_or_sets_it_up_is_warned_of_durability() {
        let told = |line: &[&str]| usually_told(&Cli::parse_from([&["wardhouse"], line].concat()).command);
        for line in [&["up"][..], &["run", "intake"], &["migrate"], &["doctor"]] {
            assert!(!told(line).contains(wh_stores::DURABILITY), "{line:?}");
        }
        for line in [&["status"][..], &["sql", "SELECT 1"], &["dead-letters", "list"], &["reconcile"]] {
            assert!(told(line).ends_with(&format!("{}=off", wh_stores::DURABILITY)), "{line:?}");
        }
    }
}
