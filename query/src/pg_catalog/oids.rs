//! Numbers of schemas, relations and types, by which PostgreSQL's clients join what they are told.
//!
//! What must stay true: what has a number in PostgreSQL keeps it; what is ours has the same number after each start, since the relations are the same.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use datafusion::common::{DataFusionError, Result};
use datafusion_pg_catalog::pg_catalog::PgCatalogStaticTables;

use super::{INFORMATION_SCHEMA, PG_CATALOG, names};
use crate::meanings;
use crate::table::Relation;

/// The first number that is not PostgreSQL's own (`FirstNormalObjectId` in src/include/access/transam.h).
const FIRST: i32 = 16_384;
/// From which on relations are numbered.
const FIRST_RELATION: i32 = 20_000;
/// PostgreSQL's number of `pg_catalog`, to which the types that it ships refer.
const PG_CATALOG_OID: i32 = 11;
/// Near PostgreSQL's own, which differs from one version to the next.
const INFORMATION_SCHEMA_OID: i32 = 13_000;
/// `pg_class`, as the class of what is described.
pub(super) const PG_CLASS: i32 = 1_259;
/// `pg_namespace`, likewise.
pub(super) const PG_NAMESPACE: i32 = 2_615;

/// A relation and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbered {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) oid: i32,
    pub(super) description: String,
    /// What its columns mean, in their order.
    pub(super) columns: Vec<Option<&'static str>>,
}

/// The numbers of what there is.
#[derive(Debug)]
pub(super) struct Oids {
    schemas: Vec<(String, i32)>,
    /// Ours, in the catalog's order.
    ours: Vec<Numbered>,
    /// PostgreSQL's own, by name.
    system: HashMap<String, i32>,
    types: HashMap<String, i32>,
    /// Functions; without a number where several have the name.
    functions: HashMap<String, Option<i32>>,
}

impl Oids {
    pub(super) fn new(relations: &[Arc<Relation>], fixed: &PgCatalogStaticTables) -> Result<Oids> {
        let mut schemas = vec![(PG_CATALOG.to_owned(), PG_CATALOG_OID), (INFORMATION_SCHEMA.to_owned(), INFORMATION_SCHEMA_OID)];
        let mut ours = Vec::with_capacity(relations.len());
        for relation in relations {
            if !schemas.iter().any(|(name, _)| name == relation.schema_name) {
                let next = i32::try_from(schemas.len()).map_err(|_| too_many())?;
                schemas.push((relation.schema_name.to_owned(), FIRST + next));
            }
            let next = i32::try_from(ours.len()).map_err(|_| too_many())?;
            let table = relation.qualified_name();
            ours.push(Numbered {
                schema: relation.schema_name.to_owned(),
                name: relation.name.clone(),
                oid: FIRST_RELATION + next,
                description: relation.description.clone(),
                columns: relation.scan.schema().fields().iter().map(|field| meanings::meaning(&table, field.name())).collect(),
            });
        }
        let (mut types, mut system) = (HashMap::new(), HashMap::new());
        for batch in fixed.pg_type.data() {
            let column = |name: &str| batch.column_by_name(name).ok_or_else(|| DataFusionError::Internal(format!("pg_type has no column {name}")));
            let (oid, name, relation) = (column("oid")?.as_primitive::<Int32Type>(), column("typname")?.as_string::<i32>(), column("typrelid")?.as_primitive::<Int32Type>());
            for row in 0..batch.num_rows() {
                // The type of a relation's rows has the relation's name.
                if relation.value(row) == 0 {
                    types.insert(name.value(row).to_owned(), oid.value(row));
                } else {
                    system.insert(name.value(row).to_owned(), relation.value(row));
                }
            }
        }
        let mut functions: HashMap<String, Option<i32>> = HashMap::new();
        for batch in fixed.pg_proc.data() {
            let column = |name: &str| batch.column_by_name(name).ok_or_else(|| DataFusionError::Internal(format!("pg_proc has no column {name}")));
            let (oid, name) = (column("oid")?.as_primitive::<Int32Type>(), column("proname")?.as_string::<i32>());
            for row in 0..batch.num_rows() {
                functions.entry(name.value(row).to_owned()).and_modify(|known| *known = None).or_insert_with(|| Some(oid.value(row)));
            }
        }
        Ok(Oids { schemas, ours, system, types, functions })
    }

    pub(super) fn schemas(&self) -> &[(String, i32)] {
        &self.schemas
    }

    pub(super) fn ours(&self) -> &[Numbered] {
        &self.ours
    }

    /// The number of a relation of `pg_catalog`.
    pub(super) fn system(&self, name: &str) -> Option<i32> {
        self.system.get(name).copied()
    }

    pub(super) fn schema(&self, name: &str) -> Option<i32> {
        self.schemas.iter().find(|(known, _)| known == name).map(|(_, oid)| *oid)
    }

    /// The schema that a text names.
    pub(super) fn schema_named(&self, text: &str) -> Option<i32> {
        if let Some(number) = digits(text) {
            return Some(number);
        }
        match names::parts(text)?.as_slice() {
            [name] => self.schema(name),
            _ => None,
        }
    }

    /// The type that a text names, with or without `pg_catalog` before it.
    pub(super) fn type_named(&self, text: &str) -> Option<i32> {
        if let Some(number) = digits(text) {
            return Some(number);
        }
        let parts = names::parts(text)?;
        match parts.as_slice() {
            [name] => self.types.get(name).copied(),
            [schema, name] if schema == PG_CATALOG => self.types.get(name).copied(),
            _ => None,
        }
    }

    /// The function that a text names, with or without `pg_catalog` before it and its arguments behind it; 0 for the sign of none.
    pub(super) fn function_named(&self, text: &str) -> Option<i32> {
        let name = text.split_once('(').map_or(text, |(name, _)| name).trim();
        if name == "-" {
            return Some(0);
        }
        if let Some(number) = digits(name) {
            return Some(number);
        }
        let parts = names::parts(name)?;
        match parts.as_slice() {
            [name] => self.functions.get(name).copied().flatten(),
            [schema, name] if schema == PG_CATALOG => self.functions.get(name).copied().flatten(),
            _ => None,
        }
    }

    /// The relation that a text names, looked for in `path` where it has no schema.
    pub(super) fn relation_named(&self, text: &str, path: &[String]) -> Option<i32> {
        if let Some(number) = digits(text) {
            return Some(number);
        }
        let parts = names::parts(text)?;
        match parts.as_slice() {
            [name] => self.system(name).or_else(|| path.iter().find_map(|schema| self.relation(schema, name))),
            [schema, name] if schema == PG_CATALOG => self.system(name),
            [schema, name] => self.relation(schema, name),
            _ => None,
        }
    }

    fn relation(&self, schema: &str, name: &str) -> Option<i32> {
        self.ours.iter().find(|relation| relation.schema == schema && relation.name == name).map(|relation| relation.oid)
    }

    pub(super) fn of(&self, oid: i32) -> Option<&Numbered> {
        let place = usize::try_from(oid.checked_sub(FIRST_RELATION)?).ok()?;
        self.ours.get(place)
    }

    /// Whether a relation is what its name means where it has no schema.
    pub(super) fn is_visible(&self, oid: i32, path: &[String]) -> bool {
        match self.of(oid) {
            Some(relation) => self.relation_named(&names::quoted(&relation.name), path) == Some(oid),
            None => self.system.values().any(|known| *known == oid),
        }
    }

    /// A relation's name, with its schema where that is needed.
    pub(super) fn shown(&self, oid: i32, path: &[String]) -> Option<String> {
        match self.of(oid) {
            Some(relation) if self.is_visible(oid, path) => Some(names::quoted(&relation.name)),
            Some(relation) => Some(format!("{}.{}", names::quoted(&relation.schema), names::quoted(&relation.name))),
            None => self.system.iter().find(|(_, known)| **known == oid).map(|(name, _)| name.clone()),
        }
    }
}

/// The number that is written in the place of a name.
fn digits(text: &str) -> Option<i32> {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) { None } else { text.parse().ok() }
}

fn too_many() -> DataFusionError {
    DataFusionError::Internal("there are more relations than numbers".to_owned())
}
