package oxmq.compat.vectors;

import java.io.File;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.jar.JarFile;
import org.apache.rocketmq.common.action.RocketMQAction;
import org.apache.rocketmq.remoting.CommandCustomHeader;
import org.apache.rocketmq.remoting.annotation.CFNotNull;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;

/** Every header class of the SDK with sample values: all fields, and the required ones alone. */
final class Headers {
    private Headers() {
    }

    static VectorFile capture() throws Exception {
        VectorFile file = new VectorFile("Every request and response header class of the SDK, in a frame of its own with "
            + "opaque 4711 and no body: 'all' has every field set, 'required' only those the SDK marks as not null. "
            + "Requests have their real code where the class names one, else 9999; responses have code 0.");
        for (Class<?> type : classes("org/apache/rocketmq/remoting/protocol/header/", CommandCustomHeader.class)) {
            one(file, type, false);
            if (Samples.fields(type).stream().anyMatch(f -> f.isAnnotationPresent(CFNotNull.class))) {
                one(file, type, true);
            }
        }
        return file;
    }

    private static void one(VectorFile file, Class<?> type, boolean requiredOnly) throws Exception {
        CommandCustomHeader header = (CommandCustomHeader) new Samples().make(type);
        List<String> required = new ArrayList<>();
        for (Field field : Samples.fields(type)) {
            if (field.isAnnotationPresent(CFNotNull.class)) {
                required.add(field.getName());
            } else if (requiredOnly && !field.getType().isPrimitive() && !Modifier.isFinal(field.getModifiers())) {
                field.set(header, null);
            }
        }
        boolean response = type.getSimpleName().endsWith("ResponseHeader");
        RocketMQAction action = type.getAnnotation(RocketMQAction.class);
        int code = response ? 0 : action == null ? 9999 : action.value();
        RemotingCommand command = response ? Frame.response(code, null, header) : Frame.request(code, header);
        Map<String, Object> vector = file.add(type.getSimpleName() + (requiredOnly ? "/required" : "/all"),
            requiredOnly ? "only the required fields (and primitives, which always travel)" : "every field set");
        vector.put("kind", response ? "response" : "request");
        vector.put("class", type.getName());
        vector.put("required", required);
        Frame.describe(vector, command);
    }

    /** Concrete classes below a package of the remoting jar that have the given super type, by name. */
    static List<Class<?>> classes(String folder, Class<?> superType) throws Exception {
        File jar = new File(RemotingCommand.class.getProtectionDomain().getCodeSource().getLocation().toURI());
        List<Class<?>> found = new ArrayList<>();
        try (JarFile entries = new JarFile(jar)) {
            TreeSet<String> names = new TreeSet<>();
            entries.stream().map(e -> e.getName()).filter(n -> n.startsWith(folder) && n.endsWith(".class"))
                .forEach(names::add);
            for (String name : names) {
                Class<?> type = Class.forName(name.replace('/', '.').substring(0, name.length() - 6));
                if (superType.isAssignableFrom(type) && !type.isInterface() && !Modifier.isAbstract(type.getModifiers())) {
                    found.add(type);
                }
            }
        }
        return found;
    }
}
