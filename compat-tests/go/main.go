// Scenarios of the official Go client against a nameserver and a broker, ours or Apache's.
//
// Prints a line for each scenario, then how many passed and failed; exit code 1 when any failed. See ../README.md.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/rlog"
)

// A scenario has topics and groups of its own, so that all can run side by side; run returns what went wrong.
type scenario struct {
	name string
	run  func(e *env) error
}

var scenarios = []scenario{
	{"send-sync", sendSync},
	{"send-async", sendAsync},
	{"send-oneway", sendOneway},
	{"send-batch", sendBatch},
	{"send-compressed", sendCompressed},
	{"send-to-queue", sendToQueue},
	{"push-shared", pushShared},
	{"push-resumes", pushResumes},
	{"push-broadcast", pushBroadcast},
	{"push-orderly", pushOrderly},
	{"push-orderly-suspends", pushOrderlySuspends},
	{"tags", tags},
	{"sql92", sql92},
	{"pull-from", pullFrom},
	{"pull-and-commit", pullAndCommit},
	{"poll-and-ack", pollAndAck},
	{"delay-levels", delayLevels},
	{"timer", timer},
	{"retry", retry},
	{"dead-letter", deadLetter},
	{"transaction", transaction},
	{"transaction-check", transactionCheck},
	{"request-reply", requestReply},
	{"request-unanswered", requestUnanswered},
	{"trace", trace},
	{"admin-topics", adminTopics},
	{"unknown-topic", unknownTopic},
}

// Each scenario is over long before; one that hangs is reported instead of holding up the others.
const scenarioTimeout = 60 * time.Second

func main() {
	target := flag.String("target", "oxmq", "whose servers: oxmq or apache")
	bin := flag.String("bin", "", "our binary")
	lib := flag.String("lib", "", "folder with Apache's jars")
	work := flag.String("work", "", "folder for configuration, data and logs")
	only := flag.String("only", "", "names of the scenarios to run, a regular expression")
	except := flag.String("except", "", "names to leave out, a regular expression")
	flag.Parse()
	leftOut, err := regexp.Compile("^(" + *except + ")$")
	if err != nil {
		fatal(err)
	}
	wanted, err := regexp.Compile("^(" + *only + ")$")
	if *only == "" {
		wanted, err = regexp.MustCompile(""), nil
	}
	if err != nil {
		fatal(err)
	}
	dir, err := filepath.Abs(*work)
	if err != nil {
		fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		fatal(err)
	}
	// Offsets of broadcasting consumers go to the home folder.
	os.Setenv("HOME", dir)
	rlog.SetLogLevel("warn")
	if err := rlog.SetOutputPath(filepath.Join(dir, "client.log")); err != nil {
		fatal(err)
	}
	servers, err := startServers(*target, *bin, *lib, dir)
	if err != nil {
		servers.stop()
		fatal(err)
	}
	chosen := map[string]bool{}
	for _, s := range scenarios {
		chosen[s.name] = wanted.MatchString(s.name) && !leftOut.MatchString(s.name)
	}
	passed, failures := runAll(servers, chosen)
	// The client's own goroutines race for the two cores of a small machine; one that fails gets a second attempt by itself.
	for name, err := range failures {
		fmt.Printf("again %s: %v\n", name, err)
		more, left := runAll(servers, map[string]bool{name: true})
		passed += more
		failures[name] = left[name]
	}
	failed := 0
	for name, err := range failures {
		if err != nil {
			fmt.Printf("FAILED %s: %v\n", name, err)
			failed++
		}
	}
	if left := servers.ended(); left != "" {
		fmt.Println("FAILED server", left)
		failed++
	}
	servers.stop()
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 || passed == 0 {
		os.Exit(1)
	}
}

// All side by side; returns how many passed, and why each of the others did not.
func runAll(servers *servers, wanted map[string]bool) (passed int, failures map[string]error) {
	failures = map[string]error{}
	var printing sync.Mutex
	var all sync.WaitGroup
	for _, s := range scenarios {
		if !wanted[s.name] {
			continue
		}
		all.Add(1)
		go func(s scenario) {
			defer all.Done()
			begin := time.Now()
			err := bounded(func() error { return runOne(s, servers) })
			printing.Lock()
			defer printing.Unlock()
			if err != nil {
				failures[s.name] = err
				return
			}
			passed++
			fmt.Printf("passed %s %.1fs\n", s.name, time.Since(begin).Seconds())
		}(s)
	}
	all.Wait()
	return passed, failures
}

func runOne(s scenario, servers *servers) (err error) {
	e := &env{servers: servers, name: s.name}
	defer e.close()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return s.run(e)
}

func bounded(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(scenarioTimeout):
		return fmt.Errorf("not over after %s", scenarioTimeout)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(2)
}
