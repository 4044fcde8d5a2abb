//! How it stops: asked once, what was begun is settled within 15 seconds and nobody is told that it is ready; asked twice, at once.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::command::Place;

/// A pipeline that is sent more than it can take, and the address of its operations port.
fn busy(place: &Place) -> (Child, SocketAddr) {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = format!("[http]\nlisten = \"\"\n[operations]\nlisten = \"{address}\"\n[sql]\npostgres = \"\"\nflight = \"\"\nhttp = \"\"\n");
    std::fs::write(place.config(), settings).unwrap();
    let process = place.spawn(&["up", "--rate", "30000", "--no-history"]);
    let begun = Instant::now();
    let waits = |address| records(address, "wardhouse_lag_records{stage=\"ledger\"}") > 0;
    while ready(address) != Some(true) || !waits(address) {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is never busy");
        std::thread::sleep(Duration::from_millis(20));
    }
    (process, address)
}

fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut connection = TcpStream::connect(address).ok()?;
    connection.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// What `/readyz` says, where anybody answers.
fn ready(address: SocketAddr) -> Option<bool> {
    let answer = get(address, "/readyz")?;
    Some(answer.starts_with("HTTP/1.1 200"))
}

/// A measure as it is now; 0 where there is none.
fn records(address: SocketAddr, measure: &str) -> u64 {
    let text = get(address, "/metrics").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix(measure)?.trim().parse().ok()).unwrap_or(0)
}

fn terminate(process: &Child) {
    assert!(Command::new("sh").args(["-c", &format!("kill -TERM {}", process.id())]).status().unwrap().success());
}

/// Waits until it is told that it is asked to stop, and from then on until its end.
fn unready(process: &mut Child, address: SocketAddr) {
    let begun = Instant::now();
    while ready(address) == Some(true) && process.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(2), "it says that it is ready, and stops");
    }
}

fn ended(process: &mut Child, address: SocketAddr) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return status;
        }
        assert_ne!(ready(address), Some(true), "it is ready again while it stops");
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn asked_to_stop_it_ends_in_time_and_what_it_left_follows() {
    let place = Place::new();
    let (mut process, address) = busy(&place);
    let begun = Instant::now();
    terminate(&process);
    unready(&mut process, address);
    let status = ended(&mut process, address);
    let took = begun.elapsed();
    assert!(status.success() && took < Duration::from_secs(15), "{status} after {took:?}");
    place.ok(&["up", "--rate", "0", "--no-history", "--until-idle"]);
    let said = place.ok(&["status"]);
    assert!(said.contains("everything adds up, nothing waits"), "{said}");
}

#[test]
fn asked_twice_it_ends_at_once_and_loses_nothing() {
    let place = Place::new();
    let (mut process, address) = busy(&place);
    terminate(&process);
    unready(&mut process, address);
    let begun = Instant::now();
    terminate(&process);
    let status = ended(&mut process, address);
    let took = begun.elapsed();
    assert!(status.code() == Some(1) && took < Duration::from_secs(2), "{status} after {took:?}");
    place.ok(&["up", "--rate", "0", "--no-history", "--until-idle"]);
    let said = place.ok(&["status"]);
    assert!(said.contains("everything adds up, nothing waits"), "{said}");
}
