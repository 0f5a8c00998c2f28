//! Versions of clients, which travel as ordinals of Java's `MQVersion.Version`.

/// V3_0_7_SNAPSHOT: the first clients that take RESET_CONSUMER_CLIENT_OFFSET (220) and GET_CONSUMER_STATUS_FROM_CLIENT (221).
pub const V3_0_7_SNAPSHOT: i32 = 28;
/// V3_1_8_SNAPSHOT: the first clients that take GET_CONSUMER_RUNNING_INFO (307) and CONSUME_MESSAGE_DIRECTLY (309).
pub const V3_1_8_SNAPSHOT: i32 = 62;

/// The names of versions 0 to 15, which have no system.
const EARLY: [&str; 16] = [
    "V3_0_0_SNAPSHOT",
    "V3_0_0_ALPHA1",
    "V3_0_0_BETA1",
    "V3_0_0_BETA2",
    "V3_0_0_BETA3",
    "V3_0_0_BETA4",
    "V3_0_0_BETA5",
    "V3_0_0_BETA6_SNAPSHOT",
    "V3_0_0_BETA6",
    "V3_0_0_BETA7_SNAPSHOT",
    "V3_0_0_BETA7",
    "V3_0_0_BETA8_SNAPSHOT",
    "V3_0_0_BETA8",
    "V3_0_0_BETA9_SNAPSHOT",
    "V3_0_0_BETA9",
    "V3_0_0_FINAL",
];

/// The name of a version's ordinal: a snapshot and a release each. Java: `MQVersion.getVersionDesc`.
pub fn name(ordinal: i32) -> String {
    let (first, (major, minor, patch)) = match ordinal {
        ..0 => return ordinal.to_string(),
        0..16 => return EARLY.get(ordinal as usize).copied().unwrap_or_default().to_owned(),
        16..46 => (16, (3, 0, 1 + (ordinal - 16) / 2)),
        46..66 => (46, (3, 1, (ordinal - 46) / 2)),
        66..86 => (66, (3, 2, (ordinal - 66) / 2)),
        // From here to 4.0.0 there is no patch 0.
        86..212 => (86, (3, 3 + (ordinal - 86) / 18, 1 + (ordinal - 86) % 18 / 2)),
        212..612 => (212, (4 + (ordinal - 212) / 200, (ordinal - 212) / 20 % 10, (ordinal - 212) / 2 % 10)),
        _ => return "HIGHER_VERSION".to_owned(),
    };
    let snapshot = if (ordinal - first) % 2 == 0 { "_SNAPSHOT" } else { "" };
    format!("V{major}_{minor}_{patch}{snapshot}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions_have_names() {
        for (ordinal, expected) in [
            (0, "V3_0_0_SNAPSHOT"),
            (15, "V3_0_0_FINAL"),
            (28, "V3_0_7_SNAPSHOT"),
            (37, "V3_0_11"),
            (45, "V3_0_15"),
            (62, "V3_1_8_SNAPSHOT"),
            (79, "V3_2_6"),
            (86, "V3_3_1_SNAPSHOT"),
            (121, "V3_4_9"),
            (137, "V3_5_8"),
            (211, "V3_9_9"),
            (212, "V4_0_0_SNAPSHOT"),
            (317, "V4_5_2"),
            (401, "V4_9_4"),
            (409, "V4_9_8"),
            (413, "V5_0_0"),
            (481, "V5_3_4"),
            (513, "V5_5_0"),
            (611, "V5_9_9"),
            (612, "HIGHER_VERSION"),
            (9999, "HIGHER_VERSION"),
            (-1, "-1"),
        ] {
            assert_eq!(super::name(ordinal), expected, "{ordinal}");
        }
    }
}
