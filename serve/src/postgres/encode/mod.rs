//! From record batches to the bytes of rows: column → cell (text or binary) → row.
//!
//! What must stay true: a value is written as PostgreSQL writes it, in both formats; a row that cannot be written leaves nothing behind.
//!
//! arrow-pg's encoder is not used: it decides a cell's type anew for each cell, knows no decimals beyond 28 digits, and takes NULL
//! intervals and 8-bit integers wrongly.

mod binary;
mod column;
mod numeric;
#[cfg(test)]
mod tests;
mod text;
mod time;

use bytes::{BufMut, BytesMut};

use super::errors::{Failure, code};
use super::types::{Format, Layout};

pub(super) use column::Column;
pub(super) use text::write as write_text;

/// Writes one DataRow.
pub(super) fn data_row(columns: &[Column], layout: &Layout, row: usize, out: &mut BytesMut) -> Result<(), Failure> {
    whole(out, |out| {
        out.put_u8(b'D');
        counted(out, |out| tuple(columns, layout, row, out))
    })
}

/// Writes a count of cells and the cells, each with its length: the body of a DataRow, and a tuple of a binary COPY.
pub(super) fn tuple(columns: &[Column], layout: &Layout, row: usize, out: &mut BytesMut) -> Result<(), Failure> {
    // A layout has at most as many columns as PostgreSQL, so the count fits.
    out.put_u16(u16::try_from(columns.len()).unwrap_or(u16::MAX));
    for (column, layout) in columns.iter().zip(layout.columns()) {
        if column.is_null(row) {
            out.put_i32(-1);
            continue;
        }
        sized(out, |out| match layout.format {
            Format::Text => text::write(column, row, out),
            Format::Binary => binary::write(column, row, &layout.pg_type, out),
        })?;
    }
    Ok(())
}

/// Writes something behind its length, which does not count itself.
fn sized(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut) -> Result<(), Failure>) -> Result<(), Failure> {
    prefixed(out, 0, write)
}

/// Writes something behind its length, which counts itself, as in messages.
pub(super) fn counted(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut) -> Result<(), Failure>) -> Result<(), Failure> {
    prefixed(out, 4, write)
}

fn prefixed(out: &mut BytesMut, itself: usize, write: impl FnOnce(&mut BytesMut) -> Result<(), Failure>) -> Result<(), Failure> {
    let start = out.len();
    out.put_i32(0);
    write(out)?;
    let length = out.len() - start - 4 + itself;
    let length = i32::try_from(length).map_err(|_| Failure::new(code::LIMIT, "a value is longer than 2 GiB"))?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Writes something wholly or not at all.
pub(super) fn whole(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut) -> Result<(), Failure>) -> Result<(), Failure> {
    let start = out.len();
    let written = write(out);
    if written.is_err() {
        out.truncate(start);
    }
    written
}
