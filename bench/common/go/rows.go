// SPDX-License-Identifier: MIT

package program

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"
)

// Row is an operation whose time is wanted. Times does it n times, a multiple of Batch unless that
// is 0, and tells how long that took, without what had to be set up.
type Row struct {
	Name  string
	Batch int
	Times func(n int) time.Duration
}

// Timed is a Row's Times that has nothing to set up.
func Timed(do func(n int)) func(n int) time.Duration {
	return func(n int) time.Duration {
		began := time.Now()
		do(n)
		return time.Since(began)
	}
}

// Does it ever more often, until that takes `least`; the last sample counts.
func measure(row Row, least time.Duration) (n int, took time.Duration) {
	batch := row.Batch
	if batch < 1 {
		batch = 1
	}
	for n = batch; ; {
		took = row.Times(n)
		if took >= least || n >= 1<<30 {
			return n, took
		}
		grow := 1.4 * float64(least) / float64(took+1)
		if grow > 10 {
			grow = 10
		}
		n = (int(float64(n)*grow)/batch + 1) * batch
	}
}

// RunRows measures the row that the command line asks for, or all. `rows` is told how many tasks or
// timers there are to be at once where a row has many.
func RunRows(rows func(many int) []Row) {
	threads := flag.Int("threads", runtime.NumCPU(), "processors Go may use")
	many := flag.Int("size", 1_000_000, "tasks or timers at once, in rows that have many")
	repeat := flag.Int("repeat", 1, "samples of each row")
	seconds := flag.Float64("seconds", 0.2, "least time of one sample")
	only := flag.String("row", "", "the row to measure; otherwise all")
	flag.Parse()
	runtime.GOMAXPROCS(*threads)
	found := false
	for _, row := range rows(*many) {
		if *only != "" && *only != row.Name {
			continue
		}
		found = true
		for i := 0; i < *repeat; i++ {
			n, took := measure(row, time.Duration(*seconds*1e9))
			fmt.Printf(`{"row":"%s","peer":"go","threads":%d,"ns":%.6g,"times":%d}`+"\n", row.Name,
				*threads, float64(took.Nanoseconds())/float64(n), n)
		}
	}
	if !found {
		fmt.Fprintf(os.Stderr, "no row %s\n", *only)
		os.Exit(2)
	}
}
