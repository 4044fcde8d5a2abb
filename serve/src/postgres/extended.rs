//! The extended protocol: statements are prepared, bound to values, described, and executed in portions.
//!
//! What must stay true: what Describe says is what Execute sends; a portal that was suspended goes on where it stopped.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{BindComplete, CloseComplete, ParseComplete, PortalSuspended};
use wh_query::Action;

use super::connection::{Connection, Ran, Run};
use super::errors::{Failure, Fault};
use super::frames::{Frontend, Target};
use super::rows::About;
use super::statements::{Portal, State, Statement, no_portal};
use super::tags;
use super::types::Layout;

impl Connection {
    /// Answers one message of the extended protocol.
    pub(super) async fn extended(&mut self, message: Frontend) -> Result<(), Fault> {
        match message {
            Frontend::Parse { statement, sql, types } => self.parse(statement, sql, &types).await,
            Frontend::Bind { portal, statement, formats, parameters, results } => {
                let statement = Arc::clone(self.held.statement(&statement)?);
                self.may(&statement)?;
                let zone = self.session.show("TimeZone").unwrap_or_else(|_| "UTC".to_owned());
                let values = statement.values(&parameters, &formats, &zone)?;
                // Rows are in the formats that were asked for, or there are none.
                if let Some(schema) = self.columns(&statement)? {
                    Layout::new(&schema, &results)?;
                }
                self.held.bind(portal, Portal { statement, values, formats: results, state: State::Bound })?;
                Ok(self.wire.send(PgWireBackendMessage::BindComplete(BindComplete::new())).await?)
            }
            Frontend::Describe { target: Target::Statement, name } => {
                let statement = Arc::clone(self.held.statement(&name)?);
                let types = statement.parameters.iter().map(|parameter| parameter.pg_type.oid()).collect();
                self.wire.send(PgWireBackendMessage::ParameterDescription(ParameterDescription::new(types))).await?;
                self.describe(&statement, &[]).await
            }
            Frontend::Describe { target: Target::Portal, name } => {
                if let Some(schema) = self.of_cursor(&name) {
                    return Ok(self.wire.send(Layout::new(&schema, &[])?.description()).await?);
                }
                let portal = self.held.portal(&name)?;
                let (statement, formats) = (Arc::clone(&portal.statement), portal.formats.clone());
                self.describe(&statement, &formats).await
            }
            Frontend::Execute { portal, rows } => self.run_portal(&portal, rows).await,
            Frontend::Close { target, name } => {
                // To close what is not there is no error.
                match target {
                    Target::Statement => {
                        self.held.deallocate(&name);
                    }
                    Target::Portal => self.held.close_portal(&name),
                }
                Ok(self.wire.send(PgWireBackendMessage::CloseComplete(CloseComplete::new())).await?)
            }
            // A password out of turn.
            _ => Ok(()),
        }
    }

    async fn parse(&mut self, name: String, sql: String, types: &[u32]) -> Result<(), Fault> {
        if name.is_empty() {
            self.held.deallocate("");
        }
        self.held.may_prepare(&name)?;
        let about = About { sql: Arc::from(sql), offset: 0 };
        let statement = Statement::prepare(&mut self.wire, &self.session, about, types).await?;
        self.may(&statement)?;
        self.held.keep(name, statement);
        Ok(self.wire.send(PgWireBackendMessage::ParseComplete(ParseComplete::new())).await?)
    }

    /// The columns of a cursor. PostgreSQL's cursors are portals, and clients describe them as such.
    fn of_cursor(&self, name: &str) -> Option<SchemaRef> {
        if self.held.portals.contains_key(name) { None } else { self.held.cursor(name).ok().map(|cursor| Arc::clone(&cursor.rows.schema)) }
    }

    /// The columns of what a statement gives; `None` where it gives no rows.
    fn columns(&self, statement: &Statement) -> Result<Option<SchemaRef>, Failure> {
        match statement.prepared.action() {
            Action::Query | Action::Explain | Action::Show => Ok(Some(statement.prepared.schema())),
            Action::Fetch { cursor, .. } => Ok(Some(Arc::clone(&self.held.cursor(cursor)?.rows.schema))),
            _ => Ok(None),
        }
    }

    async fn describe(&mut self, statement: &Statement, formats: &[i16]) -> Result<(), Fault> {
        let message = match self.columns(statement)? {
            Some(schema) => Layout::new(&schema, formats)?.description(),
            None => PgWireBackendMessage::NoData(NoData::new()),
        };
        Ok(self.wire.send(message).await?)
    }

    /// Runs a portal, or goes on with it.
    async fn run_portal(&mut self, name: &str, limit: Option<u64>) -> Result<(), Fault> {
        let portal = self.held.portals.get_mut(name).ok_or_else(|| no_portal(name))?;
        let statement = Arc::clone(&portal.statement);
        let formats = portal.formats.clone();
        let ran = match std::mem::replace(&mut portal.state, State::Done) {
            State::Bound => {
                let values = std::mem::take(&mut portal.values);
                self.run(Run { statement: &statement, values, formats: &formats, limit, describe: false }).await?
            }
            State::Open(rows) => {
                self.may(&statement)?;
                let layout = Layout::new(&rows.schema, &formats)?;
                self.portion(&statement, rows, &layout, limit).await?
            }
            State::Done => Ran::Done(tags::tag(&statement.prepared, 0)),
        };
        match ran {
            Ran::Suspended(rows) => {
                if let Some(portal) = self.held.portals.get_mut(name) {
                    portal.state = State::Open(rows);
                }
                Ok(self.wire.send(PgWireBackendMessage::PortalSuspended(PortalSuspended::new())).await?)
            }
            ran => Ok(self.complete(ran).await?),
        }
    }
}
