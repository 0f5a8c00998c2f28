//! Settings of the store.

use crate::dirs;

words! {
    /// What a broker is to its replicas.
    pub enum BrokerRole {
        /// A master that answers before its slaves have a message.
        AsyncMaster = "ASYNC_MASTER",
        /// A master that answers when inSyncReplicas replicas have it.
        SyncMaster = "SYNC_MASTER",
        /// A copy of a master.
        Slave = "SLAVE",
    }
}

words! {
    /// When a send is answered.
    pub enum FlushDiskType {
        /// When the message is in the page cache.
        AsyncFlush = "ASYNC_FLUSH",
        /// When it is on the disk.
        SyncFlush = "SYNC_FLUSH",
    }
}

crate::config! {
    /// Settings of the store (Apache's MessageStoreConfig).
    pub struct MessageStoreConfig {
        /// Folder of everything the broker keeps.
        store_path_root_dir: String = dirs::in_home("store"), key "storePathRootDir", boot important;
        /// Folder of the log, or several between commas, which new files go round; without it commitlog in storePathRootDir.
        store_path_commit_log: Option<String> = None, key "storePathCommitLog", boot important;
        /// Folders of the log, between commas, that are read and get no new files.
        read_only_commit_log_store_paths: Option<String> = None, key "readOnlyCommitLogStorePaths", boot;
        /// Size of one file of the log, in bytes; must be that of the files already there.
        mapped_file_size_commit_log: i32 = 1_073_741_824, key "mappedFileSizeCommitLog", boot, in 4096..=2147483647;
        /// Size of one file of a queue, in bytes; rounded up to whole units of 20.
        mapped_file_size_consume_queue: i32 = 6_000_000, key "mappedFileSizeConsumeQueue", boot, in 20..=2147483640;
        /// Size of one file of a batch queue, in bytes; rounded up to whole units of 46.
        mapper_file_size_batch_consume_queue: i32 = 13_800_000, key "mapperFileSizeBatchConsumeQueue", boot, in 46..=2147483601;
        /// SYNC_FLUSH answers a send when the message is on the disk, ASYNC_FLUSH when it is in the page cache.
        flush_disk_type: FlushDiskType = FlushDiskType::AsyncFlush, key "flushDiskType", boot important;
        /// How long a send waits for SYNC_FLUSH before it is answered FLUSH_DISK_TIMEOUT, in ms.
        sync_flush_timeout: i32 = 5000, key "syncFlushTimeout", reload, in 1..=2147483647;
        /// ASYNC_FLUSH: how often the log is written to the disk, in ms.
        flush_interval_commit_log: i32 = 500, key "flushIntervalCommitLog", reload important, in 1..=2147483647;
        /// ASYNC_FLUSH: sleep the whole interval (true) or wake with each append (false).
        flush_commit_log_timed: bool = true, key "flushCommitLogTimed", reload important, moot "the flush is timed";
        /// ASYNC_FLUSH: pages of 4 KiB that make a flush worth while before flushCommitLogThoroughInterval.
        flush_commit_log_least_pages: i32 = 4, key "flushCommitLogLeastPages", reload, in 0..=2147483647;
        /// ASYNC_FLUSH: after that many ms flush however little it is.
        flush_commit_log_thorough_interval: i32 = 10_000, key "flushCommitLogThoroughInterval", reload, in 1..=2147483647;
        /// How often the queues are written to the disk, in ms.
        flush_interval_consume_queue: i32 = 1000, key "flushIntervalConsumeQueue", reload, in 1..=2147483647;
        /// Pages of a queue that make a flush worth while before flushConsumeQueueThoroughInterval.
        flush_consume_queue_least_pages: i32 = 2, key "flushConsumeQueueLeastPages", reload, in 0..=2147483647, moot "queues are flushed at their interval";
        /// After that many ms flush the queues however little it is.
        flush_consume_queue_thorough_interval: i32 = 60_000, key "flushConsumeQueueThoroughInterval", reload, in 1..=2147483647, moot "queues are flushed at their interval";
        /// How long a send may wait for its append, in ms.
        put_message_timeout: i32 = 8000, key "putMessageTimeout", reload, in 1..=2147483647, moot "an append waits for one short lock only";
        /// Hours of the day in which expired files are deleted, separated by ; .
        delete_when: String = "04".into(), key "deleteWhen", reload important;
        /// Hours that a file of the log is kept after its last change.
        file_reserved_time: i32 = 72, key "fileReservedTime", reload important, in 0..=2147483647;
        /// Percentage of the disk from which on expired files are deleted at any hour.
        disk_max_used_space_ratio: i32 = 75, key "diskMaxUsedSpaceRatio", reload, in 10..=95;
        /// Percentage from which on files are deleted before they expire, if cleanFileForciblyEnable.
        disk_space_clean_forcibly_ratio: i32 = 85, key "diskSpaceCleanForciblyRatio", reload, in 30..=100;
        /// Percentage from which on sends are refused.
        disk_space_warning_level_ratio: i32 = 90, key "diskSpaceWarningLevelRatio", reload, in 35..=100;
        /// Bytes free on the disk below which expired files are deleted at any hour, up to half of the disk; 0 for no such limit.
        disk_min_free_clean_bytes: i64 = 536_870_912, key "diskMinFreeCleanBytes", reload, in 0..=9223372036854775807;
        /// Bytes free below which files are deleted before they expire, if cleanFileForciblyEnable; up to three tenths of the disk.
        disk_min_free_force_bytes: i64 = 268_435_456, key "diskMinFreeForceBytes", reload, in 0..=9223372036854775807;
        /// Bytes free below which sends are refused, and which the log leaves to others, up to a tenth of the disk.
        disk_min_free_write_bytes: i64 = 67_108_864, key "diskMinFreeWriteBytes", reload, in 0..=9223372036854775807;
        /// What separates the folders of storePathCommitLog and readOnlyCommitLogStorePaths.
        multi_path_splitter: String = ",".into(), key "rocketmq.broker.multiPathSplitter", boot;
        /// In place of diskSpaceCleanForciblyRatio: 0.30 to 0.85.
        disk_space_clean_forcibly_property: Option<String> = None, key "rocketmq.broker.diskSpaceCleanForciblyRatio", reload;
        /// In place of diskSpaceWarningLevelRatio: 0.35 to 0.90.
        disk_space_warning_level_property: Option<String> = None, key "rocketmq.broker.diskSpaceWarningLevelRatio", reload;
        /// Allow deletion of files that have not expired when the disk is nearly full.
        clean_file_forcibly_enable: bool = true, key "cleanFileForciblyEnable", reload important;
        /// How often deletion is considered, in ms.
        clean_resource_interval: i32 = 10_000, key "cleanResourceInterval", boot, in 100..=2147483647;
        /// Pause between two files of the log that are deleted, in ms.
        delete_commit_log_files_interval: i32 = 100, key "deleteCommitLogFilesInterval", reload, in 0..=2147483647;
        /// Pause between two files of queues that are deleted, in ms.
        delete_consume_queue_files_interval: i32 = 100, key "deleteConsumeQueueFilesInterval", reload, in 0..=2147483647;
        /// How long a file in use outlives its deletion, in ms.
        destroy_maped_file_interval_forcibly: i32 = 120_000, key "destroyMapedFileIntervalForcibly", reload, in 0..=2147483647, moot "a file goes at once, and who reads it keeps it for 30 s at most";
        /// Files of the log that one round deletes at most.
        delete_file_batch_max: i32 = 10, key "deleteFileBatchMax", reload important, in 1..=2147483647;
        /// Longest body, in bytes.
        max_message_size: i32 = 4_194_304, key "maxMessageSize", reload, in 1..=16777216;
        /// Longest topic name, in bytes; over 127 the log takes records of the second version.
        max_topic_length: i32 = 127, key "maxTopicLength", boot, in 1..=32767, moot "topic names are checked as Apache checks them by default";
        /// Write the second version of a record only where a topic name needs it.
        auto_message_version_on_topic_len: bool = true, key "autoMessageVersionOnTopicLen", boot, moot "a record takes the version that its topic name needs";
        /// End each record with a property that holds its CRC, and verify it on recovery.
        enabled_append_prop_crc: bool = false, key "enabledAppendPropCRC", boot;
        /// With enabledAppendPropCRC: end the log, on recovery after a crash, at a record without that CRC, where the checkpoint does not vouch for it.
        force_verify_prop_crc: bool = false, key "forceVerifyPropCRC", boot;
        /// Verify the CRC of bodies on recovery.
        check_crc_on_recover: bool = true, key "checkCRCOnRecover", boot;
        /// Files of the log that recovery after a crash goes back at most.
        max_recovery_commitlog_files: i32 = 30, key "maxRecoveryCommitlogFiles", boot, in 1..=2147483647, moot "recovery goes back as far as the checkpoint asks";
        /// Bytes of a queue's units that one pull looks through, or what as many messages as it asks for take.
        max_filter_message_size: i32 = 16_000, key "maxFilterMessageSize", boot;
        /// Bytes of one pull that is answered from memory.
        max_transfer_bytes_on_message_in_memory: i32 = 262_144, key "maxTransferBytesOnMessageInMemory", reload important, in 1..=2147483647;
        /// Messages of one pull that is answered from memory.
        max_transfer_count_on_message_in_memory: i32 = 32, key "maxTransferCountOnMessageInMemory", reload important, in 1..=65536;
        /// Bytes of one pull that reads the disk.
        max_transfer_bytes_on_message_in_disk: i32 = 65_536, key "maxTransferBytesOnMessageInDisk", reload important, in 1..=2147483647;
        /// Messages of one pull that reads the disk.
        max_transfer_count_on_message_in_disk: i32 = 8, key "maxTransferCountOnMessageInDisk", reload important, in 1..=65536;
        /// Percentage of the machine's memory that the newest part of the log is taken to be in.
        access_message_in_memory_max_ratio: i32 = 40, key "accessMessageInMemoryMaxRatio", reload important, in 0..=100;
        /// Let consumers read what is not flushed yet under SYNC_FLUSH.
        read_un_committed: bool = false, key "readUnCommitted", boot;
        /// Note how far behind each consumer group of this machine's disk is (statistics).
        disk_fall_recorded: bool = true, key "diskFallRecorded", reload, moot "statistics that OxMQ keeps in another way";
        /// While an append holds its lock for longer, because the disk lets it wait, sends are answered SYSTEM_BUSY; in ms.
        os_page_cache_busy_time_out_mills: i64 = 1000, key "osPageCacheBusyTimeOutMills", reload, in 1..=2147483647;
        /// The delays of levels 1, 2, … : a number and s, m, h or d each.
        message_delay_level: String = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h".into(), key "messageDelayLevel", boot;
        /// Take messages with a delivery time of their own, and deliver them.
        timer_wheel_enable: bool = true, key "timerWheelEnable", boot important;
        /// Longest delay of such a message, in s.
        timer_max_delay_sec: i32 = 259_200, key "timerMaxDelaySec", reload important, in 0..=2147483647;
        /// How exact delivery times are, in ms. Where it changes, what is in the wheel comes at another time.
        timer_precision_ms: i32 = 1000, key "timerPrecisionMs", boot, in 1..=3_600_000;
        /// Slots of timerPrecisionMs each that a message is put ahead at most; after them it goes around again.
        timer_roll_window_slot: i32 = 172_800, key "timerRollWindowSlot", boot;
        /// How often config/timercheck and config/timermetrics are written, in ms.
        timer_flush_interval_ms: i32 = 1000, key "timerFlushIntervalMs", reload, in 1..=2147483647;
        /// Bytes of a file in timerlog/.
        mapped_file_size_timer_log: i32 = 104_857_600, key "mappedFileSizeTimerLog", boot, in 68..=2147483647;
        /// Put no more messages into the timer wheel: they wait in their topic.
        timer_stop_enqueue: bool = false, key "timerStopEnqueue", reload;
        /// Deliver no more from the timer wheel.
        timer_stop_dequeue: bool = false, key "timerStopDequeue", reload;
        /// Messages due in the same slot from which on some more are refused, and from twice as many on all.
        timer_congest_num_each_slot: i32 = i32::MAX, key "timerCongestNumEachSlot", reload, in 0..=2147483647;
        /// A recall names topic and key, not the key alone.
        append_topic_for_timer_delete_key: bool = false, key "appendTopicForTimerDeleteKey", reload;
        /// How long after the start nothing is delivered from the timer wheel, in ms.
        disappear_time_after_start: i32 = -1, key "disappearTimeAfterStart", boot;
        /// How often config/delayOffset.json is written, in ms.
        flush_delay_offset_interval: i64 = 10_000, key "flushDelayOffsetInterval", boot, in 1..=2147483647, moot "delivery progress is written within a second of a change";
        /// ASYNC_MASTER or SYNC_MASTER. SLAVE refuses the start in this version.
        broker_role: BrokerRole = BrokerRole::AsyncMaster, key "brokerRole", boot important;
        /// Port that slaves are told to connect to; without it listenPort + 1.
        ha_listen_port: i32 = 10_912, key "haListenPort", boot, in 0..=65535;
        /// Replicas of a message, this broker's among them.
        total_replicas: i32 = 1, key "totalReplicas", boot important, in 1..=2147483647, later "replication";
        /// SYNC_MASTER: replicas that have a message before its send is answered. More than 1 refuses the start in
        /// this version.
        in_sync_replicas: i32 = 1, key "inSyncReplicas", boot important, in 1..=2147483647;
        /// SYNC_MASTER: replicas without which sends are refused.
        min_in_sync_replicas: i32 = 1, key "minInSyncReplicas", boot important, in 1..=2147483647, later "replication";
        /// Keep an index of messages by unique key, keys and tags.
        message_index_enable: bool = true, key "messageIndexEnable", boot;
        /// Write that index to files (with messageIndexEnable).
        index_file_write_enable: bool = true, key "indexFileWriteEnable", boot;
        /// Answer queries by key from those files.
        index_file_read_enable: bool = true, key "indexFileReadEnable", boot;
        /// Hash slots of an index file. Where it changes, the index is made anew from the log.
        max_hash_slot_num: i32 = 5_000_000, key "maxHashSlotNum", boot, in 1..=50_000_000;
        /// Entries of an index file. Where it changes, the index is made anew from the log.
        max_index_num: i32 = 20_000_000, key "maxIndexNum", boot, in 2..=90_000_000;
        /// Most messages that a query by key answers.
        max_msgs_num_batch: i32 = 64, key "maxMsgsNumBatch", boot, in 1..=65536;
        /// Most messages that a query by unique key answers.
        default_query_max_num: i32 = 32, key "defaultQueryMaxNum", reload, in 1..=65536;
        /// Recover from where the index ends too.
        message_index_safe: bool = false, key "messageIndexSafe", reload, moot "after a crash the index is always completed from the log";
        /// Messages that may wait for the index.
        put_msg_index_hight_water: i32 = 600_000, key "putMsgIndexHightWater", reload, moot "Apache does not read it, and appends never wait for the index";
    }

    later "the RocksDB stores" {
        timerRocksDBEnable: Bool = false, timerRocksDBStopScan: Bool = false,
        timerRocksDBPrecisionMs: Long = 1000, timerRocksDBRollMaxTps: Double = 8000.0,
        timerRocksDBTimeExpiredMaxTps: Double = 200000.0, timerRocksDBRollIntervalHours: Int = 1,
        timerRocksDBRollRangeHours: Int = 2, transRocksDBEnable: Bool = false,
        transWriteOriginTransHalfEnable: Bool = true, indexRocksDBEnable: Bool = false,
        maxRocksDBIndexQueryDays: Int = 7, storeType: Text = "default",
        iteratorWhenUseRocksdbConsumeQueue: Bool = true, cleanRocksDBDirtyCQIntervalMin: Long = 60,
        statRocksDBCQIntervalSec: Long = 10, memTableFlushIntervalMs: Long = 3600000,
        realTimePersistRocksDBConfig: Bool = true, enableRocksDBLog: Bool = false,
        rocksdbCQDoubleWriteEnable: Bool = false, combineCQLoadingCQTypes: Text = "default;defaultRocksDB",
        combineCQPreferCQType: Text = "default", combineAssignOffsetCQType: Text = "default",
        combineCQEnableCheckSelf: Bool = false, combineCQMaxExtraSearchCommitLogFiles: Int = 3,
        combineCQUseRocksdbForLmq: Bool = false,
        bottomMostCompressionTypeForConsumeQueueStore: Text = "zstd", rocksdbCompressionType: Text = "lz4",
        rocksdbFlushWalFrequency: Int = 1024, rocksdbWalFileRollingThreshold: Long = 1073741824,
        useSeparateStorePathForRocksdbCQ: Bool = false,
    }
    later "compaction topics" {
        compactionMappedFileSize: Int = 104857600, compactionCqMappedFileSize: Int = 10485760,
        compactionScheduleInternal: Int = 900000, maxOffsetMapSize: Int = 104857600,
        compactionThreadNum: Int = 6, enableCompaction: Bool = true,
    }
    later "DLedger" {
        storePathDLedgerCommitLog: Text, enableDLegerCommitLog: Bool = false, dLegerGroup: Text,
        dLegerPeers: Text, dLegerSelfId: Text, preferredLeaderId: Text, enableBatchPush: Bool = false,
    }
    later "automatic failover" {
        storePathEpochFile: Text, storePathBrokerIdentity: Text, allAckInSyncStateSet: Bool = false,
        enableAutoInSyncReplicas: Bool = false, haMaxTimeSlaveNotCatchup: Long = 15000,
        syncFromLastFile: Bool = false, asyncLearner: Bool = false,
    }
    later "replication" {
        haSendHeartbeatInterval: Int = 5000, haHousekeepingInterval: Int = 20000,
        haTransferBatchSize: Int = 32768, haMasterAddress: Text, haMaxGapNotInSync: Int = 268435456,
        slaveTimeout: Int = 3000, offsetCheckInSlave: Bool = false, duplicationEnable: Bool = false,
        haFlowControlEnable: Bool = false, maxHaTransferByteInSecond: Long = 104857600,
        syncMasterFlushOffsetWhenStartup: Bool = false, replicasPerDiskPartition: Int = 1,
        logicalDiskSpaceCleanForciblyThreshold: Double = 0.8, maxSlaveResendLength: Long = 268435456,
    }
    later "light message queues" {
        enableLmq: Bool = false, enableMultiDispatch: Bool = false, maxLmqConsumeQueueNum: Int = 20000,
        enableLmqQuota: Bool = false,
    }
    later "cold-data flow control" {
        coldDataFlowControlEnable: Bool = false, coldDataScanEnable: Bool = false,
        dataReadAheadEnable: Bool = true,
    }
    moot "one thread does the timer's work in batches, without queues or counts that go wrong" {
        timerGetMessageThreadNum: Int = 3, timerPutMessageThreadNum: Int = 3,
        timerEnableDisruptor: Bool = false, timerEnableCheckMetrics: Bool = true,
        timerInterceptDelayLevel: Bool = false, timerWheelSnapshotFlush: Bool = false,
        timerCheckMetricsWhen: Text = "05", timerSkipUnknownError: Bool = false,
        timerWarmEnable: Bool = false, timerEnableRetryUntilSuccess: Bool = false,
        timerMetricSmallThreshold: Int = 1000000, timerProgressLogIntervalMs: Int = 10000,
        timerWheelSnapshotIntervalMs: Int = 10000, timerRecallToTimeWheelEnable: Bool = true,
        timerRecallToTimelineEnable: Bool = true, timerReputServiceCorePoolSize: Int = 6,
        timerReputServiceMaxPoolSize: Int = 6, timerReputServiceQueueCapacity: Int = 10000,
        timerColdDataCheckIntervalMs: Int = 60000,
    }
    moot "filters are evaluated on the messages themselves" {
        enableConsumeQueueExt: Bool = false, mappedFileSizeConsumeQueueExt: Int = 50331648,
        bitMapLengthConsumeQueueExt: Int = 64,
    }
    moot "the store allocates, populates, dispatches and locks in its own way" {
        commitLogRecoverMaxNum: Int = 10, commitIntervalCommitLog: Int = 200,
        useReentrantLockWhenPutMessage: Bool = true, redeleteHangedFileInterval: Int = 120000,
        checkCommitLogOffsetOnRecover: Bool = false, commitCommitLogLeastPages: Int = 4,
        flushLeastPagesWhenWarmMapedFile: Int = 4096, commitCommitLogThoroughInterval: Int = 200,
        warmMapedFileEnable: Bool = false, debugLockEnable: Bool = false,
        transientStorePoolEnable: Bool = false, transientStorePoolSize: Int = 5,
        fastFailIfNoBufferInStorePool: Bool = false, writeWithoutMmap: Bool = false,
        enableScheduleMessageStats: Bool = true, enableScheduleAsyncDeliver: Bool = false,
        scheduleAsyncDeliverMaxPendingLimit: Int = 2000, scheduleAsyncDeliverMaxResendNum2Blocked: Int = 3,
        maxBatchDeleteFilesNum: Int = 50, dispatchCqThreads: Int = 10, dispatchCqCacheNum: Int = 4096,
        enableAsyncReput: Bool = true, recheckReputOffsetFromCq: Bool = false,
        enableRunningFlagsInFlush: Bool = false, travelCqFileNumWhenGetMessage: Int = 1,
        correctLogicMinOffsetSleepInterval: Int = 1, correctLogicMinOffsetForceInterval: Int = 300000,
        searchBcqByCacheEnable: Bool = true, pullBatchMaxMessageCount: Int = 160,
        mappedFileSwapEnable: Bool = true, commitLogForceSwapMapInterval: Long = 43200000,
        commitLogSwapMapInterval: Long = 3600000, commitLogSwapMapReserveFileNum: Int = 100,
        logicQueueForceSwapMapInterval: Long = 43200000, logicQueueSwapMapInterval: Long = 3600000,
        cleanSwapedMapInterval: Long = 300000, logicQueueSwapMapReserveFileNum: Int = 20,
        dispatchFromSenderThread: Bool = false, wakeCommitWhenPutMessage: Bool = true,
        wakeFlushWhenPutMessage: Bool = false, enableCleanExpiredOffset: Bool = false,
        maxAsyncPutMessageRequests: Int = 5000, maxChecksumRange: Long = 1073741824,
        maxConsumeQueueScan: Int = 20000, sampleCountThreshold: Int = 5000, sampleSteps: Int = 32,
        accessMessageInMemoryHotRatio: Int = 26, enableBuildConsumeQueueConcurrently: Bool = false,
        batchDispatchRequestThreadPoolNums: Int = 16, topicQueueLockNum: Int = 32,
        putConsumeQueueDataByFileChannel: Bool = true, enableAcceleratedRecovery: Bool = false,
        sharedByteBufferNum: Int = 16, spinLockCollisionRetreatOptimalDegree: Int = 1000,
        useABSLock: Bool = false, enableLogConsumeQueueRepeatedlyBuildWhenRecover: Bool = false,
    }
}
