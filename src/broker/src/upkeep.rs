//! What a broker does by the clock: time-outs of held pulls, expiry of silent clients, files of `config/`, samples,
//! removal of old files.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Broker;
use crate::notify;

/// How exactly held pulls time out.
const HOLD_TICK: Duration = Duration::from_millis(100);
/// How often silent clients are looked for.
const EXPIRE_TICK: Duration = Duration::from_secs(10);
/// How often files of `config/` are looked at, and samples taken.
const SAVE_TICK: Duration = Duration::from_secs(1);

/// When old files are looked at first, as with Apache.
const CLEAN_FIRST: Duration = Duration::from_secs(60);
/// Between two looks at old files that somebody asks for.
const CLEAN_ASKED: Duration = Duration::from_secs(1);
/// Between two while sends are refused because the disk is full: they go on soon after there is space, also in the first minute.
const CLEAN_FULL: Duration = Duration::from_secs(2);

/// Starts the tasks; each ends when `stopped` says so.
pub fn start(broker: &Arc<Broker>, stopped: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
    vec![
        tokio::spawn(holds(Arc::clone(broker), stopped.clone())),
        tokio::spawn(expiry(Arc::clone(broker), stopped.clone())),
        tokio::spawn(books(Arc::clone(broker), stopped.clone())),
        tokio::spawn(cleaning(Arc::clone(broker), stopped.clone())),
    ]
}

/// Returns once the broker is to stop.
pub async fn told(stopped: &mut watch::Receiver<bool>) {
    // An error means that nobody can say so any more, which is the same.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Ticks until stopped.
async fn tick(ticks: &mut tokio::time::Interval, stopped: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        _ = ticks.tick() => true,
        () = told(stopped) => false,
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    ticks
}

async fn holds(broker: Arc<Broker>, mut stopped: watch::Receiver<bool>) {
    let mut ticks = every(HOLD_TICK);
    while tick(&mut ticks, &mut stopped).await {
        let now = broker.clock.mono_ms();
        broker.waiting.expire(now);
        broker.lanes.expire(now);
    }
}

async fn expiry(broker: Arc<Broker>, mut stopped: watch::Receiver<bool>) {
    let mut ticks = every(EXPIRE_TICK);
    while tick(&mut ticks, &mut stopped).await {
        expire_clients(&broker);
        broker.locks.expire();
        let now = broker.clock.mono_ms();
        let totals = broker.figures.totals(now);
        broker.rates.sample(now, totals.put.saturating_sub(totals.put_back), totals.transferred);
    }
}

/// Clients that have been silent for too long are gone.
pub(crate) fn expire_clients(broker: &Broker) {
    let silent_ms = u64::try_from(broker.settings.load().broker.channel_expired_timeout).unwrap_or(120_000);
    let departures = broker.consumers.expire(silent_ms);
    let silent = broker.producers.expire(silent_ms);
    for id in departures.close.iter().chain(&silent) {
        if let Some(conn) = broker.connections.get(*id) {
            tracing::warn!(peer = %conn.peer(), "client has been silent for too long: connection closed");
            conn.close();
        }
    }
    for (id, group) in &departures.left {
        tracing::info!(connection = id, group = &**group, "consumer has left: it was silent for too long");
    }
    broker.filters.emptied(&departures.emptied);
    broker.filters.clean(broker.settings.load().broker.filter_data_clean_time_span);
    notify::consumers_changed(broker, &departures.notices);
}

async fn books(broker: Arc<Broker>, mut stopped: watch::Receiver<bool>) {
    let mut ticks = every(SAVE_TICK);
    let mut offsets_due_ms = 0;
    let mut read_only = false;
    loop {
        let ticked = tokio::select! {
            _ = ticks.tick() => true,
            () = broker.persist.notified() => false,
            () = told(&mut stopped) => return,
        };
        let now = broker.clock.mono_ms();
        let mut with_offsets = false;
        let mut sync = false;
        if ticked {
            if !read_only && broker.store.poisoned().is_some() {
                // Producers are to go elsewhere.
                read_only = true;
                broker.register.notify_one();
            }
            broker.figures.sample(now);
            broker.figures.midnight(local_day(broker.clock.wall_ms()), now);
            sync = observe(&broker);
            if now >= offsets_due_ms {
                with_offsets = true;
                offsets_due_ms =
                    now + broker.offsets.save_interval_ms().saturating_sub(SAVE_TICK.as_millis() as u64 / 2);
            }
        }
        let saving = Arc::clone(&broker);
        let saved = tokio::task::spawn_blocking(move || {
            if sync && saving.store.flush().is_ok() {
                observe(&saving);
            }
            save(&saving, with_offsets);
        });
        if saved.await.is_err() {
            tracing::error!("saving the configuration files panicked");
        }
    }
}

async fn cleaning(broker: Arc<Broker>, mut stopped: watch::Receiver<bool>) {
    let period = u64::try_from(broker.settings.load().store.clean_resource_interval).unwrap_or(10_000);
    let mut ticks = tokio::time::interval_at(
        tokio::time::Instant::now() + CLEAN_FIRST,
        Duration::from_millis(period.max(100)),
    );
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = broker.clean.notified() => {}
            () = tokio::time::sleep(CLEAN_FULL), if broker.store.refuses_by_space() => {}
            () = told(&mut stopped) => return,
        }
        let (cleaning, stop) = (Arc::clone(&broker), stopped.clone());
        let round = tokio::task::spawn_blocking(move || clean(&cleaning, &stop));
        if round.await.is_err() {
            tracing::error!("looking at old files panicked");
        }
        // While the disk is full every send asks.
        tokio::select! {
            () = tokio::time::sleep(CLEAN_ASKED) => {}
            () = told(&mut stopped) => return,
        }
    }
}

/// One look at old files. A stop ends its pauses.
fn clean(broker: &Broker, stopped: &watch::Receiver<bool>) {
    let mut wait = |pause: Duration| {
        let end = std::time::Instant::now() + pause;
        while !*stopped.borrow() && std::time::Instant::now() < end {
            std::thread::sleep(pause.min(Duration::from_millis(50)));
        }
        !*stopped.borrow()
    };
    let settings = broker.settings.load_full();
    if let Err(error) = broker.cleanup.round(&broker.store, &settings, broker.clock.wall_ms(), &mut wait) {
        tracing::error!(%error, "remove old files: it is tried again");
    }
}

/// The number of the day where the broker stands: `brokerStatus` counts messages from its midnight.
fn local_day(wall_ms: i64) -> i64 {
    let Ok(now) = jiff::Timestamp::from_millisecond(wall_ms) else { return 0 };
    let offset = jiff::tz::TimeZone::system().to_offset(now).seconds();
    (wall_ms.div_euclid(1000) + i64::from(offset)).div_euclid(86_400)
}

/// Compares how far the delay levels are delivered with how far the log is synced: [`Progress::observe`].
///
/// [`Progress::observe`]: crate::services::progress::Progress::observe
pub fn observe(broker: &Broker) -> bool {
    broker.progress.observe(|| (broker.store.written(), broker.store.flushed()))
}

/// Writes every file of `config/` that has changed.
pub fn save_all(broker: &Broker) {
    save(broker, true);
}

pub(crate) fn save(broker: &Broker, with_offsets: bool) {
    let report = |name: &str, result: std::io::Result<bool>| {
        if let Err(error) = result {
            tracing::error!(file = name, %error, "save configuration: it is tried again");
        }
    };
    report("topicQueueMapping.json", broker.mappings.save());
    report("topics.json", broker.topics.save());
    report("subscriptionGroup.json", broker.groups.save());
    report("delayOffset.json", broker.progress.save());
    report("consumerFilter.json", broker.filters.save());
    if let Some(timer) = broker.timer.get() {
        report("timermetrics", timer.metrics.save());
    }
    if with_offsets {
        report("consumerOffset.json", broker.offsets.save());
    }
}
