//! Messages of clients, and bytes that are none.

use bytes::{BufMut, Bytes, BytesMut};
use tokio_util::codec::Decoder;

use super::errors::{Failure, code};
use super::frames::{Frames, Frontend, MOST_BYTES, Target};

fn frame(kind: u8, body: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_u8(kind);
    bytes.put_i32(i32::try_from(body.len() + 4).unwrap());
    bytes.put_slice(body);
    bytes
}

fn decoded(mut bytes: BytesMut) -> Option<Frontend> {
    Frames::default().decode(&mut bytes).unwrap()
}

fn failure(bytes: BytesMut) -> Failure {
    match decoded(bytes) {
        Some(Frontend::Malformed { failure, .. }) => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_are_read() {
    assert_eq!(decoded(frame(b'Q', b"SELECT 1\0")), Some(Frontend::Query("SELECT 1".into())));
    let parse = Frontend::Parse { statement: "s".into(), sql: "SELECT $1".into(), types: vec![23] };
    assert_eq!(decoded(frame(b'P', b"s\0SELECT $1\0\0\x01\0\0\0\x17")), Some(parse));
    let bind = Frontend::Bind { portal: String::new(), statement: "s".into(), formats: vec![1], parameters: vec![None, Some(Bytes::from_static(b"ab"))], results: vec![0] };
    assert_eq!(decoded(frame(b'B', b"\0s\0\0\x01\0\x01\0\x02\xff\xff\xff\xff\0\0\0\x02ab\0\x01\0\0")), Some(bind));
    assert_eq!(decoded(frame(b'E', b"p\0\0\0\0\x05")), Some(Frontend::Execute { portal: "p".into(), rows: Some(5) }));
    assert_eq!(decoded(frame(b'E', b"\0\xff\xff\xff\xff")), Some(Frontend::Execute { portal: String::new(), rows: None }));
    assert_eq!(decoded(frame(b'D', b"Sx\0")), Some(Frontend::Describe { target: Target::Statement, name: "x".into() }));
    assert_eq!(decoded(frame(b'S', b"")), Some(Frontend::Sync));
    assert_eq!(decoded(BytesMut::from(&b"Q\0\0\0\x0aSEL"[..])), None);
}

#[test]
fn what_cannot_be_read_is_an_error_and_no_panic() {
    for kind in [b'P', b'B', b'D', b'E', b'C', b'Q'] {
        for body in [&b""[..], b"\0", b"a", b"\0\0", b"\0\0\xff\xff", b"\0\0\0\0\0\x01\x7f\xff\xff\xff"] {
            if let Some(Frontend::Malformed { failure, extended }) = decoded(frame(kind, body)) {
                assert_eq!((failure.code, failure.fatal, extended), (code::PROTOCOL, false, kind != b'Q'));
            }
        }
    }
    assert_eq!(failure(frame(b'Q', b"SELECT '\xff'\0")).code, code::NOT_UTF8);
    assert_eq!(failure(frame(b'F', b"")).code, code::UNSUPPORTED);
    assert!(failure(frame(b'?', b"")).fatal);
    assert!(failure(BytesMut::from(&b"Q\0\0\0\0"[..])).fatal);
    assert!(failure(BytesMut::from(&b"Q\xff\xff\xff\xff"[..])).fatal);
}

#[test]
fn a_message_that_is_too_long_is_thrown_away_and_the_next_is_read() {
    let mut frames = Frames::default();
    let mut bytes = BytesMut::new();
    bytes.put_u8(b'Q');
    bytes.put_i32(i32::try_from(MOST_BYTES + 5).unwrap());
    assert_eq!(frames.decode(&mut bytes).unwrap(), None);
    for _ in 0..MOST_BYTES / (1 << 20) {
        bytes.put_bytes(b'x', 1 << 20);
        assert_eq!(frames.decode(&mut bytes).unwrap(), None);
        assert!(bytes.is_empty());
    }
    bytes.put_u8(b'x');
    let Some(Frontend::Malformed { failure, extended: false }) = frames.decode(&mut bytes).unwrap() else { panic!("no error") };
    assert_eq!((failure.code, failure.fatal), (code::LIMIT, false));
    bytes.unsplit(frame(b'S', b""));
    assert_eq!(frames.decode(&mut bytes).unwrap(), Some(Frontend::Sync));
}
