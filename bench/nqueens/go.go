// SPDX-License-Identifier: MIT

// A goroutine for each queen that can stand, except the last, which is a plain call.
package main

import (
	"sync"

	program "bench/common/go"
)

const most = 16

type board struct {
	column [most]int8
	rows   int
}

func (b *board) allows(candidate int) bool {
	for row := 0; row < b.rows; row++ {
		taken := int(b.column[row])
		distance := b.rows - row
		if taken == candidate || taken-distance == candidate || taken+distance == candidate {
			return false
		}
	}
	return true
}

func (b *board) with(candidate int) board {
	next := *b
	next.column[next.rows] = int8(candidate)
	next.rows++
	return next
}

func queens(placed board, n int) int64 {
	if placed.rows == n {
		return 1
	}
	last := -1 // the column that this goroutine takes itself
	var counts [most]int64
	var children sync.WaitGroup
	for column := 0; column < n; column++ {
		if !placed.allows(column) {
			continue
		}
		if last >= 0 {
			children.Add(1)
			go func(column int) {
				counts[column] = queens(placed.with(column), n)
				children.Done()
			}(last)
		}
		last = column
	}
	if last < 0 {
		return 0
	}
	counts[last] = queens(placed.with(last), n)
	children.Wait()
	sum := int64(0)
	for _, c := range counts {
		sum += c
	}
	return sum
}

func main() {
	solutions := [most + 1]int64{
		0, 1, 0, 0, 2, 10, 4, 40, 92, 352, 724, 2680, 14200, 73712, 365596, 2279184, 14772512}
	with := program.ReadSettings(14, "n, from 1 to 16")
	if with.Size > most {
		panic("--size must be from 1 to 16")
	}
	program.RunAll("nqueens", with, solutions[with.Size],
		func() int64 { return queens(board{}, int(with.Size)) })
}
