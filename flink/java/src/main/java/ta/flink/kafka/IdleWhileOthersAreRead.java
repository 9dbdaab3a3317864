package ta.flink.kafka;

import java.util.Objects;
import org.apache.flink.api.common.eventtime.TimestampAssigner;
import org.apache.flink.api.common.eventtime.TimestampAssignerSupplier;
import org.apache.flink.api.common.eventtime.WatermarkGenerator;
import org.apache.flink.api.common.eventtime.WatermarkGeneratorSupplier;
import org.apache.flink.api.common.eventtime.WatermarkOutput;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;

/**
 * The watermarks of another strategy; a partition is idle when it gave nothing while its reader read for some time.
 *
 * <p>Flink's own idleness goes by the wall clock: a broker that stands still makes every partition idle, and then the
 * first topic that is back is not held by the others. Here time passes only as {@link ReadingTime} says.
 *
 * <p>A record that cannot be used says nothing about time, and is no sign of life: a topic of garbage is as silent as an
 * empty one, and holds no other back.
 */
final class IdleWhileOthersAreRead implements WatermarkStrategy<RowData> {

    private static final long serialVersionUID = 1L;
    /** The first fetch of all may be slow; a reader that has read nothing knows no better than to wait. */
    private static final int FIRST_FETCH = 3;

    private static final StringData TICK = StringData.fromString("clock");

    private final WatermarkStrategy<RowData> watermarks;
    private final long timeoutMillis;
    private final int typeField;
    private final int reasonField;
    private transient ReadingTime time;

    /**
     * @param watermarks whose watermarks are given
     * @param timeoutMillis reading time without a record after which a partition is idle
     * @param typeField position of the field that is {@code clock} in the clock's records
     * @param reasonField position of the field that says why a record cannot be used
     */
    IdleWhileOthersAreRead(
            WatermarkStrategy<RowData> watermarks, long timeoutMillis, int typeField, int reasonField) {
        this.watermarks = watermarks;
        this.timeoutMillis = timeoutMillis;
        this.typeField = typeField;
        this.reasonField = reasonField;
    }

    @Override
    public WatermarkGenerator<RowData> createWatermarkGenerator(WatermarkGeneratorSupplier.Context context) {
        // One reader has one copy of this object, and makes a generator for each of its partitions.
        if (time == null) {
            time = new ReadingTime(now());
        }
        return new Generator(watermarks.createWatermarkGenerator(context), time);
    }

    @Override
    public TimestampAssigner<RowData> createTimestampAssigner(TimestampAssignerSupplier.Context context) {
        return watermarks.createTimestampAssigner(context);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof IdleWhileOthersAreRead same && Objects.equals(watermarks, same.watermarks)
                && timeoutMillis == same.timeoutMillis && typeField == same.typeField
                && reasonField == same.reasonField;
    }

    @Override
    public int hashCode() {
        return Objects.hash(watermarks, timeoutMillis, typeField, reasonField);
    }

    private final class Generator implements WatermarkGenerator<RowData> {

        private final WatermarkGenerator<RowData> own;
        private final ReadingTime time;
        private long newest;
        /** How often in a row it has been asked for a watermark, and was silent, before it is idle. */
        private int patience = 1;
        private int silences;

        Generator(WatermarkGenerator<RowData> own, ReadingTime time) {
            this.own = own;
            this.time = time;
            this.newest = time.at(now());
        }

        @Override
        public void onEvent(RowData row, long timestamp, WatermarkOutput output) {
            long at = time.record(now(), !time.isClocked() && TICK.equals(row.getString(typeField)));
            if (!row.isNullAt(reasonField)) {
                return;
            }
            newest = at;
            // Where all are idle, no watermark is given on: those that never gave a record leave before those that did.
            patience = 2;
            silences = 0;
            own.onEvent(row, timestamp, output);
        }

        @Override
        public void onPeriodicEmit(WatermarkOutput output) {
            long now = now();
            boolean silent = time.isBegun()
                    ? time.at(now) - newest >= timeoutMillis
                    : time.waited(now) >= FIRST_FETCH * timeoutMillis;
            if (!silent) {
                silences = 0;
                own.onPeriodicEmit(output);
            } else if (silences < patience) {
                // This thread may have stood still since the last record: its watermark must not wait for the next.
                own.onPeriodicEmit(output);
                if (++silences == patience) {
                    output.markIdle();
                }
            }
        }
    }

    private static long now() {
        return System.nanoTime() / 1_000_000;
    }
}
