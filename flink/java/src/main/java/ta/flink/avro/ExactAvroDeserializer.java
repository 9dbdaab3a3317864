package ta.flink.avro;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.ParsedSchema;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.CachedSchemaRegistryClient;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.SchemaRegistryClient;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException;
import org.apache.flink.avro.shaded.org.apache.avro.Schema;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericDatumReader;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericRecord;
import org.apache.flink.avro.shaded.org.apache.avro.io.BinaryDecoder;
import org.apache.flink.avro.shaded.org.apache.avro.io.DecoderFactory;
import org.apache.flink.formats.avro.AvroToRowDataConverters;
import org.apache.flink.formats.avro.typeutils.AvroSchemaConverter;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.RowType;

/**
 * Avro behind a zero byte and the four bytes of a schema's id in a Confluent registry, each record by itself.
 *
 * <p>Flink's own decoder reads all records through one buffer: what a broken record leaves in it, a byte too many is
 * enough, is taken for the beginning of the next one, and so on for as long as the job lives. Here a record that does not
 * end where its value does is an error, and the next one begins anew.
 */
final class ExactAvroDeserializer implements DeserializationSchema<RowData> {

    private static final long serialVersionUID = 1L;
    private static final int HEADER = 1 + Integer.BYTES;
    private static final int SCHEMAS_KEPT = 1_000;
    /** Bad request, not found, unprocessable: what registries say of an id that is nobody's. */
    private static final Set<Integer> ABSENT = Set.of(400, 404, 422);

    private final RowType rowType;
    private final TypeInformation<RowData> type;
    private final String url;
    private final Map<String, Object> registryOptions;
    private transient SchemaRegistryClient registry;
    private transient Schema expected;
    private transient AvroToRowDataConverters.AvroToRowDataConverter converter;
    private transient Map<Integer, GenericDatumReader<GenericRecord>> readers;
    private transient BinaryDecoder decoder;

    /**
     * @param rowType of the rows
     * @param type the same, for Flink
     * @param url of the registry
     * @param registryOptions of its client
     */
    ExactAvroDeserializer(
            RowType rowType, TypeInformation<RowData> type, String url, Map<String, Object> registryOptions) {
        this.rowType = rowType;
        this.type = type;
        this.url = url;
        this.registryOptions = Map.copyOf(registryOptions);
    }

    @Override
    public void open(InitializationContext context) {
        registry = new CachedSchemaRegistryClient(url, SCHEMAS_KEPT, registryOptions);
        expected = AvroSchemaConverter.convertToSchema(rowType);
        converter = AvroToRowDataConverters.createRowConverter(rowType);
        readers = new HashMap<>();
    }

    @Override
    public RowData deserialize(byte[] message) throws IOException {
        if (message.length < HEADER || message[0] != 0) {
            throw new IOException("the record does not begin with a zero byte and a schema's id");
        }
        int id = ByteBuffer.wrap(message).getInt(1);
        GenericDatumReader<GenericRecord> reader = readers.get(id);
        if (reader == null) {
            reader = new GenericDatumReader<>(written(id), expected);
            if (readers.size() >= SCHEMAS_KEPT) {
                readers.clear();
            }
            readers.put(id, reader);
        }
        decoder = DecoderFactory.get().binaryDecoder(message, HEADER, message.length - HEADER, decoder);
        GenericRecord record = reader.read(null, new BoundedDecoder(decoder, message.length));
        if (!decoder.isEnd()) {
            throw new IOException("the record goes on behind its last field");
        }
        return (RowData) converter.convert(record);
    }

    private Schema written(int id) throws IOException {
        if (id <= 0) {
            throw new IOException("no schema has the id " + id);
        }
        ParsedSchema parsed;
        try {
            parsed = registry.getSchemaById(id);
        } catch (RestClientException error) {
            if (ABSENT.contains(error.getStatus())) {
                throw new IOException("the registry has no schema with the id " + id);
            }
            throw new RegistryFailure(id, error);
        } catch (IOException error) {
            throw new RegistryFailure(id, error);
        }
        if (parsed.rawSchema() instanceof Schema avro) {
            return avro;
        }
        throw new IOException("the schema with the id " + id + " is none of Avro");
    }

    @Override
    public boolean isEndOfStream(RowData next) {
        return false;
    }

    @Override
    public TypeInformation<RowData> getProducedType() {
        return type;
    }
}
