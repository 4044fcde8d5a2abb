//! What clients ask for, as they ask for it.

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use datafusion::catalog::{CatalogProviderList, MemoryCatalogProviderList};
use datafusion::common::ScalarValue;
use datafusion::config::Dialect;
use datafusion::execution::{SessionState, SessionStateBuilder, SessionStateDefaults};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::DFParserBuilder;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use wh_stores::places::{BaselinesPlace, DocumentsPlace, LedgerPlace, LogPlace, MetricsPlace, SearchPlace};

use super::*;
use crate::catalog::{CATALOG, Catalog, DEFAULT_SCHEMA, relations};
use crate::places::{Places, Stores};
use crate::queries::Queries;

struct Client {
    catalog: PgCatalog,
    state: SessionState,
}

impl Client {
    fn new() -> Client {
        let nowhere = std::path::PathBuf::from("/nowhere");
        let places = Places {
            log: LogPlace::Sqlite(nowhere.clone()),
            ledger: LedgerPlace::Sqlite(nowhere.clone()),
            documents: DocumentsPlace::Sqlite(nowhere.clone()),
            metrics: MetricsPlace::Sqlite(nowhere.clone()),
            baselines: BaselinesPlace::Sqlite(nowhere.clone()),
            search: SearchPlace::Tantivy(nowhere),
        };
        let relations = relations(&Arc::new(Stores::new(places)), &Arc::new(Queries::default()));
        let catalog = PgCatalog::new(&relations, &[("server_version_num", "160006".to_owned(), "what clients take it for")]).unwrap();
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(CATALOG.to_owned(), Arc::new(Catalog::new(&relations, catalog.schemas())));
        let mut config = SessionConfig::new().with_default_catalog_and_schema(CATALOG, DEFAULT_SCHEMA).with_create_default_catalog_and_schema(false);
        config.options_mut().sql_parser.dialect = Dialect::PostgreSQL;
        config.options_mut().sql_parser.map_string_types_to_utf8view = false;
        let builder = SessionStateBuilder::new()
            .with_config(config)
            .with_catalog_list(Arc::new(catalogs))
            .with_expr_planners(SessionStateDefaults::default_expr_planners())
            .with_scalar_functions(SessionStateDefaults::default_scalar_functions())
            .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
            .with_window_functions(SessionStateDefaults::default_window_functions())
            .with_table_function_list(SessionStateDefaults::default_table_functions());
        let state = catalog.install(builder).build();
        Client { catalog, state }
    }

    /// The rows of a statement, as texts.
    async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let mut statements = DFParserBuilder::new(sql).with_dialect(&PostgreSqlDialect {}).build().unwrap().parse_statements().unwrap();
        let setting = |name: &str| match name {
            "search_path" => Some("ledger, search, \"$user\"".to_owned()),
            "server_version_num" => Some("160006".to_owned()),
            _ => None,
        };
        let statement = self.catalog.rewrite(statements.pop_front().unwrap(), &Facts { user: "ann", id: 7, setting: &setting });
        let shown = statement.to_string();
        let plan = self.state.statement_to_plan(statement).await.unwrap_or_else(|error| panic!("{sql}\n{shown}\n{error}"));
        let context = SessionContext::new_with_state(self.state.clone());
        let batches = context.execute_logical_plan(plan).await.unwrap().collect().await.unwrap_or_else(|error| panic!("{sql}\n{shown}\n{error}"));
        batches.iter().flat_map(texts).collect()
    }
}

fn texts(batch: &RecordBatch) -> Vec<Vec<String>> {
    (0..batch.num_rows()).map(|row| batch.columns().iter().map(|column| array_value_to_string(column, row).unwrap()).collect()).collect()
}

#[tokio::test]
async fn psql_lists_and_describes_relations() {
    let client = Client::new();
    let listed = client
        .rows(
            r#"SELECT n.nspname as "Schema", c.relname as "Name", CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' END as "Type", pg_catalog.pg_get_userbyid(c.relowner) as "Owner"
               FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
               WHERE c.relkind IN ('r','p','') AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast' AND n.nspname <> 'information_schema'
               AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1,2"#,
        )
        .await;
    assert!(listed.contains(&["ledger", "transactions", "table", "wardhouse"].map(str::to_owned).to_vec()), "{listed:?}");
    assert!(listed.contains(&["search", "alerts", "table", "wardhouse"].map(str::to_owned).to_vec()), "{listed:?}");
    assert!(!listed.iter().any(|row| row[0] == "documents" || row[1] == "recent_alerts"), "{listed:?}");

    let found = client
        .rows(
            "SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relname OPERATOR(pg_catalog.~) '^(transactions)$' COLLATE pg_catalog.default AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 2, 3",
        )
        .await;
    assert_eq!(found.len(), 1, "{found:?}");
    let oid = &found[0][0];
    let general = client
        .rows(&format!(
            "SELECT c.relchecks, c.relkind, c.relhasindex, c.relhasrules, c.relhastriggers, c.relrowsecurity, c.relforcerowsecurity, false AS relhasoids, c.relispartition, '', \
             c.reltablespace, CASE WHEN c.reloftype = 0 THEN '' ELSE c.reloftype::pg_catalog.regtype::pg_catalog.text END, c.relpersistence, c.relreplident, am.amname \
             FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_class tc ON (c.reltoastrelid = tc.oid) LEFT JOIN pg_catalog.pg_am am ON (c.relam = am.oid) WHERE c.oid = '{oid}'"
        ))
        .await;
    assert_eq!((general.len(), general[0][1].as_str()), (1, "r"));
    let columns = client
        .rows(&format!(
            "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d \
             WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), a.attnotnull, (SELECT c.collname FROM pg_catalog.pg_collation c, pg_catalog.pg_type t \
             WHERE c.oid = a.attcollation AND t.oid = a.atttypid AND a.attcollation <> t.typcollation) AS attcollation, a.attidentity, a.attgenerated \
             FROM pg_catalog.pg_attribute a WHERE a.attrelid = '{oid}' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
        ))
        .await;
    assert_eq!(columns[0][..2], ["transaction_id".to_owned(), "text".to_owned()]);
    let amount = columns.iter().find(|column| column[0] == "amount").unwrap();
    assert_eq!((amount[1].as_str(), amount[3].as_str()), ("numeric(15,2)", "true"));
}

#[tokio::test]
async fn what_there_is_none_of_is_asked_for_in_vain() {
    let client = Client::new();
    for sql in [
        // psql \d
        "SELECT pol.polname, pol.polpermissive, CASE WHEN pol.polroles = '{0}' THEN NULL ELSE pg_catalog.array_to_string(array(select rolname from pg_catalog.pg_roles \
         where oid = any (pol.polroles) order by 1),',') END, pg_catalog.pg_get_expr(pol.polqual, pol.polrelid) FROM pg_catalog.pg_policy pol WHERE pol.polrelid = '20000' ORDER BY 1",
        "SELECT oid, stxrelid::pg_catalog.regclass, stxnamespace::pg_catalog.regnamespace::pg_catalog.text AS nsp, stxname, 'd' = any(stxkind) AS ndist_enabled \
         FROM pg_catalog.pg_statistic_ext WHERE stxrelid = '20000' ORDER BY nsp, stxname",
        "SELECT pubname, NULL, NULL FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_namespace pn ON p.oid = pn.pnpubid WHERE p.oid = '1' \
         UNION SELECT pubname, NULL, NULL FROM pg_catalog.pg_publication p WHERE p.puballtables ORDER BY 1",
        "SELECT pubname, pg_get_expr(pr.prqual, c.oid), (CASE WHEN pr.prattrs IS NOT NULL THEN (SELECT string_agg(attname, ', ') \
         FROM pg_catalog.generate_series(0, pg_catalog.array_upper(pr.prattrs::pg_catalog.int2[], 1)) s, pg_catalog.pg_attribute \
         WHERE attrelid = pr.prrelid AND attnum = prattrs[s]) ELSE NULL END) FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_rel pr ON p.oid = pr.prpubid \
         JOIN pg_catalog.pg_class c ON c.oid = pr.prrelid WHERE pr.prrelid = '20000' ORDER BY 1",
        "SELECT c.oid::pg_catalog.regclass FROM pg_catalog.pg_class c, pg_catalog.pg_inherits i WHERE c.oid = i.inhparent AND i.inhrelid = '20000' ORDER BY inhseqno",
        // SQLAlchemy: primary keys
        "SELECT attr.conrelid, array_agg(CAST(attr.attname AS TEXT) ORDER BY attr.ord) AS cols, attr.conname FROM (SELECT con.conrelid AS conrelid, con.conname AS conname, con.ord AS ord, \
         pg_catalog.pg_attribute.attname AS attname FROM pg_catalog.pg_attribute JOIN (SELECT pg_catalog.pg_constraint.conrelid AS conrelid, pg_catalog.pg_constraint.conname AS conname, \
         unnest(pg_catalog.pg_constraint.conkey) AS attnum, generate_subscripts(pg_catalog.pg_constraint.conkey, 1) AS ord FROM pg_catalog.pg_constraint \
         WHERE pg_catalog.pg_constraint.contype = 'p') AS con ON pg_catalog.pg_attribute.attnum = con.attnum) AS attr GROUP BY attr.conrelid, attr.conname ORDER BY attr.conrelid",
        // pgjdbc: primary keys
        "SELECT NULL AS TABLE_CAT, result.A_ATTNUM AS KEY_SEQ FROM (SELECT n.nspname AS TABLE_SCHEM, (information_schema._pg_expandarray(i.indkey)).n AS A_ATTNUM \
         FROM pg_catalog.pg_class ct JOIN pg_catalog.pg_attribute a ON (ct.oid = a.attrelid) JOIN pg_catalog.pg_namespace n ON (ct.relnamespace = n.oid) \
         JOIN pg_catalog.pg_index i ON (a.attrelid = i.indrelid)) result ORDER BY result.A_ATTNUM",
    ] {
        assert_eq!(client.rows(sql).await, Vec::<Vec<String>>::new(), "{sql}");
    }
    assert_eq!(client.rows("SELECT count(*) FROM pg_index").await, [["0"]]);
    assert_eq!(client.rows("SELECT relname FROM pg_class WHERE relname = 'transactions' AND NOT EXISTS (SELECT 1 FROM pg_trigger)").await, [["transactions"]]);
}

#[tokio::test]
async fn names_and_numbers_stand_for_each_other() {
    let client = Client::new();
    assert_eq!(client.rows("SELECT relname FROM pg_class WHERE oid = 'transactions'::regclass").await, [["transactions"]]);
    assert_eq!(client.rows("SELECT relname FROM pg_class WHERE oid = '\"search\".alerts'::regclass").await, [["alerts"]]);
    assert_eq!(client.rows("SELECT 'pg_class'::regclass, 'int4'::regtype, 'pg_catalog'::regnamespace").await, [["1259", "23", "11"]]);
    let described = client
        .rows(
            "SELECT d.description FROM pg_class c JOIN pg_description d ON (c.oid = d.objoid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass) \
             WHERE c.oid = 'ledger.risk_alerts'::regclass",
        )
        .await;
    assert!(described[0][0].contains("one row an alert"), "{described:?}");
    assert_eq!(client.rows("SELECT obj_description('ledger.risk_alerts'::regclass, 'pg_class')").await, described);
    assert_eq!(
        client.rows("SELECT atttypid::regtype::text FROM pg_attribute WHERE attrelid = 'transactions'::regclass AND attname IN ('amount', 'seq') ORDER BY attnum").await,
        [["numeric"], ["bigint"]]
    );
    assert_eq!(
        client.rows("SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname IN ('search', 'ledger') AND relname IN ('alerts', 'audit_log') ORDER BY 1").await,
        [["audit_log"], ["search.alerts"]]
    );
}

#[tokio::test]
async fn a_session_is_told_of_itself() {
    let client = Client::new();
    let row = client.rows("SELECT current_user, session_user, current_database(), current_schema, pg_backend_pid(), current_setting('server_version_num')::int / 100").await;
    assert_eq!(row, [["ann", "ann", "wardhouse", "ledger", "7", "1600"]]);
    assert_eq!(client.rows("SELECT pg_catalog.current_schemas(true)").await, [["[pg_catalog, ledger, search]"]]);
    assert!(client.rows("select pg_catalog.version()").await[0][0].starts_with("PostgreSQL 16"));
    assert_eq!(client.rows("SELECT current_setting('no_such_setting', true), set_config('search_path', '', false)").await, [["", ""]]);
    assert_eq!(client.rows("SELECT has_table_privilege('ledger.transactions', 'SELECT'), has_table_privilege('ledger.transactions', 'INSERT')").await, [["true", "false"]]);
    assert_eq!(client.rows("SELECT pg_size_pretty(10239), pg_size_pretty(10240), pg_size_pretty(123456789)").await, [["10239 bytes", "10 kB", "118 MB"]]);
}

#[tokio::test]
async fn the_standard_s_description_has_postgresql_s_types() {
    let client = Client::new();
    let rows = client
        .rows("SELECT column_name, data_type, is_nullable, numeric_scale FROM information_schema.columns WHERE table_schema = 'ledger' AND table_name = 'transactions' ORDER BY ordinal_position")
        .await;
    assert_eq!(rows[1], ["timestamp", "timestamp with time zone", "NO", ""]);
    assert!(rows.contains(&["amount", "numeric", "NO", "2"].map(str::to_owned).to_vec()), "{rows:?}");
    assert!(!rows.iter().any(|row| row[0] == "_score"));
    let tables = client.rows("SHOW TABLES").await;
    assert!(tables.iter().any(|row| row[..4] == ["wardhouse", "ledger", "recent_alerts", "VIEW"].map(str::to_owned)), "{tables:?}");
    let grafana = client
        .rows(
            "SELECT CASE WHEN quote_ident(table_schema) IN (SELECT CASE WHEN trim(s[i]) = '\"$user\"' THEN user ELSE trim(s[i]) END \
             FROM generate_series(array_lower(string_to_array(current_setting('search_path'),','),1), array_upper(string_to_array(current_setting('search_path'),','),1)) as i, \
             string_to_array(current_setting('search_path'),',') s) THEN quote_ident(table_name) ELSE quote_ident(table_schema) || '.' || quote_ident(table_name) END AS \"table\" \
             FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog') ORDER BY 1",
        )
        .await;
    assert!(grafana.contains(&vec!["transactions".to_owned()]) && grafana.contains(&vec!["documents.explanations".to_owned()]), "{grafana:?}");
}

#[tokio::test]
async fn other_statements_come_out_as_they_went_in() {
    let client = Client::new();
    let facts = Facts { user: "ann", id: 7, setting: &|_| None };
    for sql in [
        "SELECT user_id, (SELECT max(risk_score) FROM risk_alerts a WHERE a.user_id = t.user_id) FROM transactions t WHERE account_id = ANY (ARRAY['a', 'b'])",
        "SELECT '{1,2}'::INT[], \"current_role\" FROM transactions",
        "EXPLAIN SELECT 1",
    ] {
        let mut statements = DFParserBuilder::new(sql).with_dialect(&PostgreSqlDialect {}).build().unwrap().parse_statements().unwrap();
        let statement = statements.pop_front().unwrap();
        let before = statement.to_string();
        assert_eq!(client.catalog.rewrite(statement, &facts).to_string(), before);
    }
}

#[tokio::test]
async fn queries_stand_where_values_may() {
    let client = Client::new();
    // psql \du
    let roles = client
        .rows(
            "SELECT r.rolname, r.rolsuper, r.rolcanlogin, ARRAY(SELECT b.rolname FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles b ON (m.roleid = b.oid) \
             WHERE m.member = r.oid) as memberof FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY 1",
        )
        .await;
    assert_eq!(roles, [["wardhouse", "false", "false", "[]"]]);
    // psql \d+
    let options = client
        .rows(
            "SELECT c.relkind, pg_catalog.array_to_string(c.reloptions || array(select 'toast.' || x from pg_catalog.unnest(tc.reloptions) x), ', ') FROM pg_catalog.pg_class c \
             LEFT JOIN pg_catalog.pg_class tc ON (c.reltoastrelid = tc.oid) WHERE c.oid = 'ledger.transactions'::regclass",
        )
        .await;
    assert_eq!(options.len(), 1, "{options:?}");
    // psql \dp
    let columns = client
        .rows(
            "SELECT array_to_string(ARRAY(SELECT attname FROM pg_catalog.pg_attribute a WHERE attrelid = c.oid AND NOT attisdropped AND attname LIKE 'a%' ORDER BY 1), ','), \
             array_to_string(ARRAY(SELECT attname FROM pg_catalog.pg_attribute a WHERE attrelid = c.oid AND attacl IS NOT NULL), ',') \
             FROM pg_catalog.pg_class c WHERE c.relname = 'transactions'",
        )
        .await;
    assert_eq!(columns[0][0], "account_id,amount,amount_score");
    // psql \dT
    let types = client
        .rows(
            "SELECT count(*) FROM pg_catalog.pg_type t WHERE (t.typrelid = 0 OR (SELECT c.relkind = 'c' FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid)) \
             AND NOT EXISTS(SELECT 1 FROM pg_catalog.pg_type el WHERE el.oid = t.typelem AND el.typarray = t.oid)",
        )
        .await;
    assert!(types[0][0].parse::<i64>().unwrap() > 50, "{types:?}");
    // SQLAlchemy: columns; text has the database's own collation.
    let collations = client
        .rows(
            "SELECT a.attname, CASE WHEN (a.attcollation != 0 AND (SELECT pg_catalog.pg_type.typcollation FROM pg_catalog.pg_type WHERE pg_catalog.pg_type.oid = a.atttypid) != a.attcollation) \
             THEN (SELECT json_build_object('name', c.collname, 'schema', n.nspname) FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace \
             WHERE c.oid = a.attcollation) END AS collation FROM pg_catalog.pg_attribute a WHERE a.attrelid = 'ledger.transactions'::regclass AND a.attname = 'user_id'",
        )
        .await;
    assert_eq!(collations, [["user_id", ""]]);
    assert_eq!(client.rows("SELECT EXISTS(SELECT * FROM pg_proc WHERE proname = 'pg_tablespace_location')").await.len(), 1);
    assert_eq!(client.rows("SELECT l.tableoid = 'pg_language'::regclass FROM pg_catalog.pg_language l LIMIT 1").await, [["true"]]);
}

#[tokio::test]
async fn what_is_not_there_has_no_number() {
    let client = Client::new();
    assert_eq!(
        client.rows("SELECT to_regtype('int4'), to_regtype('hstore'), to_regclass('ledger.no_such_table')::text, to_regclass('transactions')::text").await,
        [["23", "", "", "transactions"]]
    );
    assert_eq!(client.rows("SELECT to_regnamespace('ledger') IS NULL, to_regnamespace('nowhere') IS NULL, to_regrole('wardhouse')").await, [["false", "true", "10"]]);
    assert_eq!(client.rows("SELECT t.typname, t.typarray FROM pg_type t WHERE t.oid = to_regtype('int4')").await, [["int4", "1007"]]);
    assert_eq!(client.rows("SELECT json_build_object('a', 1, 'b', 'x')").await, [[r#"{"a" : 1, "b" : "x"}"#]]);
    assert_eq!(client.rows("SELECT count(*) FROM pg_type WHERE typname = 'int4' COLLATE \"C\"").await, [["1"]]);
}

#[tokio::test]
async fn asyncpg_learns_what_a_type_consists_of() {
    let client = Client::new();
    // The beginning and end of its statement; what is between is taken from it alone.
    let sql =
        "WITH RECURSIVE typeinfo_tree(oid, ns) AS (SELECT ti.oid, ti.typname FROM pg_catalog.pg_type AS ti WHERE ti.oid = any($1::oid[])) SELECT DISTINCT * FROM typeinfo_tree";
    let mut statements = DFParserBuilder::new(sql).with_dialect(&PostgreSqlDialect {}).build().unwrap().parse_statements().unwrap();
    let statement = client.catalog.rewrite(statements.pop_front().unwrap(), &Facts { user: "ann", id: 7, setting: &|_| None });
    let plan = client.state.statement_to_plan(statement).await.unwrap();
    let wanted = ScalarValue::List(ScalarValue::new_list_nullable(&[ScalarValue::Int32(Some(1007))], &DataType::Int32));
    let plan = plan.with_param_values(vec![wanted]).unwrap();
    let batches = SessionContext::new_with_state(client.state.clone()).execute_logical_plan(plan).await.unwrap().collect().await.unwrap();
    let rows: Vec<Vec<String>> = batches.iter().flat_map(texts).collect();
    let told: Vec<[&str; 4]> = rows.iter().map(|row| [row[0].as_str(), row[2].as_str(), row[5].as_str(), row[12].as_str()]).collect();
    assert_eq!(told, [["23", "int4", "0", "-"], ["1007", "_int4", "23", "integer"]]);
}
