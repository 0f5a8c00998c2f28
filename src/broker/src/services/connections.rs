//! Open connections by id: how services, which know ids alone, get at the connection that they mean.

use std::collections::HashMap;

use oxmq_remoting::Conn;
use parking_lot::RwLock;

/// Open connections of both ports.
#[derive(Debug, Default)]
pub struct Connections {
    open: RwLock<HashMap<u64, Conn>>,
}

impl Connections {
    /// A connection was accepted.
    pub fn opened(&self, conn: &Conn) {
        self.open.write().insert(conn.id(), conn.clone());
    }

    /// A connection is gone.
    pub fn closed(&self, conn: &Conn) {
        self.open.write().remove(&conn.id());
    }

    /// The connection with this id, if it is still open.
    pub fn get(&self, id: u64) -> Option<Conn> {
        self.open.read().get(&id).cloned()
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.read().len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
