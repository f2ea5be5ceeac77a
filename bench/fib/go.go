// SPDX-License-Identifier: MIT

// One child as a goroutine and the other as a plain call; a channel of one place brings the result,
// so that the child never waits.
package main

import program "bench/common/go"

func fib(n int64) int64 {
	if n < 2 {
		return n
	}
	a := make(chan int64, 1)
	go func() { a <- fib(n - 1) }()
	b := fib(n - 2)
	return <-a + b
}

func expected(n int64) int64 {
	a, b := int64(0), int64(1)
	for ; n > 0; n-- {
		a, b = b, a+b
	}
	return a
}

func main() {
	with := program.ReadSettings(35, "n")
	program.RunAll("fib", with, expected(with.Size), func() int64 { return fib(with.Size) })
}
