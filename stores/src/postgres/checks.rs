//! What `wardhouse doctor` looks at on a PostgreSQL server. Nothing is changed.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{Postgres, Row};
use wh_schemas::Reaction;

use super::settings::PostgresSettings;
use super::values::Instant;
use super::{connect, errors, layout};
use crate::clock;
use crate::finding::Finding;

/// How far the server's clock may be from this machine's.
const SKEW: i64 = 1_000_000;
/// How far a replica may be behind without a word.
const LAG: i64 = 10_000_000;
/// How long all looks together may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Looks at the server: version, TLS, layout, rights, durability, clock, replica. A server that cannot be reached is one fault.
pub async fn examine(settings: &PostgresSettings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let looked = tokio::time::timeout(LIMIT, look(settings, &mut findings)).await;
    match looked {
        Ok(Ok(())) => {}
        Ok(Err(reaction)) => findings.push(Finding::fault("server", reaction.to_string(), "")),
        Err(_) => findings.push(Finding::fault("server", format!("{} did not answer within {} s", settings.place(), LIMIT.as_secs()), "check its load and its log")),
    }
    findings
}

async fn look(settings: &PostgresSettings, findings: &mut Vec<Finding>) -> Result<(), Reaction> {
    let place = settings.place();
    let told = |error: sqlx::Error| errors::reaction(&place, &error);
    let mut connection = connect::connect(settings).await?;
    server(settings, &mut connection, findings).await.map_err(told)?;
    clocks(&mut connection, findings).await.map_err(told)?;
    durability(&mut connection, findings).await.map_err(told)?;
    if layout::version(&mut connection).await.map_err(told)?.is_none() {
        findings.push(Finding::warning("layout", "there is none yet", "run `wardhouse migrate`, or let the first start make it with a user who may"));
        return Ok(());
    }
    match layout::check(&mut connection, &place).await {
        Ok(()) => {
            findings.push(Finding::fine("layout", format!("version {}", layout::VERSION)));
            rights(&mut connection, findings).await.map_err(told)?;
        }
        Err(reaction) => findings.push(Finding::fault("layout", reaction.to_string(), "")),
    }
    if settings.replica.is_some() {
        replica(settings, findings).await;
    }
    Ok(())
}

async fn server(settings: &PostgresSettings, connection: &mut PgConnection, findings: &mut Vec<Finding>) -> Result<(), sqlx::Error> {
    let sql = "SELECT current_setting('server_version'), coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false), \
               current_setting('max_connections')::int8, current_setting('superuser_reserved_connections')::int8";
    let row = sqlx::query::<Postgres>(sql).fetch_one(connection).await?;
    findings.push(Finding::fine("version", format!("PostgreSQL {}", row.try_get::<String, _>(0)?)));
    findings.push(if row.try_get(1)? {
        Finding::fine("tls", "encrypted, the server's certificate checked")
    } else {
        let local = settings.server.hosts.iter().all(|(host, _)| matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1"));
        if local { Finding::fine("tls", "not encrypted, on this machine") } else { Finding::warning("tls", "not encrypted", "set postgres.tls = true") }
    });
    let free = row.try_get::<i64, _>(2)? - row.try_get::<i64, _>(3)?;
    let wanted = i64::try_from(settings.read_connections).unwrap_or(i64::MAX).saturating_add(2);
    if free < wanted {
        findings.push(Finding::warning(
            "connections",
            format!("the server takes {free}, this process may want {wanted}"),
            "raise max_connections there, or lower postgres.read_connections",
        ));
    }
    Ok(())
}

async fn clocks(connection: &mut PgConnection, findings: &mut Vec<Finding>) -> Result<(), sqlx::Error> {
    let before = clock::now().0;
    let row = sqlx::query::<Postgres>("SELECT clock_timestamp()").fetch_one(connection).await?;
    let after = clock::now().0;
    let value = row.try_get_raw(0)?;
    let there = Instant::decode(value.as_bytes().map_err(sqlx::Error::Decode)?).unwrap_or(i64::MAX);
    let off = if there < before { before - there } else { there.saturating_sub(after).max(0) };
    findings.push(if off <= SKEW {
        Finding::fine("clock", "within a second of this machine's")
    } else {
        Finding::warning("clock", format!("{} s from this machine's", off / 1_000_000), "let both follow a time server: recent_alerts goes by the server's clock")
    });
    Ok(())
}

async fn durability(connection: &mut PgConnection, findings: &mut Vec<Finding>) -> Result<(), sqlx::Error> {
    let sql = "SELECT name, reset_val FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') ORDER BY name";
    let mut fine = Vec::new();
    for row in sqlx::query::<Postgres>(sql).fetch_all(connection).await? {
        let (name, value): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        match (name.as_str(), value.as_str()) {
            // The sink's session sets it on for itself.
            ("synchronous_commit", "off" | "local") => fine.push(format!("synchronous_commit = {value}, raised by the sink")),
            (_, "off") => findings.push(Finding::warning("durability", format!("{name} = off"), "set it on: rows that were acknowledged may be lost with the server's power")),
            _ => fine.push(format!("{name} = {value}")),
        }
    }
    findings.push(Finding::fine("durability", fine.join(", ")));
    Ok(())
}

async fn rights(connection: &mut PgConnection, findings: &mut Vec<Finding>) -> Result<(), sqlx::Error> {
    let sql = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname::text = ANY($1) AND CASE relkind WHEN 'v' THEN \
               NOT has_table_privilege(oid, 'SELECT') ELSE NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT') AND \
               has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')) END ORDER BY 1";
    let lacking = sqlx::query_scalar::<Postgres, String>(sql).bind(&layout::RELATIONS[..]).fetch_all(connection).await?;
    findings.push(if lacking.is_empty() {
        Finding::fine("rights", "every table can be read and written")
    } else {
        Finding::fault("rights", format!("this user may not read and write {}", lacking.join(", ")), "GRANT SELECT, INSERT, UPDATE, DELETE on them, or make it the owner")
    });
    Ok(())
}

async fn replica(settings: &PostgresSettings, findings: &mut Vec<Finding>) {
    let place = settings.reader().to_string();
    let seen = async {
        let mut session = connect::connect_reader(settings).await?;
        let sql = "SELECT pg_is_in_recovery(), (extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000000)::int8, \
                   pg_last_wal_receive_lsn() IS NOT DISTINCT FROM pg_last_wal_replay_lsn()";
        let row = sqlx::query::<Postgres>(sql).fetch_one(&mut session.connection).await;
        let read = row.and_then(|row| Ok((row.try_get::<bool, _>(0)?, row.try_get::<Option<i64>, _>(1)?, row.try_get::<bool, _>(2)?)));
        let read = read.map_err(|error| errors::reaction(&place, &error))?;
        layout::check(&mut session.connection, &place).await?;
        Ok::<_, Reaction>(read)
    };
    findings.push(match seen.await {
        Err(reaction) => Finding::fault("replica", reaction.to_string(), ""),
        Ok((false, _, _)) => Finding::warning("replica", format!("{place} is no standby"), "let postgres.read_url name one, or leave it out"),
        // One that has replayed all that it received is not behind, however old that is.
        Ok((true, Some(behind), false)) if behind > LAG => {
            Finding::warning("replica", format!("{place} is {} s behind", behind / 1_000_000), "what SQL shows is that old: look at its replication")
        }
        Ok(_) => Finding::fine("replica", format!("{place} follows")),
    });
}
