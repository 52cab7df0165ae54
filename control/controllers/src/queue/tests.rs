use std::time::Duration;

use tokio::time::Instant;

use super::{BACKOFF_FIRST, Next, Queue};

fn paused(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(test);
}

async fn is_idle(queue: &Queue<u32>) -> bool {
    tokio::time::timeout(Duration::from_nanos(1), queue.next()).await.is_err()
}

#[test]
fn a_key_that_is_marked_often_is_worked_on_once() {
    paused(async {
        let queue = Queue::default();
        for key in [1, 1, 2, 1] {
            queue.add(key);
        }
        assert_eq!((queue.next().await, queue.next().await), (1, 2));
        assert!(is_idle(&queue).await);
    });
}

#[test]
fn a_key_that_is_marked_while_it_is_worked_on_is_worked_on_again_afterwards() {
    paused(async {
        let queue = Queue::default();
        queue.add(1);
        let key = queue.next().await;
        queue.add(1);
        assert!(is_idle(&queue).await, "never twice at a time");
        queue.done(key, Some(Next::Wait));
        assert_eq!(queue.next().await, 1);
        queue.done(1, Some(Next::Wait));
        assert!(is_idle(&queue).await);
    });
}

#[test]
fn of_several_times_the_earliest_counts() {
    paused(async {
        let queue = Queue::default();
        let start = Instant::now();
        for seconds in [30, 10, 20] {
            queue.add_at(1, start + Duration::from_secs(seconds));
        }
        assert_eq!(queue.next().await, 1);
        assert_eq!(start.elapsed().as_secs(), 10);
        queue.done(1, Some(Next::Wait));
        assert!(is_idle(&queue).await);
    });
}

#[test]
fn being_looked_at_replaces_the_timer() {
    paused(async {
        let queue = Queue::default();
        let start = Instant::now();
        queue.add_at(1, start + Duration::from_secs(10));
        queue.add(1);
        let key = queue.next().await;
        queue.done(key, Some(Next::after(Duration::from_secs(60))));
        assert_eq!(queue.next().await, 1);
        assert!(start.elapsed() >= Duration::from_secs(60));
    });
}

#[test]
fn pauses_after_failures_grow_until_a_success() {
    paused(async {
        let queue = Queue::default();
        queue.add(1);
        let mut pauses = Vec::new();
        for _ in 0..4 {
            let key = queue.next().await;
            queue.done(key, None);
            let failed = Instant::now();
            let key = queue.next().await;
            pauses.push(failed.elapsed().as_millis());
            queue.add(key);
            queue.done(key, None);
            queue.next().await;
            queue.done(1, None);
        }
        assert_eq!(pauses[0], BACKOFF_FIRST.as_millis());
        assert!(pauses.windows(2).all(|pair| pair[0] < pair[1]), "{pauses:?}");
        let key = queue.next().await;
        queue.done(key, Some(Next::Wait));
        assert!(is_idle(&queue).await);
    });
}

#[test]
fn a_waiter_wakes_for_a_key_that_comes_later() {
    paused(async {
        let queue = Queue::default();
        queue.add_at(9, Instant::now() + Duration::from_secs(3600));
        let (key, ()) = tokio::join!(queue.next(), async {
            tokio::task::yield_now().await;
            queue.add(7);
        });
        assert_eq!(key, 7);
    });
}
