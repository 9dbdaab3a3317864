package ta.flink;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.Set;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.factories.DynamicTableFactory;
import org.apache.flink.table.factories.Factory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.RowType;

/**
 * Format <code>dead-letter</code>: decodes with another format and never loses a record.
 *
 * <p>Flink's formats know two ways with a record that does not decode: fail the job, or skip it without a word. This
 * one wraps any of them (<code>dead-letter.format</code>, whose options follow under its own name), judges what it
 * decoded by the rules of a log (<code>dead-letter.rules</code>, {@link RecordRules}), and fills columns of its own, which
 * the table declares beside the inner format's:
 *
 * <ul>
 *   <li><code>reject_reason STRING</code>: why the record cannot be used, NULL when it can. It is that or NULL, so a
 *       record is used or rejected, and never neither;
 *   <li><code>decode_error STRING</code>: what the inner format said of a record that it could not decode;
 *   <li><code>raw_record BYTES</code>: the record; of a longer one its first <code>dead-letter.max-bytes</code>;
 *   <li><code>raw_size BIGINT</code>: of one that cannot be used, how many bytes it has;
 *   <li><code>event_ms BIGINT</code>: its event time, milliseconds since the epoch; 0 when it cannot be used;
 *   <li><code>line_no BIGINT</code>: with <code>dead-letter.numbered-lines</code>, the number before the first tab
 *       (recordings on files have no offsets); else NULL.
 * </ul>
 *
 * <p>A column <code>a.b</code> is field <code>b</code> of the record's nested <code>a</code>: flat columns are read and
 * passed on by themselves, where a nested row is copied as a whole by every operator that needs one field of it. A
 * record without <code>a</code> has the reason <code>missing_a</code>. Of a record that cannot be used, only the symbol is
 * passed on.
 */
public final class DeadLetterFormatFactory implements DeserializationFormatFactory {

    static final String IDENTIFIER = "dead-letter";
    static final String ERROR = "decode_error";
    static final String RAW = "raw_record";
    static final String LINE = "line_no";
    static final String REASON = "reject_reason";
    static final String SIZE = "raw_size";
    static final String EVENT = "event_ms";
    static final String SYMBOL = "symbol";

    private static final String JSON = "json";

    private static final ConfigOption<String> FORMAT = ConfigOptions.key("format").stringType().noDefaultValue()
            .withDescription("The format that decodes, e.g. json or avro-confluent.");
    private static final ConfigOption<Boolean> NUMBERED = ConfigOptions.key("numbered-lines").booleanType()
            .defaultValue(false).withDescription("Each record is <number> TAB <value>.");
    private static final ConfigOption<String> RULES = ConfigOptions.key("rules").stringType().noDefaultValue()
            .withDescription("What a usable record is: of trades, quotes, bars_1m or status.");
    private static final ConfigOption<Long> MAX_FUTURE = ConfigOptions.key("max-future-ms").longType()
            .noDefaultValue().withDescription("How far an event may be ahead of this machine's clock.");
    private static final ConfigOption<Integer> MAX_BYTES = ConfigOptions.key("max-bytes").intType()
            .noDefaultValue().withDescription("Longest record that is used, and what is kept of a longer one.");

    @Override
    public String factoryIdentifier() {
        return IDENTIFIER;
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of(FORMAT, RULES, MAX_FUTURE, MAX_BYTES);
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        Set<ConfigOption<?>> options = new HashSet<>(Set.of(NUMBERED));
        for (Factory factory : ServiceLoader.load(Factory.class, Thread.currentThread().getContextClassLoader())) {
            if (factory instanceof DeserializationFormatFactory && !(factory instanceof DeadLetterFormatFactory)) {
                addPrefixed(options, factory.factoryIdentifier(), factory.requiredOptions());
                addPrefixed(options, factory.factoryIdentifier(), factory.optionalOptions());
            }
        }
        return options;
    }

    private static void addPrefixed(Set<ConfigOption<?>> all, String format, Set<ConfigOption<?>> options) {
        for (ConfigOption<?> option : options) {
            all.add(ConfigOptions.key(format + "." + option.key()).stringType().noDefaultValue());
        }
    }

    @Override
    public DecodingFormat<DeserializationSchema<RowData>> createDecodingFormat(
            DynamicTableFactory.Context context, ReadableConfig options) {
        String name = options.get(FORMAT);
        DeserializationFormatFactory factory = FactoryUtil.discoverFactory(
                context.getClassLoader(), DeserializationFormatFactory.class, name);
        DecodingFormat<DeserializationSchema<RowData>> inner =
                factory.createDecodingFormat(context, under(options, name + "."));
        return new Decoding(inner, options.get(NUMBERED), name.equals(JSON), options.get(MAX_BYTES),
                options.get(RULES), options.get(MAX_FUTURE));
    }

    private static Configuration under(ReadableConfig options, String prefix) {
        Configuration inner = new Configuration();
        options.toMap().forEach((key, value) -> {
            if (key.startsWith(prefix)) {
                inner.setString(key.substring(prefix.length()), value);
            }
        });
        return inner;
    }

    private record Decoding(
            DecodingFormat<DeserializationSchema<RowData>> inner,
            boolean numbered,
            boolean json,
            int maxBytes,
            String rules,
            long maxFutureMillis)
            implements DecodingFormat<DeserializationSchema<RowData>> {

        private static final Map<String, Integer> OWN = Map.of(
                ERROR, DeadLetterDeserializer.ERROR, RAW, DeadLetterDeserializer.RAW,
                LINE, DeadLetterDeserializer.LINE, REASON, DeadLetterDeserializer.REASON,
                SIZE, DeadLetterDeserializer.SIZE, EVENT, DeadLetterDeserializer.EVENT);

        @Override
        public DeserializationSchema<RowData> createRuntimeDecoder(
                DynamicTableSource.Context context, DataType physicalDataType) {
            RowType outer = (RowType) physicalDataType.getLogicalType();
            List<String> names = outer.getFieldNames();
            List<DataType> types = physicalDataType.getChildren();
            Map<String, List<DataTypes.Field>> kept = new LinkedHashMap<>();
            int[][] innerPositions = new int[names.size()][];
            int[] special = new int[names.size()];
            for (int i = 0; i < names.size(); i++) {
                special[i] = OWN.getOrDefault(names.get(i), 0);
                innerPositions[i] = special[i] == 0 ? keep(kept, names.get(i), types.get(i)) : new int[0];
                if (names.get(i).equals(SYMBOL)) {
                    special[i] = DeadLetterDeserializer.SYMBOL;
                }
            }
            require(outer, REASON, LogicalTypeRoot.VARCHAR);
            require(outer, ERROR, LogicalTypeRoot.VARCHAR);
            require(outer, RAW, LogicalTypeRoot.VARBINARY);
            require(outer, SIZE, LogicalTypeRoot.BIGINT);
            require(outer, EVENT, LogicalTypeRoot.BIGINT);
            if (numbered) {
                require(outer, LINE, LogicalTypeRoot.BIGINT);
            }
            List<DataTypes.Field> innerFields = new ArrayList<>();
            kept.forEach((name, fields) -> innerFields.add(fields.get(0).getName().equals(name)
                    ? fields.get(0)
                    : DataTypes.FIELD(name, DataTypes.ROW(fields).bridgedTo(RowData.class))));
            DataType innerType = DataTypes.ROW(innerFields).notNull().bridgedTo(RowData.class);
            return new DeadLetterDeserializer(
                    inner.createRuntimeDecoder(context, innerType),
                    context.createTypeInformation(physicalDataType),
                    innerPositions,
                    special,
                    List.copyOf(kept.keySet()),
                    new DeadLetterDeserializer.Options(numbered, json, maxBytes,
                            new RecordRules(rules, names, maxFutureMillis)));
        }

        /** Adds a column to the inner type; returns where its value is: a position, or one in the row at another. */
        private static int[] keep(Map<String, List<DataTypes.Field>> kept, String column, DataType type) {
            int dot = column.indexOf('.');
            String outer = dot < 0 ? column : column.substring(0, dot);
            List<DataTypes.Field> fields = kept.computeIfAbsent(outer, name -> new ArrayList<>());
            fields.add(DataTypes.FIELD(column.substring(dot + 1), type));
            int position = List.copyOf(kept.keySet()).indexOf(outer);
            return dot < 0 ? new int[] {position} : new int[] {position, fields.size() - 1};
        }

        @Override
        public ChangelogMode getChangelogMode() {
            return ChangelogMode.insertOnly();
        }

        private static void require(RowType row, String column, LogicalTypeRoot root) {
            int index = row.getFieldIndex(column);
            if (index < 0 || row.getTypeAt(index).getTypeRoot() != root) {
                throw new ValidationException("The format 'dead-letter' fills a column " + column + " of type " + root
                        + "; declare it in the table, which has " + row.getFieldNames());
            }
        }
    }
}
