//! Which processes of this machine serve the stores that are measured.
//!
//! What must stay true: a server on another machine, or one that may not be looked into, is told as not known and never as free.

use std::collections::BTreeMap;
use std::net::{ToSocketAddrs, UdpSocket};

use crate::processes::{Watched, listening};
use crate::report::StoreUsed;

/// The servers on this machine, and a sentence for each that cannot be looked into.
#[must_use]
pub fn local_servers(stores: &[StoreUsed]) -> (Vec<Watched>, Vec<String>) {
    let (mut found, mut unknown): (BTreeMap<u32, Watched>, Vec<String>) = (BTreeMap::new(), Vec::new());
    for store in stores.iter().filter(|store| !store.address.is_empty()) {
        let mut any = false;
        for address in store.address.split(',') {
            if let Some(pid) = local_port(address).and_then(listening) {
                any = true;
                let watched = found.entry(pid).or_insert_with(|| Watched { name: store.scheme.clone(), pid, ours: false, with_descendants: true });
                // One process may serve several roles.
                if !watched.name.split('+').any(|name| name == store.scheme) {
                    watched.name = format!("{}+{}", watched.name, store.scheme);
                }
            }
        }
        if !any {
            unknown
                .push(format!("the CPU of {} ({}) is not known: it is on another machine, in a container, or of a user who may not be looked into", store.scheme, store.address));
        }
    }
    (named_once(found.into_values().collect()), unknown)
}

/// The port, where an address is of this machine: one that can be bound to.
fn local_port(address: &str) -> Option<u16> {
    let mut resolved = address.to_socket_addrs().ok()?;
    resolved.find(|address| UdpSocket::bind((address.ip(), 0)).is_ok()).map(|address| address.port())
}

/// Several processes of one kind of server (the brokers of a cluster) get numbers.
fn named_once(mut watched: Vec<Watched>) -> Vec<Watched> {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for one in &mut watched {
        let count = counts.entry(one.name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            one.name = format!("{} {count}", one.name);
        }
    }
    watched
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(scheme: &str, address: String) -> StoreUsed {
        StoreUsed { role: "ledger".to_owned(), scheme: scheme.to_owned(), address, ..StoreUsed::default() }
    }

    #[test]
    fn a_server_of_this_machine_is_found_and_another_is_told() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let stores = [
            store("kafka", format!("127.0.0.1:{port}")),
            store("postgres", format!("localhost:{port}")),
            store("redis", "192.0.2.1:6379".to_owned()),
            store("sqlite", String::new()),
        ];
        let (found, unknown) = local_servers(&stores);
        assert_eq!((found.len(), found[0].name.as_str(), found[0].pid), (1, "kafka+postgres", std::process::id()));
        assert!(unknown.len() == 1 && unknown[0].contains("redis"), "{unknown:?}");
    }
}
