//! PostgreSQL's protocol, by a client that many programs have, and by bare bytes.

mod access;
mod hostile;
mod protocol;
mod rows;

use tokio::net::TcpStream;
use tokio_postgres::error::ErrorPosition;
use tokio_postgres::{Client, Config, Error, NoTls, SimpleQueryMessage};

use crate::served::Served;

/// A connection as someone.
async fn connect_as(served: &Served, user: &str, password: Option<&str>) -> Result<Client, Error> {
    let stream = TcpStream::connect(served.postgres()).await.unwrap();
    let mut config = Config::new();
    config.user(user).dbname("wardhouse").application_name("test");
    if let Some(password) = password {
        config.password(password);
    }
    let (client, connection) = config.connect_raw(stream, NoTls).await?;
    // It ends with its client.
    tokio::spawn(connection);
    Ok(client)
}

async fn connect(served: &Served) -> Client {
    connect_as(served, "ann", None).await.unwrap()
}

/// The rows of a message of the simple protocol, as texts.
async fn texts(client: &Client, sql: &str) -> Vec<Vec<String>> {
    let messages = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|place| row.get(place).unwrap_or("NULL").to_owned()).collect()),
        _ => None,
    };
    messages.iter().filter_map(row).collect()
}

/// The one value of a query, as text.
async fn text(client: &Client, sql: &str) -> String {
    texts(client, sql).await[0][0].clone()
}

/// What a client is told: code and message.
fn told(error: &Error) -> (String, String) {
    let error = error.as_db_error().unwrap_or_else(|| panic!("{error:?}"));
    (error.code().code().to_owned(), error.message().to_owned())
}

/// The code of what must fail.
async fn code(client: &Client, sql: &str) -> String {
    told(&client.simple_query(sql).await.expect_err(sql)).0
}

fn position(error: &Error) -> Option<u32> {
    match error.as_db_error()?.position()? {
        ErrorPosition::Original(position) => Some(*position),
        ErrorPosition::Internal { .. } => None,
    }
}
