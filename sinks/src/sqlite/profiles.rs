//! Upkeep of `user_profiles`: a batch's rows are summed by user, then merged once a user, in the batch's own transaction.
//!
//! What must stay true: no amount that a row may have costs the row. A sum of cents ends at the largest integer, some 9,000 rows of the largest
//! amount, where SQLite would make a float of it and refuse the row for that.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use rusqlite::{OptionalExtension, Transaction, params};
use wh_schemas::ScoreRecord;

use super::file::Failure;

/// What a batch adds to one user's profile.
#[derive(Default)]
struct Profile {
    transactions: i64,
    amount_sum: i64,
    amount_max: i64,
    departments: BTreeMap<String, i64>,
    hours: Vec<i64>,
    alerts: i64,
    score_sum: i64,
    score_max: i64,
    first_seen: i64,
    last_seen: i64,
    updated: i64,
}

/// Profiles touched by a batch.
pub(super) struct Profiles {
    zone: Tz,
    users: BTreeMap<String, Profile>,
}

impl Profiles {
    pub(super) fn new(zone: Tz) -> Profiles {
        Profiles { zone, users: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, row: &ScoreRecord<'_>, score: u8) {
        if !self.users.contains_key(row.user_id.as_str()) {
            let first = Profile { hours: vec![0; 24], first_seen: row.timestamp.0, last_seen: row.timestamp.0, ..Profile::default() };
            self.users.insert(row.user_id.to_string(), first);
        }
        let Some(profile) = self.users.get_mut(row.user_id.as_str()) else { return };
        profile.transactions += 1;
        profile.amount_sum = profile.amount_sum.saturating_add(row.amount.0);
        profile.amount_max = profile.amount_max.max(row.amount.0);
        match profile.departments.get_mut(row.department.as_str()) {
            Some(count) => *count += 1,
            None => {
                profile.departments.insert(row.department.to_string(), 1);
            }
        }
        let hour = usize::from(row.timestamp.hour_of_week(self.zone)) % 24;
        if let Some(count) = profile.hours.get_mut(hour) {
            *count += 1;
        }
        profile.alerts += i64::from(!row.alerts.is_empty());
        profile.score_sum += i64::from(score);
        profile.score_max = profile.score_max.max(i64::from(score));
        profile.first_seen = profile.first_seen.min(row.timestamp.0);
        profile.last_seen = profile.last_seen.max(row.timestamp.0);
        profile.updated = profile.updated.max(row.timestamp.0);
    }

    pub(super) fn write(self, transaction: &Transaction<'_>) -> Result<(), Failure> {
        let mut read = transaction.prepare_cached("SELECT departments, hours FROM user_profiles WHERE user_id = ?1")?;
        let mut upsert = transaction.prepare_cached(
            "INSERT INTO user_profiles (user_id, total_transactions, amount_sum, amount_max, departments, hours, alert_count, score_sum, score_max, first_seen, last_seen, last_updated) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (user_id) DO UPDATE SET total_transactions = total_transactions + excluded.total_transactions, \
             amount_sum = min(amount_sum, 9223372036854775807 - excluded.amount_sum) + excluded.amount_sum, amount_max = max(amount_max, excluded.amount_max), departments = excluded.departments, hours = excluded.hours, \
             alert_count = alert_count + excluded.alert_count, score_sum = score_sum + excluded.score_sum, score_max = max(score_max, excluded.score_max), \
             first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen), last_updated = max(last_updated, excluded.last_updated)",
        )?;
        for (user, mut profile) in self.users {
            let before: Option<(String, String)> = read.query_row([&user], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            if let Some((departments, hours)) = before {
                let departments: BTreeMap<String, i64> = serde_json::from_str(&departments).unwrap_or_default();
                for (department, count) in departments {
                    *profile.departments.entry(department).or_default() += count;
                }
                let hours: Vec<i64> = serde_json::from_str(&hours).unwrap_or_default();
                for (sum, count) in profile.hours.iter_mut().zip(hours) {
                    *sum += count;
                }
            }
            let text = |value: serde_json::Result<String>| value.unwrap_or_else(|_| "null".to_owned());
            upsert.execute(params![
                user,
                profile.transactions,
                profile.amount_sum,
                profile.amount_max,
                text(serde_json::to_string(&profile.departments)),
                text(serde_json::to_string(&profile.hours)),
                profile.alerts,
                profile.score_sum,
                profile.score_max,
                profile.first_seen,
                profile.last_seen,
                profile.updated,
            ])?;
        }
        Ok(())
    }
}
