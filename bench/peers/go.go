// SPDX-License-Identifier: MIT
// Go: sync.Mutex, buffered channels, goroutines with a WaitGroup. The runner sets GOMAXPROCS to the processors of the row.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

var (
	lock    sync.Mutex
	counter int
	queue   = make(chan int, 1024)
)

// The time of goroutines that begin together, to the end of the last.
func team(members int, work func(member int)) time.Duration {
	var ready, done sync.WaitGroup
	begin := make(chan struct{})
	for i := 0; i < members; i++ {
		ready.Add(1)
		done.Add(1)
		go func(member int) {
			defer done.Done()
			ready.Done()
			<-begin
			work(member)
		}(i)
	}
	ready.Wait()
	start := time.Now()
	close(begin)
	done.Wait()
	return time.Since(start)
}

func takeAndGive(times int) {
	for i := 0; i < times; i++ {
		lock.Lock()
		counter++
		lock.Unlock()
	}
}

func uncontended(iterations int) time.Duration {
	takeAndGive(iterations / 10)
	start := time.Now()
	takeAndGive(iterations)
	return time.Since(start)
}

func contended(iterations int) time.Duration {
	team(2, func(int) { takeAndGive(iterations / 20) })
	return team(2, func(int) { takeAndGive(iterations / 2) })
}

// The even members produce, the odd ones consume.
func produceAndConsume(pairs, share int) time.Duration {
	return team(2*pairs, func(member int) {
		for i := 1; i <= share; i++ {
			if member%2 == 0 {
				queue <- i
			} else {
				<-queue
			}
		}
	})
}

func queuePairs(pairs int) func(int) time.Duration {
	return func(iterations int) time.Duration {
		produceAndConsume(pairs, iterations/pairs/10)
		return produceAndConsume(pairs, iterations/pairs)
	}
}

var eight [8]chan int

func selectOne() int {
	select {
	case i := <-eight[0]:
		return i
	case i := <-eight[1]:
		return i
	case i := <-eight[2]:
		return i
	case i := <-eight[3]:
		return i
	case i := <-eight[4]:
		return i
	case i := <-eight[5]:
		return i
	case i := <-eight[6]:
		return i
	case i := <-eight[7]:
		return i
	}
}

func makeEight() {
	for i := range eight {
		eight[i] = make(chan int, 1024)
	}
}

func select8(iterations int) time.Duration {
	makeEight()
	measure := func(share int) time.Duration {
		return team(2, func(member int) {
			for i := 1; i <= share; i++ {
				if member == 0 {
					eight[i%8] <- i
				} else {
					selectOne()
				}
			}
		})
	}
	measure(iterations / 10)
	return measure(iterations)
}

func select8Alone(iterations int) time.Duration {
	makeEight()
	random := uint32(1)
	work := func(times int) {
		for i := 1; i <= times; i++ {
			random = random*1664525 + 1013904223
			eight[random>>29] <- i
			selectOne()
		}
	}
	work(iterations / 10)
	start := time.Now()
	work(iterations)
	return time.Since(start)
}

func emptyTasks(tasks int) time.Duration {
	var done sync.WaitGroup
	start := time.Now()
	done.Add(tasks)
	for i := 0; i < tasks; i++ {
		go done.Done()
	}
	done.Wait()
	return time.Since(start)
}

func empty(iterations int) time.Duration {
	emptyTasks(iterations / 10)
	return emptyTasks(iterations)
}

func roundTrips(times int) time.Duration {
	done := make(chan struct{})
	start := time.Now()
	for i := 0; i < times; i++ {
		go func() { done <- struct{}{} }()
		<-done
	}
	return time.Since(start)
}

func roundTrip(iterations int) time.Duration {
	roundTrips(iterations / 10)
	return roundTrips(iterations)
}

// Goroutines of one processor.
func timed(work func()) time.Duration {
	start := time.Now()
	work()
	return time.Since(start)
}

func yieldTo(iterations int) time.Duration {
	var done sync.WaitGroup
	done.Add(2)
	return timed(func() {
		for g := 0; g < 2; g++ {
			go func() {
				for i := 0; i < iterations/2; i++ {
					runtime.Gosched()
				}
				done.Done()
			}()
		}
		done.Wait()
	})
}

func spawnOne(iterations int) time.Duration {
	return timed(func() {
		done := make(chan struct{})
		for i := 0; i < iterations; i++ {
			go func() { done <- struct{}{} }()
			<-done
		}
	})
}

func aliveThousand(iterations int) time.Duration {
	return timed(func() {
		for round := 0; round < iterations/1000; round++ {
			var done sync.WaitGroup
			gate := make(chan struct{})
			done.Add(1000)
			for i := 0; i < 1000; i++ {
				go func() {
					<-gate
					done.Done()
				}()
			}
			runtime.Gosched()
			close(gate)
			done.Wait()
		}
	})
}

func meet(capacity int, back bool) func(int) time.Duration {
	return func(iterations int) time.Duration {
		there, again := make(chan int, capacity), make(chan int, capacity)
		var done sync.WaitGroup
		done.Add(1)
		return timed(func() {
			go func() {
				for i := 0; i < iterations; i++ {
					there <- i
					if back {
						<-again
					}
				}
				done.Done()
			}()
			for i := 0; i < iterations; i++ {
				one := <-there
				if back {
					again <- one
				}
			}
			done.Wait()
		})
	}
}

func main() {
	rows := map[string]func(int) time.Duration{
		"lock-uncontended":       uncontended,
		"lock-contended":         contended,
		"queue-1p1c":             queuePairs(1),
		"queue-2p2c":             queuePairs(2),
		"select-8":               select8,
		"select-8-alone":         select8Alone,
		"pool-empty":             empty,
		"pool-round-trip":        roundTrip,
		"pool-round-trip-pinned": roundTrip,
		"coroutine-yield":        yieldTo,
		"coroutine-spawn":        spawnOne,
		"coroutine-alive":        aliveThousand,
		"coroutine-rendezvous":   meet(0, true),
		"coroutine-queue":        meet(1024, false),
	}
	iterations := 0
	if len(os.Args) > 2 {
		iterations, _ = strconv.Atoi(os.Args[2])
	}
	if iterations <= 0 || rows[os.Args[1]] == nil {
		fmt.Fprintf(os.Stderr, "usage: %s ROW ITERATIONS\n", os.Args[0])
		os.Exit(1)
	}
	fmt.Printf("%.6g\n", float64(rows[os.Args[1]](iterations).Nanoseconds())/float64(iterations))
}
