package ta.flink.kafka;

import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.regex.Pattern;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.TopicPartition;
import org.apache.flink.streaming.connectors.kafka.config.BoundedMode;
import org.apache.flink.streaming.connectors.kafka.config.StartupMode;
import org.apache.flink.streaming.connectors.kafka.table.KafkaDynamicSource;
import org.apache.flink.streaming.connectors.kafka.table.KafkaDynamicTableFactory;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.RowType;

/**
 * The connector {@code clocked-kafka}: Flink's Kafka source, whose partitions are idle as {@link IdleWhileOthersAreRead}
 * says. The clock's topic is among its topics; its records have {@code clock} in the field {@code clock.type-field}.
 *
 * <p>Options: those of {@code kafka}, without {@code scan.watermark.idle-timeout}; {@code clock.type-field}; {@code
 * clock.reason-field}, which is not null in records that cannot be used; {@code clock.time-field}, which has a record's
 * time, epoch milliseconds; and {@code clock.idle-timeout}.
 */
public final class ClockedKafkaFactory extends KafkaDynamicTableFactory {

    private static final ConfigOption<Duration> IDLE_TIMEOUT =
            ConfigOptions.key("clock.idle-timeout").durationType().noDefaultValue();
    private static final ConfigOption<String> TYPE_FIELD =
            ConfigOptions.key("clock.type-field").stringType().noDefaultValue();
    private static final ConfigOption<String> REASON_FIELD =
            ConfigOptions.key("clock.reason-field").stringType().noDefaultValue();
    private static final ConfigOption<String> TIME_FIELD =
            ConfigOptions.key("clock.time-field").stringType().noDefaultValue();

    // One factory object serves every table of its connector, one after the other, in the planner's thread.
    private Duration idleTimeout;
    private String typeField;
    private String reasonField;
    private String timeField;

    @Override
    public String factoryIdentifier() {
        return "clocked-kafka";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        Set<ConfigOption<?>> options = new HashSet<>(super.requiredOptions());
        options.add(IDLE_TIMEOUT);
        options.add(TYPE_FIELD);
        options.add(REASON_FIELD);
        options.add(TIME_FIELD);
        return options;
    }

    @Override
    public DynamicTableSource createDynamicTableSource(Context context) {
        Map<String, String> options = context.getCatalogTable().getOptions();
        typeField = options.get(TYPE_FIELD.key());
        reasonField = options.get(REASON_FIELD.key());
        timeField = options.get(TIME_FIELD.key());
        idleTimeout = Configuration.fromMap(options).get(IDLE_TIMEOUT);
        return super.createDynamicTableSource(context);
    }

    @Override
    protected KafkaDynamicSource createKafkaTableSource(
            DataType physicalDataType,
            DecodingFormat<DeserializationSchema<RowData>> keyDecodingFormat,
            DecodingFormat<DeserializationSchema<RowData>> valueDecodingFormat,
            int[] keyProjection,
            int[] valueProjection,
            String keyPrefix,
            List<String> topics,
            Pattern topicPattern,
            Properties properties,
            StartupMode startupMode,
            Map<TopicPartition, Long> specificStartupOffsets,
            long startupTimestampMillis,
            BoundedMode boundedMode,
            Map<TopicPartition, Long> specificEndOffsets,
            long endTimestampMillis,
            String tableIdentifier,
            Integer parallelism) {
        List<String> names = ((RowType) physicalDataType.getLogicalType()).getFieldNames();
        if (idleTimeout == null) {
            throw new ValidationException(tableIdentifier + ": " + IDLE_TIMEOUT.key() + " must be set");
        }
        return new Source(
                new Arguments(physicalDataType, keyDecodingFormat, valueDecodingFormat, keyProjection, valueProjection,
                        keyPrefix, topics, topicPattern, properties, startupMode, specificStartupOffsets,
                        startupTimestampMillis, boundedMode, specificEndOffsets, endTimestampMillis, tableIdentifier,
                        parallelism),
                idleTimeout.toMillis(), position(names, TYPE_FIELD, typeField, tableIdentifier),
                position(names, REASON_FIELD, reasonField, tableIdentifier),
                position(names, TIME_FIELD, timeField, tableIdentifier));
    }

    private static int position(List<String> names, ConfigOption<String> option, String field, String table) {
        int at = names.indexOf(field);
        if (at < 0) {
            throw new ValidationException(table + ": " + option.key() + " is '" + field + "', which must name a column");
        }
        return at;
    }

    private record Arguments(
            DataType physicalDataType,
            DecodingFormat<DeserializationSchema<RowData>> keyDecodingFormat,
            DecodingFormat<DeserializationSchema<RowData>> valueDecodingFormat,
            int[] keyProjection,
            int[] valueProjection,
            String keyPrefix,
            List<String> topics,
            Pattern topicPattern,
            Properties properties,
            StartupMode startupMode,
            Map<TopicPartition, Long> specificStartupOffsets,
            long startupTimestampMillis,
            BoundedMode boundedMode,
            Map<TopicPartition, Long> specificEndOffsets,
            long endTimestampMillis,
            String tableIdentifier,
            Integer parallelism) {}

    private static final class Source extends KafkaDynamicSource {

        private final Arguments arguments;
        private final long idleTimeoutMillis;
        private final int typeField;
        private final int reasonField;
        private final int timeField;

        Source(Arguments a, long idleTimeoutMillis, int typeField, int reasonField, int timeField) {
            super(a.physicalDataType, a.keyDecodingFormat, a.valueDecodingFormat, a.keyProjection, a.valueProjection,
                    a.keyPrefix, a.topics, a.topicPattern, a.properties, a.startupMode, a.specificStartupOffsets,
                    a.startupTimestampMillis, a.boundedMode, a.specificEndOffsets, a.endTimestampMillis, false,
                    a.tableIdentifier, a.parallelism);
            this.arguments = a;
            this.idleTimeoutMillis = idleTimeoutMillis;
            this.typeField = typeField;
            this.reasonField = reasonField;
            this.timeField = timeField;
        }

        @Override
        public void applyWatermark(WatermarkStrategy<RowData> watermarks) {
            super.applyWatermark(
                    new IdleWhileOthersAreRead(watermarks, idleTimeoutMillis, typeField, reasonField, timeField));
        }

        @Override
        public DynamicTableSource copy() {
            Source copy = new Source(arguments, idleTimeoutMillis, typeField, reasonField, timeField);
            copy.producedDataType = producedDataType;
            copy.metadataKeys = metadataKeys;
            copy.watermarkStrategy = watermarkStrategy;
            return copy;
        }
    }
}
