//! A server that runs, asked over HTTP: where it is, whether it is there, and its answers as Arrow.
//!
//! What must stay true: a server that a file speaks of is used only if it is still the process that wrote the file; a password goes
//! to the address it was given for and to no other; each statement takes the settings along that were set before, since the server
//! keeps no session; an answer that was cut short is an error, with the server's own words where it has them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::reader::StreamDecoder;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Certificate, Client, ClientBuilder, RequestBuilder, Response, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use wh_query::{ColumnInfo, TableInfo};

use super::SqlError;
use super::connection::Answer;
use crate::announcement::Announcement;

/// Who asks, where the server wants to know.
const USER: &str = "WARDHOUSE_SQL_USER";
const PASSWORD: &str = "WARDHOUSE_SQL_PASSWORD";
/// Who may vouch for the server, beside the well-known ones: a file in PEM.
const CA_FILE: &str = "WARDHOUSE_SQL_CA_FILE";

const QUERY_ID: HeaderName = HeaderName::from_static("x-wardhouse-query-id");
const NOTICES: HeaderName = HeaderName::from_static("x-wardhouse-notices");
const SETTINGS: HeaderName = HeaderName::from_static("x-wardhouse-settings");

/// How long a server on this machine may take to say that it is there.
const THERE: Duration = Duration::from_secs(1);
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long anything but a statement may take.
const SMALL: Duration = Duration::from_secs(10);

/// A server.
pub(crate) struct Remote {
    way: Arc<Server>,
    tables: Vec<TableInfo>,
    /// Settings that were set.
    settings: Mutex<BTreeMap<String, String>>,
    /// The query that runs, or ran last.
    query: Mutex<Option<u64>>,
}

/// How a server is reached.
struct Server {
    client: Client,
    /// Without a slash at its end.
    base: String,
    user: Option<(String, SecretString)>,
}

/// The answer to a status.
#[derive(Deserialize)]
struct Status {
    instance: String,
    users: bool,
}

#[derive(Deserialize)]
struct Tables {
    tables: Vec<Table>,
}

#[derive(Deserialize)]
struct Table {
    schema: String,
    name: String,
    description: String,
    is_view: bool,
    unique: Vec<String>,
    columns: Vec<Column>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    data_type: String,
    nullable: bool,
}

impl From<Table> for TableInfo {
    fn from(table: Table) -> TableInfo {
        let Table { schema, name, description, is_view, unique, columns } = table;
        let columns = columns.into_iter().map(|Column { name, data_type, nullable }| ColumnInfo { name, data_type, nullable }).collect();
        TableInfo { schema, name, columns, description, is_view, unique }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// An error's own words and those of what caused it.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let further = error.to_string();
        if !text.contains(&further) {
            text = format!("{text}: {further}");
        }
        cause = error.source();
    }
    text
}

impl Server {
    fn new(base: &str, client: ClientBuilder) -> Result<Server, SqlError> {
        let base = base.trim_end_matches('/').to_owned();
        if !(base.starts_with("http://") || base.starts_with("https://")) {
            return Err(SqlError::Usage(format!("--server {base}: expected a URL such as http://127.0.0.1:8081")));
        }
        let user = match (environment(USER), environment(PASSWORD)) {
            (Some(user), Some(password)) => Some((user, SecretString::from(password))),
            (None, None) => None,
            _ => return Err(SqlError::Usage(format!("{USER} and {PASSWORD} belong together: set both, or neither"))),
        };
        let mut client = client.connect_timeout(CONNECT).tcp_nodelay(true).redirect(redirect::Policy::none());
        if let Some(path) = environment(CA_FILE) {
            let read = std::fs::read(&path).map_err(|error| error.to_string()).and_then(|pem| Certificate::from_pem(&pem).map_err(|error| error.to_string()));
            client = client.add_root_certificate(read.map_err(|error| SqlError::Usage(format!("{CA_FILE}={path}: {error}")))?);
        }
        let client = client.build().map_err(|error| SqlError::Usage(told(&error)))?;
        Ok(Server { client, base, user })
    }

    fn known(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.user {
            Some((user, password)) => request.basic_auth(user, Some(password.expose_secret())),
            None => request,
        }
    }

    async fn sent(&self, request: RequestBuilder) -> Result<Response, String> {
        request.send().await.map_err(|error| format!("{} does not answer: {}", self.base, told(&error.without_url())))
    }

    /// The answer as JSON, or the error that is in it.
    async fn json(&self, request: RequestBuilder, within: Duration) -> Result<Vec<u8>, String> {
        let response = self.sent(request.timeout(within)).await?;
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        response.bytes().await.map(|bytes| bytes.to_vec()).map_err(|error| told(&error.without_url()))
    }

    async fn status(&self) -> Result<Status, String> {
        let body = self.json(self.client.get(format!("{}/v1/sql/status", self.base)), THERE).await?;
        serde_json::from_slice(&body).map_err(|_| format!("{} is no Wardhouse", self.base))
    }

    async fn tables(&self) -> Result<Vec<TableInfo>, String> {
        let body = self.json(self.known(self.client.get(format!("{}/v1/sql/tables", self.base))), SMALL).await?;
        let tables: Tables = serde_json::from_slice(&body).map_err(|error| format!("{} answers in a form that is not known here: {error}", self.base))?;
        Ok(tables.tables.into_iter().map(TableInfo::from).collect())
    }

    /// What the server's register says of a query.
    async fn query(&self, id: u64) -> Option<Value> {
        let body = self.json(self.known(self.client.get(format!("{}/v1/sql/queries/{id}", self.base))), SMALL).await.ok()?;
        serde_json::from_slice(&body).ok()
    }

    /// Why a query ended early.
    async fn why(&self, query: Option<u64>, cut: String) -> String {
        let Some(id) = query else { return cut };
        self.query(id).await.and_then(|query| query["error"].as_str().map(str::to_owned)).unwrap_or(cut)
    }

    /// What became known only while the rows of a query came.
    async fn late(&self, id: u64) -> Vec<String> {
        self.query(id).await.and_then(|mut query| serde_json::from_value(query["late_notices"].take()).ok()).unwrap_or_default()
    }
}

/// The words of an answer that is an error.
async fn refused(response: Response) -> String {
    let status = response.status();
    let body = response.bytes().await.unwrap_or_default();
    let Some(error) = serde_json::from_slice::<Value>(&body).ok().and_then(|mut body| body.get_mut("error").map(Value::take)) else {
        return format!("the server answered {status}");
    };
    let place = match (error["line"].as_u64(), error["column"].as_u64()) {
        (Some(line), Some(column)) => format!("line {line}, column {column}: "),
        _ => String::new(),
    };
    let hint = error["hint"].as_str().map(|hint| format!("\n{hint}")).unwrap_or_default();
    let what = error["message"].as_str().unwrap_or("the server refused it");
    let user = if status.as_u16() == 401 { format!(": set {USER} and {PASSWORD}") } else { String::new() };
    format!("{place}{what}{user}{hint}")
}

impl Remote {
    /// The server that runs on this data folder, if one does and can be asked.
    pub(crate) async fn running(data: &Path) -> Option<Remote> {
        let announced = Announcement::read(data)?;
        let http = announced.http?;
        // A proxy of the environment is for elsewhere.
        let server = Server::new(&http, Client::builder().no_proxy()).ok()?;
        let status = match server.status().await {
            Ok(status) if status.instance == announced.instance => status,
            Ok(_) => return None,
            Err(error) => {
                tracing::debug!("no server is used: {error}");
                return None;
            }
        };
        if status.users && server.user.is_none() {
            tracing::info!("the server that runs wants {USER} and {PASSWORD}: the stores are opened here");
            return None;
        }
        match Remote::over(server).await {
            Ok(remote) => Some(remote),
            Err(error) => {
                tracing::warn!("the server that runs is not used: {error}");
                None
            }
        }
    }

    /// The server at a URL.
    ///
    /// # Errors
    /// [`SqlError`], where it is not there or does not know who asks.
    pub(crate) async fn connect(url: &str) -> miette::Result<Remote> {
        let server = Server::new(url, Client::builder())?;
        Ok(Remote::over(server).await?)
    }

    async fn over(server: Server) -> Result<Remote, SqlError> {
        let tables = server.tables().await.map_err(SqlError::Query)?;
        Ok(Remote { way: Arc::new(server), tables, settings: Mutex::new(BTreeMap::new()), query: Mutex::new(None) })
    }

    /// Every table and view.
    pub(super) fn tables(&self) -> Vec<TableInfo> {
        self.tables.clone()
    }

    /// Begins to answer one statement.
    pub(super) async fn query(&self, sql: &str) -> Result<Answer, SqlError> {
        *locked(&self.query) = None;
        let body = json!({ "sql": sql, "settings": *locked(&self.settings), "format": "arrow" }).to_string();
        let request = self.way.client.post(format!("{}/v1/sql", self.way.base)).header(reqwest::header::CONTENT_TYPE, "application/json").body(body);
        let response = self.way.sent(self.way.known(request)).await.map_err(SqlError::Query)?;
        if !response.status().is_success() {
            return Err(SqlError::Query(refused(response).await));
        }
        let headers = response.headers().clone();
        let id = headers.get(QUERY_ID).and_then(|id| id.to_str().ok()?.parse().ok());
        *locked(&self.query) = id;
        self.remember(&headers);
        let notices = header_json(&headers, NOTICES).and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
        let mut reading = Reading { server: Arc::clone(&self.way), response, decoder: StreamDecoder::new(), buffer: Buffer::from_vec(Vec::<u8>::new()), id, first: None };
        let schema = reading.schema().await.map_err(SqlError::Query)?;
        // Only a setting that was set lets an answer go without a store.
        let (server, asked) = (Arc::clone(&self.way), id.filter(|_| !locked(&self.settings).is_empty()));
        let late = async move {
            match asked {
                Some(id) => server.late(id).await,
                None => Vec::new(),
            }
        };
        Ok(Answer { schema, stream: reading.batches(), notices, late: late.boxed() })
    }

    /// Keeps what a statement has set.
    fn remember(&self, headers: &HeaderMap) {
        match header_json(headers, SETTINGS) {
            Some(Value::Object(set)) => {
                let set = set.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())));
                locked(&self.settings).extend(set);
            }
            Some(Value::Null) => locked(&self.settings).clear(),
            _ => {}
        }
    }

    /// Ends the query that runs.
    pub(super) async fn cancel(&self) {
        let id = *locked(&self.query);
        let Some(id) = id else { return };
        let request = self.way.known(self.way.client.delete(format!("{}/v1/sql/queries/{id}", self.way.base)));
        if let Err(error) = self.way.json(request, SMALL).await {
            tracing::debug!("query {id} could not be ended: {error}");
        }
    }
}

fn header_json(headers: &HeaderMap, name: HeaderName) -> Option<Value> {
    serde_json::from_slice(headers.get(name)?.as_bytes()).ok()
}

/// An answer that is being read.
struct Reading {
    server: Arc<Server>,
    response: Response,
    decoder: StreamDecoder,
    buffer: Buffer,
    id: Option<u64>,
    /// A batch that came with the schema.
    first: Option<RecordBatch>,
}

impl Reading {
    /// The next batch; `None` at the end.
    async fn next(&mut self) -> Result<Option<RecordBatch>, String> {
        loop {
            if let Some(batch) = self.decoder.decode(&mut self.buffer).map_err(|error| error.to_string())? {
                return Ok(Some(batch));
            }
            match self.response.chunk().await {
                Ok(Some(bytes)) => self.buffer = Buffer::from(bytes),
                Ok(None) => return self.decoder.finish().map(|()| None).map_err(|error| error.to_string()),
                Err(error) => return Err(self.server.why(self.id, format!("the answer was cut short: {}", told(&error.without_url()))).await),
            }
        }
    }

    /// The columns, which come before the first batch.
    async fn schema(&mut self) -> Result<SchemaRef, String> {
        self.first = self.next().await?;
        Ok(self.decoder.schema().unwrap_or_else(|| Arc::new(Schema::empty())))
    }

    /// The rows.
    fn batches(mut self) -> BoxStream<'static, Result<RecordBatch, String>> {
        let first = self.first.take();
        let rest = stream::try_unfold(self, |mut reading| async move { Ok::<_, String>(reading.next().await?.map(|batch| (batch, reading))) });
        stream::iter(first.map(Ok)).chain(rest).boxed()
    }
}
