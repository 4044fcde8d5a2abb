//! Statements that ask for PostgreSQL's catalog, in words that DataFusion knows.
//!
//! What must stay true: a statement that names neither the catalog's schemas nor anything else of PostgreSQL's own comes out as it went in; rules that
//! change what a query means (one that names the outer row in ways that DataFusion does not plan becomes NULL) are for statements that read nothing but the catalog.

use std::fmt;
use std::ops::ControlFlow;

use datafusion::sql::parser::{ExplainStatement, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Ident, ObjectName, ObjectNamePart, Query, Statement, TableFactor, Visit, VisitMut, Visitor, VisitorMut};
use datafusion_pg_catalog::sql::rules::{
    AliasDuplicatedProjectionRewrite, FixArrayLiteral, FixVersionColumnName, ResolveUnqualifiedIdentifier, RewriteArrayAnyAllOperation, RewritePgCatalogOperator,
    RewriteRegCastToSubquery, SqlStatementRewriteRule, StripCallableQualifier, StripCollate,
};

use super::session::{self, Facts, type_name};
use super::{INFORMATION_SCHEMA, PG_CATALOG, PgCatalog, empty, introspection, procedures, subqueries, tableoid};

/// Functions without a schema before them that say something of the session.
const OF_SESSION: [&str; 18] = [
    "current_user",
    "session_user",
    "user",
    "current_role",
    "current_database",
    "current_catalog",
    "current_schema",
    "current_schemas",
    "current_setting",
    "set_config",
    "pg_backend_pid",
    "pg_table_is_visible",
    "to_regclass",
    "to_regnamespace",
    "to_regproc",
    "to_regrole",
    "to_regtype",
    "version",
];

/// The rules of datafusion-pg-catalog, and the names of what they are for.
pub(super) struct Rules {
    /// Tables of `pg_catalog`.
    tables: Vec<String>,
    /// What a statement means stays the same.
    harmless: Vec<Box<dyn SqlStatementRewriteRule>>,
    /// What only the catalog is asked for becomes what DataFusion can answer.
    catalog: Vec<Box<dyn SqlStatementRewriteRule>>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").finish_non_exhaustive()
    }
}

impl Rules {
    pub(super) fn new(tables: Vec<String>) -> Rules {
        let harmless: Vec<Box<dyn SqlStatementRewriteRule>> = vec![
            Box::new(StripCallableQualifier),
            Box::new(StripCollate),
            Box::new(RewritePgCatalogOperator),
            Box::new(RewriteRegCastToSubquery::new()),
            Box::new(FixVersionColumnName),
        ];
        // In the order of the library's own parser.
        let catalog: Vec<Box<dyn SqlStatementRewriteRule>> = vec![
            Box::new(AliasDuplicatedProjectionRewrite),
            Box::new(ResolveUnqualifiedIdentifier),
            Box::new(RewriteArrayAnyAllOperation),
            Box::new(StripCallableQualifier),
            Box::new(FixArrayLiteral),
            Box::new(StripCollate),
            Box::new(RewritePgCatalogOperator),
            Box::new(RewriteRegCastToSubquery::new()),
            Box::new(FixVersionColumnName),
        ];
        Rules { tables, harmless, catalog }
    }
}

impl PgCatalog {
    /// A statement in words that DataFusion knows, for the session that asks.
    pub(crate) fn rewrite(&self, statement: DfStatement, facts: &Facts<'_>) -> DfStatement {
        match statement {
            DfStatement::Statement(sql) => DfStatement::Statement(Box::new(self.rewritten(*sql, facts))),
            DfStatement::Explain(ExplainStatement { options, statement }) => {
                DfStatement::Explain(ExplainStatement { options, statement: Box::new(self.rewrite(*statement, facts)) })
            }
            other => other,
        }
    }

    fn rewritten(&self, statement: Statement, facts: &Facts<'_>) -> Statement {
        let mut asked = Asked { tables: &self.rules.tables, inside: Vec::new(), catalog: false, other: false, words: false };
        let ControlFlow::Continue(()) = Visit::visit(&statement, &mut asked);
        let Asked { catalog, other, words, .. } = asked;
        if !catalog && !words {
            return statement;
        }
        let mut statement = introspection::rewrite(statement);
        session::rewrite(&mut statement, facts, &self.oids);
        if catalog {
            procedures::rewrite(&mut statement);
            let ControlFlow::Continue(()) = VisitMut::visit(&mut statement, &mut Qualify { tables: &self.rules.tables });
        }
        let rules = if catalog && !other {
            tableoid::rewrite(&mut statement, &self.oids);
            empty::rewrite(&mut statement);
            subqueries::rewrite(&mut statement);
            &self.rules.catalog
        } else {
            &self.rules.harmless
        };
        rules.iter().fold(statement, |statement, rule| rule.rewrite(statement))
    }
}

/// What a statement asks for.
struct Asked<'a> {
    tables: &'a [String],
    /// Names that the statement gives to queries of its own.
    inside: Vec<String>,
    /// Relations of the catalog's schemas.
    catalog: bool,
    /// Other relations.
    other: bool,
    /// Words of PostgreSQL's own.
    words: bool,
}

impl Visitor for Asked<'_> {
    type Break = std::convert::Infallible;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        self.inside.extend(query.with.iter().flat_map(|with| &with.cte_tables).map(|table| table.alias.name.value.to_lowercase()));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
        // A function that gives a table is neither.
        if let TableFactor::Table { name, args, .. } = factor {
            let of_catalog = in_catalog(name, self.tables);
            if args.is_some() {
                self.words |= name.0.len() > 1;
            } else if of_catalog {
                self.catalog = true;
            } else if !self.inside.contains(&name.to_string().to_lowercase()) {
                self.other = true;
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        self.words |= match expr {
            Expr::Function(function) => {
                let name = session::function_name(function);
                let qualified = function.name.0.len() > 1;
                name.is_some_and(|name| qualified || OF_SESSION.contains(&name.as_str()))
            }
            Expr::Identifier(ident) => ident.quote_style.is_none() && ["current_schema", "current_role"].iter().any(|word| ident.value.eq_ignore_ascii_case(word)),
            Expr::Cast { data_type, .. } => type_name(data_type).starts_with("reg"),
            Expr::Collate { .. } => true,
            Expr::BinaryOp { op: BinaryOperator::PGCustomBinaryOperator(_), .. } => true,
            _ => false,
        };
        ControlFlow::Continue(())
    }
}

fn in_catalog(name: &ObjectName, tables: &[String]) -> bool {
    let parts: Option<Vec<String>> = name.0.iter().map(|part| part.as_ident().map(|ident| ident.value.to_lowercase())).collect();
    match parts.as_deref() {
        Some([table]) => tables.contains(table),
        Some([.., schema, _]) => schema == PG_CATALOG || schema == INFORMATION_SCHEMA,
        _ => false,
    }
}

/// Writes `pg_catalog` before its tables, which PostgreSQL always looks for there first.
struct Qualify<'a> {
    tables: &'a [String],
}

impl VisitorMut for Qualify<'_> {
    type Break = std::convert::Infallible;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        if let TableFactor::Table { name, args: None, .. } = factor
            && name.0.len() == 1
            && in_catalog(name, self.tables)
        {
            name.0.insert(0, ObjectNamePart::Identifier(Ident::new(PG_CATALOG)));
        }
        ControlFlow::Continue(())
    }
}
