package ta.flink;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.functions.ScalarFunction;

/**
 * TRADE_RULE(conditions, tape, rules): what a trade with these conditions may not set, and how many of them are
 * unknown.
 *
 * <p>The result is <code>mask + 8 * unknown</code>; the mask has bit 1 for open and close, 2 for high and low, 4 for
 * volume. Several conditions: the bits of all (the strictest reading). A condition that is not known on the trade's
 * tape blocks nothing and counts as unknown; without a tape every tape's rule holds.
 *
 * <p>The rules are data, not code: <code>condition TAB tapes TAB mask</code>, one a line, written from
 * schema/trade_conditions.csv. As SQL the same would be a method too long for the JIT.
 */
public final class TradeRule extends ScalarFunction {

    private static final long serialVersionUID = 1L;
    private static final String TAPES = "ABCO";
    private static final int ANY_TAPE = TAPES.length();
    private static final int UNKNOWN = 8;

    private transient String parsed;
    private transient Map<StringData, int[]> masks;

    public Integer eval(
            @DataTypeHint(value = "ARRAY<STRING>", bridgedTo = ArrayData.class) ArrayData conditions,
            @DataTypeHint(value = "STRING", bridgedTo = StringData.class) StringData tape,
            String rules) {
        if (conditions == null) {
            return 0;
        }
        if (!rules.equals(parsed)) {
            masks = parse(rules);
            parsed = rules;
        }
        int column = tape == null ? ANY_TAPE : tapeOf(tape);
        int result = 0;
        for (int i = 0; i < conditions.size(); i++) {
            int[] byTape = conditions.isNullAt(i) ? null : masks.get(conditions.getString(i));
            int mask = byTape == null || column < 0 ? -1 : byTape[column];
            if (mask < 0) {
                result += UNKNOWN;
            } else {
                result |= mask;
            }
        }
        return result;
    }

    private static int tapeOf(StringData tape) {
        String name = tape.toString();
        return name.length() == 1 ? TAPES.indexOf(name.charAt(0)) : -1;
    }

    private static Map<StringData, int[]> parse(String rules) {
        Map<StringData, int[]> masks = new HashMap<>();
        for (String line : rules.split("\n")) {
            String[] parts = line.split("\t");
            int mask = Integer.parseInt(parts[2]);
            int[] byTape = masks.computeIfAbsent(StringData.fromString(parts[0]), name -> new int[] {-1, -1, -1, -1, -1});
            for (char tape : parts[1].toCharArray()) {
                byTape[TAPES.indexOf(tape)] = mask;
                byTape[ANY_TAPE] = Math.max(byTape[ANY_TAPE], 0) | mask;
            }
        }
        return masks;
    }
}
