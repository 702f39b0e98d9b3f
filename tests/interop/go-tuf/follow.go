package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand"
	"os"
	"time"
)

// The client at times that nobody chose, until standard input ends; see ../python/follow.py,
// whose lines it prints.
func follow(url, state, target string, seed int64) {
	end := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(end)
	}()
	chance := rand.New(rand.NewSource(seed))
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for {
		fmt.Fprintln(out, look(url, state, target))
		select {
		case <-end:
			return
		case <-time.After(time.Duration(chance.Intn(400)) * time.Millisecond):
		}
	}
}
