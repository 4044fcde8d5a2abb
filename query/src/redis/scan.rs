//! Scanning `baselines.users`.
//!
//! What must stay true: no key is looked for but by its name or through the index; each user is as one checkpoint left it, while two
//! users may be of two checkpoints; rows come in the order of the users' ids; no more than a page of them is held.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use redis::pipe;
use wh_stores::redis::layout::USER_FIELDS;

use super::dialect::{self, Asked};
use super::names::Names;
use super::store::RedisBaselines;
use crate::batch::{BatchBuilder, Cell};
use crate::errors::QueryError;
use crate::exec::Sink;
use crate::predicate::Predicate;
use crate::shape::Shape;
use crate::store::wait;
use crate::surveys::Surveys;
use crate::table::{Order, Prepared, Request, Scan, Support, Survey};

/// A field that every user's hash has: where it is missing there is no such user.
const PRESENT: &str = "seq";

/// The users, as something that can be scanned.
#[derive(Clone, Debug)]
pub(crate) struct UsersScan {
    pub(crate) store: Arc<RedisBaselines>,
    pub(crate) shape: Arc<Shape>,
    pub(super) surveys: Arc<Surveys>,
}

impl Scan for UsersScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.shape.schema)
    }

    fn support(&self, predicate: &Predicate) -> Result<Support, QueryError> {
        Ok(dialect::support(&self.shape, predicate))
    }

    fn sorts(&self, order: &[Order]) -> bool {
        matches!(order, [by] if self.shape.is_one_of(by.column, &["user_id"]))
    }

    fn is_unique(&self, column: usize) -> bool {
        self.shape.is_unique(column)
    }

    fn survey(&self) -> Result<Survey, QueryError> {
        self.surveys.recent(|| {
            let rows = wait(self.store.users())?;
            Ok(Survey { rows: Some(rows), keys: Vec::new() })
        })
    }

    fn surveyed(&self) -> Option<Survey> {
        self.surveys.known()
    }

    fn prepare(&self, request: &Request, _survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        let mut fields = vec![PRESENT];
        let mut columns = Vec::with_capacity(request.projection.len());
        for index in &request.projection {
            let field = self.shape.schema.field(*index);
            columns.push(match (field.name().as_str(), USER_FIELDS.iter().find(|known| *known == field.name())) {
                ("user_id", _) => Column::User,
                ("partition", _) => Column::Partition,
                (_, Some(known)) => {
                    let at = fields.iter().position(|field| field == known).unwrap_or_else(|| {
                        fields.push(*known);
                        fields.len() - 1
                    });
                    Column::Field(at, Kind::of(field.data_type()))
                }
                (name, None) => return Err(QueryError::internal(format!("Redis keeps no {name} of a user"))),
            });
        }
        Ok(Arc::new(UsersQuery { scan: self.clone(), request: request.clone(), columns, fields }))
    }
}

/// Where a column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    User,
    Partition,
    /// A field by its place in the request, and how it is read.
    Field(usize, Kind),
}

/// How a field's text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Number,
    Real,
    Text,
}

impl Kind {
    fn of(data_type: &DataType) -> Kind {
        match data_type {
            DataType::Utf8 => Kind::Text,
            DataType::Float64 => Kind::Real,
            _ => Kind::Number,
        }
    }

    /// `None` where the text is not what it should be.
    fn cell(self, text: &[u8]) -> Option<Cell<'_>> {
        let words = || std::str::from_utf8(text).ok();
        match self {
            Kind::Text => Some(Cell::Text(text)),
            Kind::Real => words()?.parse().ok().map(Cell::Float),
            Kind::Number => words()?.parse().ok().map(Cell::Int),
        }
    }
}

/// A query of the users, ready to run.
#[derive(Debug)]
struct UsersQuery {
    scan: UsersScan,
    request: Request,
    columns: Vec<Column>,
    fields: Vec<&'static str>,
}

/// A user of a partition, with the fields that were asked for.
struct Row {
    partition: u32,
    user: Vec<u8>,
    fields: Vec<Option<Vec<u8>>>,
}

impl Prepared for UsersQuery {
    fn text(&self) -> String {
        let asked = Asked::of(&self.scan.shape, &self.request.predicates);
        dialect::Text { namespace: &self.scan.store.settings.namespace, asked: &asked, fields: &self.fields, descending: self.is_descending() }.to_string()
    }

    fn parts(&self) -> usize {
        1
    }

    fn run(&self, _part: usize, late: &[Predicate], sink: &mut Sink) -> Result<(), QueryError> {
        let store = &self.scan.store;
        let asked = Asked::of(&self.scan.shape, self.request.predicates.iter().chain(late));
        let Some(partitions) = sink.wait(store.partitions()) else { return Ok(()) };
        let partitions: Vec<u32> = partitions?.into_iter().filter(|partition| asked.wants(*partition)).collect();
        if partitions.is_empty() {
            return Ok(());
        }
        if self.request.projection.is_empty() && asked.is_all() {
            let Some(counts) = sink.wait(store.counts(&partitions)) else { return Ok(()) };
            return self.count(counts?.iter().sum(), sink);
        }
        let mut names = Names::new(&asked, partitions, self.is_descending());
        let limit = self.request.limit.unwrap_or(usize::MAX).max(1);
        // A batch that has all that is wanted is handed over at once, which ends the scan.
        let mut batch = BatchBuilder::new(sink.schema(), sink.batch_rows().min(limit)).ok_or_else(|| QueryError::internal("a column has a type that no store gives"))?;
        let wanted = store.settings.page_users.min(limit);
        loop {
            let Some(page) = sink.wait(self.page(&mut names, wanted)) else { return Ok(()) };
            let Some(rows) = page? else { break };
            for row in &rows {
                self.push(row, &mut batch)?;
                if batch.is_full() && !sink.send(batch.finish().map_err(|error| store.damaged(&error))?) {
                    return Ok(());
                }
            }
        }
        if !batch.is_empty() {
            sink.send(batch.finish().map_err(|error| store.damaged(&error))?);
        }
        Ok(())
    }
}

impl UsersQuery {
    fn is_descending(&self) -> bool {
        self.request.order.first().is_some_and(|by| by.descending)
    }

    /// The next users that are there, some of a page being none; `None` at the end.
    async fn page(&self, names: &mut Names, wanted: usize) -> Result<Option<Vec<Row>>, QueryError> {
        let store = &self.scan.store;
        let page = names.page(store, wanted).await?;
        if page.is_empty() {
            return Ok(None);
        }
        let mut request = pipe();
        for (partition, user) in &page {
            let key = [store.keys.user_prefix(*partition).as_bytes(), user.as_slice()].concat();
            request.cmd("HMGET").arg(key).arg(&self.fields);
        }
        let found: Vec<Vec<Option<Vec<u8>>>> = store.ask(&request).await?;
        let rows = page.into_iter().zip(found).map(|((partition, user), fields)| Row { partition, user, fields });
        Ok(Some(rows.filter(|row| row.fields.first().is_some_and(Option::is_some)).collect()))
    }

    fn push(&self, row: &Row, batch: &mut BatchBuilder) -> Result<(), QueryError> {
        let store = &self.scan.store;
        for (place, column) in self.columns.iter().enumerate() {
            let cell = match column {
                Column::User => Cell::Text(&row.user),
                Column::Partition => Cell::Int(i64::from(row.partition)),
                Column::Field(at, kind) => match row.fields.get(*at).and_then(Option::as_deref) {
                    None => Cell::Null,
                    Some(text) => kind.cell(text).ok_or_else(|| store.damaged(&format!("the field {} of a user cannot be read", self.fields.get(*at).unwrap_or(&""))))?,
                },
            };
            batch.push(place, cell).map_err(|misfit| store.damaged(&misfit))?;
        }
        batch.end_row();
        Ok(())
    }

    /// Hands over rows without columns.
    fn count(&self, rows: usize, sink: &mut Sink) -> Result<(), QueryError> {
        let mut batch = BatchBuilder::new(sink.schema(), sink.batch_rows()).ok_or_else(|| QueryError::internal("a column has a type that no store gives"))?;
        let mut left = rows;
        while left > 0 {
            let rows = left.min(sink.batch_rows().max(1));
            left -= rows;
            batch.end_rows(rows);
            if !sink.send(batch.finish().map_err(|error| self.scan.store.damaged(&error))?) {
                return Ok(());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_their_columns_are() {
        assert_eq!(Kind::of(&DataType::Float64).cell(b"0.30000000000000004"), Some(Cell::Float(0.1 + 0.2)));
        assert_eq!(Kind::of(&DataType::Int64).cell(b"-5"), Some(Cell::Int(-5)));
        assert_eq!(Kind::of(&DataType::Utf8).cell("Pädiatrie".as_bytes()), Some(Cell::Text("Pädiatrie".as_bytes())));
        assert_eq!(Kind::of(&DataType::Int64).cell(b"five"), None);
    }
}
