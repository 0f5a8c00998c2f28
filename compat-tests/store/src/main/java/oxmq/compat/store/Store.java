package oxmq.compat.store;

import java.io.File;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.config.MessageStoreConfig;
import org.apache.rocketmq.store.stats.BrokerStatsManager;

/** Apache's store, opened on a folder. */
final class Store {
    private Store() {
    }

    static DefaultMessageStore open(File folder, Sizes sizes) throws Exception {
        MessageStoreConfig config = new MessageStoreConfig();
        config.setStorePathRootDir(folder.getPath());
        config.setStorePathCommitLog(folder + File.separator + "commitlog");
        config.setMappedFileSizeCommitLog(sizes.commitLog());
        config.setMappedFileSizeConsumeQueue(sizes.queue());
        config.setMapperFileSizeBatchConsumeQueue(sizes.batchQueue());
        config.setMaxHashSlotNum(sizes.slots());
        config.setMaxIndexNum(sizes.entries());
        config.setEnabledAppendPropCRC(sizes.crc());
        config.setTimerWheelEnable(false);
        config.setHaListenPort(0);
        // So that a folder whose process is halted has been through its rounds.
        config.setFlushIntervalConsumeQueue(100);
        config.setFlushIntervalCommitLog(100);
        config.setFlushCommitLogThoroughInterval(200);
        config.setFlushConsumeQueueThoroughInterval(200);
        ConcurrentHashMap<String, TopicConfig> topics = new ConcurrentHashMap<>();
        TopicConfig batch = new TopicConfig(Script.INNER_TOPIC);
        batch.setAttributes(Map.of("queue.type", "BatchCQ"));
        topics.put(Script.INNER_TOPIC, batch);
        BrokerConfig broker = new BrokerConfig();
        DefaultMessageStore store = new DefaultMessageStore(config, new BrokerStatsManager("c", true),
            (topic, queueId, offset, tags, time, filter, properties) -> { }, broker, topics);
        if (!store.load()) {
            throw new IllegalStateException("Apache's store does not load " + folder);
        }
        store.start();
        return store;
    }

    /** Waits until queues and index have all that is in the log. */
    static void dispatched(DefaultMessageStore store) throws InterruptedException {
        while (store.dispatchBehindBytes() > 0) {
            Thread.sleep(5);
        }
    }
}
