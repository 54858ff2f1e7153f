// SPDX-License-Identifier: MIT
// Echo by Go: a goroutine a connection; the scheduler has one processor.
package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// pin keeps every thread of this process, or those it starts, on the first or the last processor that it may use.
func pin(last bool) {
	var mask [16]uint64
	runtime.LockOSThread()
	syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0, unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
	chosen := -1
	for i := 0; i < 1024; i++ {
		if mask[i/64]>>(i%64)&1 == 1 && (last || chosen < 0) {
			chosen = i
		}
	}
	mask = [16]uint64{}
	mask[chosen/64] = 1 << (chosen % 64)
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, task := range tasks {
		if last {
			break
		}
		number, _ := strconv.Atoi(task.Name())
		syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(number), unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
	}
	if last {
		syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
	}
}

func spent() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Sec+usage.Stime.Sec)*1e6 + float64(usage.Utime.Usec+usage.Stime.Usec)
}

func serve(connection net.Conn) {
	defer connection.Close()
	octets := make([]byte, 4096)
	for {
		got, err := connection.Read(octets)
		if err != nil {
			return
		}
		if _, err = connection.Write(octets[:got]); err != nil {
			return
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil || len(os.Args) != 4 {
		os.Exit(1)
	}
	runtime.GOMAXPROCS(1)
	_, port, _ := strings.Cut(listener.Addr().String(), ":")
	generator := exec.Command(os.Args[3], port, os.Args[1][strings.LastIndex(os.Args[1], "-")+1:], os.Args[2], "pin")
	generator.Stdout = os.Stdout
	if generator.Start() != nil {
		os.Exit(1)
	}
	pin(false)
	before := spent()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(connection)
		}
	}()
	if generator.Wait() != nil {
		os.Exit(1)
	}
	messages, _ := strconv.ParseFloat(os.Args[2], 64)
	fmt.Printf("%.4g\n", (spent()-before)/messages/1.1)
}
