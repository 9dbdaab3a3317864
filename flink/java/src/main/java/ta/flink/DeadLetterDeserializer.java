package ta.flink;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.util.Collector;

/** Decodes with another schema; a record that does not decode becomes a row that says why and carries its bytes. */
final class DeadLetterDeserializer implements DeserializationSchema<RowData> {

    static final int ERROR = -1;
    static final int RAW = -2;
    static final int LINE = -3;

    private static final long serialVersionUID = 1L;
    private static final int LONGEST_REASON = 300;

    private final DeserializationSchema<RowData> inner;
    private final TypeInformation<RowData> type;
    private final int[][] innerPositions;
    private final List<String> innerNames;
    private final boolean numbered;

    DeadLetterDeserializer(
            DeserializationSchema<RowData> inner,
            TypeInformation<RowData> type,
            int[][] innerPositions,
            List<String> innerNames,
            boolean numbered) {
        this.inner = inner;
        this.type = type;
        this.innerPositions = innerPositions;
        this.innerNames = innerNames;
        this.numbered = numbered;
    }

    @Override
    public void open(InitializationContext context) throws Exception {
        inner.open(context);
    }

    @Override
    public void deserialize(byte[] message, Collector<RowData> out) {
        out.collect(deserialize(message));
    }

    @Override
    public RowData deserialize(byte[] message) {
        if (message == null) {
            return row(null, "the record has no value", new byte[0], null);
        }
        byte[] value = message;
        Long line = null;
        if (numbered) {
            int tab = 0;
            long number = 0;
            while (message[tab] != '\t') {
                number = number * 10 + (message[tab] - '0');
                tab++;
            }
            line = number;
            value = Arrays.copyOfRange(message, tab + 1, message.length);
        }
        try {
            RowData decoded = inner.deserialize(value);
            return decoded == null
                    ? row(null, "the record is empty", value, line)
                    : row((GenericRowData) decoded, null, value, line);
        } catch (IOException | RuntimeException error) {
            return row(null, reason(error), value, line);
        }
    }

    @Override
    public boolean isEndOfStream(RowData next) {
        return false;
    }

    @Override
    public TypeInformation<RowData> getProducedType() {
        return type;
    }

    private RowData row(GenericRowData decoded, String error, byte[] raw, Long line) {
        GenericRowData row = new GenericRowData(innerPositions.length);
        String problem = error;
        int errorField = -1;
        for (int i = 0; i < innerPositions.length; i++) {
            int[] position = innerPositions[i];
            switch (position[0]) {
                case ERROR -> errorField = i;
                case RAW -> row.setField(i, raw);
                case LINE -> row.setField(i, line);
                default -> {
                    Object value = decoded == null ? null : decoded.getField(position[0]);
                    if (position.length == 1 || value == null) {
                        row.setField(i, value);
                    } else {
                        row.setField(i, ((GenericRowData) value).getField(position[1]));
                    }
                    if (position.length == 2 && value == null && problem == null) {
                        problem = innerNames.get(position[0]) + " is missing";
                    }
                }
            }
        }
        row.setField(errorField, problem == null ? null : StringData.fromString(problem));
        return row;
    }

    /** The innermost message says what was wrong; the outer ones repeat the whole record. */
    private static String reason(Throwable error) {
        Throwable root = error;
        while (root.getCause() != null && root.getCause() != root) {
            root = root.getCause();
        }
        String text = root.getClass().getSimpleName() + ": " + root.getMessage();
        return text.length() <= LONGEST_REASON ? text : text.substring(0, LONGEST_REASON);
    }
}
