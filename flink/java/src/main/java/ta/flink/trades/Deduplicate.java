package ta.flink.trades;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.StateTtlConfig;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.api.java.tuple.Tuple4;
import org.apache.flink.runtime.state.KeyGroupRangeAssignment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.table.data.RowData;
import org.apache.flink.util.Collector;

/**
 * Lets the first trade of an identity (symbol, UTC day, exchange, number) pass, and drops every later one.
 *
 * <p>65,536 numbers share a state ({@link Numbers}): a state for each costs some 300 bytes of heap, the collector's time
 * to mark it, and a full copy in each checkpoint. A block is forgotten when nothing was added to it for the time to
 * live; so a number is remembered at least that long. A trade without a number passes.
 */
public final class Deduplicate extends KeyedProcessFunction<Tuple4<String, Long, String, Long>, RowData, RowData> {

    private static final long serialVersionUID = 1L;
    private static final long DAY_MILLIS = 86_400_000L;

    private final int numberField;
    private final long timeToLiveMillis;
    private transient ValueState<byte[]> seen;

    /**
     * @param numberField position of the trade's number, BIGINT
     * @param timeToLiveMillis how long a number is remembered at least
     */
    public Deduplicate(int numberField, long timeToLiveMillis) {
        this.numberField = numberField;
        this.timeToLiveMillis = timeToLiveMillis;
    }

    @Override
    public void open(OpenContext context) {
        ValueStateDescriptor<byte[]> descriptor =
                new ValueStateDescriptor<>("numbers", PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO);
        // Each access looks at one other entry: more than enough, as far fewer entries are made than trades come.
        descriptor.enableTimeToLive(StateTtlConfig.newBuilder(Duration.ofMillis(timeToLiveMillis))
                .cleanupIncrementally(1, false)
                .build());
        seen = getRuntimeContext().getState(descriptor);
    }

    @Override
    public void processElement(RowData trade, Context context, Collector<RowData> out) throws Exception {
        if (trade.isNullAt(numberField)) {
            out.collect(trade);
            return;
        }
        byte[] before = seen.value();
        byte[] after = Numbers.add(before, (int) (trade.getLong(numberField) & (Numbers.BLOCK - 1)));
        if (after != null) {
            seen.update(after);
            out.collect(trade);
        }
    }

    /**
     * The block of numbers a trade belongs to.
     *
     * <p>All blocks of a symbol are of one key group, so that one subtask has them: with its blocks on several, the
     * trades of a symbol would reach their window in any order, and the first and the last of them make open and close.
     * For that a block's day carries a number above its own 32 bits, the smallest with which its hash falls into the
     * group of the symbol.
     */
    public static final class BlockOf implements KeySelector<RowData, Tuple4<String, Long, String, Long>> {

        private static final long serialVersionUID = 1L;

        private final int symbolField;
        private final int timeField;
        private final int exchangeField;
        private static final int KNOWN = 1 << 16;

        private final int numberField;
        private final int maxParallelism;
        private transient Map<Tuple4<String, Long, String, Long>, Tuple4<String, Long, String, Long>> known;

        /**
         * Positions of the symbol, the event time in epoch milliseconds, the exchange and the trade's number; and the
         * number of key groups.
         */
        public BlockOf(int symbolField, int timeField, int exchangeField, int numberField, int maxParallelism) {
            this.symbolField = symbolField;
            this.timeField = timeField;
            this.exchangeField = exchangeField;
            this.numberField = numberField;
            this.maxParallelism = maxParallelism;
        }

        @Override
        public Tuple4<String, Long, String, Long> getKey(RowData trade) {
            Tuple4<String, Long, String, Long> block = Tuple4.of(
                    trade.getString(symbolField).toString(),
                    Math.floorDiv(trade.getLong(timeField), DAY_MILLIS),
                    trade.isNullAt(exchangeField) ? "" : trade.getString(exchangeField).toString(),
                    trade.isNullAt(numberField) ? 0L : Math.floorDiv(trade.getLong(numberField), Numbers.BLOCK));
            if (known == null || known.size() >= KNOWN) {
                known = new HashMap<>();
            }
            Tuple4<String, Long, String, Long> key = known.get(block);
            if (key == null) {
                key = besideItsSymbol(block);
                known.put(block, key);
            }
            return key;
        }

        private Tuple4<String, Long, String, Long> besideItsSymbol(Tuple4<String, Long, String, Long> block) {
            int group = KeyGroupRangeAssignment.assignToKeyGroup(block.f0, maxParallelism);
            Tuple4<String, Long, String, Long> key = block;
            for (long number = 1; KeyGroupRangeAssignment.assignToKeyGroup(key, maxParallelism) != group; number++) {
                key = Tuple4.of(block.f0, block.f1 + (number << 32), block.f2, block.f3);
            }
            return key;
        }
    }
}
