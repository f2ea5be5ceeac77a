// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	program "bench/common/go"
)

func main() {
	with := program.ReadSettings(1_000_000, "suspended goroutines")
	var asleep int64
	var held sync.Mutex
	held.Lock()
	empty := make(chan int, 1)
	var results []chan int
	waits := map[string]func(){
		"sleep": func() { time.Sleep(time.Hour) },
		"queue": func() { <-empty },
		"mutex": func() { held.Lock() },
	}
	wait, known := waits[with.Shape]
	if !known && with.Shape != "future" {
		fmt.Fprintln(os.Stderr, "no shape "+with.Shape)
		os.Exit(2)
	}
	before := program.CurrentRSSKB()
	began := time.Now()
	for i := int64(0); i < with.Size; i++ {
		if !known { // a channel of its own is Go's future
			result := make(chan int, 1)
			results = append(results, result)
			go func() {
				atomic.AddInt64(&asleep, 1)
				<-result
			}()
			continue
		}
		go func() {
			atomic.AddInt64(&asleep, 1)
			wait()
		}()
	}
	for atomic.LoadInt64(&asleep) < with.Size {
		runtime.Gosched()
	}
	took := time.Since(began)
	bytes := float64(program.CurrentRSSKB()-before) * 1024 / float64(with.Size)
	program.Print("memory", with, took, atomic.LoadInt64(&asleep), with.Size,
		fmt.Sprintf(`,"bytes_per_task":%.6g`, bytes))
	runtime.KeepAlive(results)
}
