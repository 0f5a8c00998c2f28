//! A broker that is driven by hand: no port, no thread, no clock but the caller's. What runs by itself in a served broker runs here
//! when it is called, on the caller's thread, so that a test's seed alone decides what happens when.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use oxmq_base::clock::SharedClock;
use oxmq_remoting::Loopback;

use crate::broker::{Broker, Settings};
use crate::front::Front;
use crate::start::{self, StartError};
use crate::transaction::check;
use crate::{deliver, timer, upkeep};

/// Such a broker. Dropping it is a kill: nothing is written that was not.
pub struct Driven {
    broker: Arc<Broker>,
    front: Arc<Front>,
    trouble: deliver::Trouble,
    timer: Option<timer::ByHand>,
    check: check::ByHand,
    stop: AtomicBool,
}

impl Driven {
    /// Opens and recovers the store of these settings.
    pub fn open(settings: Settings, clock: SharedClock) -> Result<Self, StartError> {
        let broker = start::still(settings, clock)?;
        deliver::correct(&broker);
        let timer = start::timer_of(&broker)?.map(timer::ByHand::new);
        let check = check::ByHand::new(&broker);
        let front = Arc::new(Front(Arc::clone(&broker)));
        let trouble = deliver::Trouble::default();
        Ok(Self { broker, front, trouble, timer, check, stop: AtomicBool::new(false) })
    }

    /// A client connects.
    pub fn connect(&self, peer: SocketAddr) -> Loopback {
        Loopback::open(self.front.clone(), peer, self.broker.identity.store_host)
    }

    /// The broker.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// What is due of the delay levels is delivered.
    pub fn deliver(&mut self) {
        deliver::deliver_due(&self.broker, &self.stop, &mut self.trouble);
    }

    /// The timer wheel is looked at: what is sent goes into it, what is due is delivered, and its checkpoint is written when it
    /// is time.
    pub fn turn_wheel(&mut self) {
        if let Some(timer) = &mut self.timer {
            timer.rounds();
        }
    }

    /// Ends of transactions are written when it is time, and producers asked for what they have not ended.
    pub fn check_transactions(&mut self) {
        self.check.turn();
    }

    /// Held pulls that have waited long enough are answered; clients that were silent for too long are gone.
    pub fn expire(&mut self) {
        self.broker.waiting.expire(self.broker.clock.mono_ms());
        upkeep::expire_clients(&self.broker);
        self.broker.locks.expire();
    }

    /// What a served broker does each second: the log is flushed, files of `config/` that have changed are written.
    pub fn save(&mut self) -> Result<(), oxmq_store::FlushError> {
        let broker = &self.broker;
        broker.store.flush()?;
        upkeep::observe(broker);
        upkeep::save(broker, true);
        Ok(())
    }

    /// An orderly stop.
    pub fn stop(self) {
        self.check.finish();
        start::close(&self.broker);
        if let Some(timer) = self.timer {
            timer.close();
        }
    }
}
