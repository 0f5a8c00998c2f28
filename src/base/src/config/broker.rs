//! Settings of the broker proper.

use crate::config;
use crate::net;

config! {
    /// Settings of the broker proper (Apache's BrokerConfig).
    pub struct BrokerConfig {
        /// Logical name of this broker: routes, offsets and queues are known by it. A master and its slaves share it.
        broker_name: String = net::host_name(), key "brokerName", boot important;
        /// Name of the cluster that this broker belongs to.
        broker_cluster_name: String = "DefaultCluster".into(), key "brokerClusterName", boot important;
        /// 0 is the master of its name. A broker whose brokerRole is a master always takes 0, whatever is written here.
        broker_id: i64 = 0, key "brokerId", boot important;
        /// The file that this configuration came from; settings changed at run time are written to it.
        broker_config_path: Option<String> = None, key "brokerConfigPath", boot;
        /// Kept for tools that read it; OxMQ needs no home directory. ROCKETMQ_HOME sets it.
        rocketmq_home: Option<String> = None, key "rocketmqHome", boot;
        /// Nameservers as host:port;host:port. The broker registers with every one of them. NAMESRV_ADDR gives the
        /// default, -n has the last word.
        namesrv_addr: Option<String> = None, key "namesrvAddr", reload important;
        /// Address that clients are told to connect to. Without it the first address of this machine that is not
        /// private, else the last private one.
        broker_ip1: String = net::local_address(), key "brokerIP1", boot important;
        /// Address that slaves are told to connect to.
        broker_ip2: String = net::local_address(), key "brokerIP2", boot;
        /// What this broker may be used for: 2 write, 4 read, 6 both. Nameservers hand it out with every route.
        broker_permission: i32 = 6, key "brokerPermission", reload, in 0..=7;
        /// How many queues TBW102, and so a topic created by a first send, has at most.
        default_topic_queue_nums: i32 = 8, key "defaultTopicQueueNums", reload, in 1..=65536;
        /// A send to an unknown topic creates it.
        auto_create_topic_enable: bool = true, key "autoCreateTopicEnable", reload important;
        /// Keep a topic with the name of the cluster, so that tools can reach any broker of it.
        cluster_topic_enable: bool = true, key "clusterTopicEnable", boot;
        /// Keep a topic with the name of the broker, so that tools can reach this broker.
        broker_topic_enable: bool = true, key "brokerTopicEnable", boot;
        /// The first heartbeat or pull of an unknown consumer group creates it.
        auto_create_subscription_group: bool = true, key "autoCreateSubscriptionGroup", reload important;
        /// Topic that clients send their traces to.
        msg_trace_topic_name: String = "RMQ_SYS_TRACE_TOPIC".into(), key "msgTraceTopicName", boot important;
        /// Create that topic at start.
        trace_topic_enable: bool = false, key "traceTopicEnable", boot important;
        /// How often consumer offsets are written to config/consumerOffset.json at most, in ms; a broker that stops
        /// writes them in any case.
        flush_consumer_offset_interval: i32 = 5000, key "flushConsumerOffsetInterval", boot, in 1..=2147483647, moot "consumer offsets are written within a second of a change";
        /// Refuse transactional messages with NO_PERMISSION.
        reject_transaction_message: bool = false, key "rejectTransactionMessage", reload important;
        /// Resolve the host name in namesrvAddr to all of its addresses and register with each.
        fetch_name_srv_addr_by_dns_lookup: bool = false, key "fetchNameSrvAddrByDnsLookup", boot important;
        /// Ask an address server for the nameservers: http://rmqAddressServerDomain:8080/rocketmq/rmqAddressServerSubGroup.
        fetch_namesrv_addr_by_address_server: bool = false, key "fetchNamesrvAddrByAddressServer", boot important;
        /// Host of the address server.
        rmq_address_server_domain: String = "jmenv.tbsite.net".into(), key "rmqAddressServerDomain", boot;
        /// Last part of the address server's path.
        rmq_address_server_sub_group: String = "nsaddr".into(), key "rmqAddressServerSubGroup", boot;
        /// How often the address server or DNS is asked again, in ms.
        fetch_namesrv_addr_interval: i64 = 10_000, key "fetchNamesrvAddrInterval", boot, in 100..=2147483647;
        /// How often host names in namesrvAddr are resolved again, in ms.
        update_name_server_addr_period: i32 = 120_000, key "updateNameServerAddrPeriod", boot, in 100..=2147483647, moot "host names are resolved at each connection";
        /// How often the broker registers again when nothing changed, in ms; kept between 10,000 and 60,000.
        register_name_server_period: i32 = 30_000, key "registerNameServerPeriod", boot;
        /// How long one registration may take, in ms.
        register_broker_timeout_mills: i32 = 24_000, key "registerBrokerTimeoutMills", reload, in 1..=2147483647;
        /// Compress the topic table in registrations.
        compressed_register: bool = false, key "compressedRegister", reload, later "compressed registrations";
        /// Register every time, also when the nameserver already knows this version of the topic table.
        force_register: bool = true, key "forceRegister", reload, moot "every registration is sent";
        /// After a change of one topic send that topic alone to nameservers that know this broker.
        enable_single_topic_register: bool = false, key "enableSingleTopicRegister", reload, later "registrations of a single topic";
        /// Send a large topic table in parts of splitRegistrationSize topics.
        enable_split_registration: bool = false, key "enableSplitRegistration", reload, later "registrations in parts";
        /// Topics in one part of a split registration.
        split_registration_size: i32 = 800, key "splitRegistrationSize", reload, in 1..=2147483647, later "registrations in parts";
        /// Talk to nameservers as brokers of 4.x did (no topic table in the answer).
        compatible_with_old_name_srv: bool = true, key "compatibleWithOldNameSrv", reload, moot "every nameserver since 4.0 is understood";
        /// Reported by brokerStatus; OxMQ bounds waiting requests by bytes, not by number.
        send_thread_pool_queue_capacity: i32 = 10_000, key "sendThreadPoolQueueCapacity", boot;
        /// Reported by brokerStatus only.
        pull_thread_pool_queue_capacity: i32 = 100_000, key "pullThreadPoolQueueCapacity", boot;
        /// Reported by brokerStatus only.
        lite_pull_thread_pool_queue_capacity: i32 = 100_000, key "litePullThreadPoolQueueCapacity", boot;
        /// Reported by brokerStatus only.
        ack_thread_pool_queue_capacity: i32 = 100_000, key "ackThreadPoolQueueCapacity", boot;
        /// Reported by brokerStatus only.
        query_thread_pool_queue_capacity: i32 = 20_000, key "queryThreadPoolQueueCapacity", boot;
        /// Reported by brokerStatus only.
        end_transaction_pool_queue_capacity: i32 = 100_000, key "endTransactionPoolQueueCapacity", boot;
        /// Hold a pull that finds no message until one arrives; otherwise for shortPollingTimeMills.
        long_polling_enable: bool = true, key "longPollingEnable", reload;
        /// How long a pull is held when longPollingEnable is false, in ms.
        short_polling_time_mills: i64 = 1000, key "shortPollingTimeMills", reload, in 0..=2147483647;
        /// Tell the members of a group at once when one joins or leaves, so that they rebalance.
        notify_consumer_ids_changed_enable: bool = true, key "notifyConsumerIdsChangedEnable", reload;
        /// Send that notice from the connection that saw the change, not collected.
        real_time_notify_consumer_change: bool = true, key "realTimeNotifyConsumerChange", reload, moot "members are told at once";
        /// Sent back with every stored message as MSG_REGION.
        region_id: String = "DefaultRegion".into(), key "regionId", boot;
        /// Sent back with every stored message as TRACE_ON.
        trace_on: bool = true, key "traceOn", reload;
        /// Suspend a group whose consumers are more than consumerFallbehindThreshold bytes behind.
        disable_consume_if_consumer_read_slowly: bool = false, key "disableConsumeIfConsumerReadSlowly", reload, later "suspension of slow groups";
        /// That many bytes.
        consumer_fallbehind_threshold: i64 = 17_179_869_184, key "consumerFallbehindThreshold", reload, later "suspension of slow groups";
        /// Answer SYSTEM_BUSY to a request that waited longer than the waitTimeMillsIn… of its kind.
        broker_fast_failure_enable: bool = true, key "brokerFastFailureEnable", reload;
        /// Longest wait of a send before it is answered SYSTEM_BUSY, in ms.
        wait_time_mills_in_send_queue: i64 = 200, key "waitTimeMillsInSendQueue", reload, in 0..=2147483647;
        /// Longest wait of a pull, in ms.
        wait_time_mills_in_pull_queue: i64 = 5000, key "waitTimeMillsInPullQueue", reload, in 0..=2147483647;
        /// Longest wait of a lite pull, in ms.
        wait_time_mills_in_lite_pull_queue: i64 = 5000, key "waitTimeMillsInLitePullQueue", reload, in 0..=2147483647;
        /// Longest wait of a heartbeat, in ms.
        wait_time_mills_in_heartbeat_queue: i64 = 31_000, key "waitTimeMillsInHeartbeatQueue", reload, in 0..=2147483647, moot "requests wait in no queue: overload is judged by bytes in flight";
        /// Longest wait of the end of a transaction, in ms.
        wait_time_mills_in_transaction_queue: i64 = 3000, key "waitTimeMillsInTransactionQueue", reload, in 0..=2147483647;
        /// Longest wait of an acknowledgement, in ms.
        wait_time_mills_in_ack_queue: i64 = 3000, key "waitTimeMillsInAckQueue", reload, in 0..=2147483647, moot "requests wait in no queue: overload is judged by bytes in flight";
        /// Longest wait of an administrator's request, in ms.
        wait_time_mills_in_admin_broker_queue: i64 = 5000, key "waitTimeMillsInAdminBrokerQueue", reload, in 0..=2147483647;
        /// Refuse sends until this time (ms since 1970).
        start_accept_send_request_time_stamp: i64 = 0, key "startAcceptSendRequestTimeStamp", reload;
        /// Open a store folder in which Apache's broker has left timers or POP checkpoints, and leave them
        /// untouched. Also `--accept-pending`.
        accept_pending: bool = false, key "acceptPending", boot;
        /// Let producers recall messages that wait for their delivery time.
        recall_message_enable: bool = false, key "recallMessageEnable", reload;
        /// Also while the broker takes no messages (brokerPermission).
        allow_recall_when_broker_not_writeable: bool = true, key "allowRecallWhenBrokerNotWriteable", reload;
        /// How old a half message must be before its producer is asked for it, in ms.
        transaction_time_out: i64 = 6000, key "transactionTimeOut", reload, in 0..=2147483647;
        /// How often a producer is asked before the half message goes to TRANS_CHECK_MAX_TIME_TOPIC.
        transaction_check_max: i32 = 15, key "transactionCheckMax", reload, in 0..=2147483647;
        /// Between two looks at half messages that nobody has ended, in ms.
        transaction_check_interval: i64 = 30_000, key "transactionCheckInterval", reload, in 1..=2147483647;
        /// Bytes of one record that names ended half messages, and how many wait at most before it is written.
        transaction_op_msg_max_size: i32 = 4096, key "transactionOpMsgMaxSize", reload, in 1..=1048576;
        /// How long the ends of transactions that nobody waits for may be collected into one such record, in ms.
        transaction_op_batch_interval: i32 = 3000, key "transactionOpBatchInterval", reload, in 0..=2147483647;
        /// How often transactionMetrics is written, in ms.
        transaction_metric_flush_interval: i64 = 10_000, key "transactionMetricFlushInterval", reload, in 1..=2147483647;
        /// Refuse lite pull consumers.
        reject_pull_consumer_enable: bool = false, key "rejectPullConsumerEnable", reload;
        /// Serve lite pull consumers.
        lite_pull_message_enable: bool = true, key "litePullMessageEnable", reload;
        /// Let consumers filter by message properties, with SQL92 expressions.
        enable_property_filter: bool = false, key "enablePropertyFilter", reload important;
        /// Filter the retry topic of a group by the expression that the group has for a message's first topic, where the retry
        /// topic is subscribed with an expression.
        filter_support_retry: bool = false, key "filterSupportRetry", reload;
        /// How long the expression of a group without members is remembered, in ms.
        filter_data_clean_time_span: i64 = 86_400_000, key "filterDataCleanTimeSpan", reload, in 0..=9223372036854775807;
        /// Error rate in percent of the bloom filter whose bits consumerFilter.json names; Apache's brokers drop a file of another.
        max_error_rate_of_bloom_filter: i32 = 20, key "maxErrorRateOfBloomFilter", boot, in 1..=99;
        /// Groups that this bloom filter is made for.
        expect_consumer_num_use_filter: i32 = 32, key "expectConsumerNumUseFilter", boot, in 1..=65536;
        /// Also store the replies of request-reply calls, in the cluster's reply topic.
        store_reply_message_enable: bool = true, key "storeReplyMessageEnable", reload;
        /// Reset offsets in the broker rather than through the connected consumers.
        use_server_side_reset_offset: bool = true, key "useServerSideResetOffset", reload;
        /// Offsets committed between two steps of the data version of consumerOffset.json.
        consumer_offset_update_version_step: i64 = 500, key "consumerOffsetUpdateVersionStep", boot, in 1..=2147483647;
        /// Deliveries between two steps of the data version of delayOffset.json.
        delay_offset_update_version_step: i64 = 200, key "delayOffsetUpdateVersionStep", boot, in 1..=2147483647, moot "the version steps with each save";
        /// Refuse to create or change a system topic.
        validate_system_topic_when_update_topic: bool = true, key "validateSystemTopicWhenUpdateTopic", reload;
        /// Allow topics of the type MIXED, which take messages of every kind.
        enable_mixed_message_type: bool = false, key "enableMixedMessageType", reload;
        /// How long a client may stay silent before its connection is forgotten, in ms.
        channel_expired_timeout: i64 = 120_000, key "channelExpiredTimeout", reload, in 1..=2147483647;
        /// How long the subscriptions of a group without members are remembered, in ms.
        subscription_expired_timeout: i64 = 600_000, key "subscriptionExpiredTimeout", reload, in 1..=2147483647, later "forgetting the subscriptions of empty groups";
        /// How long a queue lock of an orderly consumer lives without renewal, in ms.
        rebalance_lock_max_live_time: i64 = 60_000, key "rocketmq.broker.rebalance.lockMaxLiveTime", boot, in 1..=2147483647;
        /// Delete the retry and pop topics of a topic that is deleted.
        clear_retry_topic_when_delete_topic: bool = true, key "clearRetryTopicWhenDeleteTopic", reload;
        /// Remember producers by their heartbeats (producerConnection, transaction check-backs).
        enable_register_producer: bool = true, key "enableRegisterProducer", reload;
        /// Create the system groups at start.
        enable_create_sys_group: bool = true, key "enableCreateSysGroup", boot;
        /// Hand out topic and group tables in parts of splitMetadataSize entries to tools that ask for them so.
        enable_split_metadata: bool = true, key "enableSplitMetadata", reload;
        /// Entries in one such part.
        split_metadata_size: i32 = 2000, key "splitMetadataSize", reload, in 1..=2147483647;
        /// Keys that cannot be set at run time.
        config_black_list: String = "configBlackList;brokerConfigPath".into(), key "configBlackList", boot;
    }

    later "access control" {
        aclEnable: Bool = false,
    }
    later "lite topics" {
        enableLiteEventMode: Bool = true, liteEventCheckInterval: Long = 10000,
        liteTtlCheckInterval: Long = 120000, minLiteTTl: Long = 900000,
        liteSubscriptionCheckInterval: Long = 120000, liteSubscriptionCheckTimeoutMills: Long = 180000,
        maxLiteSubscriptionCount: Long = 100000, enableLitePopLog: Bool = false,
        maxClientEventCount: Int = 100, liteEventFullDispatchDelayTime: Long = 10000,
        liteEventFullDispatchDelayTimeForWildcardGroup: Long = 10000,
        liteLagLatencyCollectEnable: Bool = false, liteLagLatencyMetricsEnable: Bool = false,
        liteLagCountMetricsEnable: Bool = false, liteLagLatencyTopK: Int = 50,
    }
    later "POP consumption" {
        popPollingSize: Int = 1024, popPollingMapSize: Int = 100000,
        popPollingMapExpireTimeSeconds: Int = 600, maxPopPollingSize: Long = 100000,
        reviveQueueNum: Int = 8, reviveInterval: Long = 1000, reviveMaxSlow: Long = 3,
        reviveScanTime: Long = 10000, enableSkipLongAwaitingAck: Bool = false,
        reviveAckWaitMs: Long = 180000, enablePopLog: Bool = false, enablePopBufferMerge: Bool = false,
        popCkStayBufferTime: Int = 10000, popCkStayBufferTimeOut: Int = 3000,
        popCkMaxBufferSize: Int = 200000, popCkOffsetMaxQueueSize: Int = 20000,
        enablePopBatchAck: Bool = false, popLongPollingForceNotifyInterval: Long = 800,
        enableNotifyBeforePopCalculateLag: Bool = true, enableNotifyAfterPopOrderLockRelease: Bool = true,
        initPopOffsetByCheckMsgInMem: Bool = true, retrieveMessageFromPopRetryTopicV1: Bool = true,
        enableRetryTopicV2: Bool = false, popFromRetryProbability: Int = 20,
        popFromRetryProbabilityForPriority: Int = 0, priorityOrderAsc: Bool = true,
        popConsumerFSServiceInit: Bool = true, popConsumerKVServiceLog: Bool = false,
        popConsumerKVServiceInit: Bool = false, popConsumerKVServiceEnable: Bool = false,
        popReviveMaxReturnSizePerRead: Int = 16384, popReviveConcurrency: Int = 32,
        popReviveMaxAttemptTimes: Int = 16, popReviveSkipIfGroupAbsent: Bool = true,
        useSeparateRetryQueue: Bool = false, useMessageFilterForNotification: Bool = true,
        maxMessageFilterNumForNotification: Int = 64, loadBalancePollNameServerInterval: Long = 30000,
        serverLoadBalancerEnable: Bool = true, defaultMessageRequestMode: Text = "PULL",
        defaultPopShareQueueNum: Int = -1, enablePopMetrics: Bool = true,
        popResponseReturnActualRetryTopic: Bool = false, popInflightMessageThreshold: Long = 10000,
        enablePopMessageThreshold: Bool = false, skipWhenCKRePutReachMaxTimes: Bool = false,
        appendAckAsync: Bool = false, appendCkAsync: Bool = false,
    }
    later "transactions in RocksDB" {
        transactionCheckRocksdbCoreThreads: Int = 2, transactionCheckRocksdbMaxThreads: Int = 5,
        transactionCheckRocksdbQueueCapacity: Int = 2000,
    }
    later "automatic failover" {
        lockInStrictMode: Bool = false, enableControllerMode: Bool = false, controllerAddr: Text = "",
        fetchControllerAddrByDnsLookup: Bool = false, syncBrokerMetadataPeriod: Long = 5000,
        checkSyncStateSetPeriod: Long = 5000, syncControllerMetadataPeriod: Long = 10000,
        controllerHeartBeatTimeoutMills: Long = 10000, brokerElectionPriority: Int = 2147483647,
    }
    later "replication" {
        sendHeartbeatTimeoutMillis: Int = 1000, slaveReadEnable: Bool = false,
        brokerHeartbeatInterval: Int = 1000, brokerNotActiveTimeoutMillis: Long = 10000,
        syncBrokerMemberGroupPeriod: Int = 1000, cleanOfflineBrokerInterval: Int = 30000,
        enableSlaveActingMaster: Bool = false, enableRemoteEscape: Bool = false,
        skipPreOnline: Bool = false, isBrokerContainer: Bool = false, isInBrokerContainer: Bool = false,
    }
    later "metrics" {
        metricsExporterType: Text = "DISABLE", metricsOtelCardinalityLimit: Int = 50000,
        metricsGrpcExporterTarget: Text = "", metricsGrpcExporterHeader: Text = "",
        metricGrpcExporterTimeOutInMills: Long = 3000, metricGrpcExporterIntervalInMills: Long = 60000,
        metricLoggingExporterIntervalInMills: Long = 10000, metricsPromExporterPort: Int = 5557,
        metricsPromExporterHost: Text = "", metricsLabel: Text = "",
        metricsExportBatchMaxDataPoints: Int = 1000, metricsInDelta: Bool = false,
        enableRemotingMetrics: Bool = true, enableMessageStoreMetrics: Bool = true,
        enableConnectionMetrics: Bool = true, enableTransactionMetrics: Bool = true,
        enableStatsMetrics: Bool = true, enableRequestMetrics: Bool = true,
        enableLagAndDlqMetrics: Bool = true,
    }
    later "the gRPC proxy" {
        enableBroadcastOffsetStore: Bool = true, broadcastOffsetExpireSecond: Long = 120,
        broadcastOffsetExpireMaxSecond: Long = 300,
    }
    later "remapping of static topics" {
        forwardTimeout: Long = 3000,
    }
    later "static subscriptions" {
        useStaticSubscription: Bool = false,
    }
    later "cold-data flow control" {
        coldCtrStrategyEnable: Bool = false, usePIDColdCtrStrategy: Bool = true,
        cgColdReadThreshold: Long = 3145728, globalColdReadThreshold: Long = 104857600,
    }
    later "light message queues" {
        enableLmqStats: Bool = false,
    }
    later "the RocksDB stores" {
        configManagerVersion: Text = "v1", useSingleRocksDBForAllConfigs: Bool = false,
        persistConsumerOffsetIncrementally: Bool = false,
    }
    later "store plug-ins" {
        messageStorePlugIn: Text = "",
    }
    moot "filters are evaluated on the messages themselves" {
        enableCalcFilterBitMap: Bool = false,
    }
    moot "OxMQ has no thread pools or request queues of this kind" {
        recoverConcurrently: Bool = false, sendMessageThreadPoolNums: Int = 2,
        putMessageFutureThreadPoolNums: Int = 2, pullMessageThreadPoolNums: Int = 20,
        litePullMessageThreadPoolNums: Int = 20, ackMessageThreadPoolNums: Int = 16,
        processReplyMessageThreadPoolNums: Int = 20, queryMessageThreadPoolNums: Int = 10,
        adminBrokerThreadPoolNums: Int = 16, clientManageThreadPoolNums: Int = 32,
        consumerManageThreadPoolNums: Int = 32, loadBalanceProcessorThreadPoolNums: Int = 32,
        heartbeatThreadPoolNums: Int = 2, recoverThreadPoolNums: Int = 32,
        endTransactionThreadPoolNums: Int = 12, putThreadPoolQueueCapacity: Int = 10000,
        replyThreadPoolQueueCapacity: Int = 10000, clientManagerThreadPoolQueueCapacity: Int = 1000000,
        consumerManagerThreadPoolQueueCapacity: Int = 1000000,
        heartbeatThreadPoolQueueCapacity: Int = 50000, adminBrokerThreadPoolQueueCapacity: Int = 10000,
        loadBalanceThreadPoolQueueCapacity: Int = 100000, highSpeedMode: Bool = false,
        transferMsgByHeap: Bool = true, enableNetWorkFlowControl: Bool = false,
        asyncSendEnable: Bool = true, enableFastChannelEventProcess: Bool = false,
    }
    moot "statistics and logs of Apache's program that OxMQ keeps in another way" {
        flushConsumerOffsetHistoryInterval: Int = 60000, commercialBaseCount: Int = 1,
        commercialSizePerMsg: Int = 4096, accountStatsEnable: Bool = true,
        accountStatsPrintZeroValues: Bool = true, maxStatsIdleTimeInMinutes: Int = -1,
        enableDetailStat: Bool = true, autoDeleteUnusedStats: Bool = true, isolateLogEnable: Bool = false,
        estimateAccumulation: Bool = true, printChannelGroups: Bool = false,
        printChannelGroupsMinNum: Int = 5,
    }
}
