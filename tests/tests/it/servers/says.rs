//! Lines to servers that answer in a server's stead: what it says when it is full, locked or changes over, which no test may make of a server
//! that others use at the same time. The client, and how it reads such an answer, are the real ones; everything else passes through.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What is answered to a request: to the body of one over HTTP, to the whole of another.
type Words = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;
type Heard = watch::Receiver<Option<Words>>;

/// A line to a server.
pub(super) struct Line {
    pub(super) address: SocketAddr,
    words: watch::Sender<Option<Words>>,
    task: JoinHandle<()>,
}

impl Line {
    /// From now on this is what is answered.
    pub(super) fn says(&self, words: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) {
        self.words.send_replace(Some(Arc::new(words)));
    }

    /// From now on the server answers.
    pub(super) fn passes(&self) {
        self.words.send_replace(None);
    }

    async fn with<F: Future<Output = io::Result<()>> + Send + 'static>(carry: impl Fn(TcpStream, Heard) -> F + Send + 'static) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (words, heard) = watch::channel(None);
        let task = tokio::spawn(async move {
            let mut carried = JoinSet::new();
            loop {
                let (near, _) = listener.accept().await.unwrap();
                carried.spawn(carry(near, heard.clone()));
            }
        });
        Line { address, words, task }
    }

    /// To a server that speaks HTTP; requests whose first line begins so are answered here.
    pub(super) async fn http(server: String, begins: &'static str) -> Line {
        Line::with(move |near, heard| carry_http(near, server.clone(), begins, heard)).await
    }

    /// To a Redis server; calls of scripts are answered here.
    pub(super) async fn redis(server: String) -> Line {
        Line::with(move |near, heard| carry(near, server.clone(), heard, redis_command, "EVALSHA", |_, said| said)).await
    }

    /// To a MongoDB server; inserts are answered here, by the bytes of a document.
    pub(super) async fn mongodb(server: String) -> Line {
        Line::with(move |near, heard| carry(near, server.clone(), heard, mongodb_command, "insert", mongodb_reply)).await
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer over HTTP; `more` are headers, each with its end of line.
pub(super) fn http(status: u16, more: &str, body: &str) -> Vec<u8> {
    let fixed = "Content-Type: application/json\r\nX-elastic-product: Elasticsearch\r\nConnection: close";
    format!("HTTP/1.1 {status} Said\r\n{fixed}\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// One request a connection.
async fn carry_http(mut near: TcpStream, server: String, begins: &'static str, heard: Heard) -> io::Result<()> {
    let mut asked = Vec::new();
    let (head, whole) = loop {
        if let Some((head, whole)) = http_request(&asked)
            && asked.len() >= whole
        {
            break (head, whole);
        }
        if near.read_buf(&mut asked).await? == 0 {
            return Ok(());
        }
    };
    let words = heard.borrow().clone();
    if let Some(words) = words.filter(|_| asked.starts_with(begins.as_bytes())) {
        near.write_all(&words(&asked[head..whole])).await?;
        return near.shutdown().await;
    }
    let first = asked.windows(2).position(|two| two == b"\r\n").unwrap_or(0) + 2;
    let mut far = TcpStream::connect(server).await?;
    far.write_all(&asked[..first]).await?;
    far.write_all(b"Connection: close\r\n").await?;
    far.write_all(&asked[first..whole]).await?;
    // One that does not hear that its connection ends asks over it again.
    let mut answer = Vec::new();
    far.read_to_end(&mut answer).await?;
    let first = answer.windows(2).position(|two| two == b"\r\n").unwrap_or(0) + 2;
    near.write_all(&answer[..first]).await?;
    near.write_all(b"Connection: close\r\n").await?;
    near.write_all(&answer[first..]).await?;
    near.shutdown().await
}

/// Bytes of a request's head, and of all of it; nothing until its head is there.
fn http_request(asked: &[u8]) -> Option<(usize, usize)> {
    let head = asked.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&asked[..head]).to_lowercase();
    assert!(!text.contains("transfer-encoding:"), "a body of unknown length");
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    Some((head, head + length.unwrap_or(0)))
}

/// A connection of many requests, each told by `command`: its length and name. Those named `taken` are answered here.
async fn carry(
    near: TcpStream,
    server: String,
    heard: Heard,
    command: fn(&[u8]) -> Option<(usize, String)>,
    taken: &'static str,
    reply: fn(&[u8], Vec<u8>) -> Vec<u8>,
) -> io::Result<()> {
    let far = TcpStream::connect(server).await?;
    let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
    let (mut asked, mut answered) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        tokio::select! {
            count = near_in.read_buf(&mut asked) => if count? == 0 { return Ok(()) },
            count = far_in.read(&mut answered) => {
                let count = count?;
                if count == 0 {
                    return Ok(());
                }
                near_out.write_all(&answered[..count]).await?;
            }
        }
        while let Some((length, name)) = command(&asked) {
            let rest = asked.split_off(length);
            let words = heard.borrow().clone();
            match words.filter(|_| name == taken) {
                Some(words) => near_out.write_all(&reply(&asked, words(&asked))).await?,
                None => far_out.write_all(&asked).await?,
            }
            asked = rest;
        }
    }
}

/// The first command of Redis's protocol, where it is there as a whole.
fn redis_command(asked: &[u8]) -> Option<(usize, String)> {
    // `*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n`
    let number = |at: usize| -> Option<(usize, usize)> {
        let end = at + asked.get(at..)?.windows(2).position(|two| two == b"\r\n")?;
        let value = std::str::from_utf8(asked.get(at + 1..end)?).ok()?.parse().ok()?;
        Some((value, end + 2))
    };
    let (parts, mut at) = number(0)?;
    let mut name = String::new();
    for part in 0..parts {
        let (length, begin) = number(at)?;
        let bytes = asked.get(begin..begin + length)?;
        if part == 0 {
            name = String::from_utf8_lossy(bytes).to_uppercase();
        }
        at = begin + length + 2;
    }
    (at > 0 && asked.len() >= at).then_some((at, name))
}

/// Bytes of the length, the request's number, the number that is answered, the kind; and the kind of today's messages.
const HEADER: usize = 16;
const OP_MSG: i32 = 2_013;

fn int(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The first message of MongoDB's protocol, where it is there as a whole; its name is that of the first element of its document.
fn mongodb_command(asked: &[u8]) -> Option<(usize, String)> {
    let length = usize::try_from(int(asked, 0)?).ok()?;
    let message = asked.get(..length)?;
    // Flags, the section's kind (0: a document), the document's length, the element's kind, its name up to a zero.
    let is_document = int(message, 12)? == OP_MSG && message.get(HEADER + 4) == Some(&0);
    let name = message.get(HEADER + 10..).filter(|_| is_document).and_then(|rest| rest.split(|byte| *byte == 0).next());
    Some((length, name.map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default()))
}

/// The message that answers one with a document.
fn mongodb_reply(asked: &[u8], document: Vec<u8>) -> Vec<u8> {
    let length = i32::try_from(HEADER + 5 + document.len()).unwrap();
    let answers = int(asked, 4).unwrap_or_default();
    let mut message: Vec<u8> = [length, 1, answers, OP_MSG, 0].into_iter().flat_map(i32::to_le_bytes).collect();
    message.push(0);
    message.extend(document);
    message
}

#[test]
fn requests_are_told_apart() {
    let two = b"*2\r\n$4\r\necho\r\n$2\r\nhi\r\n*1\r\n$4\r\nPING\r\n";
    assert_eq!(redis_command(two), Some((22, "ECHO".to_owned())));
    assert_eq!(redis_command(&two[22..]), Some((14, "PING".to_owned())));
    assert_eq!(redis_command(&two[..21]), None);
    let document = b"\x11\0\0\0\x02insert\0\x02\0\0\0a\0\0".to_vec();
    let message = mongodb_reply(&[0; HEADER], document);
    assert_eq!(mongodb_command(&message), Some((message.len(), "insert".to_owned())));
    assert_eq!(mongodb_command(&message[..message.len() - 1]), None);
    let post = b"POST /x HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc";
    assert_eq!(http_request(post), Some((post.len() - 3, post.len())));
}
