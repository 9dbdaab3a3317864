package ta.flink.avro;

/** The registry did not say what a schema is: nothing is wrong with the record, and it must not be rejected for it. */
public final class RegistryFailure extends RuntimeException {

    private static final long serialVersionUID = 1L;

    RegistryFailure(int id, Exception cause) {
        super("the schema registry did not give the schema with the id " + id + ": " + cause.getMessage()
                + "; the job starts again until it does", cause);
    }
}
