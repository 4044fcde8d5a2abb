//! From a fresh connection to a client that has proven who it is.
//!
//! What must stay true: nothing is read ahead of an answer about encryption, so that nothing which came unencrypted counts as encrypted; where
//! encryption is demanded, nobody is asked for a password without it; a client that takes its time is dropped.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pgwire::api::auth::sasl::scram::ScramServerAuth;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::startup::{Authentication, NegotiateProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use wh_query::{Principal, Way};

use super::errors::{Failure, code};
use super::frames::Frontend;
use super::wire::{Gone, Io, Wire};
use crate::access::Access;

/// What the first messages ask for (PostgreSQL's documentation, "Message Formats").
const TLS: i32 = 80_877_103;
const GSS: i32 = 80_877_104;
const CANCEL: i32 = 80_877_102;
/// Longest first message.
const MOST_BYTES: usize = 10_000;
/// How long the end of a connection may take to be sent.
const CLOSING: Duration = Duration::from_secs(2);
const SCRAM: &str = "SCRAM-SHA-256";

/// What a connection is for.
pub(super) enum Arrival {
    Session(Box<Guest>),
    /// What came over this connection, which is to be closed when it is done.
    Cancel {
        id: i32,
        key: i32,
        io: Io,
    },
}

/// A client that has proven who it is.
pub(super) struct Guest {
    pub(super) wire: Wire,
    pub(super) principal: Principal,
    /// What it sent with its name: settings, mostly.
    pub(super) parameters: BTreeMap<String, String>,
}

/// A first message.
enum First {
    Tls,
    Gss,
    Cancel { id: i32, key: i32 },
    Start { minor: u16, parameters: BTreeMap<String, String> },
}

/// How a listener is served.
pub(super) struct Terms {
    pub(super) access: Arc<Access>,
    pub(super) tls: Option<TlsAcceptor>,
    /// Whether connections that are not encrypted are refused.
    pub(super) only_tls: bool,
}

/// Talks with a client until it is known what it wants and who it is. `None` where it is gone or was told why not.
pub(super) async fn receive(stream: TcpStream, peer: SocketAddr, terms: &Terms, stop: &CancellationToken) -> Option<Arrival> {
    let mut io: Io = Either::Left(stream);
    // Each may be asked for once: after a refusal come the other, a start, or nothing.
    let (mut minor, mut parameters) = (0, BTreeMap::new());
    for _ in 0..3 {
        match first(&mut io).await? {
            First::Cancel { id, key } => return Some(Arrival::Cancel { id, key, io }),
            First::Gss => io.write_all(b"N").await.ok()?,
            First::Tls => {
                io = match (io, &terms.tls) {
                    (Either::Left(mut stream), Some(acceptor)) => {
                        stream.write_all(b"S").await.ok()?;
                        match acceptor.accept(stream).await {
                            Ok(stream) => Either::Right(Box::new(stream)),
                            Err(error) => {
                                tracing::debug!(%peer, "a TLS handshake failed: {error}");
                                return None;
                            }
                        }
                    }
                    (mut io, _) => {
                        io.write_all(b"N").await.ok()?;
                        io
                    }
                };
            }
            First::Start { minor: wanted, parameters: given } => {
                (minor, parameters) = (wanted, given);
                break;
            }
        }
    }
    let encrypted = matches!(io, Either::Right(_));
    let mut wire = Wire::new(io, stop.clone());
    let principal = match authenticate(&mut wire, terms, encrypted, minor, &parameters).await {
        Ok(principal) => principal,
        Err(Refusal::Gone) => return None,
        Err(Refusal::Told(failure)) => {
            tracing::info!(%peer, code = failure.code, "a client was refused: {}", failure.message);
            refuse(&mut wire, &failure).await;
            return None;
        }
    };
    let principal = Principal { way: Way::Postgres, peer: Some(peer), ..principal };
    Some(Arrival::Session(Box::new(Guest { wire, principal, parameters })))
}

/// Ends a connection so that its client knows that nothing was cut off: an encrypted one says so (RFC 8446, "close_notify").
pub(super) async fn close(mut io: Io) {
    match tokio::time::timeout(CLOSING, io.shutdown()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("a connection could not be closed in order: {error}"),
        Err(_) => tracing::debug!("a client did not take the end of its connection"),
    }
}

/// Says why a connection ends.
pub(super) async fn refuse(wire: &mut Wire, failure: &Failure) {
    let told = async {
        wire.send(failure.message()).await?;
        wire.flush().await
    };
    if told.await.is_err() {
        tracing::debug!("a client went away before it was told why it was refused");
    }
}

enum Refusal {
    Gone,
    Told(Failure),
}

impl From<Gone> for Refusal {
    fn from(_: Gone) -> Refusal {
        Refusal::Gone
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        Refusal::Told(failure)
    }
}

async fn authenticate(wire: &mut Wire, terms: &Terms, encrypted: bool, minor: u16, parameters: &BTreeMap<String, String>) -> Result<Principal, Refusal> {
    let unknown: Vec<String> = parameters.keys().filter(|name| name.starts_with("_pq_.")).cloned().collect();
    if minor > 0 || !unknown.is_empty() {
        wire.send(PgWireBackendMessage::NegotiateProtocolVersion(NegotiateProtocolVersion::new(0, unknown))).await?;
    }
    if terms.only_tls && !encrypted {
        return Err(Failure::fatal(code::NOT_AUTHORIZED, "connections to this address must be encrypted")
            .hint("connect with sslmode=require, or with sslmode=verify-full and the certificate")
            .into());
    }
    let Some(user) = parameters.get("user").filter(|user| !user.is_empty()) else {
        return Err(Failure::fatal(code::NOT_AUTHORIZED, "no user name was sent").into());
    };
    if parameters.get("replication").is_some_and(|value| !matches!(value.as_str(), "false" | "off" | "no" | "0")) {
        return Err(Failure::fatal(code::UNSUPPORTED, "there is no replication here").into());
    }
    let principal = if terms.access.is_open() { terms.access.trusted(user, Way::Postgres) } else { scram(wire, &terms.access, user).await? };
    wire.send(PgWireBackendMessage::Authentication(Authentication::Ok)).await?;
    Ok(principal)
}

/// SCRAM-SHA-256 (RFC 5802, RFC 7677) in PostgreSQL's SASL messages.
async fn scram(wire: &mut Wire, access: &Access, user: &str) -> Result<Principal, Refusal> {
    let wrong = || Refusal::Told(Failure::fatal(code::WRONG_PASSWORD, format!("password authentication failed for user \"{user}\"")));
    let broken = || Refusal::Told(Failure::fatal(code::PROTOCOL, "malformed SCRAM message"));
    ask(wire, Authentication::SASL(vec![SCRAM.to_owned()])).await?;
    let initial = answer(wire).await?;
    let (mechanism, first) = sasl_initial(&initial).ok_or_else(broken)?;
    if mechanism != SCRAM {
        return Err(Failure::fatal(code::PROTOCOL, "client selected an invalid SASL authentication mechanism").into());
    }
    let (server_first, waiting) = ScramServerAuth::new().on_client_first_message(first, access.scram(user)).map_err(|_| broken())?;
    ask(wire, Authentication::SASLContinue(server_first.into())).await?;
    let proof = answer(wire).await?;
    let server_final = waiting.on_client_final_message(&proof).map_err(|_| wrong())?;
    let principal = access.proven(user).ok_or_else(wrong)?;
    wire.send(PgWireBackendMessage::Authentication(Authentication::SASLFinal(server_final.into()))).await?;
    Ok(principal)
}

async fn ask(wire: &mut Wire, message: Authentication) -> Result<(), Refusal> {
    wire.send(PgWireBackendMessage::Authentication(message)).await?;
    Ok(wire.flush().await?)
}

async fn answer(wire: &mut Wire) -> Result<Bytes, Refusal> {
    match wire.next().await? {
        Frontend::Password(bytes) => Ok(bytes),
        Frontend::Terminate => Err(Refusal::Gone),
        _ => Err(Failure::fatal(code::PROTOCOL, "expected a password message").into()),
    }
}

/// Mechanism and data of a SASLInitialResponse.
fn sasl_initial(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let (mechanism, rest) = bytes.split_at_checked(end)?;
    let (length, data) = rest.get(1..)?.split_first_chunk::<4>()?;
    let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
    (data.len() == length).then_some((std::str::from_utf8(mechanism).ok()?, data))
}

/// Reads one first message, and not a byte beyond it.
async fn first(io: &mut Io) -> Option<First> {
    let length = usize::try_from(io.read_i32().await.ok()?).ok()?.checked_sub(4)?;
    if !(4..=MOST_BYTES).contains(&length) {
        return None;
    }
    let mut body = vec![0; length];
    io.read_exact(&mut body).await.ok()?;
    first_of(&body)
}

fn first_of(body: &[u8]) -> Option<First> {
    let (kind, rest) = body.split_first_chunk::<4>()?;
    match i32::from_be_bytes(*kind) {
        TLS => Some(First::Tls),
        GSS => Some(First::Gss),
        CANCEL => {
            let (id, key) = rest.split_first_chunk::<4>()?;
            Some(First::Cancel { id: i32::from_be_bytes(*id), key: i32::from_be_bytes(key.try_into().ok()?) })
        }
        version if version >> 16 == 3 => {
            let minor = u16::from_be_bytes([kind[2], kind[3]]);
            Some(First::Start { minor, parameters: parameters(rest)? })
        }
        _ => None,
    }
}

/// Names and values, each ended by a zero byte, and one more at the end.
fn parameters(bytes: &[u8]) -> Option<BTreeMap<String, String>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut pieces = text.split('\0');
    let mut parameters = BTreeMap::new();
    while let Some(name) = pieces.next().filter(|name| !name.is_empty()) {
        parameters.insert(name.to_owned(), pieces.next()?.to_owned());
    }
    Some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: i32, rest: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], rest].concat()
    }

    #[test]
    fn first_messages_are_told_apart_and_broken_ones_refused() {
        assert!(matches!(first_of(&message(TLS, b"")), Some(First::Tls)));
        assert!(matches!(first_of(&message(GSS, b"")), Some(First::Gss)));
        assert!(matches!(first_of(&message(CANCEL, &[0, 0, 0, 7, 0, 0, 1, 0])), Some(First::Cancel { id: 7, key: 256 })));
        let Some(First::Start { minor: 2, parameters }) = first_of(&message(0x0003_0002, b"user\0ann\0database\0\0\0")) else { panic!("no start") };
        assert_eq!(parameters, BTreeMap::from([("user".to_owned(), "ann".to_owned()), ("database".to_owned(), String::new())]));
        for broken in [message(CANCEL, &[0; 5]), message(0x0002_0000, b"\0"), message(0x0003_0000, b"user"), message(0x0003_0000, b"\xff\0x\0\0"), Vec::new()] {
            assert!(first_of(&broken).is_none(), "{broken:?}");
        }
    }

    #[test]
    fn a_sasl_message_names_its_mechanism() {
        assert_eq!(sasl_initial(b"SCRAM-SHA-256\0\0\0\0\x02n,"), Some(("SCRAM-SHA-256", &b"n,"[..])));
        for broken in [&b"SCRAM"[..], b"S\0", b"S\0\0\0\0\x05n,", b"S\0\xff\xff\xff\xff", b""] {
            assert_eq!(sasl_initial(broken), None);
        }
    }
}
