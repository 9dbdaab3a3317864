package ta.flink.watermarks;

import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeHint;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.apache.flink.table.data.RowData;

/**
 * Passes rows as they are, and begins after a restore with the watermark of the state instead of none.
 *
 * <p>Flink keeps no watermarks, but SQL's window operator does: restored, it drops a row of a window that had fired,
 * while {@code CURRENT_WATERMARK} before it knows of no watermark yet and calls the same row on time. Behind this
 * operator both begin with the same one (docs/decisions/0017).
 *
 * <p>Each subtask begins with what those behind all of them had, because another one's keys or partitions may be its own
 * now: the least watermark of the subtasks that were not idle, and the greatest when all were. It is given on just before
 * the first row: what is chained behind sees it in time, and a task that gets no rows does not speak.
 */
public final class KeepWatermark extends AbstractStreamOperator<RowData>
        implements OneInputStreamOperator<RowData, RowData> {

    private static final long serialVersionUID = 1L;
    private static final long NONE = Long.MIN_VALUE;

    /** The watermark of each subtask, and whether it was idle. */
    private transient ListState<Tuple2<Long, Boolean>> saved;
    private transient long current;
    private transient boolean idle;
    private transient boolean told;

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        saved = context.getOperatorStateStore().getUnionListState(new ListStateDescriptor<>(
                "watermark", TypeInformation.of(new TypeHint<Tuple2<Long, Boolean>>() {})));
        current = combined(saved.get());
        told = current == NONE;
    }

    private static long combined(Iterable<Tuple2<Long, Boolean>> subtasks) {
        long least = Long.MAX_VALUE;
        long greatest = NONE;
        for (Tuple2<Long, Boolean> subtask : subtasks) {
            greatest = Math.max(greatest, subtask.f0);
            if (!subtask.f1) {
                least = Math.min(least, subtask.f0);
            }
        }
        return Math.min(least, greatest);
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
        super.snapshotState(context);
        saved.clear();
        saved.add(Tuple2.of(current, idle));
    }

    @Override
    public void processElement(StreamRecord<RowData> row) {
        if (!told) {
            told = true;
            output.emitWatermark(new Watermark(current));
        }
        output.collect(row);
    }

    @Override
    public void processWatermark(Watermark mark) throws Exception {
        if (mark.getTimestamp() > current) {
            current = mark.getTimestamp();
            told = true;
            super.processWatermark(mark);
        }
    }

    @Override
    public void processWatermarkStatus(WatermarkStatus status) throws Exception {
        idle = status.isIdle();
        super.processWatermarkStatus(status);
    }
}
