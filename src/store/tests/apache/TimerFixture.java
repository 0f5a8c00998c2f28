import java.io.File;
import java.io.RandomAccessFile;
import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.concurrent.atomic.AtomicLong;

import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.store.config.MessageStoreConfig;
import org.apache.rocketmq.store.timer.TimerCheckpoint;
import org.apache.rocketmq.store.timer.TimerLog;
import org.apache.rocketmq.store.timer.TimerMessageStore;
import org.apache.rocketmq.store.timer.TimerWheel;

/**
 * Prints the bytes of timer files that Apache's own classes write: the golden values of src/format/timer.rs.
 *
 *   java -cp 'lib/*' TimerFixture.java DIR
 *
 * lib: the jars of rocketmq-broker 5.5.0 and what it needs.
 */
public class TimerFixture {
    static final long WRITE_MS = 1_700_000_000_000L;

    public static void main(String[] args) throws Exception {
        File dir = new File(args[0]);
        dir.mkdirs();
        MessageStoreConfig config = new MessageStoreConfig();
        config.setStorePathRootDir(dir.getPath());
        // Two units and a filler a file.
        config.setMappedFileSizeTimerLog(2 * TimerLog.UNIT_SIZE + 30);
        TimerCheckpoint checkpoint = new TimerCheckpoint(dir + "/config/timercheck");
        TimerMessageStore timer = new TimerMessageStore(null, config, checkpoint, null, null);
        Field now = TimerMessageStore.class.getDeclaredField("currWriteTimeMs");
        now.setAccessible(true);
        now.set(timer, WRITE_MS);

        MessageExt message = new MessageExt();
        MessageAccessor.putProperty(message, "REAL_TOPIC", "TA");
        long due = WRITE_MS + 60_000;
        timer.doEnqueue(1000, 200, due, message, true);
        timer.doEnqueue(1200, 210, due, message, true);
        timer.doEnqueue(1410, 220, WRITE_MS + 3 * 86_400_000L, message, true);
        MessageExt cancel = new MessageExt();
        MessageAccessor.putProperty(cancel, "REAL_TOPIC", "TA");
        MessageAccessor.putProperty(cancel, TimerMessageStore.TIMER_DELETE_UNIQUE_KEY, "K");
        timer.doEnqueue(1630, 230, due, cancel, true);

        TimerWheel wheel = timer.getTimerWheel();
        wheel.flush();
        timer.getTimerLog().getMappedFileQueue().flush(0);
        checkpoint.setLastReadTimeMs(WRITE_MS);
        checkpoint.setLastTimerLogFlushPos(320);
        checkpoint.setLastTimerQueueOffset(4);
        checkpoint.setMasterTimerQueueOffset(5);
        checkpoint.getDataVersion().setStateVersion(6);
        checkpoint.getDataVersion().setTimestamp(7);
        checkpoint.getDataVersion().setCounter(new AtomicLong(8));
        checkpoint.flush();

        System.out.println("blank magic " + Integer.toHexString(TimerLog.BLANK_MAGIC_CODE));
        System.out.println("slots " + wheel.slotsTotal * 2 + ", slot of " + due + ": " + wheel.getSlotIndex(due));
        try (RandomAccessFile file = new RandomAccessFile(dir + "/timerwheel", "r")) {
            byte[] slot = new byte[32];
            for (int i = 0; i < wheel.slotsTotal * 2; i++) {
                file.readFully(slot);
                if (ByteBuffer.wrap(slot).getLong() != 0) {
                    System.out.println("slot " + i + " " + HexFormat.of().formatHex(slot));
                }
            }
        }
        for (File file : new File(dir, "timerlog").listFiles()) {
            byte[] all = java.nio.file.Files.readAllBytes(file.toPath());
            System.out.println("log " + file.getName() + " " + HexFormat.of().formatHex(all));
        }
        byte[] check = java.nio.file.Files.readAllBytes(new File(dir, "config/timercheck").toPath());
        System.out.println("timercheck " + check.length + " " + HexFormat.of().formatHex(check, 0, 64));
        System.exit(0);
    }
}
