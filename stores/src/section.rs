//! A section of the settings beside the URL that it belongs to, as faults name the two.

use crate::server_url::ServerUrl;

/// A server's section, and its URL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section<'a> {
    /// The section's name, such as `redis`.
    pub(crate) name: &'static str,
    /// The setting that holds the URL, such as `stores.baselines`.
    pub(crate) setting: &'static str,
    /// The URL.
    pub(crate) url: &'a ServerUrl,
}
