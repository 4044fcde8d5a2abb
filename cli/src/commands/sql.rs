//! `wardhouse sql`: one statement, or a shell.

use std::io::Read;
use std::sync::Arc;

use crate::args::SqlArgs;
use crate::commands::{engine, runtime};
use crate::failure::Failure;
use crate::settings::Settings;
use crate::sql::{self, RunOptions};

pub(crate) fn run(settings: &Settings, args: SqlArgs) -> Result<(), Failure> {
    use std::io::IsTerminal;
    let engine = Arc::new(engine(settings)?);
    let runtime = runtime("sql")?;
    let options = RunOptions { format: args.format, output: args.output, timing: args.timing };
    let statement = match args.statement.as_deref() {
        None if !std::io::stdin().is_terminal() => Some(String::new()),
        Some("-") => Some(String::new()),
        given => given.map(str::to_owned),
    };
    match statement {
        Some(mut statement) => {
            if statement.is_empty() {
                std::io::stdin().read_to_string(&mut statement)?;
            }
            runtime.block_on(sql::run_once(&engine, &statement, &options))?;
        }
        None => {
            let history = Some(settings.data.join("sql_history")).filter(|_| settings.data.is_dir());
            sql::interactive(engine, runtime.handle(), history, options)?;
        }
    }
    // A query that was given up may still hold a blocking thread: do not wait for it.
    runtime.shutdown_background();
    Ok(())
}
