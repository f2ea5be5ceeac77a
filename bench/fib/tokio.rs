// SPDX-License-Identifier: MIT
//
//! One child as a task and the other awaited in place. An async function that calls itself has to
//! be boxed.
use std::future::Future;
use std::pin::Pin;

fn fib(n: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if n < 2 {
            return n;
        }
        let a = tokio::spawn(fib(n - 1));
        let b = fib(n - 2).await;
        a.await.unwrap() + b
    })
}

fn main() {
    let with = program::read_settings(35);
    let n = with.size;
    let expected = (0..n).fold((0, 1), |(a, b), _| (b, a + b)).0;
    program::run_all("fib", with, expected, move || fib(n));
}
