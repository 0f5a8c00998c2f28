//! Starting and stopping: opens the store, binds, serves, keeps the books, and takes all of it down in order.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use oxmq_base::clock::SharedClock;
use oxmq_base::config::{BrokerRole, FlushDiskType};
use oxmq_base::names;
use oxmq_client::Remote;
use oxmq_client::nameserver::Nameservers;
use oxmq_filter::Bloom;
use oxmq_protocol::body::data_version::DataVersion;
use oxmq_protocol::frame::SerializeType;
use oxmq_protocol::message::id::UniqKeys;
use oxmq_remoting::client::{Client, ClientConfig};
use oxmq_remoting::server::{self, Server, ServerConfig};
use oxmq_remoting::tls::{Tls, TlsError, TlsSettings};
use oxmq_store::preflight::{Preflight, PreflightError};
use oxmq_store::timer::TimerError;
use oxmq_store::{FlushMode, IndexOptions, OpenError, PullPolicy, RecoverError, Store, StoreOptions};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::broker::{Broker, Identity, Settings};
use crate::deliver::Delivery;
use crate::figures::Figures;
use crate::front::{Front, Growth};
use crate::lanes::Lanes;
use crate::services::file::{ConfigFile, LoadError};
use crate::services::schedule::{Levels, LevelsError};
use crate::services::topics::TopicOptions;
use crate::services::{
    consumers, filters, groups, locks, mappings, offsets, producers, progress, rates, topics, waiting,
};
use crate::transaction::Transactions;
use crate::transaction::check::Checking;
use crate::{flow, registration, timer, upkeep};

/// Bytes of `mappedFileSizeConsumeQueue` are rounded up to whole units of so many.
const QUEUE_UNIT: u64 = 20;
/// The same of `mapperFileSizeBatchConsumeQueue`.
const BATCH_QUEUE_UNIT: u64 = 46;
/// How long a stop waits for connections to finish what they are served.
const STOP_GRACE: Duration = Duration::from_millis(1500);
/// How often it is looked whether anybody is still connected.
const GOOD_BYE_TICK: Duration = Duration::from_millis(50);
/// `reviveQueueNum`'s default: queues of the topic that POP will use.
const REVIVE_QUEUES: i32 = 8;
/// Tries to find two free ports two apart, for `listenPort=0`.
const PORT_TRIES: usize = 64;

/// Everything a broker is started with.
pub struct BrokerOptions {
    /// Its settings.
    pub settings: Settings,
    /// How its answers are serialized.
    pub serialize: SerializeType,
    /// The file that settings changed at run time are written to.
    pub config_file: Option<PathBuf>,
    /// Time.
    pub clock: SharedClock,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// `messageDelayLevel` cannot be read.
    #[error("messageDelayLevel: {0}")]
    Levels(#[from] LevelsError),
    /// The advertised address is none.
    #[error("{key} {value}: not an address that clients could be told to connect to")]
    Address {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// A port cannot be had.
    #[error("listen on {addr}: {source}")]
    Bind {
        /// Where.
        addr: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The store's folder is not one to be opened.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store cannot be recovered.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The timer's files cannot be used.
    #[error(transparent)]
    Timer(#[from] TimerError),
    /// A file of `config/` cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The TLS settings cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system refused a thread or a task ended.
    #[error("start the broker: {0}")]
    System(#[from] std::io::Error),
}

/// A broker that serves.
pub struct Running {
    broker: Arc<Broker>,
    server: Server,
    delivery: Delivery,
    checking: Checking,
    timer: Option<timer::Delivery>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    leave: watch::Sender<bool>,
    registration: JoinHandle<()>,
}

/// Starts a broker on the current runtime. Returns once it serves; registration with the nameservers is under way.
pub async fn start(options: BrokerOptions) -> Result<Running, StartError> {
    let BrokerOptions { settings, serialize, config_file, clock } = options;
    let levels = Levels::parse(&settings.store.message_delay_level)?;
    let (main, fast) = bind(&settings)?;
    let identity = identity(&settings, main.local_addr()?.port())?;
    let (store, topics) = open_store(&settings, &levels, &clock).await?;
    let tls = Tls::new(tls_settings(&settings)?)?;
    let nameservers = nameservers(&settings, &clock, serialize)?;
    let mut server_config = ServerConfig::new(vec![(main, 0), (fast, 1)]);
    server_config.tls = tls;
    server_config.frame_max = settings.server.frame_max_length as usize;
    server_config.idle = Duration::from_secs(settings.server.server_channel_max_idle_time_seconds as u64);
    server_config.clock = Arc::clone(&clock);

    let broker = Arc::new(assemble(
        settings,
        serialize,
        config_file,
        Arc::clone(&clock),
        identity,
        levels,
        store,
        topics,
        Lanes::new(tokio::runtime::Handle::current(), &clock),
    )?);
    broker.store.set_listener(Arc::new(Growth(Arc::downgrade(&broker))));
    let timer = open_timer(&broker).await?.map(timer::Delivery::start).transpose()?;
    let delivery = Delivery::start(Arc::clone(&broker))?;
    let checking = Checking::start(Arc::clone(&broker))?;
    let server = server::serve(server_config, Arc::new(Front(Arc::clone(&broker))))?;
    let (stop, stopped) = watch::channel(false);
    let tasks = upkeep::start(&broker, &stopped);
    let (leave, left) = watch::channel(false);
    let registration = registration::start(&broker, nameservers, &left);
    Ok(Running { broker, server, delivery, checking, timer, stop, tasks, leave, registration })
}

impl Running {
    /// The main port and the fast one.
    pub fn addrs(&self) -> &[SocketAddr] {
        self.server.addrs()
    }

    /// The broker.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Stops: unregisters, takes no more connections, finishes what is being served, delivers no more, writes the books and
    /// the log. What could not be written is logged; the store then keeps its `abort` file, and the next start recovers.
    pub async fn stop(self) {
        let Running { broker, server, delivery, checking, timer, stop, tasks, leave, registration } = self;
        let _ = leave.send(true);
        let _ = registration.await;
        say_good_bye(&broker, &server).await;
        let _ = stop.send(true);
        for task in tasks {
            let _ = task.await;
        }
        // Held pulls are answered, with nothing: clients before 5 do not notice the end of a connection that they wait on, and
        // would wait on for 30 s.
        server.stop_after(STOP_GRACE, || broker.waiting.expire(u64::MAX)).await;
        let stopped = tokio::task::spawn_blocking(move || {
            delivery.stop();
            checking.stop();
            let timer = timer.and_then(timer::Delivery::stop);
            close(&broker);
            if let Some(timer) = timer {
                timer.close();
            }
        });
        let _ = stopped.await;
    }
}

/// Where a graceful end is wanted: sends clients elsewhere, until nobody is connected or it has taken as long as it may. The
/// nameservers name this broker no more.
async fn say_good_bye(broker: &Broker, server: &Server) {
    let settings = broker.settings.load_full();
    if !settings.server.enable_shutdown_gracefully {
        return;
    }
    broker.leaving.store(true, Ordering::Relaxed);
    // Who waits for messages waits elsewhere.
    broker.waiting.expire(u64::MAX);
    let seconds = u64::try_from(settings.server.shutdown_wait_time_seconds).unwrap_or(0);
    let nobody = async {
        let mut ticks = tokio::time::interval(GOOD_BYE_TICK);
        while server.connections() > 0 {
            ticks.tick().await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(seconds), nobody).await.is_err() {
        tracing::info!(
            connections = server.connections(),
            seconds,
            "clients are still connected: they are cut off"
        );
    }
}

/// Writes the books and the log, when nothing changes them any more.
pub(crate) fn close(broker: &Broker) {
    // A first flush makes durable what was delivered, so that its progress may be saved.
    upkeep::save_all(broker);
    if let Err(error) = broker.store.shutdown() {
        tracing::error!(%error, "stop the store");
    }
    upkeep::observe(broker);
    upkeep::observe(broker);
    upkeep::save_all(broker);
}

/// A broker that nothing runs: no port, no thread, no nameserver. See [`crate::driven`].
pub(crate) fn still(settings: Settings, clock: SharedClock) -> Result<Arc<Broker>, StartError> {
    let levels = Levels::parse(&settings.store.message_delay_level)?;
    let identity = identity(&settings, u16::try_from(settings.server.listen_port).unwrap_or(0))?;
    let mut options = store_options(&settings, &levels);
    options.background = false;
    let (store, topics) = recover_store(&settings, options, Arc::clone(&clock))?;
    let lanes = Lanes::at_once(&clock);
    let broker =
        assemble(settings, SerializeType::Json, None, clock, identity, levels, store, topics, lanes)?;
    let broker = Arc::new(broker);
    broker.store.set_listener(Arc::new(Growth(Arc::downgrade(&broker))));
    Ok(broker)
}

/// The timer wheel, where there is to be one.
async fn open_timer(broker: &Arc<Broker>) -> Result<Option<timer::Opened>, StartError> {
    let broker = Arc::clone(broker);
    tokio::task::spawn_blocking(move || timer_of(&broker)).await.map_err(std::io::Error::other)?
}

/// The same, on this thread.
pub(crate) fn timer_of(broker: &Arc<Broker>) -> Result<Option<timer::Opened>, StartError> {
    let settings = broker.settings.load();
    if !settings.store.timer_wheel_enable {
        return Ok(None);
    }
    let folder = Path::new(&settings.store.store_path_root_dir).join("config");
    let file = ConfigFile::new(&folder, "timermetrics");
    let metrics = timer::metrics::Metrics::open(file, Arc::clone(&broker.clock))?;
    Ok(Some(timer::Opened::open(broker, metrics)?))
}

/// Calls to nameservers; whom to call, the registration finds out.
fn nameservers(
    settings: &Settings,
    clock: &SharedClock,
    serialize: SerializeType,
) -> Result<Nameservers, TlsError> {
    let config = ClientConfig::from_settings(&settings.client, &settings.tls)?;
    let config = ClientConfig { clock: Arc::clone(clock), serialize, ..config };
    Ok(Nameservers::new(Remote::new(Client::new(config, None)), Vec::new()))
}

#[allow(clippy::too_many_arguments, reason = "every part of a broker, once")]
fn assemble(
    settings: Settings,
    serialize: SerializeType,
    config_file: Option<PathBuf>,
    clock: SharedClock,
    identity: Identity,
    levels: Levels,
    store: Store,
    topics: topics::Topics,
    lanes: Lanes,
) -> Result<Broker, StartError> {
    let folder = Path::new(&settings.store.store_path_root_dir).join("config");
    let file = |name: &str| ConfigFile::new(&folder, name);
    let boot_ms = clock.wall_ms();
    // Two processes that share address and pid, as in containers, differ in when they started.
    let uniq_keys = UniqKeys::new(identity.store_host.ip(), std::process::id(), boot_ms as u32);
    let step = u64::try_from(settings.broker.consumer_offset_update_version_step).unwrap_or(1);
    let bloom = Bloom::new(
        settings.broker.max_error_rate_of_bloom_filter,
        settings.broker.expect_consumer_num_use_filter,
    );
    let lock_ms = u64::try_from(settings.broker.rebalance_lock_max_live_time).unwrap_or(60_000);
    Ok(Broker {
        topics,
        mappings: mappings::Mappings::open(file("topicQueueMapping.json"), Arc::clone(&clock))?,
        groups: groups::Groups::open(file("subscriptionGroup.json"), Arc::clone(&clock))?,
        offsets: offsets::Offsets::open(file("consumerOffset.json"), step, Arc::clone(&clock))?,
        progress: progress::Progress::open(file("delayOffset.json"), Arc::clone(&clock))?,
        filters: filters::Filters::open(file("consumerFilter.json"), bloom, Arc::clone(&clock))?,
        transactions: Transactions::open(file("transactionMetrics"), Arc::clone(&clock))?,
        consumers: consumers::Consumers::new(Arc::clone(&clock)),
        producers: producers::Producers::new(Arc::clone(&clock)),
        locks: locks::QueueLocks::new(Arc::clone(&clock), lock_ms),
        waiting: waiting::Waiting::default(),
        connections: Default::default(),
        sync_flush: settings.store.flush_disk_type == FlushDiskType::SyncFlush,
        settings: ArcSwap::from_pointee(settings),
        config_file,
        timer: Default::default(),
        figures: Figures::default(),
        rates: rates::Rates::default(),
        config_version: Mutex::new(DataVersion::at(boot_ms)),
        lanes,
        register: Notify::new(),
        persist: Notify::new(),
        cleanup: Default::default(),
        leaving: AtomicBool::new(false),
        clean: Notify::new(),
        turn: AtomicI32::new(0),
        identity,
        serialize,
        boot_ms,
        clock,
        store,
        levels,
        uniq_keys,
    })
}

fn topic_options(settings: &Settings) -> TopicOptions {
    let broker = &settings.broker;
    TopicOptions {
        broker_name: broker.broker_name.clone(),
        cluster_name: broker.broker_cluster_name.clone(),
        default_topic_queue_nums: broker.default_topic_queue_nums,
        auto_create: broker.auto_create_topic_enable,
        cluster_topic: broker.cluster_topic_enable,
        broker_topic: broker.broker_topic_enable,
        trace_topic: broker.trace_topic_enable.then(|| broker.msg_trace_topic_name.clone()),
        revive_queue_num: REVIVE_QUEUES,
        timer_wheel: settings.store.timer_wheel_enable,
    }
}

/// Opens and recovers the store where blocking is allowed.
/// The store, and the topics, which it has to know for its recovery; they are read when the folder is locked.
async fn open_store(
    settings: &Settings,
    levels: &Levels,
    clock: &SharedClock,
) -> Result<(Store, topics::Topics), StartError> {
    let options = store_options(settings, levels);
    let (settings, clock) = (settings.clone(), Arc::clone(clock));
    let opened = tokio::task::spawn_blocking(move || recover_store(&settings, options, clock));
    opened.await.map_err(std::io::Error::other)?
}

fn recover_store(
    settings: &Settings,
    options: StoreOptions,
    clock: SharedClock,
) -> Result<(Store, topics::Topics), StartError> {
    let topic_options = topic_options(settings);
    let folder = Path::new(&settings.store.store_path_root_dir).join("config");
    let preflight = preflight(settings, &options);
    let mut pending = preflight.check(clock.wall_ms())?;
    let unrecovered = oxmq_store::open(options, Arc::clone(&clock))?;
    let topics =
        topics::Topics::open(&topic_options, ConfigFile::new(&folder, "topics.json"), Arc::clone(&clock))?;
    let store = unrecovered.with_batch_topics(topics.batch_names()).recover()?;
    store.set_append_patience_ms(flow::append_patience_ms(settings));
    let recovered = store.recovered();
    if !recovered.clean || recovered.dispatched > 0 {
        // Only now do the queues say all.
        pending = preflight.check_recovered(clock.wall_ms()).inspect_err(|_| {
            if let Err(error) = store.shutdown() {
                tracing::error!(%error, "close the store");
            }
        })?;
    }
    if !pending.is_none() {
        tracing::warn!(
            "left untouched by acceptPending, for Apache's broker to go on with: {pending}; expiry of the log takes its \
             course"
        );
    }
    Ok((store, topics))
}

fn preflight(settings: &Settings, options: &StoreOptions) -> Preflight {
    let set = |key: &str| settings.store.get(key).filter(|value| !value.is_empty());
    Preflight {
        root: options.root.clone(),
        commitlog: [options.commitlog_dirs(), options.commitlog_read_only.clone()].concat(),
        dledger: set("storePathDLedgerCommitLog").map(PathBuf::from),
        timer_precision_ms: i64::from(settings.store.timer_precision_ms),
        timer_wheel: settings.store.timer_wheel_enable,
        accept_pending: settings.broker.accept_pending,
    }
}

/// The folders of a list. Java: MixAll.MULTI_PATH_SPLITTER.
fn paths<'a>(list: Option<&'a str>, splitter: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
    list.unwrap_or_default().split(splitter).map(str::trim).filter(|p| !p.is_empty()).map(PathBuf::from)
}

fn store_options(settings: &Settings, levels: &Levels) -> StoreOptions {
    let s = &settings.store;
    let unsigned = |n: i32| u64::try_from(n).unwrap_or(0);
    let mut options = StoreOptions::new(&s.store_path_root_dir);
    let mut log_dirs = paths(s.store_path_commit_log.as_deref(), &s.multi_path_splitter);
    options.commitlog_dir = log_dirs.next();
    options.commitlog_more = log_dirs.collect();
    options.commitlog_read_only =
        paths(s.read_only_commit_log_store_paths.as_deref(), &s.multi_path_splitter).collect();
    options.append_property_crc = s.enabled_append_prop_crc;
    options.force_property_crc = s.force_verify_prop_crc;
    options.commitlog_file_bytes = unsigned(s.mapped_file_size_commit_log);
    options.queue_file_bytes = unsigned(s.mapped_file_size_consume_queue).next_multiple_of(QUEUE_UNIT);
    options.batch_queue_file_bytes =
        unsigned(s.mapper_file_size_batch_consume_queue).next_multiple_of(BATCH_QUEUE_UNIT);
    options.max_message_bytes = unsigned(s.max_message_size) as usize;
    options.flush_mode = match s.flush_disk_type {
        FlushDiskType::SyncFlush => FlushMode::Sync,
        FlushDiskType::AsyncFlush => FlushMode::Async,
    };
    options.flush_interval_ms = unsigned(s.flush_interval_commit_log);
    options.flush_least_pages = unsigned(s.flush_commit_log_least_pages);
    options.flush_thorough_interval_ms = unsigned(s.flush_commit_log_thorough_interval);
    options.sync_flush_timeout_ms = unsigned(s.sync_flush_timeout);
    options.queue_flush_interval_ms = unsigned(s.flush_interval_consume_queue);
    options.read_uncommitted = s.read_un_committed;
    options.delay_levels_ms = levels.all().to_vec();
    options.check_crc_on_recover = s.check_crc_on_recover;
    options.pull = PullPolicy {
        hot_messages: s.max_transfer_count_on_message_in_memory as u32,
        hot_bytes: s.max_transfer_bytes_on_message_in_memory as u32,
        cold_messages: s.max_transfer_count_on_message_in_disk as u32,
        cold_bytes: s.max_transfer_bytes_on_message_in_disk as u32,
        hot_distance_bytes: oxmq_store::memory_bytes() / 100 * unsigned(s.access_message_in_memory_max_ratio),
        filter_bytes: unsigned(s.max_filter_message_size),
    };
    options.min_free_bytes = u64::try_from(s.disk_min_free_write_bytes).unwrap_or(0);
    options.index = IndexOptions {
        write: s.message_index_enable && s.index_file_write_enable,
        read: s.index_file_read_enable,
        slots: s.max_hash_slot_num as u32,
        entries: s.max_index_num as u32,
        messages_max: s.max_msgs_num_batch as usize,
    };
    options
}

fn tls_settings(settings: &Settings) -> Result<TlsSettings, TlsError> {
    let entries = settings.entries();
    TlsSettings::read(|key| entries.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone()))
}

fn identity(settings: &Settings, port: u16) -> Result<Identity, StartError> {
    let b = &settings.broker;
    let ip = address("brokerIP1", &b.broker_ip1)?;
    let ha_ip = address("brokerIP2", &b.broker_ip2)?;
    let ha_port = u16::try_from(settings.store.ha_listen_port).unwrap_or(0);
    let ha_port = if ha_port == 0 { port.wrapping_add(1) } else { ha_port };
    let advertised = |host: &str, ip: IpAddr, port: u16| match ip {
        // Java prints an IPv6 address in brackets, a host name as it was given.
        IpAddr::V6(_) if host.parse::<IpAddr>().is_ok() => format!("[{host}]:{port}"),
        _ => format!("{host}:{port}"),
    };
    Ok(Identity {
        cluster: b.broker_cluster_name.clone(),
        name: b.broker_name.clone(),
        // Apache forces 0 for a master, whatever the file says.
        id: if settings.store.broker_role == BrokerRole::Slave { b.broker_id } else { 0 },
        ip: b.broker_ip1.clone(),
        addr: advertised(&b.broker_ip1, ip, port),
        ha_addr: advertised(&b.broker_ip2, ha_ip, ha_port),
        store_host: SocketAddr::new(ip, port),
    })
}

/// The address behind an advertised host, for records: a name is looked up once.
fn address(key: &'static str, value: &str) -> Result<IpAddr, StartError> {
    let wrong = || StartError::Address { key, value: value.to_owned() };
    let bare = value.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(ip);
    }
    let host = names::HostPort::parse(&format!("{value}:1")).map_err(|_| wrong())?;
    host.resolve().ok().and_then(|found| found.first().map(SocketAddr::ip)).ok_or_else(wrong)
}

/// Binds the main port and the fast one two below it. With `listenPort=0` any pair that is free.
fn bind(settings: &Settings) -> Result<(std::net::TcpListener, std::net::TcpListener), StartError> {
    let host = &settings.server.bind_address;
    let ip = address("bindAddress", host)?;
    let listen = |port: u16| {
        let addr = SocketAddr::new(ip, port);
        server::bind(addr).map_err(|source| StartError::Bind { addr, source })
    };
    let port = u16::try_from(settings.server.listen_port).unwrap_or(0);
    if port != 0 {
        let main = listen(port)?;
        return Ok((main, listen(port.saturating_sub(2))?));
    }
    let mut tries = 0;
    loop {
        let main = listen(0)?;
        let port = main.local_addr()?.port();
        match listen(port.saturating_sub(2)) {
            Ok(fast) => return Ok((main, fast)),
            Err(error) if tries == PORT_TRIES => return Err(error),
            Err(_) => tries += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which folders a list names, by rocketmq.broker.multiPathSplitter.
    #[test]
    fn lists_of_folders() {
        let check = |list, splitter, expected: &[&str]| {
            let found: Vec<_> = paths(list, splitter).collect();
            assert_eq!(found, expected.iter().map(PathBuf::from).collect::<Vec<_>>(), "{list:?}");
        };
        check(None, ",", &[]);
        check(Some("/a"), ",", &["/a"]);
        check(Some(" /a, /b,,"), ",", &["/a", "/b"]);
        check(Some("/a,1:/b,2"), ":", &["/a,1", "/b,2"]);
        check(Some("/a::/b:c"), "::", &["/a", "/b:c"]);
    }
}
