//! The simple protocol: statements as text, one after the other, all values as text.
//!
//! What must stay true: statements run in the order in which they stand, and none after one that failed; a position is counted from the
//! beginning of the message.

use std::sync::Arc;

use wh_query::QueryError;

use super::connection::{Connection, Ran, Run};
use super::errors::{Failure, Fault};
use super::rows::About;
use super::statements::Statement;
use super::wire::Gone;

impl Connection {
    /// Answers one Query message.
    pub(super) async fn simple(&mut self, sql: &str) -> Result<(), Gone> {
        // As in PostgreSQL the unnamed statement and portal end here.
        self.held.deallocate("");
        self.held.portals.remove("");
        match self.statements(sql).await {
            Ok(()) => {}
            Err(Fault::Gone(gone)) => return Err(gone),
            Err(Fault::Failed(failure)) => self.fail(&failure).await?,
        }
        self.ready().await
    }

    async fn statements(&mut self, sql: &str) -> Result<(), Fault> {
        let statements = wh_query::split(sql).map_err(|error: QueryError| Failure::of(&error, sql, 0))?;
        if statements.is_empty() {
            self.complete(Ran::Empty).await?;
            return Ok(());
        }
        let mut read = 0;
        for statement in statements {
            // Each is a piece of the message, further on than the one before.
            let at = sql.get(read..).and_then(|rest| rest.find(&statement)).map_or(read, |at| read + at);
            let offset = sql.get(..at).map_or(0, |before| before.chars().count());
            read = at + statement.len();
            let about = About { sql: Arc::from(statement), offset };
            let statement = Statement::prepare(&mut self.wire, &self.session, about, &[]).await?;
            let ran = self.run(Run { statement: &statement, values: Vec::new(), formats: &[], limit: None, describe: true }).await?;
            self.complete(ran).await?;
        }
        Ok(())
    }
}
