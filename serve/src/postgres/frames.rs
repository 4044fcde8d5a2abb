//! Messages of a client after its start-up (PostgreSQL's documentation, "Message Formats"), read with every length checked.
//!
//! What must stay true: no bytes make this panic; a message that is too long is thrown away as it comes, never gathered; one
//! that cannot be read is an error of its own, after which the next message is read.
//!
//! pgwire's own decoder is not used: it indexes past the end of short messages and replaces what is not UTF-8.

use bytes::{Buf, Bytes, BytesMut};
use pgwire::messages::PgWireBackendMessage;
use tokio_util::codec::{Decoder, Encoder};

use super::errors::{Failure, code};

/// Longest message: parameters may be longer than statements, which the engine bounds.
pub(super) const MOST_BYTES: usize = 16 << 20;
/// By how much the buffer grows at a time.
const READ_BYTES: usize = 64 << 10;
/// Type and length of a message.
const HEADER: usize = 5;

/// A message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frontend {
    Query(String),
    Parse {
        statement: String,
        sql: String,
        types: Vec<u32>,
    },
    Bind {
        portal: String,
        statement: String,
        formats: Vec<i16>,
        parameters: Vec<Option<Bytes>>,
        results: Vec<i16>,
    },
    Describe {
        target: Target,
        name: String,
    },
    Execute {
        portal: String,
        rows: Option<u64>,
    },
    Close {
        target: Target,
        name: String,
    },
    Flush,
    Sync,
    Terminate,
    /// A password, or a step of SASL.
    Password(Bytes),
    /// Data of a COPY FROM, of which there is none here: PostgreSQL reads on over it.
    Copy,
    /// One that cannot be read.
    Malformed {
        extended: bool,
        failure: Failure,
    },
}

/// What Describe and Close are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Statement,
    Portal,
}

impl Frontend {
    /// Bytes that it holds, about.
    pub(super) fn size(&self) -> usize {
        let held = match self {
            Frontend::Query(sql) => sql.len(),
            Frontend::Parse { sql, types, .. } => sql.len() + 4 * types.len(),
            Frontend::Bind { parameters, .. } => parameters.iter().flatten().map(|value| value.len() + 8).sum(),
            Frontend::Password(bytes) => bytes.len(),
            _ => 0,
        };
        held + 64
    }
}

/// Reads the messages of a client and writes those of the server.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Bytes of a message that is too long, still to be thrown away.
    skip: usize,
    /// What to say once they are gone.
    told: Option<Frontend>,
}

impl Decoder for Frames {
    type Item = Frontend;
    type Error = std::io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frontend>, std::io::Error> {
        if self.skip > 0 {
            let gone = self.skip.min(src.len());
            src.advance(gone);
            self.skip -= gone;
        }
        if self.skip > 0 {
            return Ok(None);
        }
        if let Some(told) = self.told.take() {
            return Ok(Some(told));
        }
        let Some((&kind, rest)) = src.split_first() else { return Ok(None) };
        let Some(length) = rest.first_chunk::<4>() else { return Ok(None) };
        let length = i32::from_be_bytes(*length);
        // The length counts itself.
        let Some(body) = usize::try_from(length).ok().and_then(|length| length.checked_sub(4)) else {
            let failure = Failure::fatal(code::PROTOCOL, "invalid message length");
            src.clear();
            return Ok(Some(Frontend::Malformed { extended: false, failure }));
        };
        if body > MOST_BYTES {
            src.advance(HEADER);
            self.skip = body;
            let failure = Failure::new(code::LIMIT, format!("a message of {body} bytes is longer than the {MOST_BYTES} that are taken"));
            self.told = Some(Frontend::Malformed { extended: is_extended(kind), failure });
            return self.decode(src);
        }
        if src.len() < HEADER + body {
            // A length alone takes no memory.
            src.reserve((HEADER + body - src.len()).min(READ_BYTES));
            return Ok(None);
        }
        src.advance(HEADER);
        let body = src.split_to(body).freeze();
        Ok(Some(read(kind, body).unwrap_or_else(|failure| Frontend::Malformed { extended: is_extended(kind), failure })))
    }
}

/// Whether the client goes on with Sync after an error in such a message.
fn is_extended(kind: u8) -> bool {
    matches!(kind, b'P' | b'B' | b'D' | b'E' | b'C' | b'H')
}

fn read(kind: u8, body: Bytes) -> Result<Frontend, Failure> {
    let mut body = Body(body);
    Ok(match kind {
        b'Q' => Frontend::Query(body.text()?),
        b'P' => {
            let (statement, sql) = (body.text()?, body.text()?);
            let types = body.many(|body| Ok(body.0.try_get_u32()?))?;
            Frontend::Parse { statement, sql, types }
        }
        b'B' => {
            let (portal, statement) = (body.text()?, body.text()?);
            let formats = body.many(|body| Ok(body.0.try_get_i16()?))?;
            let parameters = body.many(Body::value)?;
            let results = body.many(|body| Ok(body.0.try_get_i16()?))?;
            Frontend::Bind { portal, statement, formats, parameters, results }
        }
        b'D' => Frontend::Describe { target: body.target()?, name: body.text()? },
        b'E' => {
            let portal = body.text()?;
            let rows = body.0.try_get_i32().map_err(short)?;
            // Zero, and what PostgreSQL takes for it, is no limit.
            Frontend::Execute { portal, rows: u64::try_from(rows).ok().filter(|rows| *rows > 0) }
        }
        b'C' => Frontend::Close { target: body.target()?, name: body.text()? },
        b'H' => Frontend::Flush,
        b'S' => Frontend::Sync,
        b'X' => Frontend::Terminate,
        b'p' => Frontend::Password(body.0),
        b'd' | b'c' | b'f' => Frontend::Copy,
        b'F' => return Err(Failure::new(code::UNSUPPORTED, "function calls by their own message are not supported").hint("call the function in a SELECT")),
        other => return Err(Failure::fatal(code::PROTOCOL, format!("invalid frontend message type {other}"))),
    })
}

fn short(_: bytes::TryGetError) -> Failure {
    Failure::new(code::PROTOCOL, "insufficient data left in message")
}

impl From<bytes::TryGetError> for Failure {
    fn from(error: bytes::TryGetError) -> Failure {
        short(error)
    }
}

/// What of a message is still unread.
struct Body(Bytes);

impl Body {
    /// Text up to the next zero byte.
    fn text(&mut self) -> Result<String, Failure> {
        let Some(end) = self.0.iter().position(|byte| *byte == 0) else {
            return Err(Failure::new(code::PROTOCOL, "invalid string in message"));
        };
        let text = self.0.split_to(end);
        self.0.advance(1);
        String::from_utf8(text.to_vec()).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Failure::new(code::NOT_UTF8, format!("invalid byte sequence for encoding \"UTF8\": 0x{:02x}", text.get(at).copied().unwrap_or_default()))
        })
    }

    /// A count and as many of something.
    fn many<T>(&mut self, mut one: impl FnMut(&mut Body) -> Result<T, Failure>) -> Result<Vec<T>, Failure> {
        let count = self.0.try_get_u16()?;
        (0..count).map(|_| one(self)).collect()
    }

    /// A length and as many bytes; −1 is NULL.
    fn value(&mut self) -> Result<Option<Bytes>, Failure> {
        let length = self.0.try_get_i32()?;
        if length == -1 {
            return Ok(None);
        }
        match usize::try_from(length) {
            Ok(length) if length <= self.0.len() => Ok(Some(self.0.split_to(length))),
            _ => Err(Failure::new(code::PROTOCOL, "insufficient data left in message")),
        }
    }

    fn target(&mut self) -> Result<Target, Failure> {
        match self.0.try_get_u8()? {
            b'S' => Ok(Target::Statement),
            b'P' => Ok(Target::Portal),
            other => Err(Failure::new(code::PROTOCOL, format!("{other} names neither a statement nor a portal"))),
        }
    }
}

impl Encoder<PgWireBackendMessage> for Frames {
    type Error = std::io::Error;

    fn encode(&mut self, message: PgWireBackendMessage, dst: &mut BytesMut) -> Result<(), std::io::Error> {
        message.encode(dst).map_err(std::io::Error::other)
    }
}

/// Messages that are encoded already.
impl Encoder<BytesMut> for Frames {
    type Error = std::io::Error;

    fn encode(&mut self, chunk: BytesMut, dst: &mut BytesMut) -> Result<(), std::io::Error> {
        dst.unsplit(chunk);
        Ok(())
    }
}
