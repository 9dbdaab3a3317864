package ta.flink.clickhouse;

import java.time.Duration;
import java.util.List;
import java.util.Set;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.sink.DynamicTableSink;
import org.apache.flink.table.connector.sink.SinkV2Provider;
import org.apache.flink.table.factories.DynamicTableSinkFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.types.logical.RowType;

/**
 * The connector {@code clickhouse}: inserts in batches through JDBC, behind a breaker ({@link ClickHouseWriter}).
 *
 * <p>Options: {@code url}, {@code table-name}, {@code username}, {@code password}; {@code batch.rows} and
 * {@code batch.interval}; {@code breaker.attempts}, so many failures in a row open the breaker; {@code breaker.wait},
 * the longest pause between two attempts while it is open.
 */
public final class ClickHouseTableFactory implements DynamicTableSinkFactory {

    private static final ConfigOption<String> URL = ConfigOptions.key("url").stringType().noDefaultValue();
    private static final ConfigOption<String> TABLE = ConfigOptions.key("table-name").stringType().noDefaultValue();
    private static final ConfigOption<String> USERNAME = ConfigOptions.key("username").stringType().noDefaultValue();
    private static final ConfigOption<String> PASSWORD = ConfigOptions.key("password").stringType().noDefaultValue();
    private static final ConfigOption<Integer> BATCH_ROWS = ConfigOptions.key("batch.rows").intType().noDefaultValue();
    private static final ConfigOption<Duration> BATCH_INTERVAL =
            ConfigOptions.key("batch.interval").durationType().noDefaultValue();
    private static final ConfigOption<Integer> ATTEMPTS =
            ConfigOptions.key("breaker.attempts").intType().noDefaultValue();
    private static final ConfigOption<Duration> WAIT =
            ConfigOptions.key("breaker.wait").durationType().noDefaultValue();

    @Override
    public String factoryIdentifier() {
        return "clickhouse";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of(URL, TABLE, USERNAME, PASSWORD, BATCH_ROWS, BATCH_INTERVAL, ATTEMPTS, WAIT);
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Set.of();
    }

    @Override
    public DynamicTableSink createDynamicTableSink(Context context) {
        FactoryUtil.TableFactoryHelper helper = FactoryUtil.createTableFactoryHelper(this, context);
        helper.validate();
        ReadableConfig options = helper.getOptions();
        RowType rows = (RowType) context.getPhysicalRowDataType().getLogicalType();
        ClickHouseDialect dialect = new ClickHouseDialect();
        dialect.validate(rows);
        List<String> columns = rows.getFieldNames();
        ClickHouseTable table = new ClickHouseTable(
                options.get(URL), options.get(TABLE), options.get(USERNAME), options.get(PASSWORD),
                columns.toArray(new String[0]), dialect.getRowConverter(rows));
        return new TableSink(new ClickHouseSink(
                table, options.get(BATCH_ROWS), options.get(BATCH_INTERVAL).toMillis(), options.get(ATTEMPTS),
                options.get(WAIT).toMillis()));
    }

    private record TableSink(ClickHouseSink sink) implements DynamicTableSink {

        @Override
        public ChangelogMode getChangelogMode(ChangelogMode requested) {
            return ChangelogMode.insertOnly();
        }

        @Override
        public SinkRuntimeProvider getSinkRuntimeProvider(Context context) {
            return SinkV2Provider.of(sink);
        }

        @Override
        public DynamicTableSink copy() {
            return this;
        }

        @Override
        public String asSummaryString() {
            return "ClickHouse";
        }
    }
}
