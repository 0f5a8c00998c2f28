//! Appending: laid out outside the lock, placed under it.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use oxmq_protocol::message::record::{self, BLANK_LEN, Record};
use oxmq_protocol::message::{names, properties, sysflag, topic};

use crate::api::{Appended, Draft, TagsCode};
use crate::commitlog::is_full;
use crate::core::{Core, Threads};
use crate::error::AppendError;
use crate::format::batch_unit::COUNT_MAX;
use crate::format::unit::Unit;
use crate::queue::Queue;

thread_local! {
    /// Where this thread lays records out. Kept, so that an append allocates nothing.
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch { bytes: Vec::new(), sizes: Vec::new() }) };
}

/// A bigger scratch than this is given back after use.
const SCRATCH_KEPT: usize = 1 << 20;

struct Scratch {
    bytes: Vec<u8>,
    /// Size of each record and where its store time goes.
    sizes: Vec<(u32, u32)>,
}

/// The properties without a CRC that somebody may have put there, with room for the one to come.
fn with_crc_room(properties: &[u8], separate: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(properties.len() + record::PROPERTY_CRC_LEN + 1);
    let name = [names::CRC32.as_bytes(), &[properties::NAME_VALUE]].concat();
    match separate {
        false => out.extend_from_slice(properties),
        true => {
            properties
                .split_inclusive(|b| *b == properties::PROPERTY)
                .filter(|piece| !piece.starts_with(&name))
                .for_each(|piece| out.extend_from_slice(piece));
            if out.last().is_some_and(|b| *b != properties::PROPERTY) {
                out.push(properties::PROPERTY);
            }
        }
    }
    out.resize(out.len() + record::PROPERTY_CRC_LEN, 0);
    out
}

impl Core {
    /// Appends `drafts` to one file with consecutive offsets, or none of them. `each` is told where each lies.
    pub(crate) fn append(
        &self,
        queue: &Arc<Queue>,
        drafts: &[Draft<'_>],
        batch: bool,
        mut each: impl FnMut(Appended),
    ) -> Result<(), AppendError> {
        if drafts.is_empty() {
            return Ok(());
        }
        if drafts.iter().any(|d| d.sys_flag & sysflag::INNER_BATCH != 0) {
            return Err(AppendError::InnerBatch);
        }
        let order = queue.order();
        // A batch's properties go without the separator that they may lack, as in Apache's.
        let moved = self.append_in_order(queue, drafts, 1, !batch, &mut each);
        drop(order);
        self.appended(queue, moved)
    }

    /// Appends a record that holds `count` messages to a batch queue; its flags and the properties that say so are added.
    pub(crate) fn append_inner(
        &self,
        queue: &Arc<Queue>,
        draft: &Draft<'_>,
        count: u16,
        mut each: impl FnMut(Appended),
    ) -> Result<(), AppendError> {
        if !queue.is_batch() || draft.no_queue || !(1..=COUNT_MAX).contains(&count) {
            return Err(AppendError::InnerBatch);
        }
        let order = queue.order();
        let mut props = draft.properties.to_vec();
        properties::append(&mut props, names::INNER_NUM, count.to_string().as_bytes());
        properties::append(&mut props, names::INNER_BASE, queue.next_offset().to_string().as_bytes());
        let sys_flag = draft.sys_flag | sysflag::NEED_UNWRAP | sysflag::INNER_BATCH;
        let draft = Draft { sys_flag, properties: &props, ..*draft };
        let moved = self.append_in_order(queue, &[draft], count, true, &mut each);
        drop(order);
        self.appended(queue, moved)
    }

    /// The queue's [`Queue::order`] is held. Each draft takes `count` offsets.
    fn append_in_order(
        &self,
        queue: &Arc<Queue>,
        drafts: &[Draft<'_>],
        count: u16,
        separate: bool,
        each: &mut impl FnMut(Appended),
    ) -> Result<Option<i64>, AppendError> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.bytes.clear();
            scratch.sizes.clear();
            for draft in drafts {
                match self.options.append_property_crc {
                    false => self.lay_out(scratch, draft)?,
                    true => {
                        let properties = with_crc_room(draft.properties, separate);
                        self.lay_out(scratch, &Draft { properties: &properties, ..*draft })?;
                    }
                }
            }
            let moved = self.place(queue, drafts, count, scratch, each);
            if scratch.bytes.capacity() > SCRATCH_KEPT {
                scratch.bytes = Vec::new();
            }
            moved
        })
    }

    /// Tells those who want to know. `moved` is the queue's new visible end, where it moved.
    fn appended(
        &self,
        queue: &Arc<Queue>,
        moved: Result<Option<i64>, AppendError>,
    ) -> Result<(), AppendError> {
        if let Err(AppendError::Poisoned(_)) = &moved {
            self.fail_waiters();
        }
        let moved = moved?;
        // Outside of lock and scratch: the listener may do what it likes.
        if let (Some(end), Some(listener)) = (moved, self.listener.get()) {
            listener.visible(queue, end);
        }
        if self.is_sync() {
            self.threads.wake_flush();
        }
        Ok(())
    }

    /// Checks the draft and appends its record to the scratch; offset, position and store time come later.
    fn lay_out(&self, scratch: &mut Scratch, draft: &Draft<'_>) -> Result<(), AppendError> {
        let (body, body_max) = (draft.body.len(), self.options.max_message_bytes);
        if body > body_max {
            return Err(AppendError::BodyTooLarge { len: body, max: body_max });
        }
        let (len, max) = (draft.properties.len(), properties::LEN_MAX);
        if len > max {
            return Err(AppendError::PropertiesTooLong { len, max });
        }
        if draft.topic.is_empty() || draft.topic.len() > topic::RETRY_OR_DLQ_LEN_MAX {
            return Err(AppendError::Topic);
        }
        let record = Record {
            queue_id: draft.queue_id,
            flag: draft.flag,
            queue_offset: 0,
            physical_offset: 0,
            sys_flag: draft.sys_flag,
            born_timestamp: draft.born_ts,
            born_host: draft.born_host,
            store_timestamp: 0,
            store_host: draft.store_host,
            reconsume_times: draft.reconsume_times,
            prepared_tx_offset: draft.prepared_tx_offset,
            body: draft.body,
            topic: draft.topic,
            properties: draft.properties,
        };
        let before = scratch.bytes.len();
        record.encode(&mut scratch.bytes);
        let size = scratch.bytes.len() - before;
        let max = self.options.record_bytes_max();
        if size > max {
            return Err(AppendError::RecordTooLarge { len: size, max });
        }
        scratch.sizes.push((size as u32, record::store_timestamp_at(record.sys_flag()) as u32));
        Ok(())
    }

    /// Under the log's lock: offset, position, store time, copy, units. Answers the queue's new visible end where it
    /// moved at once.
    fn place(
        &self,
        queue: &Arc<Queue>,
        drafts: &[Draft<'_>],
        count: u16,
        scratch: &mut Scratch,
        each: &mut impl FnMut(Appended),
    ) -> Result<Option<i64>, AppendError> {
        let len = scratch.bytes.len();
        let max = (self.log.file_len as usize).saturating_sub(BLANK_LEN);
        if len > max {
            return Err(AppendError::RecordTooLarge { len, max });
        }
        let units = drafts.iter().filter(|d| !d.no_queue).count();
        if units > 0 && !queue.storable {
            return Err(AppendError::Topic);
        }
        let held = self.log.hold(|| self.clock.wall_ms());
        let (mut tail, now) = held.ok_or_else(|| AppendError::Busy { held_ms: self.append_held_ms() })?;
        self.writable(queue)?;
        // What can fail comes first, so that a failed append consumes no offset.
        if units > 0 {
            queue.make_room(&self.files, units).map_err(|e| match is_full(&e) {
                true => self.refuse("write a consume queue", e),
                false => AppendError::Poisoned(self.poison_untold("write a consume queue", &e)),
            })?;
        }
        self.log.make_room(&mut tail, len).map_err(|e| self.refuse("prepare the log", e))?;
        let store_ts = now.max(tail.last_ts);
        let mut at = 0;
        for (draft, (size, ts_at)) in drafts.iter().zip(&scratch.sizes) {
            let phy = tail.pos + at as u64;
            let queue_offset = if draft.no_queue {
                0
            } else {
                let tags_code = match draft.tags_code {
                    TagsCode::Value(code) => code,
                    // A clock that was set back makes no delay longer.
                    TagsCode::DeliverAt { delay_ms } => now.saturating_add(delay_ms),
                };
                queue.push_messages(Unit { phy, size: *size, tags_code }, count, store_ts)
            };
            let bytes = &mut scratch.bytes[at..at + *size as usize];
            bytes[record::QUEUE_OFFSET..][..8].copy_from_slice(&queue_offset.to_be_bytes());
            bytes[record::PHYSICAL_OFFSET..][..8].copy_from_slice(&phy.to_be_bytes());
            bytes[*ts_at as usize..][..8].copy_from_slice(&store_ts.to_be_bytes());
            if self.options.append_property_crc {
                record::put_property_crc(bytes);
            }
            each(Appended { phy, size: *size, queue_offset, store_ts });
            tail.last_record = phy;
            at += *size as usize;
        }
        tail.last_ts = store_ts;
        self.log.write(&mut tail, &scratch.bytes);
        if units > 0 {
            // Before `written` moves: who sees a position finds the queue on the lists.
            Self::enlist(&self.dirty, &queue.dirty, queue);
            if !self.show_unflushed {
                Self::enlist(&self.pending, &queue.pending, queue);
            }
        }
        let end = tail.pos + len as u64;
        let wake = self.log.publish(&mut tail, end);
        let mut moved = None;
        if units > 0 && self.show_unflushed {
            moved = Some(queue.show_all());
        }
        drop(tail);
        if wake {
            Threads::wake(&self.threads.prepare);
        }
        Ok(moved)
    }

    /// See [`crate::Store::append_held_ms`].
    pub(crate) fn append_held_ms(&self) -> u64 {
        self.log.held_ms(|| self.clock.wall_ms())
    }

    fn writable(&self, queue: &Queue) -> Result<(), AppendError> {
        if let Some(reason) = self.poison.reason() {
            return Err(AppendError::Poisoned(reason));
        }
        if self.stopping.load(Ordering::Acquire) {
            return Err(AppendError::ShutDown);
        }
        if queue.is_deleted() {
            return Err(AppendError::QueueDeleted);
        }
        if self.retention.refuses() {
            return Err(AppendError::SpaceLow);
        }
        Ok(())
    }

    /// A full disk is reversible; other errors of preparing are told as they are, and tried again by the next append.
    fn refuse(&self, what: &'static str, error: io::Error) -> AppendError {
        tracing::warn!(what, %error, "append refused");
        if is_full(&error) {
            AppendError::DiskFull(Arc::new(error))
        } else {
            AppendError::Io(Arc::new(error))
        }
    }
}
