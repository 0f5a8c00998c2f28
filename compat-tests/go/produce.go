package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// Results say queue and offset, dense in each queue; a consumer sees body, tag, keys, properties and ids as sent.
func sendSync(e *env) error {
	topic := e.topic(4)
	p := e.producer()
	next := map[int]int64{}
	ids := map[string]string{}
	for i := 0; i < 40; i++ {
		m := primitive.NewMessage(topic, []byte(fmt.Sprint("body ", i))).WithTag("red").WithKeys([]string{fmt.Sprint("k", i), "all"})
		m.WithProperty("number", fmt.Sprint(i))
		r := stored(p.SendSync(ctx, m))
		check(equal(r.QueueOffset, next[r.MessageQueue.QueueId]))
		next[r.MessageQueue.QueueId]++
		ids[string(m.Body)] = r.MsgID
	}
	check(equal(len(next), 4))
	c := e.push(e.unique("group"), topic, consumer.MessageSelector{}, accept)
	check(await("all messages", 30*time.Second, func() bool { return len(c.bodies()) == 40 }))
	for _, m := range c.messages {
		check(equal(m.MsgId, ids[string(m.Body)]))
		check(equal(m.GetTags(), "red"))
		check(equal(m.GetKeys(), "k"+m.GetProperty("number")+" all"))
		check(equal(m.Topic, topic))
	}
	return nil
}

func sendAsync(e *env) error {
	topic := e.topic(4)
	p := e.producer()
	var all sync.WaitGroup
	var bodies []string
	failures := make(chan error, 100)
	for i := 0; i < 100; i++ {
		body := fmt.Sprintf("m%03d", i)
		bodies = append(bodies, body)
		all.Add(1)
		check(p.SendAsync(ctx, func(_ context.Context, r *primitive.SendResult, err error) {
			defer all.Done()
			if err == nil {
				err = equal(r.Status, primitive.SendOK)
			}
			if err != nil {
				failures <- err
			}
		}, primitive.NewMessage(topic, []byte(body))))
	}
	all.Wait()
	select {
	case err := <-failures:
		return err
	default:
	}
	return e.push(e.unique("group"), topic, consumer.MessageSelector{}, accept).expect(bodies)
}

func sendOneway(e *env) error {
	topic := e.topic(4)
	p := e.producer()
	var bodies []string
	for i := 0; i < 50; i++ {
		body := fmt.Sprintf("m%03d", i)
		bodies = append(bodies, body)
		check(p.SendOneWay(ctx, primitive.NewMessage(topic, []byte(body))))
	}
	return e.push(e.unique("group"), topic, consumer.MessageSelector{}, accept).expect(bodies)
}

// A batch is one request and one queue, with consecutive offsets.
func sendBatch(e *env) error {
	topic := e.topic(4)
	p := e.producer()
	var batch []*primitive.Message
	var bodies []string
	for i := 0; i < 32; i++ {
		body := fmt.Sprintf("m%03d", i)
		bodies = append(bodies, body)
		batch = append(batch, primitive.NewMessage(topic, []byte(body)).WithTag("b"))
	}
	r := stored(p.SendSync(ctx, batch...))
	check(equal(strings.Count(r.OffsetMsgID, ","), 31))
	c := e.push(e.unique("group"), topic, consumer.MessageSelector{}, accept, consumer.WithConsumeGoroutineNums(1))
	check(c.expect(bodies))
	for _, m := range c.messages {
		check(equal(m.Queue.QueueId, r.MessageQueue.QueueId))
		check(equal(m.QueueOffset, int64(bytes.Index([]byte(strings.Join(bodies, "")), m.Body)/4)))
	}
	return nil
}

// The client compresses what is above 4 KiB, and the receiving client undoes it.
func sendCompressed(e *env) error {
	topic := e.topic(1)
	body := strings.Repeat("all work and no play ", 20_000)
	stored(e.producer().SendSync(ctx, primitive.NewMessage(topic, []byte(body))))
	c := e.push(e.unique("group"), topic, consumer.MessageSelector{}, accept)
	check(c.expect([]string{body}))
	if size := c.messages[0].StoreSize; int(size) > len(body)/10 {
		return fmt.Errorf("stored as %d bytes", size)
	}
	return nil
}

func sendToQueue(e *env) error {
	topic := e.topic(8)
	p := e.producer(producer.WithQueueSelector(producer.NewManualQueueSelector()))
	for i := 0; i < 8; i++ {
		m := primitive.NewMessage(topic, []byte("x"))
		m.Queue = &primitive.MessageQueue{Topic: topic, BrokerName: "go", QueueId: i}
		r := stored(p.SendSync(ctx, m))
		check(equal(r.MessageQueue.QueueId, i))
		check(equal(r.QueueOffset, 0))
	}
	return nil
}

// Made, listed, deleted, with the client's own admin.
func adminTopics(e *env) error {
	topic := e.topic(3)
	a := e.admin()
	queues, err := a.FetchPublishMessageQueues(ctx, topic)
	check(err)
	check(equal(len(queues), 3))
	listed := func() bool {
		list, err := a.FetchAllTopicList(ctx)
		check(err)
		for _, t := range list.TopicList {
			if t == topic {
				return true
			}
		}
		return false
	}
	check(await(topic+" in the list", 10*time.Second, listed))
	check(a.DeleteTopic(ctx, admin.WithTopicDelete(topic), admin.WithBrokerAddrDelete(e.servers.broker),
		admin.WithNameSrvAddr([]string{e.servers.namesrv})))
	return await("end of "+topic, 10*time.Second, func() bool { return !listed() })
}

// The first send to a topic that nobody made makes it, as autoCreateTopicEnable says; a name that cannot be is refused.
func unknownTopic(e *env) error {
	topic := e.unique("made-by-sending")
	p := e.producer()
	stored(p.SendSync(ctx, primitive.NewMessage(topic, []byte("first"))))
	if _, err := p.SendSync(ctx, primitive.NewMessage("no such name!", []byte("x"))); err == nil {
		return errors.New("a topic named with blanks was taken")
	}
	check(await("a route of "+topic, 15*time.Second, func() bool {
		_, err := queuesOf(e.servers.namesrv, topic)
		return err == nil
	}))
	return e.push(e.unique("group"), topic, consumer.MessageSelector{}, accept).expect([]string{"first"})
}
