//! The team's own rules: what they see of a row and of its user, and what they propose. What they hold is said by them, and nothing
//! lessens it.

use std::sync::Arc;

use wh_schemas::json::Text;

use super::Observation;
use super::proposed::Proposed;
use super::ruleset::Ruleset;
use super::signals::Signals;
use super::user::UserState;
use crate::rules::{CompiledRules, Facts, TransactionFacts, UserFacts, metadata_texts};

/// The team's rules of a ruleset. A ruleset with a faulty one is refused where it is read; nothing is asked of one that came otherwise.
pub(super) fn compiled(ruleset: &Ruleset) -> Arc<CompiledRules> {
    Arc::new(CompiledRules::compile(&ruleset.rules, &ruleset.metadata_keys).unwrap_or_default())
}

/// What the team's own rules propose.
pub(super) fn propose(team: &CompiledRules, observation: &Observation<'_>, signals: &Signals, user: &UserState, ruleset: &Ruleset, proposed: &mut Proposed) {
    if team.is_empty() {
        return;
    }
    #[expect(clippy::cast_precision_loss, reason = "days")]
    let days = |micros: i64| micros as f64 / wh_schemas::time::DAY as f64;
    let facts = Facts {
        tx: TransactionFacts {
            amount: observation.amount.as_units(),
            cents: observation.amount.0,
            transaction_type: observation.transaction_type.as_str(),
            department: observation.department,
            user_id: observation.user_id,
            account_id: observation.account_id,
            counterparty: observation.counterparty_account.unwrap_or_default(),
            hour: signals.hour % 24,
            weekday: signals.hour / 24 + 1,
            metadata: metadata_texts(&ruleset.metadata_keys, observation.metadata_text),
        },
        user: UserFacts {
            events: user.events,
            learnt: user.learnt,
            days_known: days(observation.timestamp.0.saturating_sub(user.first).max(0)),
            idle_days: signals.idle_hours / 24.0,
            home_department: &user.home_department,
            usual_amount: signals.deviation.usual,
            amount_z: signals.deviation.z,
            hour_share: signals.likelihood,
            events_10m: u64::from(signals.ten_minutes.events),
            events_1h: u64::from(signals.one_hour.events),
            events_24h: u64::from(signals.one_day.events),
            counterparty_known: u64::from(signals.counterparty_rows),
            account_known: u64::from(signals.account_rows),
            type_share: signals.type_share,
            department_share: signals.department_share,
        },
    };
    team.evaluate(&facts, |_, rule, evidence| {
        proposed.add(Text::from(rule.name.clone()), rule.dimension, f64::from(rule.points), || evidence);
    });
}
