//! The hot path allocates nothing in the steady state.
