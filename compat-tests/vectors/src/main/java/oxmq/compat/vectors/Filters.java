package oxmq.compat.vectors;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.rocketmq.broker.filter.ConsumerFilterManager;
import org.apache.rocketmq.broker.filter.MessageEvaluationContext;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.filter.FilterFactory;
import org.apache.rocketmq.filter.expression.Expression;
import org.apache.rocketmq.filter.expression.MQFilterException;
import org.apache.rocketmq.filter.util.BloomFilter;

/** SQL92 expressions, and what Apache's filter says of them for some sets of properties. */
final class Filters {
    /** How many expressions are generated, beside those that are written down here. */
    private static final int GENERATED = 400;

    private Filters() {
    }

    static VectorFile capture() {
        VectorFile file = new VectorFile("Expressions. `outcomes` has a letter for each vector `properties/...`, in their "
            + "order: T true, F false, N null, E the evaluation throws. `remark`: it does not compile, and why.");
        List<String> sets = sets();
        for (int i = 0; i < sets.size(); i++) {
            file.add("properties/" + i, "a property string").put("input", sets.get(i).getBytes(StandardCharsets.UTF_8));
        }
        blooms(file);
        int n = 0;
        for (String expression : written()) {
            put(file.add("written/" + n++, "an expression"), expression, sets);
        }
        Random random = new Random(92);
        for (n = 0; n < GENERATED; n++) {
            put(file.add("generated/" + n, "an expression out of a generator"), expression(random), sets);
        }
        return file;
    }

    /** What the broker keeps of its groups' expressions. */
    private static void blooms(VectorFile file) {
        String[] names = {"GroupTest#TopicTest", "g#t", "", "please_rename_unique_group_name_4#TopicTest", "%RETRY%g#T", "\u53f7\u7801#T",
            "0123456789abcdef", "0123456789abcdef#"};
        for (int[] of : new int[][] {{20, 32}, {10, 128}, {1, 1}, {99, 7}}) {
            BloomFilter bloom = BloomFilter.createByFn(of[0], of[1]);
            for (int i = 0; i < names.length; i++) {
                Map<String, Object> vector = file.add("bloom/" + of[0] + "/" + of[1] + "/" + i,
                    "BloomFilter of maxErrorRateOfBloomFilter and expectConsumerNumUseFilter: bits of group#topic");
                vector.put("text", names[i]);
                vector.put("bits", bloom.getM());
                vector.put("positions", Arrays.stream(bloom.calcBitPositions(names[i])).boxed().collect(Collectors.toList()));
            }
        }
        ConsumerFilterManager manager = new ConsumerFilterManager();
        manager.register("TopicB", "GroupB", "a > 5 AND b = 'x'", "SQL92", 1700000000003L);
        manager.register("TopicA", "GroupB", "a = 5", "SQL92", 1700000000002L);
        manager.register("TopicA", "GroupA", "a IS NOT NULL", "SQL92", 1700000000001L);
        for (String[] of : new String[][] {{"TopicA", "GroupA"}, {"TopicA", "GroupB"}, {"TopicB", "GroupB"}}) {
            manager.get(of[0], of[1]).setBornTime(1700000000100L);
        }
        manager.get("TopicB", "GroupB").setDeadTime(4700000000200L);
        file.add("file/consumerFilter.json", "config/consumerFilter.json of a bloom filter of 20 and 64").put("text", manager.encode(true));
    }

    /** Writes as many generated expressions as asked for, each with a few generated sets, one vector a line. */
    static void race(Path file, long seed, int count) throws Exception {
        Random random = new Random(seed);
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < count; i++) {
            List<String> sets = new ArrayList<>();
            for (int k = 0; k < 6; k++) {
                sets.add(set(random));
            }
            Map<String, Object> vector = new LinkedHashMap<>();
            List<Object> inputs = new ArrayList<>();
            sets.forEach(s -> inputs.add(s.getBytes(StandardCharsets.UTF_8)));
            put(vector, expression(random), sets);
            vector.put("inputs", inputs);
            VectorFile.line(out, vector);
        }
        Files.writeString(file, out, StandardCharsets.UTF_8);
    }

    private static void put(Map<String, Object> vector, String text, List<String> sets) {
        vector.put("expression", text);
        try {
            Expression compiled = FilterFactory.INSTANCE.get("SQL92").compile(text);
            StringBuilder outcomes = new StringBuilder();
            for (String set : sets) {
                outcomes.append(outcome(compiled, set));
            }
            vector.put("outcomes", outcomes.toString());
        } catch (MQFilterException e) {
            vector.put("remark", e.getMessage());
        }
    }

    private static char outcome(Expression compiled, String set) {
        Map<String, String> properties = set.isEmpty() ? null : MessageDecoder.string2messageProperties(set);
        try {
            Object value = compiled.evaluate(new MessageEvaluationContext(properties));
            return value == null ? 'N' : (Boolean) value ? 'T' : 'F';
        } catch (Throwable e) {
            return 'E';
        }
    }

    /** Property strings: `a` is mostly a number, `b` a text, `c` a fraction, `t` a truth value. */
    private static List<String> sets() {
        String[][] sets = {
            {},
            {"a", "5", "b", "hello", "c", "5.5", "t", "true"},
            {"a", "-1", "b", "'quoted'", "c", "1e3", "t", "TRUE"},
            {"a", "2147483648", "b", "\u53f7\u7801 \ud83d\ude00", "c", "NaN", "t", "false"},
            {"a", "9223372036854775808", "b", "5", "c", "Infinity", "t", "yes"},
            {"a", "+5", "b", "Hello", "c", " 5.5 ", "t", "tRuE"},
            {"a", "05", "b", "hell", "c", "5.5f", "t", "1"},
            {"a", "5.0", "b", "o", "c", "0x1.8p1", "t", " true"},
            {"a", "", "b", " ", "c", "-0.0", "t", "null"},
            {"a", "\uff15", "b", "hello\u0001world", "c", "1e-400", "t", "T"},
            {"c", "5", "AND", "5", "_x", "1", "$y", "2"},
            {"a", "1", "b", "bye", "a", "5", "c", "1.7976931348623157E308"},
            {"a", "five", "b", "1", "c", ".5", "A", "5"},
            {"a", "0", "b", "0", "c", "0", "TAGS", "tagA", "KEYS", "k1 k2"},
        };
        List<String> strings = new ArrayList<>();
        for (String[] set : sets) {
            StringBuilder string = new StringBuilder();
            for (int i = 0; i < set.length; i += 2) {
                string.append(set[i]).append('\u0001').append(set[i + 1]).append('\u0002');
            }
            strings.add(string.toString());
        }
        strings.add("a\u00015");
        strings.add("\u0002\u0002noseparator\u0002\u0001x\u0002a\u00017\u0002\u0002b\u0001hello");
        return strings;
    }

    private static Set<String> written() {
        Set<String> all = new LinkedHashSet<>();
        String[] operands = {"a", "b", "c", "t", "5", "5L", "2147483648", "5.5", "'5'", "'hello'", "TRUE", "FALSE", "NULL",
            "-5", "-a", "(a = 5)"};
        for (String operator : new String[] {"=", "<>", ">", ">=", "<", "<="}) {
            for (String left : operands) {
                // Every kind meets every kind for `=`; for the others that would be the same again.
                for (String right : operator.equals("=") || operator.equals("<") ? operands : new String[] {"a", "5", "c"}) {
                    all.add(left + " " + operator + " " + right);
                }
            }
        }
        for (String operand : operands) {
            all.add(operand);
            all.add("NOT " + operand);
            all.add(operand + " IS NULL");
            all.add(operand + " IS NOT NULL");
            all.add(operand + " IN ('5', 'hello', '')");
            all.add(operand + " NOT IN ('5', 'hello', 'x', 'y', 'z', '5')");
            all.add(operand + " CONTAINS 'l'");
            all.add(operand + " NOT CONTAINS 'l'");
            all.add(operand + " STARTSWITH 'he'");
            all.add(operand + " NOT STARTSWITH 'he'");
            all.add(operand + " ENDSWITH 'lo'");
            all.add(operand + " NOT ENDSWITH 'lo'");
            all.add(operand + " BETWEEN 1 AND 9");
            all.add(operand + " NOT BETWEEN 1 AND 9");
            all.add("a BETWEEN " + operand + " AND 9");
            all.add("a NOT BETWEEN " + operand + " AND 9");
            all.add("c BETWEEN 1 AND " + operand);
            all.add(operand + " AND a = 5");
            all.add("a = 5 AND " + operand);
            all.add(operand + " OR a = 5");
            all.add("a = 5 OR " + operand);
        }
        // Words and blanks.
        all.addAll(List.of("", " ", "a=5", "a\t=\n5\r\f", "a = 5 ", "a not contains 'l'", "A = 5", "_x = 1", "$y = 2", "AND = 5",
            "a = 5 trailing", "a = 5 5", "a = 5)", "a = 5 'open", "a = 5 #", "a = 5 b #", "a = 5 b = #", "a = 5 NOT", "a = 5 NOT #",
            "a = 5 IS", "a = 5 IS NULL IS NOT NULL", "a -- comment\n = 5", "a = 5 -- comment", "a = 5 -- comment\n",
            "a = --5", "a = -- 5\r\n5", "a /* comment */ = 5", "a /* x * y ** / */ = 5", "a = /**/5", "a = /*/5", "a = 5 /* open",
            "a = 5 /", "a # 5", "a == 5", "a != 5", "a > = 5", "a < > 5", "a = \u53f7", "\u53f7 = 5", "a.b = 5", "a-b = 5",
            "a = 5;", "a = \"5\"", "a = `5`", "a : 5", "a > 5 > 1", "a = 5 = TRUE", "a = 5 = 'true'", "'true' = (a = 5)",
            "TRUE = (a = 5)", "(a = 5) = (b = 'hello')", "(a = 5) <> (b = 'hello')", "((((a = 5))))", "(a) = (5)", "()", "(a", "(a = 5",
            "(a IN ('5'))", "(a) IN ('5')", "((a)) NOT IN ('5')", "+a IN ('5')", "-a IN ('5')", "+a = 5", "+5 = a", "++a = 5",
            "+ (a = 5)", "+ (a = 5", "+", "-", "a = +", "a = + )", "- (a = 5)", "-(a = 5) = 5", "-(a = 5) BETWEEN 1 AND 5",
            "--a = 5", "- -5 = a", "- - 5 = -a", "NOT NOT a = 5", "NOT (a = 5)", "NOT a", "NOT a AND b", "NOT a IN ('x')",
            "NOT", "AND", "IN", "a IN", "a IN (", "a IN ()", "a IN (5)", "a IN ('5'", "a IN ('5',)", "a IN ('5' '6')", "a IN '5'",
            "a NOT", "a NOT 5", "a NOT = 5", "a NOT NULL", "a IS", "a IS 5", "a IS NOT", "a IS NOT 5", "a IS TRUE", "a IS NOT NULL",
            "a CONTAINS", "a CONTAINS 5", "a CONTAINS b", "a CONTAINS ('5')", "b CONTAINS ''", "b NOT CONTAINS ''", "b STARTSWITH ''",
            "b NOT STARTSWITH ''", "b ENDSWITH ''", "b NOT ENDSWITH ''", "b CONTAINS 'hello'", "b CONTAINS 'hello!'",
            "b CONTAINS '\u7801'", "b STARTSWITH '\u53f7'", "b ENDSWITH '\ud83d\ude00'", "b = '\u53f7\u7801 \ud83d\ude00'",
            "b CONTAINS '''q'", "b = '''quoted'''", "b = 'it''s'", "b = ''''", "b = ''", "b = '''", "b = 'a''", "b = 'a''b", "'",
            "b CONTAINS 'x' CONTAINS 'y'", "b CONTAINS 'h' = TRUE", "'hello' CONTAINS 'l'", "5 CONTAINS '5'", "NULL CONTAINS 'x'",
            "a BETWEEN 5", "a BETWEEN 5 AND", "a BETWEEN 5 OR 6", "a BETWEEN 9 AND 1", "a BETWEEN -1 AND -9", "a BETWEEN 5 AND 5",
            "a NOT BETWEEN 9 AND 1", "a BETWEEN 'a' AND 'b'", "a BETWEEN 'b' AND 'a'", "a BETWEEN 5.5 AND 5", "a BETWEEN 5 AND 5.5",
            "a BETWEEN 1 AND 9 AND b = 'hello'", "a BETWEEN c AND 9", "c BETWEEN a AND 9.5", "a BETWEEN NULL AND 5",
            "a BETWEEN x AND y", "x BETWEEN a AND b", "b BETWEEN a AND c", "b NOT BETWEEN a AND c",
            "5 BETWEEN a AND c", "5.5 BETWEEN a AND c", "a BETWEEN 1 AND 2147483648",
            "a BETWEEN 2147483648 AND 1", "a BETWEEN 9223372036854775807 AND 9223372036854775806",
            "a BETWEEN 9223372036854775806 AND 9223372036854775806.0"));
        // Numbers.
        for (String number : new String[] {"0", "00", "05", "5l", "5L", "05L", "0L", "0x5", "2147483647", "2147483648",
            "9223372036854775807", "9223372036854775808", "99999999999999999999", "9223372036854775807L", "5.", "5.5", ".5", ".",
            "5..5", "5.5.5", "0.0", "0.", ".0", "00.5", "5e1", "5E1", "5e+1", "5e-1", "5e", "5e+", "5.e1", ".5e1", "5.5f", "5.5d", "5f",
            "1e308", "1e309", "1e-400", "4.9e-324", "1.7976931348623157E308", "1.7976931348623159E308", "0e0", "1e999999999999"}) {
            all.add("a = " + number);
            all.add("c >= " + number);
            all.add("a = -" + number);
        }
        // Three-valued logic, and what is not evaluated any more.
        String[] truths = {"a = 5", "a <> 5", "x = 1", "TRUE", "FALSE", "NULL", "TRUE = b", "x", "a", "5 = b"};
        for (String left : truths) {
            for (String right : truths) {
                all.add(left + " AND " + right);
                all.add(left + " OR " + right);
                all.add("NOT (" + left + ") OR " + right + " AND " + left);
            }
        }
        all.addAll(List.of("a = 5 OR b = 'x' AND c = 5.5", "(a = 5 OR b = 'x') AND c = 5.5", "a = 5 AND b = 'x' OR c = 5.5",
            "a = 5 AND", "a = 5 OR", "AND a = 5", "a = 5 AND AND b", "a = 5 AND 5", "5 OR a = 5", "a = 5 OR 'x'", "-a OR TRUE",
            "x = y", "x <> y", "x = x", "x > y", "x IS NULL AND y IS NULL", "TAGS = 'tagA' AND KEYS CONTAINS 'k1'",
            "(TAGS IS NOT NULL AND TAGS IN ('tagA', 'tagB')) AND (a IS NOT NULL AND a BETWEEN 0 AND 3)",
            "a > 4 AND a < 6 OR a = 0 OR a IS NULL", "a = a", "a = c", "a > b", "b > a", "c > c", "t = t", "a <> a", "c < a", "a >= c",
            "a = 5 AND (b = 'hello' OR (c > 5.0 AND (t = TRUE OR NOT (a > 6))))"));
        return all;
    }

    // --- the generator -----------------------------------------------------------------------------------------------

    private static String expression(Random random) {
        String text = or(random, 4);
        // Now and then something is missing or too much.
        if (random.nextInt(8) == 0 && text.length() > 2) {
            int at = random.nextInt(text.length());
            if (Character.isSurrogate(text.charAt(at))) {
                return text;
            }
            text = random.nextBoolean() ? text.substring(0, at) + text.substring(at + 1)
                : text.substring(0, at) + one(random, "(", ")", " ", "'", "-", "+", "NOT ", "5", "a", ",") + text.substring(at);
        }
        return text;
    }

    private static String or(Random random, int depth) {
        StringBuilder text = new StringBuilder(and(random, depth));
        while (depth > 0 && random.nextInt(4) == 0) {
            text.append(one(random, " OR ", " or ")).append(and(random, depth - 1));
        }
        return text.toString();
    }

    private static String and(Random random, int depth) {
        StringBuilder text = new StringBuilder(test(random, depth));
        while (depth > 0 && random.nextInt(3) == 0) {
            text.append(" AND ").append(test(random, depth - 1));
        }
        return text.toString();
    }

    private static String test(Random random, int depth) {
        if (depth > 0 && random.nextInt(6) == 0) {
            return (random.nextInt(3) == 0 ? "NOT " : "") + "(" + or(random, depth - 1) + ")";
        }
        String left = operand(random, depth);
        String not = random.nextInt(3) == 0 ? "NOT " : "";
        switch (random.nextInt(14)) {
            case 0:
            case 1:
            case 2:
                return left + one(random, " = ", "=", " <> ") + operand(random, depth);
            case 3:
            case 4:
            case 5:
                return left + one(random, " > ", " >= ", "<", " <= ") + operand(random, depth);
            case 6:
                return left + one(random, " IS NULL", " IS NOT NULL", " is not null");
            case 7:
                return left + " " + not + "BETWEEN " + operand(random, 0) + " AND " + operand(random, 0);
            case 8:
            case 9:
                StringBuilder in = new StringBuilder(left + " " + not + "IN (" + string(random));
                while (random.nextInt(3) != 0) {
                    in.append(", ").append(string(random));
                }
                return in.append(")").toString();
            case 10:
                return left + " " + not + "CONTAINS " + string(random);
            case 11:
                return left + " " + not + "STARTSWITH " + string(random);
            case 12:
                return left + " " + not + "ENDSWITH " + string(random);
            default:
                return not + left;
        }
    }

    private static String operand(Random random, int depth) {
        switch (random.nextInt(12)) {
            case 0:
            case 1:
                return number(random);
            case 2:
                return string(random);
            case 3:
                return one(random, "TRUE", "FALSE", "NULL", "true");
            case 4:
                return one(random, "-", "+", "- ") + operand(random, depth);
            case 5:
                return depth > 0 ? "(" + or(random, depth - 1) + ")" : "a";
            default:
                return one(random, "a", "b", "c", "t", "x", "a", "b");
        }
    }

    private static String number(Random random) {
        return one(random, "0", "1", "5", "-3", "10", "5L", "2147483648", "9223372036854775807", "5.0", "5.5", ".5", "1e3", "1E-3",
            String.valueOf(random.nextInt(20)), String.valueOf(random.nextLong() >>> 1), random.nextInt(10) + "." + random.nextInt(10));
    }

    private static String string(Random random) {
        return "'" + value(random).replace("'", "''") + "'";
    }

    private static String value(Random random) {
        return one(random, "", "5", "hello", "he", "lo", "l", "5.0", "5.5", "true", "TRUE", "false", "-1", "+5", "05", "10", " 5", "5 ",
            "NaN", "Infinity", "-0.0", "0", "1e3", "5f", "0x1p3", "2147483648", "9223372036854775807", "9223372036854775808",
            "it's", "\u53f7\u7801", "\ud83d\ude00", "\u0665", "x y", String.valueOf(random.nextInt(20)),
            String.valueOf(random.nextInt(200) / 10.0));
    }

    private static String set(Random random) {
        StringBuilder set = new StringBuilder();
        for (String name : List.of("a", "b", "c", "t")) {
            if (random.nextInt(6) != 0) {
                set.append(name).append('\u0001').append(value(random)).append('\u0002');
            }
        }
        return set.toString();
    }

    private static String one(Random random, String... of) {
        return of[random.nextInt(of.length)];
    }
}
