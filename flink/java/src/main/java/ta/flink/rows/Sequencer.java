package ta.flink.rows;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.types.Row;
import org.apache.flink.util.Collector;

/**
 * Puts the rows of the query in order before they cross into Python, and packs them for the way.
 *
 * <p>The branches reach this operator unordered. A window's row (a branch of {@code windows}) waits until the watermark
 * of all branches has passed the window's end; what is due then leaves together, by second, and within a second in the
 * order of {@code windows}. One that is due already leaves at once, and so does every other row: the function behind
 * knows when its time has come.
 *
 * <p>In: {@code Row(key, row)}. Out: {@code Row(key, pickle)}, the pickle a tuple of rows ({@link Pickle}).
 */
public final class Sequencer extends KeyedProcessFunction<Row, Row, Row> {

    private static final long serialVersionUID = 1L;
    private static final long SECOND = 1_000;
    private static final long AT_ONCE = Long.MIN_VALUE;

    /** A symbol that slept has many empty seconds before the watermark; each has a look-up, so not all at once. */
    private static final int LONGEST_STEP = 64;

    private final TypeInformation<Row> rowType;
    private final List<String> windows;
    private final int branchField;
    private final int endField;
    private transient MapState<Long, Row[]> waiting;

    /**
     * @param rowType of the nested row
     * @param windows branches whose rows are windows of one second, in the order in which they take effect
     * @param branchField position of the branch in the nested row
     * @param endField position of the window's end, epoch milliseconds, in the nested row
     */
    public Sequencer(TypeInformation<Row> rowType, String[] windows, int branchField, int endField) {
        this.rowType = rowType;
        this.windows = new ArrayList<>(Arrays.asList(windows));
        this.branchField = branchField;
        this.endField = endField;
    }

    @Override
    public void open(OpenContext context) {
        waiting = getRuntimeContext()
                .getMapState(new MapStateDescriptor<>("waiting", Types.LONG, Types.OBJECT_ARRAY(rowType)));
    }

    @Override
    public void processElement(Row value, Context context, Collector<Row> out) throws Exception {
        Row row = value.getFieldAs(1);
        long due = windows.contains(row.getFieldAs(branchField)) ? row.<Long>getFieldAs(endField) - 1 : AT_ONCE;
        // A window may be due already: the others went ahead while its log was silent. A timer of the past would wait for
        // the next watermark.
        if (due <= context.timerService().currentWatermark()) {
            out.collect(Row.of(value.getField(0), Pickle.write(List.of(row))));
            return;
        }
        Row[] before = waiting.get(due);
        Row[] now = before == null ? new Row[1] : Arrays.copyOf(before, before.length + 1);
        now[now.length - 1] = row;
        waiting.put(due, now);
        context.timerService().registerEventTimeTimer(due);
    }

    @Override
    public void onTimer(long timestamp, OnTimerContext context, Collector<Row> out) throws Exception {
        // All that is due by now, not only what this timer is for: one crossing instead of several.
        long last = Math.min(context.timerService().currentWatermark(), timestamp + LONGEST_STEP * SECOND);
        List<Row> due = new ArrayList<>();
        for (long at = timestamp; at <= last; at += SECOND) {
            Row[] rows = waiting.get(at);
            if (rows != null) {
                waiting.remove(at);
                Arrays.sort(rows, Comparator.comparingInt(row -> windows.indexOf(row.<String>getFieldAs(branchField))));
                due.addAll(Arrays.asList(rows));
            }
        }
        if (!due.isEmpty()) {
            out.collect(Row.of(context.getCurrentKey().getField(0), Pickle.write(due)));
        }
    }
}
