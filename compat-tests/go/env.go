package main

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

var (
	ctx     = context.Background()
	counter atomic.Int64
)

// What a scenario works with. Clients made here are shut down at its end.
type env struct {
	servers *servers
	name    string
	closing []func()
}

func (e *env) close() {
	for i := len(e.closing) - 1; i >= 0; i-- {
		e.closing[i]()
	}
}

// A name nobody else has.
func (e *env) unique(what string) string {
	return fmt.Sprintf("%s-%s-%d", e.name, what, counter.Add(1))
}

func (e *env) resolver() primitive.NsResolver {
	return primitive.NewPassthroughResolver([]string{e.servers.namesrv})
}

func (e *env) topic(queues int) string {
	return e.make(e.unique("topic"), queues)
}

// A group whose retry topic is there before its first member, which otherwise learns of it after 30 s.
func (e *env) retrying() string {
	group := e.unique("group")
	e.make("%RETRY%"+group, 1)
	return group
}

func (e *env) make(topic string, queues int) string {
	a := e.admin()
	check(a.CreateTopic(ctx, admin.WithTopicCreate(topic), admin.WithBrokerAddrCreate(e.servers.broker),
		admin.WithReadQueueNums(queues), admin.WithWriteQueueNums(queues)))
	// The answer is of the broker; the nameserver knows it a moment later.
	check(await("a route of "+topic, 15*time.Second, func() bool {
		_, err := queuesOf(e.servers.namesrv, topic)
		return err == nil
	}))
	return topic
}

func (e *env) admin() admin.Admin {
	a, err := admin.NewAdmin(admin.WithResolver(e.resolver()))
	check(err)
	e.closing = append(e.closing, func() { a.Close() })
	return a
}

func queuesOf(namesrv, topic string) ([]*primitive.MessageQueue, error) {
	a, err := admin.NewAdmin(admin.WithResolver(primitive.NewPassthroughResolver([]string{namesrv})))
	if err != nil {
		return nil, err
	}
	defer a.Close()
	queues, err := a.FetchPublishMessageQueues(ctx, topic)
	if err == nil && len(queues) == 0 {
		err = fmt.Errorf("no queue of %s", topic)
	}
	return queues, err
}

func (e *env) producer(options ...producer.Option) rocketmq.Producer {
	options = append([]producer.Option{producer.WithNsResolver(e.resolver()), producer.WithGroupName(e.unique("producers")),
		producer.WithInstanceName(e.unique("instance"))}, options...)
	p, err := rocketmq.NewProducer(options...)
	check(err)
	check(p.Start())
	e.closing = append(e.closing, func() { p.Shutdown() })
	return p
}

func (e *env) consumerOptions(group string, options []consumer.Option) []consumer.Option {
	return append([]consumer.Option{consumer.WithNsResolver(e.resolver()), consumer.WithGroupName(group),
		consumer.WithInstance(e.unique("instance")), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset)}, options...)
}

type handler func(ctx context.Context, m *primitive.MessageExt) consumer.ConsumeResult

func accept(context.Context, *primitive.MessageExt) consumer.ConsumeResult {
	return consumer.ConsumeSuccess
}

// A started push consumer and what it was handed.
type pushed struct {
	rocketmq.PushConsumer
	sync.Mutex
	messages []*primitive.MessageExt
	times    []time.Time
}

func (e *env) push(group, topic string, selector consumer.MessageSelector, f handler, options ...consumer.Option) *pushed {
	c, err := rocketmq.NewPushConsumer(e.consumerOptions(group, options)...)
	check(err)
	p := &pushed{PushConsumer: c}
	check(c.Subscribe(topic, selector, func(ctx context.Context, ms ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		result := consumer.ConsumeSuccess
		for _, m := range ms {
			p.Lock()
			p.messages = append(p.messages, m)
			p.times = append(p.times, time.Now())
			p.Unlock()
			result = f(ctx, m)
		}
		return result, nil
	}))
	check(c.Start())
	e.closing = append(e.closing, func() { c.Shutdown() })
	return p
}

// The bodies so far, in the order of their arrival.
func (p *pushed) bodies() []string {
	p.Lock()
	defer p.Unlock()
	var all []string
	for _, m := range p.messages {
		all = append(all, string(m.Body))
	}
	return all
}

// Waits until as many came as are wanted, then compares them in any order.
func (p *pushed) expect(want []string) error {
	await("messages", 40*time.Second, func() bool { return len(p.bodies()) >= len(want) })
	return same(p.bodies(), want)
}

func same(got, want []string) error {
	got, want = append([]string{}, got...), append([]string{}, want...)
	sort.Strings(got)
	sort.Strings(want)
	return equal(strings.Join(got, " "), strings.Join(want, " "))
}

func equal[T comparable](got, want T) error {
	if got != want {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	return nil
}

// Sends n messages one after the other, each checked to be stored, and returns their bodies.
func sendAll(p rocketmq.Producer, topic string, n int, each ...func(i int, m *primitive.Message)) []string {
	var bodies []string
	for i := 0; i < n; i++ {
		m := primitive.NewMessage(topic, []byte(fmt.Sprintf("m%03d", i)))
		for _, f := range each {
			f(i, m)
		}
		stored(p.SendSync(ctx, m))
		bodies = append(bodies, string(m.Body))
	}
	return bodies
}

func stored(r *primitive.SendResult, err error) *primitive.SendResult {
	check(err)
	check(equal(r.Status, primitive.SendOK))
	return r
}

func await(what string, limit time.Duration, f func() bool) error {
	end := time.Now().Add(limit)
	for !f() {
		if time.Now().After(end) {
			return fmt.Errorf("no %s within %s", what, limit)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// Ends the scenario when something went wrong.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
