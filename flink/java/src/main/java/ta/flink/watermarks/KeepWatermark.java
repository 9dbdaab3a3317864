package ta.flink.watermarks;

import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeutils.base.LongSerializer;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.table.data.RowData;

/**
 * Passes rows as they are, and begins after a restore with the watermark of the state instead of none.
 *
 * <p>Flink keeps no watermarks, but SQL's window operator does: restored, it drops a row of a window that had fired,
 * while {@code CURRENT_WATERMARK} before it knows of no watermark yet and calls the same row on time. Behind this
 * operator both begin with the same one (docs/decisions/0017).
 *
 * <p>As the window operator does, each subtask begins with the least watermark of all subtasks, whose keys or partitions
 * may be its own now. It is given on just before the first row: what is chained behind sees it in time, and a task
 * that gets no rows does not speak.
 */
public final class KeepWatermark extends AbstractStreamOperator<RowData>
        implements OneInputStreamOperator<RowData, RowData> {

    private static final long serialVersionUID = 1L;
    private static final ListStateDescriptor<Long> STATE =
            new ListStateDescriptor<>("watermark", LongSerializer.INSTANCE);

    private transient ListState<Long> saved;
    private transient long current;
    private transient boolean told;

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        saved = context.getOperatorStateStore().getUnionListState(STATE);
        long least = Long.MAX_VALUE;
        for (long watermark : saved.get()) {
            least = Math.min(least, watermark);
        }
        current = least == Long.MAX_VALUE ? Long.MIN_VALUE : least;
        told = current == Long.MIN_VALUE;
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
        super.snapshotState(context);
        saved.clear();
        saved.add(current);
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
}
