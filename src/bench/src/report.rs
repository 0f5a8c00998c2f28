//! One line a measurement.

use crate::load::Outcome;

/// Prints a heading for [`line`].
pub fn heading() {
    println!(
        "{:<34}{:>12}{:>14}{:>10}{:>10}{:>10}",
        "", "messages/s", "server µs/msg", "p50 µs", "p99 µs", "p99.9 µs"
    );
}

/// Prints what a run has shown.
pub fn line(what: &str, o: &Outcome) {
    let rate = o.messages as f64 / o.elapsed.as_secs_f64();
    println!("{what:<34}{rate:>12.0}{:>14.2}{:>10}{:>10}{:>10}", o.cpu_us(), o.p50_us, o.p99_us, o.p999_us);
}
