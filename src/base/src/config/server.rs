//! Settings of the network side: server, client, TLS.

crate::config! {
    /// Settings of the listening side (Apache's NettyServerConfig).
    pub struct NettyServerConfig {
        /// Address to listen on; [::] takes IPv4 and IPv6.
        bind_address: String = "0.0.0.0".into(), key "bindAddress", boot;
        /// Port to listen on: 10911 for a broker (listenPort − 2 serves consumers beside it), 9876 for a nameserver;
        /// 0 takes any free port (see --ports-file).
        listen_port: i32 = 0, key "listenPort", boot important, in 0..=65535;
        /// A connection silent for that many seconds is closed.
        server_channel_max_idle_time_seconds: i32 = 120, key "serverChannelMaxIdleTimeSeconds", boot, in 1..=2147483647;
        /// Send buffer of the socket, in bytes; 0 leaves it to the system.
        server_socket_snd_buf_size: i32 = 0, key "serverSocketSndBufSize", boot, in 0..=2147483647, moot "the system sizes socket buffers";
        /// Receive buffer of the socket, in bytes; 0 leaves it to the system.
        server_socket_rcv_buf_size: i32 = 0, key "serverSocketRcvBufSize", boot, in 0..=2147483647, moot "the system sizes socket buffers";
        /// Bytes waiting for a slow reader from which on nothing more is read from it; 0 takes the built-in limit.
        write_buffer_high_water_mark: i32 = 0, key "writeBufferHighWaterMark", boot, in 0..=2147483647, moot "waiting answers have a limit of their own";
        /// Bytes at which reading goes on; 0 takes the built-in one.
        write_buffer_low_water_mark: i32 = 0, key "writeBufferLowWaterMark", boot, in 0..=2147483647, moot "waiting answers have a limit of their own";
        /// Connections that may wait to be accepted.
        server_socket_backlog: i32 = 1024, key "serverSocketBacklog", boot, in 1..=65535, moot "the backlog is 1024";
        /// At its end, a broker answers requests of clients from 5.3.2 on with GO_AWAY for a while, so that they go on with
        /// other brokers at once.
        enable_shutdown_gracefully: bool = false, key "enableShutdownGracefully", reload;
        /// How long it does so at most, in s; it ends when nobody is connected any more.
        shutdown_wait_time_seconds: i32 = 30, key "shutdownWaitTimeSeconds", reload, in 0..=86400;
        /// Longest frame that is accepted, in bytes.
        frame_max_length: i32 = 16_777_216, key "com.rocketmq.remoting.frameMaxLength", boot, in 1024..=1073741824;
    }
    moot "OxMQ has no thread pools or buffer pools to size" {
        serverWorkerThreads: Int = 8, serverCallbackExecutorThreads: Int = 0, serverSelectorThreads: Int = 3,
        serverOnewaySemaphoreValue: Int = 256, serverAsyncSemaphoreValue: Int = 64,
        serverNettyWorkerGroupEnable: Bool = true, serverPooledByteBufAllocatorEnable: Bool = true,
        useEpollNativeSelector: Bool = false,
    }
}

crate::config! {
    /// Settings of outgoing connections (Apache's NettyClientConfig).
    pub struct NettyClientConfig {
        /// How long connecting may take, in ms.
        connect_timeout_millis: i32 = 3000, key "connectTimeoutMillis", boot, in 1..=2147483647;
        /// A connection unused for that many seconds is closed.
        client_channel_max_idle_time_seconds: i32 = 120, key "clientChannelMaxIdleTimeSeconds", boot, in 1..=2147483647;
        /// Connect to nameservers and other brokers with TLS.
        use_tls: bool = false, key "useTLS", boot;
    }
    later "a SOCKS proxy for outgoing connections" { socksProxyConfig: Text = "{}" }
    moot "OxMQ has no thread pools or buffer pools to size" {
        clientWorkerThreads: Int = 4, clientCallbackExecutorThreads: Int = 2, clientOnewaySemaphoreValue: Int = 65535,
        clientAsyncSemaphoreValue: Int = 65535, channelNotActiveInterval: Long = 60000,
        isScanAvailableNameSrv: Bool = true, clientSocketSndBufSize: Int = 0, clientSocketRcvBufSize: Int = 0,
        clientPooledByteBufAllocatorEnable: Bool = false, clientCloseSocketIfTimeout: Bool = true,
        writeBufferHighWaterMark: Int = 0, writeBufferLowWaterMark: Int = 0, disableCallbackExecutor: Bool = false, disableNettyWorkerGroup: Bool = false,
        maxReconnectIntervalTimeSeconds: Long = 60, enableReconnectForGoAway: Bool = true,
    }
}

words! {
    /// What a port does with TLS.
    pub enum TlsMode {
        /// Plain connections only.
        Disabled = "disabled",
        /// Plain and TLS on the same port, told apart by the first byte.
        Permissive = "permissive",
        /// TLS only.
        Enforcing = "enforcing",
    }
}

words! {
    /// Whether a client has to show a certificate.
    pub enum ClientAuth {
        /// It is not asked for one.
        None = "none",
        /// It is asked, and may have none.
        Optional = "optional",
        /// It must show one.
        Require = "require",
    }
}

crate::config! {
    /// Settings of TLS. Apache takes them as -D properties and from the file tls.config.file; here they may also stand in
    /// broker.conf and namesrv.conf.
    pub struct TlsConfig {
        /// disabled: plain connections only. permissive: plain and TLS on the same port. enforcing: TLS only.
        tls_server_mode: TlsMode = TlsMode::Permissive, key "tls.server.mode", boot;
        /// Serve TLS with a certificate made at start when none is configured.
        tls_test_mode_enable: bool = true, key "tls.test.mode.enable", boot;
        /// Certificate chain of the server, a PEM file.
        tls_server_cert_path: Option<String> = None, key "tls.server.certPath", boot;
        /// Private key of the server, a PEM file (PKCS#8).
        tls_server_key_path: Option<String> = None, key "tls.server.keyPath", boot;
        /// Password of that key.
        tls_server_key_password: Option<String> = None, key "tls.server.keyPassword", boot, later "encrypted private keys";
        /// none, optional or require a client's certificate.
        tls_server_need_client_auth: ClientAuth = ClientAuth::None, key "tls.server.need.client.auth", boot;
        /// Verify the client's certificate against tls.server.trustCertPath.
        tls_server_auth_client: bool = false, key "tls.server.authClient", boot;
        /// Certificates that clients' certificates are verified against, a PEM file.
        tls_server_trust_cert_path: Option<String> = None, key "tls.server.trustCertPath", boot;
        /// Use TLS for connections that this process opens.
        tls_enable: bool = false, key "tls.enable", boot;
        /// Certificate chain that this process shows as a client, a PEM file.
        tls_client_cert_path: Option<String> = None, key "tls.client.certPath", boot, later "certificates of outgoing connections";
        /// Private key for it, a PEM file.
        tls_client_key_path: Option<String> = None, key "tls.client.keyPath", boot, later "certificates of outgoing connections";
        /// Password of that key.
        tls_client_key_password: Option<String> = None, key "tls.client.keyPassword", boot, later "certificates of outgoing connections";
        /// Verify the certificate of servers that this process connects to.
        tls_client_auth_server: bool = false, key "tls.client.authServer", boot;
        /// Certificates that servers' certificates are verified against, a PEM file.
        tls_client_trust_cert_path: Option<String> = None, key "tls.client.trustCertPath", boot;
        /// Kept and answered only: OxMQ offers the cipher suites of its own TLS library.
        tls_ciphers: Option<String> = None, key "tls.ciphers", boot, moot "the cipher suites are those of the TLS library";
        /// Kept and answered only: OxMQ speaks TLS 1.2 and 1.3.
        tls_protocols: Option<String> = None, key "tls.protocols", boot, moot "TLS 1.2 and 1.3 are spoken";
        /// File of more tls.* settings; read if it exists.
        tls_config_file: String = "/etc/rocketmq/tls.properties".into(), key "tls.config.file", boot;
    }
}
