//! Rows as COPY gives them: those of a whole relation, or of a range of keys.
//!
//! Of each row of a query the driver makes an object that knows each of its values' type, which takes longer than reading the values. COPY
//! takes no values, so that it is for what has no conditions.
//!
//! What must stay true: values are read as those of a query are; the text of a statement holds no value but keys, which are numbers of the
//! server's own; what breaks off within a row is told.
//!
//! Source: "COPY", "Binary Format", and "COPY Operations" (one message a row) in PostgreSQL's manual.

use futures::TryStreamExt;
use futures::stream::BoxStream;

use super::cells::{Reader, Unexpected};
use super::scan::Rows;
use super::tables::Table;
use crate::batch::BatchBuilder;
use crate::table::Request;

/// What binary copies begin with.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Length of the flags behind it.
const FLAGS: usize = 4;

/// The statement that copies what is asked for; `None` where that has conditions, an order or an end.
pub(super) fn statement(table: &Table, request: &Request, keys: Option<(i64, i64)>) -> Option<String> {
    let is_whole = request.predicates.is_empty() && request.order.is_empty() && request.limit.is_none();
    if !is_whole || request.projection.is_empty() {
        return None;
    }
    let columns: Vec<String> = request.projection.iter().map(|column| table.selected(*column)).collect();
    let (first, last) = keys.unwrap_or((i64::MIN, i64::MAX));
    let bounds = [(first != i64::MIN).then(|| format!("pos >= {first}")), (last != i64::MAX).then(|| format!("pos < {last}"))];
    let bounds: Vec<String> = bounds.into_iter().flatten().collect();
    let condition = if bounds.is_empty() { String::new() } else { format!(" WHERE {}", bounds.join(" AND ")) };
    Some(format!("COPY (SELECT {} FROM {}{condition}) TO STDOUT (FORMAT binary)", columns.join(", "), table.from))
}

/// A copy on its way. Each chunk is of whole rows.
pub(super) struct Copied<'c, B> {
    chunks: BoxStream<'c, Result<B, sqlx::Error>>,
    has_begun: bool,
}

impl<'c, B> Copied<'c, B> {
    pub(super) fn new(chunks: BoxStream<'c, Result<B, sqlx::Error>>) -> Copied<'c, B> {
        Copied { chunks, has_begun: false }
    }
}

impl<B: AsRef<[u8]>> Rows for Copied<'_, B> {
    async fn fill(&mut self, reader: &mut Reader, batch: &mut BatchBuilder) -> Result<Result<bool, Unexpected>, sqlx::Error> {
        while let Some(chunk) = self.chunks.try_next().await? {
            if let Err(unexpected) = read(chunk.as_ref(), &mut self.has_begun, reader, batch) {
                return Ok(Err(unexpected));
            }
            if batch.is_full() {
                return Ok(Ok(true));
            }
        }
        Ok(Ok(false))
    }
}

/// Reads the rows of a chunk.
fn read(chunk: &[u8], has_begun: &mut bool, reader: &mut Reader, batch: &mut BatchBuilder) -> Result<(), Unexpected> {
    let mut bytes = Bytes(chunk);
    if !*has_begun {
        bytes.header()?;
        *has_begun = true;
    }
    while !bytes.0.is_empty() {
        match bytes.fields()? {
            // The end.
            None => return Ok(()),
            Some(fields) if fields == reader.fields() => reader.push(|| bytes.field(), batch)?,
            Some(fields) => return Err(Unexpected(format!("a row of {fields} values"))),
        }
    }
    Ok(())
}

/// Bytes that are still to be read.
struct Bytes<'c>(&'c [u8]);

impl<'c> Bytes<'c> {
    fn take(&mut self, length: usize) -> Result<&'c [u8], Unexpected> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(|| Unexpected("a row that breaks off".to_owned()))?;
        self.0 = rest;
        Ok(taken)
    }

    fn word<const N: usize>(&mut self) -> Result<[u8; N], Unexpected> {
        self.take(N)?.try_into().map_err(|_| Unexpected("a row that breaks off".to_owned()))
    }

    fn header(&mut self) -> Result<(), Unexpected> {
        if self.take(SIGNATURE.len())? != SIGNATURE {
            return Err(Unexpected("a copy that does not begin as one".to_owned()));
        }
        self.take(FLAGS)?;
        let more = u32::from_be_bytes(self.word()?);
        self.take(usize::try_from(more).unwrap_or(usize::MAX)).map(drop)
    }

    /// How many values the next row has; `None` behind the last.
    fn fields(&mut self) -> Result<Option<usize>, Unexpected> {
        let fields = i16::from_be_bytes(self.word()?);
        Ok(usize::try_from(fields).ok())
    }

    /// The next value; `None` for NULL.
    fn field(&mut self) -> Result<Option<&'c [u8]>, Unexpected> {
        let length = i32::from_be_bytes(self.word()?);
        usize::try_from(length).ok().map(|length| self.take(length)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, AsArray};
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::postgres::tables::ledger;
    use crate::predicate::{Op, Predicate, Value};
    use crate::table::Order;

    fn request(projection: Vec<usize>) -> Request {
        Request { projection, predicates: Vec::new(), order: Vec::new(), limit: None, parts: 1 }
    }

    #[test]
    fn what_has_no_conditions_is_copied() {
        let table = ledger().swap_remove(0);
        let column = |name: &str| table.shape.index_of(name).unwrap();
        let all = request(vec![column("seq"), column("metadata")]);
        assert_eq!(statement(&table, &all, None).as_deref(), Some("COPY (SELECT \"seq\", \"metadata_text\", \"metadata\" FROM transactions) TO STDOUT (FORMAT binary)"));
        let part = |keys| statement(&table, &request(vec![column("seq")]), Some(keys)).unwrap();
        assert_eq!(part((i64::MIN, 7)), "COPY (SELECT \"seq\" FROM transactions WHERE pos < 7) TO STDOUT (FORMAT binary)");
        assert_eq!(part((-7, 9)), "COPY (SELECT \"seq\" FROM transactions WHERE pos >= -7 AND pos < 9) TO STDOUT (FORMAT binary)");
        assert_eq!(part((7, i64::MAX)), "COPY (SELECT \"seq\" FROM transactions WHERE pos >= 7) TO STDOUT (FORMAT binary)");
        let condition = Predicate::Compare { column: column("seq"), op: Op::Gt, value: Value::Int(7) };
        let order = Order { column: column("seq"), descending: false, nulls_first: false };
        for other in
            [request(Vec::new()), Request { predicates: vec![condition], ..all.clone() }, Request { order: vec![order], ..all.clone() }, Request { limit: Some(7), ..all.clone() }]
        {
            assert_eq!(statement(&table, &other, None), None, "{other:?}");
        }
    }

    #[test]
    fn rows_are_read_until_the_end_and_no_further() {
        let table = ledger().swap_remove(0);
        let column = |name: &str| table.shape.index_of(name).unwrap();
        let projection = [column("seq"), column("description")];
        let header = [SIGNATURE, &[0; 8][..]].concat();
        let row = |seq: i64, text: Option<&str>| {
            let mut row = vec![0, 2, 0, 0, 0, 8];
            row.extend(seq.to_be_bytes());
            match text {
                Some(text) => {
                    row.extend(i32::try_from(text.len()).unwrap().to_be_bytes());
                    row.extend(text.as_bytes());
                }
                None => row.extend((-1_i32).to_be_bytes()),
            }
            row
        };
        let end = (-1_i16).to_be_bytes().to_vec();
        let read_all = |chunks: &[Vec<u8>]| {
            let mut reader = Reader::new(&table, &projection).unwrap();
            let mut batch = BatchBuilder::new(Arc::new(table.shape.schema.project(&projection).unwrap()), 10).unwrap();
            let mut has_begun = false;
            chunks.iter().try_for_each(|chunk| read(chunk, &mut has_begun, &mut reader, &mut batch)).map(|()| batch.finish().unwrap())
        };
        let batch = read_all(&[[header.clone(), row(1, Some("é"))].concat(), row(2, None), row(3, Some("")), end.clone()]).unwrap();
        assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[1, 2, 3]);
        let texts = batch.column(1).as_string::<i32>();
        assert_eq!((texts.value(0), texts.is_null(1), texts.value(2), texts.is_null(2)), ("é", true, "", false));
        assert_eq!(read_all(&[[header.clone(), end].concat()]).unwrap().num_rows(), 0);
        let whole = [header, row(1, Some("x"))].concat();
        for broken in 1..whole.len() {
            // The header alone may be a message of its own.
            assert!(broken == SIGNATURE.len() + 8 || read_all(&[whole[..broken].to_vec()]).is_err(), "{broken}");
        }
        assert!(read_all(&[vec![0; 30]]).is_err());
        assert!(read_all(&[whole, vec![0, 1, 0, 0, 0, 1, 7]]).is_err());
    }
}
