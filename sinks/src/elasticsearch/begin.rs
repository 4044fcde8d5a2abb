//! Where a search store that holds nothing yet begins.

use wh_schemas::Reaction;
use wh_stores::elasticsearch::{ElasticsearchSettings, connect, layout};

use super::positions::{Documents, Step, unpublished};
use crate::delivery::StorePosition;
use crate::delivery::walk::stream_of;

/// Lets a store begin at these positions, by topic. Its layout is made where it is not there.
///
/// # Errors
/// Fatal where it has a position in any of them already; else as the cluster says.
pub async fn begin(settings: &ElasticsearchSettings, begins: &[(&str, Vec<StorePosition>)]) -> Result<(), Reaction> {
    let client = connect(settings).await?;
    layout::ensure(&client, settings).await?;
    let mut documents = Documents::default();
    for (topic, places) in begins {
        let stream = stream_of(topic);
        let held = documents.read(&client, settings, stream).await.map_err(|failure| client.reaction(&failure))?;
        if !held.partitions.is_empty() {
            return Err(Reaction::fatal(format!("search ({}) has a position in {topic} already: a store begins once", client.place())));
        }
        let steps: Vec<Step> = places.iter().map(|to| Step { from: unpublished(to.partition), to: *to }).collect();
        if !steps.is_empty() {
            documents.advance(&client, settings, stream, &steps).await.map_err(|failure| client.reaction(&failure))?;
        }
    }
    Ok(())
}
