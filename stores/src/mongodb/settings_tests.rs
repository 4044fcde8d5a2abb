//! What is taken from the URL, what from the section, and what is refused.

use secrecy::ExposeSecret;

use super::*;

fn settings(url: &str, change: impl FnOnce(&mut RawMongodb)) -> Result<MongodbSettings, Vec<String>> {
    let mut raw = RawMongodb::default();
    change(&mut raw);
    MongodbSettings::try_new(&ServerUrl::parse(url).unwrap(), &raw, Durability::Warn)
}

fn fault(url: &str, change: impl FnOnce(&mut RawMongodb)) -> String {
    settings(url, change).unwrap_err().join("\n")
}

fn password(settings: &MongodbSettings) -> Option<String> {
    settings.password().read().unwrap().map(|secret| secret.expose_secret().to_owned())
}

#[test]
fn a_plain_url_writes_to_a_majority_and_their_journals() {
    let settings = settings("mongodb://host/wardhouse", |_| {}).unwrap();
    let concern = settings.connection().write_concern.clone().unwrap();
    assert_eq!((concern.w, concern.journal, concern.w_timeout), (Some("majority".into()), Some(true), Some(Duration::from_secs(30))));
    assert!(settings.weaknesses().is_empty() && settings.tls().is_none() && !settings.password().is_some());
    assert_eq!((settings.database(), settings.batch_documents(), settings.parallel_inserts()), ("wardhouse", 1_000, 2));
    assert_eq!(settings.connection().server_selection_timeout, Some(Duration::from_secs(5)));
    assert_eq!(settings.place(), "documents (mongodb://host/wardhouse)");
}

#[test]
fn the_options_of_every_mongodb_client_are_taken_from_the_url() {
    let url = "mongodb://us%40er:p%2Fw@a:27018,b/wardhouse?replicaSet=rs0&tls=true&authSource=admin&compressors=zstd&maxPoolSize=50&w=2&connectTimeoutMS=700&socketTimeoutMS=900&retryWrites=false";
    let settings = settings(url, |raw| raw.pool_size = 3).unwrap();
    let connection = settings.connection();
    assert_eq!(connection.replica_set.as_deref(), Some("rs0"));
    assert_eq!((connection.max_pool_size, connection.connect_timeout), (Some(50), Some(Duration::from_millis(700))));
    assert_eq!(settings.operation_timeout(), Duration::from_millis(900));
    assert_eq!(connection.write_concern.as_ref().and_then(|concern| concern.w.clone()), Some(2_u32.into()));
    let credential = connection.credential.clone().unwrap();
    assert_eq!((credential.username.as_deref(), credential.source.as_deref(), credential.password), (Some("us@er"), Some("admin"), None));
    assert_eq!(password(&settings).as_deref(), Some("p/w"));
    assert!(settings.tls().is_some() && connection.compressors.as_ref().is_some_and(|list| list.len() == 1));
    let shown = format!("{settings:?} {}", settings.place());
    assert!(!shown.contains("p%2Fw") && !shown.contains("p/w") && !shown.contains("us@er"), "{shown}");
}

#[test]
fn user_password_and_certificates_may_stand_in_the_section() {
    let settings = settings("mongodb://host/wardhouse?tls=true&authSource=admin", |raw| {
        raw.user = Some("wardhouse".into());
        raw.password = Some("secret".to_owned().into());
        raw.ca_file = Some("ca.pem".into());
        raw.compression = "zstd".into();
    })
    .unwrap();
    let credential = settings.connection().credential.clone().unwrap();
    assert_eq!((credential.username.as_deref(), credential.source.as_deref()), (Some("wardhouse"), Some("admin")));
    assert_eq!(password(&settings).as_deref(), Some("secret"));
    assert_eq!(settings.tls().unwrap().ca_file_path, Some("ca.pem".into()));
    assert!(settings.connection().compressors.is_some());
}

#[test]
fn what_makes_no_sense_is_told_with_the_name_of_the_setting() {
    let told = fault("mongodb://host", |raw| {
        raw.compression = "lz4".into();
        raw.write_concern = "0".into();
        raw.pool_size = 0;
        raw.ca_file = Some("ca.pem".into());
        raw.password = Some("secret".to_owned().into());
    });
    for part in [
        "stores.documents = \"mongodb://host\": expected the name of a database",
        "mongodb.compression = \"lz4\"",
        "mongodb.write_concern = \"0\"",
        "mongodb.pool_size = 0",
        "mongodb.ca_file is set, but",
        "mongodb.password is set, but no user",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    for (url, part) in [
        ("mongodb://host/admin", "expected the name of a database"),
        ("mongodb://host/wardhouse?retrywritez=true", "retrywritez is an invalid option. An option with a similar name exists: retrywrites"),
        ("mongodb://host/wardhouse?readPreference=secondary", "readPreference must be primary"),
        ("mongodb://host/wardhouse?readConcernLevel=local", "readConcernLevel must be majority"),
        ("mongodb://host/wardhouse?w=0", "w=0 would lose rows"),
        ("mongodb://user@host/wardhouse", "mongodb.user is set, but no password"),
    ] {
        assert!(fault(url, |_| {}).contains(part), "{url}: {}", fault(url, |_| {}));
    }
    let told = fault("mongodb://user:one@host/wardhouse", |raw| raw.password = Some("two".to_owned().into()));
    assert!(told.contains("both set") && !told.contains("one@") && !told.contains("two"), "{told}");
    let told = fault("mongodb://user:x@host/wardhouse?w=2", |raw| raw.write_concern = "3".into());
    assert!(told.contains("mongodb.write_concern and w in stores.documents are not the same"), "{told}");
}

#[test]
fn strict_durability_wants_what_the_default_has() {
    let strict = |url: &str| MongodbSettings::try_new(&ServerUrl::parse(url).unwrap(), &RawMongodb::default(), Durability::Strict);
    assert!(strict("mongodb://host/wardhouse").is_ok());
    for url in ["mongodb://host/wardhouse?w=1", "mongodb://host/wardhouse?journal=false"] {
        assert!(strict(url).unwrap_err().join("\n").contains("strict"), "{url}");
        assert_eq!(settings(url, |_| {}).unwrap().weaknesses().len(), 1, "{url}");
    }
}
