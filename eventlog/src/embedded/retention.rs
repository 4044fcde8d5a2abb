//! What the embedded log removes: batches older than their topic keeps, the oldest when the whole is too large, and in a
//! compacted topic those whose every key has a later record. Never one that a registered group has not settled.

use rusqlite::{Transaction, params};

use super::block;

/// Removes what is no longer kept; returns how many records went.
pub(super) fn retain(transaction: &Transaction<'_>, now: i64, max_bytes: u64) -> rusqlite::Result<u64> {
    let mut removed = 0;
    let topics: Vec<(i64, u32, i64, bool)> = transaction
        .prepare_cached("SELECT topic_id, partitions, retention_ms, compacted FROM topics")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<Result<_, _>>()?;
    for (topic_id, partitions, retention_ms, compacted) in &topics {
        for partition in 0..*partitions {
            if *compacted {
                removed += compact(transaction, *topic_id, partition)?;
            } else if *retention_ms >= 0 {
                removed += remove_head(transaction, *topic_id, partition, now.saturating_sub(retention_ms.saturating_mul(1000)), i64::MAX)?;
            }
        }
    }
    let size: i64 = transaction.query_row("SELECT coalesce(sum(bytes), 0) FROM partitions", [], |row| row.get(0))?;
    let excess = size.saturating_sub(i64::try_from(max_bytes).unwrap_or(i64::MAX));
    if excess > 0 {
        // A tenth more than needed, so that the next batch does not ask again.
        let share = (excess + size / 10) / i64::from(topics.iter().map(|t| t.1).sum::<u32>().max(1)) + 1;
        for (topic_id, partitions, retention_ms, compacted) in &topics {
            if !*compacted && *retention_ms >= 0 {
                for partition in 0..*partitions {
                    removed += remove_head(transaction, *topic_id, partition, i64::MAX, share)?;
                }
            }
        }
    }
    Ok(removed)
}

/// Removes batches from the head of a partition that were appended before `before` and are settled by every group, up to about `bytes`.
fn remove_head(transaction: &Transaction<'_>, topic_id: i64, partition: u32, before: i64, bytes: i64) -> rusqlite::Result<u64> {
    let settled: i64 = transaction
        .prepare_cached("SELECT coalesce(min(next_offset), 9223372036854775807) FROM group_offsets WHERE topic_id = ?1 AND partition = ?2")?
        .query_row(params![topic_id, partition], |row| row.get(0))?;
    let mut statement =
        transaction.prepare_cached("SELECT base_offset, records, append_time, length(data) FROM batches WHERE topic_id = ?1 AND partition = ?2 ORDER BY base_offset")?;
    let mut rows = statement.query(params![topic_id, partition])?;
    let (mut end, mut records, mut freed) = (None, 0_u64, 0_i64);
    while let Some(row) = rows.next()? {
        let (base, count, appended, size): (i64, i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        if appended >= before || base + count > settled || freed >= bytes {
            break;
        }
        end = Some(base + count);
        records += count.unsigned_abs();
        freed += size;
    }
    drop(rows);
    if let Some(end) = end {
        transaction.execute("DELETE FROM batches WHERE topic_id = ?1 AND partition = ?2 AND base_offset < ?3", params![topic_id, partition, end])?;
        transaction.execute("UPDATE partitions SET start_offset = ?3, bytes = bytes - ?4 WHERE topic_id = ?1 AND partition = ?2", params![topic_id, partition, end, freed])?;
    }
    Ok(records)
}

/// Removes batches whose every record is followed by another of the same key.
fn compact(transaction: &Transaction<'_>, topic_id: i64, partition: u32) -> rusqlite::Result<u64> {
    let mut statement = transaction.prepare_cached("SELECT base_offset, data FROM batches WHERE topic_id = ?1 AND partition = ?2 ORDER BY base_offset DESC")?;
    let mut rows = statement.query(params![topic_id, partition])?;
    let mut seen = hashbrown::HashSet::new();
    let mut superseded = Vec::new();
    while let Some(row) = rows.next()? {
        let base: u64 = row.get(0)?;
        let data = row.get_ref(1)?.as_blob()?;
        // A batch that cannot be read is kept: it is for a person to look at.
        let Ok(records) = block::decode(data, base, 0) else { continue };
        let mut needed = false;
        for record in records.iter().rev() {
            needed |= record.key.as_ref().is_none_or(|key| seen.insert(key.to_vec()));
        }
        if !needed {
            superseded.push((base, records.len() as u64, data.len()));
        }
    }
    drop(rows);
    let mut removed = 0;
    for (base, records, size) in superseded {
        transaction.execute("DELETE FROM batches WHERE topic_id = ?1 AND partition = ?2 AND base_offset = ?3", params![topic_id, partition, base])?;
        transaction.execute("UPDATE partitions SET bytes = bytes - ?3 WHERE topic_id = ?1 AND partition = ?2", params![topic_id, partition, i64::try_from(size).unwrap_or(0)])?;
        removed += records;
    }
    Ok(removed)
}
