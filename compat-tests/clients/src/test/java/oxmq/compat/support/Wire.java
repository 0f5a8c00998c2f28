package oxmq.compat.support;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Requests by hand, for what the client does not offer in every release and for answers that it would hide.
 * One connection; one request at a time.
 */
public final class Wire implements AutoCloseable {
    /** An answer: its code, remark, extension fields and body. */
    public record Answer(int code, String remark, Map<String, Object> ext, byte[] body) {
        public String text() {
            return new String(body, StandardCharsets.UTF_8);
        }
    }

    private final Socket socket = new Socket();
    private final DataInputStream in;
    private final DataOutputStream out;
    private int opaque;

    public Wire(String address) throws IOException {
        int colon = address.lastIndexOf(':');
        socket.setTcpNoDelay(true);
        socket.setSoTimeout(10_000);
        socket.connect(new InetSocketAddress(address.substring(0, colon), Integer.parseInt(address.substring(colon + 1))), 3_000);
        in = new DataInputStream(socket.getInputStream());
        out = new DataOutputStream(socket.getOutputStream());
    }

    /** One request over a connection of its own. */
    public static Answer ask(String address, int code, Map<String, String> ext, byte[] body) {
        try (Wire wire = new Wire(address)) {
            return wire.call(code, ext, body);
        } catch (IOException e) {
            throw new IllegalStateException("no answer of " + address + " to " + code + ": " + e, e);
        }
    }

    public synchronized Answer call(int code, Map<String, String> ext, byte[] body) throws IOException {
        StringBuilder header = new StringBuilder("{\"code\":" + code + ",\"extFields\":{");
        String comma = "";
        for (Map.Entry<String, String> e : ext.entrySet()) {
            header.append(comma).append(Json.quote(e.getKey())).append(':').append(Json.quote(e.getValue()));
            comma = ",";
        }
        int id = ++opaque;
        header.append("},\"flag\":0,\"language\":\"JAVA\",\"opaque\":").append(id)
            .append(",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":513}");
        byte[] head = header.toString().getBytes(StandardCharsets.UTF_8);
        out.writeInt(4 + head.length + body.length);
        out.writeInt(head.length);
        out.write(head);
        out.write(body);
        out.flush();
        while (true) {
            byte[] frame = new byte[in.readInt()];
            in.readFully(frame);
            int headLength = (frame[1] & 0xff) << 16 | (frame[2] & 0xff) << 8 | frame[3] & 0xff;
            Map<String, Object> answer = Json.object(new String(frame, 4, headLength, StandardCharsets.UTF_8));
            if (!Long.valueOf(id).equals(answer.get("opaque")) || (((Long) answer.get("flag")) & 1) == 0) {
                // A request of the server to its client.
                asked(answer);
                continue;
            }
            @SuppressWarnings("unchecked")
            Map<String, Object> fields = (Map<String, Object>) answer.getOrDefault("extFields", new LinkedHashMap<>());
            byte[] rest = java.util.Arrays.copyOfRange(frame, 4 + headLength, frame.length);
            return new Answer(((Long) answer.get("code")).intValue(), (String) answer.get("remark"), fields, rest);
        }
    }

    /** Requests that the server has sent unasked: code and consumer group, in order of arrival. */
    private final List<String> asked = new ArrayList<>();

    private void asked(Map<String, Object> header) {
        Object fields = header.get("extFields");
        asked.add(header.get("code") + (fields instanceof Map<?, ?> map && map.get("consumerGroup") != null ? " " + map.get("consumerGroup") : ""));
    }

    /** What the server has sent unasked, once it sends nothing for a moment. */
    public synchronized List<String> asked(int quietMs) throws IOException {
        socket.setSoTimeout(quietMs);
        try {
            while (true) {
                byte[] frame = new byte[in.readInt()];
                socket.setSoTimeout(10_000);
                in.readFully(frame);
                socket.setSoTimeout(quietMs);
                int headLength = (frame[1] & 0xff) << 16 | (frame[2] & 0xff) << 8 | frame[3] & 0xff;
                asked(Json.object(new String(frame, 4, headLength, StandardCharsets.UTF_8)));
            }
        } catch (SocketTimeoutException e) {
            // Quiet.
        } finally {
            socket.setSoTimeout(10_000);
        }
        List<String> all = new ArrayList<>(asked);
        asked.clear();
        return all;
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }

    public static Map<String, String> ext(String... pairs) {
        Map<String, String> map = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) {
            map.put(pairs[i], pairs[i + 1]);
        }
        return map;
    }
}
