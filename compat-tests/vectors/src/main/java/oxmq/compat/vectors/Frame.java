package oxmq.compat.vectors;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.remoting.CommandCustomHeader;
import org.apache.rocketmq.remoting.protocol.LanguageCode;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.SerializeType;

/** Commands with everything fixed that the SDK takes from its process, and their bytes as its connections write them. */
final class Frame {
    static final int OPAQUE = 4711;
    /** MQVersion ordinal of 5.5.0. */
    static final int VERSION = 513;

    private Frame() {
    }

    static RemotingCommand request(int code, CommandCustomHeader header) {
        return fix(RemotingCommand.createRequestCommand(code, header));
    }

    static RemotingCommand response(int code, String remark, CommandCustomHeader header) {
        RemotingCommand response = RemotingCommand.createResponseCommandWithHeader(code, header);
        response.setRemark(remark);
        return fix(response);
    }

    private static RemotingCommand fix(RemotingCommand command) {
        command.setOpaque(OPAQUE);
        command.setVersion(VERSION);
        command.setLanguage(LanguageCode.JAVA);
        return command;
    }

    /** The whole frame, as the SDK's connections encode it. */
    static byte[] bytes(RemotingCommand command, SerializeType type) {
        command.setSerializeTypeCurrentRPC(type);
        ByteBuf out = Unpooled.buffer();
        command.fastEncodeHeader(out);
        if (command.getBody() != null) {
            out.writeBytes(command.getBody());
        }
        byte[] bytes = new byte[out.readableBytes()];
        out.readBytes(bytes);
        return bytes;
    }

    /**
     * The extension fields of a frame, read back by the SDK. Fails when the SDK can't read its own frame or
     * when the frame differs from what it says.
     */
    static Map<String, String> readBack(byte[] frame, RemotingCommand written) throws Exception {
        RemotingCommand read = RemotingCommand.decode(Unpooled.wrappedBuffer(frame, 4, frame.length - 4));
        boolean same = read.getOpaque() == written.getOpaque() && read.getFlag() == written.getFlag()
            && read.getVersion() == written.getVersion()
            && (read.getSerializeTypeCurrentRPC() == SerializeType.ROCKETMQ
                ? (short) written.getCode() == (short) read.getCode() : read.getCode() == written.getCode());
        if (!same) {
            throw new IllegalStateException("read back as " + read + ", written as " + written);
        }
        HashMap<String, String> ext = read.getExtFields();
        return ext == null ? new TreeMap<>() : new TreeMap<>(ext);
    }

    /** Common keys of a vector for this command: its parts, and its bytes in both serializations. */
    static void describe(Map<String, Object> vector, RemotingCommand command) throws Exception {
        // The binary form first: encoding as JSON leaves the fields in the command, and they would be written twice.
        byte[] binary = command.getCode() <= Short.MAX_VALUE ? bytes(command, SerializeType.ROCKETMQ) : null;
        Map<String, String> binaryExt = binary == null ? Map.of() : readBack(binary, command);
        byte[] json = bytes(command, SerializeType.JSON);
        Map<String, String> ext = readBack(json, command);
        if (!ext.keySet().containsAll(binaryExt.keySet())) {
            throw new IllegalStateException("the binary header has more fields: " + binaryExt + " than " + ext);
        }
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("code", command.getCode());
        fields.put("language", "JAVA");
        fields.put("version", command.getVersion());
        fields.put("opaque", command.getOpaque());
        fields.put("flag", command.getFlag());
        fields.put("remark", command.getRemark());
        fields.put("ext", ext);
        fields.put("body", command.getBody() == null ? "" : VectorFile.hex(command.getBody()));
        vector.put("fields", fields);
        vector.put("json", json);
        if (binary != null) {
            // Codes above 32767 do not fit the 16 bits of the binary header.
            vector.put("rocketmq", binary);
            if (!binaryExt.equals(ext)) {
                vector.put("rocketmqExt", binaryExt);
            }
        }
    }
}
