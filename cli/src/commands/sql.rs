//! `wardhouse sql`: one statement, or a shell; asked of the server that runs, else of the stores themselves.

use std::io::Read;

use crate::args::SqlArgs;
use crate::commands::{engine, runtime};
use crate::failure::Failure;
use crate::settings::Settings;
use crate::sql::{self, Connection, Remote, RunOptions};

/// The server that was named, else the one that runs on this data folder, else the stores.
async fn connection(settings: &Settings, args: &SqlArgs) -> Result<Connection, Failure> {
    if let Some(url) = &args.server {
        return Ok(Connection::Remote(Remote::connect(url).await?));
    }
    if !args.embedded
        && let Some(remote) = Remote::running(&settings.data).await
    {
        return Ok(Connection::Remote(remote));
    }
    Ok(Connection::own(&engine(settings)?))
}

pub(crate) fn run(settings: &Settings, args: SqlArgs) -> Result<(), Failure> {
    use std::io::IsTerminal;
    let runtime = runtime("sql")?;
    let connection = runtime.block_on(connection(settings, &args))?;
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
            runtime.block_on(sql::run_once(&connection, &statement, &options))?;
        }
        None => {
            let history = Some(settings.data.join("sql_history")).filter(|_| settings.data.is_dir());
            sql::interactive(connection, runtime.handle(), history, options)?;
        }
    }
    // A query that was given up may still hold a blocking thread: do not wait for it.
    runtime.shutdown_background();
    Ok(())
}
