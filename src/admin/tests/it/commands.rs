//! What the commands print, and what they change.

use oxmq_client::broker::Brokers;
use oxmq_protocol::body::heartbeat::{
    ConsumeFromWhere, ConsumeType, ConsumerData, HeartbeatData, MessageModel, ProducerData, SubscriptionData,
};
use oxmq_protocol::body::queue::MessageQueue;
use oxmq_protocol::code::RequestCode;
use oxmq_protocol::ext::ExtWriter;

use crate::setup::{Cluster, run};

#[tokio::test]
async fn topics_are_made_shown_and_deleted() {
    let cluster = Cluster::start().await;
    let made = "TopicConfig [topicName=T, readQueueNums=2, writeQueueNums=3, perm=RW-, topicFilterType=SINGLE_TAG, \
                topicSysFlag=0, order=false, attributes={}]\n";
    assert_eq!(
        cluster.ok("updateTopic -t T -c C1 -r 2 -w 3").await,
        format!("create topic to ADDR success.\n{made}")
    );
    cluster.wait_for_topic("T").await;
    let route = cluster.ok("topicRoute -tT").await;
    assert!(route.contains("\t\t\t\"brokerAddrs\":{\n\t\t\t\t0:\"ADDR\"\n\t\t\t},\n"), "{route}");
    assert!(route.contains("\t\t\t\"writeQueueNums\":3\n"), "{route}");
    let list = cluster.ok("topicRoute --topic=T -list").await;
    let lines: Vec<Vec<&str>> = list.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["C1", "b-a", "{0=ADDR}", "2", "3", "6"]);
    assert_eq!(lines[3], ["Total:", "1", "2", "3"]);
    let status = cluster.ok("topicStatus -t T").await;
    // Apache asks for as many queues as can be sent to.
    let queues: Vec<_> = status.lines().filter(|l| l.starts_with("b-a ")).collect();
    assert_eq!(queues.len(), 3, "{status}");
    assert!(status.ends_with("\nTopic Put TPS: 0.0\n"), "{status}");
    assert!(cluster.ok("topicList").await.lines().any(|l| l == "T"));
    let by_cluster = cluster.ok("topicList -c").await;
    let row = by_cluster.lines().find(|l| l.split_whitespace().nth(1) == Some("T")).unwrap();
    assert_eq!(row, format!("{:<20}  {:<64}  {:<64}", "C1", "T", ""));

    let ordered = cluster.ok(&format!("updateTopic -t O -b {} -o true", cluster.addr)).await;
    assert!(
        ordered.starts_with("set broker orderConf. isOrder=true, orderConf=[b-a:8]\ncreate topic to ADDR")
    );
    assert_eq!(
        cluster.ok("deleteTopic -t T -c C1").await,
        "delete topic [T] from cluster [C1] success.\ndelete topic [T] from NameServer success.\n"
    );
    assert!(!cluster.ok("topicList").await.lines().any(|l| l == "T"));
    cluster.stop().await;
}

#[tokio::test]
async fn groups_and_clients_are_shown() {
    let cluster = Cluster::start().await;
    cluster.ok("updateTopic -t T -c C1 -r 2 -w 2").await;
    cluster.wait_for_topic("T").await;
    let made = cluster.ok("updateSubGroup -g G -c C1 -r 3").await;
    assert!(
        made.starts_with("create subscription group to ADDR success.\nSubscriptionGroupConfig{groupName=G, ")
    );
    assert!(made.ends_with("attributes={}}"), "{made}");

    let subscription = SubscriptionData {
        topic: "T".into(),
        sub_string: Some("*".into()),
        expression_type: Some("TAG".into()),
        ..SubscriptionData::default()
    };
    let heartbeat = HeartbeatData {
        client_id: "10.0.0.9@1".into(),
        producer_data_set: vec![ProducerData { group_name: "P".into() }],
        consumer_data_set: vec![ConsumerData {
            group_name: "G".into(),
            consume_type: Some(ConsumeType::Passively),
            message_model: Some(MessageModel::Clustering),
            consume_from_where: Some(ConsumeFromWhere::LastOffset),
            subscription_data_set: vec![subscription],
            ..ConsumerData::default()
        }],
        ..HeartbeatData::default()
    };
    let brokers = Brokers::new(cluster.remote.clone());
    brokers.heartbeat(&cluster.addr, &heartbeat).await.unwrap();
    brokers.commit_offset(&cluster.addr, "G", &MessageQueue::new("T", "b-a", 1), 0).await.unwrap();
    cluster.wait_for_topic("%RETRY%G").await;

    let consumers = cluster.ok("consumerConnection -g G").await;
    let lines: Vec<&str> = consumers.lines().collect();
    assert!(lines[1].starts_with("10.0.0.9@1 ") && lines[1].ends_with(" JAVA       V5_5_0"), "{consumers}");
    assert!(lines.contains(&format!("{:<20} *", "T").as_str()), "{consumers}");
    let end = "\nConsumeType: CONSUME_PASSIVELY\nMessageModel: CLUSTERING\nConsumeFromWhere: CONSUME_FROM_LAST_OFFSET\n";
    assert!(consumers.ends_with(end), "{consumers}");
    let producers = cluster.ok("producerConnection -g P -t T").await;
    assert!(
        producers.starts_with("0001  10.0.0.9@1 ") && producers.ends_with(" JAVA     V5_5_0\n"),
        "{producers}"
    );

    let progress = cluster.ok("consumerProgress -g G -t T").await;
    let rows: Vec<Vec<&str>> = progress.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(rows[2], ["T", "b-a", "1", "0", "0", "0", "0", "N/A"], "{progress}");
    let end = "\nConsume TPS: 0.00\nConsume Diff Total: 0\nConsume Inflight Total: 0\n";
    assert!(progress.ends_with(end), "{progress}");
    let by_client = cluster.ok("consumerProgress -g G -t T -s true").await;
    assert!(by_client.lines().next().is_some_and(|l| l.contains("#Client IP")), "{by_client}");
    let all = cluster.ok("consumerProgress").await;
    let row = all.lines().find(|l| l.starts_with("G ")).unwrap();
    assert_eq!(
        row.split_whitespace().collect::<Vec<_>>(),
        ["G", "1", "V5_5_0", "PUSH", "CLUSTERING", "0", "0"]
    );
    cluster.stop().await;
}

#[tokio::test]
async fn clusters_and_brokers_are_shown() {
    let cluster = Cluster::start().await;
    let list = cluster.ok("clusterList").await;
    let row: Vec<&str> = list.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..5], ["C1", "b-a", "0", "ADDR", "V5_5_0"], "{list}");
    assert_eq!(row.last(), Some(&"true"), "{list}");
    assert!(!list.contains("null"), "{list}");
    let more = cluster.ok("clusterList -m -c C1").await;
    assert_eq!(
        more.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>(),
        ["C1", "b-a", "0", "0", "0", "0"]
    );
    let status = cluster.ok("brokerStatus -c C1").await;
    assert!(status.lines().any(|l| {
        let cells: Vec<&str> = l.split_whitespace().collect();
        cells.first() == Some(&"ADDR")
            && cells.get(1) == Some(&"brokerVersionDesc")
            && cells.last() == Some(&"V5_5_0")
    }));
    let status = cluster.ok(&format!("brokerStatus -b {}", cluster.addr)).await;
    assert!(status.contains(&format!("{:<32}: true\n", "brokerActive")), "{status}");
    for command in ["deleteExpiredCommitLog", "cleanExpiredCQ", "cleanUnusedTopic"] {
        for whom in [format!(" -b {}", cluster.addr), " -c C1".into(), String::new()] {
            assert_eq!(cluster.ok(&format!("{command}{whom}")).await, "success", "{command}{whom}");
        }
    }
    cluster.stop().await;
}

/// One line, what to do, exit code 1.
#[tokio::test]
async fn what_fails_says_why() {
    let cluster = Cluster::start().await;
    for (line, expected) in [
        ("topicRoute -t Nope", "topic Nope has no route; mqadmin topicList shows the topics"),
        ("updateTopic -t T -c Nope", "there is no cluster Nope"),
        ("updateTopic -t T -c C1 -r many", "-r many is not a number"),
        ("updateTopic -t T -c C1 -a name", "delete attribute format is wrong: name"),
        ("updateTopic -t a!b -c C1", "contains illegal characters"),
        ("consumerProgress -g Nope", "no broker knows the consumer group Nope"),
        ("producerConnection -g Nope -t TBW102", "the producer group[Nope] not exist"),
        ("brokerStatus -b 127.0.0.1:1", "is that server running"),
        ("cleanExpiredCQ -c Nope", "there is no cluster Nope"),
        ("topicList -n 127.0.0.1:1", "connect to 127.0.0.1:1"),
    ] {
        let error = cluster.fails(line).await;
        assert!(error.contains(expected), "{line}: {error}");
    }
    let nowhere = run("", "topicList").await;
    assert!(nowhere.err.contains("give -n host:port or set NAMESRV_ADDR"), "{}", nowhere.err);
    cluster.stop().await;
}

/// Resets by the broker and, where it would tell clients that there are none of, by the command; as Apache's tool prints them.
#[tokio::test]
async fn groups_are_reset_and_copied() {
    let cluster = Cluster::start().await;
    cluster.ok("updateTopic -t T -c C1 -r 2 -w 2").await;
    cluster.wait_for_topic("T").await;
    for group in ["G", "H"] {
        cluster.ok(&format!("updateSubGroup -g {group} -c C1")).await;
    }
    let brokers = Brokers::new(cluster.remote.clone());
    for _ in 0..5 {
        let ext = |ext: &mut ExtWriter<'_>| {
            ["a", "b"].iter().for_each(|name| ext.str(name, "T"));
            ["e", "g"].iter().for_each(|name| ext.int(name, 1));
        };
        cluster.remote.get(&cluster.addr, RequestCode::SEND_MESSAGE_V2, ext, b"m").await.unwrap();
    }
    let queues = [0, 1].map(|id| MessageQueue::new("T", "b-a", id));
    let offsets = async |group: &str| {
        let mut offsets = Vec::new();
        for queue in &queues {
            offsets.push(brokers.committed_offset(&cluster.addr, group, queue).await.unwrap());
        }
        offsets
    };
    let row = |id: i32, offset: i64| format!("{:<40}  {id:<40}  {offset:<40}\n", "b-a");
    let table = |rows: &str| format!("{:<40}  {:<40}  {:<40}\n{rows}", "#brokerName", "#queueId", "#offset");
    let skipped = cluster.ok("skipAccumulatedMessage -g G -t T").await;
    assert_eq!(skipped, table(&(row(0, 0) + &row(1, 5))));
    assert_eq!(offsets("G").await, [Some(0), Some(5)]);
    let reset = cluster.ok("resetOffsetByTime -g G -t T -s 1000").await;
    let begin = "start reset consumer offset by specified, group[G], topic[T], force[true], timestamp(string)[1000], \
                 timestamp(long)[1000]\n";
    assert_eq!(reset, begin.to_owned() + &table(&(row(0, 0) + &row(1, 0))));
    assert_eq!(offsets("G").await, [Some(0), Some(0)]);

    let one = format!("resetOffsetByTime -g G -t T -s now -b {} -q 1", cluster.addr);
    assert!(cluster.ok(&one).await.ends_with("]\nreset consumer offset to 5\n"));
    for to in [3, 0, 3] {
        let line = format!("{one} -o {to}");
        assert!(cluster.ok(&line).await.ends_with(&format!("]\nreset consumer offset to {to}\n")), "{line}");
        assert_eq!(offsets("G").await, [Some(0), Some(to)]);
    }
    // As a group's first consumer makes it.
    cluster.ok("updateTopic -t %RETRY%G -c C1 -r 1 -w 1").await;
    cluster.wait_for_topic("%RETRY%G").await;
    let cloned = cluster.ok("cloneGroupOffset -s G -d H -t T -o true").await;
    assert_eq!(cloned, "clone group offset success. srcGroup[G], destGroup=[H], topic[T]");
    assert_eq!(offsets("H").await, [Some(0), Some(3)]);

    brokers.update_config(&cluster.addr, "useServerSideResetOffset=false").await.unwrap();
    let by_itself = cluster.ok("resetOffsetByTime -g H -t T -s -1 -f false").await;
    let rows: Vec<Vec<&str>> = by_itself.lines().skip(1).map(|l| l.split_whitespace().collect()).collect();
    let head =
        ["#brokerName", "#queueId", "#brokerOffset", "#consumerOffset", "#timestampOffset", "#resetOffset"];
    // Forward is not where `-f false` leads.
    assert_eq!(rows, [&head[..], &["b-a", "0", "0", "0", "0", "0"], &["b-a", "1", "5", "3", "5", "3"]]);
    let by_itself = cluster.ok("skipAccumulatedMessage -g H -t T").await;
    assert!(
        by_itself.lines().next().is_some_and(|l| l.trim_end().ends_with("#rollbackOffset")),
        "{by_itself}"
    );
    assert_eq!(offsets("H").await, [Some(0), Some(5)]);

    for (line, expected) in [
        ("resetOffsetByTime -g G -t T -s soon", "-s soon is neither now"),
        ("resetOffsetByTime -g G -t Nope -s now", "topic Nope has no route"),
        ("skipAccumulatedMessage -g Nope -t T", "THe consumer group <Nope> not exist"),
        ("cloneGroupOffset -s G -d Nope -t T", "Group Nope not exist!; mqadmin updateSubGroup makes it"),
        ("cloneGroupOffset -s Nope -d H -t T", "no broker knows the consumer group Nope"),
    ] {
        let error = cluster.fails(line).await;
        assert!(error.contains(expected), "{line}: {error}");
    }
    cluster.stop().await;
}
