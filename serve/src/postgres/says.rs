//! Statements that give no rows: settings, transactions, and what a connection lets go of.
//!
//! What must stay true: what a client should know of settings is told when it changes; after the end of a transaction nothing of it is left.

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::TransactionStatus;
use pgwire::messages::startup::ParameterStatus;
use wh_query::Action;

use super::connection::{Connection, Ran};
use super::errors::{Failure, Fault, code, warning};
use super::statements::Statement;
use super::tags::{self, Said};
use super::wire::Gone;

/// Settings of which a client is told (PostgreSQL's documentation, "Asynchronous Operations").
const REPORTED: [&str; 14] = [
    "server_version",
    "server_encoding",
    "client_encoding",
    "application_name",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "integer_datetimes",
    "standard_conforming_strings",
    "is_superuser",
    "session_authorization",
    "default_transaction_read_only",
    "in_hot_standby",
    "search_path",
];

impl Connection {
    /// Does what gives no rows.
    pub(super) async fn say(&mut self, statement: &Statement) -> Result<Ran, Fault> {
        let prepared = &statement.prepared;
        let mut tag = tags::tag(prepared, 0);
        if *prepared.action() == Action::Discard && self.status != TransactionStatus::Idle {
            return Err(Failure::new(code::IN_TRANSACTION, "DISCARD ALL cannot run inside a transaction block").into());
        }
        self.execute(statement, Vec::new()).await?;
        match prepared.action() {
            Action::Set { name, .. } => self.report(Some(name)).await?,
            Action::Discard => {
                self.held.discard();
                self.report(None).await?;
            }
            Action::Deallocate { name: None } => self.held.deallocate_all(),
            Action::Deallocate { name: Some(name) } if self.held.deallocate(name) || self.session.deallocate(name) => {}
            Action::Deallocate { name: Some(name) } => {
                return Err(Failure::new(code::NO_STATEMENT, format!("prepared statement \"{name}\" does not exist")).into());
            }
            Action::Close { cursor } => self.held.close(cursor.as_deref())?,
            _ => {}
        }
        match tags::said(prepared) {
            Said::Begin if self.status == TransactionStatus::Idle => self.status = TransactionStatus::Transaction,
            Said::Begin => self.wire.send(warning(code::IN_TRANSACTION, "there is already a transaction in progress")).await?,
            Said::Savepoint | Said::RollbackTo if self.status == TransactionStatus::Idle => {
                return Err(Failure::new(code::NO_TRANSACTION, format!("{tag} can only be used in transaction blocks")).into());
            }
            Said::Savepoint => {}
            Said::RollbackTo => self.status = TransactionStatus::Transaction,
            Said::Commit | Said::Rollback => {
                match self.status {
                    TransactionStatus::Idle => self.wire.send(warning(code::NO_TRANSACTION, "there is no transaction in progress")).await?,
                    // What failed cannot be committed.
                    TransactionStatus::Error => tag = "ROLLBACK".to_owned(),
                    TransactionStatus::Transaction => {}
                }
                self.status = TransactionStatus::Idle;
                self.held.end_transaction();
            }
            Said::Nothing => {}
        }
        Ok(Ran::Done(tag))
    }

    /// Tells the client the value of a setting that it should know, or of all; a name that it need not know is none of these.
    pub(super) async fn report(&mut self, changed: Option<&str>) -> Result<(), Gone> {
        for name in REPORTED {
            // `all` is what RESET ALL sets.
            let told = changed.is_none_or(|changed| changed.eq_ignore_ascii_case(name) || changed == "all");
            if told && let Ok(value) = self.session.show(name) {
                self.wire.send(PgWireBackendMessage::ParameterStatus(ParameterStatus::new(name.to_owned(), value))).await?;
            }
        }
        Ok(())
    }
}
