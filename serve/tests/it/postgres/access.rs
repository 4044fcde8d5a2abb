//! Who may connect, and over what.

use std::sync::Arc;
use std::time::Duration;

use rcgen::generate_simple_self_signed;
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::{Config, NoTls};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use wh_serve::{ServeSettings, TlsFiles, UserSettings};

use super::{connect_as, text, told};
use crate::served::{ENDLESS, Served};

#[tokio::test(flavor = "multi_thread")]
async fn users_prove_their_passwords_and_a_wrong_name_looks_like_a_wrong_password() {
    let served = Served::with_users().await;
    let client = connect_as(&served, "ann", Some("ann's password")).await.unwrap();
    assert_eq!(text(&client, "SHOW session_authorization").await, "ann");
    let wrong = told(&connect_as(&served, "ann", Some("ben's password")).await.unwrap_err());
    let nobody = told(&connect_as(&served, "zoe", Some("ben's password")).await.unwrap_err());
    assert_eq!(wrong, ("28P01".to_owned(), "password authentication failed for user \"ann\"".to_owned()));
    assert_eq!(nobody, ("28P01".to_owned(), "password authentication failed for user \"zoe\"".to_owned()));
    assert!(connect_as(&served, "ann", None).await.is_err());
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_proves_a_name_whoever_comes_reads_and_ends_everyones_queries() {
    let served = Served::open().await;
    let (ann, ben) = (connect_as(&served, "ann", None).await.unwrap(), connect_as(&served, "ben", None).await.unwrap());
    let endless = ENDLESS.replace("value", "sum(value)");
    let sql = endless.clone();
    let runs = tokio::spawn(async move { ann.simple_query(&sql).await.map(|_| ()).map_err(|error| told(&error).0) });
    let asked = format!("SELECT count(*) FROM system.queries WHERE state = 'running' AND principal = 'ann' AND sql = '{endless}'");
    let seen = async {
        while text(&ben, &asked).await != "1" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), seen).await.expect("what ann asks is not told to ben");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let all = format!("http://{}/v1/sql/queries", served.http());
    let listed: serde_json::Value = serde_json::from_str(&http.get(&all).send().await.unwrap().text().await.unwrap()).unwrap();
    let running = listed["running"].as_array().unwrap();
    let one = running.iter().find(|query| query["sql"] == endless.as_str()).unwrap_or_else(|| panic!("{listed}"));
    let ended = http.delete(format!("{all}/{}", one["id"])).send().await.unwrap();
    assert_eq!(ended.status().as_u16(), 200);
    assert_eq!(runs.await.unwrap(), Err("57014".to_owned()));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_reads_as_many_rows_as_it_may() {
    let served = Served::with_users().await;
    let client = connect_as(&served, "ann", Some("ann's password")).await.unwrap();
    assert_eq!(super::code(&client, "SELECT seq FROM transactions").await, "54000");
    assert_eq!(super::texts(&client, "SELECT seq FROM transactions LIMIT 50").await.len(), 50);
    let eve = connect_as(&served, "eve", Some("eve's password")).await.unwrap();
    assert_eq!(super::texts(&eve, "SELECT seq FROM transactions").await.len(), 200);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_is_spoken_where_there_is_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let pair = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert_file, key_file) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert_file, pair.cert.pem()).unwrap();
    std::fs::write(&key_file, pair.signing_key.serialize_pem()).unwrap();
    let served = Served::new(ServeSettings { tls: Some(TlsFiles { cert_file: cert_file.clone(), key_file }), ..ServeSettings::default() }).await;

    let mut stream = TcpStream::connect(served.postgres()).await.unwrap();
    // SSLRequest
    stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'S');
    let mut roots = RootCertStore::empty();
    roots.add(rustls_pki_types::CertificateDer::from_pem_file(&cert_file).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    let (client, connection) = Config::new().user("ann").connect_raw(stream, NoTls).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(text(&client, "SELECT 1").await, "1");
    drop(client);
    // On loopback it works without, too, where there is no password to be read.
    assert_eq!(text(&connect_as(&served, "ann", None).await.unwrap(), "SELECT 1").await, "1");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_users_and_a_certificate_nobody_comes_in_plain_unless_a_setting_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let pair = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert_file, key_file) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert_file, pair.cert.pem()).unwrap();
    std::fs::write(&key_file, pair.signing_key.serialize_pem()).unwrap();
    let users = vec![UserSettings { name: "ann".to_owned(), role: wh_serve::LOCAL_ROLE.to_owned(), password: "ann's password".to_owned().into() }];
    let settings = ServeSettings { users, tls: Some(TlsFiles { cert_file, key_file }), ..ServeSettings::default() };
    let served = Served::new(settings.clone()).await;
    let refused = told(&connect_as(&served, "ann", Some("ann's password")).await.unwrap_err());
    assert_eq!(refused, ("28000".to_owned(), "connections to this address must be encrypted".to_owned()));
    served.end().await;
    let served = Served::new(ServeSettings { plain_on_loopback: true, ..settings }).await;
    let client = connect_as(&served, "ann", Some("ann's password")).await.unwrap();
    assert_eq!(text(&client, "SELECT 1").await, "1");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_encryption_is_declined_and_the_start_is_read() {
    let served = Served::open().await;
    let mut stream = TcpStream::connect(served.postgres()).await.unwrap();
    // GSSENCRequest, then SSLRequest: each is answered before anything else is read.
    for request in [[0, 0, 0, 8, 4, 210, 22, 48], [0, 0, 0, 8, 4, 210, 22, 47]] {
        stream.write_all(&request).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'N');
    }
    let (client, connection) = Config::new().user("ann").connect_raw(stream, NoTls).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(text(&client, "SELECT 1").await, "1");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_others_reach_is_not_served_without_users_and_a_certificate() {
    let served = Served::open().await;
    let settings = ServeSettings { postgres: Some("0.0.0.0:0".parse().unwrap()), ..ServeSettings::default() };
    let refused = wh_serve::start(served.engine.clone(), settings, tokio_util::sync::CancellationToken::new()).await.unwrap_err().to_string();
    assert!(refused.contains("sql.users") && refused.contains("sql.tls_cert_file"), "{refused}");
    served.end().await;
}
