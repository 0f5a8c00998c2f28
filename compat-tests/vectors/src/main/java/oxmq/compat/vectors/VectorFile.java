package oxmq.compat.vectors;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/** One JSON file of vectors, written the same way each time: one key a line, in the order the vectors were added. */
final class VectorFile {
    private final String about;
    private final List<Map<String, Object>> vectors = new ArrayList<>();
    private final TreeSet<String> names = new TreeSet<>();

    VectorFile(String about) {
        this.about = about;
    }

    /** Adds a vector; names are unique in a file. The caller fills in what else belongs to it. */
    Map<String, Object> add(String name, String meaning) {
        if (!names.add(name)) {
            throw new IllegalStateException("second vector named " + name);
        }
        Map<String, Object> vector = new LinkedHashMap<>();
        vector.put("name", name);
        vector.put("meaning", meaning);
        vectors.add(vector);
        return vector;
    }

    int size() {
        return vectors.size();
    }

    void write(Path file) throws IOException {
        StringBuilder out = new StringBuilder("{\n\"source\": \"Apache RocketMQ 5.5.0\",\n\"about\": ");
        string(out, about);
        out.append(",\n\"vectors\": [");
        String separator = "\n";
        for (Map<String, Object> vector : vectors) {
            out.append(separator).append("{");
            String comma = "\n";
            for (Map.Entry<String, Object> e : vector.entrySet()) {
                out.append(comma).append(" ");
                string(out, e.getKey());
                out.append(": ");
                value(out, e.getValue());
                comma = ",\n";
            }
            out.append("\n}");
            separator = ",\n";
        }
        out.append("\n]\n}\n");
        Files.writeString(file, out, StandardCharsets.UTF_8);
    }

    /** One vector as one line. */
    static void line(StringBuilder out, Map<String, Object> vector) {
        value(out, vector);
        out.append('\n');
    }

    static String hex(byte[] bytes) {
        return HexFormat.of().formatHex(bytes);
    }

    private static void value(StringBuilder out, Object value) {
        if (value == null || value instanceof Number || value instanceof Boolean) {
            out.append(value);
        } else if (value instanceof byte[]) {
            string(out, hex((byte[]) value));
        } else if (value instanceof Map) {
            out.append("{");
            String comma = "";
            for (Map.Entry<?, ?> e : ((Map<?, ?>) value).entrySet()) {
                out.append(comma);
                string(out, String.valueOf(e.getKey()));
                out.append(": ");
                value(out, e.getValue());
                comma = ", ";
            }
            out.append("}");
        } else if (value instanceof Iterable) {
            out.append("[");
            String comma = "";
            for (Object o : (Iterable<?>) value) {
                out.append(comma);
                value(out, o);
                comma = ", ";
            }
            out.append("]");
        } else {
            string(out, value.toString());
        }
    }

    /** ASCII only, so that the file is the same to every reader; characters beyond it are escaped. */
    private static void string(StringBuilder out, String s) {
        out.append('"');
        for (int i = 0; i < s.length(); i++) {
            char c = s.charAt(i);
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < 0x20 || c > 0x7e) {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }
}
