package ta.flink;

import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.functions.ScalarFunction;

/**
 * EVENT_MILLIS(text, maxFutureMillis): the same as {@link Rfc3339Millis}, but NULL for a time further ahead of this
 * machine's clock than allowed. One record from the year 2200 would otherwise drive the watermark there, and every
 * later record would be late.
 */
public final class EventMillis extends ScalarFunction {

    private static final long serialVersionUID = 1L;

    // The planner writes the call out wherever its result is used: several times for each record.
    private transient StringData lastText;
    private transient Long lastMillis;

    public Long eval(@DataTypeHint(value = "STRING", bridgedTo = StringData.class) StringData text, Long maxFutureMillis) {
        if (text == null) {
            return null;
        }
        if (text != lastText) {
            Long millis = Rfc3339Millis.parse(text.toString());
            boolean usable = millis != null && millis - maxFutureMillis <= System.currentTimeMillis();
            lastMillis = usable ? millis : null;
            lastText = text;
        }
        return lastMillis;
    }
}
