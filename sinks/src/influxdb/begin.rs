//! Where a metrics store that holds nothing yet begins.

use wh_schemas::Reaction;
use wh_stores::clock;
use wh_stores::influxdb::{InfluxdbSettings, connect, layout};

use super::dialect::Lines;
use super::positions;
use super::request::send;
use crate::delivery::StorePosition;
use crate::delivery::walk::stream_of;

/// Lets a store begin at these positions, by topic. Bucket and layout are made where they are not there.
///
/// # Errors
/// Fatal where it has a position in any of them already; else as the server says.
pub async fn begin(settings: &InfluxdbSettings, begins: &[(&str, Vec<StorePosition>)]) -> Result<(), Reaction> {
    let client = connect(settings).await?;
    layout::ensure(&client).await?;
    let (mut lines, now) = (Lines::default(), clock::now());
    for (topic, places) in begins {
        let stream = stream_of(topic);
        if !positions::read(&client, stream).await?.is_empty() {
            return Err(Reaction::fatal(format!("{} has a position in {topic} already: a store begins once", client.place())));
        }
        for place in places {
            positions::write(stream, place, now, &mut lines);
        }
    }
    send(&client, &lines).await
}
