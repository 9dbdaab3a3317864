package ta.flink.rows;

import java.util.Arrays;
import org.apache.flink.api.common.functions.FlatMapFunction;
import org.apache.flink.types.Row;
import org.apache.flink.util.Collector;
import ta.flink.Rfc3339Millis;

/**
 * The function's pickled tuples as rows again; the fields that are instants become text: RFC 3339, UTC, milliseconds.
 */
public final class SignalRows implements FlatMapFunction<byte[], Row> {

    private static final long serialVersionUID = 1L;

    private final int[] instants;

    /** @param instants positions of the fields that are epoch milliseconds and shall be text */
    public SignalRows(int[] instants) {
        this.instants = Arrays.copyOf(instants, instants.length);
    }

    @Override
    public void flatMap(byte[] pickle, Collector<Row> out) {
        for (Object[] values : Pickle.read(pickle)) {
            for (int field : instants) {
                if (values[field] != null) {
                    values[field] = Rfc3339Millis.format((Long) values[field]);
                }
            }
            out.collect(Row.of(values));
        }
    }
}
