//! What becomes of a message with a delivery time when it is sent. Java: `HookUtils.transformTimerMessage`.

use oxmq_protocol::code::ResponseCode as Code;
use oxmq_protocol::message::{names, properties};

use crate::Broker;
use crate::broker::Settings;
use crate::reply::Reply;

/// Where a message with a delivery time goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimerPlace {
    /// Its time is over: where it was sent.
    AtOnce,
    /// The timer topic; its slot, ms.
    Wheel(i64),
}

/// Where a message with these properties goes; it has one of TIMER_DELAY_SEC, TIMER_DELAY_MS, TIMER_DELIVER_MS, no level,
/// and no TIMER_OUT_MS.
pub fn place(broker: &Broker, settings: &Settings, props: &[u8]) -> Result<TimerPlace, Reply> {
    let store = &settings.store;
    let Some(timer) = broker.timer.get() else {
        let remark = format!(
            "accurate timer message is not enabled, timerWheelEnable is {}",
            store.timer_wheel_enable
        );
        return Err(Reply::system_error(remark));
    };
    let now = broker.clock.wall_ms();
    let max_ms = i64::from(store.timer_max_delay_sec) * 1000;
    let precision = i64::from(store.timer_precision_ms.max(1));
    let placed = slot_of(props, now, max_ms, precision).ok_or_else(|| {
        let remark = format!(
            "timer message illegal, the delay time should not be bigger than the max delay {max_ms}ms; or if set del msg, \
             the delay time should be bigger than the current time"
        );
        Reply::because(Code::MESSAGE_ILLEGAL, remark)
    })?;
    if let TimerPlace::Wheel(slot) = placed {
        let limit = store.timer_congest_num_each_slot;
        // Only where somebody has set a limit.
        if limit < i32::MAX
            && is_congested(timer.figures.waiting_for(slot), i64::from(limit), || broker.turn())
        {
            return Err(Reply::system_error(format!(
                "timer message is under flow control, max num limit is {} or the current value is greater than {limit} \
                 and less than {}, trigger random flow control",
                i64::from(limit) * 2,
                i64::from(limit) * 2
            )));
        }
    }
    Ok(placed)
}

/// The slot; `None` for a time that is refused.
fn slot_of(props: &[u8], now: i64, max_ms: i64, precision: i64) -> Option<TimerPlace> {
    let [sec, ms, at, cancels] = properties::get_many(
        props,
        [names::TIMER_DELAY_SEC, names::TIMER_DELAY_MS, names::TIMER_DELIVER_MS, names::TIMER_DEL_UNIQKEY],
    );
    let number = |value: &[u8]| std::str::from_utf8(value).ok()?.parse::<i64>().ok();
    let deliver = match (sec, ms, at) {
        // A delay that no time can hold is refused. In 5.5.0 it went around and came at once (Apache #10872).
        (Some(sec), ..) => now.checked_add(number(sec)?.checked_mul(1000)?)?,
        (None, Some(ms), _) => now.checked_add(number(ms)?)?,
        (None, None, Some(at)) => number(at)?,
        (None, None, None) => return None,
    };
    if deliver <= now {
        return if cancels.is_some() { None } else { Some(TimerPlace::AtOnce) };
    }
    if deliver - now > max_ms {
        return None;
    }
    // A slot is dealt with when it is over: a time on a whole second belongs to the one before.
    Some(TimerPlace::Wheel((deliver - 1).div_euclid(precision) * precision))
}

/// Java: TimerMessageStore.isReject, with turns in place of dice.
fn is_congested(waiting: i64, limit: i64, turn: impl FnOnce() -> i32) -> bool {
    if waiting <= limit {
        return false;
    }
    if waiting >= limit * 2 {
        return true;
    }
    let share = (1000.0 * (waiting - limit) as f64 / (limit as f64 + 0.1)) as i64;
    // The more wait, the fewer are refused: so Apache has it.
    i64::from(turn().rem_euclid(1000)) > share
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Now is 10.5 s, at most 100 s, slots of a second.
    #[test]
    fn times_have_slots_that_are_over_when_they_are_due() {
        for (props, slot) in [
            ("TIMER_DELIVER_MS\u{1}12000\u{2}", Some(TimerPlace::Wheel(11_000))),
            ("TIMER_DELIVER_MS\u{1}12001\u{2}", Some(TimerPlace::Wheel(12_000))),
            ("TIMER_DELIVER_MS\u{1}10501\u{2}", Some(TimerPlace::Wheel(10_000))),
            ("TIMER_DELIVER_MS\u{1}10500\u{2}", Some(TimerPlace::AtOnce)),
            ("TIMER_DELIVER_MS\u{1}-5\u{2}", Some(TimerPlace::AtOnce)),
            ("TIMER_DELAY_MS\u{1}500\u{2}TIMER_DELIVER_MS\u{1}1\u{2}", Some(TimerPlace::Wheel(10_000))),
            ("TIMER_DELAY_MS\u{1}500\u{2}TIMER_DELAY_SEC\u{1}2\u{2}", Some(TimerPlace::Wheel(12_000))),
            ("TIMER_DELAY_SEC\u{1}100\u{2}", Some(TimerPlace::Wheel(110_000))),
            ("TIMER_DELAY_SEC\u{1}101\u{2}", None),
            ("TIMER_DELAY_MS\u{1}100001\u{2}", None),
            ("TIMER_DELAY_MS\u{1}1x\u{2}", None),
            ("TIMER_DELAY_SEC\u{1}9223372036854775807\u{2}", None),
            ("TIMER_DELAY_SEC\u{1}9223372036854775\u{2}", None),
            ("TIMER_DELAY_MS\u{1}9223372036854775807\u{2}", None),
            ("TIMER_DELAY_SEC\u{1}-1\u{2}", Some(TimerPlace::AtOnce)),
            ("TIMER_DELAY_MS\u{1}-9223372036854775808\u{2}", Some(TimerPlace::AtOnce)),
            ("TIMER_DELIVER_MS\u{1}9223372036854775807\u{2}", None),
            ("TIMER_DEL_UNIQKEY\u{1}k\u{2}TIMER_DELIVER_MS\u{1}10500\u{2}", None),
            ("TIMER_DEL_UNIQKEY\u{1}k\u{2}TIMER_DELIVER_MS\u{1}10501\u{2}", Some(TimerPlace::Wheel(10_000))),
        ] {
            assert_eq!(slot_of(props.as_bytes(), 10_500, 100_000, 1000), slot, "{props}");
        }
    }

    #[test]
    fn slots_fill_up_to_twice_the_limit() {
        assert!(!is_congested(10, 10, || 999));
        assert!(is_congested(20, 10, || 0));
        assert!(is_congested(11, 10, || 999) && !is_congested(11, 10, || 50));
    }
}
