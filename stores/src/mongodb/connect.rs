//! How a MongoDB server is reached: one pool a process, checked for its version; every operation on it has a limit of time.
//!
//! What must stay true: no operation waits for ever (the client itself has no limit for a reply); what answers at the address and is no
//! MongoDB, or wants TLS, is told as that.

use std::fmt;
use std::time::Duration;

use ::mongodb::bson::{Document, RawDocumentBuf, doc};
use ::mongodb::error::{Error, Result as Answer};
use ::mongodb::options::ClientOptions;
use ::mongodb::{Client, Collection, Database};
use secrecy::ExposeSecret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wh_schemas::Reaction;

use super::errors;
use super::settings::MongodbSettings;
use crate::{DURABILITY, Durability};

/// Oldest version that is supported: the first that takes any name of a field in what is inserted.
pub const OLDEST: (u32, u32) = (5, 0);
/// Port where the URL names none.
const PORT: u16 = 27_017;
/// The kind of every message of MongoDB's protocol, the last number of its head.
const MESSAGE: i32 = 2_013;
/// How long whatever stands at the address may take to say what it is.
const PROBE: Duration = Duration::from_secs(2);
/// The beginning of a TLS connection, and a line's end. MongoDB waits for more of it.
const GREETING: [u8; 54] = {
    let mut bytes = [0; 54];
    // A handshake record of 47 bytes, in it a ClientHello of 43: TLS 1.2, a random of 32 zeros, no session, two cipher suites, no compression.
    let head = [0x16, 3, 1, 0, 47, 1, 0, 0, 43, 3, 3];
    let tail = [0, 0, 4, 0xC0, 0x2F, 0x13, 0x01, 1, 0, b'\r', b'\n'];
    let mut at = 0;
    while at < head.len() {
        bytes[at] = head[at];
        bytes[43 + at] = tail[at];
        at += 1;
    }
    bytes
};

/// A database that was reached.
#[derive(Clone)]
pub struct Connected {
    database: Database,
    place: String,
    version: String,
    operation_timeout: Duration,
    query_timeout: Duration,
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").field("place", &self.place).field("version", &self.version).finish_non_exhaustive()
    }
}

impl Connected {
    /// The database.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// A collection of it.
    #[must_use]
    pub fn collection<T: Send + Sync>(&self, name: &str) -> Collection<T> {
        self.database.collection(name)
    }

    /// What a message names: role and server.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The server's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What a failure asks for.
    #[must_use]
    pub fn told(&self, error: &Error) -> Reaction {
        errors::reaction(&self.place, error)
    }

    /// Waits for an operation, whatever it answers.
    ///
    /// # Errors
    /// Transient where it does not answer in time.
    pub async fn answer<T, A: IntoFuture<Output = Answer<T>>>(&self, action: A) -> Result<Answer<T>, Reaction> {
        within(self.operation_timeout, &self.place, action).await
    }

    /// Waits for an operation that must succeed.
    ///
    /// # Errors
    /// What its failure asks for.
    pub async fn ask<T, A: IntoFuture<Output = Answer<T>>>(&self, action: A) -> Result<T, Reaction> {
        self.answer(action).await?.map_err(|error| self.told(&error))
    }

    /// Waits for a page of a query's rows.
    ///
    /// # Errors
    /// What its failure asks for.
    pub async fn page<T, A: IntoFuture<Output = Answer<T>>>(&self, action: A) -> Result<T, Reaction> {
        within(self.query_timeout, &self.place, action).await?.map_err(|error| self.told(&error))
    }

    /// Every document of a cursor that a command gives; for lists that are short.
    ///
    /// # Errors
    /// What a failure asks for, but for the server's code `instead`, which gives an empty list.
    pub async fn list(&self, command: Document, instead: Option<i32>) -> Result<Vec<Document>, Reaction> {
        let mut cursor = match self.answer(self.database.run_cursor_command(command)).await? {
            Ok(cursor) => cursor,
            Err(error) if instead.is_some() && errors::code(&error) == instead => return Ok(Vec::new()),
            Err(error) => return Err(self.told(&error)),
        };
        let mut found = Vec::new();
        while self.ask(cursor.advance()).await? {
            found.push(cursor.deserialize_current().map_err(|error| self.told(&error))?);
        }
        Ok(found)
    }
}

async fn within<T, A: IntoFuture<Output = Answer<T>>>(limit: Duration, place: &str, action: A) -> Result<Answer<T>, Reaction> {
    tokio::time::timeout(limit, action.into_future()).await.map_err(|_| Reaction::transient(format!("{place} did not answer within {} ms", limit.as_millis())))
}

/// Connects, and checks what was reached.
///
/// # Errors
/// Transient while it does not answer. Fatal where user, password, TLS or version are wrong, or where it is no MongoDB.
pub async fn connect(settings: &MongodbSettings) -> Result<Connected, Reaction> {
    let place = settings.place();
    let told = |error: Error| errors::reaction(&place, &error);
    let client = Client::with_options(options(settings, &place).await?).map_err(told)?;
    let database = client.database(settings.database());
    let mut connected =
        Connected { database, place: place.clone(), version: String::new(), operation_timeout: settings.operation_timeout(), query_timeout: settings.query_timeout() };
    let build = match connected.ask(connected.database.run_command(doc! { "buildInfo": 1 })).await {
        Ok(build) => build,
        Err(reaction) => return Err(greeted(settings, &place, reaction).await),
    };
    let version = build.get_str("version").unwrap_or_default();
    if parsed(version).is_none_or(|found| found < OLDEST) {
        let (major, minor) = OLDEST;
        return Err(Reaction::fatal(format!("{place} is MongoDB {version:?}: {major}.{minor} or newer is needed")));
    }
    version.clone_into(&mut connected.version);
    Ok(connected)
}

async fn options(settings: &MongodbSettings, place: &str) -> Result<ClientOptions, Reaction> {
    for file in settings.tls().into_iter().flat_map(|tls| [&tls.ca_file_path, &tls.cert_key_file_path]).flatten() {
        let found = std::fs::read_to_string(file).map_err(|error| Reaction::fatal(format!("{place}: {} cannot be read: {error}", file.display())))?;
        if !found.contains("-----BEGIN CERTIFICATE-----") {
            return Err(Reaction::fatal(format!("{place}: there is no certificate in {}: it must be in PEM", file.display())));
        }
    }
    // A URL of the scheme mongodb+srv is looked up here.
    let parsed = within(settings.operation_timeout(), place, ClientOptions::parse(settings.connection().clone())).await?;
    let mut options = parsed.map_err(|error| errors::reaction(place, &error))?;
    if let (Some(credential), Some(password)) = (&mut options.credential, settings.password().read()?) {
        credential.password = Some(password.expose_secret().to_owned());
    }
    Ok(options)
}

/// Major and minor number of a version.
fn parsed(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// The reaction to a server that did not let us in. Where it only was silent or hung up, it is asked what it is: a server that encrypts does
/// that to who does not, and the other way round.
async fn greeted(settings: &MongodbSettings, place: &str, reaction: Reaction) -> Reaction {
    if !matches!(reaction, Reaction::Transient { .. }) {
        return reaction;
    }
    let Some(host) = settings.url().hosts().first() else { return reaction };
    let encrypted = settings.tls().is_some();
    let (greeting, mut answer) = if encrypted { (hello().unwrap_or_default(), vec![0_u8; 16]) } else { (GREETING.to_vec(), vec![0_u8; 1]) };
    let probe = async {
        let mut stream = TcpStream::connect(host.with_port(PORT)).await?;
        stream.write_all(&greeting).await?;
        stream.read_exact(&mut answer).await
    };
    if !matches!(tokio::time::timeout(PROBE, probe).await, Ok(Ok(_))) {
        return reaction;
    }
    match answer.as_slice() {
        answer if encrypted && answer.ends_with(&MESSAGE.to_le_bytes()) => {
            Reaction::fatal(format!("{place} does not speak TLS there: remove tls = true, or let the server encrypt"))
        }
        // What stands behind an encrypted connection is for the client to say.
        _ if encrypted => reaction,
        // An alert, or a handshake.
        [0x15 | 0x16] => Reaction::fatal(format!("{place} expects TLS: set mongodb.tls = true, and mongodb.ca_file where its certificate is of a CA of your own")),
        _ => Reaction::fatal(format!("{place}: what answers there is no MongoDB server: check host and port in stores.documents")),
    }
}

/// The question that every MongoDB server answers without a password.
fn hello() -> Option<Vec<u8>> {
    let body = RawDocumentBuf::try_from(&doc! { "hello": 1, "$db": "admin" }).ok()?.into_bytes();
    let mut message = Vec::with_capacity(21 + body.len());
    for number in [i32::try_from(21 + body.len()).ok()?, 1, 0, MESSAGE, 0] {
        message.extend_from_slice(&number.to_le_bytes());
    }
    message.push(0);
    message.extend_from_slice(&body);
    Some(message)
}

/// What may lose what was acknowledged: in the settings, and in how the server keeps its data. What the user may not see is not told.
///
/// # Errors
/// Where the server does not answer.
pub async fn weaknesses(connected: &Connected, settings: &MongodbSettings) -> Result<Vec<String>, Reaction> {
    let mut weaknesses: Vec<String> = settings.weaknesses().into_iter().map(str::to_owned).collect();
    let status = doc! { "serverStatus": 1, "repl": 0, "metrics": 0, "locks": 0, "wiredTiger": 0 };
    if let Ok(status) = connected.answer(connected.database.run_command(status)).await?
        && status.get_document("storageEngine").is_ok_and(|engine| engine.get_bool("persistent").is_ok_and(|persistent| !persistent))
    {
        weaknesses.push("the server keeps its data in memory: use the storage engine wiredTiger".to_owned());
    }
    if let Ok(hello) = connected.answer(connected.database.run_command(doc! { "hello": 1 })).await?
        && !hello.contains_key("setName")
        && !hello.get_str("msg").is_ok_and(|said| said == "isdbgrid")
    {
        weaknesses.push("the server stands alone, so that its disk is the only one: make it a replica set".to_owned());
    }
    Ok(weaknesses)
}

/// Warns of weaknesses, or refuses, as the settings say.
///
/// # Errors
/// Fatal with `durability = "strict"`; what [`weaknesses`] says.
pub async fn be_durable(connected: &Connected, settings: &MongodbSettings) -> Result<(), Reaction> {
    for weakness in weaknesses(connected, settings).await? {
        match settings.durability() {
            Durability::Warn => tracing::warn!(target: DURABILITY, store = "documents", "{weakness}"),
            Durability::Strict => return Err(Reaction::fatal(format!("{}: {weakness}, or set stores.durability = \"warn\"", connected.place()))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(parsed("4.4.29").unwrap() < OLDEST && parsed("5.0.0").unwrap() >= OLDEST && parsed("10.1").unwrap() > OLDEST);
        assert_eq!((parsed(""), parsed("x.y")), (None, None));
    }

    #[test]
    fn the_question_is_one_whole_message() {
        let hello = hello().unwrap();
        assert_eq!((hello[..4].to_vec(), &hello[12..16]), (i32::try_from(hello.len()).unwrap().to_le_bytes().to_vec(), &MESSAGE.to_le_bytes()[..]));
        assert_eq!(RawDocumentBuf::from_bytes(hello[21..].to_vec()).unwrap().get_str("$db").unwrap(), "admin");
    }

    #[test]
    fn the_greeting_is_one_whole_record_and_a_line() {
        assert_eq!((&GREETING[..5], GREETING[5..52].len(), &GREETING[52..]), (&[0x16, 3, 1, 0, 47][..], 47, &b"\r\n"[..]));
        assert_eq!((GREETING[5], GREETING[8], &GREETING[9..11], &GREETING[43..52]), (1, 43, &[3, 3][..], &[0, 0, 4, 0xC0, 0x2F, 0x13, 1, 1, 0][..]));
    }
}
