package ta.flink;

import java.time.Instant;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.functions.ScalarFunction;

/** EPOCH_MILLIS(time): milliseconds since the epoch of a TIMESTAMP_LTZ(3); Flink SQL gives only seconds. */
public final class EpochMillis extends ScalarFunction {

    private static final long serialVersionUID = 1L;

    public Long eval(@DataTypeHint("TIMESTAMP_LTZ(3)") Instant time) {
        return time == null ? null : time.toEpochMilli();
    }
}
