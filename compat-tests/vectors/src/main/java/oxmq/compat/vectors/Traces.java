package oxmq.compat.vectors;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.rocketmq.client.AccessChannel;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.trace.TraceBean;
import org.apache.rocketmq.client.trace.TraceContext;
import org.apache.rocketmq.client.trace.TraceDataEncoder;
import org.apache.rocketmq.client.trace.TraceTransferBean;
import org.apache.rocketmq.client.trace.TraceType;
import org.apache.rocketmq.common.message.MessageType;

/** What clients with tracing on write about their messages. */
final class Traces {
    private static final String ID = "7F0000010001070DEA4E000000000000";

    private Traces() {
    }

    static VectorFile capture() {
        VectorFile file = new VectorFile("Bodies of trace messages as the client's encoder writes them, and the words that the message has as KEYS "
            + "(a set). 'fields' is what was put in for each message, by the names that remoting-spec/trace.md gives them.");
        TraceContext pub = context(TraceType.Pub);
        pub.setCostTime(12);
        pub.setSuccess(true);
        bean(pub, 0).setOffsetMsgId("7F00000100002A9F00000000000003E8");
        trace(file, "trace/pub", "a message that was sent", pub);

        TraceContext failed = context(TraceType.Pub);
        failed.setCostTime(3_000);
        failed.setSuccess(false);
        TraceBean lost = bean(failed, 0);
        lost.setOffsetMsgId(null);
        lost.setTags(null);
        lost.setKeys(null);
        lost.setMsgType(MessageType.Delay_Msg);
        trace(file, "trace/pub-failed", "a message that was not sent, without tags and keys: Java writes null", failed);

        TraceContext before = context(TraceType.SubBefore);
        bean(before, 0);
        bean(before, 1).setRetryTimes(2);
        trace(file, "trace/sub-before", "two messages before their consumption: a context each", before);

        TraceContext after = context(TraceType.SubAfter);
        after.setCostTime(7);
        after.setSuccess(true);
        after.setContextCode(0);
        after.setAccessChannel(AccessChannel.LOCAL);
        bean(after, 0);
        trace(file, "trace/sub-after", "a message after its consumption", after);
        after.setAccessChannel(AccessChannel.CLOUD);
        trace(file, "trace/sub-after-cloud", "the same of a client with AccessChannel.CLOUD", after);

        TraceContext end = context(TraceType.EndTransaction);
        TraceBean half = bean(end, 0);
        half.setMsgType(MessageType.Trans_msg_Commit);
        half.setTransactionId(ID);
        half.setTransactionState(LocalTransactionState.COMMIT_MESSAGE);
        half.setFromTransactionCheck(true);
        trace(file, "trace/end-transaction", "the commit of a half message, asked for by a check", end);

        TraceContext recall = context(TraceType.Recall);
        recall.setSuccess(true);
        bean(recall, 0).setKeys(null);
        trace(file, "trace/recall", "a message that was recalled", recall);
        return file;
    }

    private static TraceContext context(TraceType type) {
        TraceContext context = new TraceContext();
        context.setTraceType(type);
        context.setTimeStamp(1_700_000_000_123L);
        context.setRegionId("DefaultRegion");
        context.setGroupName("group");
        context.setRequestId(ID.substring(0, 31) + "9");
        context.setTraceBeans(new ArrayList<>());
        return context;
    }

    private static TraceBean bean(TraceContext context, int n) {
        TraceBean bean = new TraceBean();
        bean.setTopic("TopicTest");
        bean.setMsgId(ID.substring(0, 31) + n);
        bean.setTags("TagA");
        bean.setKeys("order-" + n + " customer");
        bean.setStoreHost("127.0.0.1:10911");
        bean.setBodyLength(10);
        bean.setMsgType(MessageType.Normal_Msg);
        context.getTraceBeans().add(bean);
        return bean;
    }

    private static void trace(VectorFile file, String name, String meaning, TraceContext context) {
        TraceTransferBean trace = TraceDataEncoder.encoderFromContextBean(context);
        int read = TraceDataEncoder.decoderFromTraceDataString(trace.getTransData()).size();
        if (read != context.getTraceBeans().size()) {
            throw new IllegalStateException(name + " reads back as " + read + " contexts");
        }
        Map<String, Object> vector = file.add(name, meaning);
        vector.put("fields", fields(context));
        vector.put("keys", new TreeSet<>(trace.getTransKey()));
        vector.put("text", trace.getTransData());
    }

    private static List<Map<String, Object>> fields(TraceContext context) {
        return context.getTraceBeans().stream().map(bean -> fields(context, bean)).toList();
    }

    private static Map<String, Object> fields(TraceContext context, TraceBean bean) {
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("time", context.getTimeStamp());
        all.put("region", context.getRegionId());
        all.put("group", context.getGroupName());
        all.put("topic", bean.getTopic());
        all.put("unique key", bean.getMsgId());
        all.put("tags", bean.getTags());
        all.put("keys", bean.getKeys());
        all.put("store host", bean.getStoreHost());
        all.put("body length", bean.getBodyLength());
        all.put("cost", context.getCostTime());
        all.put("message type", bean.getMsgType().ordinal());
        all.put("offset id", bean.getOffsetMsgId());
        all.put("success", context.isSuccess());
        all.put("request id", context.getRequestId());
        all.put("retries", bean.getRetryTimes());
        all.put("context code", context.getContextCode());
        all.put("transaction id", bean.getTransactionId());
        all.put("state", bean.getTransactionState() == null ? null : bean.getTransactionState().name());
        all.put("whether by a check", bean.isFromTransactionCheck());
        return all;
    }
}
