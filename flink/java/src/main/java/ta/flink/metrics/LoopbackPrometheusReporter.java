package ta.flink.metrics;

import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.exporter.HTTPServer;
import java.io.IOException;
import java.lang.reflect.Field;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import org.apache.flink.metrics.MetricConfig;
import org.apache.flink.metrics.prometheus.AbstractPrometheusReporter;

/** Flink's Prometheus endpoint on the loopback interface: Flink's own reporter has no setting for its address. */
public final class LoopbackPrometheusReporter extends AbstractPrometheusReporter {
    private final int port;
    private HTTPServer server;

    LoopbackPrometheusReporter(int port) {
        this.port = port;
    }

    @Override
    public void open(MetricConfig config) {
        super.open(config);
        try {
            server = new HTTPServer(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), registry(), true);
        } catch (IOException error) {
            throw new IllegalStateException("Prometheus endpoint at loopback port " + port, error);
        }
    }

    @Override
    public void close() {
        if (server != null) {
            server.stop();
        }
        super.close();
    }

    // Not visible to subclasses outside Flink's package.
    private CollectorRegistry registry() {
        try {
            Field field = AbstractPrometheusReporter.class.getDeclaredField("registry");
            field.setAccessible(true);
            return (CollectorRegistry) field.get(this);
        } catch (ReflectiveOperationException error) {
            throw new IllegalStateException("flink-metrics-prometheus is not the pinned version", error);
        }
    }
}
