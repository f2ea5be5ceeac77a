// SPDX-License-Identifier: MIT

// What Go's goroutines, channels, mutexes and timers cost. There is no row for a child that is
// awaited in place, which is a call in Go, nor for to_thread, which Go does by itself.
package main

import (
	"context"
	"runtime"
	"sync"
	"time"

	program "bench/common/go"
)

var sink int

func give(value int, result chan<- int) { result <- value }

func createAndAwait(n int) {
	result := make(chan int, 1)
	for i := 0; i < n; i++ {
		go give(1, result)
		sink += <-result
	}
}

func createMany(many int) func(n int) {
	results := make([]int, many)
	return func(n int) {
		for done := 0; done < n; done += many {
			var all sync.WaitGroup
			all.Add(many)
			for i := range results {
				go func(i int) {
					results[i] = i
					all.Done()
				}(i)
			}
			all.Wait()
		}
	}
}

// Four goroutines do n times, all told.
func amongFour(n int, do func(times int)) {
	var all sync.WaitGroup
	all.Add(4)
	for i := 0; i < 4; i++ {
		go func() {
			do(n/4 + 1)
			all.Done()
		}()
	}
	all.Wait()
}

func yieldAmongFour(n int) {
	amongFour(n, func(times int) {
		for i := 0; i < times; i++ {
			runtime.Gosched()
		}
	})
}

func queueOf1024(n int) {
	queue := make(chan int, 1024)
	go func() {
		for i := 0; i < n; i++ {
			queue <- i
		}
	}()
	for i := 0; i < n; i++ {
		sink += <-queue
	}
}

func queueOfOneRoundTrip(n int) {
	pings, pongs := make(chan int, 1), make(chan int, 1)
	go func() {
		for i := 0; i < n; i++ {
			pongs <- <-pings
		}
	}()
	for i := 0; i < n; i++ {
		pings <- i
		sink += <-pongs
	}
}

func mutexAmongFour(n int) {
	var mutex sync.Mutex
	amongFour(n, func(times int) {
		for i := 0; i < times; i++ {
			mutex.Lock()
			sink++
			mutex.Unlock()
		}
	})
}

func mutexAlone(n int) {
	var mutex sync.Mutex
	for i := 0; i < n; i++ {
		mutex.Lock()
		sink++
		mutex.Unlock()
	}
}

func armAndCancelAmong(many int) func(n int) time.Duration {
	var others []*time.Timer
	return func(n int) time.Duration {
		for i := len(others); i < many; i++ {
			later := time.Hour + time.Duration(i*7919%many)*time.Microsecond
			others = append(others, time.AfterFunc(later, func() {}))
		}
		began := time.Now()
		for i := 0; i < n; i++ {
			time.AfterFunc(time.Hour+time.Duration(i%(many+1))*time.Microsecond, func() {}).Stop()
		}
		return time.Since(began)
	}
}

func timeoutAroundAYield(n int) {
	for i := 0; i < n; i++ {
		_, cancel := context.WithTimeout(context.Background(), time.Hour)
		runtime.Gosched()
		cancel()
	}
}

func main() {
	program.RunRows(func(many int) []program.Row {
		return []program.Row{
			{Name: "create_task_and_await", Times: program.Timed(createAndAwait)},
			{Name: "create_many_then_await", Batch: many, Times: program.Timed(createMany(many))},
			{Name: "yield_among_four", Times: program.Timed(yieldAmongFour)},
			{Name: "queue_of_1024", Times: program.Timed(queueOf1024)},
			{Name: "queue_of_one_round_trip", Times: program.Timed(queueOfOneRoundTrip)},
			{Name: "mutex_among_four", Times: program.Timed(mutexAmongFour)},
			{Name: "mutex_alone", Times: program.Timed(mutexAlone)},
			{Name: "timer_arm_and_cancel_among_1e6", Times: armAndCancelAmong(many)},
			{Name: "timeout_around_a_yield", Times: program.Timed(timeoutAroundAYield)},
		}
	})
}
