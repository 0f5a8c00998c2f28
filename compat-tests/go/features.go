package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// Never early; how late depends on the machine.
func delayLevels(e *env) error {
	topic := e.topic(2)
	c := e.push(e.unique("group"), topic, consumer.MessageSelector{}, accept)
	begin := time.Now()
	p := e.producer()
	sent := sendAll(p, topic, 6, func(i int, m *primitive.Message) { m.WithDelayTimeLevel(i % 3) })
	check(c.expect(sent))
	for i, m := range c.messages {
		level, _ := strconv.Atoi(m.GetProperty(primitive.PropertyDelayTimeLevel))
		least := []time.Duration{0, time.Second, 5 * time.Second}[level]
		if took := c.times[i].Sub(begin); took < least {
			return fmt.Errorf("level %d came after %s", level, took)
		}
	}
	return nil
}

// A point in time: the client has no name for the property, the broker does. A second is the precision.
func timer(e *env) error {
	topic := e.topic(1)
	c := e.push(e.unique("group"), topic, consumer.MessageSelector{}, accept)
	due := time.Now().Add(3 * time.Second)
	sent := sendAll(e.producer(), topic, 1, func(_ int, m *primitive.Message) {
		m.WithProperty("TIMER_DELIVER_MS", strconv.FormatInt(due.UnixMilli(), 10))
	})
	check(c.expect(sent))
	if c.times[0].Before(due.Add(-time.Second)) {
		return fmt.Errorf("%s early", due.Sub(c.times[0]))
	}
	return nil
}

// Answers a transaction by what its body says, at once or when asked again.
type decider struct {
	sync.Mutex
	checks map[string]int
}

func (d *decider) ExecuteLocalTransaction(m *primitive.Message) primitive.LocalTransactionState {
	switch {
	case strings.HasPrefix(string(m.Body), "commit"):
		return primitive.CommitMessageState
	case strings.HasPrefix(string(m.Body), "rollback"):
		return primitive.RollbackMessageState
	}
	return primitive.UnknowState
}

func (d *decider) CheckLocalTransaction(m *primitive.MessageExt) primitive.LocalTransactionState {
	d.Lock()
	defer d.Unlock()
	d.checks[string(m.Body)]++
	switch {
	case strings.HasPrefix(string(m.Body), "later-rollback"):
		return primitive.RollbackMessageState
	case strings.HasPrefix(string(m.Body), "later-twice") && d.checks[string(m.Body)] < 2:
		return primitive.UnknowState
	}
	return primitive.CommitMessageState
}

func (e *env) transactions(bodies ...string) (string, *decider) {
	topic := e.topic(2)
	d := &decider{checks: map[string]int{}}
	p, err := rocketmq.NewTransactionProducer(d, producer.WithNsResolver(e.resolver()), producer.WithGroupName(e.unique("producers")),
		producer.WithInstanceName(e.unique("instance")))
	check(err)
	check(p.Start())
	e.closing = append(e.closing, func() { p.Shutdown() })
	for _, body := range bodies {
		r, err := p.SendMessageInTransaction(ctx, primitive.NewMessage(topic, []byte(body)).WithTag("t"))
		check(err)
		check(equal(r.Status, primitive.SendOK))
	}
	return topic, d
}

// What is committed is seen, what is rolled back never.
func transaction(e *env) error {
	topic, _ := e.transactions("commit-1", "rollback-1", "commit-2", "rollback-2")
	c := e.push(e.unique("group"), topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "t"}, accept)
	check(c.expect([]string{"commit-1", "commit-2"}))
	// What is sent afterwards comes alone.
	stored(e.producer().SendSync(ctx, primitive.NewMessage(topic, []byte("after")).WithTag("t")))
	return c.expect([]string{"commit-1", "commit-2", "after"})
}

// A producer that did not say is asked until it does.
func transactionCheck(e *env) error {
	topic, d := e.transactions("later-1", "later-rollback", "later-twice")
	c := e.push(e.unique("group"), topic, consumer.MessageSelector{}, accept)
	check(c.expect([]string{"later-1", "later-twice"}))
	d.Lock()
	defer d.Unlock()
	if d.checks["later-twice"] < 2 || d.checks["later-rollback"] < 1 {
		return fmt.Errorf("asked %v", d.checks)
	}
	return nil
}

func requestReply(e *env) error {
	topic := e.topic(2)
	answering := e.producer()
	e.push(e.unique("group"), topic, consumer.MessageSelector{}, func(_ context.Context, m *primitive.MessageExt) consumer.ConsumeResult {
		answer, err := consumer.CreateReplyMessage(m, nil)
		if err == nil {
			// CreateReplyMessage of 2.1.2 takes the body for properties and leaves the message without one.
			answer.Body = []byte("answer to " + string(m.Body))
			_, err = answering.SendSync(ctx, answer)
		}
		if err != nil {
			return consumer.ConsumeRetryLater
		}
		return consumer.ConsumeSuccess
	})
	// The broker finds the way back by the requester's heartbeat, which this client sends a second after its start when it has
	// sent something by then, and every 30 s; requests before that are not answered.
	p := e.producer()
	stored(p.SendSync(ctx, primitive.NewMessage(e.topic(1), []byte("makes the broker known"))))
	var answer *primitive.Message
	ask := func(body string) bool {
		var err error
		answer, err = p.Request(ctx, 2*time.Second, primitive.NewMessage(topic, []byte(body)))
		return err == nil
	}
	check(await("first answer", 35*time.Second, func() bool { return ask("heard?") }))
	for i := 0; i < 3; i++ {
		body := fmt.Sprint("question ", i)
		check(equal(ask(body), true))
		check(equal(string(answer.Body), "answer to "+body))
	}
	return nil
}

func requestUnanswered(e *env) error {
	topic := e.topic(1)
	if _, err := e.producer().Request(ctx, 2*time.Second, primitive.NewMessage(topic, []byte("anybody?"))); err == nil {
		return errors.New("an answer came from nobody")
	}
	return nil
}

// The client tells in the trace topic what it sent and consumed.
func trace(e *env) error {
	topic := e.topic(1)
	config := &primitive.TraceConfig{Access: primitive.Local, Resolver: e.resolver(), GroupName: e.unique("trace")}
	key := e.unique("key")
	sendAll(e.producer(producer.WithTrace(config)), topic, 1, func(_ int, m *primitive.Message) { m.WithKeys([]string{key}) })
	c := e.push(e.unique("group"), topic, consumer.MessageSelector{}, accept, consumer.WithTrace(config))
	check(c.expect([]string{"m000"}))
	traces := e.push(e.unique("tracers"), "RMQ_SYS_TRACE_TOPIC", consumer.MessageSelector{}, accept)
	var kinds map[string]bool
	err := await("traces of all kinds", 40*time.Second, func() bool {
		kinds = map[string]bool{}
		for _, body := range traces.bodies() {
			for _, one := range strings.Split(body, "\x02") {
				// SubAfter names the message by its id and keys, not by its topic.
				if strings.Contains(one, topic) || strings.Contains(one, key) {
					kinds[strings.SplitN(one, "\x01", 2)[0]] = true
				}
			}
		}
		return kinds["Pub"] && kinds["SubBefore"] && kinds["SubAfter"]
	})
	if err != nil {
		return fmt.Errorf("%w: %v", err, kinds)
	}
	return nil
}
