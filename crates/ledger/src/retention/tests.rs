use super::*;
use crate::schema;
use proptest::prelude::*;
use sqlx::Connection;

async fn empty() -> SqliteConnection {
    let mut conn = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    schema::migrate(&mut conn).await.unwrap();
    conn
}

async fn add(conn: &mut SqliteConnection, start: i64, worker: i64, accepted: i64) {
    sqlx::query(
        "INSERT INTO buckets VALUES (60, ?1 - ?1 % 60, ?2, ?3, ?3 + 1, ?3 * 4294967296.0, ?3)
         ON CONFLICT DO UPDATE SET accepted = accepted + excluded.accepted,
             rejected = rejected + excluded.rejected, work = work + excluded.work,
             best = max(best, excluded.best)",
    )
    .bind(start)
    .bind(worker)
    .bind(accepted)
    .execute(conn)
    .await
    .unwrap();
}

/// Per worker: accepted, rejected, work, best.
async fn sums(conn: &mut SqliteConnection) -> Vec<(i64, i64, i64, f64, f64)> {
    sqlx::query_as(
        "SELECT worker, sum(accepted), sum(rejected), sum(work), max(best) FROM buckets
         GROUP BY worker ORDER BY worker",
    )
    .fetch_all(conn)
    .await
    .unwrap()
}

async fn rows(conn: &mut SqliteConnection, width: i64) -> Vec<(i64, i64)> {
    sqlx::query_as("SELECT start, worker FROM buckets WHERE width = ? ORDER BY start, worker")
        .bind(width)
        .fetch_all(conn)
        .await
        .unwrap()
}

async fn all_steps(conn: &mut SqliteConnection, now: i64) -> u32 {
    let mut steps = 0;
    while Retention::default().step(conn, now).await.unwrap() {
        steps += 1;
        assert!(steps < 1000, "the roll-up never ends");
    }
    steps
}

#[tokio::test]
async fn minutes_become_hours_after_two_days_and_days_after_sixty() {
    let mut conn = empty().await;
    let now = 1_790_000_000 - 1_790_000_000 % DAY + 5 * HOUR;
    for age in [0, 47 * HOUR, 49 * HOUR, 49 * HOUR + 120, 59 * DAY, 61 * DAY, 61 * DAY + HOUR] {
        add(&mut conn, now - age, 1, 1).await;
    }
    all_steps(&mut conn, now).await;
    assert_eq!(rows(&mut conn, MINUTE).await, [(now - 47 * HOUR, 1), (now, 1)]);
    let hours = [now - 59 * DAY, now - 50 * HOUR, now - 49 * HOUR].map(|start| (start, 1));
    assert_eq!(rows(&mut conn, HOUR).await, hours);
    let day = |age: i64| now - age - (now - age) % DAY;
    assert_eq!(rows(&mut conn, DAY).await, [(day(61 * DAY), 1)]);
}

#[tokio::test]
async fn a_year_of_one_worker_fits_in_less_than_five_thousand_rows() {
    let mut conn = empty().await;
    sqlx::raw_sql(
        "WITH RECURSIVE t(at) AS (SELECT 1700000040 UNION ALL SELECT at + 60 FROM t
             WHERE at < 1700000040 + 365 * 86400)
         INSERT INTO buckets SELECT 60, at, 1, 1, 0, 2.0, 1.0 FROM t",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    let before = sums(&mut conn).await;
    let steps = all_steps(&mut conn, 1_700_000_040 + 365 * DAY).await;
    assert!(steps > 500, "moved in small steps, not {steps}");
    assert_eq!(sums(&mut conn).await, before);
    let mut count = 0;
    for width in [MINUTE, HOUR, DAY] {
        count += rows(&mut conn, width).await.len();
    }
    assert!(count < 5_000, "{count} rows");
}

#[tokio::test]
async fn ended_sessions_go_after_sixty_days_and_open_ones_stay() {
    let mut conn = empty().await;
    sqlx::raw_sql(
        "INSERT INTO sessions (id, worker, address, peer, opened, closed) VALUES
             (1, 'w', 'a', 'p', 1, 100), (2, 'w', 'a', 'p', 1, NULL), (3, 'w', 'a', 'p', 1, 5184200)",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    all_steps(&mut conn, 101 + 60 * DAY).await;
    let left: Vec<(i64,)> =
        sqlx::query_as("SELECT id FROM sessions").fetch_all(&mut conn).await.unwrap();
    assert_eq!(left, [(2,), (3,)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_roll_up_conserves_every_sum_and_doing_it_again_changes_nothing(
        shares in proptest::collection::vec((0i64..200 * DAY, 1i64..5, 1i64..1000), 1..200),
        looks in proptest::collection::vec(0i64..400 * DAY, 1..4),
        interrupted_after in 0usize..3,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut conn = empty().await;
            for (at, worker, accepted) in shares {
                add(&mut conn, at, worker, accepted).await;
            }
            let before = sums(&mut conn).await;
            for now in looks {
                for _ in 0..interrupted_after {
                    Retention::default().step(&mut conn, now).await.unwrap();
                    prop_assert_eq!(&sums(&mut conn).await, &before);
                }
                all_steps(&mut conn, now).await;
                prop_assert_eq!(&sums(&mut conn).await, &before);
                prop_assert_eq!(all_steps(&mut conn, now).await, 0);
            }
            Ok(())
        })?;
    }
}
