//! Rows beyond retention go some at a time, so that the sink writes on in between, until none is left.

use rusqlite::Connection;

use crate::content::{self, Role};

const FILL: &str = "INSERT INTO positions (stream, partition, next_seq, next_offset, updated_at) VALUES ('scorer', 0, 45000, 45000, 0);
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < 45000)
    INSERT INTO documents (pos, transaction_id, user_id, timestamp, processed_at, metadata, explanation) SELECT i, i, 'u', 0, i, x'', x'' FROM n;";

#[tokio::test(flavor = "multi_thread")]
async fn rows_beyond_retention_go_some_at_a_time_until_none_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = content::open(Role::Documents, folder.path()).unwrap();
    let connection = Connection::open(folder.path().join("documents.db")).unwrap();
    connection.execute_batch(FILL).unwrap();
    let number = |statement: &str| connection.query_row(statement, [], |row| row.get::<_, u64>(0)).unwrap();
    for (removed, left) in [(20_000, 25_000), (20_000, 5_000), (2_000, 3_000), (0, 3_000)] {
        assert_eq!(store.retain(42_000).await.unwrap(), removed);
        assert_eq!(number("SELECT count(*) FROM documents"), left);
        assert_eq!(number("SELECT min(seq) FROM documents"), number("SELECT floor_seq FROM positions"), "the floor is where the rows begin");
    }
}
