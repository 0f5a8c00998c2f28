package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// Two members of a group have all messages between them, each message once.
func pushShared(e *env) error {
	topic, group := e.topic(8), e.unique("group")
	first := e.push(group, topic, consumer.MessageSelector{}, accept)
	second := e.push(group, topic, consumer.MessageSelector{}, accept)
	p := e.producer()
	var sent []string
	// The members learn of each other when the broker tells them; until then one has it all.
	err := await("messages for both members", 45*time.Second, func() bool {
		n := len(sent)
		sent = append(sent, sendAll(p, topic, 16, func(i int, m *primitive.Message) { m.Body = []byte(fmt.Sprint("m", n+i)) })...)
		time.Sleep(300 * time.Millisecond)
		return len(first.bodies()) > 0 && len(second.bodies()) > 0
	})
	check(err)
	all := func() []string { return append(first.bodies(), second.bodies()...) }
	distinct := func() int {
		seen := map[string]bool{}
		for _, b := range all() {
			seen[b] = true
		}
		return len(seen)
	}
	check(await("all messages", 30*time.Second, func() bool { return distinct() == len(sent) }))
	return nil
}

// A group goes on where its last member stopped.
func pushResumes(e *env) error {
	topic, group := e.topic(2), e.unique("group")
	p := e.producer()
	before := sendAll(p, topic, 20)
	first := e.push(group, topic, consumer.MessageSelector{}, accept)
	check(first.expect(before))
	first.Shutdown()
	after := sendAll(p, topic, 10, func(i int, m *primitive.Message) { m.Body = []byte(fmt.Sprint("later", i)) })
	return e.push(group, topic, consumer.MessageSelector{}, accept).expect(after)
}

func pushBroadcast(e *env) error {
	topic, group := e.topic(4), e.unique("group")
	broadcast := consumer.WithConsumerModel(consumer.BroadCasting)
	first := e.push(group, topic, consumer.MessageSelector{}, accept, broadcast)
	second := e.push(group, topic, consumer.MessageSelector{}, accept, broadcast)
	sent := sendAll(e.producer(), topic, 30)
	check(first.expect(sent))
	return second.expect(sent)
}

// Messages with the same sharding key go into one queue and come out in order.
func pushOrderly(e *env) error {
	topic := e.topic(4)
	p := e.producer(producer.WithQueueSelector(producer.NewHashQueueSelector()))
	sent := sendAll(p, topic, 60, func(i int, m *primitive.Message) { m.WithShardingKey(fmt.Sprint("order", i%7)) })
	c := e.push(e.unique("group"), topic, consumer.MessageSelector{}, accept, consumer.WithConsumerOrder(true))
	check(c.expect(sent))
	return inOrder(c)
}

func inOrder(c *pushed) error {
	next := map[int]int64{}
	for _, m := range c.messages {
		q := m.Queue.QueueId
		if m.QueueOffset != next[q] {
			return fmt.Errorf("queue %d gave offset %d instead of %d", q, m.QueueOffset, next[q])
		}
		next[q]++
	}
	return nil
}

// One that is not accepted comes again at its place, before its successors.
func pushOrderlySuspends(e *env) error {
	topic := e.topic(1)
	sendAll(e.producer(), topic, 6)
	refused := 0
	c := e.push(e.unique("group"), topic, consumer.MessageSelector{}, func(_ context.Context, m *primitive.MessageExt) consumer.ConsumeResult {
		if string(m.Body) == "m002" && refused < 2 {
			refused++
			return consumer.SuspendCurrentQueueAMoment
		}
		return consumer.ConsumeSuccess
	}, consumer.WithConsumerOrder(true), consumer.WithSuspendCurrentQueueTimeMillis(200*time.Millisecond), consumer.WithConsumeMessageBatchMaxSize(1))
	check(await("eight deliveries", 40*time.Second, func() bool { return len(c.bodies()) >= 8 }))
	return equal(fmt.Sprint(c.bodies()), "[m000 m001 m002 m002 m002 m003 m004 m005]")
}

func tags(e *env) error {
	topic := e.topic(4)
	var wanted []string
	sendAll(e.producer(), topic, 40, func(i int, m *primitive.Message) {
		m.WithTag([]string{"red", "green", "blue", "rot"}[i%4])
		if i%4 == 0 || i%4 == 2 {
			wanted = append(wanted, string(m.Body))
		}
	})
	return e.push(e.unique("group"), topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "red || blue"}, accept).expect(wanted)
}

func sql92(e *env) error {
	topic := e.topic(4)
	var wanted []string
	sendAll(e.producer(), topic, 40, func(i int, m *primitive.Message) {
		m.WithTag([]string{"red", "green"}[i%2])
		if i%5 != 0 {
			m.WithProperty("price", strconv.Itoa(i))
		}
		if i%2 == 0 && i%5 != 0 && i > 10 && i <= 30 {
			wanted = append(wanted, string(m.Body))
		}
	})
	selector := consumer.MessageSelector{Type: consumer.SQL92,
		Expression: "TAGS = 'red' AND price IS NOT NULL AND (price BETWEEN 11 AND 20 OR price > 20 AND price <= 30)"}
	return e.push(e.unique("group"), topic, selector, accept).expect(wanted)
}

func (e *env) puller(group, topic, tag string) rocketmq.PullConsumer {
	c, err := rocketmq.NewPullConsumer(e.consumerOptions(group, nil)...)
	check(err)
	check(c.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: tag}))
	check(c.Start())
	e.closing = append(e.closing, func() { c.Shutdown() })
	return c
}

// Any offset of any queue, as often as one likes; beyond the end there is nothing, outside the client is told where to go.
func pullFrom(e *env) error {
	topic := e.topic(1)
	sendAll(e.producer(), topic, 50)
	c := e.puller(e.unique("group"), topic, "*")
	queue := func() *primitive.MessageQueue { return &primitive.MessageQueue{Topic: topic, BrokerName: "go"} }
	for _, offset := range []int64{0, 17, 40, 0} {
		r, err := c.PullFrom(ctx, queue(), offset, 10)
		check(err)
		check(equal(r.Status, primitive.PullFound))
		check(equal(string(r.GetMessageExts()[0].Body), fmt.Sprintf("m%03d", offset)))
		check(equal(r.NextBeginOffset, offset+10))
		check(equal(r.MaxOffset, 50))
	}
	r, err := c.PullFrom(ctx, queue(), 999, 10)
	check(err)
	check(equal(r.Status, primitive.PullOffsetIllegal))
	return equal(r.NextBeginOffset, 50)
}

// Offsets that the program commits are where a later member begins.
func pullAndCommit(e *env) error {
	topic, group := e.topic(1), e.unique("group")
	sendAll(e.producer(), topic, 20)
	first := e.puller(group, topic, "*")
	// The client drops what it knows of a queue's offset when it is first given the queue, and saves only queues that it was given,
	// both beside Start: what it polls by itself shows that this is over.
	check(await("the queue", 40*time.Second, func() bool {
		_, err := first.Poll(ctx, time.Second)
		return err == nil
	}))
	r, err := first.Pull(ctx, 8)
	check(err)
	check(equal(r.NextBeginOffset, 8))
	check(first.UpdateOffset(r.GetMessageExts()[0].Queue, r.NextBeginOffset))
	check(first.PersistOffset(ctx, topic))
	first.Shutdown()
	second := e.puller(group, topic, "*")
	r, err = second.Pull(ctx, 8)
	check(err)
	return equal(string(r.GetMessageExts()[0].Body), "m008")
}

func pollAndAck(e *env) error {
	topic := e.topic(4)
	sent := sendAll(e.producer(), topic, 40)
	c := e.puller(e.unique("group"), topic, "*")
	var got []string
	check(await("all messages", 40*time.Second, func() bool {
		r, err := c.Poll(ctx, time.Second)
		if err != nil {
			if !consumer.IsNoNewMsgError(err) {
				check(err)
			}
			return false
		}
		for _, m := range r.GetMsgList() {
			got = append(got, string(m.Body))
		}
		c.ACK(ctx, r, consumer.ConsumeSuccess)
		return len(got) >= len(sent)
	}))
	return same(got, sent)
}

// A message that is refused comes again after the level that the consumer asks for, counted, with its properties.
func retry(e *env) error {
	topic := e.topic(1)
	sendAll(e.producer(), topic, 3, func(i int, m *primitive.Message) { m.WithKeys([]string{fmt.Sprint("key", i)}) })
	c := e.push(e.retrying(), topic, consumer.MessageSelector{}, func(ctx context.Context, m *primitive.MessageExt) consumer.ConsumeResult {
		if string(m.Body) == "m001" && m.ReconsumeTimes < 2 {
			concurrently, _ := primitive.GetConcurrentlyCtx(ctx)
			concurrently.DelayLevelWhenNextConsume = 1
			return consumer.ConsumeRetryLater
		}
		return consumer.ConsumeSuccess
	})
	check(c.expect([]string{"m000", "m001", "m002", "m001", "m001"}))
	var times []int32
	for i, m := range c.messages {
		if string(m.Body) != "m001" {
			continue
		}
		check(equal(m.GetKeys(), "key1"))
		if n := len(times); n > 0 && c.times[i].UnixMilli()-m.StoreTimestamp < 0 {
			return errors.New("delivered before it was stored")
		}
		times = append(times, m.ReconsumeTimes)
	}
	return equal(fmt.Sprint(times), "[0 1 2]")
}

// After as many retries as the consumer allows it is in the group's dead-letter topic.
func deadLetter(e *env) error {
	topic, group := e.topic(1), e.retrying()
	sendAll(e.producer(), topic, 1)
	c := e.push(group, topic, consumer.MessageSelector{}, func(ctx context.Context, m *primitive.MessageExt) consumer.ConsumeResult {
		concurrently, _ := primitive.GetConcurrentlyCtx(ctx)
		concurrently.DelayLevelWhenNextConsume = 1
		return consumer.ConsumeRetryLater
	}, consumer.WithMaxReconsumeTimes(1))
	dead := "%DLQ%" + group
	check(await("a route of "+dead, 40*time.Second, func() bool {
		_, err := queuesOf(e.servers.namesrv, dead)
		return err == nil
	}))
	check(equal(fmt.Sprint(c.bodies()), "[m000 m000]"))
	r, err := e.puller(e.unique("undertaker"), dead, "*").PullFrom(ctx, &primitive.MessageQueue{Topic: dead, BrokerName: "go"}, 0, 10)
	check(err)
	check(equal(len(r.GetMessageExts()), 1))
	return equal(string(r.GetMessageExts()[0].Body), "m000")
}
