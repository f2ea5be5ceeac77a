// SPDX-License-Identifier: MIT

// Nine of the ten children as goroutines and one as a plain call, waited for as a group.
package main

import (
	"sync"

	program "bench/common/go"
)

const fanOut = 10

func skynet(first, leaves int64) int64 {
	if leaves == 1 {
		return first
	}
	part := leaves / fanOut
	var sums [fanOut]int64
	var children sync.WaitGroup
	children.Add(fanOut - 1)
	for i := int64(1); i < fanOut; i++ {
		go func(i int64) {
			sums[i] = skynet(first+i*part, part)
			children.Done()
		}(i)
	}
	sums[0] = skynet(first, part)
	children.Wait()
	sum := int64(0)
	for _, s := range sums {
		sum += s
	}
	return sum
}

func main() {
	with := program.ReadSettings(1_000_000, "leaves, a power of ten")
	program.RunAll("skynet", with, with.Size*(with.Size-1)/2,
		func() int64 { return skynet(0, with.Size) })
}
