package ta.flink.clickhouse;

import org.apache.flink.connector.jdbc.core.database.JdbcFactory;
import org.apache.flink.connector.jdbc.core.database.catalog.JdbcCatalog;
import org.apache.flink.connector.jdbc.core.database.dialect.JdbcDialect;

/** Makes Flink's JDBC connector accept `jdbc:ch:` and `jdbc:clickhouse:` URLs. */
public final class ClickHouseFactory implements JdbcFactory {

    @Override
    public boolean acceptsURL(String url) {
        return url.startsWith("jdbc:ch:") || url.startsWith("jdbc:clickhouse:");
    }

    @Override
    public JdbcDialect createDialect() {
        return new ClickHouseDialect();
    }

    @Override
    public JdbcCatalog createCatalog(
            ClassLoader loader, String name, String database, String user, String password, String url) {
        throw new UnsupportedOperationException("a ClickHouse catalog is not offered; declare the table");
    }
}
