package ta.flink.symbols;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeHint;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.util.Collector;

/**
 * Lets so many symbols of a log pass, and gives the records of further ones the reason {@code too_many_symbols}.
 *
 * <p>Each symbol has state for days; a feed that makes up symbols would fill the heap, and take the good ones with it.
 * Those that were there first stay. A symbol is forgotten when its newest event is older than its state is kept, by the
 * log's own time, never by a wall clock. They are in the state; when the full set was looked through last is not, so
 * after a restart that may be done up to a minute of the log's time earlier.
 *
 * <p>The gauge {@code ta.symbols} says how many are known. Each subtask knows its own; when the parallelism changes, they
 * are dealt out anew.
 */
public final class KnownSymbols extends ProcessFunction<RowData, RowData> implements CheckpointedFunction {

    private static final long serialVersionUID = 1L;
    private static final StringData REASON = StringData.fromString("too_many_symbols");
    private static final String CLOCK = "*";
    /** A look at all symbols for those to forget, at most once in so long of the log's time. */
    private static final long FORGETTING_MILLIS = 60_000L;

    private final RowType type;
    private final int most;
    private final long forgottenAfterMillis;
    private final int symbolField;
    private final int eventField;
    private final int reasonField;
    private final int rawField;
    private final int sizeField;
    private transient Map<String, long[]> newest;
    private transient long newestOfAll;
    private transient long lookedAt;
    private transient ListState<Tuple2<String, Long>> saved;
    private transient RowData.FieldGetter[] fields;

    /**
     * @param type of the rows; has symbol, event_ms, reject_reason, raw_record and raw_size
     * @param most symbols that are known; 0: no limit, and nothing is remembered
     * @param forgottenAfterMillis of the log's time without an event of a symbol
     */
    public KnownSymbols(RowType type, int most, long forgottenAfterMillis) {
        this.type = type;
        this.most = most;
        this.forgottenAfterMillis = forgottenAfterMillis;
        this.symbolField = type.getFieldIndex("symbol");
        this.eventField = type.getFieldIndex("event_ms");
        this.reasonField = type.getFieldIndex("reject_reason");
        this.rawField = type.getFieldIndex("raw_record");
        this.sizeField = type.getFieldIndex("raw_size");
    }

    @Override
    public void initializeState(FunctionInitializationContext context) throws Exception {
        saved = context.getOperatorStateStore().getListState(new ListStateDescriptor<>(
                "symbols", TypeInformation.of(new TypeHint<Tuple2<String, Long>>() {})));
        newest = new HashMap<>();
        for (Tuple2<String, Long> symbol : saved.get()) {
            newest.put(symbol.f0, new long[] {symbol.f1});
            newestOfAll = Math.max(newestOfAll, symbol.f1);
        }
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) throws Exception {
        saved.clear();
        for (Map.Entry<String, long[]> symbol : newest.entrySet()) {
            saved.add(Tuple2.of(symbol.getKey(), symbol.getValue()[0]));
        }
    }

    @Override
    public void open(OpenContext context) {
        fields = new RowData.FieldGetter[type.getFieldCount()];
        Arrays.setAll(fields, i -> RowData.createFieldGetter(type.getTypeAt(i), i));
        getRuntimeContext().getMetricGroup().addGroup("ta").gauge("symbols", (Gauge<Integer>) () -> newest.size());
    }

    @Override
    public void processElement(RowData row, Context context, Collector<RowData> out) {
        if (most == 0 || !row.isNullAt(reasonField)) {
            out.collect(row);
            return;
        }
        String symbol = row.getString(symbolField).toString();
        long event = row.getLong(eventField);
        newestOfAll = Math.max(newestOfAll, event);
        long[] known = newest.get(symbol);
        if (known != null) {
            known[0] = Math.max(known[0], event);
            out.collect(row);
        } else if (symbol.equals(CLOCK)) {
            out.collect(row);
        } else if (hasRoom()) {
            newest.put(symbol, new long[] {event});
            out.collect(row);
        } else {
            out.collect(rejected(row));
        }
    }

    private boolean hasRoom() {
        if (newest.size() >= most && newestOfAll - lookedAt >= FORGETTING_MILLIS) {
            lookedAt = newestOfAll;
            newest.values().removeIf(last -> newestOfAll - last[0] > forgottenAfterMillis);
        }
        return newest.size() < most;
    }

    private RowData rejected(RowData row) {
        GenericRowData rejected = new GenericRowData(row.getRowKind(), row.getArity());
        for (int i = 0; i < fields.length; i++) {
            rejected.setField(i, fields[i].getFieldOrNull(row));
        }
        rejected.setField(reasonField, REASON);
        rejected.setField(sizeField, (long) row.getBinary(rawField).length);
        return rejected;
    }
}
