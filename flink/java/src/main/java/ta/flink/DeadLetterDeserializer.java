package ta.flink;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import javax.annotation.Nullable;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.util.Collector;
import ta.flink.avro.RegistryFailure;

/** Decodes with another schema; a record that cannot be used becomes a row that says why and carries its bytes. */
final class DeadLetterDeserializer implements DeserializationSchema<RowData> {

    static final int ERROR = -1;
    static final int RAW = -2;
    static final int LINE = -3;
    static final int REASON = -4;
    static final int SIZE = -5;
    static final int EVENT = -6;
    static final int SYMBOL = -7;

    private static final long serialVersionUID = 1L;
    private static final int LONGEST_DETAIL = 300;
    private static final int LONGEST_LABEL = 64;

    private final DeserializationSchema<RowData> inner;
    private final TypeInformation<RowData> type;
    private final int[][] innerPositions;
    private final int[] special;
    private final List<String> innerNames;
    private final Options options;
    private transient RecordRules.Reader rules;

    /**
     * What the format was told.
     *
     * @param numbered each record is {@code <number> TAB <value>}
     * @param json whether the values are JSON: then each is one object, and nothing else
     * @param maxBytes of a record that is used, and what is kept of one that is not
     * @param rules what a usable record is
     */
    record Options(boolean numbered, boolean json, int maxBytes, RecordRules rules)
            implements java.io.Serializable {}

    /**
     * @param inner decodes
     * @param type of the rows
     * @param innerPositions by column: where its value is in the inner row, or in a row in it; empty: a column of ours
     * @param special by column: which of ours it is, or {@code SYMBOL}; else 0
     * @param innerNames of the inner row's fields
     * @param options what the format was told
     */
    DeadLetterDeserializer(
            DeserializationSchema<RowData> inner,
            TypeInformation<RowData> type,
            int[][] innerPositions,
            int[] special,
            List<String> innerNames,
            Options options) {
        this.inner = inner;
        this.type = type;
        this.innerPositions = innerPositions;
        this.special = special;
        this.innerNames = innerNames;
        this.options = options;
    }

    @Override
    public void open(InitializationContext context) throws Exception {
        inner.open(context);
        rules = options.rules().reader();
    }

    @Override
    public void deserialize(byte[] message, Collector<RowData> out) {
        out.collect(deserialize(message));
    }

    @Override
    public RowData deserialize(byte[] message) {
        if (message == null) {
            return rejected(null, RecordRules.MALFORMED, "the record has no value", new byte[0], null);
        }
        byte[] value = message;
        Long line = null;
        if (options.numbered()) {
            int tab = 0;
            long number = 0;
            while (message[tab] != '\t') {
                number = number * 10 + (message[tab] - '0');
                tab++;
            }
            line = number;
            value = Arrays.copyOfRange(message, tab + 1, message.length);
        }
        if (value.length > options.maxBytes()) {
            String detail = "the record has " + value.length + " bytes, " + options.maxBytes() + " are allowed";
            return rejected(null, RecordRules.TOO_LARGE, detail, value, line);
        }
        GenericRowData decoded;
        try {
            decoded = (GenericRowData) inner.deserialize(value);
        } catch (RegistryFailure error) {
            throw error;
        } catch (IOException | RuntimeException error) {
            return rejected(null, RecordRules.MALFORMED, detail(error), value, line);
        }
        if (decoded == null) {
            return rejected(null, RecordRules.MALFORMED, "the record is empty", value, line);
        }
        if (options.json() && !OneObject.is(value)) {
            // Flink's decoder reads the first value of a record and leaves the rest.
            return rejected(decoded, RecordRules.MALFORMED, "the record is not one JSON object alone", value, line);
        }
        return row(decoded, value, line);
    }

    @Override
    public boolean isEndOfStream(RowData next) {
        return false;
    }

    @Override
    public TypeInformation<RowData> getProducedType() {
        return type;
    }

    private RowData row(GenericRowData decoded, byte[] value, Long line) {
        GenericRowData row = new GenericRowData(innerPositions.length);
        for (int i = 0; i < innerPositions.length; i++) {
            int[] position = innerPositions[i];
            if (position.length > 0) {
                Object outer = decoded.getField(position[0]);
                if (position.length == 1) {
                    row.setField(i, outer);
                } else if (outer == null) {
                    String name = innerNames.get(position[0]);
                    return rejected(decoded, "missing_" + name, name + " is missing", value, line);
                } else {
                    row.setField(i, ((GenericRowData) outer).getField(position[1]));
                }
            }
        }
        String reason = rules.reason(row, System.currentTimeMillis());
        if (reason != null) {
            return rejected(decoded, reason, null, value, line);
        }
        for (int i = 0; i < special.length; i++) {
            switch (special[i]) {
                case LINE -> row.setField(i, line);
                case RAW -> row.setField(i, value);
                case EVENT -> row.setField(i, rules.eventMillis());
                default -> { }
            }
        }
        return row;
    }

    /** Nothing of what was decoded is in it but the symbol, so that nobody can use it by mistake. */
    private RowData rejected(@Nullable GenericRowData decoded, String reason, String detail, byte[] value, Long line) {
        GenericRowData row = new GenericRowData(innerPositions.length);
        for (int i = 0; i < special.length; i++) {
            row.setField(i, switch (special[i]) {
                case ERROR -> detail == null ? null : StringData.fromString(Printable.of(detail, LONGEST_DETAIL));
                case RAW -> Printable.beginning(value, options.maxBytes());
                case LINE -> line;
                case REASON -> StringData.fromString(reason);
                case SIZE -> (long) value.length;
                case EVENT -> 0L;
                case SYMBOL -> label(decoded == null ? null : decoded.getField(innerPositions[i][0]));
                default -> null;
            });
        }
        return row;
    }

    private static StringData label(@Nullable Object symbol) {
        return symbol == null ? null : StringData.fromString(Printable.of(symbol.toString(), LONGEST_LABEL));
    }

    /** The innermost message says what was wrong; the outer ones repeat the whole record. */
    private static String detail(Throwable error) {
        Throwable root = error;
        while (root.getCause() != null && root.getCause() != root) {
            root = root.getCause();
        }
        return root.getClass().getSimpleName() + ": " + root.getMessage();
    }
}
