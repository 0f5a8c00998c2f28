package oxmq.compat.store;

/**
 * What the files of a folder are made with.
 *
 * @param commitLog  bytes of a CommitLog file
 * @param queue      bytes of a ConsumeQueue file
 * @param batchQueue bytes of a batch ConsumeQueue file
 * @param slots      slots of an index file
 * @param entries    entries of an index file
 * @param crc        enabledAppendPropCRC
 */
record Sizes(int commitLog, int queue, int batchQueue, int slots, int entries, boolean crc) {
}
