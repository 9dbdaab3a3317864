package ta.flink.kafka;

import java.util.Objects;
import org.apache.flink.api.common.eventtime.TimestampAssigner;
import org.apache.flink.api.common.eventtime.TimestampAssignerSupplier;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.common.eventtime.WatermarkGenerator;
import org.apache.flink.api.common.eventtime.WatermarkGeneratorSupplier;
import org.apache.flink.api.common.eventtime.WatermarkOutput;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.util.clock.Clock;
import org.apache.flink.util.clock.SystemClock;
import org.apache.flink.util.function.SerializableSupplier;

/**
 * The watermarks of another strategy; a partition is idle when it gave nothing while its reader read for some time.
 *
 * <p>Flink's own idleness goes by the wall clock: a broker that stands still makes every partition idle, and then the
 * first topic that is back is not held by the others. Here time passes only as {@link ReadingTime} says.
 *
 * <p>A reader that has not seen the clock waits for it, and then goes by the wall clock. All of its partitions may be idle
 * then, and whoever is behind ignores it until it wakes: when the first tick comes, the source that sees it first would
 * run ahead of what the other one has read and not closed. So a partition closes the second of its newest record before
 * it is idle by the wall clock.
 *
 * <p>A record that cannot be used says nothing about time, and is no sign of life: a topic of garbage is as silent as an
 * empty one, and holds no other back.
 */
public final class IdleWhileOthersAreRead implements WatermarkStrategy<RowData> {

    private static final long serialVersionUID = 1L;
    /** The first fetch of all may be slow, and after an outage the clock is silent for longer than one timeout. */
    private static final int FIRST_TICK = 3;
    /** Of what a bar is made. */
    private static final long SECOND_MILLIS = 1_000;

    private static final StringData TICK = StringData.fromString("clock");

    private final WatermarkStrategy<RowData> watermarks;
    private final long timeoutMillis;
    private final int typeField;
    private final int reasonField;
    private final int timeField;
    private final SerializableSupplier<? extends Clock> clock;
    private transient ReadingTime time;

    /**
     * @param watermarks whose watermarks are given
     * @param timeoutMillis reading time without a record after which a partition is idle
     * @param typeField position of the field that is {@code clock} in the clock's records
     * @param reasonField position of the field that says why a record cannot be used
     * @param timeField position of the field that has a record's time, epoch milliseconds
     */
    IdleWhileOthersAreRead(
            WatermarkStrategy<RowData> watermarks,
            long timeoutMillis,
            int typeField,
            int reasonField,
            int timeField) {
        this(watermarks, timeoutMillis, typeField, reasonField, timeField, SystemClock::getInstance);
    }

    /** The same; {@code clock} says how time goes by in the reader. */
    public IdleWhileOthersAreRead(
            WatermarkStrategy<RowData> watermarks,
            long timeoutMillis,
            int typeField,
            int reasonField,
            int timeField,
            SerializableSupplier<? extends Clock> clock) {
        this.watermarks = watermarks;
        this.clock = clock;
        this.timeoutMillis = timeoutMillis;
        this.typeField = typeField;
        this.reasonField = reasonField;
        this.timeField = timeField;
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
                && reasonField == same.reasonField && timeField == same.timeField;
    }

    @Override
    public int hashCode() {
        return Objects.hash(watermarks, timeoutMillis, typeField, reasonField, timeField);
    }

    private final class Generator implements WatermarkGenerator<RowData> {

        private final WatermarkGenerator<RowData> own;
        private final ReadingTime time;
        private long newest;
        private long newestEventMillis;
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
            newestEventMillis = Math.max(newestEventMillis, row.getLong(timeField));
            // Where all are idle, no watermark is given on: those that never gave a record leave before those that did.
            patience = time.isClocked() ? 2 : 3;
            silences = 0;
            own.onEvent(row, timestamp, output);
        }

        @Override
        public void onPeriodicEmit(WatermarkOutput output) {
            if (!isSilent(now())) {
                silences = 0;
                own.onPeriodicEmit(output);
            } else if (silences < patience) {
                // This thread may have stood still since the last record: its watermark must not wait for the next.
                own.onPeriodicEmit(output);
                if (silences == 1 && !time.isClocked()) {
                    // Before it is idle, and not when it is: those behind do not take an idle one's watermark.
                    output.emitWatermark(new Watermark(lastOfSecond(newestEventMillis)));
                }
                if (++silences == patience) {
                    output.markIdle();
                }
            }
        }

        private boolean isSilent(long now) {
            boolean gaveNothing = time.at(now) - newest >= timeoutMillis;
            if (time.isClocked()) {
                return gaveNothing;
            }
            return (gaveNothing || !time.isBegun()) && time.waited(now) >= FIRST_TICK * timeoutMillis;
        }
    }

    private static long lastOfSecond(long millis) {
        return millis - millis % SECOND_MILLIS + SECOND_MILLIS - 1;
    }

    private long now() {
        return clock.get().relativeTimeMillis();
    }
}
