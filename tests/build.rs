//! Tells the tests which servers they have: a test that needs one that is not named is ignored, with the reason, and never passes.

const SERVERS: [&str; 6] = ["KAFKA", "POSTGRES", "MONGODB", "INFLUXDB", "REDIS", "ELASTICSEARCH"];

fn main() {
    let secure = SERVERS.map(|server| format!("SECURE_{server}"));
    for server in SERVERS.iter().copied().chain(secure.iter().map(String::as_str)) {
        let variable = format!("WARDHOUSE_TEST_{server}");
        let name = format!("has_{}", server.to_lowercase());
        println!("cargo::rerun-if-env-changed={variable}");
        println!("cargo::rustc-check-cfg=cfg({name})");
        if std::env::var(&variable).is_ok_and(|url| !url.is_empty()) {
            println!("cargo::rustc-cfg={name}");
        }
    }
}
