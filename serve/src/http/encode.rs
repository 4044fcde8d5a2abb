//! Rows as bytes: JSON, NDJSON, CSV, Arrow's IPC stream.
//!
//! What must stay true: pure; a batch is encoded by itself and none is held; numbers have all their digits (decimals are JSON
//! numbers, as in PostgreSQL's own JSON; NaN and the infinities, which JSON lacks, are null); times are ISO 8601 with their offset;
//! an answer that failed never looks complete.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringBuilder};
use arrow::buffer::Buffer;
use arrow::csv;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamEncoder;
use arrow::json::EncoderOptions;
use arrow::json::writer::{NullableEncoder, make_encoder};
use bytes::Bytes;
use serde_json::{Value, json};

use super::errors::Fault;
use super::request::Format;

/// An answer on its way into bytes.
pub(super) struct Encoder {
    schema: SchemaRef,
    rows: u64,
    form: Form,
}

enum Form {
    /// With the id of the query.
    Json(u64),
    Ndjson,
    Csv,
    /// `None` once the stream has ended.
    Arrow(Option<Box<StreamEncoder>>),
}

impl Encoder {
    /// An encoder of rows of this schema.
    pub(super) fn new(format: Format, schema: SchemaRef, id: u64) -> Result<Encoder, ArrowError> {
        let form = match format {
            Format::Json => Form::Json(id),
            Format::Ndjson => Form::Ndjson,
            Format::Csv => Form::Csv,
            Format::Arrow => Form::Arrow(Some(Box::new(StreamEncoder::try_new(&schema)?))),
        };
        Ok(Encoder { schema, rows: 0, form })
    }

    /// Rows so far.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// What comes before the rows.
    pub(super) fn begin(&mut self) -> Result<Vec<Bytes>, ArrowError> {
        match &self.form {
            Form::Json(id) => Ok(vec![head(*id, &self.schema).into()]),
            // The header stands over no rows, too.
            Form::Csv if !self.schema.fields().is_empty() => Ok(vec![rows_of_csv(&RecordBatch::new_empty(Arc::clone(&self.schema)), true)?.into()]),
            Form::Csv | Form::Ndjson | Form::Arrow(_) => Ok(Vec::new()),
        }
    }

    /// The rows of a batch.
    pub(super) fn batch(&mut self, batch: &RecordBatch) -> Result<Vec<Bytes>, ArrowError> {
        let first = self.rows == 0;
        let pieces = match &mut self.form {
            _ if batch.num_rows() == 0 => Vec::new(),
            Form::Json(_) => vec![arrays(batch, first)?.into()],
            Form::Ndjson => vec![objects(batch)?.into()],
            Form::Csv if batch.num_columns() == 0 => Vec::new(),
            Form::Csv => vec![rows_of_csv(batch, false)?.into()],
            Form::Arrow(None) => Vec::new(),
            Form::Arrow(Some(encoder)) => pieces(encoder.encode(batch)?),
        };
        self.rows += u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
        Ok(pieces)
    }

    /// What comes behind the last row; `notices` is what the analyst must be told besides the rows.
    pub(super) fn end(&mut self, notices: &[String], elapsed_ms: f64) -> Result<Vec<Bytes>, ArrowError> {
        match &mut self.form {
            Form::Json(_) => Ok(vec![tail(&json!({ "row_count": self.rows, "notices": notices, "elapsed_ms": elapsed_ms })).into()]),
            Form::Ndjson | Form::Csv => Ok(Vec::new()),
            Form::Arrow(encoder) => match encoder.take() {
                Some(encoder) => Ok(pieces(encoder.finish()?)),
                None => Ok(Vec::new()),
            },
        }
    }

    /// What tells of a failure behind the rows, where the form has room for it.
    pub(super) fn fail(&mut self, fault: &Fault, notices: &[String], elapsed_ms: f64) -> Option<Bytes> {
        match &self.form {
            Form::Json(_) => Some(tail(&json!({ "row_count": self.rows, "notices": notices, "elapsed_ms": elapsed_ms, "error": fault.json() })).into()),
            Form::Ndjson => Some(format!("{}\n", json!({ "error": fault.json() })).into()),
            Form::Csv | Form::Arrow(_) => None,
        }
    }
}

/// Memory of Arrow's, sent as it is.
struct Piece(Buffer);

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

fn pieces(buffers: Vec<Buffer>) -> Vec<Bytes> {
    buffers.into_iter().map(|buffer| Bytes::from_owner(Piece(buffer))).collect()
}

/// `{…, "rows": [`
fn head(id: u64, schema: &Schema) -> String {
    let columns: Vec<Value> = schema.fields().iter().map(|field| json!({ "name": field.name(), "type": type_name(field.data_type()) })).collect();
    let mut text = json!({ "query_id": id, "columns": columns }).to_string();
    text.pop();
    text.push_str(",\"rows\":[");
    text
}

/// `], …}`: the members of `last` behind the rows.
fn tail(last: &Value) -> String {
    let members = last.to_string();
    format!("],{}\n", members.strip_prefix('{').unwrap_or(&members))
}

fn encoders<'a>(batch: &'a RecordBatch, fields: &'a [FieldRef], options: &'a EncoderOptions) -> Result<Vec<NullableEncoder<'a>>, ArrowError> {
    fields.iter().zip(batch.columns()).map(|(field, column)| make_encoder(field, column.as_ref(), options)).collect()
}

fn cell(encoder: &mut NullableEncoder<'_>, row: usize, out: &mut Vec<u8>) {
    if encoder.is_null(row) {
        out.extend_from_slice(b"null");
    } else {
        encoder.encode(row, out);
    }
}

/// Each row as an array.
fn arrays(batch: &RecordBatch, first: bool) -> Result<Vec<u8>, ArrowError> {
    let (schema, options) = (batch.schema(), EncoderOptions::default().with_explicit_nulls(true));
    let mut encoders = encoders(batch, schema.fields(), &options)?;
    let mut out = Vec::with_capacity(batch.num_rows() * 16 * (encoders.len() + 1));
    for row in 0..batch.num_rows() {
        out.extend_from_slice(if first && row == 0 { b"\n[" } else { b",\n[" });
        for (place, encoder) in encoders.iter_mut().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            cell(encoder, row, &mut out);
        }
        out.push(b']');
    }
    Ok(out)
}

/// Each row as an object and a line.
fn objects(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let (schema, options) = (batch.schema(), EncoderOptions::default().with_explicit_nulls(true));
    let names: Vec<String> = schema.fields().iter().map(|field| format!("{}:", Value::from(field.name().as_str()))).collect();
    let mut encoders = encoders(batch, schema.fields(), &options)?;
    let mut out = Vec::with_capacity(batch.num_rows() * 32 * (encoders.len() + 1));
    for row in 0..batch.num_rows() {
        out.push(b'{');
        for (place, (name, encoder)) in names.iter().zip(&mut encoders).enumerate() {
            if place > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name.as_bytes());
            cell(encoder, row, &mut out);
        }
        out.extend_from_slice(b"}\n");
    }
    Ok(out)
}

fn rows_of_csv(batch: &RecordBatch, header: bool) -> Result<Vec<u8>, ArrowError> {
    let mut out = Vec::new();
    csv::WriterBuilder::new().with_header(header).build(&mut out).write(&flat(batch)?)?;
    Ok(out)
}

/// The batch with lists, structs and maps as their JSON text, which CSV has no other form for.
fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    if !schema.fields().iter().any(|field| field.data_type().is_nested()) {
        return Ok(batch.clone());
    }
    let mut fields: Vec<FieldRef> = Vec::with_capacity(batch.num_columns());
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        if field.data_type().is_nested() {
            fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, true)));
            columns.push(json_text(field, column)?);
        } else {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn json_text(field: &FieldRef, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(field, column.as_ref(), &options)?;
    let mut texts = StringBuilder::new();
    let mut bytes = Vec::new();
    for row in 0..column.len() {
        if encoder.is_null(row) {
            texts.append_null();
        } else {
            bytes.clear();
            encoder.encode(row, &mut bytes);
            texts.append_value(String::from_utf8_lossy(&bytes));
        }
    }
    Ok(Arc::new(texts.finish()))
}

/// A type as SQL calls it.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Int8 | DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => "bigint".to_owned(),
        DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double precision".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "time".to_owned(),
        DataType::Interval(_) | DataType::Duration(_) => "interval".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytea".to_owned(),
        DataType::List(field) | DataType::LargeList(field) => format!("{}[]", type_name(field.data_type())),
        other => other.to_string(),
    }
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
