//! The state of a nameserver.

use std::collections::HashMap;

use arc_swap::ArcSwap;
use oxmq_base::clock::SharedClock;
use oxmq_base::config::NamesrvSettings;
use oxmq_protocol::frame::SerializeType;
use oxmq_remoting::Conn;
use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc;

use crate::kv::KvConfig;
use crate::routes::{MinIdChange, RegisterError, Registered, Registration, Routes, Rules};

/// What the processors work on.
pub struct Namesrv {
    /// Brokers and topics.
    pub routes: RwLock<Routes>,
    /// The key-value configuration.
    pub kv: KvConfig,
    /// Settings; changed on the thread for changes alone.
    pub settings: ArcSwap<NamesrvSettings>,
    /// How answers are serialized.
    pub serialize: SerializeType,
    /// Time.
    pub clock: SharedClock,
    started_ms: u64,
    /// Connections that brokers have registered by, so that those of silent ones can be closed.
    conns: Mutex<HashMap<u64, Conn>>,
    notices: mpsc::Sender<MinIdChange>,
}

impl std::fmt::Debug for Namesrv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Namesrv").finish_non_exhaustive()
    }
}

impl Namesrv {
    /// A nameserver that knows no broker yet; `notices` takes what brokers are to be told.
    pub fn new(
        settings: NamesrvSettings,
        kv: KvConfig,
        serialize: SerializeType,
        clock: SharedClock,
        notices: mpsc::Sender<MinIdChange>,
    ) -> Self {
        Self {
            routes: RwLock::default(),
            kv,
            settings: ArcSwap::from_pointee(settings),
            serialize,
            started_ms: clock.mono_ms(),
            clock,
            conns: Mutex::default(),
            notices,
        }
    }

    /// Whether so many seconds have passed since the start.
    pub fn has_waited(&self, seconds: i32) -> bool {
        let limit_ms = u64::try_from(seconds).unwrap_or(0) * 1000;
        self.clock.mono_ms().saturating_sub(self.started_ms) >= limit_ms
    }

    /// Registers a broker by a connection.
    pub fn register(&self, conn: &Conn, r: Registration, rules: Rules) -> Result<Registered, RegisterError> {
        let registered = self.routes.write().register(self.clock.mono_ms(), r, rules)?;
        self.conns.lock().entry(conn.id()).or_insert_with(|| conn.clone());
        if !conn.is_open() {
            // It closed while its registration waited for its turn: `closed` may have been before.
            self.closed(conn);
        }
        self.notify(registered.notice.clone());
        Ok(registered)
    }

    /// A connection has ended.
    pub fn closed(&self, conn: &Conn) {
        if self.conns.lock().remove(&conn.id()).is_some() {
            let notices = self.routes.write().closed(conn.id());
            self.notify(notices);
        }
    }

    /// Forgets silent brokers and closes their connections.
    pub fn expire(&self) {
        let gone = self.routes.write().expire(self.clock.mono_ms());
        for conn in gone.conns {
            if let Some(conn) = self.conns.lock().remove(&conn) {
                // Another broker may have registered by it; it registers anew.
                let notices = self.routes.write().closed(conn.id());
                self.notify(notices);
                conn.close();
            }
        }
        self.notify(gone.notices);
    }

    /// Has brokers told of new smallest ids, where the settings ask for it.
    pub fn notify(&self, notices: impl IntoIterator<Item = MinIdChange>) {
        if !self.settings.load().namesrv.notify_min_broker_id_changed {
            return;
        }
        for notice in notices {
            if self.notices.try_send(notice).is_err() {
                tracing::warn!("brokers are not told of a new smallest id: too many such notices wait");
            }
        }
    }
}
