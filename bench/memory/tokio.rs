// SPDX-License-Identifier: MIT
use program::{current_rss_kb, print, read_settings, refuse, run_on_tokio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, Mutex};
use tokio::task::{spawn, yield_now};

static ASLEEP: AtomicU64 = AtomicU64::new(0);

async fn sleeper() {
    ASLEEP.fetch_add(1, Relaxed);
    tokio::time::sleep(Duration::from_secs(3600)).await;
}

// A receiver of Tokio's has one owner, so those who share it queue up for it.
async fn getter(empty: Arc<Mutex<mpsc::Receiver<u32>>>) {
    ASLEEP.fetch_add(1, Relaxed);
    empty.lock().await.recv().await;
}

async fn locker(held: Arc<Mutex<u32>>) {
    ASLEEP.fetch_add(1, Relaxed);
    *held.lock().await += 1;
}

async fn listener(result: oneshot::Receiver<u32>) {
    ASLEEP.fetch_add(1, Relaxed);
    let _ = result.await;
}

fn main() {
    let with = read_settings(1_000_000);
    run_on_tokio(with.threads, async move {
        let held = Arc::new(Mutex::new(0));
        let _guard = held.lock().await;
        let (_put, get) = mpsc::channel(1);
        let empty = Arc::new(Mutex::new(get));
        let mut promises = Vec::new();
        let before = current_rss_kb();
        let began = Instant::now();
        for _ in 0..with.size {
            match with.shape.as_str() {
                "sleep" => drop(spawn(sleeper())),
                "queue" => drop(spawn(getter(empty.clone()))),
                "mutex" => drop(spawn(locker(held.clone()))),
                "future" => {
                    let (promise, result) = oneshot::channel();
                    promises.push(promise);
                    drop(spawn(listener(result)));
                }
                shape => refuse(&format!("no shape {shape}")),
            }
        }
        while ASLEEP.load(Relaxed) < with.size {
            yield_now().await;
        }
        let took = began.elapsed();
        let bytes = (current_rss_kb() - before) as f64 * 1024.0 / with.size as f64;
        let notes = format!(r#","bytes_per_task":{bytes:.1}"#);
        print("memory", &with, took, ASLEEP.load(Relaxed), with.size, &notes);
        std::process::exit(0); // without ending them one by one
    });
}
