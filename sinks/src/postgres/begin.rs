//! Where a ledger that holds nothing yet begins.

use sqlx::Connection;
use wh_schemas::Reaction;
use wh_stores::postgres::{PostgresSettings, connect, layout, reaction};

use super::positions;
use crate::delivery::StorePosition;
use crate::delivery::walk::stream_of;

/// Lets a ledger begin at these positions, by topic, in one transaction. Its layout is made where it is not there.
///
/// # Errors
/// Fatal where it has a position in any of them already; else as the server says.
pub async fn begin(settings: &PostgresSettings, begins: &[(&str, Vec<StorePosition>)]) -> Result<(), Reaction> {
    let place = settings.place();
    let told = |error: sqlx::Error| reaction(&place, &error);
    let mut connection = connect(settings).await?;
    layout::ensure(&mut connection, settings).await?;
    let mut transaction = connection.begin().await.map_err(told)?;
    for (topic, places) in begins {
        let stream = stream_of(topic);
        for to in places {
            let from = positions::lock(&mut transaction, stream, to.partition).await.map_err(told)?;
            if from.next_offset > 0 || from.visible_seq > 0 {
                return Err(Reaction::fatal(format!("ledger ({place}) has a position in {topic} already: a store begins once")));
            }
            positions::publish(&mut transaction, stream, &from, to).await.map_err(told)?;
        }
    }
    transaction.commit().await.map_err(told)
}
