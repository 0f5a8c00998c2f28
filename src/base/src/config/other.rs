//! Keys of Apache's configuration files whose parts are not built yet.

use crate::config;

config! {
    /// Access control (Apache's AuthConfig).
    pub struct AuthConfig {}
    later "access control" {
        configName: Text, clusterName: Text, authConfigPath: Text, authenticationEnabled: Bool = false,
        authenticationProvider: Text, authenticationMetadataProvider: Text, authenticationStrategy: Text,
        authenticationWhitelist: Text, initAuthenticationUser: Text,
        innerClientAuthenticationCredentials: Text, authorizationEnabled: Bool = false,
        authorizationProvider: Text, authorizationMetadataProvider: Text, authorizationStrategy: Text,
        authorizationWhitelist: Text, migrateAuthFromV1Enabled: Bool = false, userCacheMaxNum: Int = 1000,
        userCacheExpiredSecond: Int = 600, userCacheRefreshSecond: Int = 60, aclCacheMaxNum: Int = 1000,
        aclCacheExpiredSecond: Int = 600, aclCacheRefreshSecond: Int = 60,
        statefulAuthenticationCacheMaxNum: Int = 10000, statefulAuthenticationCacheExpiredSecond: Int = 60,
        statefulAuthorizationCacheMaxNum: Int = 10000, statefulAuthorizationCacheExpiredSecond: Int = 60,
    }
}

config! {
    /// Tiered storage (Apache's tieredstore MessageStoreConfig).
    pub struct TieredStoreConfig {}
    later "tiered storage" {
        tieredStorageLevel: Text = "NOT_IN_DISK", recordGetMessageResult: Bool = false,
        tieredStoreCommitLogMaxSize: Long = 1073741824, tieredStoreConsumeQueueMaxSize: Long = 104857600,
        tieredStoreIndexFileMaxHashSlotNum: Int = 5000000, tieredStoreIndexFileMaxIndexNum: Int = 20000000,
        tieredMetadataServiceProvider: Text = "org.apache.rocketmq.tieredstore.metadata.DefaultMetadataStore",
        tieredBackendServiceProvider: Text = "org.apache.rocketmq.tieredstore.provider.MemoryFileSegment",
        tieredStoreDeleteFileEnable: Bool = true, tieredStoreFileReservedTime: Int = 72,
        tieredStoreDeleteFileInterval: Long = 3600000, commitLogRollingInterval: Int = 24,
        commitLogRollingMinimumSize: Int = 16777216, tieredStoreGroupCommit: Bool = true,
        tieredStoreGroupCommitTimeout: Int = 30000, tieredStoreGroupCommitCount: Int = 4096,
        tieredStoreGroupCommitSize: Int = 4194304, tieredStoreMaxGroupCommitCount: Int = 10000,
        readAheadCacheEnable: Bool = true, readAheadMessageCountThreshold: Int = 4096,
        readAheadMessageSizeThreshold: Int = 16777216, readAheadCacheExpireDuration: Long = 15000,
        readAheadCacheSizeThresholdRate: Double = 0.3, tieredStoreMaxPendingLimit: Int = 10000,
        tieredStoreCrcCheckEnable: Bool = false, tieredStoreFilePath: Text = "",
        objectStoreEndpoint: Text = "", objectStoreBucket: Text = "", objectStoreAccessKey: Text = "",
        objectStoreSecretKey: Text = "",
    }
}

config! {
    /// The controller (Apache's ControllerConfig and JraftConfig).
    pub struct ControllerConfig {}
    later "automatic failover" {
        controllerType: Text = "DLedger", controllerThreadPoolNums: Int = 16,
        controllerRequestThreadPoolQueueCapacity: Int = 50000, controllerDLegerGroup: Text,
        controllerDLegerPeers: Text, controllerDLegerSelfId: Text, controllerStorePath: Text = "",
        electMasterMaxRetryCount: Int = 3, enableElectUncleanMaster: Bool = false,
        isProcessReadEvent: Bool = false, notifyBrokerRoleChanged: Bool = true,
        scanInactiveMasterInterval: Long = 5000,
        jRaftElectionTimeoutMs: Int = 1000, jRaftScanWaitTimeoutMs: Int = 1000,
        jRaftSnapshotIntervalSecs: Int = 3600, jRaftGroupId: Text = "jRaft-Controller",
        jRaftServerId: Text = "localhost:9880",
        jRaftInitConf: Text = "localhost:9880,localhost:9881,localhost:9882",
        jRaftControllerRPCAddr: Text = "localhost:9770,localhost:9771,localhost:9772",
    }
}
