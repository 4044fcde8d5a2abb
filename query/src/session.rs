//! One connection: its settings, its statements, and what runs on it.
//!
//! What must stay true: nothing that one session sets is seen by another; a statement's time runs from its planning to its last row;
//! dropping the session ends what runs on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as DfStatement;

use crate::answer::{Answer, QueryResult, text_schema};
use crate::engine::Shared;
use crate::errors::QueryError;
use crate::kept::{self, Kept};
use crate::parameters;
use crate::pg_catalog::Facts;
use crate::planning::Begun;
use crate::prepared::{Action, Call, Inner, Planned, Prepared, Work};
use crate::principal::{Principal, Way};
use crate::queries::Ticket;
use crate::settings::Settings;
use crate::statement::{self, Command, Reading};

/// What RESET ALL sets: no setting has this name.
const ALL: &str = "all";

/// A connection to an engine.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
    id: i32,
    principal: Principal,
    settings: Mutex<Settings>,
    /// What PREPARE has prepared.
    kept: Mutex<Kept>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.queries.cancel_session(self.id);
    }
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, id: i32, principal: Principal, settings: Settings) -> Session {
        Session { shared, id, principal, settings: Mutex::new(settings), kept: Mutex::default() }
    }

    /// Its number: positive, and no other session's of this process. PostgreSQL's clients take it for the process of the server.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Who asks.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Runs one statement without parameters. Dropping the stream ends the query.
    ///
    /// # Errors
    /// See [`QueryError`]; what fails later is in the stream.
    pub async fn query(&self, sql: &str) -> Result<QueryResult, QueryError> {
        match statement::read(sql)? {
            Command::Read(reading) => {
                let settings = self.settings().clone();
                let (shared, own, count, statement) = (Arc::clone(&self.shared), settings.clone(), reading.parameters, self.rewritten(reading.statement));
                let plan = async move {
                    let plan = shared.logical(&own.planning(), statement).await?;
                    // Without values: an error that says so, where there are parameters.
                    let types = if count == 0 { Vec::new() } else { parameters::types(&plan, &[], count)? };
                    with_values(plan, Vec::new(), &types, own.zone())
                };
                self.run(sql, &settings, plan).await
            }
            command => {
                let prepared = self.said(sql, command, &[]).await?;
                self.execute(&prepared, Vec::new()).await
            }
        }
    }

    /// Reads and plans one statement. `types` are those of `$1`, `$2`, … as far as the client names them; the others are inferred.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn prepare(&self, sql: &str, types: &[Option<DataType>]) -> Result<Prepared, QueryError> {
        self.said(sql, statement::read(sql)?, types).await
    }

    /// What a command is to do; what reads is planned.
    async fn said(&self, sql: &str, command: Command, types: &[Option<DataType>]) -> Result<Prepared, QueryError> {
        match command {
            Command::Read(reading) => self.planned(sql, reading, types).await,
            Command::Prepare { name, reading } => {
                let kept = self.planned(sql, reading, &[]).await?;
                Ok(Prepared::of(sql, Action::Prepare { name }, Arc::new(Schema::empty()), Work::Keep(kept)))
            }
            Command::Execute { name, values } => {
                let prepared = self.kept().find(&name)?;
                let schema = prepared.schema();
                Ok(Prepared::of(sql, Action::Query, schema, Work::Call(Box::new(Call { prepared, values }))))
            }
            command => self.command(sql, command),
        }
    }

    async fn planned(&self, sql: &str, reading: Reading, types: &[Option<DataType>]) -> Result<Prepared, QueryError> {
        let settings = self.settings().clone();
        let (timeout, under) = (settings.timeout(), settings.planning());
        let (shared, sql, types, count, action) = (Arc::clone(&self.shared), sql.to_owned(), types.to_vec(), reading.parameters, reading.action);
        let statement = self.rewritten(reading.statement);
        let planned = async move {
            let plan = shared.logical(&under, statement.clone()).await?;
            let parameters = parameters::types(&plan, &types, count)?;
            let columns = parameters::columns(&plan, &types, &parameters)?;
            let schema = shared.described(&under, &plan, &parameters)?;
            let work = Work::Plan(Box::new(Planned { statement, plan, under }));
            Ok(Prepared(Arc::new(Inner { sql, action, schema, parameters, columns, work })))
        };
        within(timeout, self.shared.compute.run(planned)).await?
    }

    /// A statement of PostgreSQL's clients about the server, in words that the planner knows.
    fn rewritten(&self, statement: DfStatement) -> DfStatement {
        let settings = self.settings().clone();
        let setting = |name: &str| settings.show(name).ok().map(|(_, value)| value);
        self.shared.pg_catalog.rewrite(statement, &Facts { user: &self.principal.name, id: self.id, setting: &setting })
    }

    /// What needs no plan.
    fn command(&self, sql: &str, command: Command) -> Result<Prepared, QueryError> {
        let none = || -> SchemaRef { Arc::new(Schema::empty()) };
        let (action, schema, work) = match command {
            Command::Set { name, value } => (Action::Set { name, value }, none(), Work::Action),
            Command::Reset(Some(name)) => {
                let (name, value) = self.settings().default_of(&name)?;
                (Action::Set { name: name.to_owned(), value }, none(), Work::Action)
            }
            Command::Reset(None) => (Action::Set { name: ALL.to_owned(), value: "default".to_owned() }, none(), Work::Action),
            Command::Show(Some(name)) => {
                let (name, _) = self.settings().show(&name)?;
                (Action::Show, text_schema(&[name]), Work::Show(Some(name.to_owned())))
            }
            Command::Show(None) => (Action::Show, text_schema(&["name", "setting", "description"]), Work::Show(None)),
            Command::Session(action) => (action, none(), Work::Action),
            Command::Read(_) | Command::Prepare { .. } | Command::Execute { .. } => {
                return Err(QueryError::internal("a statement that reads was taken for one that does not"));
            }
        };
        Ok(Prepared::of(sql, action, schema, work))
    }

    /// Executes a prepared statement with the values of its parameters. Dropping the stream ends the query.
    ///
    /// # Errors
    /// See [`QueryError`]; what fails later is in the stream.
    pub async fn execute(&self, prepared: &Prepared, parameters: Vec<ScalarValue>) -> Result<QueryResult, QueryError> {
        let inner = &prepared.0;
        match &inner.work {
            Work::Plan(_) => self.run_planned(&inner.sql, inner, parameters).await,
            Work::Call(call) => {
                let values = match &call.values {
                    Some(values) => self.values(values.clone()).await?,
                    None => Vec::new(),
                };
                self.run_planned(&inner.sql, &call.prepared.0, values).await
            }
            Work::Keep(kept) => {
                if let Action::Prepare { name } = &inner.action {
                    self.kept().keep(name, kept.clone())?;
                }
                Ok(QueryResult::empty())
            }
            Work::Show(name) => self.shown(name.as_deref()),
            Work::Action => self.act(&inner.action),
        }
    }

    async fn run_planned(&self, sql: &str, inner: &Arc<Inner>, parameters: Vec<ScalarValue>) -> Result<QueryResult, QueryError> {
        let settings = self.settings().clone();
        let (shared, own, prepared) = (Arc::clone(&self.shared), settings.clone(), Arc::clone(inner));
        let plan = async move {
            let Work::Plan(planned) = &prepared.work else { return Err(QueryError::internal("a plan became none")) };
            let under = own.planning();
            let plan = if under == planned.under { planned.plan.clone() } else { shared.logical(&under, planned.statement.clone()).await? };
            with_values(plan, parameters, &prepared.parameters, &under.zone)
        };
        self.run(sql, &settings, plan).await
    }

    /// The values that EXECUTE is given.
    async fn values(&self, statement: DfStatement) -> Result<Vec<ScalarValue>, QueryError> {
        let settings = self.settings().clone();
        let (shared, under, statement) = (Arc::clone(&self.shared), settings.planning(), self.rewritten(statement));
        let values = async move { shared.values(&under, statement).await };
        within(settings.timeout(), self.shared.compute.run(values)).await?
    }

    /// Plans, and begins to hand over rows.
    async fn run(&self, sql: &str, settings: &Settings, plan: impl Future<Output = Result<LogicalPlan, QueryError>> + Send + 'static) -> Result<QueryResult, QueryError> {
        let timeout = settings.timeout();
        let mut ticket = self.shared.queries.begin(self.id, &self.principal, sql, timeout)?;
        match self.begun(&ticket, settings, plan).await {
            Ok(Begun { stream, notices, late }) => {
                let limits = &self.principal.limits;
                let limit = limits.rows.map(|rows| (rows, QueryError::Limit { role: self.principal.role.clone(), rows }));
                let id = ticket.id();
                let stream = Answer::begin(ticket, stream, settings.zone(), limit);
                Ok(QueryResult { schema: stream.schema(), stream, notices, id, late })
            }
            Err(error) => {
                ticket.failed(&error);
                Err(error)
            }
        }
    }

    async fn begun(&self, ticket: &Ticket, settings: &Settings, plan: impl Future<Output = Result<LogicalPlan, QueryError>> + Send + 'static) -> Result<Begun, QueryError> {
        let query = &ticket.query;
        let (shared, own, asker, running) = (Arc::clone(&self.shared), settings.clone(), self.principal.clone(), Arc::clone(query));
        let begun = async move {
            let plan = plan.await?;
            shared.begin(&running, plan, &own, &asker).await
        };
        let left = query.deadline.map(|deadline| deadline.saturating_duration_since(std::time::Instant::now()));
        tokio::select! {
            biased;
            () = query.stop.cancelled() => Err(query.why()),
            begun = within(left, self.shared.compute.run(begun)) => begun?,
        }
    }

    /// One setting, or all of them.
    fn shown(&self, name: Option<&str>) -> Result<QueryResult, QueryError> {
        let settings = self.settings().clone();
        match name {
            Some(name) => {
                let (name, value) = settings.show(name)?;
                QueryResult::texts(text_schema(&[name]), vec![vec![value]])
            }
            None => {
                let all = settings.all();
                let names = all.iter().map(|(name, _, _)| (*name).to_owned()).collect();
                let descriptions = all.iter().map(|(_, _, description)| (*description).to_owned()).collect();
                let values = all.into_iter().map(|(_, value, _)| value).collect();
                QueryResult::texts(text_schema(&["name", "setting", "description"]), vec![names, values, descriptions])
            }
        }
    }

    fn act(&self, action: &Action) -> Result<QueryResult, QueryError> {
        match action {
            Action::Set { name, .. } if name == ALL => self.reset(),
            Action::Set { name, value } => self.set(name, value)?,
            Action::Discard => self.discard(),
            Action::Deallocate { name: None } => *self.kept() = Kept::default(),
            // Whoever speaks PostgreSQL's protocol has statements of its own, one of which may be meant.
            Action::Deallocate { name: Some(name) } if self.principal.way != Way::Postgres && !self.deallocate(name) => return Err(kept::nothing(name)),
            // Whoever speaks PostgreSQL's protocol holds the cursors; elsewhere there are none.
            Action::Declare { .. } if self.principal.way != Way::Postgres => {
                return Err(QueryError::Refused {
                    message: "cursors are for PostgreSQL's protocol".to_owned(),
                    hint: Some("the rows of a query come as a stream here".to_owned()),
                });
            }
            Action::Fetch { cursor, .. } => return Err(QueryError::Refused { message: format!("there is no cursor {cursor}"), hint: Some("DECLARE it first".to_owned()) }),
            _ => {}
        }
        Ok(QueryResult::empty())
    }

    /// Sets a setting, as SET does.
    ///
    /// # Errors
    /// [`QueryError::Setting`] for a name that there is not, and for a value that it cannot have.
    pub fn set(&self, name: &str, value: &str) -> Result<(), QueryError> {
        self.settings().set(name, value)
    }

    /// The value of a setting, as SHOW gives it.
    ///
    /// # Errors
    /// [`QueryError::Setting`] for a name that there is not.
    pub fn show(&self, name: &str) -> Result<String, QueryError> {
        self.settings().show(name).map(|(_, value)| value)
    }

    /// Lets go of what PREPARE has prepared under a name. Returns whether there was such a statement.
    pub fn deallocate(&self, name: &str) -> bool {
        self.kept().forget(name)
    }

    /// Takes back whatever was set, and lets go of whatever was prepared, as DISCARD ALL does.
    pub fn discard(&self) {
        self.reset();
        *self.kept() = Kept::default();
    }

    /// Takes back whatever was set, as RESET ALL does.
    pub fn reset(&self) {
        self.settings().reset_all();
    }

    /// Ends every query that runs on this session. Returns whether there was one.
    pub fn cancel(&self) -> bool {
        self.shared.queries.cancel_session(self.id)
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A plan with the values of its parameters in it.
fn with_values(plan: LogicalPlan, given: Vec<ScalarValue>, types: &[DataType], zone: &str) -> Result<LogicalPlan, QueryError> {
    let values = parameters::values(given, types, zone)?;
    if values.is_empty() { Ok(plan) } else { Ok(plan.with_param_values(values)?) }
}

/// What a future gives, unless it takes longer.
async fn within<T>(timeout: Option<Duration>, future: impl Future<Output = T>) -> Result<T, QueryError> {
    match timeout {
        Some(timeout) => tokio::time::timeout(timeout, future).await.map_err(|_| QueryError::Timeout),
        None => Ok(future.await),
    }
}
