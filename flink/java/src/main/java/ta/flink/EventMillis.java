package ta.flink;

import org.apache.flink.table.functions.ScalarFunction;

/**
 * EVENT_MILLIS(text, maxFutureMillis): the same as {@link Rfc3339Millis}, but NULL for a time further ahead of this
 * machine's clock than allowed. One record from the year 2200 would otherwise drive the watermark there, and every
 * later record would be late.
 */
public final class EventMillis extends ScalarFunction {

    private static final long serialVersionUID = 1L;

    public Long eval(String text, Long maxFutureMillis) {
        Long millis = Rfc3339Millis.parse(text);
        return millis == null || millis - maxFutureMillis > System.currentTimeMillis() ? null : millis;
    }
}
