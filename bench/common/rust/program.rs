// SPDX-License-Identifier: MIT
//
//! What the bench's programs in Rust share: the options of the command line, the clock, one JSON
//! line a run (the same as those of common/program.h), and a Tokio runtime of so many threads.
pub mod rows;

use std::future::Future;
use std::time::{Duration, Instant};

pub struct Settings {
    pub threads: usize,
    pub size: u64,
    pub repeat: u32,
    pub shape: String,  // memory only: what the tasks wait for
    pub row: String,    // primitives only: the one to measure; empty: all
    pub seconds: f64,   // primitives only: of one sample
}

pub fn refuse(why: &str) -> ! {
    let options = "--threads N --size N --repeat N --shape S --row R --seconds T";
    eprintln!("{why} (options: {options})");
    std::process::exit(2)
}

fn number<N: std::str::FromStr>(name: &str, text: &str) -> N {
    text.parse().unwrap_or_else(|_| refuse(&format!("{name} cannot be {text}")))
}

pub fn read_settings(default_size: u64) -> Settings {
    let mut s = Settings {
        threads: std::thread::available_parallelism().map_or(1, |n| n.get()),
        size: default_size,
        repeat: 1,
        shape: "sleep".into(),
        row: String::new(),
        seconds: 0.2,
    };
    let mut words = std::env::args().skip(1);
    while let Some(name) = words.next() {
        let value = words.next().unwrap_or_else(|| refuse(&format!("{name} needs a value")));
        match name.as_str() {
            "--threads" => s.threads = number(&name, &value),
            "--size" => s.size = number(&name, &value),
            "--repeat" => s.repeat = number(&name, &value),
            "--shape" => s.shape = value,
            "--row" => s.row = value,
            "--seconds" => s.seconds = number(&name, &value),
            _ => refuse(&format!("unknown option {name}")),
        }
    }
    s
}

/// Runs `main` as a task, so that it is on one of the runtime's threads and not beside them.
pub fn run_on_tokio<T: Send + 'static>(
    threads: usize,
    main: impl Future<Output = T> + Send + 'static,
) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async { tokio::spawn(main).await.expect("no panic") })
}

fn status_field_kb(field: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    text.lines()
        .find(|line| line.starts_with(field))
        .and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}

pub fn current_rss_kb() -> u64 {
    status_field_kb("VmRSS:")
}

/// Prints the line of one run. A wrong result ends the process with 1. `notes` are further fields,
/// each with a comma before it.
pub fn print(
    problem: &str,
    with: &Settings,
    took: Duration,
    result: u64,
    expected: u64,
    notes: &str,
) {
    let (threads, size, ns) = (with.threads, with.size, took.as_nanos());
    let rss_kb = status_field_kb("VmHWM:");
    print!(r#"{{"problem":"{problem}","peer":"tokio","threads":{threads},"size":{size},"#);
    println!(r#""ns":{ns},"check":{result},"rss_kb":{rss_kb}{notes}}}"#);
    if result != expected {
        eprintln!("{problem}/tokio: wrong result {result}, expected {expected}");
        std::process::exit(1);
    }
}

/// Does all runs of `solve` on one runtime, timed and checked.
pub fn run_all<F, S>(problem: &'static str, with: Settings, expected: u64, solve: S)
where
    F: Future<Output = u64> + Send + 'static,
    S: Fn() -> F + Send + Sync + 'static,
{
    run_on_tokio(with.threads, async move {
        for _ in 0..with.repeat {
            let began = Instant::now();
            let result = solve().await;
            print(problem, &with, began.elapsed(), result, expected, "");
        }
    });
}
