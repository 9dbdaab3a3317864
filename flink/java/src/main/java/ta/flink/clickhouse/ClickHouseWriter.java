package ta.flink.clickhouse;

import java.io.IOException;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.operators.ProcessingTimeService;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.groups.SinkWriterMetricGroup;
import org.apache.flink.table.data.RowData;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Inserts rows in batches, and waits where they cannot be inserted: a batch is given up only with the task.
 *
 * <p>All of it is in the task's own thread. While the breaker is open that thread waits, so nothing more is read, no
 * checkpoint of this job completes, and the position in the topics stays where the table is: the rows wait there. What
 * is waiting is at most one batch here, and what the source has read ahead. A wait ends at once when the task is
 * cancelled; an insert that hangs ends with the driver's timeouts, which have to be shorter than Flink's patience with
 * a task that does not end ({@code task.cancellation.timeout}, 180 s): after that it ends the TaskManager.
 */
final class ClickHouseWriter implements SinkWriter<RowData> {

    private static final Logger LOG = LoggerFactory.getLogger(ClickHouseWriter.class);
    private static final long PAUSE_MILLIS = 1_000;
    private static final long POLL_MILLIS = 100;

    private final ClickHouseTable table;
    private final Breaker breaker;
    private final int batchRows;
    private final long batchIntervalMillis;
    private final TypeSerializer<RowData> serializer;
    private final ProcessingTimeService time;
    private final SinkWriterMetricGroup metrics;

    private final List<RowData> batch = new ArrayList<>();
    private volatile int waiting;
    private boolean isDue;

    ClickHouseWriter(
            ClickHouseTable table, Breaker breaker, int batchRows, long batchIntervalMillis,
            TypeSerializer<RowData> serializer, ProcessingTimeService time, SinkWriterMetricGroup metrics) {
        this.table = table;
        this.breaker = breaker;
        this.batchRows = batchRows;
        this.batchIntervalMillis = batchIntervalMillis;
        this.serializer = serializer;
        this.time = time;
        this.metrics = metrics;
        breaker.measure(metrics);
        metrics.addGroup("breaker").gauge("waitingRows", (Gauge<Integer>) () -> waiting);
    }

    @Override
    public void write(RowData row, Context context) throws IOException, InterruptedException {
        // Flink uses the object again.
        batch.add(serializer.copy(row));
        waiting = batch.size();
        if (batch.size() >= batchRows) {
            insert();
        } else if (!isDue) {
            isDue = true;
            time.registerTimer(time.getCurrentProcessingTime() + batchIntervalMillis, at -> {
                isDue = false;
                insert();
            });
        }
    }

    /** Before a checkpoint: its position is behind these rows. */
    @Override
    public void flush(boolean endOfInput) throws IOException, InterruptedException {
        insert();
    }

    @Override
    public void close() {
        table.disconnect();
    }

    private void insert() throws IOException, InterruptedException {
        while (!batch.isEmpty()) {
            if (!breaker.allows()) {
                Thread.sleep(POLL_MILLIS);
                continue;
            }
            long begin = System.nanoTime();
            try {
                table.insert(batch);
            } catch (SQLException | RuntimeException error) {
                table.disconnect();
                failed(System.nanoTime() - begin, error);
                continue;
            } catch (ClassNotFoundException error) {
                throw new IOException("the driver of ClickHouse is not in Flink's lib/", error);
            }
            succeeded(System.nanoTime() - begin);
        }
    }

    private void succeeded(long nanos) {
        boolean wasClosed = breaker.isClosed();
        breaker.succeeded(nanos);
        if (!wasClosed) {
            LOG.info("{} takes rows again: the breaker is closed", table.name());
        }
        metrics.getNumRecordsSendCounter().inc(batch.size());
        batch.clear();
        waiting = 0;
    }

    private void failed(long nanos, Exception error) throws InterruptedException {
        breaker.failed(nanos, error);
        boolean isClosed = breaker.isClosed();
        LOG.warn("{} did not take {} rows ({}): {}", table.name(), batch.size(),
                isClosed ? "they are tried again" : "the breaker is open", breaker.lastError());
        if (isClosed) {
            Thread.sleep(PAUSE_MILLIS);
        }
    }
}
