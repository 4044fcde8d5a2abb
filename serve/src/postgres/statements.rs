//! What a connection holds between messages: prepared statements, portals, cursors.
//!
//! What must stay true: each is bounded in number, and statements also in bytes, so that an idle connection holds little; a cursor without
//! HOLD and every portal end with their transaction.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use bytes::Bytes;
use datafusion::common::ScalarValue;
use pgwire::api::Type;
use wh_query::{Action, Prepared, Session};

use super::declared;
use super::errors::{Failure, Fault, code};
use super::parameters::Parameter;
use super::rows::{About, Rows};
use super::types::{self, Format};
use super::wire::Wire;

const MOST_STATEMENTS: usize = 1_000;
const MOST_STATEMENT_BYTES: usize = 8 << 20;
const MOST_PORTALS: usize = 256;
const MOST_CURSORS: usize = 64;

/// A statement that was read and planned.
pub(super) struct Statement {
    pub(super) prepared: Prepared,
    /// Of `DECLARE … FOR query`, the query.
    pub(super) inner: Option<Prepared>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) about: About,
}

impl Statement {
    /// Reads and plans a statement. `types` are those that the client named, 0 for none.
    pub(super) async fn prepare(wire: &mut Wire, session: &Session, about: About, types: &[u32]) -> Result<Statement, Fault> {
        let named: Vec<Option<Type>> = types.iter().map(|oid| Type::from_oid(*oid).filter(|named| *named != Type::UNKNOWN)).collect();
        let known: Vec<_> = named.iter().map(|named| named.as_ref().and_then(types::engine_type)).collect();
        let prepared = wire.watch(session.prepare(&about.sql, &known)).await?.map_err(|error| about.failure(&error))?;
        let inner = match prepared.action() {
            Action::Declare { sql, .. } => {
                // The query stands behind the words that open the cursor.
                let before = about.sql.find(sql.as_str()).and_then(|at| about.sql.get(..at)).map_or(0, |before| before.chars().count());
                let inner = wire.watch(session.prepare(sql, &known)).await?;
                Some(inner.map_err(|error| Failure::of(&error, sql, about.offset + before))?)
            }
            _ => None,
        };
        let expected = inner.as_ref().unwrap_or(&prepared).parameters();
        let parameter = |(place, expected): (usize, &DataType)| {
            let client = named.get(place).cloned().flatten();
            let told = client.or_else(|| if is_integer(expected) { declared::oid(&about.sql, place + 1) } else { None });
            Parameter::new(told.as_ref(), expected)
        };
        let parameters = expected.iter().enumerate().map(parameter).collect();
        Ok(Statement { prepared, inner, parameters, about })
    }

    /// The values of a Bind.
    pub(super) fn values(&self, given: &[Option<Bytes>], formats: &[i16], zone: &str) -> Result<Vec<ScalarValue>, Failure> {
        if given.len() != self.parameters.len() {
            let message = format!("bind message supplies {} parameters, but the prepared statement requires {}", given.len(), self.parameters.len());
            return Err(Failure::new(code::PROTOCOL, message));
        }
        let formats = Format::each(formats, given.len())?;
        self.parameters.iter().zip(given).zip(formats).map(|((parameter, bytes), format)| parameter.value(bytes.as_ref(), format, zone)).collect()
    }
}

/// Whether it is the engine's type of numbers of objects, or of a list of them.
fn is_integer(data_type: &DataType) -> bool {
    match data_type {
        DataType::Int32 => true,
        DataType::List(element) => *element.data_type() == DataType::Int32,
        _ => false,
    }
}

/// A statement with its values.
pub(super) struct Portal {
    pub(super) statement: Arc<Statement>,
    pub(super) values: Vec<ScalarValue>,
    pub(super) formats: Vec<i16>,
    pub(super) state: State,
}

/// How far a portal has come.
pub(super) enum State {
    Bound,
    /// Some of its rows were sent.
    Open(Rows),
    Done,
}

/// A cursor of SQL.
pub(super) struct Cursor {
    pub(super) rows: Rows,
    /// Whether it stays open when its transaction ends.
    pub(super) hold: bool,
}

/// What a connection holds between messages.
#[derive(Default)]
pub(super) struct Held {
    statements: HashMap<String, Arc<Statement>>,
    statement_bytes: usize,
    pub(super) portals: HashMap<String, Portal>,
    cursors: HashMap<String, Cursor>,
}

impl Held {
    /// Whether there can be another statement of this name.
    pub(super) fn may_prepare(&self, name: &str) -> Result<(), Failure> {
        if !name.is_empty() && self.statements.contains_key(name) {
            return Err(Failure::new(code::STATEMENT_THERE, format!("prepared statement \"{name}\" already exists")));
        }
        if self.statements.len() >= MOST_STATEMENTS || self.statement_bytes >= MOST_STATEMENT_BYTES {
            return Err(Failure::new(code::LIMIT, format!("a connection can have at most {MOST_STATEMENTS} prepared statements of {} MiB together", MOST_STATEMENT_BYTES >> 20))
                .hint("close those that are not used any more: DEALLOCATE"));
        }
        Ok(())
    }

    pub(super) fn keep(&mut self, name: String, statement: Statement) {
        self.deallocate(&name);
        self.statement_bytes += statement.about.sql.len();
        self.statements.insert(name, Arc::new(statement));
    }

    pub(super) fn statement(&self, name: &str) -> Result<&Arc<Statement>, Failure> {
        self.statements.get(name).ok_or_else(|| {
            let told = if name.is_empty() { "unnamed prepared statement does not exist".to_owned() } else { format!("prepared statement \"{name}\" does not exist") };
            Failure::new(code::NO_STATEMENT, told)
        })
    }

    /// Lets go of a statement; whether there was one.
    pub(super) fn deallocate(&mut self, name: &str) -> bool {
        let gone = self.statements.remove(name);
        if let Some(statement) = &gone {
            self.statement_bytes -= statement.about.sql.len();
        }
        gone.is_some()
    }

    pub(super) fn deallocate_all(&mut self) {
        self.statements.clear();
        self.statement_bytes = 0;
    }

    pub(super) fn bind(&mut self, name: String, portal: Portal) -> Result<(), Failure> {
        if !name.is_empty() && self.portals.contains_key(&name) {
            return Err(Failure::new(code::CURSOR_THERE, format!("portal \"{name}\" already exists")));
        }
        if self.portals.len() >= MOST_PORTALS {
            return Err(Failure::new(code::LIMIT, format!("a connection can have at most {MOST_PORTALS} portals")).hint("close those that are not used any more"));
        }
        self.portals.insert(name, portal);
        Ok(())
    }

    pub(super) fn portal(&self, name: &str) -> Result<&Portal, Failure> {
        self.portals.get(name).ok_or_else(|| no_portal(name))
    }

    /// Closes a portal, or the cursor of this name; nothing where there is neither.
    pub(super) fn close_portal(&mut self, name: &str) {
        if self.portals.remove(name).is_none() {
            self.cursors.remove(name);
        }
    }

    pub(super) fn may_open(&self, name: &str) -> Result<(), Failure> {
        if self.cursors.contains_key(name) {
            return Err(Failure::new(code::CURSOR_THERE, format!("cursor \"{name}\" already exists")));
        }
        if self.cursors.len() >= MOST_CURSORS {
            return Err(Failure::new(code::LIMIT, format!("a connection can have at most {MOST_CURSORS} cursors")).hint("CLOSE those that are not used any more"));
        }
        Ok(())
    }

    pub(super) fn open(&mut self, name: String, cursor: Cursor) {
        self.cursors.insert(name, cursor);
    }

    pub(super) fn cursor(&self, name: &str) -> Result<&Cursor, Failure> {
        self.cursors.get(name).ok_or_else(|| no_cursor(name))
    }

    pub(super) fn cursor_mut(&mut self, name: &str) -> Result<&mut Cursor, Failure> {
        self.cursors.get_mut(name).ok_or_else(|| no_cursor(name))
    }

    /// Closes a cursor, or all.
    pub(super) fn close(&mut self, name: Option<&str>) -> Result<(), Failure> {
        match name {
            None => self.cursors.clear(),
            Some(name) => {
                self.cursors.remove(name).ok_or_else(|| no_cursor(name))?;
            }
        }
        Ok(())
    }

    /// Ends what does not outlive a transaction.
    pub(super) fn end_transaction(&mut self) {
        self.portals.clear();
        self.cursors.retain(|_, cursor| cursor.hold);
    }

    /// Ends everything.
    pub(super) fn discard(&mut self) {
        *self = Held::default();
    }
}

pub(super) fn no_portal(name: &str) -> Failure {
    Failure::new(code::NO_CURSOR, format!("portal \"{name}\" does not exist"))
}

fn no_cursor(name: &str) -> Failure {
    Failure::new(code::NO_CURSOR, format!("cursor \"{name}\" does not exist"))
}
