// SPDX-License-Identifier: MIT
//
//! What Tokio's tasks, channels, mutexes and timers cost.
use program::rows::{black_box, row, run_rows, Row};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, Mutex};
use tokio::task::{spawn, spawn_blocking, yield_now};
use tokio::time::{sleep, timeout, Sleep};

const HOUR: Duration = Duration::from_secs(3600);

async fn give(value: u64) -> u64 {
    black_box(value)
}

// In place: the child's state is part of its parent's.
async fn plain_await(n: u64) -> Duration {
    let began = Instant::now();
    for _ in 0..n {
        black_box(give(1).await);
    }
    began.elapsed()
}

// With a state of its own, as a coroutine in C++ has, and an async function that calls itself must.
async fn boxed_await(n: u64) -> Duration {
    let began = Instant::now();
    for _ in 0..n {
        let child: Pin<Box<dyn Future<Output = u64> + Send>> = black_box(Box::pin(give(1)));
        black_box(child.await);
    }
    began.elapsed()
}

async fn create_and_await(n: u64) -> Duration {
    let began = Instant::now();
    for _ in 0..n {
        black_box(spawn(give(1)).await.unwrap());
    }
    began.elapsed()
}

async fn create_many(n: u64, many: u64) -> Duration {
    let mut tasks = Vec::with_capacity(many as usize);
    let began = Instant::now();
    for _ in 0..n / many {
        tasks.extend((0..many).map(|i| spawn(give(i))));
        for task in tasks.drain(..) {
            black_box(task.await.unwrap());
        }
    }
    began.elapsed()
}

// Four tasks do n times, all told.
async fn among_four<F>(n: u64, work: impl Fn(u64) -> F) -> Duration
where
    F: Future<Output = ()> + Send + 'static,
{
    let began = Instant::now();
    let tasks: Vec<_> = (0..4).map(|_| spawn(work(n / 4 + 1))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    began.elapsed()
}

async fn yield_times(times: u64) {
    for _ in 0..times {
        yield_now().await;
    }
}

async fn queue_of_1024(n: u64) -> Duration {
    let began = Instant::now();
    let (put, mut get) = mpsc::channel(1024);
    let producer = spawn(async move {
        for i in 0..n {
            put.send(i).await.unwrap();
        }
    });
    let consumer = spawn(async move {
        while let Some(item) = get.recv().await {
            black_box(item);
        }
    });
    producer.await.unwrap();
    consumer.await.unwrap();
    began.elapsed()
}

async fn queue_of_one_round_trip(n: u64) -> Duration {
    let began = Instant::now();
    let (ping, mut pings) = mpsc::channel(1);
    let (pong, mut pongs) = mpsc::channel(1);
    let answerer = spawn(async move {
        while let Some(item) = pings.recv().await {
            pong.send(item).await.unwrap();
        }
    });
    let sender = spawn(async move {
        for i in 0..n {
            ping.send(i).await.unwrap();
            black_box(pongs.recv().await.unwrap());
        }
    });
    sender.await.unwrap();
    answerer.await.unwrap();
    began.elapsed()
}

async fn mutex_among_four(n: u64) -> Duration {
    let shared = Arc::new(Mutex::new(0u64));
    among_four(n, |times| {
        let shared = shared.clone();
        async move {
            for _ in 0..times {
                *shared.lock().await += 1;
            }
        }
    })
    .await
}

async fn mutex_alone(n: u64) -> Duration {
    let shared = Mutex::new(0u64);
    let began = Instant::now();
    for _ in 0..n {
        *shared.lock().await += 1;
    }
    began.elapsed()
}

// A timer is armed by its first poll.
struct Arm<'a>(Pin<&'a mut Sleep>);

impl Future for Arm<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let _ = self.0.as_mut().poll(context);
        Poll::Ready(())
    }
}

async fn arm_and_cancel_among(n: u64, many: u64) -> Duration {
    let mut others = Vec::with_capacity(many as usize);
    for i in 0..many {
        let mut timer = Box::pin(sleep(HOUR + Duration::from_micros(i * 7919 % many)));
        Arm(timer.as_mut()).await;
        others.push(timer);
    }
    let began = Instant::now();
    for i in 0..n {
        let timer = sleep(HOUR + Duration::from_micros(i % (many + 1)));
        tokio::pin!(timer);
        Arm(timer).await;
    }
    began.elapsed()
}

async fn timeout_around_a_yield(n: u64) -> Duration {
    let began = Instant::now();
    for _ in 0..n {
        timeout(HOUR, yield_now()).await.unwrap();
    }
    began.elapsed()
}

async fn to_thread_round_trip(n: u64) -> Duration {
    let began = Instant::now();
    for _ in 0..n {
        black_box(spawn_blocking(|| 1).await.unwrap());
    }
    began.elapsed()
}

// A job's share when 64 are always asked for at once.
async fn to_thread_64_at_once(n: u64) -> Duration {
    let began = Instant::now();
    for _ in 0..n / 64 {
        let jobs: Vec<_> = (0..64).map(|_| spawn_blocking(|| 1)).collect();
        for job in jobs {
            black_box(job.await.unwrap());
        }
    }
    began.elapsed()
}

fn rows(many: u64) -> Vec<Row> {
    vec![
        row("plain_co_await", plain_await),
        row("plain_co_await:boxed", boxed_await),
        row("create_task_and_await", create_and_await),
        row("create_many_then_await", move |n| create_many(n, many)).in_batches_of(many),
        row("yield_among_four", |n| among_four(n, yield_times)),
        row("queue_of_1024", queue_of_1024),
        row("queue_of_one_round_trip", queue_of_one_round_trip),
        row("mutex_among_four", mutex_among_four),
        row("mutex_alone", mutex_alone),
        row("timer_arm_and_cancel_among_1e6", move |n| arm_and_cancel_among(n, many))
            .in_batches_of(10_000), // since the others are armed anew each time
        row("timeout_around_a_yield", timeout_around_a_yield),
        row("to_thread_round_trip", to_thread_round_trip),
        row("to_thread_64_at_once", to_thread_64_at_once).in_batches_of(64),
    ]
}

fn main() {
    run_rows(rows);
}
