//! The shell at the terminal: prompt, history, completion, and what each line sets going.
//!
//! What must stay true: a mistake is answered and never ends the shell; what is typed is kept in the history as whole
//! statements; Ctrl-C never ends the shell, whether it clears a line or cancels a query.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustyline::completion::Completer;
use rustyline::config::{BellStyle, CompletionType};
use rustyline::error::{ReadlineError, Signal};
use rustyline::history::DefaultHistory;
use rustyline::{Config, Context, Editor, Helper, Highlighter, Hinter, Validator};
use tokio::runtime::Handle;
use wh_query::TableInfo;

use super::commands::{self, Command};
use super::connection::Connection;
use super::output::{Destination, Output};
use super::render::{self, Ended, Request};
use super::{Format, RunOptions, SqlError, complete, statement, table};

/// What stands before a statement, and before the lines that go on with it.
const PROMPT: &str = "wardhouse=> ";
const PROMPT_WITHIN: &str = "wardhouse-> ";
/// Entries that the history keeps.
const HISTORY_ENTRIES: usize = 2_000;
/// Candidates above which the editor asks before it lists them.
const CANDIDATES_ASKED: usize = 150;

/// Runs the shell.
///
/// # Errors
/// [`SqlError`], when the shell cannot go on.
pub(super) fn run(connection: Connection, runtime: Handle, history: Option<PathBuf>, options: RunOptions) -> Result<(), SqlError> {
    typed(&mut Session::new(connection, runtime, options)?, history.as_deref())
}

/// Prompts, reads and answers until it is told to quit.
fn typed(session: &mut Session, mut history: Option<&Path>) -> Result<(), SqlError> {
    let input = |error: ReadlineError| SqlError::Input(error.to_string());
    let mut editor = editor(Arc::clone(&session.tables)).map_err(input)?;
    // There is none the first time.
    if let Some(path) = history.filter(|path| path.exists())
        && let Err(error) = editor.load_history(path)
    {
        anstream::eprintln!("the history in {} cannot be read, and is left alone: {error}", path.display());
        history = None;
    }
    say(&format!("{} tables; \\? for help, \\q to quit", session.tables.len()));
    let mut entry = String::new();
    loop {
        if let Some(helper) = editor.helper_mut() {
            helper.pending.clone_from(&session.pending);
        }
        let line = match editor.readline(if session.pending.is_empty() { PROMPT } else { PROMPT_WITHIN }) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => {
                session.pending.clear();
                entry.clear();
                continue;
            }
            Err(ReadlineError::Signal(Signal::Resize)) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(input(error)),
        };
        if !entry.is_empty() {
            entry.push('\n');
        }
        entry.push_str(&line);
        let flow = session.accept(&line).unwrap_or_else(|error| {
            session.pending.clear();
            say_error(&error);
            Flow::Continue
        });
        if session.pending.is_empty() {
            keep(&mut editor, &mut history, &std::mem::take(&mut entry));
        }
        if flow == Flow::Quit {
            return Ok(());
        }
    }
}

/// Puts an entry into the history, at once also into its file: a shell that is killed loses none.
fn keep(editor: &mut Editor<SqlHelper, DefaultHistory>, history: &mut Option<&Path>, entry: &str) {
    let kept = editor.add_history_entry(entry.trim_end());
    let Some(path) = *history else { return };
    if let Err(error) = kept.and_then(|_| editor.append_history(path)) {
        anstream::eprintln!("the history cannot be kept in {}: {error}", path.display());
        *history = None;
    }
}

fn editor(tables: Arc<[TableInfo]>) -> rustyline::Result<Editor<SqlHelper, DefaultHistory>> {
    let config = Config::builder()
        .max_history_size(HISTORY_ENTRIES)?
        .history_ignore_dups(true)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .completion_prompt_limit(CANDIDATES_ASKED)
        .completion_show_all_if_ambiguous(true)
        .bell_style(BellStyle::None)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(SqlHelper { tables, pending: String::new() }));
    Ok(editor)
}

/// Completion for the editor; hints, colours and validation are its defaults, which do nothing.
#[derive(Helper, Hinter, Highlighter, Validator)]
struct SqlHelper {
    tables: Arc<[TableInfo]>,
    /// The lines of the statement before the one that is being typed.
    pending: String,
}

impl Completer for SqlHelper {
    type Candidate = String;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        if self.pending.is_empty() {
            return Ok(complete::candidates(line, cursor, &self.tables));
        }
        let before = self.pending.len() + 1;
        let (start, found) = complete::candidates(&format!("{}\n{line}", self.pending), before + cursor, &self.tables);
        Ok((start.saturating_sub(before), found))
    }
}

/// Whether the shell goes on after a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Continue,
    Quit,
}

/// What the shell remembers from line to line.
struct Session {
    connection: Connection,
    runtime: Handle,
    tables: Arc<[TableInfo]>,
    format: Format,
    timing: bool,
    destination: Destination,
    /// The lines of a statement whose semicolon has not come yet.
    pending: String,
}

impl Session {
    fn new(connection: Connection, runtime: Handle, options: RunOptions) -> Result<Self, SqlError> {
        let RunOptions { format, output, timing } = options;
        if format == Format::Parquet {
            return Err(SqlError::Usage("a Parquet file holds the result of one statement: give it on the command line".to_owned()));
        }
        let tables: Arc<[TableInfo]> = Arc::from(connection.tables());
        let mut session = Self { connection, runtime, tables, format, timing, destination: Destination::Screen, pending: String::new() };
        session.write_to(output)?;
        Ok(session)
    }

    /// Takes what was typed or pasted: lines of commands and statements.
    fn accept(&mut self, input: &str) -> Result<Flow, SqlError> {
        for line in input.lines() {
            if self.accept_line(line)? == Flow::Quit {
                return Ok(Flow::Quit);
            }
        }
        Ok(Flow::Continue)
    }

    fn accept_line(&mut self, line: &str) -> Result<Flow, SqlError> {
        if self.pending.is_empty() {
            if line.trim().is_empty() {
                return Ok(Flow::Continue);
            }
            if let Some(command) = commands::parse(line).map_err(SqlError::Usage)? {
                return self.obey(command);
            }
        } else {
            self.pending.push('\n');
        }
        self.pending.push_str(line);
        let buffer = std::mem::take(&mut self.pending);
        let split = statement::split(&buffer);
        if !split.is_complete() {
            split.rest.trim_start().clone_into(&mut self.pending);
        }
        for sql in split.statements {
            if self.execute(sql)? == Flow::Quit {
                return Ok(Flow::Quit);
            }
        }
        Ok(Flow::Continue)
    }

    fn execute(&self, sql: &str) -> Result<Flow, SqlError> {
        let request = Request { format: self.format, destination: &self.destination, timing: self.timing };
        Ok(match self.runtime.block_on(render::run(&self.connection, sql, request))? {
            Ended::ReaderGone if self.destination == Destination::Screen => Flow::Quit,
            Ended::Complete | Ended::ReaderGone => Flow::Continue,
        })
    }

    fn obey(&mut self, command: Command<'_>) -> Result<Flow, SqlError> {
        match command {
            Command::Quit => return Ok(Flow::Quit),
            Command::Help => say(commands::HELP),
            Command::Timing(on) => {
                self.timing = on.unwrap_or(!self.timing);
                say(if self.timing { "timing is on" } else { "timing is off" });
            }
            Command::Format(format) => {
                self.format = format;
                say(&format!("results are written as {}", commands::format_name(format)));
            }
            Command::ShowFormat => say(&format!("results are written as {}; there are {}", commands::format_name(self.format), commands::format_names().join(", "))),
            Command::Output(path) => {
                self.write_to(path)?;
                say(&format!("results go to {}", self.destination));
            }
            Command::Describe(name) => return self.describe(name),
        }
        Ok(Flow::Continue)
    }

    /// Sends what follows to a file, which is emptied at once, or to the screen.
    fn write_to(&mut self, path: Option<PathBuf>) -> Result<(), SqlError> {
        self.destination = match path {
            None => Destination::Screen,
            Some(path) => match std::fs::File::create(&path) {
                Ok(_) => Destination::Append(path),
                Err(error) => return Err(SqlError::Write { target: path.display().to_string(), reason: error.to_string() }),
            },
        };
        Ok(())
    }

    fn describe(&self, name: Option<&str>) -> Result<Flow, SqlError> {
        let look = render::screen_look();
        let mut screen = Output::screen(look.styled);
        let found = commands::describe(&self.tables, name, look, &mut screen).and_then(|found| screen.flush().map(|()| found));
        match found {
            Ok(true) => Ok(Flow::Continue),
            Ok(false) => Err(SqlError::Usage(format!("there is no table or schema {}; \\d lists them", name.unwrap_or_default()))),
            Err(_) if screen.reader_gone().get() => Ok(Flow::Quit),
            Err(error) => Err(SqlError::Write { target: "the screen".to_owned(), reason: error.to_string() }),
        }
    }
}

/// Tells whoever is typing; not part of any result.
fn say(text: &str) {
    anstream::eprintln!("{text}");
}

fn say_error(error: &SqlError) {
    if matches!(error, SqlError::Cancelled) {
        say("cancelled");
    } else {
        let style = anstyle::AnsiColor::Red.on_default();
        anstream::eprintln!("{style}error:{style:#} {}", table::printable(&error.to_string()));
    }
}
