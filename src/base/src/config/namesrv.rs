//! Settings of the nameserver.

use crate::config;
use crate::dirs;

config! {
    /// Settings of the nameserver (Apache's NamesrvConfig).
    pub struct NamesrvConfig {
        /// Kept for tools that read it; OxMQ needs no home directory. ROCKETMQ_HOME sets it.
        rocketmq_home: Option<String> = None, key "rocketmqHome", boot;
        /// File of the key-value configuration.
        kv_config_path: String = dirs::in_home("namesrv/kvConfig.json"), key "kvConfigPath", boot;
        /// File that settings changed at run time are written to; -c names it.
        config_store_path: String = dirs::in_home("namesrv/namesrv.properties"), key "configStorePath", boot;
        /// Name of this environment, for unit names of clients.
        product_env_name: String = "center".into(), key "productEnvName", reload, later "answers from another environment";
        /// Answer an unknown topic from the product environment, as a test cluster does.
        cluster_test: bool = false, key "clusterTest", boot, later "answers from another environment";
        /// Send orderTopicConf (namespace ORDER_TOPIC_CONFIG) with routes.
        order_message_enable: bool = false, key "orderMessageEnable", reload;
        /// Send orderTopicConf in the answer to a broker's registration.
        return_order_topic_config_to_broker: bool = true, key "returnOrderTopicConfigToBroker", reload;
        /// How often brokers that fell silent are looked for, in ms.
        scan_not_active_broker_interval: i64 = 5000, key "scanNotActiveBrokerInterval", boot, in 10..=2147483647;
        /// Unregistrations that may wait at most.
        un_register_broker_queue_capacity: i32 = 3000, key "unRegisterBrokerQueueCapacity", boot, in 1..=1000000, moot "changes are made in order by one thread";
        /// Where a name has no master any more, hand out its slave with the smallest id as one that may be read.
        support_acting_master: bool = false, key "supportActingMaster", reload;
        /// Answer the list of all topics.
        enable_all_topic_list: bool = true, key "enableAllTopicList", reload;
        /// Answer the lists of topics of a cluster, of a unit and of the system.
        enable_topic_list: bool = true, key "enableTopicList", reload;
        /// Tell the brokers of a name when the smallest id among them changes.
        notify_min_broker_id_changed: bool = false, key "notifyMinBrokerIdChanged", reload;
        /// Answer no route for waitSecondsForService after the start, until brokers have registered.
        need_wait_for_service: bool = false, key "needWaitForService", reload;
        /// That many seconds.
        wait_seconds_for_service: i32 = 45, key "waitSecondsForService", reload, in 0..=2147483647;
        /// Forget topics of a broker that its registration no longer has.
        delete_topic_with_broker_registration: bool = false, key "deleteTopicWithBrokerRegistration", reload;
        /// Keys that cannot be set at run time.
        config_black_list: String = "configBlackList;configStorePath;kvConfigPath".into(), key "configBlackList", boot;
    }

    later "automatic failover" {
        enableControllerInNamesrv: Bool = false,
    }
    moot "OxMQ has no thread pools or request queues of this kind" {
        clientRequestThreadPoolNums: Int = 8, defaultThreadPoolNums: Int = 16,
        clientRequestThreadPoolQueueCapacity: Int = 50000, defaultThreadPoolQueueCapacity: Int = 10000,
    }
}
