package oxmq.compat.vectors;

import java.lang.reflect.Array;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Fills the fields of any header or body with fixed values, each different from its neighbours, so that two fields
 * that are mixed up show. Collections get one element: the order of hash sets of objects is not fixed in Java.
 */
final class Samples {
    private int next = 1;

    /** Instance fields that travel, super classes first. */
    static List<Field> fields(Class<?> type) {
        List<Field> all = new ArrayList<>();
        if (type.getSuperclass() != null && type.getSuperclass() != Object.class) {
            all.addAll(fields(type.getSuperclass()));
        }
        for (Field field : type.getDeclaredFields()) {
            if (!Modifier.isStatic(field.getModifiers()) && !field.isSynthetic()) {
                field.setAccessible(true);
                all.add(field);
            }
        }
        return all;
    }

    <T> T make(Class<T> type) throws ReflectiveOperationException {
        T object = type.cast(newInstance(type));
        for (Field field : fields(type)) {
            if (Modifier.isTransient(field.getModifiers()) || field.getType() == java.util.Random.class) {
                continue;
            }
            if (Modifier.isFinal(field.getModifiers()) && field.getType().isPrimitive()) {
                continue;
            }
            Object value = value(field.getName(), field.getType(), field.getGenericType());
            if (value != null) {
                field.set(object, value);
            }
        }
        return object;
    }

    private static Object newInstance(Class<?> type) throws ReflectiveOperationException {
        Constructor<?> constructor = null;
        for (Constructor<?> each : type.getDeclaredConstructors()) {
            if (constructor == null || each.getParameterCount() < constructor.getParameterCount()) {
                constructor = each;
            }
        }
        constructor.setAccessible(true);
        Object[] arguments = new Object[constructor.getParameterCount()];
        for (int i = 0; i < arguments.length; i++) {
            // The default value of the type: null, 0 or false.
            arguments[i] = Array.get(Array.newInstance(constructor.getParameterTypes()[i], 1), 0);
        }
        return constructor.newInstance(arguments);
    }

    Object value(String name, Class<?> type, Type generic) throws ReflectiveOperationException {
        int n = next++;
        if (type == String.class) {
            return name + "-" + n;
        } else if (type == int.class || type == Integer.class) {
            return n;
        } else if (type == long.class || type == Long.class) {
            return 1_000_000_000_000L + n;
        } else if (type == short.class || type == Short.class) {
            return (short) n;
        } else if (type == boolean.class || type == Boolean.class) {
            return true;
        } else if (type == double.class || type == Double.class) {
            return n + 0.5;
        } else if (type == AtomicLong.class) {
            return new AtomicLong(n);
        } else if (type.isEnum()) {
            Object[] constants = type.getEnumConstants();
            return constants[constants.length > 1 ? 1 : 0];
        } else if (type == long[].class) {
            return new long[] {n, n + 1_000L};
        } else if (type.isArray()) {
            Object array = Array.newInstance(type.getComponentType(), 1);
            Array.set(array, 0, value(name, type.getComponentType(), type.getComponentType()));
            return array;
        } else if (type == BitSet.class) {
            BitSet bits = new BitSet();
            bits.set(0);
            bits.set(2);
            bits.set(9);
            return bits;
        } else if (type == Properties.class) {
            Properties properties = new Properties();
            properties.setProperty(name + "-key", name + "-" + n);
            return properties;
        } else if (Map.class.isAssignableFrom(type)) {
            Map<Object, Object> map = SortedMap.class.isAssignableFrom(type) ? new TreeMap<>()
                : ConcurrentMap.class.isAssignableFrom(type) ? new ConcurrentHashMap<>() : new java.util.HashMap<>();
            map.put(element(name + "Key", generic, 0), element(name, generic, 1));
            return map;
        } else if (Collection.class.isAssignableFrom(type)) {
            Collection<Object> list = SortedSet.class.isAssignableFrom(type) ? new TreeSet<>()
                : java.util.Set.class.isAssignableFrom(type) ? new HashSet<>() : new ArrayList<>();
            list.add(element(name, generic, 0));
            return list;
        }
        return make(type);
    }

    private Object element(String name, Type generic, int index) throws ReflectiveOperationException {
        Type type = ((ParameterizedType) generic).getActualTypeArguments()[index];
        Class<?> raw = (Class<?>) (type instanceof ParameterizedType ? ((ParameterizedType) type).getRawType() : type);
        return value(name, raw, type);
    }
}
