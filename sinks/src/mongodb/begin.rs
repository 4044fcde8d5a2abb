//! Where a documents store that holds nothing yet begins.

use wh_schemas::Reaction;
use wh_stores::clock;
use wh_stores::mongodb::errors;
use wh_stores::mongodb::layout::{self, POSITIONS, PositionDocument};
use wh_stores::mongodb::{MongodbSettings, connect};

use super::positions;
use crate::delivery::StorePosition;
use crate::delivery::walk::stream_of;

/// Lets a store begin at these positions, by topic. Its layout is made where it is not there.
///
/// # Errors
/// Fatal where it has a position in any of them already; else as the server says.
pub async fn begin(settings: &MongodbSettings, begins: &[(&str, Vec<StorePosition>)]) -> Result<(), Reaction> {
    let connected = connect(settings).await?;
    layout::ensure(&connected, settings).await?;
    let held = connected.collection::<PositionDocument>(POSITIONS);
    for (topic, places) in begins {
        let already = || Reaction::fatal(format!("{} has a position in {topic} already: a store begins once", connected.place()));
        if !positions::read(&connected, stream_of(topic)).await?.is_empty() {
            return Err(already());
        }
        for place in places {
            let (filter, update) = positions::advance(stream_of(topic), None, place, clock::now().0);
            match connected.answer(held.update_one(filter, update).upsert(true)).await? {
                Ok(_) => {}
                Err(error) if errors::is_duplicate_key(&error) => return Err(already()),
                Err(error) => return Err(connected.told(&error)),
            }
        }
    }
    Ok(())
}
