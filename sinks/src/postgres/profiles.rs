//! Upkeep of `user_profiles`: a batch's rows are summed by user, then merged by one statement, in the batch's own transaction.
//!
//! What must stay true: a profile is locked before it is read, in the order of the users' names, so that two instances that touch
//! the same users neither lose a count nor wait for each other in a circle.

use std::collections::{BTreeMap, HashMap};

use chrono_tz::Tz;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Postgres, Row as _};
use wh_schemas::ScoreRecord;
use wh_stores::postgres::text;

use super::dialect::Columns;
use super::positions::int;

const HELD: &str = "SELECT user_id, departments::text, hours::text FROM user_profiles WHERE user_id = ANY($1) ORDER BY user_id FOR UPDATE";
/// Empty, until the update behind it; where another instance was first, its row is taken.
const MAKE: &str = "INSERT INTO user_profiles (user_id, total_transactions, amount_sum, amount_max, departments, hours, alert_count, score_sum, score_max, first_seen, last_seen, \
     last_updated) SELECT user_id, 0, 0, 0, '{}', '[]', 0, 0, 0, 'infinity', '-infinity', '-infinity' FROM unnest($1::text[]) AS r (user_id) ON CONFLICT DO NOTHING";
const MERGE: &str = "UPDATE user_profiles AS p SET total_transactions = p.total_transactions + d.total_transactions, amount_sum = p.amount_sum + d.amount_sum, \
     amount_max = greatest(p.amount_max, d.amount_max), departments = d.departments::json, hours = d.hours::json, alert_count = p.alert_count + d.alert_count, \
     score_sum = p.score_sum + d.score_sum, score_max = greatest(p.score_max, d.score_max), first_seen = least(p.first_seen, d.first_seen), \
     last_seen = greatest(p.last_seen, d.last_seen), last_updated = greatest(p.last_updated, d.last_updated) \
     FROM unnest($1::text[], $2::int8[], $3::numeric[], $4::numeric[], $5::text[], $6::text[], $7::int8[], $8::int8[], $9::int2[], $10::timestamptz[], $11::timestamptz[], \
     $12::timestamptz[]) AS d (user_id, total_transactions, amount_sum, amount_max, departments, hours, alert_count, score_sum, score_max, first_seen, last_seen, last_updated) \
     WHERE p.user_id = d.user_id";

/// What a batch adds to one user's profile.
#[derive(Default)]
struct Profile {
    transactions: u64,
    amount_sum: i64,
    amount_max: i64,
    departments: BTreeMap<String, i64>,
    hours: Vec<i64>,
    alerts: u64,
    score_sum: u64,
    score_max: u8,
    first_seen: i64,
    last_seen: i64,
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
        let key = text::stored(&row.user_id);
        if !self.users.contains_key(&*key) {
            let first = Profile { hours: vec![0; 24], first_seen: row.timestamp.0, last_seen: row.timestamp.0, ..Profile::default() };
            self.users.insert(key.to_string(), first);
        }
        let Some(profile) = self.users.get_mut(&*key) else { return };
        profile.transactions += 1;
        profile.amount_sum += row.amount.0;
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
        profile.alerts += u64::from(!row.alerts.is_empty());
        profile.score_sum += u64::from(score);
        profile.score_max = profile.score_max.max(score);
        profile.first_seen = profile.first_seen.min(row.timestamp.0);
        profile.last_seen = profile.last_seen.max(row.timestamp.0);
    }

    /// Merges them into the table.
    pub(super) async fn write(mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if self.users.is_empty() {
            return Ok(());
        }
        let users: Vec<&str> = self.users.keys().map(String::as_str).collect();
        let mut before = held(connection, &users).await?;
        let fresh: Vec<&str> = users.into_iter().filter(|user| !before.contains_key(*user)).collect();
        if !fresh.is_empty() {
            sqlx::query::<Postgres>(MAKE).bind(&fresh[..]).execute(&mut *connection).await?;
            before.extend(held(connection, &fresh).await?);
        }
        for (user, profile) in &mut self.users {
            if let Some((departments, hours)) = before.get(user) {
                profile.add_counts(departments, hours);
            }
        }
        let arguments = self.columns().map_err(sqlx::Error::Encode)?.into_arguments();
        sqlx::query_with::<Postgres, _>(MERGE, arguments).execute(connection).await?;
        Ok(())
    }

    fn columns(&self) -> Result<Columns, sqlx::error::BoxDynError> {
        let profiles = || self.users.values();
        let mut columns = Columns::default();
        // The names are in their stored form already.
        columns.optional_json(self.users.keys().map(|user| Some(user.as_str())))?;
        columns.ints(profiles().map(|profile| int(profile.transactions)))?;
        columns.money(profiles().map(|profile| profile.amount_sum))?;
        columns.money(profiles().map(|profile| profile.amount_max))?;
        columns.json(profiles().map(|profile| serde_json::to_string(&profile.departments).unwrap_or_else(|_| "{}".to_owned())))?;
        columns.json(profiles().map(|profile| serde_json::to_string(&profile.hours).unwrap_or_else(|_| "[]".to_owned())))?;
        columns.ints(profiles().map(|profile| int(profile.alerts)))?;
        columns.ints(profiles().map(|profile| int(profile.score_sum)))?;
        columns.smalls(profiles().map(|profile| profile.score_max))?;
        columns.instants(profiles().map(|profile| profile.first_seen))?;
        columns.instants(profiles().map(|profile| profile.last_seen))?;
        columns.instants(profiles().map(|profile| profile.last_seen))?;
        Ok(columns)
    }
}

impl Profile {
    fn add_counts(&mut self, departments: &str, hours: &str) {
        let departments: BTreeMap<String, i64> = serde_json::from_str(departments).unwrap_or_default();
        for (department, count) in departments {
            *self.departments.entry(department).or_default() += count;
        }
        let hours: Vec<i64> = serde_json::from_str(hours).unwrap_or_default();
        for (sum, count) in self.hours.iter_mut().zip(hours) {
            *sum += count;
        }
    }
}

/// Departments and hours of the users that there are, locked.
async fn held(connection: &mut PgConnection, users: &[&str]) -> Result<HashMap<String, (String, String)>, sqlx::Error> {
    let rows = sqlx::query::<Postgres>(HELD).bind(users).fetch_all(connection).await?;
    let read = |row: &PgRow| -> Result<(String, (String, String)), sqlx::Error> { Ok((row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?))) };
    rows.iter().map(read).collect()
}
