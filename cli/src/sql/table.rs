//! A result as aligned text, in the manner of `psql`: for people, where every other format is for programs.
//!
//! It exists because a terminal is not to be trusted with data: what stands in a cell is written by whoever sent the
//! transaction. What must stay true: no control character of a cell reaches the output (a line feed starts a line inside the
//! cell); memory is bounded by one chunk of rows, whatever the result's length; numbers and times are never cut, since half
//! a number is another number.

use std::borrow::Cow;
use std::io::{self, Write};

use anstyle::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Rows that are held back to agree on widths; each later chunk may only widen.
const CHUNK_ROWS: usize = 1_000;
/// Bytes of cells that end a chunk early.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// Columns of the terminal below which no cell is cut, so that something of it can still be read.
const NARROWEST: usize = 8;
/// How a NULL is shown; a string of the same letters is not dimmed.
const NULL: &str = "NULL";

/// One value; `None` is NULL.
pub(super) type Cell = Option<String>;

/// One column's heading and manners.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Its name.
    pub(super) name: String,
    /// Whether its values are aligned to the right.
    pub(super) right: bool,
    /// Whether a long value may be cut to fit the terminal.
    pub(super) cuttable: bool,
}

impl Column {
    /// A column of text, which is aligned to the left and may be cut.
    pub(super) fn text(name: &str) -> Self {
        Self { name: name.to_owned(), right: false, cuttable: true }
    }
}

/// How the output may look.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Look {
    /// Whether styles are written.
    pub(super) styled: bool,
    /// The terminal's columns to fit into; `None` cuts nothing.
    pub(super) width: Option<usize>,
}

/// A table that is being written, chunk by chunk.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    look: Look,
    chunk: Vec<Vec<Cell>>,
    bytes: usize,
    /// The widest that each column has been so far.
    widest: Vec<usize>,
    headed: bool,
}

impl Table {
    /// An empty table with these columns.
    pub(super) fn new(columns: Vec<Column>, look: Look) -> Self {
        let columns: Vec<Column> = columns.into_iter().map(|column| Column { name: printable(&column.name).replace('\n', " "), ..column }).collect();
        let widest = columns.iter().map(|column| column.name.width()).collect();
        Self { columns, look, chunk: Vec::new(), bytes: 0, widest, headed: false }
    }

    /// Takes one row and writes a chunk when one is full.
    ///
    /// # Errors
    /// Whatever writing to `out` gives.
    pub(super) fn push(&mut self, row: Vec<Cell>, out: &mut impl Write) -> io::Result<()> {
        let row: Vec<Cell> = row.into_iter().zip(&self.columns).map(|(cell, column)| cell.map(|text| self.tamed(text, column))).collect();
        for (cell, widest) in row.iter().zip(&mut self.widest) {
            let text = cell.as_deref().unwrap_or(NULL);
            self.bytes += text.len();
            *widest = text.split('\n').map(UnicodeWidthStr::width).fold(*widest, usize::max);
        }
        self.chunk.push(row);
        if self.chunk.len() >= CHUNK_ROWS || self.bytes >= CHUNK_BYTES { self.write_chunk(out) } else { Ok(()) }
    }

    /// Writes what is held back; the heading stands even over no rows.
    ///
    /// # Errors
    /// Whatever writing to `out` gives.
    pub(super) fn finish(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.headed && self.chunk.is_empty() { out.flush() } else { self.write_chunk(out) }
    }

    /// Printable, and no longer than the terminal is wide (which bounds a chunk's memory).
    fn tamed(&self, text: String, column: &Column) -> String {
        let changed = match printable(&text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(changed) => Some(changed),
        };
        let text = changed.unwrap_or(text);
        match self.look.width {
            Some(width) if column.cuttable => text.split('\n').map(|line| cut(line, width)).collect::<Vec<_>>().join("\n"),
            _ => text,
        }
    }

    fn write_chunk(&mut self, out: &mut impl Write) -> io::Result<()> {
        let mut widths = self.widest.clone();
        if let Some(available) = self.look.width {
            let cuttable: Vec<bool> = self.columns.iter().map(|column| column.cuttable).collect();
            fit(&mut widths, &cuttable, available);
        }
        if !self.headed {
            self.write_heading(&widths, out)?;
            self.headed = true;
        }
        for row in std::mem::take(&mut self.chunk) {
            self.write_row(&row, &widths, out)?;
        }
        self.bytes = 0;
        out.flush()
    }

    fn write_heading(&self, widths: &[usize], out: &mut impl Write) -> io::Result<()> {
        let style = if self.look.styled { Style::new().bold() } else { Style::new() };
        for (index, (column, width)) in self.columns.iter().zip(widths).enumerate() {
            let name = cut(&column.name, *width);
            let spare = width.saturating_sub(name.width());
            let left = spare / 2;
            let bar = if index == 0 { "" } else { "|" };
            let right = if index + 1 == self.columns.len() { 0 } else { spare - left + 1 };
            write!(out, "{bar}{} {style}{name}{style:#}{}", blanks(left), blanks(right))?;
        }
        writeln!(out)?;
        let rules: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
        writeln!(out, "{}", rules.join("+"))
    }

    fn write_row(&self, row: &[Cell], widths: &[usize], out: &mut impl Write) -> io::Result<()> {
        let height = row.iter().map(|cell| cell.as_deref().map_or(1, |text| text.split('\n').count())).max().unwrap_or(1);
        for line in 0..height {
            for (index, ((cell, column), width)) in row.iter().zip(&self.columns).zip(widths).enumerate() {
                let mut lines = cell.as_deref().unwrap_or(NULL).split('\n').skip(line);
                let text = lines.next().unwrap_or("");
                let text = if column.cuttable { cut(text, *width) } else { Cow::Borrowed(text) };
                let goes_on = lines.next().is_some();
                let style = if cell.is_none() && self.look.styled { Style::new().dimmed() } else { Style::new() };
                let spare = width.saturating_sub(text.width());
                let last = index + 1 == row.len();
                let (left, right) = if column.right {
                    (spare, 0)
                } else if last && !goes_on {
                    (0, 0)
                } else {
                    (0, spare)
                };
                // Like psql: a `+` says that the cell goes on in the next line.
                let end = match (goes_on, last) {
                    (true, _) => "+",
                    (false, true) => "",
                    (false, false) => " ",
                };
                let bar = if index == 0 { "" } else { "|" };
                write!(out, "{bar} {}{style}{text}{style:#}{}{end}", blanks(left), blanks(right))?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

fn blanks(count: usize) -> String {
    " ".repeat(count)
}

/// The columns of the terminal that a line takes: a blank on either side of each cell, a bar between two.
fn line_width(widths: &[usize]) -> usize {
    widths.iter().map(|width| width + 3).sum::<usize>().saturating_sub(1)
}

/// Narrows the widest columns that may be cut until the line fits, or until nothing more can be cut; then the line wraps.
fn fit(widths: &mut [usize], cuttable: &[bool], available: usize) {
    while line_width(widths) > available {
        let widest = widths.iter_mut().zip(cuttable).filter(|(width, cuttable)| **cuttable && **width > NARROWEST).map(|(width, _)| width).max();
        match widest {
            Some(width) => *width -= 1,
            None => return,
        }
    }
}

/// At most `width` columns of `text`, the last of them `…` where something was left out.
fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        kept.push(c);
    }
    kept.push('…');
    Cow::Owned(kept)
}

/// `text` with everything escaped that could steer a terminal or reorder what it shows; a line feed stays.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    let steers = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.replace("\r\n", "\n").chars() {
        if steers(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(name: &str) -> Column {
        Column { name: name.to_owned(), right: true, cuttable: false }
    }

    fn written(columns: Vec<Column>, look: Look, rows: &[&[Option<&str>]]) -> String {
        let mut out = Vec::new();
        let mut table = Table::new(columns, look);
        for row in rows {
            table.push(row.iter().map(|cell| cell.map(str::to_owned)).collect(), &mut out).unwrap();
        }
        table.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_and_numbers_stand_to_the_right() {
        let text = written(vec![Column::text("department"), number("amount")], Look::default(), &[&[Some("IT"), Some("9.50")], &[Some("Cardiology"), Some("1200.00")]]);
        assert_eq!(text, " department | amount\n------------+---------\n IT         |    9.50\n Cardiology | 1200.00\n");
    }

    #[test]
    fn a_heading_stands_over_no_rows() {
        assert_eq!(written(vec![Column::text("a"), Column::text("b")], Look::default(), &[]), " a | b\n---+---\n");
    }

    #[test]
    fn a_null_is_dim_only_where_styles_are_allowed() {
        assert!(written(vec![Column::text("a")], Look::default(), &[&[None]]).ends_with(" NULL\n"));
        let styled = written(vec![Column::text("a")], Look { styled: true, width: None }, &[&[None], &[Some("NULL")]]);
        assert!(styled.ends_with(" \u{1b}[2mNULL\u{1b}[0m\n NULL\n"), "{styled:?}");
    }

    #[test]
    fn a_cell_of_several_lines_stays_in_its_column() {
        let text = written(vec![Column::text("plan"), number("n")], Look::default(), &[&[Some("Sort\n  Scan"), Some("7")]]);
        assert_eq!(text, "  plan  | n\n--------+---\n Sort  +| 7\n   Scan |  \n");
    }

    #[test]
    fn control_characters_of_a_cell_never_reach_the_terminal() {
        let text = written(vec![Column::text("a")], Look::default(), &[&[Some("x\u{1b}[2J\ty\u{202e}\r\nz")]]);
        assert!(text.contains("x\\u{1b}[2J\\ty\\u{202e}+\n z"), "{text:?}");
    }

    #[test]
    fn a_row_is_cut_to_the_terminal_but_numbers_are_kept_whole() {
        let long = "x".repeat(100);
        let look = Look { styled: false, width: Some(40) };
        let text = written(vec![Column::text("a"), number("n")], look, &[&[Some(long.as_str()), Some("123456789012")]]);
        assert!(text.lines().all(|line| line.width() <= 40), "{text}");
        assert!(text.contains("x… | 123456789012"), "{text}");
    }

    #[test]
    fn wide_letters_count_for_two_columns() {
        assert_eq!(cut("病院会計", 5), "病院…");
        assert_eq!(cut("病院", 4), "病院");
    }

    #[test]
    fn a_line_that_cannot_fit_wraps_instead_of_vanishing() {
        let mut widths = vec![20, 30];
        fit(&mut widths, &[true, false], 10);
        assert_eq!(widths, [8, 30]);
    }

    #[test]
    fn chunks_are_written_as_they_fill() {
        let mut out = Vec::new();
        let mut table = Table::new(vec![Column::text("a")], Look::default());
        for _ in 0..CHUNK_ROWS {
            table.push(vec![Some("x".to_owned())], &mut out).unwrap();
        }
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), CHUNK_ROWS + 2);
        table.push(vec![Some("wider".to_owned())], &mut out).unwrap();
        table.finish(&mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().ends_with(" wider\n"));
    }
}
