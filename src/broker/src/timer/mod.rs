//! Messages with a delivery time of their own: what a send makes of them, and the thread that drives
//! [`oxmq_store::timer::Timer`]. Java: `HookUtils.handleScheduleMessage`, `TimerMessageStore`.

mod host;
pub mod metrics;
mod place;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use oxmq_store::io::RealDisk;
use oxmq_store::timer::{Stops, Timer, TimerError, TimerFigures, TimerOptions};
use parking_lot::Mutex;

use crate::Broker;
use host::Host;
use metrics::Metrics;

pub use place::{TimerPlace, place};

/// How often the wheel is looked at.
const TICK: Duration = Duration::from_millis(100);
/// Pause after something failed.
const AFTER_ERROR: Duration = Duration::from_millis(500);
/// How often files of the log are looked at that have expired.
const EXPIRE_MS: u64 = 30_000;
/// Over how long rates are taken.
const RATE_MS: u64 = 3_000;

/// What processors may see.
pub struct Shared {
    /// How far the wheel is.
    pub figures: Arc<TimerFigures>,
    /// Messages that wait, by topic.
    pub metrics: Metrics,
    /// Messages a second: into the wheel, out of it.
    rates: Mutex<(f64, f64)>,
}

impl Shared {
    /// Messages a second of late: into the wheel, out of it.
    pub fn rates(&self) -> (f64, f64) {
        *self.rates.lock()
    }
}

/// The wheel, opened; nothing is delivered yet.
pub struct Opened {
    timer: Timer,
    host: Host,
}

impl Opened {
    /// Opens the wheel and puts it in line with the log. Blocks on the disk. Afterwards `broker.timer` has the figures.
    pub fn open(broker: &Arc<Broker>, metrics: Metrics) -> Result<Self, TimerError> {
        let settings = broker.settings.load();
        let store = &settings.store;
        let options = TimerOptions {
            log_file_bytes: u64::try_from(store.mapped_file_size_timer_log).unwrap_or(0),
            precision_ms: i64::from(store.timer_precision_ms),
            roll_window_slots: i64::from(store.timer_roll_window_slot),
            ..TimerOptions::new(&store.store_path_root_dir, Arc::new(RealDisk))
        };
        // What was recovered is on the disk, so that a first checkpoint need not wait.
        if let Err(error) = broker.store.flush() {
            tracing::error!(%error, "flush the log");
        }
        let mut host = Host::new(Arc::clone(broker));
        let mut timer = Timer::open(options, broker.clock.wall_ms(), &mut host)?;
        let until = host.learn_delivered(timer.delivered_from());
        timer.remember_delivered(until);
        let shared = Shared { figures: Arc::clone(timer.figures()), metrics, rates: Mutex::default() };
        // The broker has one timer: it is opened once.
        let _ = broker.timer.set(shared);
        Ok(Self { timer, host })
    }
}

/// The running thread.
pub struct Delivery {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Opened>>,
}

impl Delivery {
    /// Starts delivering.
    pub fn start(opened: Opened) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("timer".into()).spawn(move || {
            let mut opened = opened;
            let mut turn = Turn::new(&opened.host.broker);
            while !stopped.load(Ordering::Acquire) {
                let round = AssertUnwindSafe(|| turn.round(&mut opened));
                match catch_unwind(round) {
                    Ok(Some(pause)) => std::thread::park_timeout(pause),
                    Ok(None) => {}
                    Err(_) => {
                        tracing::error!("delivery of timer messages panicked: it goes on");
                        std::thread::park_timeout(AFTER_ERROR);
                    }
                }
            }
            opened
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Stops between two batches.
    pub fn stop(mut self) -> Option<Stopped> {
        self.stop.store(true, Ordering::Release);
        let thread = self.thread.take()?;
        thread.thread().unpark();
        match thread.join() {
            Ok(opened) => Some(Stopped(opened)),
            Err(_) => {
                tracing::error!("the thread that delivers timer messages had panicked");
                None
            }
        }
    }
}

/// A wheel that nothing goes into any more.
pub struct Stopped(Opened);

impl Stopped {
    /// Notes how far it was, after the store was flushed for the last time.
    pub fn close(mut self) {
        let now = self.0.host.broker.clock.wall_ms();
        if let Err(error) = self.0.timer.close(now, &mut self.0.host) {
            tracing::error!(%error, "write config/timercheck: the next start looks closer");
        }
    }
}

/// The wheel without its thread: whoever owns it says when it is looked at.
pub(crate) struct ByHand {
    opened: Opened,
    turn: Turn,
}

impl ByHand {
    pub(crate) fn new(opened: Opened) -> Self {
        let turn = Turn::new(&opened.host.broker);
        Self { opened, turn }
    }

    /// What the thread does before it waits.
    pub(crate) fn rounds(&mut self) {
        while self.turn.round(&mut self.opened).is_none() {}
    }

    /// After the store was flushed for the last time.
    pub(crate) fn close(self) {
        Stopped(self.opened).close();
    }
}

/// What the thread remembers from one round to the next.
struct Turn {
    /// Nothing is delivered before: `disappearTimeAfterStart`. On the clock that cannot be set, or a step back would hold all.
    begin_mono_ms: u64,
    checkpoint_due_ms: u64,
    expire_due_ms: u64,
    /// When rates were taken, and the counts then.
    rates: (u64, u64, u64),
    failing: bool,
}

impl Turn {
    fn new(broker: &Broker) -> Self {
        let now = broker.clock.mono_ms();
        let hold = broker.settings.load().store.disappear_time_after_start;
        Self {
            begin_mono_ms: now.saturating_add(u64::try_from(hold).unwrap_or(0)),
            checkpoint_due_ms: now,
            expire_due_ms: now + EXPIRE_MS,
            rates: (now, 0, 0),
            failing: false,
        }
    }

    /// One round; how long to wait for the next, or not at all.
    fn round(&mut self, opened: &mut Opened) -> Option<Duration> {
        let broker = Arc::clone(&opened.host.broker);
        let settings = broker.settings.load();
        let now_ms = broker.clock.wall_ms();
        let stops = Stops {
            enqueue: settings.store.timer_stop_enqueue,
            dequeue: settings.store.timer_stop_dequeue || broker.clock.mono_ms() < self.begin_mono_ms,
        };
        let round = opened.timer.round(now_ms, stops, &mut opened.host);
        opened.host.forget_delivered(opened.timer.figures());
        let kept =
            self.keep_books(opened, u64::try_from(settings.store.timer_flush_interval_ms).unwrap_or(1000));
        match round.and_then(|more| kept.map(|()| more)) {
            Ok(more) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("timer messages are delivered again");
                }
                let precision = i64::from(settings.store.timer_precision_ms.max(1));
                let next = u64::try_from(precision - now_ms.rem_euclid(precision)).unwrap_or(1);
                (!more).then(|| TICK.min(Duration::from_millis(next)))
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(%error, "timer messages wait: it is tried again");
                }
                Some(AFTER_ERROR)
            }
        }
    }

    fn keep_books(&mut self, opened: &mut Opened, interval_ms: u64) -> Result<(), TimerError> {
        let broker = Arc::clone(&opened.host.broker);
        let now = broker.clock.mono_ms();
        let (at, entered, delivered) = self.rates;
        if let Some(shared) = broker.timer.get()
            && now >= at + RATE_MS
        {
            let seconds = (now - at) as f64 / 1000.0;
            let count = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
            let counts = (count(&shared.figures.entered), count(&shared.figures.delivered));
            *shared.rates.lock() =
                ((counts.0 - entered) as f64 / seconds, (counts.1 - delivered) as f64 / seconds);
            self.rates = (now, counts.0, counts.1);
        }
        if now >= self.checkpoint_due_ms {
            self.checkpoint_due_ms = now + interval_ms;
            // ASYNC_FLUSH lets the end of a quiet log wait for 10 s, and Apache's broker, started after a kill meanwhile, would
            // put all of that into the wheel a second time.
            if opened.timer.waits_for_log() && broker.store.flush().is_err() {
                tracing::debug!("the timer's checkpoint waits: the log cannot be synced");
            }
            opened.timer.checkpoint(broker.clock.wall_ms(), &mut opened.host)?;
        }
        if now >= self.expire_due_ms {
            self.expire_due_ms = now + EXPIRE_MS;
            opened.timer.expire(&mut opened.host)?;
        }
        Ok(())
    }
}
