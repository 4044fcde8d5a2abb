//! Tells the binary which commit it was built from: by `WARDHOUSE_COMMIT`, as an image's build gives it, else where git knows.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=../.git/HEAD");
    println!("cargo:rerun-if-changed=../.git/logs/HEAD");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=WARDHOUSE_COMMIT");
    let given = std::env::var("WARDHOUSE_COMMIT").ok().filter(|commit| !commit.is_empty());
    let asked = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok().filter(|o| o.status.success());
    let asked = asked.and_then(|o| String::from_utf8(o.stdout).ok()).map(|commit| commit.trim().to_owned());
    let commit = given.or(asked).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=WARDHOUSE_COMMIT={commit}");
}
