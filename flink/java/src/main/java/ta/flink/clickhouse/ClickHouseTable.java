package ta.flink.clickhouse;

import java.io.Serializable;
import java.sql.SQLException;
import java.util.List;
import org.apache.flink.connector.jdbc.JdbcConnectionOptions;
import org.apache.flink.connector.jdbc.core.database.dialect.JdbcDialectConverter;
import org.apache.flink.connector.jdbc.datasource.connections.JdbcConnectionProvider;
import org.apache.flink.connector.jdbc.datasource.connections.SimpleJdbcConnectionProvider;
import org.apache.flink.connector.jdbc.internal.executor.TableSimpleStatementExecutor;
import org.apache.flink.connector.jdbc.statement.FieldNamedPreparedStatement;
import org.apache.flink.table.data.RowData;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** One table and the connection to it, which is made by the first insert and made anew after one that failed. */
final class ClickHouseTable implements Serializable {

    private static final long serialVersionUID = 1L;
    private static final Logger LOG = LoggerFactory.getLogger(ClickHouseTable.class);

    private final JdbcConnectionOptions options;
    private final String name;
    private final String[] columns;
    private final JdbcDialectConverter converter;

    private transient JdbcConnectionProvider connections;
    private transient TableSimpleStatementExecutor statement;

    ClickHouseTable(
            String url, String name, String username, String password, String[] columns,
            JdbcDialectConverter converter) {
        this.options = new JdbcConnectionOptions.JdbcConnectionOptionsBuilder()
                .withUrl(url)
                .withDriverName(new ClickHouseDialect().defaultDriverName().orElseThrow())
                .withUsername(username)
                .withPassword(password)
                .build();
        this.name = name;
        this.columns = columns;
        this.converter = converter;
    }

    String name() {
        return name;
    }

    /** Insert these rows; when it throws, none, some or all of them are in the table. */
    void insert(List<RowData> rows) throws SQLException, ClassNotFoundException {
        if (statement == null) {
            connect();
        }
        for (RowData row : rows) {
            statement.addToBatch(row);
        }
        statement.executeBatch();
    }

    private void connect() throws SQLException, ClassNotFoundException {
        connections = new SimpleJdbcConnectionProvider(options);
        String insert = new ClickHouseDialect().getInsertIntoStatement(name, columns);
        TableSimpleStatementExecutor executor = new TableSimpleStatementExecutor(
                connection -> FieldNamedPreparedStatement.prepareStatement(connection, insert, columns), converter);
        executor.prepareStatements(connections.getOrEstablishConnection());
        statement = executor;
    }

    /**
     * Forget the connection; the next insert makes another one. Throws nothing: an exception while a failed task is
     * cleaned up ends the TaskManager.
     */
    void disconnect() {
        statement = null;
        if (connections != null) {
            try {
                connections.closeConnection();
            } catch (RuntimeException error) {
                LOG.warn("the connection of {} could not be closed: {}", name, error.toString());
            }
            connections = null;
        }
    }
}
