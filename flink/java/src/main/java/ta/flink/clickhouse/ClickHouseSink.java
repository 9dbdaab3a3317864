package ta.flink.clickhouse;

import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.table.data.RowData;

/**
 * What is shipped to the task: makes its {@link ClickHouseWriter}.
 *
 * @param table where to.
 * @param batchRows rows in one insert.
 * @param batchIntervalMillis longest wait of a row for its batch.
 * @param attempts so many failures in a row open the breaker.
 * @param longestWaitMillis between two attempts while it is open.
 */
record ClickHouseSink(
        ClickHouseTable table, int batchRows, long batchIntervalMillis, int attempts, long longestWaitMillis)
        implements Sink<RowData> {

    @Override
    public SinkWriter<RowData> createWriter(WriterInitContext context) {
        Breaker breaker = new Breaker(attempts, longestWaitMillis);
        return new ClickHouseWriter(
                table, breaker, batchRows, batchIntervalMillis, context.createInputSerializer(),
                context.getProcessingTimeService(), context.metricGroup());
    }
}
