// Two goroutines that wait for each other's lock, beside a listener that waits for clients.
package main

import (
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

func take(mine, theirs *sync.Mutex, both *sync.WaitGroup) {
	mine.Lock()
	both.Done()
	both.Wait()
	theirs.Lock()
}

func main() {
	var one, other sync.Mutex
	var both sync.WaitGroup
	both.Add(2)
	go take(&one, &other, &both)
	go take(&other, &one, &both)
	both.Wait()
	time.Sleep(50 * time.Millisecond)
	listener, err := net.Listen("tcp", os.Args[1]+":0")
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	listener.Accept()
}
