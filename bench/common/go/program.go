// SPDX-License-Identifier: MIT

// Package program is what the bench's programs in Go share: the options of the command line, the
// clock, and one JSON line a run, the same as those of common/program.h.
package program

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Settings are what every program is told.
type Settings struct {
	Threads int // processors Go may use
	Size    int64
	Repeat  int
	Shape   string // memory only: what the tasks wait for
}

// ReadSettings ends the process with a message if the options are bad.
func ReadSettings(defaultSize int64, sizeMeans string) Settings {
	s := Settings{}
	flag.IntVar(&s.Threads, "threads", runtime.NumCPU(), "processors Go may use")
	flag.Int64Var(&s.Size, "size", defaultSize, sizeMeans)
	flag.IntVar(&s.Repeat, "repeat", 1, "runs in this process")
	flag.StringVar(&s.Shape, "shape", "sleep", "memory only: sleep, queue, mutex or future")
	flag.Parse()
	if flag.NArg() > 0 || s.Threads < 1 || s.Repeat < 1 || s.Size < 0 {
		fmt.Fprintln(os.Stderr, "bad options; --help tells them")
		os.Exit(2)
	}
	runtime.GOMAXPROCS(s.Threads)
	return s
}

func statusFieldKB(field string) int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, field) {
			kb, _ := strconv.ParseInt(strings.Fields(line)[1], 10, 64)
			return kb
		}
	}
	return 0
}

// CurrentRSSKB is the resident set of this process at this moment.
func CurrentRSSKB() int64 { return statusFieldKB("VmRSS:") }

// Print writes the line of one run. A wrong result ends the process with 1. `notes` are further
// fields, each with a comma before it.
func Print(problem string, with Settings, took time.Duration, result, expected int64,
	notes string) {
	fmt.Printf(`{"problem":"%s","peer":"go","threads":%d,"size":%d,"ns":%d,`, problem,
		with.Threads, with.Size, took.Nanoseconds())
	fmt.Printf(`"check":%d,"rss_kb":%d%s}`+"\n", result, statusFieldKB("VmHWM:"), notes)
	if result != expected {
		fmt.Fprintf(os.Stderr, "%s/go: wrong result %d, expected %d\n", problem, result, expected)
		os.Exit(1)
	}
}

// RunAll does all runs of `solve`, timed and checked.
func RunAll(problem string, with Settings, expected int64, solve func() int64) {
	for i := 0; i < with.Repeat; i++ {
		began := time.Now()
		result := solve()
		Print(problem, with, time.Since(began), result, expected, "")
	}
}
