//! Faults that must be caught, or the checks prove nothing. A mutant is a lie between client and broker, of the clock or of
//! what is saved: nothing of it is compiled into the product.

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mutant {
    /// Delayed messages are delivered half a second early.
    DeliverEarly,
    /// A send-back is acknowledged and not kept.
    LoseRetry,
    /// A commit is taken for one message more.
    CommitAhead,
    /// Offsets are not saved by a stop.
    ForgetOffsets,
    /// The progress of a delay level is saved ahead of what it delivered.
    ProgressAhead,
    /// A held pull is not woken.
    LoseWakeUp,
    /// A send is stored twice.
    StoreTwice,
    /// Nobody is told that a member has left.
    LeaveUnheard,
    /// A slot of the timer wheel is emptied when it begins.
    RoundDown,
    /// A restart knows nothing of the timer's checkpoint.
    ForgetTimer,
    /// The timer's checkpoint is saved ahead of what is in the wheel.
    TimerAhead,
    /// A recall is acknowledged and does nothing.
    LoseRecall,
    /// A half message is stored as a plain one.
    ShowHalf,
    /// A commit is acknowledged and does nothing.
    LoseCommit,
    /// A restart forgets which halves were ended.
    ForgetOps,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::DeliverEarly,
        Self::LoseRetry,
        Self::CommitAhead,
        Self::ForgetOffsets,
        Self::ProgressAhead,
        Self::LoseWakeUp,
        Self::StoreTwice,
        Self::LeaveUnheard,
        Self::RoundDown,
        Self::ForgetTimer,
        Self::TimerAhead,
        Self::LoseRecall,
        Self::ShowHalf,
        Self::LoseCommit,
        Self::ForgetOps,
    ];
}
