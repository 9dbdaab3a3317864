package ta.flink.avro;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.factories.DynamicTableFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.RowType;

/** Format <code>exact-avro</code>: what <code>avro-confluent</code> reads, each record by itself. */
public final class ExactAvroFormatFactory implements DeserializationFormatFactory {

    private static final ConfigOption<String> URL = ConfigOptions.key("url").stringType().noDefaultValue()
            .withDescription("The schema registry.");
    private static final ConfigOption<String> USER_INFO = ConfigOptions.key("user-info").stringType().noDefaultValue()
            .withDescription("user:password of the registry.");

    @Override
    public String factoryIdentifier() {
        return "exact-avro";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of(URL);
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Set.of(USER_INFO);
    }

    @Override
    public DecodingFormat<DeserializationSchema<RowData>> createDecodingFormat(
            DynamicTableFactory.Context context, ReadableConfig options) {
        FactoryUtil.validateFactoryOptions(this, options);
        Map<String, Object> registry = new HashMap<>();
        // An id that nobody has is asked for once a minute, not once for each record that has it.
        registry.put("missing.id.cache.ttl.sec", 60L);
        registry.put("missing.cache.size", 10_000);
        options.getOptional(USER_INFO).ifPresent(userInfo -> {
            registry.put("basic.auth.credentials.source", "USER_INFO");
            registry.put("basic.auth.user.info", userInfo);
        });
        String url = options.get(URL);
        return new DecodingFormat<>() {

            @Override
            public DeserializationSchema<RowData> createRuntimeDecoder(
                    DynamicTableSource.Context source, DataType physicalDataType) {
                return new ExactAvroDeserializer((RowType) physicalDataType.getLogicalType(),
                        source.createTypeInformation(physicalDataType), url, registry);
            }

            @Override
            public ChangelogMode getChangelogMode() {
                return ChangelogMode.insertOnly();
            }
        };
    }
}
