// SPDX-License-Identifier: MIT
//
//! Rows: operations whose time is wanted, one JSON line a sample.
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

type Timed = Pin<Box<dyn Future<Output = Duration> + Send>>;

/// `times` does it n times, a multiple of `batch`, and tells how long that took, without what had
/// to be set up.
pub struct Row {
    name: &'static str,
    batch: u64,
    times: Arc<dyn Fn(u64) -> Timed + Send + Sync>,
}

pub fn row<F>(name: &'static str, times: impl Fn(u64) -> F + Send + Sync + 'static) -> Row
where
    F: Future<Output = Duration> + Send + 'static,
{
    Row { name, batch: 1, times: Arc::new(move |n| Box::pin(times(n))) }
}

impl Row {
    pub fn in_batches_of(mut self, batch: u64) -> Row {
        self.batch = batch;
        self
    }
}

/// The value, of which the compiler knows nothing: std::hint's came after Debian's Rust.
pub fn black_box<T>(value: T) -> T {
    // SAFETY: the original is forgotten, so there is one owner.
    unsafe {
        let seen = std::ptr::read_volatile(&value);
        std::mem::forget(value);
        seen
    }
}

// Does it ever more often, until that takes `least`; the last sample counts.
async fn measure(row: &Row, least: Duration) -> (u64, Duration) {
    let mut n = row.batch;
    loop {
        let took = (row.times)(n).await;
        if took >= least || n >= 1 << 30 {
            return (n, took);
        }
        let grow = 1.4 * least.as_secs_f64() / (took.as_secs_f64() + 1e-9);
        n = ((n as f64 * grow.min(10.0)) as u64 / row.batch + 1) * row.batch;
    }
}

/// Measures the row that the command line asks for, or all. `rows` is told how many tasks or timers
/// there are to be at once where a row has many.
pub fn run_rows(rows: impl Fn(u64) -> Vec<Row>) {
    let with = crate::read_settings(1_000_000);
    let wanted: Vec<Row> = rows(with.size)
        .into_iter()
        .filter(|row| with.row.is_empty() || with.row == row.name)
        .collect();
    if wanted.is_empty() {
        crate::refuse(&format!("no row {}", with.row));
    }
    crate::run_on_tokio(with.threads, async move {
        for row in &wanted {
            for _ in 0..with.repeat {
                let (n, took) = measure(row, Duration::from_secs_f64(with.seconds)).await;
                println!(
                    r#"{{"row":"{}","peer":"tokio","threads":{},"ns":{:.2},"times":{n}}}"#,
                    row.name,
                    with.threads,
                    took.as_nanos() as f64 / n as f64,
                );
            }
        }
    });
}
