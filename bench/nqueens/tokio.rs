// SPDX-License-Identifier: MIT
//
//! A task for each queen that can stand, except the last, which is awaited in place.
use std::future::Future;
use std::pin::Pin;

const MOST: usize = 16;
const SOLUTIONS: [u64; MOST + 1] = [
    0, 1, 0, 0, 2, 10, 4, 40, 92, 352, 724, 2680, 14200, 73712, 365596, 2279184, 14772512,
];

#[derive(Clone, Copy, Default)]
struct Board {
    column: [i8; MOST],
    rows: i32,
}

impl Board {
    fn allows(&self, candidate: i32) -> bool {
        (0..self.rows).all(|row| {
            let taken = i32::from(self.column[row as usize]);
            let distance = self.rows - row;
            taken != candidate && taken - distance != candidate && taken + distance != candidate
        })
    }

    fn with(mut self, candidate: i32) -> Board {
        self.column[self.rows as usize] = candidate as i8;
        self.rows += 1;
        self
    }
}

fn queens(placed: Board, n: i32) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if placed.rows == n {
            return 1;
        }
        let mut children = Vec::new();
        let mut last = None;
        for column in (0..n).filter(|&column| placed.allows(column)) {
            if let Some(before) = last.replace(column) {
                children.push(tokio::spawn(queens(placed.with(before), n)));
            }
        }
        let mut sum = match last {
            Some(column) => queens(placed.with(column), n).await,
            None => return 0,
        };
        for child in children {
            sum += child.await.unwrap();
        }
        sum
    })
}

fn main() {
    let with = program::read_settings(14);
    let n = with.size;
    if n < 1 || n > MOST as u64 {
        program::refuse("--size must be from 1 to 16");
    }
    program::run_all("nqueens", with, SOLUTIONS[n as usize], move || {
        queens(Board::default(), n as i32)
    });
}
