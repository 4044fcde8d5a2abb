//! `COPY (SELECT …) TO STDOUT`: rows as lines or in PostgreSQL's binary format.
//!
//! What must stay true: one row a message, since clients take messages for rows; in the binary format what comes before and after
//! the rows goes with the first and last of them, as PostgreSQL sends it.
//!
//! The formats: `CopyAttributeOutText`, `CopyAttributeOutCSV` and `CopyOneRowTo` in PostgreSQL's src/backend/commands/copyto.c.

use bytes::{BufMut, BytesMut};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::copy::CopyOutResponse;
use wh_query::{CopyFormat, CopyKind};

use super::encode::{self, Column};
use super::errors::Failure;
use super::rows::Write;
use super::types::{Format, Layout};

/// Signature, flags and the length of what else there may be.
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Writes the rows of one COPY.
pub(super) struct Copier {
    format: CopyFormat,
    /// Whether the binary header is still to be sent.
    header: bool,
    cell: BytesMut,
}

impl Copier {
    pub(super) fn new(format: CopyFormat) -> Copier {
        Copier { header: format.kind == CopyKind::Binary, format, cell: BytesMut::new() }
    }

    /// The columns in the format that all of them have.
    pub(super) fn layout(&self, layout: &Layout) -> Layout {
        layout.all(if self.format.kind == CopyKind::Binary { Format::Binary } else { Format::Text })
    }

    /// What comes before the rows.
    pub(super) fn begin(&mut self, layout: &Layout, out: &mut BytesMut) -> Result<PgWireBackendMessage, Failure> {
        let format = if self.format.kind == CopyKind::Binary { 1 } else { 0 };
        let columns = layout.columns();
        if self.format.header && self.format.kind != CopyKind::Binary {
            message(out, |out| {
                for (place, column) in columns.iter().enumerate() {
                    self.separate(place, out);
                    self.escape(column.name.as_bytes(), columns.len() == 1, out);
                }
                out.put_u8(b'\n');
                Ok(())
            })?;
        }
        // As many as a result may have fit.
        let count = i16::try_from(columns.len()).unwrap_or(i16::MAX);
        Ok(PgWireBackendMessage::CopyOutResponse(CopyOutResponse::new(format, count, vec![i16::from(format); columns.len()])))
    }

    /// What comes after the rows.
    pub(super) fn end(&mut self, out: &mut BytesMut) -> Result<(), Failure> {
        if self.format.kind != CopyKind::Binary {
            return Ok(());
        }
        let header = std::mem::take(&mut self.header);
        message(out, |out| {
            if header {
                out.put_slice(HEADER);
            }
            out.put_i16(-1);
            Ok(())
        })
    }

    fn separate(&self, place: usize, out: &mut BytesMut) {
        if place > 0 {
            out.put_u8(self.format.delimiter);
        }
    }

    fn escape(&self, value: &[u8], alone: bool, out: &mut BytesMut) {
        match self.format.kind {
            CopyKind::Csv => self.quoted(value, alone, out),
            CopyKind::Text | CopyKind::Binary => self.escaped(value, out),
        }
    }

    fn escaped(&self, value: &[u8], out: &mut BytesMut) {
        for &byte in value {
            let letter = match byte {
                0x08 => b'b',
                0x0c => b'f',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                0x0b => b'v',
                b'\\' => b'\\',
                other if other == self.format.delimiter => other,
                other => {
                    out.put_u8(other);
                    continue;
                }
            };
            out.put_u8(b'\\');
            out.put_u8(letter);
        }
    }

    fn quoted(&self, value: &[u8], alone: bool, out: &mut BytesMut) {
        let CopyFormat { delimiter, quote, escape, null, .. } = &self.format;
        let special = |byte: &u8| byte == delimiter || byte == quote || matches!(byte, b'\n' | b'\r');
        // A line of `\.` alone would end the data for who reads it.
        if value != null.as_bytes() && !(alone && value == b"\\.") && !value.iter().any(special) {
            out.put_slice(value);
            return;
        }
        out.put_u8(*quote);
        for byte in value {
            if byte == quote || byte == escape {
                out.put_u8(*escape);
            }
            out.put_u8(*byte);
        }
        out.put_u8(*quote);
    }
}

impl Write for Copier {
    fn row(&mut self, columns: &[Column], layout: &Layout, row: usize, out: &mut BytesMut) -> Result<(), Failure> {
        if self.format.kind == CopyKind::Binary {
            let header = std::mem::take(&mut self.header);
            return message(out, |out| {
                if header {
                    out.put_slice(HEADER);
                }
                encode::tuple(columns, layout, row, out)
            });
        }
        let mut cell = std::mem::take(&mut self.cell);
        let written = message(out, |out| {
            for (place, column) in columns.iter().enumerate() {
                self.separate(place, out);
                if column.is_null(row) {
                    out.put_slice(self.format.null.as_bytes());
                    continue;
                }
                cell.clear();
                encode::write_text(column, row, &mut cell)?;
                self.escape(&cell, columns.len() == 1, out);
            }
            out.put_u8(b'\n');
            Ok(())
        });
        self.cell = cell;
        written
    }
}

/// Writes one CopyData.
fn message(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut) -> Result<(), Failure>) -> Result<(), Failure> {
    encode::whole(out, |out| {
        out.put_u8(b'd');
        encode::counted(out, write)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

    use super::*;

    fn copied(kind: CopyKind, header: bool) -> Vec<u8> {
        let format = match kind {
            CopyKind::Csv => CopyFormat { kind, header, delimiter: b',', null: String::new(), quote: b'"', escape: b'"' },
            _ => CopyFormat { kind, header, delimiter: b'\t', null: "\\N".to_owned(), quote: b'"', escape: b'"' },
        };
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, true), Field::new("a,b", DataType::Utf8, true)]));
        let arrays: [ArrayRef; 2] = [Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])), Arc::new(StringArray::from(vec![Some("plain"), Some("q\"\t\\\n,"), Some("")]))];
        let columns: Vec<Column> = arrays.iter().map(|array| Column::new(array).unwrap()).collect();
        let mut copier = Copier::new(format);
        let layout = copier.layout(&Layout::new(&schema, &[]).unwrap());
        let mut out = BytesMut::new();
        let PgWireBackendMessage::CopyOutResponse(response) = copier.begin(&layout, &mut out).unwrap() else { panic!("no response") };
        assert_eq!((response.format == 1, response.columns), (kind == CopyKind::Binary, 2));
        for row in 0..3 {
            copier.row(&columns, &layout, row, &mut out).unwrap();
        }
        copier.end(&mut out).unwrap();
        payloads(&out).concat()
    }

    fn payloads(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut payloads = Vec::new();
        while let Some((b'd', rest)) = bytes.split_first() {
            let length = usize::try_from(i32::from_be_bytes(rest[..4].try_into().unwrap())).unwrap();
            payloads.push(rest[4..length].to_vec());
            bytes = &rest[length..];
        }
        assert!(bytes.is_empty());
        payloads
    }

    #[test]
    fn text_is_escaped_with_backslashes() {
        assert_eq!(String::from_utf8(copied(CopyKind::Text, false)).unwrap(), "1\tplain\n\\N\tq\"\\t\\\\\\n,\n3\t\n");
    }

    #[test]
    fn csv_is_quoted_where_it_must_be_and_nulls_are_not_empty_texts() {
        assert_eq!(String::from_utf8(copied(CopyKind::Csv, true)).unwrap(), "n,\"a,b\"\n1,plain\n,\"q\"\"\t\\\n,\"\n3,\"\"\n");
    }

    #[test]
    fn binary_has_its_header_and_its_end() {
        let bytes = copied(CopyKind::Binary, false);
        assert_eq!(&bytes[..19], HEADER);
        assert_eq!(&bytes[19..38], b"\0\x02\0\0\0\x04\0\0\0\x01\0\0\0\x05plain");
        assert_eq!(&bytes[bytes.len() - 2..], [0xff, 0xff]);
    }
}
