// SPDX-License-Identifier: MIT
//
//! Nine of the ten children as tasks and one awaited in place.
use std::future::Future;
use std::pin::Pin;

const FAN_OUT: u64 = 10;

fn skynet(first: u64, leaves: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if leaves == 1 {
            return first;
        }
        let part = leaves / FAN_OUT;
        let children: Vec<_> =
            (1..FAN_OUT).map(|i| tokio::spawn(skynet(first + i * part, part))).collect();
        let mut sum = skynet(first, part).await;
        for child in children {
            sum += child.await.unwrap();
        }
        sum
    })
}

fn main() {
    let with = program::read_settings(1_000_000);
    let leaves = with.size;
    program::run_all("skynet", with, leaves * (leaves - 1) / 2, move || skynet(0, leaves));
}
