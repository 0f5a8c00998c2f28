package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"
)

// A nameserver and a broker, processes of this one.
type servers struct {
	namesrv, broker         string // addresses
	namesrvProc, brokerProc *proc
}

type proc struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func startServers(target, bin, lib, dir string) (*servers, error) {
	s := &servers{}
	port := freePort()
	s.namesrv = fmt.Sprintf("127.0.0.1:%d", port)
	var err error
	if s.namesrvProc, err = start(target, "namesrv", bin, lib, dir, map[string]string{
		"listenPort":   fmt.Sprint(port),
		"bindAddress":  "127.0.0.1",
		"kvConfigPath": filepath.Join(dir, "namesrv", "kvConfig.json"),
	}, s.namesrv); err != nil {
		return s, err
	}
	port = freePort()
	s.broker = fmt.Sprintf("127.0.0.1:%d", port)
	settings := map[string]string{
		"listenPort":              fmt.Sprint(port),
		"bindAddress":             "127.0.0.1",
		"brokerName":              "go",
		"brokerIP1":               "127.0.0.1",
		"brokerIP2":               "127.0.0.1",
		"namesrvAddr":             s.namesrv,
		"storePathRootDir":        filepath.Join(dir, "store"),
		"storePathCommitLog":      filepath.Join(dir, "store", "commitlog"),
		"mappedFileSizeCommitLog": fmt.Sprint(64 << 20),
		"enablePropertyFilter":    "true",
		"traceTopicEnable":        "true",
		// An open half is asked for after a second or two instead of a minute.
		"transactionTimeOut":       "1000",
		"transactionCheckInterval": "1000",
	}
	if target == "apache" {
		// A small busy machine otherwise answers "system busy" at moments, which no scenario is about.
		for _, queue := range []string{"Send", "Heartbeat", "Transaction", "Ack"} {
			settings["waitTimeMillsIn"+queue+"Queue"] = "31000"
		}
		settings["osPageCacheBusyTimeOutMills"] = "5000"
	}
	if s.brokerProc, err = start(target, "broker", bin, lib, dir, settings, s.broker); err != nil {
		return s, err
	}
	return s, await("the broker is known to the nameserver", 30*time.Second, func() bool { return s.registered() })
}

// Whether the nameserver gives a route to the topic that every broker has, the one named as its cluster.
func (s *servers) registered() bool {
	_, err := queuesOf(s.namesrv, "DefaultCluster")
	return err == nil
}

func start(target, role, bin, lib, dir string, settings map[string]string, address string) (*proc, error) {
	home := filepath.Join(dir, role)
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, err
	}
	var text []string
	for k, v := range settings {
		text = append(text, k+"="+v+"\n")
	}
	sort.Strings(text)
	conf := filepath.Join(home, "server.conf")
	if err := os.WriteFile(conf, []byte(strings.Join(text, "")), 0o644); err != nil {
		return nil, err
	}
	args := []string{bin, role, "-c", conf}
	if target == "apache" {
		class := map[string]string{
			"namesrv": "org.apache.rocketmq.namesrv.NamesrvStartup",
			"broker":  "org.apache.rocketmq.broker.BrokerStartup",
		}[role]
		args = []string{"java", "-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
			"-XX:MaxDirectMemorySize=512m", "-Drocketmq.home.dir=" + home, "-Duser.home=" + home, "-Dtls.server.mode=disabled",
			"-Djava.net.preferIPv4Stack=true", "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
			"--add-exports=java.base/sun.nio.ch=ALL-UNNAMED", "--add-opens=java.base/java.nio=ALL-UNNAMED",
			"--add-opens=java.base/java.lang=ALL-UNNAMED", "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
			"-cp", lib + "/*", class, "-c", conf}
	}
	log, err := os.Create(filepath.Join(home, "out.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = home, log, log
	cmd.Env = append(os.Environ(), "HOME="+home)
	// They end with this process, however it ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &proc{cmd: cmd, done: make(chan struct{})}
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	return p, await(role+" listens", 120*time.Second, func() bool {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil || p.ended()
	})
}

func (p *proc) ended() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Which server is not there any more.
func (s *servers) ended() string {
	for role, p := range map[string]*proc{"namesrv": s.namesrvProc, "broker": s.brokerProc} {
		if p.ended() {
			return role + " ended: " + p.cmd.ProcessState.String()
		}
	}
	return ""
}

func (s *servers) stop() {
	for _, p := range []*proc{s.brokerProc, s.namesrvProc} {
		if p == nil || p.ended() {
			continue
		}
		p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(20 * time.Second):
			p.cmd.Process.Kill()
			<-p.done
		}
	}
}

// A port with those around it free as a broker needs them: -2 (fast port) and +1 (replication).
func freePort() int {
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if free(port-2) && free(port) && free(port+1) {
			return port
		}
	}
}

func free(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}
